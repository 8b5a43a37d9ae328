"""A large graph seen from afar: nodes gathered into modules, source lines or functions."""

import dataclasses
from collections.abc import Callable, Iterator

from ..errors import one_of
from .nodes import Block, Node, Value


@dataclasses.dataclass(eq=False)
class Group:
    """Nodes that belong together.

    Attributes:
        name: the module, line or function; "" for what belongs to none.
        nodes: its nodes, in order; opened calls are not among them, what is inside of them is.
    """

    name: str
    nodes: list[Node] = dataclasses.field(default_factory=list)

    @property
    def operations(self) -> int:
        """Arithmetic operations of one call of the graph, all steps of loops."""
        return sum(node.operations * node.times for node in self.nodes)

    @property
    def nbytes(self) -> int:
        """Bytes of everything that its nodes compute, all steps of loops."""
        return sum(node.nbytes * node.times for node in self.nodes)


@dataclasses.dataclass(frozen=True)
class Edge:
    """Values that go from one group to another.

    Attributes:
        source: the position of the group they come from.
        target: the position of the group that reads them.
        values: what goes.
    """

    source: int
    target: int
    values: tuple[Value, ...]


@dataclasses.dataclass(frozen=True)
class Folded:
    """A folded graph.

    Attributes:
        by: what it was folded by.
        groups: the groups, in the order in which they are first executed.
        edges: what goes between different groups.
    """

    by: str
    groups: tuple[Group, ...]
    edges: tuple[Edge, ...]


def _line(node: Node) -> str:
    return f"{node.line.file}:{node.line.number}" if node.line is not None else ""


def _function(node: Node) -> str:
    return f"{node.line.file}:{node.line.function}" if node.line is not None else ""


_KEYS: dict[str, Callable[[Node], str]] = {
    "module": lambda node: node.module,
    "line": _line,
    "function": _function,
}


def fold(block: Block, by: str) -> Folded:
    """Gather the nodes of a block.

    Args:
        block: the block.
        by: "module", "line" or "function".

    Returns:
        The groups and edges.

    Raises:
        UsageError: if `by` is something else.
    """
    if by not in _KEYS:
        raise one_of("by", by, _KEYS)
    name_of = _KEYS[by]
    groups: dict[str, Group] = {}
    for node in block.walk():
        if not node.blocks:
            groups.setdefault(name_of(node), Group(name_of(node))).nodes.append(node)
    places = {name: i for i, name in enumerate(groups)}
    between: dict[tuple[int, int], dict[int, Value]] = {}
    for target in groups.values():
        for node in target.nodes:
            for value in node.inputs:
                for produced in producers(value):
                    assert produced.node is not None
                    ends = places[name_of(produced.node)], places[target.name]
                    if ends[0] != ends[1]:
                        between.setdefault(ends, {})[produced.id] = produced
    edges = tuple(Edge(*ends, tuple(values.values())) for ends, values in sorted(between.items()))
    return Folded(by, tuple(groups.values()), edges)


def producers(value: Value) -> Iterator[Value]:
    """The outputs of unopened nodes that a value is: through what comes into blocks and goes out of them.

    What a loop carries from one step to the next is not followed backward; its value before the loop is.

    Args:
        value: any value of a graph.

    Yields:
        Outputs of operations and closed calls; nothing for an input, a constant or a literal.
    """
    if value.node is None:
        if value.origin is not None:
            yield from producers(value.origin)
    elif not value.node.blocks:
        yield value
    else:
        position = value.node.outputs.index(value)
        blocks = value.node.blocks[1:] if value.node.kind == "while" else value.node.blocks
        for block in blocks:
            yield from producers(block.outputs[position])
