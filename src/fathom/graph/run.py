"""The forward walk: a block evaluated node by node, with something recorded at each.

It runs on concrete arrays and under any JAX transformation alike: it re-emits the function it was traced from.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._jax import scan_counts
from .nodes import Block, Node, Value

#: What is recorded of a node, given its inputs and its outputs: a tree of arrays, or None.
Observe = Callable[[Node, list[Any], list[Any]], Any]
Env = dict[int, Any]


def read(value: Value, env: Env) -> Any:
    """The array of a value."""
    return value.literal if value.is_literal else env[value.id]


class Forward:
    """One forward walk.

    What is recorded inside of loops has their steps as leading axes; inside of a branch that is not taken it is
    `blank`; inside of a while it is that of one pass, the last unless `merge` decides otherwise.

    `override` may put another function in the place of an unopened node's own.

    Attributes:
        records: what `observe` returned, by node id.
        kept: values from inside of blocks, by value id; `trips` of a while under the while's negative id.
    """

    def __init__(
        self,
        observe: Observe | None = None,
        keep: Callable[[Value], bool] = lambda value: False,
        merge: Callable[[Any, Any], Any] = lambda before, now: now,
        override: Callable[[Node], Callable[..., list[Any]] | None] = lambda node: None,
    ):
        self.observe = observe
        self.keep = keep
        self.merge = merge
        self.override = override
        self.records: dict[int, Any] = {}
        self.kept: Env = {}

    def run(self, block: Block, env: Env) -> list[Any]:
        """Evaluate a block whose inputs are in `env`; every value of the block is added to it."""
        for node in block.nodes:
            ins = [read(value, env) for value in node.inputs]
            outs = self._evaluate(node, ins, env)
            env.update((value.id, out) for value, out in zip(node.outputs, outs, strict=True))
            record = self.observe(node, ins, outs) if self.observe is not None else None
            if record is not None:
                self.records[node.id] = record
        return [read(value, env) for value in block.outputs]

    def _evaluate(self, node: Node, ins: list[Any], env: Env) -> list[Any]:
        if not node.blocks:
            return (self.override(node) or node.evaluate)(*ins)
        # A literal is a Python number; a loop carries it in the type that it was traced with.
        ins = [
            jnp.asarray(x, value.dtype) if value.is_literal else x
            for x, value in zip(ins, node.inputs, strict=True)
        ]
        if node.kind == "scan":
            return self._scan(node, ins, env)
        if node.kind == "cond":
            return self._cond(node, ins, env)
        if node.kind == "while":
            return self._while(node, ins, env)
        outs, found = self._inside(node.blocks[0], ins, env)
        self._add(found)
        return outs

    def _inside(self, block: Block, ins: list[Any], env: Env) -> tuple[list[Any], tuple[Any, Env]]:
        """Evaluate an inner block; its outputs, and what was recorded and kept in it."""
        walk = Forward(self.observe, self.keep, self.merge, self.override)
        local = dict(env)
        local.update((value.id, x) for value, x in zip(block.inputs, ins, strict=True))
        outs = walk.run(block, local)
        for value in (*block.inputs, *(out for node in block.nodes for out in node.outputs)):
            if self.keep(value):
                walk.kept[value.id] = local[value.id]
        return outs, (walk.records, walk.kept)

    def _add(self, found: tuple[Any, Env]) -> None:
        self.records.update(found[0])
        self.kept.update(found[1])

    def _scan(self, node: Node, ins: list[Any], env: Env) -> list[Any]:
        consts, carried = scan_counts(node.equation)

        def step(carry: list[Any], xs: list[Any]) -> tuple[list[Any], Any]:
            outs, found = self._inside(node.blocks[0], [*ins[:consts], *carry, *xs], env)
            return outs[:carried], (outs[carried:], found)

        carry, (ys, found) = lax.scan(
            step,
            ins[consts : consts + carried],
            ins[consts + carried :],
            length=node.params["length"],
            reverse=node.params["reverse"],
            unroll=node.params["unroll"],
        )
        self._add(found)
        return [*carry, *ys]

    def _cond(self, node: Node, ins: list[Any], env: Env) -> list[Any]:
        def branch(block: Block) -> Callable[..., Any]:
            return lambda *xs: self._inside(block, list(xs), env)

        branches = [branch(block) for block in node.blocks]
        shapes = [jax.eval_shape(run, *ins[1:])[1] for run in branches]

        def whole(i: int) -> Callable[..., Any]:
            def run(*xs: Any) -> Any:
                outs, found = branches[i](*xs)
                parts = [found if j == i else blank(shape) for j, shape in enumerate(shapes)]
                return outs, ({k: v for p in parts for k, v in p[0].items()}, _union(p[1] for p in parts))

            return run

        index = jnp.asarray(ins[0], jnp.int32)
        outs, found = lax.switch(index, [whole(i) for i in range(len(branches))], *ins[1:])
        self._add(found)
        return outs

    def _while(self, node: Node, ins: list[Any], env: Env) -> list[Any]:
        tests, consts = node.params["cond_nconsts"], node.params["body_nconsts"]
        before, fixed, carry = ins[:tests], ins[tests : tests + consts], ins[tests + consts :]
        test, body = node.blocks

        def again(state: Any) -> Any:
            return Forward(override=self.override).run(test, _bind(env, test, [*before, *state[0]]))[0]

        def step(state: Any) -> Any:
            outs, (records, kept) = self._inside(body, [*fixed, *state[0]], env)
            return outs, self.merge(state[1], records), kept, state[3] + 1

        template = jax.eval_shape(lambda *xs: self._inside(body, [*fixed, *xs], env)[1], *carry)
        records, kept = blank(template)
        outs, records, kept, trips = lax.while_loop(again, step, (carry, records, kept, jnp.int32(0)))
        self._add((records, {**kept, -1 - node.id: trips}))
        return outs


def _bind(env: Env, block: Block, ins: list[Any]) -> Env:
    return {**env, **{value.id: x for value, x in zip(block.inputs, ins, strict=True)}}


def _union(parts: Any) -> Env:
    return {key: array for part in parts for key, array in part.items()}


def blank(template: tuple[Any, Env]) -> tuple[Any, Env]:
    """What stands for records and kept values where nothing ran: NaN for records (0 for counts), 0 for values."""

    def nothing(leaf: Any) -> Any:
        fill = jnp.nan if jnp.issubdtype(leaf.dtype, jnp.inexact) else 0
        return jnp.full(leaf.shape, fill, leaf.dtype)

    records, kept = template
    return jax.tree.map(nothing, records), {
        key: jnp.zeros(leaf.shape, leaf.dtype) for key, leaf in kept.items()
    }
