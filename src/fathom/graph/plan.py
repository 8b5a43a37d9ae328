"""What the backward pass will do, known before anything runs: rules, stored values, operations."""

import dataclasses
from collections.abc import Callable
from typing import Any

from ..errors import UsageError
from ._jax import scan_counts
from .nodes import Block, Node, Value
from .reverse import active_values
from .rule import Rule, Rules


@dataclasses.dataclass(repr=False)
class Plan:
    """The backward pass from one scalar, as far as shapes tell.

    Attributes:
        output: the scalar.
        active: values through which a gradient can flow, by id.
        rules: the rules, traced once each.
        reached: for each node that the backward pass visits, its rule, by node id (None for an opened call).
        stored: the forward values that the rules read, in order; a value inside of a loop is stored at each step,
            what is inside of a remat is computed again and not stored, but for what its policy saves.
        sums: how often δ of a value is a sum over several readers: for each value id the number of additions.
        operations: arithmetic operations of the rule of each node and of the additions, all steps, by node id.
        recomputed: operations that remat repeats.
    """

    output: Value
    active: set[int]
    rules: Rules
    reached: dict[int, Rule | None] = dataclasses.field(default_factory=dict)
    stored: dict[int, Value] = dataclasses.field(default_factory=dict)
    sums: dict[int, int] = dataclasses.field(default_factory=dict)
    operations: dict[int, int] = dataclasses.field(default_factory=dict)
    recomputed: int = 0

    def __repr__(self) -> str:
        return f"Plan({len(self.reached)} nodes, {len(self.stored)} values stored)"

    def is_stored(self, value: Value) -> bool:
        """Whether the backward pass reads a value."""
        return value.id in self.stored


def make_plan(block: Block, output: Value, start: list[Value], rules: Rules) -> Plan:
    """Plan the backward pass.

    Args:
        block: the graph's block.
        output: the scalar.
        start: the inputs whose gradient is asked for.
        rules: where the rules are kept.

    Returns:
        The plan.

    Raises:
        UsageError: if the way from the output to an input leads through a while loop.
    """
    plan = Plan(output, active_values(block, start), rules)
    _walk(plan, block, {output.id}, store=True)
    return plan


def _walk(plan: Plan, block: Block, seeded: set[int], store: bool) -> None:
    """Follow the backward walk; `seeded` holds the ids of the values whose δ is there, and grows."""
    for node in reversed(block.nodes):
        if not any(value.id in seeded for value in node.outputs):
            continue
        on = [not value.is_literal and value.id in plan.active for value in node.inputs]
        if not any(on):
            continue
        if node.kind in ("operation", "call", "custom"):
            sent = _rule(plan, node, on, store)
        else:
            sent = _inside(plan, node, on, seeded, store)
        for value, is_sent in zip(node.inputs, sent, strict=True):
            if not is_sent:
                continue
            if value.id in seeded:
                plan.sums[value.id] = plan.sums.get(value.id, 0) + 1
                plan.operations[node.id] += value.size * node.times
            seeded.add(value.id)


def _rule(plan: Plan, node: Node, on: list[bool], store: bool) -> list[bool]:
    if node.primitive == "while":
        raise _through_while(node)
    try:
        rule = plan.rules.of(node, tuple(i for i, is_on in enumerate(on) if is_on))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise UsageError(
            f"backward through {node.where}: JAX has no gradient of it ({_short(error)}); give the function "
            "around it a rule with jax.custom_vjp, or keep what does not matter away with jax.lax.stop_gradient"
        ) from error
    plan.reached[node.id] = rule
    plan.operations[node.id] = rule.operations * node.times
    if store:
        _store(plan, [node.inputs[i] for i in rule.ins] + [node.outputs[i] for i in rule.outs])
    return on


def _short(error: Exception) -> str:
    """The first sentence of a message."""
    return str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")


def _store(plan: Plan, values: list[Value]) -> None:
    for value in values:
        # What comes into a branch or a remat is the value outside.
        while value.holder is not None and value.holder.kind != "scan" and value.origin is not None:
            value = value.origin
        if not value.is_literal:
            plan.stored[value.id] = value


def _through_while(node: Node) -> UsageError:
    return UsageError(
        f"backward through {node.where}: how many passes a while loop makes is not known beforehand, so its values "
        "cannot be stored; use jax.lax.scan, or jax.lax.fori_loop with bounds that are Python numbers"
    )


def _inside(plan: Plan, node: Node, on: list[bool], seeded: set[int], store: bool) -> list[bool]:
    if node.kind == "while":
        raise _through_while(node)
    plan.reached[node.id] = None
    plan.operations[node.id] = 0
    outs = [value.id in seeded for value in node.outputs]
    if node.kind == "cond":
        if store:
            _store(plan, [node.inputs[0]])
        _branches(plan, node, outs, store)
        return on
    block = node.blocks[0]
    if node.kind == "remat":
        inner = {v.id for v, out in zip(block.outputs, outs, strict=True) if out}
        _remat(plan, node, inner, store)
        return [value.id in inner for value in block.inputs]
    consts, carried = scan_counts(node.equation)
    inner = set()
    for i, value in enumerate(block.outputs):
        is_on = block.inputs[consts + i].id in plan.active if i < carried else outs[i]
        if is_on and not value.is_literal:
            inner.add(value.id)
    _walk(plan, block, inner, store)
    # What comes in unchanged, or step by step, is there outside of the loop.
    for i, value in enumerate(block.inputs):
        if value.id in plan.stored and not consts <= i < consts + carried:
            del plan.stored[value.id]
            _store(plan, [node.inputs[i]])
    always = [value.id in plan.active for value in block.inputs[: consts + carried]]
    return [*always, *(value.id in inner for value in block.inputs[consts + carried :])]


def _remat(plan: Plan, node: Node, seeded: set[int], store: bool) -> None:
    """Plan what is inside of a remat: what is saved, and what is computed again for the rules to read."""
    block, policy = node.blocks[0], node.params.get("policy")
    outside, plan.stored = plan.stored, {}
    _walk(plan, block, seeded, store=True)
    read, plan.stored = plan.stored, outside
    within = {value.id for deep in _deep(node) for value in deep.outputs}
    # What comes in is read where it is: outside.
    saved, again = [value for value in read.values() if value.id not in within], 0
    wanted = set(read)
    for inner in reversed(block.nodes):
        made = [value.id for deep in (inner, *_deep(inner)) for value in deep.outputs]
        if wanted.isdisjoint(made):
            continue
        if not inner.blocks and policy is not None and _is_saved(policy, inner):
            saved += [value for value in inner.outputs if value.id in wanted]
            continue
        again += inner.operations
        wanted |= {value.id for value in inner.inputs}
    plan.recomputed += again * node.times
    plan.operations[node.id] = again * node.times
    if store:
        into = zip(node.inputs, block.inputs, strict=True)
        _store(plan, [*(outer for outer, value in into if value.id in wanted), *saved])


def _deep(node: Node) -> list[Node]:
    return [deep for block in node.blocks for deep in block.walk()]


def _is_saved(policy: Callable[..., Any], node: Node) -> bool:
    """Whether a policy of `jax.checkpoint` saves what a node computes, or moves it to another memory."""
    answer = policy(node.equation.primitive, *(value.aval for value in node.inputs), **node.params)
    return answer if isinstance(answer, bool) else "Recompute" not in type(answer).__name__


def _branches(plan: Plan, node: Node, outs: list[bool], store: bool) -> None:
    """Plan every branch; one is taken, and the dearest counts, as it does forward."""
    costs = []
    for block in node.blocks:
        before = set(plan.operations)
        _walk(plan, block, {v.id for v, out in zip(block.outputs, outs, strict=True) if out}, store)
        costs.append({key: plan.operations[key] for key in plan.operations.keys() - before})
    dearest = max(costs, key=lambda cost: sum(cost.values()))
    for cost in costs:
        if cost is not dearest:
            plan.operations.update(dict.fromkeys(cost, 0))
