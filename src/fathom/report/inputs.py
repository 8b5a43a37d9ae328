"""What it looks at: how much the score needs each column, and how predictions follow it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..look import format_count, format_number
from .chart import Figure, Key, padded, rows_of, tips
from .palette import INK, MEMBERS, MUTED, TEST
from .record import Record

_BARS = 20  # columns drawn
#: Half of what an axis may span: the charts' own arithmetic holds no steps beyond it.
_LEAST_AXIS, _MOST_AXIS = 1e-290, 1e290
_MISSING = "(missing)"


def importance_figure(record: Record) -> Figure | None:
    """How much worse the score gets when a column's values are shuffled.

    Args:
        record: the run.

    Returns:
        The figure; None without evidence of it.
    """
    found = record.evidence.importance
    if not found:
        return None
    rows = [
        {
            "feature": _named(row["feature"], place, found),
            "mean": row["mean"],
            "low": row["low"],
            "high": row["high"],
            "text": format_number(float(row["mean"])),
            "say_interval": f"{format_number(float(row['low']))} to {format_number(float(row['high']))}",
        }
        for place, row in enumerate(found)
    ]
    shown = rows[:_BARS]
    grid = _grid([row["feature"] for row in found])
    worse = "drop" if record.rising else "rise"
    of = {"ensemble": "the ensemble", "chosen": "the chosen network"}.get(
        record.evidence.importance_of or "", ""
    )
    repeats = found[0].get("repeats", 1)
    rows_kept = len(record.evidence.test) if record.evidence.test is not None else 0
    caption = f"The {worse} of test {record.metric} of {of or 'the model'} when a column's values are shuffled among "
    caption += f"the rows: mean of {repeats} shuffle{'s' * (repeats > 1)}, line: 95 % interval over "
    caption += f"n = {format_count(rows_kept)} rows. Columns that say the same share their weight."
    if grid:
        for row, (down, across) in zip(rows, grid, strict=True):
            row |= {"down": down, "across": across}
        caption += " A cell is the pixel that a column holds; brighter matters more."
    elif len(rows) > len(shown):
        caption += f" The first {len(shown)} of {len(rows)} columns; all are in the table."
    columns = (
        ("feature", "column"),
        ("mean", f"{worse} of {record.metric}"),
        ("low", "95 % from"),
        ("high", "to"),
    )
    axis = f"{worse} of test {record.metric}"
    chart = _pixel_chart(axis) if grid else _importance_chart(shown, axis)
    data = {"rows": shown, "all": rows}
    most = round(280 * (1 + max(a for _, a in grid)) / (1 + max(d for d, _ in grid))) if grid else 0
    height = 340 if grid else 24 * max(3, len(shown)) + 62
    title = _importance_title(rows, worse, record)
    return Figure("importance", title, caption, chart, data, columns, "all", height=height, most=most)


def _grid(names: Sequence[str]) -> list[tuple[int, int]] | None:
    """Line and column of each pixel, where every name is one of a whole picture's, as in ``pixel_2_5``."""
    found = [re.fullmatch(r"(.*\D)(\d+)_(\d+)", str(name)) for name in names]
    places = {(int(m[2]), int(m[3])): m[1] for m in found if m is not None}
    if len(places) < max(16, len(names)) or len(set(places.values())) > 1:
        return None
    tall, wide = (len({place[axis] for place in places}) for axis in (0, 1))
    return [(int(m[2]), int(m[3])) for m in found if m is not None] if tall * wide == len(names) else None


def _pixel_chart(axis: str) -> Any:
    import altair as alt

    plain = {"axis": alt.Axis(labels=False, ticks=False, domain=False, grid=False), "title": None}
    legend = alt.Legend(title=axis, tickCount=3, titleLimit=260)
    told = tips(("feature", "column"), ("text", axis), ("say_interval", "95 % interval"))
    cells = (
        rows_of("all")
        .mark_rect(cornerRadius=1)
        .encode(x=alt.X("across:O", **plain), y=alt.Y("down:O", **plain))
    )
    return alt.layer(
        cells.encode(
            color=alt.Color("mean:Q", scale=alt.Scale(scheme="viridis"), legend=legend), tooltip=told
        )
    )


def _named(name: str, place: int, found: Sequence[Mapping[str, Any]]) -> str:
    """A column's name, cut so that it fits beside its bar and still is no other's."""
    if len(name) <= 48:
        return name
    short = f"{name[:30]}…{name[-14:]}"
    return short if sum(n["feature"][:30] == name[:30] for n in found) == 1 else f"{short} ({place + 1})"


def _importance_title(rows: Sequence[Mapping[str, Any]], worse: str, record: Record) -> str:
    first = rows[0]
    matter = sum(row["low"] > 0 for row in rows)
    if not matter:
        return "No single column matters beyond chance"
    name = first["feature"] if len(first["feature"]) <= 30 else first["feature"][:29] + "…"
    title = f"{name} matters most: without it {record.metric} {worse}s"
    title += f" by {first['text']}"
    return (
        title
        if matter > 1 or len(rows) == 1
        else f"Only {name} matters beyond chance: {worse} of {first['text']}"
    )


def _importance_chart(rows: Sequence[Mapping[str, Any]], axis: str) -> Any:
    import altair as alt

    y = alt.Y(
        "feature:N",
        sort=[row["feature"] for row in rows],
        title=None,
        axis=alt.Axis(labelLimit=150, labelColor=INK, domain=False, ticks=False),
    )
    ends = padded([0.0, *(row[end] for row in rows for end in ("low", "high"))])
    scale = alt.Scale(domain=ends, nice=False)
    x = alt.X(
        "mean:Q",
        title=axis,
        scale=scale,
        axis=alt.Axis(grid=True, tickCount=5),
    )
    told = tips(("feature", "column"), ("text", axis), ("say_interval", "95 % interval"))
    base = rows_of("rows").encode(y=y, tooltip=told)
    bars = base.mark_bar(height=12, opacity=0.9).encode(x=x, color=alt.value(TEST))
    lines = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q"), x2="high:Q", color=alt.value(INK))
    return alt.layer(bars, lines)


def dependence_figures(record: Record) -> list[Figure]:
    """How predictions follow the columns that matter most, one figure a column.

    Args:
        record: the run.

    Returns:
        The figures, most important column first.
    """
    found = record.evidence.dependence or []
    classes = [str(name) for name in record.summary["data"]["classes"]]
    shown = _shown_classes(found, classes)
    limits = _limits(found, shown if classes else [0])
    figures = [_dependence(record, part, place, classes, shown, limits) for place, part in enumerate(found)]
    return [figure for figure in figures if figure is not None]


def _shown_classes(found: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> list[int]:
    """The classes whose probability moves most, at most four; of two the second alone says it all."""
    if len(classes) == 2:
        return [1]
    spans = np.zeros(len(classes))
    for part in found:
        means = np.asarray(part["mean"], dtype=float)
        if means.ndim == 2 and len(means):
            spans = np.maximum(spans, means.max(axis=0) - means.min(axis=0))
    return sorted(np.argsort(-spans, kind="stable")[: len(MEMBERS)].tolist())


def _limits(found: Sequence[Mapping[str, Any]], lines: Sequence[int]) -> list[float]:
    """One scale for all, so that a column that moves predictions more looks so."""
    values: list[float] = []
    for part in found:
        for name in ("mean", "low", "high"):
            if part.get(name) is not None and len(part["grid"]):
                block = np.asarray(part[name], dtype=float).reshape(len(part["grid"]), -1)[:, list(lines)]
                values += block[np.isfinite(block)].tolist()
    return padded(values)


def _dependence(
    record: Record,
    part: Mapping[str, Any],
    place: int,
    classes: Sequence[str],
    shown: Sequence[int],
    limits: list[float],
) -> Figure | None:
    means = np.asarray(part["mean"], dtype=float)
    if not means.size:
        return None
    means = means.reshape(len(part["grid"]), -1)
    lines = list(shown) if classes else [0]
    numeric = part["kind"] == "numeric"
    ends = (float(min(part["grid"])), float(max(part["grid"]))) if numeric else (0.0, 0.0)
    axis = numeric and _LEAST_AXIS < ends[1] / 2 - ends[0] / 2 < _MOST_AXIS
    names = {c: classes[c] if classes else str(record.summary["target"]) for c in lines}
    low, high = (
        None if part.get(e) is None else np.asarray(part[e], dtype=float).reshape(means.shape)
        for e in ("low", "high")
    )
    shares = part.get("share") or [None] * len(means)
    rows = []
    for order, c in enumerate(lines):
        for i, at in enumerate(part["grid"]):
            band = (means[i, c] if low is None else low[i, c], means[i, c] if high is None else high[i, c])
            where = format_number(float(at)) if numeric else str(at) or _MISSING
            row = {
                "x": float(at) if axis else where,
                "say_x": where,
                "who": names[c],
                "mean": float(means[i, c]),
            }
            row |= {
                "low": float(band[0]),
                "high": float(band[1]),
                "color": MEMBERS[order],
                "share": shares[i],
            }
            # Of a probability three decimals are plenty: 3e-06 says no more than 0.
            said = round(float(means[i, c]), 3) if classes else float(means[i, c])
            rows.append({**row, "text": format_number(said)})
    rug = [{"x": float(v)} for v in (part.get("rug") or ()) if ends[0] <= v <= ends[1]] if axis else []
    what = "mean probability" if classes else "mean prediction"
    feature = str(part["feature"])
    of = (
        f"probability of {names[lines[0]]}"
        if classes and len(lines) == 1
        else "probability"
        if classes
        else "prediction"
    )
    caption = f"Mean {of} over the test rows if all had this value"
    caption += "; band: 95 % of the ensemble's networks" if low is not None else "; one network, so no band"
    caption += ". Ticks: deciles of the column" if rug else ""
    caption += ". One scale for all of these charts."
    columns = (
        ("say_x", feature),
        ("who", "class" if classes else "target"),
        ("mean", "mean"),
        ("low", "from"),
        ("high", "to"),
    )
    key = tuple(Key(MEMBERS[o], names[c]) for o, c in enumerate(lines)) if len(lines) > 1 else ()
    chart = _dependence_chart(rows, rug, axis, feature, what, limits)
    title = _dependence_title(feature, rows, lines, names, numeric, bool(classes))
    return Figure(
        f"dependence-{place + 1}",
        title,
        caption,
        chart,
        {"rows": rows, "rug": rug},
        columns,
        key=key,
        height=230 if axis else max(230, 21 * len(part["grid"]) + 62),
    )


def _cut(text: str, most: int = 34) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _dependence_title(feature: str, rows: Any, lines: Any, names: Any, numeric: bool, classes: bool) -> str:
    """How the one line goes, or which class moves most."""
    feature = _cut(feature)
    spans = {}
    for c in lines:
        own = [row["mean"] for row in rows if row["who"] == names[c]]
        spans[c] = max(own) - min(own)
    most = max(spans, key=lambda c: spans[c])
    own = [row for row in rows if row["who"] == names[most]]
    word = _cut(names[most], 24)
    if spans[most] <= 1e-9:
        return f"{feature} alone changes nothing"
    if not numeric:
        top = max(own, key=lambda row: row["mean"])
        return f"{word} is {'likeliest' if classes else 'highest'} at {feature} {_cut(top['say_x'], 20)}"
    moved = own[-1]["mean"] - own[0]["mean"]
    if abs(moved) < 0.6 * spans[most]:
        top = max(own, key=lambda row: row["mean"])
        return f"{word} is {'likeliest' if classes else 'highest'} near {feature} {top['say_x']}"
    verb = "rises" if moved > 0 else "falls"
    return f"{word} {verb} with {feature}: {own[0]['text']} to {own[-1]['text']}"


def _dependence_chart(
    rows: Sequence[Mapping[str, Any]],
    rug: Any,
    axis: bool,
    feature: str,
    what: str,
    limits: list[float],
) -> Any:
    import altair as alt

    told = tips(("say_x", feature), ("who", "of"), ("text", what))
    color = alt.Color("color:N", scale=None)
    scale = alt.Scale(domain=limits, nice=False)
    y = alt.Y("mean:Q", title=what, scale=scale, axis=alt.Axis(tickCount=4))
    if not axis:
        return _category_chart(rows, what, feature, alt.Scale(domain=limits, nice=False), told)
    x = alt.X(
        "x:Q",
        title=_cut(feature),
        scale=alt.Scale(zero=False, nice=False, padding=4),
        axis=alt.Axis(tickCount=5),
    )
    base = rows_of("rows").encode(x=x, color=color, detail="who:N")
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=what, scale=scale), y2="high:Q")
    near = alt.selection_point(name="near", on="pointerover", nearest=True, empty=False, clear="pointerout")
    seen = alt.condition(near, alt.value(1), alt.value(0))
    points = base.mark_point(filled=True, size=50).encode(y=y, opacity=seen, tooltip=told).add_params(near)
    layers = [band, base.mark_line(strokeWidth=2.25).encode(y=y), points]
    if rug:
        ticks = rows_of("rug").mark_rule(strokeWidth=1).encode(x="x:Q", color=alt.value(MUTED))
        layers.append(ticks.encode(y=alt.YValue(alt.ExprRef("height - 6")), y2=alt.Y2Value("height")))
    return alt.layer(*layers)


def _category_chart(rows: Sequence[Mapping[str, Any]], what: str, feature: str, scale: Any, told: Any) -> Any:
    """Categories one below the other, where their names can be read."""
    import altair as alt

    order = list(dict.fromkeys(row["x"] for row in rows))
    y = alt.Y(
        "x:N", sort=order, title=_cut(feature), axis=alt.Axis(labelLimit=130, labelColor=INK, grid=False)
    )
    x = alt.X("mean:Q", title=what, scale=scale, axis=alt.Axis(tickCount=4, grid=True))
    base = rows_of("rows").encode(y=y, color=alt.Color("color:N", scale=None), tooltip=told)
    bars = base.mark_rule(strokeWidth=2, opacity=0.5).encode(
        x=alt.X("low:Q", title=what, scale=scale), x2="high:Q"
    )
    return alt.layer(bars, base.mark_point(filled=True, size=60, opacity=1).encode(x=x))
