"""The backward walk: from the loss to the inputs, one vector-Jacobian product for each node."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._jax import scan_counts
from .nodes import Block, Node, Value
from .rule import Rules
from .run import Env, Forward, blank, read

#: What is recorded of a node going backward, given δ of its outputs and what it sends to each input (or None).
ObserveBack = Callable[[Node, list[Any], list[Any]], Any]


def active_values(block: Block, start: Iterable[Value], stop: Iterable[Value] = ()) -> set[int]:
    """The values on the way from `start`, through which a gradient can flow; by value id.

    Args:
        block: the whole graph's block.
        start: the inputs that the gradient is asked for.
        stop: values that no gradient passes.

    Returns:
        The ids.
    """
    active = {value.id for value in start if value.is_inexact}
    barred = {value.id for value in stop}
    _spread(block, active, barred)
    return active


def _spread(block: Block, active: set[int], barred: set[int]) -> None:
    for node in block.nodes:
        ins = [value.id in active for value in node.inputs]
        if not any(ins) or node.primitive == "stop_gradient":
            continue
        if node.kind in ("operation", "call", "custom"):
            moved = [value.is_inexact for value in node.outputs]
        else:
            moved = _spread_inside(node, ins, active, barred)
        active.update(
            v.id for v, is_active in zip(node.outputs, moved, strict=True) if is_active and v.id not in barred
        )


def _spread_inside(node: Node, ins: list[bool], active: set[int], barred: set[int]) -> list[bool]:
    blocks = node.blocks
    if node.kind == "while":
        return [value.is_inexact for value in node.outputs]
    if node.kind == "cond":
        ins = ins[1:]
    results = [False] * len(node.outputs)
    for block in blocks:
        here = list(ins)
        while True:
            active.update(v.id for v, on in zip(block.inputs, here, strict=True) if on and v.is_inexact)
            _spread(block, active, barred)
            outs = [value.id in active for value in block.outputs]
            if node.kind != "scan":
                break
            # What a step makes active is active in the next step: again until nothing changes.
            consts, carried = scan_counts(node.equation)
            grown = list(here)
            for i in range(carried):
                grown[consts + i] |= outs[i]
            if grown == here:
                break
            here = grown
        results = [a or b for a, b in zip(results, outs, strict=True)]
    return results


class Backward:
    """One backward walk.

    Attributes:
        records: what `observe` returned, by node id; steps of loops are leading axes.
        kept: δ of values inside of opened calls, by value id.
    """

    def __init__(
        self,
        active: set[int],
        rules: Rules,
        saved: Env,
        observe: ObserveBack | None = None,
        keep: Callable[[Value], bool] = lambda value: False,
    ):
        self.active = active
        self.rules = rules
        self.saved = saved
        self.observe = observe
        self.keep = keep
        self.records: dict[int, Any] = {}
        self.kept: Env = {}

    def run(self, block: Block, env: Env, delta: Env) -> None:
        """Walk a block backward; δ of its values, by value id, is added to `delta`, which holds that of its outputs.

        Args:
            block: the block.
            env: every value of the block.
            delta: δ of the block's outputs by value id.
        """
        for node in reversed(block.nodes):
            outs = [delta.get(value.id) for value in node.outputs]
            if all(out is None for out in outs):
                continue
            sent = self._node(node, env, outs)
            for value, part in zip(node.inputs, sent, strict=True):
                if part is not None:
                    add(delta, value, part)
            if self.observe is not None and (record := self.observe(node, outs, sent)) is not None:
                self.records[node.id] = record

    def _is_active(self, value: Value) -> bool:
        return not value.is_literal and value.id in self.active

    def _node(self, node: Node, env: Env, outs: list[Any]) -> list[Any]:
        if not any(self._is_active(value) for value in node.inputs):
            return [None] * len(node.inputs)
        if node.kind == "scan":
            return self._scan(node, env, outs)
        if node.kind == "cond":
            return self._cond(node, env, outs)
        if node.kind == "remat":
            return self._remat(node, env, outs)
        return self._rule(node, env, outs)

    def _rule(self, node: Node, env: Env, outs: list[Any]) -> list[Any]:
        active = tuple(i for i, value in enumerate(node.inputs) if self._is_active(value))
        rule = self.rules.of(node, active)
        ins = [
            read(value, env) if i in rule.ins else None
            for i, value in enumerate(node.inputs)
            if not value.is_literal
        ]
        values = [env[value.id] if i in rule.outs else None for i, value in enumerate(node.outputs)]
        adjoints = [
            outs[i] if outs[i] is not None else jnp.zeros(node.outputs[i].shape, node.outputs[i].dtype)
            for i in rule.seeds
        ]
        sent: list[Any] = [None] * len(node.inputs)
        for i, part in zip(active, rule.apply(ins, values, adjoints), strict=True):
            sent[i] = part
        return sent

    def _inside(self, block: Block, env: Env, outs: list[Any]) -> tuple[list[Any], tuple[Any, Env]]:
        """Walk an inner block backward; δ of its inputs, and what was recorded and kept."""
        walk = Backward(self.active, self.rules, self.saved, self.observe, self.keep)
        delta: Env = {}
        for value, part in zip(block.outputs, outs, strict=True):
            if part is not None:
                add(delta, value, part)
        walk.run(block, env, delta)
        for value in (*block.inputs, *(out for node in block.nodes for out in node.outputs)):
            if self.keep(value) and value.id in delta:
                walk.kept[value.id] = delta[value.id]
        return [delta.get(value.id) for value in block.inputs], (walk.records, walk.kept)

    def _add(self, found: tuple[Any, Env]) -> None:
        self.records.update(found[0])
        self.kept.update(found[1])

    def _remat(self, node: Node, env: Env, outs: list[Any]) -> list[Any]:
        # Its values are not stored but computed again, from inputs that the compiler must not trace back.
        block = node.blocks[0]
        ins = lax.optimization_barrier([read(value, env) for value in node.inputs])
        local = {**env, **{value.id: x for value, x in zip(block.inputs, ins, strict=True)}}
        again = Forward(keep=lambda value: True)
        again.run(block, local)
        walk = Backward(self.active, self.rules, again.kept, self.observe, self.keep)
        sent, found = walk._inside(block, local, outs)
        self._add(found)
        return sent

    def _cond(self, node: Node, env: Env, outs: list[Any]) -> list[Any]:
        wanted = [i for i, value in enumerate(node.inputs) if i and self._is_active(value)]
        kept = {value.id: self.saved[value.id] for value in inside(node) if value.id in self.saved}
        for block in node.blocks:
            kept.update(_given(block.inputs, node.inputs[1:], env))

        def branch(block: Block) -> Callable[[Any, Any], Any]:
            def run(outs: Any, kept: Env) -> Any:
                sent, found = self._inside(block, {**env, **kept}, outs)
                parts = [sent[i - 1] for i in wanted]
                zeros = [jnp.zeros(node.inputs[i].shape, node.inputs[i].dtype) for i in wanted]
                return [z if p is None else p for p, z in zip(parts, zeros, strict=True)], found

            return run

        branches = [branch(block) for block in node.blocks]
        shapes = [jax.eval_shape(run, outs, kept)[1] for run in branches]

        def whole(i: int) -> Callable[[Any, Any], Any]:
            def run(outs: Any, kept: Env) -> Any:
                sent, found = branches[i](outs, kept)
                parts = [found if j == i else blank(shape) for j, shape in enumerate(shapes)]
                return sent, tuple({k: v for p in parts for k, v in p[side].items()} for side in (0, 1))

            return run

        index = jnp.asarray(read(node.inputs[0], env), jnp.int32)
        parts, found = lax.switch(index, [whole(i) for i in range(len(branches))], outs, kept)
        self._add(found)
        sent: list[Any] = [None] * len(node.inputs)
        for i, part in zip(wanted, parts, strict=True):
            sent[i] = part
        return sent

    def _scan(self, node: Node, env: Env, outs: list[Any]) -> list[Any]:
        block = node.blocks[0]
        consts, carried = scan_counts(node.equation)
        active = [self._is_active(value) for value in block.inputs]
        zeros = [jnp.zeros(value.shape, value.dtype) if on else None
                 for value, on in zip(block.inputs, active, strict=True)]  # fmt: skip
        kept = {value.id: self.saved[value.id] for value in inside(node) if value.id in self.saved}
        # What comes in unchanged, or step by step, was not saved: it is there outside of the loop.
        env = {**env, **_given(block.inputs[:consts], node.inputs[:consts], env)}
        kept.update(_given(block.inputs[consts + carried :], node.inputs[consts + carried :], env))

        def filled(parts: list[Any], start: int) -> list[Any]:
            return [zeros[start + i] if part is None else part for i, part in enumerate(parts)]

        def step(state: Any, xs: Any) -> Any:
            back, total = state
            seeds, values = xs
            walk = Backward(self.active, self.rules, values, self.observe, self.keep)
            sent, found = walk._inside(block, {**env, **values}, [*back, *seeds])
            total = [old if new is None else old + new for old, new in zip(total, sent[:consts], strict=True)]
            return (filled(sent[consts : consts + carried], consts), total), (sent[consts + carried :], found)

        first = filled(
            [part if on else None for part, on in zip(outs[:carried], active[consts:], strict=False)], consts
        )
        (back, total), (pieces, found) = lax.scan(
            step,
            (first, zeros[:consts]),
            (outs[carried:], kept),
            length=node.params["length"],
            reverse=not node.params["reverse"],
        )
        self._add(found)
        return [*total, *back, *pieces]


def inside(node: Node) -> Iterable[Value]:
    """Every value inside of an opened node."""
    for block in node.blocks:
        yield from block.inputs
        for inner in block.walk():
            yield from inner.outputs
            for deeper in inner.blocks:
                yield from deeper.inputs


def _given(inside: tuple[Value, ...], outside: tuple[Value, ...], env: Env) -> Env:
    """What comes into a block, by value id, as far as it is there."""
    there = zip(inside, outside, strict=True)
    return {
        value.id: jnp.asarray(source.literal, source.dtype) if source.is_literal else env[source.id]
        for value, source in there
        if source.is_literal or source.id in env
    }


def add(delta: Env, value: Value, part: Any) -> None:
    """Add to the δ of a value."""
    if not value.is_literal:
        delta[value.id] = part if value.id not in delta else delta[value.id] + part
