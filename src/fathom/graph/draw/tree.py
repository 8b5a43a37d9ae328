"""What is drawn, as a tree: operations and arguments in boxes, boxes in boxes, and the values that flow between.

A box is a module, a source line or a function of the user's, a loop, a branch, a custom rule, or a rule of the
textbook. Boxes never make a circle: a module that is used twice is two boxes.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from ...errors import one_of
from ..graph import Graph
from ..nodes import Block, Node, Value
from ..textbook import Recognised, recognise
from .gather import Key, gather, gather_fixed, simplify
from .item import CONTROL, FOLDS, Flow, Item, Tree, box_of, line_of
from .words import block_title, is_parameter, number_text, port_words, title_of

_COMPONENT = re.compile(r"[^.\[\]]+(?:\[[^\]]*\])?|\[[^\]]*\]")
#: A function of this many nodes is drawn without being asked to gather them.
_SMALL = 24


def make_tree(graph: Graph, fold: str = "auto") -> Tree:
    """The tree of a graph.

    Args:
        graph: any graph.
        fold: one of `FOLDS`; "auto" is modules where there are some, nothing for few nodes, lines otherwise.

    Returns:
        The tree.

    Raises:
        UsageError: if `fold` is something else.
    """
    if fold not in FOLDS:
        raise one_of("fold", fold, FOLDS)
    return _Maker(graph, _folder(graph, fold)).make()


def _folder(graph: Graph, fold: str) -> Callable[[Node], tuple[Key, ...]]:
    """For each node the boxes that it is asked to be in, outermost first, as (kind, title)."""
    if fold == "auto":
        leaves = [node for node in graph.nodes if not node.blocks]
        has_modules = len({node.module for node in leaves if node.module}) > 1
        fold = "module" if has_modules else "none" if len(leaves) <= _SMALL else "line"
    if fold == "module":
        return lambda node: tuple(("module", part) for part in _COMPONENT.findall(node.module))
    if fold == "line":
        return lambda node: (("line", line.file, line.number),) if (line := line_of(node)) else ()
    if fold == "function":
        return lambda node: (("function", line.file, line.function),) if (line := line_of(node)) else ()
    return lambda node: ()


class _Maker:
    """Makes the tree of one graph."""

    def __init__(self, graph: Graph, keys_of: Callable[[Node], tuple[Key, ...]]):
        self.graph = graph
        self.keys_of = keys_of
        self.leaves: dict[int, Item] = {}  # by value id, and operations by -1 - node id
        self.paths: list[tuple[Item, tuple[Key, ...]]] = []
        self.flows: dict[tuple[int, int, int], Flow] = {}
        self.rules: dict[int, Recognised] = {}
        self.last: dict[int, int] = {}
        self.weights: set[int] = set()
        data: set[int] = set()
        for found in recognise(graph):
            self.rules.update((node.id, found) for node in found.nodes)
            if found.rule.name in ("affine", "linear"):
                self.weights |= {value.source.id for value in found.inputs[1:]}
                data.add(found.inputs[0].source.id)
        kernels = (node.inputs[1] for node in graph.nodes if node.primitive == "conv_general_dilated")
        self.weights |= {kernel.source.id for kernel in kernels}
        self.weights -= data

    def make(self) -> Tree:
        root = Item("graph", self.graph.name.rpartition("<locals>.")[2])
        self.block(self.graph.block, (), ())
        incoming: dict[int, list[Item]] = {}
        for flow in self.flows.values():
            incoming.setdefault(id(flow.target), []).append(flow.source)
        gather(root, gather_fixed(self.paths, self.flows.values()), 0, incoming)
        self.outputs(root)
        self.sources(root)
        simplify(root)
        for number, item in enumerate(root.walk()):
            item.number = number
        self.results(root)
        return Tree(root, tuple(self.flows.values()), frozenset(self.light()))

    def light(self) -> set[Item]:
        """Parameters and constants, and what is made of them alone."""
        reads: dict[Item, list[Item]] = {}
        for flow in self.flows.values():
            reads.setdefault(flow.target, []).append(flow.source)
        found = {item for item in self.leaves.values() if item.kind in ("parameter", "constant")}
        for item in self.leaves.values():  # in the order of execution, sources when they are first read
            is_made = item.node is not None and all(source in found for source in reads.get(item, ()))
            if is_made and item.kind in ("operation", "call"):
                found.add(item)
        return found

    def results(self, root: Item) -> None:
        """A box stands for the last value that leaves it; a loop or a branch for its first result that is read."""
        for flow in self.flows.values():
            outside = set(flow.target.ancestors())
            for box in flow.source.ancestors()[1:-1]:
                is_later = flow.source.number >= self.last.get(id(box), 0)
                if box not in outside and box.kind not in ("rule", *CONTROL) and is_later:
                    box.value = flow.value
                    self.last[id(box)] = flow.source.number
        for box in root.walk():
            if box.kind in CONTROL and box.kind != "block" and box.node is not None:
                read = [value for value in box.node.outputs if value.readers and value.is_inexact]
                box.value = read[0] if read else None

    def block(self, block: Block, path: tuple[Key, ...], used: tuple[Key, ...]) -> None:
        """Leaves for the nodes of a block; `used` are the folding keys of the boxes around."""
        for node in block.nodes:
            asked = self.keys_of(node)
            own = asked[len(used) :] if asked[: len(used)] == used else asked
            here = (*path, *own)
            found = self.rules.get(node.id)
            if node.blocks:
                self.control(node, here, asked or used)
                continue
            if found is not None and len(found.nodes) > 1:
                here = (*here, ("rule", found))
            kind = "call" if node.kind == "call" else "operation"
            leaf = Item(
                kind, title_of(node), node.outputs[0] if node.outputs else None, node,
                found if found is not None and len(found.nodes) == 1 else None,
            )  # fmt: skip
            self.leaves[-1 - node.id] = leaf
            self.paths.append((leaf, here))
            for value in node.inputs:
                self.read(value, leaf)

    def control(self, node: Node, path: tuple[Key, ...], used: tuple[Key, ...]) -> None:
        """What is inside of an opened node."""
        path = (*path, ("control", node))
        if node.kind == "cond":
            choice = Item("choice", "which branch", node.inputs[0], node)
            self.paths.append((choice, path))
            self.read(node.inputs[0], choice)
        for place, block in enumerate(node.blocks):
            inside = path
            if len(node.blocks) > 1:
                inside = (*path, ("block", block_title(node, place), node, place))
            self.ports(node, block, inside)
            self.block(block, inside, used)
            if node.kind == "while" and place == 0:
                choice = Item("choice", "go on?", block.outputs[0], node)
                self.paths.append((choice, inside))
                self.read(block.outputs[0], choice)
            elif node.kind == "cond":
                self.unchanged(node, block, inside)

    def ports(self, node: Node, block: Block, path: tuple[Key, ...]) -> None:
        """What a loop changes from step to step comes in as items of their own; constants come straight through."""
        for value, (kind, title) in zip(block.inputs, port_words(node, block), strict=True):
            if kind and value.readers:
                port = Item(kind, title, value)
                self.leaves[value.id] = port
                self.paths.append((port, path))
                if value.origin is not None:
                    self.read(value.origin, port)

    def unchanged(self, node: Node, block: Block, path: tuple[Key, ...]) -> None:
        """A branch that hands on what came in, or a number, has an item for it."""
        for value in block.outputs:
            if value.node is None and value.id not in self.leaves:
                title = f"constant {number_text(value)}" if value.is_literal else "unchanged"
                item = Item("unchanged", title, value)
                self.leaves[value.id] = item
                self.paths.append((item, path))
                if value.origin is not None:
                    self.read(value.origin, item)

    def read(self, value: Value, reader: Item) -> None:
        """Note that an item reads a value."""
        for source, made in self.made(value):
            if source is not reader:
                self.flows[id(source), id(reader), made.id] = Flow(source, reader, made)

    def made(self, value: Value) -> Iterator[tuple[Item, Value]]:
        """The items that a value comes from, each with the value it hands on; none for a number in the code."""
        if value.id in self.leaves:
            yield self.leaves[value.id], value
        elif value.is_literal:
            return
        elif value.node is None:
            if value.origin is not None:
                yield from self.made(value.origin)
            else:
                self.leaves[value.id] = self.source(value)
                yield self.leaves[value.id], value
        elif not value.node.blocks:
            yield self.leaves[-1 - value.node.id], value
        else:
            place = value.node.outputs.index(value)
            blocks = value.node.blocks[1:] if value.node.kind == "while" else value.node.blocks
            for block in blocks:
                yield from self.made(block.outputs[place])

    def source(self, value: Value) -> Item:
        """An argument or a constant."""
        if value.id in self.graph.constants:
            return Item("constant", "constant", value)
        # A plain array that a product or a convolution has as its weight is one, too.
        kind = "parameter" if value.id in self.weights or is_parameter(self.graph, value) else "input"
        return Item(kind, value.name, value)

    def outputs(self, root: Item) -> None:
        """What the function returns."""
        count = len(self.graph.outputs)
        for place, value in enumerate(self.graph.outputs):
            is_loss = place == 0 and self.graph.has_loss
            title = "loss" if is_loss else f"output {place}" if count > 1 else "output"
            item = Item("loss" if is_loss else "output", title, value, parent=root)
            root.children.append(item)
            self.read(value, item)

    def sources(self, root: Item) -> None:
        """Parameters and constants go into the innermost box that holds everything that reads them.

        Not into a loop, a branch or a textbook rule: an argument of a loop is outside of it.
        """
        readers: dict[int, list[Item]] = {}
        items: dict[int, Item] = {}
        for value in self.graph.inputs:
            self.leaves.setdefault(value.id, self.source(value))
        for flow in self.flows.values():
            readers.setdefault(id(flow.source), []).append(flow.target)
        for item in self.leaves.values():
            if item.kind in ("input", "parameter", "constant"):
                items[id(item)] = item
        for key in sorted(items, key=lambda key: _id(items[key]), reverse=True):
            item = items[key]
            if key not in readers:
                continue
            box = root if item.kind == "input" else _common(readers[key], root)
            item.parent = box
            inside = [child for child in box.children if any(box_of(r, box) is child for r in readers[key])]
            place = box.children.index(inside[0]) if item.kind != "input" else 0
            box.children.insert(place, item)


def _id(item: Item) -> int:
    return item.value.id if item.value is not None else -1


def _common(readers: Sequence[Item], root: Item) -> Item:
    chains = [reader.ancestors()[:-1] for reader in readers]
    shared = root
    for boxes in zip(*chains, strict=False):
        if any(box is not boxes[0] for box in boxes) or boxes[0].kind in (*CONTROL, "rule"):
            break
        shared = boxes[0]
    return shared
