"""A chart of the report: an Altair chart over named rows, and the pictures made from it."""

import dataclasses
import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .palette import INK, MUTED, RULE

Rows = Sequence[Mapping[str, Any]]
#: Pixels of a picture before a script fits it to the page; heights are final.
WIDTH, HEIGHT = 470, 290
_SIZE = 13
_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


@dataclasses.dataclass(frozen=True)
class Key:
    """An entry of a chart's key.

    Attributes:
        color: of what it stands for.
        text: what it stands for.
        value: what choosing it sets the chart's parameter "picked" to; None where there is nothing to choose.
    """

    color: str
    text: str
    value: Any = None


@dataclasses.dataclass(frozen=True)
class Figure:
    """A chart with everything that is said about it.

    Attributes:
        name: a word for files and identifiers.
        title: what it shows, as a statement.
        caption: what is drawn, with how many.
        chart: an Altair chart over named data.
        data: the rows of each name.
        columns: of the table that says the same in numbers: a field of the rows and its heading.
        rows: the name of the rows that the table holds.
        key: what the colors stand for.
        height: in pixels.
        zoom: whether it can be zoomed into.
        most: pixels that it is wide at most; 0 for all there is.
    """

    name: str
    title: str
    caption: str
    chart: Any
    data: Mapping[str, Rows]
    columns: Sequence[tuple[str, str]] = ()
    rows: str = "rows"
    key: tuple[Key, ...] = ()
    height: int = HEIGHT
    zoom: bool = False
    most: int = 0

    @property
    def width(self) -> int:
        """Pixels of the picture before it is fitted to the page."""
        return self.most or WIDTH

    def table(self) -> Rows:
        """The rows of the table that says the same in numbers."""
        return self.data.get(self.rows, ())


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


def tips(*fields: tuple[str, str]) -> list[Any]:
    """What is told of a mark when it is pointed at: a field of the rows, as text, and its heading."""
    import altair as alt

    # Vega-Lite writes a heading into an expression as it stands, but for quotes.
    return [
        alt.Tooltip(field=field, title=" ".join(heading.split()).replace("\\", "\\\\"), type="nominal")
        for field, heading in fields
    ]


def rows_of(name: str, **more: Any) -> Any:
    """A chart over the rows of a name."""
    import altair as alt

    return alt.Chart(alt.NamedData(name), **more)


def share_axis(channel: Any, field: str, title: str) -> Any:
    """An axis from 0 to 100 %."""
    import altair as alt

    axis = alt.Axis(format=".0%", tickCount=5, grid=True)
    return channel(field, title=title, scale=alt.Scale(domain=[0, 1], nice=False), axis=axis)


def zooming() -> Any:
    """Dragging moves the axes, the wheel with Control zooms, a double click goes back; a finger scrolls the page."""
    import altair as alt

    drag = "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!"
    return alt.selection_interval(
        name="zoom",
        bind="scales",
        encodings=["x", "y"],
        translate=drag,
        zoom="wheel![event.ctrlKey || event.metaKey]",
    )


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
        "labelOverlap": "greedy",
        "labelSeparation": 6,
    }
    legend = {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "labelFontSize": _SIZE,
        "titleFontSize": _SIZE,
        "titleFontWeight": "normal",
        "orient": "top",
        "gradientLength": 180,
        "gradientThickness": 8,
        "gradientStrokeColor": RULE,
        "offset": 8,
    }
    return {
        "background": "transparent",
        "font": _FONT,
        "locale": {"number": {"decimal": ".", "thousands": "\u202f", "grouping": [3], "currency": ["", ""]}},
        "aria": False,
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False},
        "legend": legend,
        "text": {"fontSize": _SIZE, "color": INK},
        "padding": {"left": 1, "right": 14, "top": 6, "bottom": 2},
    }


@functools.lru_cache(maxsize=1)
def vega_lite() -> str:
    """The version of Vega-Lite that Altair writes, as vl-convert names it."""
    import altair as alt

    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


def vega_lite_spec(figure: Figure) -> dict[str, Any]:
    """A figure as a whole Vega-Lite specification whose size holds axes and all."""
    spec = figure.chart.to_dict(validate=False)
    spec["config"] = config()
    spec["datasets"] = {
        **spec.get("datasets", {}),
        **{n: list(rows) for n, rows in figure.data.items()},
    }
    spec["width"], spec["height"] = figure.width, figure.height
    spec["autosize"] = {"type": "fit", "contains": "padding"}
    return spec


def to_vega(figure: Figure) -> dict[str, Any]:
    """A figure as a Vega specification: what the page's script runs, and what its still picture is made from."""
    import vl_convert

    # Its expressions hold names as they stand, in which these two end a line.
    text = re.sub(r"(?<!\\)((?:\\\\)*)\\u202[89]", r"\1 ", json.dumps(vega_lite_spec(figure)))
    spec = vl_convert.vegalite_to_vega(text, vl_version=vega_lite())
    spec.pop("$schema", None)
    return spec


def to_svg(vega: Mapping[str, Any], name: str) -> str:
    """A Vega specification as inline SVG that takes its colors from the page around it.

    Args:
        vega: the specification.
        name: a word for the SVG's own identifiers, so that two pictures on a page do not share one.

    Returns:
        One ``svg`` element that scales to the width it is given; what it says is told by the element around it.
    """
    import vl_convert

    svg = vl_convert.vega_to_svg(json.dumps(vega))
    svg = re.sub(r'(id="|url\(#|href="#)(\w)', rf"\g<1>{name}-\g<2>", svg)
    head = re.search(r"<svg[^>]*viewBox=\"([^\"]*)\"[^>]*>", svg)
    assert head is not None
    inner = svg[head.end() :]
    # One label for the whole: a reader of screens gets the sentence, not a list of a thousand points.
    inner = re.sub(r' (?:aria-[a-z]+|role|class|pointer-events|font-family)="[^"]*"', "", inner)
    inner = re.sub(r'<rect width="[\d.]+" height="[\d.]+" fill="transparent"\s*/>', "", inner)
    inner = re.sub(r"(\d+\.\d\d)\d+", r"\1", inner)
    return f'<svg class="still" aria-hidden="true" viewBox="{head[1]}">{inner}'


def picture(figure: Figure, vega: Mapping[str, Any]) -> str:
    """The chart's place on the page: a still picture that a script may replace by a living one of the same size."""
    label = f"{figure.title}. {figure.caption}"
    zoom = " data-zoom" if figure.zoom else ""
    most = f";max-width:{figure.most}px" if figure.most else ""
    return (
        f'<div class="chart" role="img" aria-label="{escape(label)}" data-chart="{figure.name}"{zoom} '
        f'style="--height:{figure.height}px{most}">{to_svg(vega, figure.name)}</div>'
    )
