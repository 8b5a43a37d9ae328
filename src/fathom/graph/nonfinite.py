"""The first NaN or infinity of a function: which node, which line, which operands, forward or backward."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import UsageError
from ..look import format_number
from ._jax import scan_counts
from .graph import Graph, trace
from .measure import to_host
from .nodes import Block, Line, Node, Value
from .run import Forward
from .statistics import run_watched

Step = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Operand:
    """What a node read when it made the first non-finite number.

    Attributes:
        name: the argument's path, the number itself, or the operation it comes from.
        shape: its shape.
        smallest: its smallest entry.
        largest: its largest entry.
        zeros: the share of entries that are 0.
    """

    name: str
    shape: tuple[int, ...]
    smallest: float
    largest: float
    zeros: float

    def __str__(self) -> str:
        span = f"from {format_number(self.smallest)} to {format_number(self.largest)}"
        some = f", {self.zeros:.1%} zeros" if self.zeros else ""
        return f"{self.name} {list(self.shape)} {span}{some}"


@dataclasses.dataclass(frozen=True)
class NonFinite:
    """Where a function's first NaN or infinity comes from; its text says it in a sentence.

    Attributes:
        found: whether a non-finite number reaches the result or the gradient.
        direction: "forward", "backward", "input" (an argument holds it already), or "" where nothing was found.
        node: the first node whose result is not finite though all that it read is; None for an input.
        step: the step of each scan around the node, outermost first.
        member: which member of the population, where `in_axes` was given.
        members: every member that has a non-finite result.
        index: the first bad entry of the node's output (forward) or of the input it sends δ to (backward).
        count: how many entries are bad there.
        input: for direction "input" the argument's path; backward the value that gets the bad δ.
        operands: what the node read.
        harmless: nodes that made non-finite numbers which do not reach the result.
    """

    found: bool
    direction: str = ""
    node: Node | None = None
    step: Step = ()
    member: int | None = None
    members: tuple[int, ...] = ()
    index: tuple[int, ...] = ()
    count: int = 0
    input: str = ""
    operands: tuple[Operand, ...] = ()
    harmless: tuple[Node, ...] = ()

    @property
    def line(self) -> Line | None:
        """The user's source line."""
        return self.node.line if self.node is not None else None

    def __str__(self) -> str:
        if not self.found:
            inside = (
                f"; inside, {self.harmless[0].where} makes some that are left out" if self.harmless else ""
            )
            return f"Every result is finite{inside}."
        if self.direction == "input":
            where = f"The argument {self.input} holds {self.count} non-finite entries"
        else:
            assert self.node is not None
            verb = "makes" if self.direction == "forward" else "sends back"
            where = f"{self.direction.capitalize()}, {self.node.where} {verb} the first non-finite numbers"
            where += f" ({self.count}, the first at {list(self.index)})"
        if self.step:
            where += ", at step " + ", ".join(map(str, self.step))
        if self.member is not None:
            where += f", in member {self.member}"
        read = "; it reads " + "; ".join(map(str, self.operands)) if self.operands else ""
        return f"{where}{read}."


def find_nonfinite(
    fn: Callable[..., Any], *args: Any, in_axes: int | Sequence[int | None] | None = None, **kwargs: Any
) -> NonFinite:
    """Find the first NaN or infinity of a function, forward and, where it returns a loss, backward.

    The function runs once with two counts at every node, in one compiled program; nothing needs to be changed in
    it. "First" is in the order of execution, loops step by step, among those that reach the result or the
    gradient: -inf in an attention mask is no finding. Inside of a while loop the first bad pass is looked at.

    Args:
        fn: the function, traced as by `fathom.trace`.
        *args: its arguments.
        in_axes: for a population: the axis of the members in each positional argument, as `jax.vmap` has it (None
            for an argument that they share); `fn` is then the function of one member.
        **kwargs: keyword arguments, shared by the members.

    Returns:
        What was found; its text is a sentence.

    Raises:
        UsageError: if `in_axes` does not fit the arguments.

    Example:
        >>> import jax.numpy as jnp
        >>> found = find_nonfinite(lambda x: jnp.sqrt(x).sum(), jnp.array([1.0, 0.0]))
        >>> found.direction, found.node.primitive, found.index
        ('backward', 'sqrt', (1,))
    """
    axes = _axes(args, kwargs, in_axes)
    one = args if axes is None else [_first(arg, axis) for arg, axis in zip(args, axes, strict=True)]
    graph = trace(fn, *one, **kwargs)
    leaves = _inputs(graph, args, kwargs)
    core = _counter(graph)
    if axes is None:
        _, _, records = to_host(jax.jit(core)(leaves, graph.constants))
        return _look(graph, leaves, records, None)
    leaf_axes = [axis for i, places in enumerate(graph.signature.arguments)
                 for axis in [axes[i] if i < len(axes) else None] * len(places)]  # fmt: skip
    _, _, records = to_host(jax.jit(jax.vmap(core, (leaf_axes, None)))(leaves, graph.constants))
    count = next(
        np.shape(leaf)[axis] for leaf, axis in zip(leaves, leaf_axes, strict=True) if axis is not None
    )
    results = []
    for member in range(count):
        mine = [leaf if axis is None else np.take(np.asarray(leaf), member, axis)
                for leaf, axis in zip(leaves, leaf_axes, strict=True)]  # fmt: skip
        results.append(_look(graph, mine, jax.tree.map(lambda x, m=member: x[m], records), member))
    bad = [result for result in results if result.found]
    members = tuple(result.member for result in bad if result.member is not None)
    return dataclasses.replace(bad[0], members=members) if bad else results[0]


def _axes(args: Any, kwargs: Any, in_axes: Any) -> list[int | None] | None:
    if in_axes is None:
        return None
    axes: list[int | None] = [in_axes] * len(args) if isinstance(in_axes, int) else list(in_axes)
    if len(axes) != len(args) or all(axis is None for axis in axes):
        raise UsageError(
            f"in_axes={in_axes!r}: {len(args)} positional arguments were given; give an axis for each, "
            "None for what the members share, and at least one axis"
        )
    return axes


def _first(tree: Any, axis: int | None) -> Any:
    if axis is None:
        return tree
    return jax.tree.map(lambda leaf: jnp.take(leaf, 0, axis) if hasattr(leaf, "shape") else leaf, tree)


def _inputs(graph: Graph, args: Any, kwargs: Any) -> list[Any]:
    leaves = jax.tree.leaves([*args, *kwargs.values()])
    return [leaves[place] for place in graph.signature.places]


def _bad(x: Any) -> tuple[Any, Any]:
    """How many entries are not finite, and the first of them in the order of memory."""
    if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.inexact) or x.size == 0:
        return jnp.int32(0), jnp.int32(0)
    wrong = ~jnp.isfinite(x).reshape(-1)
    return wrong.sum(dtype=jnp.int32), jnp.argmax(wrong).astype(jnp.int32)


def _total(xs: Sequence[Any]) -> Any:
    return sum((_bad(x)[0] for x in xs if x is not None), start=jnp.int32(0))


def _counter(graph: Graph) -> Callable[..., Any]:
    plan = None
    if graph.has_loss:
        try:
            plan = graph.plan()
        except UsageError:
            # A while loop is in the way: forward only.
            plan = None

    def look(node: Node, ins: list[Any], outs: list[Any]) -> Any:
        literal = [jnp.asarray(x) for x in ins]
        return {"ins": _total(literal), "outs": [_bad(out) for out in outs]}

    def look_back(node: Node, outs: list[Any], sent: list[Any]) -> Any:
        return {"ins": _total(outs), "outs": [_bad(part) for part in sent]}

    def merge(before: Any, now: Any) -> Any:
        # The first bad pass of a while stays.
        was_bad = (
            sum((record["ins"] + sum(c for c, _ in record["outs"]) for record in before.values()), 0) > 0
        )
        return jax.tree.map(lambda a, b: jnp.where(was_bad, a, b), before, now)

    return lambda leaves, constants: _with_results(
        run_watched(graph, plan, leaves, constants, look, look_back, merge), graph
    )


def _with_results(found: Any, graph: Graph) -> Any:
    result, gradient, records = found
    outs = [_bad(leaf)[0] for leaf in jax.tree.leaves(result) if hasattr(leaf, "dtype")]
    grads = [_bad(leaf)[0] for leaf in jax.tree.leaves(gradient)]
    return None, None, {**records, "results": outs, "gradients": grads}


def _look(graph: Graph, leaves: list[Any], records: Any, member: int | None) -> NonFinite:
    """The verdict for one member."""
    forward = list(_births(graph, records["forward"]))
    if any(records["results"]):
        way = _way_back(graph, records["forward"])
        reaching = [birth for birth in forward if birth[0].id in way]
        harmless = tuple(birth[0] for birth in forward if birth[0].id not in way)
        if not reaching:
            return _bad_input(graph, leaves, member)
        node, step = min(reaching, key=lambda birth: _time(*birth))
        return _finding(graph, leaves, "forward", node, step, records["forward"], member, harmless)
    harmless = tuple(node for node, _ in forward)
    if any(records["gradients"]):
        births = list(_births(graph, records["backward"]))
        if births:
            node, step = max(births, key=lambda birth: _time(*birth))
            return _finding(graph, leaves, "backward", node, step, records["backward"], member, harmless)
        return _bad_input(graph, leaves, member)
    return NonFinite(False, member=None, harmless=harmless)


def _births(graph: Graph, records: Any) -> Iterator[tuple[Node, Step]]:
    """The nodes, and steps of the scans around, where finite numbers went in and others came out."""
    for node in graph.nodes:
        if node.blocks or node.id not in records:
            continue
        record = records[node.id]
        made = sum(np.asarray(count) for count, _ in record["outs"])
        for step in np.argwhere((np.asarray(made) > 0) & (np.asarray(record["ins"]) == 0)):
            yield node, tuple(int(i) for i in step)


def _time(node: Node, step: Step) -> tuple[int, ...]:
    """When a node is executed, to be compared."""
    parts: list[int] = [node.id]
    steps = list(step)
    above = node.parent
    while above is not None:
        if above.kind == "scan":
            at = steps.pop()
            parts = [-at if above.params["reverse"] else at, *parts]
        parts = [above.id, *parts]
        above = above.parent
    return tuple(parts)


def _way_back(graph: Graph, records: Any) -> set[int]:
    """The nodes with non-finite outputs from which a non-finite result can come."""
    seen: set[int] = set()
    waiting = list(graph.outputs)
    visited: set[int] = set()
    while waiting:
        value = waiting.pop()
        if value.id in visited or value.is_literal:
            continue
        visited.add(value.id)
        if value.node is None:
            waiting += _before(value)
            continue
        node = value.node
        record = records.get(node.id)
        position = node.outputs.index(value)
        if record is not None and not np.any(record["outs"][position][0]):
            continue
        if node.blocks:
            waiting += [block.outputs[position] for block in _result_blocks(node)]
        else:
            seen.add(node.id)
            waiting += node.inputs
    return seen


def _result_blocks(node: Node) -> tuple[Block, ...]:
    return node.blocks[1:] if node.kind == "while" else node.blocks


def _before(value: Value) -> list[Value]:
    """Where a value that comes into a block may come from: outside, or the step before."""
    found = [value.origin] if value.origin is not None else []
    holder = value.holder
    if holder is None or holder.kind not in ("scan", "while"):
        return found
    block = holder.blocks[-1]
    if value not in block.inputs:
        return found
    consts = scan_counts(holder.equation)[0] if holder.kind == "scan" else holder.params["body_nconsts"]
    carried = scan_counts(holder.equation)[1] if holder.kind == "scan" else len(block.outputs)
    position = block.inputs.index(value) - consts
    return [*found, block.outputs[position]] if 0 <= position < carried else found


def _bad_input(graph: Graph, leaves: list[Any], member: int | None) -> NonFinite:
    held = itertools.chain(
        zip((value.name for value in graph.inputs), leaves, strict=True),
        (("a constant of the function", array) for array in graph.constants.values()),
    )
    for name, leaf in held:
        array = np.asarray(leaf) if jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.inexact) else np.zeros(0)
        wrong = ~np.isfinite(array.astype(np.float64 if array.dtype.kind != "c" else array.dtype))
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            return NonFinite(True, "input", None, (), member, (), index, int(wrong.sum()), name)
    return NonFinite(True, "input", None, (), member, input="(a number written in the function)")


def _finding(
    graph: Graph, leaves: list[Any], direction: str, node: Node, step: Step, records: Any, member: int | None,
    harmless: tuple[Node, ...],
) -> NonFinite:  # fmt: skip
    values = node.outputs if direction == "forward" else node.inputs
    counts = [
        (int(np.asarray(count)[step]), int(np.asarray(first)[step]))
        for count, first in records[node.id]["outs"]
    ]
    position = next(i for i, (count, _) in enumerate(counts) if count)
    count, first = counts[position]
    return NonFinite(
        found=True,
        direction=direction,
        node=node,
        step=step,
        member=member,
        index=tuple(int(i) for i in np.unravel_index(first, values[position].shape)),
        count=count,
        input=_title(values[position]) if direction == "backward" else "",
        operands=_operands(graph, leaves, node, step),
        harmless=harmless,
    )


def _title(value: Value) -> str:
    source = value.source
    if source.is_literal:
        return format_number(float(source.literal))
    return source.name if source.node is None else source.node.name


def _operands(graph: Graph, leaves: list[Any], node: Node, step: Step) -> tuple[Operand, ...]:
    """What the node read at that step; nothing inside of a while, whose passes are not kept."""
    above = node.parent
    while above is not None:
        if above.kind == "while":
            return ()
        above = above.parent
    wanted = {value.id for value in node.inputs if value.is_inexact and not value.is_literal}

    @jax.jit
    def run(leaves: list[Any], constants: Any) -> Any:
        walk = Forward(keep=lambda value: value.id in wanted)
        env = {**graph.env(leaves), **constants}
        walk.run(graph.block, env)
        return {key: array for key, array in {**env, **walk.kept}.items() if key in wanted}

    arrays = to_host(run(leaves, graph.constants))
    operands = []
    for value in node.inputs:
        if value.id not in arrays:
            continue
        array = np.asarray(arrays[value.id])[step[: len(value.loops)]]
        if array.size:
            array = array.astype(np.float64) if array.dtype.kind != "c" else np.abs(array)
            operands.append(
                Operand(
                    _title(value),
                    value.shape,
                    float(array.min()),
                    float(array.max()),
                    float((array == 0).mean()),
                )
            )
    return tuple(operands)
