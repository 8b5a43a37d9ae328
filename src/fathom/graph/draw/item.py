"""What a drawing is made of: items, boxes of items, and the values that flow between them."""

import dataclasses
import linecache
from collections.abc import Iterator
from pathlib import PurePath

from ..nodes import Line, Node, Value
from ..textbook import Recognised

#: What nodes may be gathered by; "none" leaves loops, branches and textbook rules as the only boxes.
FOLDS = ("auto", "module", "line", "function", "none")
#: Boxes that hold the blocks of one node.
CONTROL = ("scan", "while", "cond", "remat", "custom", "block")


@dataclasses.dataclass(eq=False)
class Item:
    """A node of the drawing, or a box with more inside.

    Attributes:
        kind: "operation", "call" (a closed one), "input", "parameter", "constant", "loss", "output", "carry", "slice",
            "choice", "unchanged"; or a box: "graph", "module", "line", "function", "fixed", "rule" or one of `CONTROL`.
        title: what is written on it.
        value: the array that it stands for; of a box none.
        node: the operation, or the node whose blocks a box holds.
        rule: the textbook rule that it is.
        parent: the box around it.
        children: what is inside, in the order of execution.
        number: its place in the order of execution.
        place: of a "block" which of its node's it is.
    """

    kind: str
    title: str
    value: Value | None = None
    node: Node | None = None
    rule: Recognised | None = None
    parent: "Item | None" = None
    children: list["Item"] = dataclasses.field(default_factory=list)
    number: int = 0
    place: int = 0

    @property
    def is_box(self) -> bool:
        """Whether there is something inside."""
        return bool(self.children)

    def walk(self) -> Iterator["Item"]:
        """Itself and everything inside, in order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def ancestors(self) -> list["Item"]:
        """Itself and the boxes around it, the outermost first."""
        found: list[Item] = [self]
        while found[-1].parent is not None:
            found.append(found[-1].parent)
        return found[::-1]

    @property
    def nodes(self) -> list[Node]:
        """Its operations, those inside of boxes too; what holds blocks is left out."""
        leaves = (item for item in self.walk() if not item.is_box)
        return [item.node for item in leaves if item.node is not None and item.kind in ("operation", "call")]

    @property
    def operations(self) -> int:
        """Arithmetic operations of one call, all steps of loops."""
        return sum(node.operations * node.times for node in self.nodes)

    @property
    def nbytes(self) -> int:
        """Bytes that its operations compute, all steps of loops."""
        if not self.is_box and self.kind not in ("operation", "call"):
            return self.value.nbytes if self.value is not None else 0
        return sum(node.nbytes * node.times for node in self.nodes)

    @property
    def parameters(self) -> int:
        """Numbers in the parameters inside."""
        held = (item.value for item in self.walk() if item.kind == "parameter" and item.value is not None)
        return sum(value.size for value in held)

    @property
    def line(self) -> Line | None:
        """The user's source line."""
        if self.node is not None:
            return line_of(self.node)
        nodes = self.nodes
        return line_of(nodes[-1]) if nodes and self.kind in ("rule", "line") else None


@dataclasses.dataclass(frozen=True)
class Flow:
    """A value that goes from one item to another; neither is a box."""

    source: Item
    target: Item
    value: Value


@dataclasses.dataclass(frozen=True)
class Tree:
    """A graph as it is drawn.

    Attributes:
        root: the box that holds everything.
        flows: what goes where.
        light: parameters and constants, and what is made of them alone: beside the way of the data.
    """

    root: Item
    flows: tuple[Flow, ...]
    light: frozenset[Item]

    def items(self) -> Iterator[Item]:
        """Everything but the root, boxes before what is inside of them."""
        found = self.root.walk()
        next(found)
        return found


_TRACER = PurePath(__file__).parent.parent / "graph.py"


def line_of(node: Node) -> Line | None:
    """The user's source line of a node; None for a library's function that was traced by itself."""
    return node.line if node.line is not None and PurePath(node.line.file) != _TRACER else None


def code_of(line: Line | None) -> str:
    """The text of a source line; "" where the file is not there."""
    return linecache.getline(line.file, line.number).strip() if line is not None else ""


def short_line(line: Line | None) -> str:
    """A source line as ``file.py:12``."""
    return f"{PurePath(line.file).name}:{line.number}" if line is not None else ""


def box_of(item: Item, box: Item) -> Item | None:
    """The child of a box that an item is in, or is; None where it is not inside."""
    at: Item | None = item
    while at is not None and at.parent is not box:
        at = at.parent
    return at
