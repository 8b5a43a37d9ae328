"""The textbook's nodes, recognised in a graph: each with its forward and backward rule in closed form.

δ stands for ∂L/∂(result). The rules are stated here, tested against the graph's own backward walk, and shown where
a graph is drawn.
"""

import dataclasses
from typing import Any

import numpy as np

from .fold import producers
from .graph import Graph
from .nodes import Node, Value


@dataclasses.dataclass(frozen=True)
class Textbook:
    """A rule of the textbook.

    Attributes:
        name: what it is called.
        forward: what it computes.
        backward: what it sends back.
    """

    name: str
    forward: str
    backward: str


#: The rules by name.
RULES = {
    rule.name: rule
    for rule in (
        Textbook("affine", "z = x W + b", "δx = δ Wᵀ, δW = xᵀ δ, δb = Σ_batch δ"),
        Textbook("linear", "z = x W", "δx = δ Wᵀ, δW = xᵀ δ"),
        Textbook("ReLU", "y = max(x, 0)", "δx = δ where x > 0, else 0 (0 at x = 0)"),
        Textbook("ReLU as a maximum", "y = max(x, 0)", "δx = δ where x > 0, δ / 2 where x = 0, else 0"),
        Textbook("sigmoid", "y = 1 / (1 + e^-x)", "δx = δ y (1 - y)"),
        Textbook("tanh", "y = tanh x", "δx = δ (1 - y²)"),
        Textbook("softmax", "p = e^x / Σ e^x", "δx = p (δ - Σ p δ)"),
        Textbook("log-softmax", "y = x - log Σ e^x", "δx = δ - softmax(x) Σ δ"),
        Textbook("cross-entropy", "L = -Σ t log p", "δp = -δ t / p"),
        Textbook("softmax and cross-entropy", "L = -Σ t log softmax(x)", "δx = δ (softmax(x) Σ t - t)"),
        Textbook(
            "max", "y = max(a, b) or the largest of a", "δ goes to the larger; shared evenly where equal"
        ),
        Textbook("conditional", "y = x ⊙ p", "δx = δ ⊙ p, δp = δ ⊙ x"),
        Textbook("squared error", "L = (y - t)²", "δy = 2 δ (y - t), δt = -2 δ (y - t)"),
    )
}


@dataclasses.dataclass(frozen=True)
class Recognised:
    """A textbook rule found in a graph.

    Attributes:
        rule: the rule.
        nodes: the nodes that make it up, in order.
        inputs: what goes in, in the order of the rule's forward formula (x before W before b, y before t).
        output: the result.
    """

    rule: Textbook
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    output: Value


def recognise(graph: Graph) -> tuple[Recognised, ...]:
    """The textbook's rules in a graph; no node belongs to two of them.

    Args:
        graph: any graph.

    Returns:
        What was recognised, in the order of execution.

    Example:
        >>> import fathom as fm, jax.numpy as jnp
        >>> w, b, x = jnp.ones((3, 2)), jnp.ones((1, 2)), jnp.ones((4, 3))
        >>> graph = fm.trace(lambda w, b, x: jnp.tanh(x @ w + b).sum(), w, b, x)
        >>> [found.rule.name for found in recognise(graph)]
        ['affine', 'tanh']
    """
    readers: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for value in node.inputs:
            for made in [value, *producers(value)]:
                readers.setdefault(made.id, []).append(node)
    finder = _Finder(readers)
    found: list[Recognised] = []
    taken: set[int] = set()
    # The larger patterns first: a softmax inside of a cross-entropy is part of it.
    for look in (
        finder.fused,
        finder.softmax,
        finder.cross_entropy,
        finder.affine,
        finder.squared,
        finder.single,
    ):
        for node in graph.nodes:
            match = look(node)
            if match is not None and not any(part.id in taken for part in match.nodes):
                taken |= {part.id for part in match.nodes}
                found.append(match)
    return tuple(sorted(found, key=lambda match: match.nodes[-1].id))


_MOVES = (
    "broadcast_in_dim",
    "reshape",
    "stop_gradient",
    "convert_element_type",
    "squeeze",
    "expand_dims",
    "copy",
)


def _behind(value: Value) -> tuple[Value, tuple[Node, ...]]:
    """What a value is, before it was only reshaped or broadcast; and the nodes that did so."""
    passed: tuple[Node, ...] = ()
    while value.node is not None and value.node.primitive in _MOVES:
        passed = (value.node, *passed)
        value = value.node.inputs[0]
    return value, passed


def _made_by(value: Value, *primitives: str) -> Node | None:
    node = value.node
    return node if node is not None and node.primitive in primitives else None


def _is_number(value: Value, number: float) -> bool:
    behind, _ = _behind(value)
    return behind.is_literal and np.ndim(behind.literal) == 0 and float(behind.literal) == number


def _match(name: str, nodes: Any, inputs: Any, output: Value) -> Recognised:
    unique = {node.id: node for node in nodes}
    return Recognised(RULES[name], tuple(unique[key] for key in sorted(unique)), tuple(inputs), output)


class _Finder:
    def __init__(self, readers: dict[int, list[Node]]):
        self.readers = readers

    def affine(self, node: Node) -> Recognised | None:
        if node.primitive == "dot_general":
            product, between = node.outputs[0], []
            # Under vmap the product's axes are put in order before the bias comes.
            while (moved := self._next(product, "transpose", "reshape")) is not None:
                product, between = moved.outputs[0], [*between, moved]
            for add in self.readers.get(product.id, []):
                if add.primitive != "add":
                    continue
                other = add.inputs[1] if add.inputs[0] is product else add.inputs[0]
                bias, passed = _behind(other)
                if bias.source.size < add.outputs[0].size and _is_leaf(bias):
                    nodes = (node, *between, *passed, add)
                    return _match("affine", nodes, (*_data_first(node), bias), add.outputs[0])
            if any(_is_leaf(_behind(value)[0]) for value in node.inputs):
                return _match("linear", (node,), _data_first(node), node.outputs[0])
        return None

    def single(self, node: Node) -> Recognised | None:
        if not node.outputs or not node.inputs:
            return None
        first, out = node.inputs[0], node.outputs[0]
        names = {"logistic": "sigmoid", "tanh": "tanh", "reduce_max": "max"}
        if node.primitive in names:
            return _match(names[node.primitive], (node,), (first,), out)
        if node.name == "relu":
            return _match("ReLU", (node,), (first,), out)
        if node.parent is not None and node.parent.kind == "custom":
            # Its gradient is that of the rule around it.
            return None
        if node.primitive == "max" and any(_is_number(value, 0.0) for value in node.inputs):
            data = next((value for value in node.inputs if not _is_number(value, 0.0)), first)
            return _match("ReLU as a maximum", (node,), (data,), out)
        if node.primitive == "max" and out.is_inexact:
            return _match("max", (node,), node.inputs, out)
        if (
            node.primitive == "mul"
            and not any(_behind(v)[0].is_literal for v in node.inputs)
            and out.is_inexact
        ):
            return _match("conditional", (node,), node.inputs, out)
        return None

    def squared(self, node: Node) -> Recognised | None:
        is_square = (
            node.primitive == "square"
            or (node.primitive == "integer_pow" and node.params["y"] == 2)
            or (node.primitive == "mul" and node.inputs[0] is node.inputs[1])
        )
        apart = _made_by(node.inputs[0], "sub") if is_square else None
        return (
            _match("squared error", (apart, node), apart.inputs, node.outputs[0])
            if apart is not None
            else None
        )

    def _shifted(self, value: Value) -> tuple[Value, tuple[Node, ...]]:
        """x, where a value is x minus its largest entry; the value itself otherwise."""
        apart = _made_by(value, "sub")
        if apart is None:
            return value, ()
        top, passed = _behind(apart.inputs[1])
        nodes: tuple[Node, ...] = (*passed, apart)
        bounded = _made_by(top, "max")
        if bounded is not None:
            nodes = (bounded, *nodes)
            top = next(v for v in bounded.inputs if not v.is_literal)
        largest = _made_by(top, "reduce_max")
        if largest is None or _behind(largest.inputs[0])[0] is not _behind(apart.inputs[0])[0]:
            return value, ()
        return apart.inputs[0], (largest, *nodes)

    def softmax(self, node: Node) -> Recognised | None:
        if node.primitive == "div":
            power = _made_by(node.inputs[0], "exp")
            total, passed = _behind(node.inputs[1])
            added = _made_by(total, "reduce_sum")
            if power is not None and added is not None and added.inputs[0] is power.outputs[0]:
                x, shift = self._shifted(power.inputs[0])
                return _match("softmax", (*shift, power, added, *passed, node), (x,), node.outputs[0])
        return self._log_softmax(node)

    def _log_softmax(self, node: Node) -> Recognised | None:
        if node.primitive != "sub":
            return None
        logarithm, passed = _behind(node.inputs[1])
        log = _made_by(logarithm, "log")
        if log is None:
            return None
        total, between = _behind(log.inputs[0])
        added = _made_by(total, "reduce_sum")
        power = _made_by(added.inputs[0], "exp") if added is not None else None
        if added is None or power is None or power.inputs[0] is not node.inputs[0]:
            return None
        x, shift = self._shifted(node.inputs[0])
        return _match(
            "log-softmax", (*shift, power, added, *between, log, *passed, node), (x,), node.outputs[0]
        )

    def fused(self, node: Node) -> Recognised | None:
        inner = self._log_softmax(node)
        chosen = self._weighted(inner.output) if inner is not None else None
        if inner is None or chosen is None:
            return None
        nodes, target, output = chosen
        return _match("softmax and cross-entropy", (*inner.nodes, *nodes), (*inner.inputs, target), output)

    def cross_entropy(self, node: Node) -> Recognised | None:
        if node.primitive != "log":
            return None
        chosen = self._weighted(node.outputs[0])
        if chosen is None:
            return None
        nodes, target, output = chosen
        return _match("cross-entropy", (node, *nodes), (node.inputs[0], target), output)

    def _weighted(self, logarithm: Value) -> tuple[tuple[Node, ...], Value, Value] | None:
        """-Σ t log p after a value that is log p: by a product and a sum, or by picking the entry of a label."""
        for first in self.readers.get(logarithm.id, []):
            if first.primitive == "mul":
                target = first.inputs[1] if first.inputs[0] is logarithm else first.inputs[0]
                steps: tuple[Node, ...] = (first,)
                value = first.outputs[0]
                summed = self._next(value, "reduce_sum")
                if summed is None:
                    continue
                steps, value = (*steps, summed), summed.outputs[0]
            elif first.primitive == "gather" and first.inputs[0] is logarithm:
                target, steps, value = first.inputs[1], (first,), first.outputs[0]
            else:
                continue
            return self._negated(steps, target, value)
        return None

    def _negated(
        self, steps: tuple[Node, ...], target: Value, value: Value
    ) -> tuple[tuple[Node, ...], Value, Value] | None:
        """Through reshapes, sums and means to the minus sign, which may come before or after them."""
        while True:
            after = self._next(value, "neg", "reshape", "squeeze", "reduce_sum", "div", "mul", "select_n")
            if after is None:
                return None
            steps, value = (*steps, after), after.outputs[0]
            if after.primitive == "neg":
                return steps, target, value

    def _next(self, value: Value, *primitives: str) -> Node | None:
        return next((node for node in self.readers.get(value.id, []) if node.primitive in primitives), None)


def _is_leaf(value: Value) -> bool:
    """Whether a value is an argument or a constant of the function, such as a parameter."""
    return value.source.node is None and not value.source.is_literal


def _data_first(node: Node) -> tuple[Value, ...]:
    """The operands of a product, x before W."""
    left, right = node.inputs
    is_weight_left = _is_leaf(_behind(left)[0]) and not _is_leaf(_behind(right)[0])
    return (right, left) if is_weight_left else (left, right)
