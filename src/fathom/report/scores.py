"""The test scores at a glance, and how far the ensemble is from each baseline."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..look import format_count, format_number, format_share
from ..study.result import wilson
from .chart import Figure, rows_of, tips
from .palette import GROUND, INK, MUTED, TEST, TRAINING
from .record import Record


def scores_figure(record: Record) -> Figure | None:
    """Test scores of the ensemble, the chosen network and the baselines.

    Args:
        record: the run.

    Returns:
        The figure; None without test rows.
    """
    test, metric = record.summary["test"], record.summary["metric"]
    if test["score"] is None:
        return None
    count = len(record.summary["ensemble"]["members"])
    ours = [(f"ensemble of {count}", test["ensemble_score"], True), ("chosen network", test["score"], True)]
    ours = ours if count > 1 else [("network", test["ensemble_score"], True)]
    theirs = [(n.replace("_", " "), b["score"], False) for n, b in record.summary["baselines"].items()]
    entries = sorted(ours + theirs, key=lambda e: -e[1] if record.rising else e[1])
    shown, off = _on_scale(entries)
    interval = test.get("interval_of_score")
    rows = []
    for name, score, own in shown:
        low, high = wilson(score, test["rows"]) if metric == "accuracy" else (score, score)
        if interval and name == ours[0][0]:
            low, high = interval["low"], interval["high"]
        text, said = (
            format_number(score),
            f"{format_number(low)} to {format_number(high)}",
        )
        said = said if high > low else "not measured"
        rows.append(
            {
                "name": name,
                "score": score,
                "low": low,
                "high": high,
                "own": own,
                "text": text,
                "say_interval": said,
            }
        )
    caption = f"Test {record.metric} on n = {format_count(test['rows'])} rows, looked at once"
    caption += "; lines are 95 % Wilson intervals" if metric == "accuracy" else ""
    caption += (
        "; the line is a 95 % bootstrap interval over the rows" if interval and metric != "accuracy" else ""
    )
    caption += ". Filled: networks; hollow: baselines fitted to the same rows."
    for name, score, _ in off:
        caption += f" Off the scale: {name}, {format_number(score)}."
    axis = f"test {record.metric} ({'higher' if record.rising else 'lower'} is better)"
    columns = (
        ("name", "model"),
        ("score", record.metric),
        ("low", "95 % from"),
        ("high", "to"),
    )
    height = 42 * len(rows) + 62
    title = _verdict(record, ours[0][1], theirs)
    return Figure(
        "scores",
        title,
        caption,
        _score_chart(rows, axis, record.metric),
        {"rows": rows},
        columns,
        height=height,
    )


def _on_scale(entries: list[tuple[str, float, bool]]) -> tuple[list, list]:
    """Entries whose differences can be seen on one axis; trivial baselines far behind are told apart."""
    trivial = [e for e in entries if e[0] in ("majority", "mean")]
    rest = [e for e in entries if e not in trivial]
    scores = [e[1] for e in rest]
    reach = 3 * (max(scores) - min(scores)) + 1e-9
    off = [e for e in trivial if not min(scores) - reach <= e[1] <= max(scores) + reach]
    return [e for e in entries if e not in off], off


def _verdict(record: Record, own: float, theirs: list[tuple[str, float, bool]]) -> str:
    whose = "ensemble" if len(record.summary["ensemble"]["members"]) > 1 else "network"
    if not theirs:
        return f"The {whose} reaches {record.metric} {format_number(own)}"
    name, best, _ = (max if record.rising else min)(theirs, key=lambda e: e[1])
    if own == best:
        return f"The {whose} and the best baseline ({name}) score the same"
    if (own > best) != record.rising:
        open_yet = any(
            d["baseline"].replace("_", " ") == name
            and min(d["low"], d["high"]) <= 0 <= max(d["low"], d["high"])
            for d in record.evidence.against or ()
        )
        if open_yet:
            return f"A baseline ({name}) scores higher than the {whose}, but not beyond chance"
        return f"A baseline ({name}) does better than the {whose}"
    rows = record.summary["test"]["rows"]
    if record.summary["metric"] == "accuracy" and wilson(own, rows)[0] <= wilson(best, rows)[1]:
        return f"The {whose} is ahead of every baseline, by less than the intervals are wide"
    return f"The {whose} is ahead of every baseline"


def _score_chart(rows: Sequence[Mapping[str, Any]], axis: str, metric: str) -> Any:
    import altair as alt

    names = [row["name"] for row in rows]
    y = alt.Y(
        "name:N",
        sort=names,
        title=None,
        axis=alt.Axis(labelLimit=150, labelColor=INK, grid=False),
    )
    x = alt.X(
        "score:Q",
        title=axis,
        scale=alt.Scale(zero=False, padding=14),
        axis=alt.Axis(grid=True, tickCount=5),
    )
    base = rows_of("rows").encode(
        y=y,
        tooltip=tips(("name", "model"), ("text", metric), ("say_interval", "95 % interval")),
    )
    color = alt.condition("datum.own", alt.value(TEST), alt.value(TRAINING))
    bars = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        x=alt.X("low:Q", title=axis), x2="high:Q", color=color
    )
    filled = base.mark_point(size=110, filled=True, opacity=1).transform_filter("datum.own")
    hollow = base.mark_point(size=90, strokeWidth=2, fill=GROUND, opacity=1).transform_filter("!datum.own")
    text = base.mark_text(dy=-13, fontWeight="bold").encode(x=x, text="text:N", color=alt.value(INK))
    return (
        bars
        + filled.encode(x=x, color=alt.value(TEST))
        + hollow.encode(x=x, stroke=alt.value(TRAINING))
        + text
    )


def against_figure(record: Record) -> Figure | None:
    """Paired differences between the ensemble and each baseline on the test rows.

    Args:
        record: the run.

    Returns:
        The figure; None without test rows, baselines or evidence.
    """
    found = list(record.evidence.against or ())
    found = [d for d in found if d["low"] is not None and d["baseline"] not in ("majority", "mean")] or found
    if not found:
        return None
    sign = 1 if record.rising else -1
    found.sort(key=lambda d: sign * d["difference"])
    share = record.summary["metric"] in ("accuracy", "balanced_accuracy")
    rows = [_difference(d, sign, share) for d in found]
    ahead = sum(row["word"] == "ahead" for row in rows)
    behind = sum(row["word"] == "behind" for row in rows)
    many = len(rows)
    if behind:
        title = f"{'A baseline is' if behind == 1 else f'{behind} baselines are'} ahead beyond chance"
    elif ahead == many:
        title = "Ahead of every baseline beyond chance" if many > 1 else "Ahead of the baseline beyond chance"
    elif not ahead:
        title = "The test rows tell it apart from no baseline"
    else:
        title = f"Beyond chance ahead of {ahead} of {many} baseline{'s' * (many > 1)}"
    rows_kept = record.summary["test"]["rows"]
    caption = f"Test {record.metric} of the ensemble minus that of each baseline, on the same "
    caption += f"n = {format_count(rows_kept)} rows; lines are 95 % intervals of a paired bootstrap. "
    caption += f"{'Right' if record.rising else 'Left'} of zero the ensemble is better."
    columns = (
        ("name", "baseline"),
        ("difference", "difference"),
        ("low", "95 % from"),
        ("high", "to"),
    )
    chart = _difference_chart(rows, f"difference in {record.metric}")
    return Figure(
        "differences",
        title,
        caption,
        chart,
        {"rows": rows},
        columns,
        height=42 * max(3, many + 2) + 62,
    )


def _difference(found: Mapping[str, Any], sign: int, share: bool) -> dict[str, Any]:
    low, high = sorted((found["low"], found["high"]))
    word = "open"
    if low > 0 or high < 0:
        word = "ahead" if sign * found["difference"] > 0 else "behind"
    say = (lambda value: format_share(value)) if share else (lambda value: format_number(float(value)))
    return {
        "name": found["baseline"].replace("_", " "),
        "difference": found["difference"],
        "low": low,
        "high": high,
        "word": word,
        "text": ("+" if found["difference"] > 0 else "") + say(found["difference"]),
        "say_interval": f"{say(low)} to {say(high)}",
    }


def _difference_chart(rows: Sequence[Mapping[str, Any]], axis: str) -> Any:
    import altair as alt

    y = alt.Y(
        "name:N",
        sort=[row["name"] for row in rows],
        title=None,
        axis=alt.Axis(labelLimit=150, labelColor=INK, grid=False),
    )
    ends = [0.0, *(row["low"] for row in rows), *(row["high"] for row in rows)]
    scale = alt.Scale(domain=[min(ends), max(ends)], padding=14, nice=False)
    x = alt.X(
        "difference:Q",
        title=axis,
        scale=scale,
        axis=alt.Axis(grid=True, tickCount=5),
    )
    base = rows_of("rows").encode(
        y=y,
        tooltip=tips(
            ("name", "against"),
            ("text", "difference"),
            ("say_interval", "95 % interval"),
        ),
    )
    color = alt.condition("datum.word === 'open'", alt.value(TRAINING), alt.value(TEST))
    bars = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        x=alt.X("low:Q", title=axis), x2="high:Q", color=color
    )
    dots = base.mark_point(size=90, filled=True, opacity=1).encode(x=x, color=color)
    text = base.mark_text(dy=-13, fontWeight="bold").encode(x=x, text="text:N", color=alt.value(INK))
    zero = alt.Chart(alt.InlineData(values=[{"x": 0}])).mark_rule(strokeDash=[4, 4]).encode(x="x:Q")
    return alt.layer(zero.encode(color=alt.value(MUTED)), bars, dots, text)
