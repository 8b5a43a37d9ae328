"""A drawing for a terminal: an indented tree with aligned columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...look import THIN_SPACE, format_bytes
from .item import Item, Tree, short_line
from .words import count_text, detail_of, shapes_text

if TYPE_CHECKING:
    from .drawing import Drawing

_HEADS = ("", "node", "from", "shape", "value", "δ", "op", "bytes", "line")
_RIGHT = ("", "op", "bytes")
#: Columns that are left out where there is no room, the first one first.
_DROPPED = ("bytes", "op", "line", "from")
#: Columns of a node's title that are kept when others are dropped, and at the very least.
_ENOUGH_NODE, _LEAST_NODE, _MOST_FROM = 30, 14, 12


def table(drawing: "Drawing", width: int = 100) -> str:
    """A graph as text.

    Every line is a node or a box that is seen; "from" has the numbers of the lines that it reads.

    Args:
        drawing: what is drawn.
        width: columns; what does not fit is left out or shortened.

    Returns:
        Lines without color.
    """
    rows = _rows(drawing)
    kept = [
        place for place, head in enumerate(_HEADS) if place < 2 or any(row[place] for row in rows) or head == "node"
    ]  # fmt: skip
    for name in _DROPPED:
        if _wide([_shorter(row, _ENOUGH_NODE) for row in rows], kept) <= width:
            break
        kept = [place for place in kept if _HEADS[place] != name]
    over = _wide(rows, kept) - width
    most = max(max((len(row[1]) for row in rows if any(row[2:])), default=4) - max(over, 0), _LEAST_NODE)
    # The title of an open box has its line for itself.
    rows = [_shorter(row, most) if any(row[2:]) else row for row in rows]
    widths = [max(len(row[place]) for row in (_HEADS, *rows) if place != 1 or any(row[2:])) for place in kept]
    lines = [f"{drawing.tree.root.title}: {drawing.note}", ""]
    for row in (list(_HEADS), *rows):
        cells = [
            row[place].rjust(size) if _HEADS[place] in _RIGHT else row[place].ljust(size)
            for place, size in zip(kept, widths, strict=True)
        ]
        lines.append(_cut("  ".join(cells).rstrip(), width))
    closed = sum(1 for row in rows if row[1].lstrip().startswith("▸"))
    if closed:
        lines += ["", f"▸ {closed} closed: more inside."]
    return "\n".join(lines).replace(THIN_SPACE, " ")


def _wide(rows: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    rows = [row for row in rows if any(row[2:])]
    return sum(max(len(row[place]) for row in (_HEADS, *rows)) for place in kept) + 2 * (len(kept) - 1)


def _shorter(row: Sequence[str], most: int) -> list[str]:
    return [row[0], _cut(row[1], most), *row[2:]]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def seen(tree: Tree, opened: set[Item]) -> list[Item]:
    """The items that are seen: those whose boxes are all open; of an open box the box, too."""
    found: list[Item] = []

    def walk(box: Item) -> None:
        for child in box.children:
            found.append(child)
            if child in opened:
                walk(child)

    walk(tree.root)
    return found


def shown_as(item: Item, opened: set[Item]) -> Item:
    """An item, or the outermost closed box around it."""
    return next((box for box in item.ancestors() if box.is_box and box not in opened), item)


def sources(drawing: "Drawing") -> dict[Item, list[Item]]:
    """For each item that is seen the seen items that it reads."""
    found: dict[Item, dict[Item, None]] = {}
    for flow in drawing.tree.flows:
        source, target = (shown_as(end, drawing.opened) for end in (flow.source, flow.target))
        if source is not target:
            found.setdefault(target, {})[source] = None
    return {item: list(ends) for item, ends in found.items()}


def _rows(drawing: "Drawing") -> list[list[str]]:
    items = seen(drawing.tree, drawing.opened)
    number = {item: place + 1 for place, item in enumerate(items)}
    reads = sources(drawing)
    rows = []
    for item in items:
        is_open = item in drawing.opened
        forward = None if is_open else drawing.facts.forward(item)
        delta = None if is_open else drawing.facts.delta(item)
        ends = sorted(number[end] for end in reads.get(item, ()))
        rows.append(
            [
                str(number[item]),
                _title(item, drawing),
                "" if is_open else _cut(", ".join(map(str, ends)), _MOST_FROM),
                "" if is_open else shapes_text(item.value, item.node),
                forward.text if forward is not None else "",
                delta.text if delta is not None else "",
                count_text(item.operations) if item.operations and not is_open else "",
                format_bytes(item.nbytes) if not is_open and item.nbytes else "",
                short_line(item.line) if not is_open else "",
            ]
        )
    return rows


def _title(item: Item, drawing: "Drawing") -> str:
    depth = len(item.ancestors()) - 2
    sign = "  " if not item.is_box else "▾ " if item in drawing.opened else "▸ "
    words = item.title
    if item.kind in ("parameter", "constant", "loss", "output"):
        words += f" ({item.kind})" if item.title != item.kind and not item.title.startswith("output") else ""
    elif item.rule is not None:
        words += "" if item.rule.rule.name == item.title else f" ({item.rule.rule.name})"
    elif item.node is not None and item.kind == "operation" and detail_of(item.node):
        words += f" {detail_of(item.node)}"
    if drawing.cards[item].is_bad and item not in drawing.opened:
        words = f"✕ {words}: first not finite"
    elif drawing.facts.is_left_out(item):
        words += ", not taken"
    return "  " * depth + sign + words
