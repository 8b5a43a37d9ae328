"""The first NaN or infinity of a function: which node, which line, which operands, forward or backward."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import UsageError
from ..look import format_number
from .births import Step, births, counter, reader, time_of, way_back
from .graph import Graph, trace
from .measure import to_host
from .nodes import Line, Node, Value
from .plan import Plan


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
        node: the first node whose result is not finite though all that it read is; where infinities are written in
            the function, the first that makes NaN of them. None for an input.
        step: the step of each scan around the node, outermost first.
        passes: inside of a while how often it had gone round, this pass included; 0 elsewhere.
        member: which member of the population, where `in_axes` was given.
        members: every member that has a non-finite result.
        index: the first bad entry of the node's output (forward) or of the input it sends δ to (backward).
        count: how many entries are bad there.
        input: for direction "input" the argument's path; backward the value that gets the bad δ.
        operands: what the node read.
        harmless: nodes that made non-finite numbers which do not reach the result.
        unseen: why the gradient was not looked at; "" where it was, or where there is no loss.
    """

    found: bool
    direction: str = ""
    node: Node | None = None
    step: Step = ()
    passes: int = 0
    member: int | None = None
    members: tuple[int, ...] = ()
    index: tuple[int, ...] = ()
    count: int = 0
    input: str = ""
    operands: tuple[Operand, ...] = ()
    harmless: tuple[Node, ...] = ()
    unseen: str = ""

    @property
    def line(self) -> Line | None:
        """The user's source line."""
        return self.node.line if self.node is not None else None

    def __str__(self) -> str:
        if not self.found:
            inside = (
                f"; inside, {self.harmless[0].where} makes some that are left out" if self.harmless else ""
            )
            unseen = f" The gradient was not looked at: {self.unseen}." if self.unseen else ""
            return f"Every result is finite{inside}.{unseen}"
        if self.direction == "input" and not self.count:
            where = "A number written in the function is not finite, and reaches the result"
        elif self.direction == "input":
            where = f"The argument {self.input} holds {self.count} non-finite entries"
        else:
            assert self.node is not None
            verb = "makes" if self.direction == "forward" else "sends back"
            where = f"{self.direction.capitalize()}, {self.node.where} {verb} the first non-finite numbers"
            where += f" ({self.count}, the first at {list(self.index)})"
        if self.step:
            where += ", at step " + ", ".join(map(str, self.step))
        if self.passes:
            where += f", in pass {self.passes} of the while"
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
    Where JAX has no gradient (a while loop, a callback), the forward pass alone is looked at; `unseen` says so.

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
    plan, unseen = _plan(graph)
    core = counter(graph, plan)
    if axes is None:
        records = to_host(jax.jit(core)(leaves, graph.constants))
        return dataclasses.replace(_look(graph, leaves, records, None), unseen=unseen)
    leaf_axes = [axis for i, places in enumerate(graph.signature.arguments)
                 for axis in [axes[i] if i < len(axes) else None] * len(places)]  # fmt: skip
    records = to_host(jax.jit(jax.vmap(core, (leaf_axes, None)))(leaves, graph.constants))
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
    return dataclasses.replace(bad[0] if bad else results[0], members=members, unseen=unseen)


def _plan(graph: Graph) -> tuple[Plan | None, str]:
    """The backward pass, where there is a loss; or None and why there is none."""
    if not graph.has_loss:
        return None, ""
    try:
        return graph.plan(), ""
    except UsageError as error:
        return None, str(error).rpartition("; ")[0]


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


def _look(graph: Graph, leaves: list[Any], records: Any, member: int | None) -> NonFinite:
    """The verdict for one member."""
    harmless = tuple(dict.fromkeys(node for node, _ in births(graph, records["forward"], 0)))
    if any(records["results"]):
        way = way_back(graph, records["forward"])
        # Infinities may be meant, as in a mask; what makes a NaN of them is then the cause.
        for kind in (0, 1):
            born = [birth for birth in births(graph, records["forward"], kind) if birth[0].id in way]
            if born:
                node, step = min(born, key=lambda birth: time_of(*birth))
                harmless = tuple(other for other in harmless if other.id not in way)
                return _finding(graph, leaves, "forward", node, step, kind, records, member, harmless)
        return _bad_input(graph, leaves, member)
    if any(records["gradients"]):
        for kind in (0, 1):
            born = list(births(graph, records["backward"], kind))
            if born:
                node, step = max(born, key=lambda birth: time_of(*birth))
                return _finding(graph, leaves, "backward", node, step, kind, records, member, harmless)
        return _bad_input(graph, leaves, member)
    return NonFinite(False, harmless=harmless)


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
            return NonFinite(True, "input", member=member, index=index, count=int(wrong.sum()), input=name)
    return NonFinite(True, "input", member=member)


def _finding(
    graph: Graph, leaves: list[Any], direction: str, node: Node, step: Step, kind: int, records: Any,
    member: int | None, harmless: tuple[Node, ...],
) -> NonFinite:  # fmt: skip
    values = node.outputs if direction == "forward" else node.inputs
    record = records[direction][node.id]
    counts = [np.asarray(out)[step] for out in record["outs"]]
    position = next(i for i, found in enumerate(counts) if found[kind])
    first = np.unravel_index(int(counts[position][2 + kind]), values[position].shape)
    return NonFinite(
        found=True,
        direction=direction,
        node=node,
        step=step,
        passes=int(np.asarray(record["passes"])[step]),
        member=member,
        index=tuple(int(i) for i in first),
        count=int(counts[position][kind]),
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
    """What the node read at that step."""
    found = to_host(jax.jit(reader(graph, node))(leaves, graph.constants))
    operands = []
    for position, span in found.items():
        value = node.inputs[position]
        smallest, largest, zeros = (float(x) for x in np.asarray(span)[step])
        operands.append(Operand(_title(value), value.shape, smallest, largest, zeros))
    return tuple(operands)
