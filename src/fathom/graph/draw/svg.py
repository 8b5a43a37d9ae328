"""A scene as SVG, for a paper and for a notebook."""

import math
from collections.abc import Callable, Sequence
from html import escape

from ...errors import one_of
from ...look import format_bytes
from .cards import Card, card_markup, shape_markup, summary_of, text_width, tip, title_text
from .item import CONTROL, Item
from .palette import DARK, LIGHT, VIRIDIS, style, viridis
from .scene import Frame, Scene
from .words import count_text

#: What may color the nodes, with what is written on the key.
COLORS = {
    "operations": "operations of one call",
    "bytes": "bytes computed",
}
THEMES = {"light": LIGHT, "dark": DARK}
_EDGE = 20.0
_LOOP = "M{x},{y}a5,5 0 1 1-3.4-4.7m-.6-3.4l1.2,3.6l-3.6,1.2"


class Scale:
    """Colors of nodes by operations or bytes, on a logarithmic scale.

    Args:
        by: a name in `COLORS`, or None for no color.
        items: the items that will be seen.
    """

    def __init__(self, by: str | None, items: Sequence[Item]):
        if by is not None and by not in COLORS:
            raise one_of("color", by, COLORS)
        self.by = by
        amounts = [amount for item in items if (amount := self.amount(item)) > 0]
        self.low, self.high = (min(amounts), max(amounts)) if amounts else (1, 1)

    def amount(self, item: Item) -> int:
        """What the color of an item says."""
        if self.by is None or item.kind in ("loss", "output"):
            return 0
        return item.operations if self.by == "operations" else item.nbytes

    def share(self, item: Item) -> float | None:
        """The place of an item between the least and the most; None for nothing."""
        amount = self.amount(item)
        if amount <= 0:
            return None
        span = math.log(self.high / self.low) if self.high > self.low else 1.0
        return math.log(amount / self.low) / span

    def fill(self, item: Item) -> tuple[str, str] | None:
        """Color of a card and of its text."""
        share = self.share(item)
        return viridis(share) if share is not None else None

    @property
    def ends(self) -> tuple[str, str]:
        """The least and the most in words."""
        say: Callable[[int], str] = format_bytes if self.by == "bytes" else count_text
        return say(self.low), say(self.high)


def scene_svg(
    scene: Scene, title: str, note: str, key: Sequence[tuple[str, str]], scale: Scale, theme: str, width: float | None
) -> str:  # fmt: skip
    """A whole picture.

    Args:
        scene: what is drawn.
        title: what it shows.
        note: a line under the title.
        key: kinds of items that are seen, each with a word for it.
        scale: the colors.
        theme: "light" or "dark".
        width: in pixels; None for the natural one.

    Returns:
        An SVG document.
    """
    if theme not in THEMES:
        raise one_of("theme", theme, THEMES)
    colors = THEMES[theme]
    head = 54.0
    entries, foot, key_width = _key(key, scale)
    inner = max(scene.width, key_width, text_width(title, 18, bold=True), text_width(note))
    whole, tall = inner + 2 * _EDGE, head + scene.height + foot + 2 * _EDGE
    left = _EDGE + (inner - scene.width) / 2
    shown = width if width is not None else whole
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fathom-graph" role="img" width="{shown:.0f}" '
        f'height="{shown * tall / whole:.0f}" viewBox="0 0 {whole:.1f} {tall:.1f}">',
        f"<title>{escape(title)}</title><desc>{escape(note)}</desc>",
        f"<style>\n{style(colors)}\n</style>",
        f'<rect width="{whole:.1f}" height="{tall:.1f}" fill="{colors.ground}"/>',
        f'<text x="{_EDGE}" y="{_EDGE + 18}" class="head" style="font-size:18px">{escape(title)}</text>',
        f'<text x="{_EDGE}" y="{_EDGE + 37}" class="soft">{escape(note)}</text>',
        f'<g transform="translate({left:.1f},{_EDGE + head:.1f})">',
        *_body(scene, scale),
        "</g>",
        f'<g transform="translate({_EDGE},{_EDGE + head + scene.height:.1f})">{entries}</g>',
        "</svg>",
    ]
    return "\n".join(parts)


def _body(scene: Scene, scale: Scale) -> list[str]:
    parts = [_frame(frame) for frame in scene.frames]
    tips = []
    for line in sorted(scene.lines, key=lambda line: not line.is_light):
        parts.append(f'<path class="{"light" if line.is_light else "flow"}" d="{line.path}"/>')
        if line.tip is not None:
            tips.append(tip_path(*line.tip))
    parts.append(f'<path class="tip" d="{"".join(tips)}"/>' if tips else "")
    parts += [header_markup(frame.item, frame.x, frame.y, frame.width, frame.depth) for frame in scene.frames]
    for place in scene.places:
        dim = ' opacity="0.45"' if place.card.is_dim else ""
        parts.append(
            f'<g class="{place.item.kind}" transform="translate({place.x},{place.y})"{dim}>'
            f"<title>{escape(tip(place.item))}</title>{card_markup(place.card, scale.fill(place.item))}</g>"
        )
    return [part for part in parts if part]


def tip_path(x: float, y: float) -> str:
    """An arrowhead that points down at (x, y)."""
    return f"M{x:.1f},{y:.1f}l-3.6-7q3.6,1.6 7.2,0z"


def _frame(frame: Frame) -> str:
    deep = " deep" if frame.depth % 2 == 0 else ""
    return (
        f'<rect class="frame{deep} {frame.item.kind}" x="{frame.x}" y="{frame.y}" width="{frame.width}" '
        f'height="{frame.height}" rx="9"/>'
    )


def header_markup(item: Item, x: float, y: float, width: float, depth: int) -> str:
    """The header of an open box at its upper left corner; what is inside is said where there is room."""
    title, is_code = title_text(item)
    size = 12.0 if is_code else 13.0
    start, sign = x + 14, ""
    if item.kind in ("scan", "while"):
        sign = f'<path class="loop" d="{_LOOP.format(x=f"{x + 25:.1f}", y=f"{y + 15:.1f}")}"/>'
        start += 18
    wide = text_width(title, size, bold=not is_code, mono=is_code)
    summary = summary_of(item)
    halo = start - x + wide + 16 + text_width(summary)
    if halo > width - 4:
        summary, halo = "", start - x + wide + 4
    deep = " deep" if depth % 2 == 0 else ""
    return (
        f'<rect class="halo{deep}" x="{x + 8:.1f}" y="{y + 6:.1f}" width="{halo - 4:.1f}" height="20"/>{sign}'
        f'<text class="{"code" if is_code else "head"}" x="{start:.1f}" y="{y + 20:.1f}">{escape(title)}</text>'
        + (
            f'<text class="soft" x="{start + wide + 10:.1f}" y="{y + 20:.1f}">{summary}</text>'
            if summary
            else ""
        )
    )


def _key(key: Sequence[tuple[str, str]], scale: Scale) -> tuple[str, float, float]:
    """The key under a picture: its markup, its height and its width."""
    parts, x, y, widest = [], 0.0, 26.0, 0.0
    for kind, words in key:
        wide = 34 + text_width(words) + 20
        if x + wide > 620 and x:
            x, y = 0.0, y + 24
        if kind == "kept":
            mark = f'<rect class="kept" x="{x + 8}" y="{y + 4}" width="10" height="6" rx="1"/>'
        elif kind == "text":
            mark, wide = "", wide - 34
        else:
            shape = shape_markup(Card(50.0, 28.0, (), kind))
            mark = f'<g transform="translate({x},{y}) scale(.5)">{shape}</g>'
        shift = 0 if kind == "text" else 34
        parts.append(f'{mark}<text class="soft" x="{x + shift}" y="{y + 11}">{escape(words)}</text>')
        x += wide
        widest = max(widest, x)
    if scale.by is not None:
        y += 26
        steps = "".join(
            f'<rect x="{12 * i}" y="{y}" width="12.5" height="12" fill="{color}"/>'
            for i, color in enumerate(VIRIDIS)
        )
        low, high = scale.ends
        words = f"{low} to {high} {COLORS[scale.by]}, logarithmic"
        parts.append(
            f'{steps}<text class="soft" x="{12 * len(VIRIDIS) + 12}" y="{y + 10}">{escape(words)}</text>'
        )
        widest = max(widest, 12 * len(VIRIDIS) + 12 + text_width(words))
    return "".join(parts), (y + 24 if parts else 0.0), widest


_WORDS = {
    "input": "input",
    "parameter": "parameter",
    "constant": "constant",
    "operation": "operation",
    "call": "closed call",
    "rule": "textbook rule",
    "choice": "decision",
    "carry": "from step to step",
    "loss": "loss",
    "output": "result",
}


def key_of(
    items: Sequence[Item], cards: dict[Item, Card], has_delta: bool, has_values: bool
) -> list[tuple[str, str]]:
    """The entries of the key that the drawing needs."""
    kinds = {item.kind for item in items}
    kinds |= {"carry"} if kinds & {"slice", "unchanged"} else set()
    found = [(kind, words) for kind, words in _WORDS.items() if kind in kinds]
    if kinds & {"module", "line", "function", "fixed", *CONTROL}:
        found.append(("module", "more inside"))
    if any(cards[item].is_kept for item in items):
        found.append(("kept", "kept for the backward pass"))
    if has_values:
        found.append(("text", "y: mean ± spread of the value" + ("; δ = ∂L/∂y" if has_delta else "")))
    return found
