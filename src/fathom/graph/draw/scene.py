"""A tree with some boxes open, put on a plane: frames, cards and lines with their places."""

import dataclasses
import functools
import itertools
from collections.abc import Collection
from typing import Any

from ..nodes import Value
from .cards import HEADER, PAD, Card, text_width, title_text
from .item import Flow, Item, Tree
from .layout import Layout, Link, layout, stack

MARGIN = 14.0
#: What a drawing shows at most unless asked for more.
BUDGET = 48
_PORT = (8.0, 0.0)
#: What changes from step to step stands together at the top of a loop.
_EARLY = ("carry", "slice")

#: One end of a link inside of a box: a child, or where a value comes in or goes out.
End = tuple[str, Any]


@dataclasses.dataclass(frozen=True)
class Wire:
    """A link between two ends inside of one box.

    Attributes:
        source: ("item", child) or ("in", value id).
        target: ("item", child) or ("out", value id).
        value: what goes.
        is_light: whether it is a parameter or a constant, or made of them alone.
    """

    source: End
    target: End
    value: Value
    is_light: bool


def wires_of(tree: Tree) -> dict[Item, list[Wire]]:
    """The links inside of every box.

    A flow from deep inside of one box to deep inside of another is a link in each box on its way.

    Args:
        tree: the tree.

    Returns:
        The wires by box.
    """
    found: dict[Item, dict[Any, Wire]] = {box: {} for box in tree.root.walk() if box.is_box}

    def note(box: Item, source: End, target: End, flow: Flow) -> None:
        key = _key(source), _key(target), flow.value.id
        found[box].setdefault(key, Wire(source, target, flow.value, flow.source in tree.light))

    for flow in tree.flows:
        up, down = flow.source.ancestors(), flow.target.ancestors()
        depth = next(i for i, (a, b) in enumerate(zip(up, down, strict=False)) if a is not b)
        note(up[depth - 1], ("item", up[depth]), ("item", down[depth]), flow)
        for box, inside in itertools.pairwise(up[depth:]):
            note(box, ("item", inside), ("out", flow.value.id), flow)
        for box, inside in itertools.pairwise(down[depth:]):
            note(box, ("in", flow.value.id), ("item", inside), flow)
    return {box: list(wires.values()) for box, wires in found.items()}


def _key(end: End) -> Any:
    return (end[0], id(end[1])) if end[0] == "item" else end


@dataclasses.dataclass(frozen=True)
class Inside:
    """What is inside of a box, laid out.

    Attributes:
        ends: the things of the layout: the children, then where values come in and go out.
        wires: the wires, one for each link of the layout; values that go the same way are together.
        values: for each link the values.
        placed: the layout.
    """

    ends: tuple[End, ...]
    wires: tuple[Wire, ...]
    values: tuple[tuple[Value, ...], ...]
    placed: Layout

    def port(self, kind: str, value: int) -> float:
        """Where a value comes in or goes out."""
        return self.placed.x[self.ends.index((kind, value))]


@functools.lru_cache(maxsize=4096)
def _layout(
    sizes: tuple[tuple[float, float], ...], links: tuple[Link, ...],
    first: tuple[int, ...], last: tuple[int, ...], early: tuple[int, ...],
) -> Layout:  # fmt: skip
    return layout(sizes, links, first, last, early)


def arrange(
    box: Item, wires: list[Wire], sizes: dict[Item, tuple[float, float]], opened: dict[Item, "Inside"]
) -> Inside:
    """Lay out the inside of one box.

    Args:
        box: the box.
        wires: its wires.
        sizes: the size of each child.
        opened: the insides of the children that are open.

    Returns:
        The inside.
    """
    ends: list[End] = [("item", child) for child in box.children]
    places = {_key(end): place for place, end in enumerate(ends)}
    for wire in wires:
        for end in (wire.source, wire.target):
            if _key(end) not in places:
                places[_key(end)] = len(ends)
                ends.append(end)
    links: dict[Any, tuple[Link, Wire, list[Value]]] = {}
    for wire in wires:
        start = _offset(wire.source, "out", wire.value, opened, sizes)
        end = _offset(wire.target, "in", wire.value, opened, sizes)
        source, target = places[_key(wire.source)], places[_key(wire.target)]
        weight = 0.2 if wire.is_light else 2.0
        found = links.setdefault(
            (source, target, start, end), (Link(source, target, weight, start, end), wire, [])
        )
        found[2].append(wire.value)
    first = tuple(place for place, end in enumerate(ends) if end[0] == "in")
    last = tuple(place for place, end in enumerate(ends) if end[0] == "out")
    all_sizes = tuple(sizes[end[1]] if end[0] == "item" else _PORT for end in ends)
    early = tuple(place for place, end in enumerate(ends) if end[0] == "item" and end[1].kind in _EARLY)
    placed = _layout(all_sizes, tuple(link for link, _, _ in links.values()), first, last, early)
    return Inside(
        tuple(ends),
        tuple(wire for _, wire, _ in links.values()),
        tuple(tuple(values) for _, _, values in links.values()),
        placed,
    )


def _offset(
    end: End, kind: str, value: Value, opened: dict[Item, Inside], sizes: dict[Item, tuple[float, float]]
) -> float:
    """Where a line meets a child, right of the child's middle: at the middle of a card, at the port of an open box."""
    if end[0] != "item" or end[1] not in opened:
        return 0.0
    inside, width = opened[end[1]], sizes[end[1]][0]
    shift = (width - inside.placed.width) / 2
    return round(inside.port(kind, value.id) + shift - width / 2, 2)


@dataclasses.dataclass(frozen=True)
class Frame:
    """An open box: its place, and how many boxes are around it."""

    item: Item
    x: float
    y: float
    width: float
    height: float
    depth: int


@dataclasses.dataclass(frozen=True)
class Place:
    """A card's upper left corner."""

    item: Item
    card: Card
    x: float
    y: float


@dataclasses.dataclass(frozen=True)
class Line:
    """A line as an SVG path, and whether a tip is at its end (and where)."""

    path: str
    is_light: bool
    tip: tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything with its place.

    Attributes:
        width: of the whole.
        height: of the whole.
        frames: open boxes, outer ones first.
        places: cards.
        lines: what flows.
    """

    width: float
    height: float
    frames: tuple[Frame, ...]
    places: tuple[Place, ...]
    lines: tuple[Line, ...]


def choose_open(tree: Tree, depth: int | None = None, budget: int = BUDGET) -> set[Item]:
    """The boxes that are open: so many levels, or as many whole levels as keep the drawing small.

    Args:
        tree: the tree.
        depth: how many levels; None for as many as leave at most `budget` nodes.
        budget: how many nodes may be seen.

    Returns:
        The boxes, the root among them.
    """
    opened, level = {tree.root}, [tree.root]
    shown = len(tree.root.children)
    for _ in itertools.count() if depth is None else range(depth):
        level = [child for box in level for child in box.children if child.is_box]
        if depth is None:
            level = [box for box in level if box.kind not in ("rule", "fixed")]
            # All of a level, or those of it that have the fewest inside: equal boxes are open or closed together.
            sizes = sorted(len(box.children) for box in level)
            room = [n for n in set(sizes) if shown + sum(size - 1 for size in sizes if size <= n) <= budget]
            level = [box for box in level if room and len(box.children) <= max(room)]
        if not level:
            break
        opened.update(level)
        shown += sum(len(box.children) - 1 for box in level)
    return opened


def header_width(item: Item) -> float:
    """How wide the header of an open box is at least."""
    title, is_code = title_text(item)
    sign = 18 if item.kind in ("scan", "while") else 0
    return text_width(title, 12.0 if is_code else 13.0, bold=not is_code, mono=is_code) + sign + 3 * PAD


def compose(tree: Tree, cards: dict[Item, Card], opened: Collection[Item]) -> Scene:
    """Put a tree on a plane.

    Args:
        tree: the tree.
        cards: the card of every item.
        opened: the boxes that are open, the root among them.

    Returns:
        The scene.
    """
    composer = _Composer(wires_of(tree), cards, opened)
    width, height = composer.measure(tree.root)
    composer.put(tree.root, 0.0, 0.0, -1)
    return Scene(width, height, tuple(composer.frames), tuple(composer.places), tuple(composer.lines))


class _Composer:
    def __init__(self, wires: dict[Item, list[Wire]], cards: dict[Item, Card], opened: Collection[Item]):
        self.wires, self.cards, self.opened = wires, cards, set(opened)
        self.sizes: dict[Item, tuple[float, float]] = {}
        self.insides: dict[Item, Inside] = {}
        self.frames: list[Frame] = []
        self.places: list[Place] = []
        self.lines: list[Line] = []

    def measure(self, item: Item) -> tuple[float, float]:
        """The size of an item; that of an open box comes from what is inside."""
        if item not in self.opened or not item.is_box:
            card = self.cards[item]
            self.sizes[item] = card.width, card.height
            return self.sizes[item]
        for child in item.children:
            self.measure(child)
        inside = self.insides[item] = arrange(item, self.wires[item], self.sizes, self.insides)
        _, bottoms, _ = stack(inside.placed)
        head = 0.0 if item.parent is None else HEADER
        least = 0.0 if item.parent is None else header_width(item)
        width = max(inside.placed.width + 2 * MARGIN, least)
        self.sizes[item] = round(width, 1), round(bottoms[-1] + head + 2 * MARGIN, 1)
        return self.sizes[item]

    def put(self, item: Item, x: float, y: float, depth: int) -> None:
        """Give an item and everything inside its place."""
        width, height = self.sizes[item]
        if item not in self.insides:
            self.places.append(Place(item, self.cards[item], round(x, 1), round(y, 1)))
            return
        if item.parent is not None:
            self.frames.append(Frame(item, round(x, 1), round(y, 1), width, height, depth))
        inside = self.insides[item]
        tops, bottoms, at = stack(inside.placed)
        head = 0.0 if item.parent is None else HEADER
        left = x + (width - inside.placed.width) / 2
        top = y + head + MARGIN
        for place, (kind, child) in enumerate(inside.ends):
            if kind == "item":
                self.put(
                    child,
                    left + inside.placed.x[place] - self.sizes[child][0] / 2,
                    top + at[place],
                    depth + 1,
                )
        for link, wire in enumerate(inside.wires):
            self._line(inside, link, wire, (left, top, y, y + height), (tops, bottoms, at))

    def _line(
        self, inside: Inside, link: int, wire: Wire, frame: tuple[float, float, float, float],
        heights: tuple[list[float], list[float], list[float]],
    ) -> None:  # fmt: skip
        """A line from the lower edge of its source, through the points of its chain, down to its target."""
        placed, (left, top, above, below) = inside.placed, frame
        tops, bottoms, at = heights
        chain = placed.chains[link]
        start, end = self._ends(inside, wire)
        stops = []
        for place, v in enumerate(chain):
            x = left + placed.x[v] + (start if place == 0 else end if place == len(chain) - 1 else 0.0)
            high, low = top + tops[placed.rank[v]], top + bottoms[placed.rank[v]]
            if place == 0:
                leaves = above if wire.source[0] == "in" else top + at[v] + placed.sizes[v][1]
                stops.append((x, leaves, low))
            elif place == len(chain) - 1:
                stops.append((x, high, below if wire.target[0] == "out" else top + at[v]))
            else:
                stops.append((x, high, low))
        has_tip = wire.target[0] == "item" and wire.target[1] not in self.insides
        last = stops[-1]
        if has_tip:
            if wire.target[1].kind in ("loss", "output"):  # these have a second outline
                last = last[0], last[1] - 4, last[2] - 4
            stops[-1] = (last[0], min(last[1], last[2] - 5), last[2] - 5)
        self.lines.append(Line(line_path(stops), wire.is_light, (last[0], last[2]) if has_tip else None))

    def _ends(self, inside: Inside, wire: Wire) -> tuple[float, float]:
        return (
            _offset(wire.source, "out", wire.value, self.insides, self.sizes),
            _offset(wire.target, "in", wire.value, self.insides, self.sizes),
        )


def line_path(stops: list[tuple[float, float, float]]) -> str:
    """A path that is vertical inside of layers and bends between them.

    Args:
        stops: for each layer x, and where the vertical part starts and ends.

    Returns:
        The `d` of an SVG path.
    """
    x, _, y = stops[0]
    path = f"M{x:.1f},{stops[0][1]:.1f}" + (f"V{y:.1f}" if y - stops[0][1] > 0.05 else "")
    for nx, high, low in stops[1:]:
        if abs(nx - x) < 0.3:
            path += f"V{low:.1f}"
        else:
            middle = (y + high) / 2
            path += f"C{x:.1f},{middle:.1f} {nx:.1f},{middle:.1f} {nx:.1f},{high:.1f}"
            if low - high > 0.05:
                path += f"V{low:.1f}"
        x, y = nx, low
    return path
