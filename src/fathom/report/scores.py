"""The test scores at a glance, and where the time went."""

from typing import Any

from ..look import format_count, format_number, format_seconds
from ..study.result import wilson
from .draw import INK, TEST, TRAINING, Figure, to_svg
from .record import Record


def scores_figure(record: Record) -> Figure | None:
    """Test scores of the ensemble, the chosen network and the baselines; None without test rows."""
    test, metric = record.summary["test"], record.summary["metric"]
    if test["score"] is None:
        return None
    count = len(record.summary["ensemble"]["members"])
    ours = [(f"ensemble of {count}", test["ensemble_score"], True), ("chosen network", test["score"], True)]
    theirs = [(n.replace("_", " "), b["score"], False) for n, b in record.summary["baselines"].items()]
    entries = sorted(ours + theirs, key=lambda e: -e[1] if record.rising else e[1])
    shown, off = _on_scale(entries)
    rows = []
    for name, score, own in shown:
        low, high = wilson(score, test["rows"]) if metric == "accuracy" else (score, score)
        text = format_number(score)
        rows.append({"name": name, "score": score, "low": low, "high": high, "own": own, "text": text})
    caption = f"Test {record.metric} on {format_count(test['rows'])} rows, looked at once"
    caption += "; bars are 95 % Wilson intervals" if metric == "accuracy" else ""
    caption += ". Filled: networks; hollow: baselines fitted to the same rows."
    for name, score, _ in off:
        caption += f" Off the scale: {name}, {format_number(score)}."
    title = _verdict(record, ours[0][1], theirs)
    axis = f"{record.metric} ({'higher' if record.rising else 'lower'} is better)"
    charts = [(_score_chart(rows, axis, width), f"scores-{width}") for width in (620, 230)]
    label = f"{title}. " + "; ".join(f"{row['name']} {row['text']}" for row in rows)
    return Figure(title, tuple(to_svg(c, {"rows": rows}, label, n) for c, n in charts), caption)


def _on_scale(entries: list[tuple[str, float, bool]]) -> tuple[list, list]:
    """Entries whose differences can be seen on one axis; trivial baselines far behind are told apart."""
    trivial = [e for e in entries if e[0] in ("majority", "mean")]
    rest = [e for e in entries if e not in trivial]
    scores = [e[1] for e in rest]
    reach = 3 * (max(scores) - min(scores)) + 1e-9
    off = [e for e in trivial if not min(scores) - reach <= e[1] <= max(scores) + reach]
    return [e for e in entries if e not in off], off


def _verdict(record: Record, own: float, theirs: list[tuple[str, float, bool]]) -> str:
    if not theirs:
        return f"The ensemble reaches {record.metric} {format_number(own)}"
    name, best, _ = (max if record.rising else min)(theirs, key=lambda e: e[1])
    if own == best:
        return f"The ensemble and the best baseline ({name}) score the same"
    if (own > best) != record.rising:
        return f"A baseline ({name}) does better than the ensemble"
    rows = record.summary["test"]["rows"]
    if record.summary["metric"] == "accuracy" and wilson(own, rows)[0] <= wilson(best, rows)[1]:
        return "The ensemble is ahead of every baseline, by less than the intervals are wide"
    return "The ensemble is ahead of every baseline"


def _score_chart(rows: list[dict[str, Any]], axis: str, width: int) -> Any:
    import altair as alt

    names = [row["name"] for row in rows]
    y = alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=160, labelColor=INK, grid=False))
    x = alt.X(
        "score:Q", title=axis, scale=alt.Scale(zero=False, padding=12), axis=alt.Axis(grid=True, tickCount=5)
    )
    base = alt.Chart(alt.NamedData("rows"), width=width, height=38 * len(rows)).encode(y=y)
    color = alt.condition("datum.own", alt.value(TEST), alt.value(TRAINING))
    bars = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        x=alt.X("low:Q", title=axis), x2="high:Q", color=color
    )
    filled = base.mark_point(size=110, filled=True, opacity=1).transform_filter("datum.own")
    hollow = base.mark_point(size=90, strokeWidth=2, fill="var(--ground)", opacity=1).transform_filter(
        "!datum.own"
    )
    text = base.mark_text(dy=-12, fontWeight="bold").encode(x=x, text="text:N", color=alt.value(INK))
    return (
        bars
        + filled.encode(x=x, color=alt.value(TEST))
        + hollow.encode(x=x, stroke=alt.value(TRAINING))
        + text
    )


def seconds_figure(record: Record) -> Figure:
    """Where the run's time went."""
    import altair as alt

    seconds = dict(record.summary["seconds"])
    total = seconds.pop("total")
    words = {
        "compile": "compiling",
        "baselines": "baselines",
        "train": "training",
        "choose": "choosing, testing",
    }
    parts = {words.get(name, name): value for name, value in seconds.items()}
    parts["data, plan, choosing" if "choose" not in seconds else "data, plan"] = max(
        0.0, total - sum(parts.values())
    )
    rows = [
        {"part": n, "seconds": s, "text": format_seconds(s)}
        for n, s in sorted(parts.items(), key=lambda e: -e[1])
    ]
    y = alt.Y(
        "part:N",
        sort=[row["part"] for row in rows],
        title=None,
        axis=alt.Axis(labelLimit=170, labelColor=INK),
    )
    x = alt.X(
        "seconds:Q",
        title="seconds",
        axis=alt.Axis(tickCount=5, format=".3~g", grid=True),
        scale=alt.Scale(padding=30),
    )
    base = alt.Chart(alt.NamedData("rows"), width=330, height=30 * len(rows)).encode(x=x, y=y)
    text = base.mark_text(align="left", dx=6).encode(text="text:N", color=alt.value(INK))
    bars = base.mark_bar(height=12).encode(color=alt.value(TRAINING))
    title = f"Most of {format_seconds(total)} went into {rows[0]['part']}"
    label = f"{title}. " + "; ".join(f"{row['part']} {row['text']}" for row in rows)
    devices = record.plan.get("devices", 1)
    where = f"{devices} device{'s' * (devices > 1)}"
    caption = f"Wall-clock time of the whole run, {format_seconds(total)}, on {where}."
    return Figure(title, (to_svg(bars + text, {"rows": rows}, label, "seconds"),), caption)
