"""One node of a drawing as a card: what is written on it, how large it is, and its shape."""

import dataclasses
from collections.abc import Callable
from html import escape
from typing import Any

from ...look import format_bytes
from .facts import Facts
from .item import CONTROL, Item, code_of
from .words import count_text, detail_of, shapes_text

# Widths of Helvetica's letters in thousandths of the size, from its published metrics; letters not named here are 560.
_WIDTHS = {
    **dict.fromkeys("ijl'|", 222), **dict.fromkeys(" .,:;/\\!It[]f()", 278), **dict.fromkeys("r-·", 333),
    **dict.fromkeys("ckszvxyJ", 500), **dict.fromkeys("TFZL", 611), **dict.fromkeys("ABEKPSVXY&", 667),
    **dict.fromkeys("CDHNRUw", 722), **dict.fromkeys("GOQ", 778), **dict.fromkeys("mM", 833),
    "W": 944, "@": 1015, "%": 889, "\u202f": 140, "δ": 560, "±": 584, "−": 584, "…": 1000, '"': 355, "*": 389,
}  # fmt: skip
LINE, PAD, HEADER = 16.0, 11.0, 30.0
_LONGEST, _LONGEST_CODE = 34, 46
_PORTS = ("carry", "slice", "unchanged")


def text_width(text: str, size: float = 12.0, *, bold: bool = False, mono: bool = False) -> float:
    """How wide a text is, in pixels; a little more than that where the font is not Helvetica's width."""
    if mono:
        return 0.602 * size * len(text)
    return sum(_WIDTHS.get(letter, 560) for letter in text) * size / 1000 * (1.08 if bold else 1.02)


@dataclasses.dataclass(frozen=True)
class Span:
    """A piece of text on a card: where, in which classes, and whether it ends there instead of starting."""

    x: float
    y: float
    text: str
    classes: str = ""
    is_end: bool = False


@dataclasses.dataclass(frozen=True)
class Card:
    """A card.

    Attributes:
        width: in pixels.
        height: in pixels.
        spans: the texts, from the upper left corner.
        shape: the name of the shape.
        is_bad: whether it is marked as where numbers stop being finite.
        is_kept: whether the backward pass keeps its value.
        is_dim: whether it is in a branch that was not taken.
    """

    width: float
    height: float
    spans: tuple[Span, ...]
    shape: str
    is_bad: bool = False
    is_kept: bool = False
    is_dim: bool = False


def shortened(text: str, most: int = _LONGEST) -> str:
    """A text cut in its middle to so many characters."""
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


def summary_of(item: Item) -> str:
    """What is inside of a box, in a few words."""
    count = len(item.nodes)
    parts = [f"{count} operation{'' if count == 1 else 's'}", count_text(item.operations, "op")]
    if item.parameters:
        parts.append(f"{count_text(item.parameters)} parameters")
    return ", ".join(parts)


def title_text(item: Item) -> tuple[str, bool]:
    """What is written largest on an item, and whether it is code."""
    if item.kind == "line":
        return shortened(item.title, _LONGEST_CODE), True
    return shortened(item.title), False


def make_card(item: Item, facts: Facts) -> Card:
    """The card of an item, closed.

    Args:
        item: a node or a box.
        facts: what is known of the values.

    Returns:
        The card.
    """
    title, is_code = title_text(item)
    shape = shapes_text(item.value, item.node)
    is_small = item.kind in _PORTS
    head = "code" if is_code else "soft" if is_small else "title"
    size = 13.5 if head == "title" else 12.0
    head_width = text_width(title, size, bold=head == "title", mono=is_code)
    rows: list[list[tuple[str, str]]] = []
    detail = _detail(item)
    if detail:
        rows.append([(detail, "soft formula" if item.rule is not None else "soft")])
    rows += _numbers(item, facts)
    widths = [sum(text_width(text) for text, _ in row) + (10 if len(row) > 1 else 0) for row in rows]
    inner = max([head_width + (14 + text_width(shape) if shape else 0), *widths, 40])
    # Slanted and pointed shapes need more room at their sides.
    side = PAD + {"parameter": 6.0, "choice": 9.0, "call": 5.0, "input": 4.0}.get(item.kind, 0.0)
    side += 4.0 if item.rule is not None else 0.0
    width, height = inner + 2 * side, LINE * (1 + len(rows)) + (10 if is_small else 14)
    spans = [Span(side, (5 if is_small else 7) + 12, title, head)]
    if shape:
        spans.append(Span(width - side, spans[0].y, shape, "soft", is_end=True))
    for place, row in enumerate(rows):
        y = spans[0].y + LINE * (place + 1)
        x = side
        for text, classes in row:
            spans.append(Span(x, y, text, classes))
            x += 16
    return Card(
        round(width, 1), height, tuple(spans), item.kind,
        is_bad=_holds_bad(item, facts),
        is_kept=item.value is not None and not item.is_box and item.value.id in facts.stored and item.kind != "loss",
        is_dim=facts.is_left_out(item),
    )  # fmt: skip


def _holds_bad(item: Item, facts: Facts) -> bool:
    bad = facts.nonfinite
    return bad is not None and (item.node is bad or any(node is bad for node in item.nodes))


def _detail(item: Item) -> str:
    """What is written under the title: a formula, what is inside, what the operation does beyond its name."""
    if item.rule is not None:
        return item.rule.rule.forward.replace("⊙", "·").replace("-", "−")
    if item.is_box:
        return summary_of(item)
    if item.kind in ("operation", "call") and item.node is not None:
        return detail_of(item.node)
    return ""


def _numbers(item: Item, facts: Facts) -> list[list[tuple[str, str]]]:
    """The rows with the value and with δ."""
    if item.kind == "loss":
        value = facts.forward(item)
        return [[("L", "soft"), (value.text, "")]] if value is not None else []
    rows = []
    if facts.is_left_out(item):
        return [[("not taken", "soft")]]
    value, delta = facts.forward(item), facts.delta(item)
    if value is not None:
        rows.append([("y", "soft"), (value.text, "badtext" if value.nans and not _is_fixed(item) else "")])
    if delta is not None:
        rows.append([("δ", "soft"), (delta.text, "badtext" if delta.nans else "")])
    return rows


def _is_fixed(item: Item) -> bool:
    """Whether it is the same at every call: a NaN there is meant."""
    return all(not node.is_dependent for node in item.nodes) and bool(item.nodes)


def shape_markup(card: Card) -> str:
    """The outline of a card as SVG, its upper left corner at (0, 0)."""
    w, h = card.width, card.height
    named = f"s {card.shape}{' bad' if card.is_bad else ''}"
    drawer = _SHAPES.get(card.shape)
    if drawer is not None:
        return drawer(w, h, named)
    if card.shape in _PORTS:
        return f'<rect class="s port" width="{w}" height="{h}" rx="{h / 2}"/>'
    body = f'<rect class="{named}" width="{w}" height="{h}" rx="6"/>'
    if card.shape == "rule":
        return f'{body}<path class="bar" d="M6,0h3v{h}h-3a6,6 0 0 1-6-6v{12 - h}a6,6 0 0 1 6-6z"/>'
    if card.shape in (*CONTROL, "module", "line", "function", "fixed", "graph"):
        # Sheets underneath say that there is more.
        under = "".join(
            f'<rect class="under" x="{d}" y="{d}" width="{w}" height="{h}" rx="6"/>' for d in (6, 3)
        )
        return under + body
    return body


def _path(d: Callable[[float, float], str], extra: Callable[[float, float], str] | None = None) -> Any:
    def draw(w: float, h: float, named: str) -> str:
        more = extra(w, h) if extra is not None else ""
        return f'<path class="{named}" d="{d(w, h)}"/>{more}'

    return draw


def _tidy(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


_SHAPES = {
    "input": lambda w, h, named: f'<rect class="{named}" width="{w}" height="{h}" rx="{_tidy(min(h / 2, 19))}"/>',
    "parameter": _path(lambda w, h: f"M9,0H{w}L{_tidy(w - 9)},{h}H0Z"),
    "constant": _path(
        lambda w, h: f"M0,0H{_tidy(w - 9)}L{w},9V{h}H0Z",
        lambda w, h: f'<path class="mark" d="M{_tidy(w - 9)},0V9H{w}"/>',
    ),
    "choice": _path(lambda w, h: f"M11,0H{_tidy(w - 11)}L{w},{h / 2}L{_tidy(w - 11)},{h}H11L0,{h / 2}Z"),
    "call": _path(
        lambda w, h: f"M5,0H{_tidy(w - 5)}Q{w},0 {w},5V{h - 5}Q{w},{h} {_tidy(w - 5)},{h}H5Q0,{h} 0,{h - 5}V5Q0,0 5,0Z",
        lambda w, h: f'<path class="mark" d="M6,0V{h}M{_tidy(w - 6)},0V{h}"/>',
    ),
    "loss": _path(
        lambda w, h: _cut(w, h, 0), lambda w, h: f'<path class="mark loss" d="{_cut(w, h, -4)}"/>'
    ),
    "output": _path(
        lambda w, h: _cut(w, h, 0), lambda w, h: f'<path class="mark output" d="{_cut(w, h, -4)}"/>'
    ),
}  # fmt: skip


def _cut(w: float, h: float, by: float) -> str:
    """A rectangle with cut corners, made larger by -by on every side."""
    c, x, y = 9.0, w - by, h - by
    corners = (
        (by + c, by),
        (x - c, by),
        (x, by + c),
        (x, y - c),
        (x - c, y),
        (by + c, y),
        (by, y - c),
        (by, by + c),
    )
    return "M" + "L".join(f"{_tidy(a)},{_tidy(b)}" for a, b in corners) + "Z"


def card_markup(card: Card, fill: tuple[str, str] | None = None) -> str:
    """A card as SVG, its upper left corner at (0, 0).

    Args:
        card: the card.
        fill: a color for it, and one for the text on it.

    Returns:
        Elements for a group.
    """
    body = shape_markup(card)
    ink = ""
    if fill is not None:
        head, _, rest = body.rpartition('class="s ')
        body = f'{head}style="fill:{fill[0]}" class="s {rest}'
        ink = f' style="fill:{fill[1]}"'
    for span in card.spans:
        end = ' text-anchor="end"' if span.is_end else ""
        body += (
            f'<text class="{span.classes}" x="{_tidy(span.x)}" y="{_tidy(span.y)}"{end}{ink}>'
            f"{escape(span.text, quote=False)}</text>"
        )
    if card.is_kept:
        x, y = _tidy(card.width - 17), _tidy(card.height - 3)
        body += f'<rect class="kept" x="{x}" y="{y}" width="10" height="6" rx="1"/>'
    return body


def tip(item: Item) -> str:
    """A line for a pointer that rests on an item: code and bytes."""
    code = code_of(item.line)
    return f"{item.title}: {code}" if code else f"{item.title}, {format_bytes(item.nbytes)}"
