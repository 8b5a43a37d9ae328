"""The backward rule of one node: its vector-Jacobian product as a block, cut down to what it needs.

The rule is JAX's own (a custom rule through its own), traced once per node: given the node's inputs x, its
outputs y and the adjoints δy = ∂L/∂y, it computes δx = (∂y/∂x)ᵀ δy. What does not lead to δx is dropped, and
where the rule would compute y again it reads y: what is left says which forward values must be stored.
"""

import dataclasses
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp

from .build import Builder, opener
from .nodes import Block, Node, Value
from .run import Forward


@dataclasses.dataclass(frozen=True, repr=False)
class Rule:
    """The vector-Jacobian product of one node.

    Attributes:
        active: which inputs get an adjoint, by position.
        seeds: which outputs bring one, by position: the inexact ones.
        ins: the inputs that the rule reads, by position: they must be stored, or be there anyway.
        outs: the outputs that it reads, by position.
        block: the rule itself; its inputs are the node's inputs that are not literals, outputs and adjoints.
        constants: the arrays it closes over, by value id.
        operations: arithmetic operations of one execution, by formula.
    """

    active: tuple[int, ...]
    seeds: tuple[int, ...]
    ins: tuple[int, ...]
    outs: tuple[int, ...]
    block: Block
    constants: dict[int, Any]
    operations: int

    def __repr__(self) -> str:
        steps = ", ".join(node.name for node in self.block.nodes)
        return f"Rule({steps or 'hands δ on'}; reads inputs {list(self.ins)}, outputs {list(self.outs)})"

    def apply(self, ins: list[Any], outs: list[Any], adjoints: list[Any]) -> list[Any]:
        """The adjoints of the active inputs.

        Args:
            ins: the node's inputs that are not literals; None where the rule does not read them.
            outs: the node's outputs; None likewise.
            adjoints: δ of the outputs in `seeds`.

        Returns:
            δ of the inputs in `active`.
        """
        given = zip(self.block.inputs, [*ins, *outs, *adjoints], strict=True)
        env = {**self.constants, **{value.id: array for value, array in given}}
        return Forward().run(self.block, env)


def _struct(value: Value) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(value.shape, value.dtype)


def _settings(params: dict[str, Any]) -> Hashable | None:
    try:
        key = tuple(sorted(params.items()))
        hash(key)
    except TypeError:
        return None
    return key


def _key(node: Node, active: tuple[int, ...]) -> Hashable | None:
    settings = _settings(node.params)
    if settings is None:
        return None
    ins = tuple(
        ("literal", str(value.literal), str(value.dtype))
        if value.is_literal
        else (value.shape, str(value.dtype))
        for value in node.inputs
    )
    return (node.primitive, settings, ins, active)


class Rules:
    """The rules of a graph's nodes, each traced once; equal nodes share one."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Rule] = {}

    def of(self, node: Node, active: tuple[int, ...]) -> Rule:
        """The rule of a node.

        Args:
            node: an operation or a call.
            active: which inputs get an adjoint, by position.

        Returns:
            The rule.
        """
        key = _key(node, active)
        if key is None:
            return _make(node, active)
        if key not in self._made:
            self._made[key] = _make(node, active)
        return self._made[key]


def _make(node: Node, active: tuple[int, ...]) -> Rule:
    given = [i for i, value in enumerate(node.inputs) if not value.is_literal]
    places = [given.index(i) for i in active]
    seeds = tuple(i for i, value in enumerate(node.outputs) if value.is_inexact)

    def product(ins: list[Any], outs: list[Any], adjoints: list[Any]) -> list[Any]:
        def partial(*moved: Any) -> list[Any]:
            whole = [value.literal for value in node.inputs]
            for place, x in zip([*given, *active], [*ins, *moved], strict=True):
                whole[place] = x
            results = node.evaluate(*whole)
            return [results[i] for i in seeds]

        return list(jax.vjp(partial, *(ins[place] for place in places))[1](adjoints))

    shapes = (
        [_struct(node.inputs[i]) for i in given],
        [_struct(value) for value in node.outputs],
        [_struct(node.outputs[i]) for i in seeds],
    )
    builder = Builder(opener({"jit"}))
    block = builder.top(jax.make_jaxpr(product)(*shapes))
    split = len(given), len(given) + len(node.outputs)
    _read_outputs(block, node, given, split)
    used = _drop_unused(block)
    return Rule(
        active=active,
        seeds=seeds,
        ins=tuple(given[i] for i in range(split[0]) if block.inputs[i].id in used),
        outs=tuple(i - split[0] for i in range(*split) if block.inputs[i].id in used),
        block=block,
        constants=builder.constants,
        operations=block.operations,
    )


def _read_outputs(block: Block, node: Node, given: list[int], split: tuple[int, int]) -> None:
    """Where the rule computes the node again, let it read the node's outputs instead."""
    own = dict(zip(given, block.inputs[: split[0]], strict=True))
    again: dict[int, Value] = {}

    def same(value: Value, position: int) -> bool:
        mine = node.inputs[position]
        if mine.is_literal or value.is_literal:
            return mine.is_literal and value.is_literal and bool(jnp.all(mine.literal == value.literal))
        return value is own[position]

    for other in block.nodes:
        if (
            other.primitive == node.primitive
            and len(other.inputs) == len(node.inputs)
            and all(same(value, i) for i, value in enumerate(other.inputs))
            and [v.aval.str_short() for v in other.outputs] == [v.aval.str_short() for v in node.outputs]
            and _settings(other.params) == _settings(node.params) is not None
        ):
            again.update((v.id, block.inputs[split[0] + i]) for i, v in enumerate(other.outputs))
    for other in block.nodes:
        other.inputs = tuple(again.get(value.id, value) for value in other.inputs)
    block.outputs = tuple(again.get(value.id, value) for value in block.outputs)


def _drop_unused(block: Block) -> set[int]:
    """Drop the nodes that lead to no output; the ids of the values that are read."""
    used = {value.id for value in block.outputs}
    kept = []
    for node in reversed(block.nodes):
        if any(value.id in used for value in node.outputs):
            kept.append(node)
            used |= {value.id for value in node.inputs}
    block.nodes = kept[::-1]
    return used
