"""Statistics of every node, forward and backward, in one compiled pass."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .backward import gradient_of, walk_back
from .graph import Graph
from .measure import STATISTICS, broadcast, check_statistics, finish, sums, to_host
from .nodes import Node
from .plan import Plan
from .run import Env, Forward

# What has the entries of its input in another order.
_SAME = frozenset(
    ("reshape", "transpose", "squeeze", "expand_dims", "copy", "copy_p", "rev", "stop_gradient")
)
_RANGES = {"tanh": (-1.0, 1.0), "logistic": (0.0, 1.0), "erf": (-1.0, 1.0)}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Table:
    """Statistics by node, in few arrays; a tree that may go through `jax.jit` and `jax.vmap`.

    Attributes:
        parts: for each group of nodes that are in the same loops an array [nodes, steps..., statistics]; members of a
            population come before these axes.
        nodes: the ids of the nodes of each group.
        loops: how many axes are steps, for each group.
        names: the statistics.
    """

    parts: tuple[Any, ...]
    nodes: tuple[tuple[int, ...], ...] = dataclasses.field(metadata={"static": True})
    loops: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    names: tuple[str, ...] = dataclasses.field(metadata={"static": True})

    @classmethod
    def make(cls, raw: dict[int, Any], sizes: dict[int, int], names: tuple[str, ...]) -> "Table":
        """Finish and gather the sums of many nodes, by node id."""
        groups: dict[Any, list[int]] = {}
        for key, array in sorted(raw.items()):
            groups.setdefault((array.shape, array.dtype), []).append(key)
        parts = []
        for (shape, _), keys in groups.items():
            size = np.array([sizes[key] for key in keys]).reshape(-1, *[1] * (len(shape) - 1))
            parts.append(finish(jnp.stack([raw[key] for key in keys]), size, names))
        loops = tuple(len(shape) - 1 for shape, _ in groups)
        return cls(tuple(parts), tuple(tuple(keys) for keys in groups.values()), loops, names)

    def by_node(self) -> dict[int, dict[str, Any]]:
        """The statistics of each node by name, by node id."""
        found = {}
        for part, keys, loops in zip(self.parts, self.nodes, self.loops, strict=True):
            axis = np.ndim(part) - loops - 2
            for i, key in enumerate(keys):
                rows = part[(*[slice(None)] * axis, i)]
                found[key] = {name: rows[..., j] for j, name in enumerate(self.names)}
        return found


@dataclasses.dataclass(frozen=True)
class Row:
    """The statistics of one node.

    Attributes:
        node: the node.
        forward: of its first output, by name; None for what holds no floating-point number.
        backward: of δ of its first output; None where no gradient arrives.
    """

    node: Node
    forward: dict[str, Any] | None
    backward: dict[str, Any] | None


@dataclasses.dataclass(frozen=True, repr=False)
class Statistics:
    """Statistics by node. Members of a population, and then steps of scans, are leading axes of every number.

    Inside of a branch that was not taken they are NaN; inside of a while they are those of the last pass.

    Attributes:
        graph: the graph.
        outputs: what the function returned.
        gradient: ∂L/∂argument for each argument, or None where only the forward pass was watched.
        forward: statistics of the first output of each measured node, by node id.
        backward: statistics of its δ.
    """

    graph: Graph
    outputs: Any
    gradient: Any
    forward: dict[int, dict[str, Any]]
    backward: dict[int, dict[str, Any]]

    @classmethod
    def read(cls, graph: Graph, outputs: Any, gradient: Any, records: Any) -> "Statistics":
        """What a function made by `watch` returned, read by node.

        Args:
            graph: the graph that is watched.
            outputs: its result.
            gradient: its gradient.
            records: its records.

        Returns:
            The statistics, as NumPy arrays.
        """
        forward, backward = (table.by_node() for table in to_host(records))
        for node in graph.nodes:
            if node.id in forward and node.primitive not in _RANGES:
                forward[node.id].pop("saturated", None)
        return cls(graph, outputs, gradient, forward, backward)

    def __repr__(self) -> str:
        return (
            f"Statistics({self.graph.name}: {len(self.forward)} nodes forward, {len(self.backward)} backward)"
        )

    def of(self, node: Node) -> Row:
        """The statistics of a node; of one that only moves data, from what it moves."""
        return Row(node, _forward_of(node, self.forward), self.backward.get(_delta_owner(node)))

    def __iter__(self) -> Iterator[Row]:
        """A row for each node that has statistics, in the order of execution."""
        for node in self.graph.nodes:
            row = self.of(node)
            if row.forward is not None or row.backward is not None:
                yield row


def _forward_of(node: Node, found: dict[int, dict[str, Any]]) -> dict[str, Any] | None:
    if node.id in found or node.primitive not in (*_SAME, "broadcast_in_dim"):
        return found.get(node.id)
    source = node.inputs[0]
    if source.node is None or source.node.outputs[0] is not source:
        return None
    before = _forward_of(source.node, found)
    if before is None or not source.size:
        return before
    return broadcast(before, node.outputs[0].size // source.size)


def _delta_owner(node: Node) -> int:
    """The node whose δ has the same entries and was measured."""
    while node.primitive in _SAME and node.primitive != "stop_gradient" and _is_handed_on(node):
        assert node.inputs[0].node is not None
        node = node.inputs[0].node
    return node.id


def _is_handed_on(node: Node) -> bool:
    """Whether δ of what a node moves comes from this node alone, so that it is measured there."""
    source = node.inputs[0]
    return source.node is not None and source.node.outputs[0] is source and source.readers == 1


def watch(
    graph: Graph,
    which: Sequence[str] = tuple(STATISTICS),
    *,
    nodes: Collection[Node] | None = None,
    backward: bool = True,
    output: int | None = None,
    wrt: int | Sequence[int] | None = None,
) -> Callable[..., Any]:
    """The traced function again, with statistics of its nodes as a further result.

    What is returned is a pure function of arrays: put it into a training step in place of
    `jax.value_and_grad`, under `jax.jit`, or under `jax.vmap` for statistics of each member of a population.

    Args:
        graph: the graph of a function.
        which: names in `fathom.graph.STATISTICS`.
        nodes: the nodes to measure; None for all that compute floating-point numbers from the arguments.
        backward: whether the gradient is computed and its δ measured; the loss must be a scalar then.
        output: the position of the loss among the outputs; None for the first.
        wrt: arguments by position, for the gradient; None for every floating-point one.

    Returns:
        A function of the same arguments to (result, gradient, records): the gradient as
        `BackwardPass.gradient` has it (None without `backward`); for the records see `Statistics.read`.

    Raises:
        UsageError: if a name is unknown or there is no loss to go back from.
    """
    core = watcher(graph, which, nodes=nodes, backward=backward, output=output, wrt=wrt)

    def run(*args: Any, **kwargs: Any) -> Any:
        outputs, gradient, records = core(graph.signature.flatten(args, kwargs), graph.constants)
        return graph.result(outputs), gradient, records

    return run


def watcher(
    graph: Graph,
    which: Sequence[str],
    *,
    nodes: Collection[Node] | None = None,
    backward: bool = True,
    output: int | None = None,
    wrt: int | Sequence[int] | None = None,
) -> Callable[[list[Any], Env], Any]:
    """`watch` as a function of the graph's inputs and constants to its outputs, all made of arrays alone."""
    names = check_statistics(which)
    names_back = tuple(name for name in names if name != "saturated")
    sizes = {node.id: node.outputs[0].size for node in graph.nodes if node.outputs}
    plan = graph.plan(output, wrt) if backward else None
    chosen = _measured(graph, nodes)

    def look(node: Node, ins: list[Any], outs: list[Any]) -> Any:
        if node.id not in chosen or not names:
            return None
        if node.primitive in (*_SAME, "broadcast_in_dim") and node.inputs[0].node is not None:
            return None
        return sums(outs[0], names, _RANGES.get(node.primitive))

    def look_back(node: Node, outs: list[Any], sent: list[Any]) -> Any:
        if node.id not in chosen or not names_back or outs[0] is None or _delta_owner(node) != node.id:
            return None
        return sums(outs[0], names_back)

    def run(leaves: list[Any], constants: Env) -> Any:
        outputs, gradient, records = run_watched(graph, plan, leaves, constants, look, look_back)
        tables = (
            Table.make(records["forward"], sizes, names),
            Table.make(records["backward"], sizes, names_back),
        )
        return outputs, gradient, tables

    return run


def run_watched(
    graph: Graph,
    plan: Plan | None,
    leaves: list[Any],
    constants: Env,
    look: Any,
    look_back: Any,
    merge: Any = None,
) -> Any:
    """One pass with two observers; (outputs, gradient, records)."""
    merge = merge or _last
    if plan is None:
        walk = Forward(look, merge=merge)
        outputs = walk.run(graph.block, {**graph.env(leaves), **constants})
        return outputs, None, {"forward": walk.records, "backward": {}}
    outputs, forward, back, delta = walk_back(graph, plan, leaves, constants, look, look_back, merge=merge)
    gradient = gradient_of(graph, plan, delta)
    return outputs, gradient, {"forward": forward.records, "backward": back.records}


def _last(before: Any, now: Any) -> Any:
    return now


def _measured(graph: Graph, nodes: Collection[Node] | None) -> set[int]:
    """The nodes that compute floating-point numbers from an argument; the others are the same at every call."""
    if nodes is not None:
        chosen = set(nodes)
    else:
        chosen = {node for node in graph.nodes if node.is_dependent}
    return {node.id for node in chosen if node.outputs and node.outputs[0].is_inexact}


def statistics(
    graph: Graph, which: Sequence[str] = tuple(STATISTICS), *, backward: bool | None = None, **choices: Any
) -> Statistics:
    """Statistics of every node at the arguments that a graph was traced with.

    Args:
        graph: the graph.
        which: names in `fathom.graph.STATISTICS`.
        backward: whether δ is measured, too; None where the function returns a loss.
        **choices: `nodes`, `output` and `wrt` of `watch`.

    Returns:
        The statistics, as NumPy arrays.
    """
    if backward is None:
        backward = graph.has_loss
    run = jax.jit(watcher(graph, which, backward=backward, **choices))
    outputs, gradient, records = run(graph.concrete(), graph.constants)
    return Statistics.read(graph, graph.result(outputs), gradient, records)
