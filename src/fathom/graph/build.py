"""From a jaxpr to blocks of nodes: calls are opened or kept closed, names and source lines attached."""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax.extend.core as jex

from ..errors import UsageError
from ._jax import closed_parts, evaluator, is_jax_function, lines_of, scopes_of
from .cost import operations
from .nodes import Block, Line, Node, Value

#: Kinds of call that hold a function of their own.
KINDS = ("jit", "remat", "scan", "while", "cond", "custom")
#: What is opened unless asked otherwise. A custom rule stays closed: its inside has no gradient of its own.
OPENED = frozenset(KINDS) - {"custom"}

_KIND_OF = {
    "jit": "jit",
    "pjit": "jit",
    "closed_call": "jit",
    "core_call": "jit",
    "call": "jit",
    "remat": "remat",
    "remat2": "remat",
    "checkpoint": "remat",
    "scan": "scan",
    "while": "while",
    "cond": "cond",
    "custom_jvp_call": "custom",
    "custom_vjp_call": "custom",
    "custom_vjp_call_jaxpr": "custom",
}


@dataclasses.dataclass(frozen=True)
class Call:
    """A call that a graph may open, as the `open` argument of `fathom.trace` is asked about it.

    Attributes:
        kind: one of `KINDS`.
        name: the name of the function called, where there is one.
        depth: opened calls around it.
        line: the user's source line.
    """

    kind: str
    name: str
    depth: int
    line: Line | None


@dataclasses.dataclass(frozen=True)
class Place:
    """Where in the function the builder is.

    Attributes:
        scopes: the named scopes around.
        depth: opened calls around.
        line: the user's source line of the equation, or of the call around it where it keeps none of its own.
        frame: the innermost source line outside of JAX.
        is_jax: whether the function around is JAX's own, whose equations keep the line of another call.
    """

    scopes: str = ""
    depth: int = 0
    line: Line | None = None
    frame: Line | None = None
    is_jax: bool = False

    def at(self, equation: jex.JaxprEqn) -> "Place":
        """The place of an equation."""
        line, frame = lines_of(equation)
        if line is None or (self.is_jax and self.line is not None):
            line, frame = self.line, self.frame
        scopes = "/".join(part for part in (self.scopes, scopes_of(equation)) if part)
        return dataclasses.replace(self, scopes=scopes, line=line, frame=frame)

    def deeper(self) -> "Place":
        """The place inside of an opened call."""
        return dataclasses.replace(self, depth=self.depth + 1)


Open = bool | int | Collection[str] | Callable[[Call], bool]


def opener(open: Open | None) -> Callable[[Call], bool]:
    """The `open` argument of `fathom.trace` as a predicate.

    Args:
        open: None for `OPENED`; True for every call, False for none; a whole number for the calls around which
            fewer than that many are open; kinds of call by name; or the predicate.

    Returns:
        The predicate.

    Raises:
        UsageError: if it is something else, or names a kind that is not one of `KINDS`.
    """
    if open is None:
        return lambda call: call.kind in OPENED
    if isinstance(open, bool):
        return lambda call: open
    if isinstance(open, int):
        return lambda call: call.depth < open and call.kind != "custom"
    if callable(open):
        return open
    kinds = {open} if isinstance(open, str) else set(open)
    if not kinds <= set(KINDS):
        raise UsageError(
            f"open={open!r}: not a kind of call; use kinds of {', '.join(KINDS)}, True, False, a depth or a function"
        )
    return lambda call: call.kind in kinds


def _inner_jaxprs(equation: jex.JaxprEqn) -> list[Any]:
    """The jaxprs that an execution of an equation runs, for counting what is inside of a closed call."""
    found = []
    for value in equation.params.values():
        for entry in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(entry, (jex.Jaxpr, jex.ClosedJaxpr)):
                found.append(entry)
    return found


def _name(equation: jex.JaxprEqn) -> str:
    params = equation.params
    if isinstance(params.get("name"), str):
        return params["name"]
    if "call_jaxpr" in params:
        info = getattr(closed_parts(params["call_jaxpr"])[0], "debug_info", None)
        return getattr(info, "func_name", "") or equation.primitive.name
    return equation.primitive.name


class Builder:
    """Makes the values, nodes and blocks of one graph.

    Attributes:
        constants: the arrays that the function closes over, by value id.
    """

    def __init__(self, is_open: Callable[[Call], bool]):
        self._is_open = is_open
        self._values = 0
        self._nodes = 0
        self._constant_of: dict[int, Value] = {}
        self.constants: dict[int, Any] = {}

    def value(self, aval: Any, **fields: Any) -> Value:
        """A new value of an abstract value."""
        self._values += 1
        return Value(self._values - 1, aval, **fields)

    def top(self, jaxpr: Any) -> Block:
        """The block of a whole function."""
        return self.block(jaxpr, [None] * len(closed_parts(jaxpr)[0].invars), None, Place())

    def block(
        self, jaxpr: Any, origins: Sequence[Value | None], parent: Node | None, place: "Place"
    ) -> Block:
        """A block with inputs of its own, for a loop's body, a branch or a custom rule."""
        inner, _ = closed_parts(jaxpr)
        inputs = [
            self.value(var.aval, origin=origin, holder=parent)
            for var, origin in zip(inner.invars, origins, strict=True)
        ]
        nodes: list[Node] = []
        outputs = self.run(jaxpr, inputs, nodes, parent, place)
        return Block(tuple(inputs), nodes, tuple(outputs))

    def run(
        self, jaxpr: Any, inputs: list[Value], nodes: list[Node], parent: Node | None, place: "Place"
    ) -> list[Value]:
        """Append the nodes of a jaxpr and return its outputs."""
        inner, constants = closed_parts(jaxpr)
        place = dataclasses.replace(place, is_jax=place.is_jax or is_jax_function(inner))
        held: dict[Any, Value] = dict(zip(inner.invars, inputs, strict=True))
        for var, array in zip(inner.constvars, constants, strict=True):
            held[var] = self._constant(var.aval, array)

        def read(atom: Any) -> Value:
            if isinstance(atom, jex.Literal):
                return self.value(atom.aval, literal=atom.val, is_literal=True)
            return held[atom]

        for equation in inner.eqns:
            ins = [read(atom) for atom in equation.invars]
            outs = self._equation(equation, inner, ins, nodes, parent, place)
            held.update(zip(equation.outvars, outs, strict=True))
        return [read(atom) for atom in inner.outvars]

    def _constant(self, aval: Any, array: Any) -> Value:
        # One array closed over in two places is one value.
        if id(array) not in self._constant_of:
            value = self.value(aval, name="constant")
            self._constant_of[id(array)] = value
            self.constants[value.id] = array
        return self._constant_of[id(array)]

    def _equation(
        self,
        equation: jex.JaxprEqn,
        jaxpr: jex.Jaxpr,
        ins: list[Value],
        nodes: list[Node],
        parent: Node | None,
        place: "Place",
    ) -> list[Value]:
        primitive = equation.primitive.name
        place = place.at(equation)
        line, frame = place.line, place.frame
        kind = _KIND_OF.get(primitive, "")
        name = _name(equation)
        is_open = bool(kind) and self._is_open(Call(kind, name, place.depth, line))
        if kind == "jit" and is_open:
            call = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
            return self.run(call, ins, nodes, parent, place.deeper())
        node = Node(
            id=self._nodes,
            primitive=primitive,
            kind=kind if is_open else ("call" if kind else "operation"),
            name=name,
            inputs=tuple(ins),
            outputs=(),
            params=equation.params,
            equation=equation,
            evaluate=evaluator(equation, jaxpr),
            line=line,
            frame=frame,
            module=place.scopes.replace("/", "."),
            parent=parent,
        )
        self._nodes += 1
        node.outputs = tuple(self.value(var.aval, node=node) for var in equation.outvars)
        node.blocks = self._blocks(node, place.deeper()) if is_open else ()
        closed = [] if is_open else _inner_jaxprs(equation)
        node.operations = _closed_operations(node, closed) if closed else operations(node)
        nodes.append(node)
        return list(node.outputs)

    def _blocks(self, node: Node, place: "Place") -> tuple[Block, ...]:
        params, ins = node.params, list(node.inputs)
        if node.kind == "cond":
            return tuple(self.block(branch, ins[1:], node, place) for branch in params["branches"])
        if node.kind == "while":
            tests, consts = params["cond_nconsts"], params["body_nconsts"]
            carry = ins[tests + consts :]
            return (
                self.block(params["cond_jaxpr"], [*ins[:tests], *carry], node, place),
                self.block(params["body_jaxpr"], [*ins[tests : tests + consts], *carry], node, place),
            )
        inner = params.get("jaxpr", params.get("call_jaxpr"))
        return (self.block(inner, ins, node, place),)


def _closed_operations(node: Node, jaxprs: list[Any]) -> int:
    """What is inside of a closed call, by opening it on the side."""
    side = Builder(opener(True))
    blocks = [side.top(jaxpr) for jaxpr in jaxprs]
    if node.primitive == "cond":
        return max(block.operations for block in blocks)
    return sum(block.operations for block in blocks) * node.params.get("length", 1)
