"""The table of a model: layers, shapes, parameters, operations, memory; each thing counted once."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..errors import UsageError
from ..look import format_bytes, format_count
from .flow import came_from
from .fold import fold, producers
from .graph import Graph, trace
from .nodes import Node, Value


@dataclasses.dataclass(frozen=True)
class Layer:
    """One row of a summary.

    Attributes:
        name: the module's path; "" for what belongs to no module.
        kind: what it mostly does: the primitives that take the most operations.
        shape: the shape of what it hands on.
        parameters: numbers in its arrays, those that an earlier layer uses already left out.
        shared: numbers in arrays that an earlier layer uses, too.
        operations: arithmetic operations of one call, all steps of loops.
        activation_bytes: bytes that the backward pass keeps of it; of a remat its inputs only. None where there is
            no backward pass.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    shared: int
    operations: int
    activation_bytes: int | None


@dataclasses.dataclass(frozen=True)
class Summary:
    """The table of a model; its text is the table.

    Attributes:
        name: the model's name.
        layers: the rows, in the order of execution.
        parameters: numbers in the floating-point arrays of the model, each array once; running statistics count.
        unused: those of arrays that the result does not depend on.
        operations: arithmetic operations of one call.
        activation_bytes: bytes kept for a backward pass to all parameters and inputs; None where there is none.
        parameter_bytes: bytes of the parameters.
        graph: the graph.
        notes: what the table leaves open: whiles, whose passes shapes do not tell, and why there is no backward pass.
    """

    name: str
    layers: tuple[Layer, ...]
    parameters: int
    unused: int
    operations: int
    activation_bytes: int | None
    parameter_bytes: int
    graph: Graph
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = ("layer", "does", "shape", "parameters", "operations", "kept")
        rows = [
            (
                layer.name or "(none)",
                layer.kind,
                "×".join(map(str, layer.shape)) or "scalar",
                format_count(layer.parameters)
                + (f" (+{format_count(layer.shared)} shared)" if layer.shared else ""),
                format_count(layer.operations),
                _kept(layer.activation_bytes),
            )
            for layer in self.layers
        ]
        total = (
            "total", "", "", format_count(self.parameters), format_count(self.operations),
            _kept(self.activation_bytes),
        )  # fmt: skip
        widths = [max(len(row[i]) for row in (head, *rows, total)) for i in range(len(head))]

        def line(row: tuple[str, ...]) -> str:
            cells = [
                cell.ljust(width) if i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            return "  ".join(cells).rstrip()

        rule = "─" * len(line(tuple("x" * width for width in widths)))
        lines = [line(head), rule, *map(line, rows), rule, line(total)]
        lines.append(
            f"{self.name}: {format_bytes(self.parameter_bytes)} of parameters; kept = for the backward pass"
        )
        if self.unused:
            lines.append(f"{format_count(self.unused)} parameters do not reach the result.")
        return "\n".join([*lines, *self.notes])


def _kept(nbytes: int | None) -> str:
    return "unknown" if nbytes is None else format_bytes(nbytes)


def summary(
    model: Callable[..., Any], *args: Any, call: Callable[..., Any] | None = None, **kwargs: Any
) -> Summary:
    """The table of a model's layers: shapes, parameters, operations and memory.

    What is used twice is counted once as parameters and twice as operations; a scan counts every step; what remat
    computes again counts as nothing kept. Nothing is computed: `jax.ShapeDtypeStruct` may stand for arrays.

    Args:
        model: a module that can be called (Equinox, Fathom), or a tree of parameters together with `call`.
        *args: what it is called with.
        call: `call(model, *args)`, where the model is not called itself, such as
            ``lambda params, x: net.apply(params, x)`` for Flax.
        **kwargs: keyword arguments of the call.

    Returns:
        The table.

    Raises:
        UsageError: if the model cannot be called and `call` is not given, or its result has no floating-point array.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"first": {"w": jnp.ones((4, 8))}, "second": {"w": jnp.ones((8, 2))}}
        >>> net = lambda p, x: jnp.tanh(x @ p["first"]["w"]) @ p["second"]["w"]
        >>> table = summary(params, jnp.ones((16, 4)), call=net)
        >>> [(layer.name, layer.parameters, layer.operations) for layer in table.layers]
        [('first', 32, 1152), ('second', 16, 512)]
    """
    if call is None and not callable(model):
        raise UsageError(f"model={type(model).__name__}: it cannot be called; give call=lambda model, x: ...")

    def total(model: Any, *args: Any, **kwargs: Any) -> Any:
        result = call(model, *args, **kwargs) if call is not None else model(*args, **kwargs)
        first = next((leaf for leaf in jax.tree.leaves(result) if _is_inexact(leaf)), None)
        if first is None:
            raise UsageError(
                "model: its result holds no floating-point array; give a function that returns one"
            )
        # The sum makes a scalar to go back from; it is left out of the table.
        with jax.named_scope(_SUM):
            return jnp.sum(first).astype(jnp.promote_types(first.dtype, jnp.float32)).real, result

    graph = trace(total, model, *args, **kwargs)
    back_values, notes = _stored(graph)
    mine = [graph.inputs[i] for i in graph.signature.arguments[0] if graph.inputs[i].is_inexact]
    layers = _layers(graph, mine, back_values)
    reached = {value.id for node in graph.nodes for value in _arguments(node)}
    return Summary(
        name=type(model).__name__ if call is None else "model",
        layers=layers,
        parameters=sum(value.size for value in mine),
        unused=sum(value.size for value in mine if value.id not in reached),
        operations=sum(layer.operations for layer in layers),
        activation_bytes=None
        if back_values is None
        else sum(layer.activation_bytes or 0 for layer in layers),
        parameter_bytes=sum(value.nbytes for value in mine),
        graph=graph,
        notes=tuple(notes),
    )


def _stored(graph: Graph) -> tuple[list[Value] | None, list[str]]:
    """The values kept for a backward pass, inputs left out, or None; and what is to be said about the counts."""
    notes = []
    if not graph.is_counted:
        notes.append("Each while counts one pass: how many it makes, shapes do not tell.")
    try:
        stored = graph.plan().stored.values()
    except UsageError as error:
        return None, [*notes, f"Kept is unknown: {str(error).rpartition('; ')[0]}."]
    return [value for value in stored if value.node is not None or value.origin is not None], notes


_SUM = "sum_of_result"


def _is_inexact(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _arguments(node: Node) -> list[Value]:
    return [value.source for value in node.inputs if value.source.node is None]


def _layers(graph: Graph, parameters: list[Value], stored: list[Value] | None) -> tuple[Layer, ...]:
    by_id = {value.id: value for value in parameters}
    counted: set[int] = set()
    kept: dict[str, int] = {}
    for value in stored or ():
        kept[_module(graph, value)] = kept.get(_module(graph, value), 0) + value.nbytes_all_steps
    layers = []
    for group in fold(graph.block, "module").groups:
        if group.name == _SUM:
            continue
        read = {value.id for node in group.nodes for value in _arguments(node) if value.id in by_id}
        new = read - counted
        counted |= read
        if not (group.name or group.operations or group.name in kept):
            continue
        layers.append(
            Layer(
                name=group.name,
                kind=_kind(group.nodes),
                shape=_shape(group.nodes),
                parameters=sum(by_id[key].size for key in new),
                shared=sum(by_id[key].size for key in read - new),
                operations=group.operations,
                activation_bytes=None if stored is None else kept.get(group.name, 0),
            )
        )
    return tuple(layers)


def _module(graph: Graph, value: Value) -> str:
    """The module that computes a value."""
    if value.node is not None and not value.node.blocks:
        return value.node.module
    # What a loop carries is computed by the step before.
    sources = [value] if value.node is not None else came_from(value)[::-1]
    made = next((made for source in sources for made in producers(source)), None)
    return made.node.module if made is not None and made.node is not None else ""


def _kind(nodes: list[Node]) -> str:
    """The names of the dearest operations, at most two."""
    spent: dict[str, int] = {}
    for node in nodes:
        if node.operations:
            spent[node.name] = spent.get(node.name, 0) + node.operations * node.times
    names = sorted(spent, key=lambda name: -spent[name])[:2]
    titles = {"dot_general": "product", "conv_general_dilated": "convolution"}
    return ", ".join(titles.get(name, name) for name in names) or "moves data"


def _shape(nodes: list[Node]) -> tuple[int, ...]:
    """The shape of the last floating-point value that something outside of the group reads."""
    inside = {value.id for node in nodes for value in node.inputs}
    for node in reversed(nodes):
        for value in node.outputs:
            if value.is_inexact and (value.id not in inside or value.readers > 1):
                return value.shape
    return nodes[-1].outputs[0].shape if nodes[-1].outputs else ()
