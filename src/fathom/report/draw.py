"""From an Altair chart to an inline SVG that takes its colors from the page around it."""

import dataclasses
import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

#: Colors by meaning; the page's style sheet says what they are on a light and on a dark ground.
INK, MUTED, RULE = "var(--ink)", "var(--muted)", "var(--rule)"
TRAINING, VALIDATION, TEST, BAD = "var(--training)", "var(--validation)", "var(--test)", "var(--bad)"
#: Members and classes, in order.
MEMBERS = tuple(f"var(--member-{number})" for number in range(1, 5))

Rows = Sequence[Mapping[str, Any]]
#: Of a chart that is compared with others.
WIDTH, HEIGHT = 400, 250
_SIZE = 13


@dataclasses.dataclass(frozen=True)
class Figure:
    """A chart on the page.

    Attributes:
        title: what it shows, as a statement.
        svg: the picture; several are alternatives for different widths, the widest first.
        caption: what is drawn, with how many.
        key: a color and what it stands for.
    """

    title: str
    svg: tuple[str, ...]
    caption: str
    key: tuple[tuple[str, str], ...] = ()


def padded(values: Sequence[float], most: float = math.inf) -> list[float]:
    """The ends of an axis that holds these values with some room, but next to none above `most`."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    gap = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return [low - gap, max(high, min(high + gap, most + gap / 4))]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten between two numbers, with 2 and 5 between them where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if math.log10(high / low) > 2.5 else (1, 2, 5) if math.log10(high / low) < 1.5 else (1, 3)
    found = [float(f"{step}e{power}") for power in powers for step in steps]
    return [value for value in found if low * 0.999 <= value <= high * 1.001]


def config() -> dict[str, Any]:
    """How every chart looks: thin rules, no frame, the page's own type."""
    axis = {
        "domainColor": RULE,
        "tickColor": RULE,
        "gridColor": RULE,
        "labelColor": MUTED,
        "titleColor": MUTED,
        "labelFontSize": _SIZE,
        "titleFontSize": _SIZE,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelPadding": 5,
        "tickSize": 4,
    }
    return {
        "background": "transparent",
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False},
        "text": {"fontSize": _SIZE, "color": INK},
        "padding": {"left": 14, "right": 14, "top": 4, "bottom": 2},
    }


@functools.lru_cache(maxsize=1)
def vega_lite() -> str:
    """The version of Vega-Lite that Altair writes, as vl-convert names it."""
    import altair as alt

    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


def to_svg(chart: Any, data: Mapping[str, Rows], label: str, name: str = "chart") -> str:
    """A chart as inline SVG.

    Args:
        chart: an Altair chart over named data.
        data: the rows of each name.
        label: what the picture says, for who does not see it.
        name: a word for the SVG's own identifiers, so that two pictures on a page do not share one.

    Returns:
        One ``svg`` element that scales to the width it is given.
    """
    import vl_convert

    spec = chart.to_dict(validate=False)
    spec["config"] = config()
    spec["datasets"] = data
    svg = vl_convert.vegalite_to_svg(json.dumps(spec), vl_version=vega_lite())
    svg = re.sub(r'(id="|url\(#|href="#)(\w)', rf"\g<1>{name}-\g<2>", svg)
    head = re.search(r"<svg[^>]*viewBox=\"([^\"]*)\"[^>]*>", svg)
    assert head is not None
    inner = svg[head.end() :]
    # One label for the whole: a reader of screens gets the sentence, not a list of a thousand points.
    inner = re.sub(r' (?:aria-[a-z]+|role)="[^"]*"', "", inner)
    inner = re.sub(r' font-family="[^"]*"', "", inner)
    inner = re.sub(r'<rect width="[\d.]+" height="[\d.]+" fill="transparent"\s*/>', "", inner)
    width = head[1].split()[2]
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="{head[1]}" style="--width:{width}px">{inner}'
    )
