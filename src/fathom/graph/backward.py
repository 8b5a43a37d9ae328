"""The backward pass of a graph: every node's δ, and what it costs in operations and in memory."""

import dataclasses
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from .graph import Graph
from .nodes import Node, Value
from .plan import Plan
from .record import Arrays
from .reverse import Backward
from .run import Env, Forward


@dataclasses.dataclass(frozen=True)
class Cost:
    """Arithmetic operations of a gradient, by formula.

    Attributes:
        forward: the function itself.
        backward: the backward walk: each node's vector-Jacobian product once, and the sums where several nodes
            read one value. Reuse is what makes a chain of L products of [D, D] matrices cost O(L D³).
        without_reuse: the same products with nothing remembered: for each input of the gradient the way from the
            loss is walked anew. For that chain O(L² D³).
        forward_mode: one forward derivative for each number that the gradient has.
        recomputed: the part of `backward` in which remat repeats forward values.
    """

    forward: int
    backward: int
    without_reuse: int
    forward_mode: int
    recomputed: int

    @property
    def ratio(self) -> float:
        """Backward operations for each forward one; a few at most, whatever the number of inputs."""
        return self.backward / max(self.forward, 1)


@dataclasses.dataclass(frozen=True)
class Reuse:
    """What is reused going backward.

    Attributes:
        value: a value that several nodes read.
        readers: how many send a δ to it; its own δ is their sum, computed once.
    """

    value: Value
    readers: int


@dataclasses.dataclass(eq=False, repr=False)
class BackwardPass:
    """A backward pass that was run.

    ``backward[node]`` is δ = ∂L/∂(first output), ``backward[value]`` that of a value; None where no gradient
    arrives. Inside of a scan the steps are leading axes.

    Attributes:
        graph: the graph.
        plan: what was done.
        loss: the loss.
        deltas: δ by value.
    """

    graph: Graph
    plan: Plan
    loss: Any
    deltas: Arrays

    @classmethod
    def run(cls, graph: Graph, plan: Plan) -> "BackwardPass":
        """Walk forward and back in one compiled program, keeping every δ.

        Args:
            graph: a graph traced with arrays.
            plan: its plan.

        Returns:
            The pass.
        """

        @jax.jit
        def whole(leaves: list[Any], constants: Env) -> tuple[Any, Env]:
            outputs, _, walk, delta = walk_back(graph, plan, leaves, constants, keep=lambda value: True)
            loss = outputs[graph.outputs.index(plan.output)]
            return loss, {**delta, **walk.kept}

        loss, deltas = whole(graph.concrete(), graph.constants)
        return cls(graph, plan, loss, Arrays(deltas))

    def __repr__(self) -> str:
        return f"BackwardPass({self.graph.name}: loss {float(self.loss):.4g}, {self.plan})"

    def draw(self, path: Any = None, **choices: Any) -> Any:
        """Draw the graph with every value and every δ; see `fathom.graph.Graph.draw`."""
        return self.graph.draw(path, backward=self, **choices)

    def show(self) -> None:
        """The same drawing in a notebook, or printed as a tree in a terminal."""
        self.draw().show()

    def __getitem__(self, key: Node | Value) -> Any:
        """The δ of a node's first output or of a value; None where no gradient arrives."""
        return self.deltas[key]

    @cached_property
    def gradient(self) -> tuple[Any, ...]:
        """∂L/∂argument for each positional and then each keyword argument, shaped like it.

        What is no floating-point array, or was not asked for, has None in its place; an array that does not
        reach the loss has zeros.
        """
        return gradient_of(self.graph, self.plan, self.deltas.arrays)

    @cached_property
    def stored(self) -> tuple[Value, ...]:
        """The forward values that the backward pass reads and that must be kept for it, inputs left out."""
        held = {value.id for value in self.graph.inputs} | set(self.graph.constants)
        return tuple(value for value in self.plan.stored.values() if value.id not in held)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the values in `stored`, at every step of the loops around them."""
        return sum(value.nbytes_all_steps for value in self.stored)

    @cached_property
    def reused(self) -> tuple[Reuse, ...]:
        """The values whose δ is a sum over several readers."""
        values = {value.id: value for value in _all_values(self.graph)}
        return tuple(Reuse(values[key], count + 1) for key, count in sorted(self.plan.sums.items()))

    @cached_property
    def cost(self) -> Cost:
        """What the gradient costs, beside what it would cost without reuse and forward."""
        return cost_of(self.graph, self.plan)


def cost_of(graph: Graph, plan: Plan) -> Cost:
    """The cost of a backward pass, from its plan alone."""
    numbers = sum(value.size for value in graph.inputs if value.id in plan.active)
    return Cost(
        forward=graph.operations,
        backward=sum(plan.operations.values()),
        without_reuse=_without_reuse(graph, plan),
        # A forward derivative computes the function and, by the chain rule, as much again.
        forward_mode=2 * graph.operations * numbers,
        recomputed=plan.recomputed,
    )


def gradient_of(graph: Graph, plan: Plan, delta: Env) -> tuple[Any, ...]:
    """∂L/∂argument out of δ by value id; see `BackwardPass.gradient`."""
    parts = [
        delta.get(value.id, jnp.zeros(value.shape, value.dtype)) if value.id in plan.active else None
        for value in graph.inputs
    ]
    return tuple(graph.signature.fill(parts, settings=False))


def walk_back(
    graph: Graph, plan: Plan, leaves: list[Any], constants: Env, observe: Any = None, observe_back: Any = None,
    keep: Any = lambda value: False, merge: Any = lambda before, now: now,
) -> tuple[Any, Forward, Backward, Env]:  # fmt: skip
    """Forward and backward walk as a pure function of the arrays, for any JAX transformation.

    Args:
        graph: the graph.
        plan: its backward plan.
        leaves: the inputs.
        constants: the constants, by value id.
        observe: what is recorded of a node forward.
        observe_back: what is recorded of a node backward.
        keep: which δ inside of opened calls are kept.
        merge: how records of a while's passes are joined.

    Returns:
        The outputs; the forward walk and the backward walk with their records; δ of the values at the top by id.
    """
    env = {**graph.env(leaves), **constants}
    forward = Forward(observe, plan.is_stored, merge)
    outputs = forward.run(graph.block, env)
    delta: Env = {} if plan.output.is_literal else {plan.output.id: jnp.ones((), plan.output.dtype)}
    backward = Backward(plan.active, plan.rules, forward.kept, observe_back, keep)
    backward.run(graph.block, env, delta)
    return outputs, forward, backward, delta


def _all_values(graph: Graph) -> list[Value]:
    found = [*graph.inputs]
    for node in graph.nodes:
        found += [value for block in node.blocks for value in block.inputs]
        found += node.outputs
    return found


def _without_reuse(graph: Graph, plan: Plan) -> int:
    """Σ over the inputs of the gradient of the operations of the rules on the ways between it and the loss."""
    total = 0
    for start in graph.inputs:
        if start.id not in plan.active:
            continue
        reach = {start.id}
        for node in graph.block.nodes:
            if not any(value.id in reach for value in node.inputs):
                continue
            reach |= {value.id for value in node.outputs}
            inner = [node, *(deep for block in node.blocks for deep in block.walk())]
            total += sum(plan.operations.get(deep.id, 0) for deep in inner)
    return total
