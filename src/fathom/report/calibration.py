"""How far to trust it: whether probabilities and intervals keep what they promise."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..look import format_count, format_number, format_share
from .chart import Figure, rows_of, share_axis, tips
from .palette import MUTED, TEST
from .record import Record

_DIAGONAL = [{"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 1.0}]


def calibration_figure(record: Record) -> Figure | None:
    """How often the ensemble is right where it says so.

    Args:
        record: the run.

    Returns:
        The figure; None without evidence or for values.
    """
    found = record.evidence.calibration
    if not found or not found.get("bins"):
        return None
    rows = [_bin(b, "now") for b in found["bins"] if b["rows"]]
    before = [_bin(b, "before") for b in (found.get("before") or {}).get("bins", ()) if b["rows"]]
    of = found.get("of", "predicted class")
    what = "the predicted class" if of == "predicted class" else f"class {of}"
    total = sum(row["rows"] for row in rows)
    caption = f"n = {format_count(total)} test rows by the probability that the ensemble gives {what}. "
    caption += "A dot is a group of rows, larger for more; its line a 95 % Wilson interval"
    caption += "; hollow: before the temperature" if before else ""
    caption += ". On the dashed line probabilities "
    caption += "keep what they promise."
    if found.get("ece_interval"):
        low, high = (format_number(float(end)) for end in found["ece_interval"])
        caption += f" Expected calibration error {format_number(float(found['ece']))} (95 % interval {low} to {high})"
        caption += (
            f"; before the temperature {format_number(float(found['before']['ece']))}." if before else "."
        )
    columns = (
        ("confidence", "mean probability"),
        ("share", "share found"),
        ("low", "95 % from"),
        ("high", "to"),
        ("rows", "rows"),
    )
    data = {"rows": rows, "before": before}
    title = _calibration_title(rows, float(found["ece"]))
    return Figure(
        "calibration",
        title,
        caption,
        _calibration_chart(what, bool(before)),
        data,
        columns,
        height=320,
    )


def _bin(found: Mapping[str, Any], when: str) -> dict[str, Any]:
    low, high = (
        max(0.0, found.get("share_low", found["share"])),
        found.get("share_high", found["share"]),
    )
    return {
        "confidence": found["confidence"],
        "share": found["share"],
        "low": low,
        "high": high,
        "rows": found["rows"],
        "when": when,
        "say_confidence": format_share(found["confidence"]),
        "say_share": f"{format_share(found['share'])} ({format_share(low)} to {format_share(high)})",
        "say_rows": format_count(found["rows"]),
    }


def _calibration_title(rows: Sequence[Mapping[str, Any]], ece: float) -> str:
    total = sum(row["rows"] for row in rows)
    outside = sum(row["rows"] for row in rows if not row["low"] <= row["confidence"] <= row["high"])
    lean = sum(row["rows"] * (row["confidence"] - row["share"]) for row in rows) / max(1, total)
    if outside <= 0.25 * total or ece < 0.01:
        return f"Probabilities keep what they promise, to {format_number(ece, 2)} on average"
    if abs(lean) > 0.5 * ece:
        word = "surer than right" if lean > 0 else "righter than sure"
        return f"It is {word}: probabilities are off by {format_number(ece, 2)} on average"
    return f"Probabilities are off by {format_number(ece, 2)} on average"


def _calibration_chart(what: str, before: bool) -> Any:
    import altair as alt

    x = share_axis(alt.X, "confidence:Q", f"probability of {what}")
    y = share_axis(alt.Y, "share:Q", "share of rows where it is so")
    diagonal = alt.Chart(alt.InlineData(values=_DIAGONAL)).mark_line(strokeDash=[4, 4], strokeWidth=1)
    told = tips(
        ("say_confidence", "mean probability"),
        ("say_share", "share found"),
        ("say_rows", "rows"),
    )
    base = rows_of("rows").encode(x=x, y=y, tooltip=told)
    size = alt.Size("rows:Q", legend=None, scale=alt.Scale(range=[30, 320], zero=True))
    bars = base.mark_rule(strokeWidth=2, opacity=0.5).encode(
        y=alt.Y("low:Q"), y2="high:Q", color=alt.value(TEST)
    )
    dots = base.mark_point(filled=True, opacity=1).encode(color=alt.value(TEST), size=size)
    layers = [diagonal.encode(x="x:Q", y="y:Q", color=alt.value(MUTED))]
    if before:
        old = rows_of("before").mark_point(size=34, strokeWidth=1.2, opacity=0.9).encode(x=x, y=y)
        layers.append(old.encode(stroke=alt.value(MUTED)))
    return alt.layer(*layers, bars, dots)


def coverage_figure(record: Record) -> Figure | None:
    """How many test rows intervals hold, against how many they were asked to hold.

    Args:
        record: the run.

    Returns:
        The figure; None without evidence or for classes.
    """
    found = record.evidence.calibration
    if not found or not found.get("asked"):
        return None
    lows, highs = (
        found.get("found_low", found["found"]),
        found.get("found_high", found["found"]),
    )
    rows = [
        {
            "asked": a,
            "found": f,
            "low": low,
            "high": high,
            "say_asked": format_share(a),
            "text": f"{format_share(f)} ({format_share(low)} to {format_share(high)})",
        }
        for a, f, low, high in zip(found["asked"], found["found"], lows, highs, strict=True)
    ]
    caption = (
        f"n = {format_count(int(found['rows']))} test rows. A dot: the share of them inside intervals asked "
    )
    caption += "to hold so many; its line: a 95 % Wilson interval. On the dashed line intervals keep what they promise."
    width = (record.summary["test"].get("interval") or {}).get("width")
    asked = (record.summary["test"].get("interval") or {}).get("asked")
    if width is not None and asked is not None:
        caption += f" Intervals of {format_share(asked)} are {format_number(float(width))} wide in the mean."
    columns = (
        ("asked", "asked"),
        ("found", "found"),
        ("low", "95 % from"),
        ("high", "to"),
    )
    chart = _coverage_chart()
    return Figure(
        "coverage",
        _coverage_title(rows),
        caption,
        chart,
        {"rows": rows},
        columns,
        height=320,
    )


def _coverage_title(rows: Sequence[Mapping[str, Any]]) -> str:
    inside = sum(row["low"] <= row["asked"] <= row["high"] for row in rows)
    last = rows[-1]
    close = all(abs(row["found"] - row["asked"]) < 0.02 for row in rows)
    if inside == len(rows) or close:
        return f"Intervals hold what they promise: asked for {last['say_asked']}, found {format_share(last['found'])}"
    lean = sum(row["found"] - row["asked"] for row in rows)
    word = "wider" if lean > 0 else "narrower"
    return f"Intervals are {word} than promised: asked for {last['say_asked']}, found {format_share(last['found'])}"


def _coverage_chart() -> Any:
    import altair as alt

    x, y = (
        share_axis(alt.X, "asked:Q", "share of rows asked for"),
        share_axis(alt.Y, "found:Q", "share of rows inside"),
    )
    diagonal = alt.Chart(alt.InlineData(values=_DIAGONAL)).mark_line(strokeDash=[4, 4], strokeWidth=1)
    base = rows_of("rows").encode(x=x, y=y, tooltip=tips(("say_asked", "asked"), ("text", "found")))
    line = rows_of("rows").mark_line(strokeWidth=1.5, opacity=0.5).encode(x=x, y=y, color=alt.value(TEST))
    bars = base.mark_rule(strokeWidth=2, opacity=0.5).encode(
        y=alt.Y("low:Q"), y2="high:Q", color=alt.value(TEST)
    )
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(color=alt.value(TEST))
    return alt.layer(diagonal.encode(x="x:Q", y="y:Q", color=alt.value(MUTED)), line, bars, dots)
