"""The sensitivity map: score over learning rate and weight decay, or over the two numbers that matter most."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..look import format_number, format_uncertain
from .chart import Figure, log_ticks, rows_of, tips
from .palette import BAD, INK, MUTED, WASH
from .record import Candidate, Record, say
from .sweeps import effect, is_number

_GRID = 12  # values of a setting up to which the map is a grid of cells


def sensitivity_figure(record: Record) -> Figure | None:
    """Validation score over two settings that were varied together.

    Args:
        record: the run.

    Returns:
        The figure; None where fewer than two numbers were varied.
    """
    pair = mapped_settings(record)
    if pair is None or not any(math.isfinite(c.score) for c in record.candidates):
        return None
    values = [sorted({c.settings[name] for c in record.candidates}) for name in pair]
    cells = len(values[0]) * len(values[1])
    grid = max(map(len, values)) <= _GRID and cells <= 2 * len(record.candidates)
    rows = _cells(record, pair) if grid else [_row(record, c, pair) for c in record.candidates]
    low, high = _color_ends(record, rows)
    for row in rows:
        row["shade"] = None if row["score"] is None else min(max(row["score"], low), high)
        place = 0.0 if row["shade"] is None or high == low else (row["shade"] - low) / (high - low)
        row["dark"] = (place if record.rising else 1 - place) < 0.55
    words = [name.replace("_", " ") for name in pair]
    chart = (_grid_chart if grid else _scatter_chart)(record, rows, words, values, (low, high))
    columns = (
        ("say_x", words[0]),
        ("say_y", words[1]),
        ("score", record.metric),
        ("status", "ended"),
    )
    return Figure(
        "sensitivity",
        _title(record, pair, words),
        _caption(record, rows, words, grid),
        chart,
        {"rows": rows},
        columns,
        height=340,
    )


def mapped_settings(record: Record) -> tuple[str, str] | None:
    """The two settings of the map: learning rate and weight decay, else the two numbers with most effect."""
    names = [n for n in record.varied if all(is_number(c.settings.get(n)) for c in record.candidates)]
    names = [n for n in names if n != "epochs"]
    order = {"learning_rate": 0, "weight_decay": 1}
    names.sort(key=lambda n: (order.get(n, 2), -effect(record, n)))
    return (names[0], names[1]) if len(names) > 1 else None


def _row(record: Record, c: Candidate, pair: tuple[str, str], alike: int = 1) -> dict[str, Any]:
    failed = c.status == "diverged" or not math.isfinite(c.score)
    x, y = (c.settings[name] for name in pair)
    return {
        "x": x,
        "y": y,
        "say_x": say(x),
        "say_y": say(y),
        "score": None if failed else c.score,
        "text": "✕" if failed else format_number(c.score),
        "say_score": "diverged" if failed else format_uncertain(c.score, c.spread),
        "status": c.status,
        "kind": "failed" if failed else "dropped" if not c.rank else "ranked",
        "best": c.rank == 1,
        "about": record.about(c),
        "alike": alike,
    }


def _cells(record: Record, pair: tuple[str, str]) -> list[dict[str, Any]]:
    """One row a cell of the grid: the best of the candidates that share it; candidates come best first."""

    def key(c: Candidate) -> tuple[Any, ...]:
        return tuple(c.settings[name] for name in pair)

    groups = itertools.groupby(sorted(record.candidates, key=key), key)
    found = []
    for _, group in groups:
        alike = sorted(group, key=lambda c: (c.rank == 0, c.rank, c.status == "diverged"))
        found.append(_row(record, alike[0], pair, len(alike)))
    return found


def _color_ends(record: Record, rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Scores between which colors change: the better three quarters, so that a hopeless one does not flatten them."""
    scores = sorted(
        (row["score"] for row in rows if row["score"] is not None),
        reverse=record.rising,
    )
    kept = scores[: max(3, math.ceil(0.75 * len(scores)))]
    return min(kept), max(kept)


def _shade(record: Record, ends: tuple[float, float]) -> Any:
    import altair as alt

    scale = alt.Scale(scheme="viridis", domain=list(ends), reverse=not record.rising)
    legend = alt.Legend(title=f"validation {record.metric}", tickCount=3, format=".3~g", titleLimit=240)
    return alt.Color("shade:Q", scale=scale, legend=legend if ends[0] < ends[1] else None)


def _grid_chart(record: Record, rows: Any, words: list[str], values: list[list[float]], ends: Any) -> Any:
    import altair as alt

    orders = [[say(v) for v in found] for found in values]
    x = alt.X("say_x:N", title=words[0], sort=orders[0], axis=alt.Axis(labelAngle=0))
    y = alt.Y("say_y:N", title=words[1], sort=orders[1][::-1])
    told = tips(
        ("about", "settings"),
        ("say_score", record.metric),
        ("status", "ended"),
        ("alike", "candidates here"),
    )
    base = rows_of("rows").encode(x=x, y=y)
    inner = {"width": alt.RelativeBandSize(0.96), "height": alt.RelativeBandSize(0.96)}
    rects = base.mark_rect(cornerRadius=2, **inner).encode(color=_shade(record, ends), tooltip=told)
    failed = base.mark_rect(cornerRadius=2, **inner).transform_filter("datum.kind === 'failed'")
    ring = base.mark_rect(filled=False, strokeWidth=2.5, cornerRadius=2, **inner).transform_filter(
        "datum.best"
    )
    layers = [
        rects.transform_filter("datum.kind !== 'failed'"),
        failed.encode(color=alt.value(WASH), tooltip=told),
        ring.encode(stroke=alt.value(INK)),
    ]
    ink = alt.condition("datum.dark", alt.value("#ffffff"), alt.value("#16202e"))
    if len(values[0]) <= 8:
        text = base.mark_text(fontSize=12).encode(text="text:N")
        layers.append(text.transform_filter("datum.kind !== 'failed'").encode(color=ink))
    cross = base.mark_text(fontSize=14, fontWeight="bold").encode(text="text:N", color=alt.value(BAD))
    return alt.layer(*layers, cross.transform_filter("datum.kind === 'failed'"))


def _scatter_chart(record: Record, rows: Any, words: list[str], values: list[list[float]], ends: Any) -> Any:
    import altair as alt

    def axis(channel: Any, field: str, word: str, found: list[float]) -> Any:
        log = found[0] > 0 and found[-1] / found[0] >= 10
        ticks = log_ticks(found[0], found[-1]) if log else alt.Undefined
        scale = alt.Scale(type="log" if log else "linear", zero=False, nice=False, padding=12)
        title = word + " (log scale)" * log
        return channel(
            field,
            title=title,
            scale=scale,
            axis=alt.Axis(format=".3~g", values=ticks, tickCount=6),
        )

    x, y = (
        axis(alt.X, "x:Q", words[0], values[0]),
        axis(alt.Y, "y:Q", words[1], values[1]),
    )
    told = tips(("about", "settings"), ("say_score", record.metric), ("status", "ended"))
    base = rows_of("rows").encode(x=x, y=y, tooltip=told)
    # A rim, for the darkest color on a dark ground.
    rim = {"stroke": MUTED, "strokeWidth": 0.7}
    ranked = base.mark_point(filled=True, size=120, opacity=1, **rim).transform_filter(
        "datum.kind === 'ranked'"
    )
    dropped = base.mark_point(filled=True, size=40, opacity=1, **rim).transform_filter(
        "datum.kind === 'dropped'"
    )
    failed = base.mark_point(shape="cross", size=70, angle=45, filled=True, opacity=1)
    ring = base.mark_point(size=260, strokeWidth=2, opacity=1).transform_filter("datum.best")
    return alt.layer(
        dropped.encode(color=_shade(record, ends)),
        ranked.encode(color=_shade(record, ends)),
        failed.transform_filter("datum.kind === 'failed'").encode(color=alt.value(BAD)),
        ring.encode(stroke=alt.value(INK)),
    )


def _title(record: Record, pair: tuple[str, str], words: list[str]) -> str:
    best = record.candidates[0].settings
    where = f"{words[0]} {say(best[pair[0]])} and {words[1]} {say(best[pair[1]])}"
    strength = [effect(record, name) for name in pair]
    if max(strength) >= 0.5 and max(strength) > 2 * min(strength):
        place = strength.index(max(strength))
        return f"{words[place].capitalize()} matters more than {words[1 - place]}; best at {where}"
    return f"Best at {where}"


def _caption(record: Record, rows: Sequence[Mapping[str, Any]], words: list[str], grid: bool) -> str:
    each, kinds = len(record.candidates[0].members), [row["kind"] for row in rows]
    what = "A cell is" if grid else "A dot is"
    most = max(row["alike"] for row in rows)
    mean = f"the mean over its n = {each} members (seeds and folds)" if each > 1 else "one member"
    caption = f"{len(record.candidates)} candidates. {what} a candidate"
    caption += f", the best of up to {most} that share it" if most > 1 else ""
    caption += f"; its color is its validation {record.metric}, {mean}; brighter is better."
    caption += f" {'Frame' if grid else 'Ring'}: the one chosen."
    if not grid and "dropped" in kinds:
        caption += " Small: dropped early, at the score they had then."
    if "failed" in kinds:
        caption += " ✕: diverged."
    if words[0] != "learning rate" or words[1] != "weight decay":
        caption += " These two have most to do with the score."
    return caption
