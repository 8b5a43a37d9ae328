"""Where non-finite numbers are born, and which of them reach the result: the search behind `find_nonfinite`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .flow import came_from
from .graph import Graph
from .nodes import Block, Node
from .plan import Plan
from .run import Forward
from .statistics import run_watched

Step = tuple[int, ...]


def bad(x: Any) -> Any:
    """[non-finite entries, NaN, the first of either] of an array; places are in the order of memory."""
    if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.inexact) or x.size == 0:
        return jnp.zeros(4, jnp.int32)
    flat = x.reshape(-1)
    wrong, nan = ~jnp.isfinite(flat), jnp.isnan(flat)
    place = lax.iota(jnp.int32, flat.size)
    last = jnp.int32(flat.size)
    # One sweep for all four: each reduction of its own would be compiled with all that computes the array.
    parts = (
        *(kind.astype(jnp.int32) for kind in (wrong, nan)),
        *(jnp.where(kind, place, last) for kind in (wrong, nan)),
    )
    start = (jnp.int32(0), jnp.int32(0), last, last)
    return jnp.stack(lax.reduce(parts, start, _join, (0,)))


def _join(a: Any, b: Any) -> Any:
    return a[0] + b[0], a[1] + b[1], lax.min(a[2], b[2]), lax.min(a[3], b[3])


def _record(ins: Sequence[Any], outs: Sequence[Any]) -> dict[str, Any]:
    counts = [bad(jnp.asarray(x))[:2] for x in ins if x is not None]
    return {
        "ins": sum(counts, start=jnp.zeros(2, jnp.int32)),
        "outs": [bad(out) for out in outs],
        "passes": jnp.int32(0),
    }


def counter(graph: Graph, plan: Plan | None) -> Callable[..., Any]:
    """The function with counts of bad entries: what goes into each node, what comes out, forward and backward.

    Args:
        graph: the function.
        plan: its backward pass; None to look forward only.

    Returns:
        A function of the graph's leaves and constants to "forward" and "backward", a record for each node id
        (`ins` counts, `outs` counts and places for each, `passes` of the whiles around it), and the counts in
        "results" and "gradients".
    """

    def look(node: Node, ins: list[Any], outs: list[Any]) -> Any:
        return _record(ins, outs)

    def run(leaves: list[Any], constants: Any) -> Any:
        outputs, gradient, records = run_watched(graph, plan, leaves, constants, look, look, _first_bad)
        outs = [bad(leaf)[0] for leaf in outputs]
        grads = [bad(leaf)[0] for leaf in jax.tree.leaves(gradient)]
        return {**records, "results": outs, "gradients": grads}

    return run


def _first_bad(before: Any, now: Any) -> Any:
    """Of the passes of a while the first that is bad stays; `passes` counts them up to it."""
    was_bad = sum(((x["ins"][0] + sum(out[0] for out in x["outs"])) for x in before.values()), 0) > 0

    def stay(old: Any, new: Any) -> Any:
        return jnp.where(was_bad, old, new)

    return {
        key: {
            **jax.tree.map(stay, before[key], record),
            "passes": stay(before[key]["passes"], before[key]["passes"] + jnp.maximum(record["passes"], 1)),
        }
        for key, record in now.items()
    }


def births(graph: Graph, records: Any, kind: int) -> Iterator[tuple[Node, Step]]:
    """The nodes, and steps of the scans around, where no bad numbers went in and bad ones came out.

    Args:
        graph: the function.
        records: of one direction.
        kind: which are bad: 0 all that are not finite, 1 NaN.

    Yields:
        Node and steps.
    """
    for node in graph.nodes:
        if node.blocks or node.id not in records:
            continue
        record = records[node.id]
        made = sum(np.asarray(out)[..., kind] for out in record["outs"])
        for step in np.argwhere((np.asarray(made) > 0) & (np.asarray(record["ins"])[..., kind] == 0)):
            yield node, tuple(int(i) for i in step)


def time_of(node: Node, step: Step) -> tuple[int, ...]:
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


def way_back(graph: Graph, records: Any) -> set[int]:
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
            waiting += came_from(value)
            continue
        node = value.node
        record = records.get(node.id)
        position = node.outputs.index(value)
        if record is not None and not np.any(np.asarray(record["outs"][position])[..., 0]):
            continue
        if node.blocks:
            waiting += [block.outputs[position] for block in _result_blocks(node)]
        else:
            seen.add(node.id)
            waiting += node.inputs
    return seen


def _result_blocks(node: Node) -> tuple[Block, ...]:
    return node.blocks[1:] if node.kind == "while" else node.blocks


def reader(graph: Graph, node: Node) -> Callable[..., Any]:
    """The function with a look at what one node reads, in a while at its first bad pass.

    Args:
        graph: the function.
        node: the node.

    Returns:
        A function of the graph's leaves and constants to [smallest, largest, share of zeros] of each
        floating-point input that is no literal, by position; steps of scans are leading axes.
    """

    def look(other: Node, ins: list[Any], outs: list[Any]) -> Any:
        if other is not node:
            return None
        spans = {}
        for position, (value, x) in enumerate(zip(node.inputs, ins, strict=True)):
            if value.is_inexact and not value.is_literal and value.size:
                x = jnp.abs(x) if jnp.iscomplexobj(x) else x
                spans[position] = jnp.stack([x.min(), x.max(), (x == 0).mean(dtype=x.dtype)])
        return {**_record(ins, outs), "spans": spans}

    def run(leaves: list[Any], constants: Any) -> Any:
        walk = Forward(look, merge=_first_bad)
        walk.run(graph.block, {**graph.env(leaves), **constants})
        return walk.records[node.id]["spans"]

    return run
