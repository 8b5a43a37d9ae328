"""Score against what was varied, one setting at a time."""

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from ..look import format_uncertain
from .chart import Figure, log_ticks, padded, rows_of, tips
from .palette import BAD, INK, MUTED, VALIDATION
from .record import Candidate, Record, say


def setting_figures(record: Record, most: int = 2) -> list[Figure]:
    """Score against the learning rate and the other setting that matters most, if they were varied."""
    names = [n for n in record.varied if n not in ("epochs",)]
    first = [n for n in names if n == "learning_rate"]
    rest = sorted((n for n in names if n != "learning_rate"), key=lambda n: -effect(record, n))
    return [figure for n in (first + rest)[:most] if (figure := _setting_figure(record, n)) is not None]


def effect(record: Record, name: str) -> float:
    """How much a setting has to do with the score: rank correlation; for words the spread of mean ranks."""
    from scipy.stats import rankdata

    pairs = [(c.settings.get(name), c.score) for c in record.candidates if np.isfinite(c.score)]
    scores = rankdata([score for _, score in pairs])
    if len(pairs) < 3 or scores.std() == 0:
        return 0.0
    if all(is_number(value) for value, _ in pairs):
        values = rankdata([value for value, _ in pairs])
        return 0.0 if values.std() == 0 else abs(float(np.corrcoef(values, scores)[0, 1]))
    words = [str(value) for value, _ in pairs]
    means = {word: scores[[w == word for w in words]].mean() for word in words}
    return float(np.std([means[word] for word in words]) / scores.std())


def _on_a_line(values: Sequence[Any]) -> bool:
    """Whether values need an axis of numbers; a few of them are better read as words."""
    return all(is_number(value) for value in values) and len(set(values)) > 4


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a setting's value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _setting_figure(record: Record, name: str) -> Figure | None:
    import altair as alt

    numeric = _on_a_line([c.settings.get(name) for c in record.candidates])
    usable = [c for c in record.candidates if np.isfinite(c.score) and c.status != "diverged"]
    if not usable:
        return None
    limits = padded(_within_reach(record, usable), record.most)
    rows = [_setting_row(record, c, name, numeric, limits) for c in record.candidates]
    values = [row["x"] for row in rows]
    log = numeric and min(values) > 0 and max(values) / min(values) >= 10
    words = name.replace("_", " ")
    if numeric:
        ticks = alt.Axis(
            format=".4~g",
            tickCount=6,
            values=log_ticks(min(values), max(values)) if log else alt.Undefined,
        )
        scale = alt.Scale(type="log" if log else "linear", zero=False, nice=False, padding=14)
        x = alt.X("x:Q", title=words + " (log scale)" * log, scale=scale, axis=ticks)
    else:
        order = list(dict.fromkeys(row["x"] for row in _by_value(record, name, rows)))
        x = alt.X("x:N", title=words, sort=order, axis=alt.Axis(labelAngle=0))
    scale = alt.Scale(domain=limits, nice=False, zero=False)
    y = alt.Y(
        "y:Q",
        title=f"validation {record.metric}",
        scale=scale,
        axis=alt.Axis(tickCount=5),
    )
    brush = alt.selection_interval(name="brush", encodings=["x"], mark=alt.BrushConfig(**_BRUSH))
    told = tips(
        ("about", "candidate"),
        ("say_value", words),
        ("text", f"validation {record.metric}"),
        ("word", "ended"),
    )
    base = rows_of("rows").encode(x=x, y=y, tooltip=told)
    kept = alt.condition(brush, alt.value(0.9), alt.value(0.15))
    spread = base.mark_rule(strokeWidth=1.5, opacity=0.4, clip=True).transform_filter("datum.kind=='ranked'")
    dots = base.mark_point(filled=True, size=55).transform_filter("datum.kind=='ranked'")
    hollow = base.mark_point(size=38, strokeWidth=1.2).transform_filter("datum.kind=='dropped'")
    crosses = base.mark_point(shape="cross", size=70, angle=45, filled=True, opacity=1)
    crosses = crosses.transform_filter("datum.kind=='failed'")
    beyond = base.mark_point(shape="triangle-down" if record.rising else "triangle-up", size=45, opacity=0.8)
    beyond = beyond.transform_filter("datum.kind=='beyond'")
    ring = base.mark_point(size=170, strokeWidth=2).transform_filter("datum.best")
    layers = [
        spread.encode(y=alt.Y("low:Q", scale=scale), y2="high:Q", color=alt.value(VALIDATION)),
        hollow.encode(color=alt.value(MUTED), opacity=kept),
        dots.encode(color=alt.value(VALIDATION), opacity=kept).add_params(brush),
        beyond.encode(color=alt.value(MUTED)),
        crosses.encode(color=alt.value(BAD)),
        ring.encode(stroke=alt.value(INK)),
    ]
    columns = (
        ("about", "candidate"),
        ("say_value", words),
        ("score", record.metric),
        ("word", "ended"),
    )
    return Figure(
        f"setting-{name.replace('_', '-')}",
        _setting_title(record, name, words),
        _setting_caption(record, rows),
        alt.layer(*layers),
        {"rows": rows},
        columns,
    )


_BRUSH = {"fill": VALIDATION, "fillOpacity": 0.1, "stroke": VALIDATION}


def _by_value(record: Record, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows by the setting's value, numbers first."""
    values = [c.settings.get(name) for c in record.candidates]
    keys = [(not is_number(v), v if is_number(v) else 0.0, str(v)) for v in values]
    return [rows[place] for place in sorted(range(len(rows)), key=lambda place: keys[place])]


def _within_reach(record: Record, usable: Sequence[Candidate]) -> list[float]:
    """Scores for the axis to hold: the better two thirds, so that a hopeless one does not flatten it."""
    scores = sorted((c.score for c in usable), reverse=record.rising)
    ends = [c.score + sign * c.spread for c in usable[:3] for sign in (-1, 1)]
    return scores[: max(3, math.ceil(2 * len(scores) / 3))] + ends


def _setting_row(
    record: Record, c: Candidate, name: str, numeric: bool, limits: list[float]
) -> dict[str, Any]:
    low, high = limits
    edge = low if record.rising else high
    rim = edge + 0.03 * (high - low) * (1 if record.rising else -1)
    inside = math.isfinite(c.score) and low <= c.score <= high
    failed = c.status == "diverged" or not math.isfinite(c.score)
    value = c.settings.get(name)
    score = "–" if not math.isfinite(c.score) else format_uncertain(c.score, c.spread)
    return {
        "candidate": c.index,
        "about": f"{c.index}: {record.about(c)}",
        "say_value": say(value),
        "score": c.score if math.isfinite(c.score) else None,
        "text": score,
        "word": c.status,
        "x": value if numeric else say(value),
        "y": c.score if inside and not failed else rim,
        "low": max(low, c.score - c.spread) if inside else edge,
        "high": min(high, c.score + c.spread) if inside else edge,
        "kind": "failed" if failed else "beyond" if not inside else "ranked" if c.rank else "dropped",
        "best": c.rank == 1,
    }


def _setting_title(record: Record, name: str, words: str) -> str:
    best = record.candidates[0].settings.get(name)
    text = say(best)
    if not all(is_number(c.settings.get(name)) for c in record.candidates):
        return f"The best candidate has {words} {text}"
    tried = sorted({c.settings[name] for c in record.candidates})
    failed = [c.settings[name] for c in record.candidates if c.status == "diverged"]
    safe = [c.settings[name] for c in record.candidates if c.status != "diverged"]
    if failed and name == "learning_rate" and min(failed) > max(safe):
        return f"Learning rates above {say(max(safe))} diverge; the best is {text}"
    if best in (tried[0], tried[-1]) and len(tried) > 2:
        end = "smallest" if best == tried[0] else "largest"
        return f"The best {words}, {text}, is the {end} tried: the optimum may lie beyond"
    return f"The best {words} is {text}"


def _setting_caption(record: Record, rows: list[dict[str, Any]]) -> str:
    kinds = [row["kind"] for row in rows]
    each = len(record.candidates[0].members)
    caption = f"n = {len(rows)} candidates"
    caption += (
        f"; a dot is the mean over {each} members (seeds and folds), its line one standard deviation either way"
        if each > 1
        else ""
    )
    caption += "; the ring marks the best."
    if "dropped" in kinds:
        caption += f" Hollow: {kinds.count('dropped')} dropped early, at the score they had then."
    if "beyond" in kinds:
        caption += f" Triangles: {kinds.count('beyond')} beyond the scale."
    if "failed" in kinds:
        caption += f" Crosses: {kinds.count('failed')} diverged."
    return caption
