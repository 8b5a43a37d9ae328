"""What a graph is made of: values (edges), nodes (operations) and blocks (nodes that run in order)."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of source.

    Attributes:
        file: the path.
        number: the line, from 1.
        function: the function it belongs to.
    """

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number} ({self.function})"


@dataclasses.dataclass(eq=False)
class Value:
    """One array that flows through a graph.

    Attributes:
        id: its number in the graph.
        aval: JAX's abstract value.
        node: what computes it; None for an input, a constant, and what comes into a loop's body.
        origin: for what comes into a block of a loop, a branch or a custom rule, the value outside of it.
        holder: for the same, the node whose block it came into.
        literal: the number, where it is written in the function.
        is_literal: whether it is.
        name: for an argument its path, such as ``params.layers[0].weight``.
        readers: how many nodes read it or blocks hand it out, each place counted.
    """

    id: int
    aval: Any
    node: "Node | None" = None
    origin: "Value | None" = None
    holder: "Node | None" = None
    literal: Any = None
    is_literal: bool = False
    name: str = ""
    readers: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape; inside a loop's body that of one step."""
        return tuple(getattr(self.aval, "shape", ()))

    @property
    def dtype(self) -> Any:
        """The data type; None for a token."""
        return getattr(self.aval, "dtype", None)

    @property
    def size(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Its bytes; a random key counts as two words."""
        return self.size * getattr(self.dtype, "itemsize", 0)

    @property
    def is_inexact(self) -> bool:
        """Whether it holds floating-point or complex numbers, so that a gradient can flow."""
        return self.dtype is not None and jnp.issubdtype(self.dtype, jnp.inexact)

    @property
    def loops(self) -> tuple["Node", ...]:
        """The scans around the value, outermost first: each puts an axis in front of what is recorded of it."""
        if self.node is not None or self.holder is None:
            return self.node.loops if self.node is not None else ()
        return (*self.holder.loops, *((self.holder,) if self.holder.kind == "scan" else ()))

    @property
    def nbytes_all_steps(self) -> int:
        """Its bytes at every step of the scans around it."""
        return self.nbytes * math.prod(loop.params["length"] for loop in self.loops)

    @property
    def source(self) -> "Value":
        """The value itself, or what it is outside of the blocks it came into."""
        return self.origin.source if self.origin is not None else self

    def __repr__(self) -> str:
        dtype = getattr(self.dtype, "name", str(self.dtype))
        return f"Value({self.id}, {dtype}{list(self.shape)}{', ' + self.name if self.name else ''})"


@dataclasses.dataclass(eq=False)
class Node:
    """One operation of a graph.

    Attributes:
        id: its number, in the order of execution; what is inside a loop comes right after the loop.
        primitive: JAX's name of the operation.
        kind: "operation", or for what holds blocks of its own "scan", "while", "cond", "remat", "custom", "call".
        name: the name of the called function, for a call; otherwise the primitive.
        inputs: the values it reads.
        outputs: the values it computes.
        params: the settings of the primitive.
        equation: JAX's own record.
        evaluate: the operation as a function of its inputs to a list.
        line: the user's source line, or None.
        frame: the innermost source line outside of JAX, which may be a library's.
        module: the named scopes or the module whose parameters it reads, such as ``layers[0]``; "" at the top.
        parent: the node whose block it is in, or None.
        blocks: for an opened call, what is inside: a scan or remat has one block, a cond its branches, a
            while its condition and its body.
        operations: arithmetic operations of one execution, by formula (`fathom.graph.cost`).
        is_dependent: whether it depends on an argument; what does not is the same at every call.
    """

    id: int
    primitive: str
    kind: str
    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    params: dict[str, Any]
    equation: Any
    evaluate: Any
    line: Line | None
    frame: Line | None
    module: str
    parent: "Node | None"
    blocks: tuple["Block", ...] = ()
    operations: int = 0
    is_dependent: bool = True

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of every output."""
        return tuple(value.shape for value in self.outputs)

    @property
    def dtypes(self) -> tuple[Any, ...]:
        """The data type of every output."""
        return tuple(value.dtype for value in self.outputs)

    @property
    def nbytes(self) -> int:
        """Bytes of the outputs."""
        return sum(value.nbytes for value in self.outputs)

    @property
    def loops(self) -> tuple["Node", ...]:
        """The scans around the node, outermost first: each puts an axis in front of its recorded values."""
        around = self.parent.loops if self.parent is not None else ()
        return (*around, self.parent) if self.parent is not None and self.parent.kind == "scan" else around

    @property
    def times(self) -> int:
        """How often it is executed, by the scans around it; a while counts as one pass."""
        return math.prod(loop.params["length"] for loop in self.loops)

    @property
    def where(self) -> str:
        """The node in words: primitive, shapes, module, source line."""
        shapes = ", ".join(str(list(shape)) for shape in self.shapes)
        place = f" in {self.module}" if self.module else ""
        return f"{self.name} {shapes}{place}" + (f" at {self.line}" if self.line else "")

    def __repr__(self) -> str:
        return f"Node({self.id}, {self.where})"


@dataclasses.dataclass(eq=False)
class Block:
    """Nodes that run one after the other.

    Attributes:
        inputs: the values that come in.
        nodes: the operations, in order.
        outputs: the values that go out.
    """

    inputs: tuple[Value, ...]
    nodes: list[Node]
    outputs: tuple[Value, ...]

    def walk(self) -> Iterator[Node]:
        """Every node, what is inside an opened node right after it."""
        for node in self.nodes:
            yield node
            for block in node.blocks:
                yield from block.walk()

    @property
    def operations(self) -> int:
        """Arithmetic operations of one execution."""
        return sum(node.operations for node in self.nodes)
