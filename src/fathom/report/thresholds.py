"""What a threshold brings of two classes, and what errors cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..look import format_count, format_number, format_share
from .chart import Figure, log_ticks, rows_of, share_axis, tips
from .palette import GROUND, INK, MUTED, VALIDATION
from .record import Record


def thresholds_figure(record: Record) -> Figure | None:
    """What each threshold brings, of two classes.

    Args:
        record: the run.

    Returns:
        The figure; None without evidence or for other tasks.
    """
    found = record.evidence.thresholds
    if not found:
        return None
    names = {
        "precision": "var(--member-1)",
        "recall": "var(--member-2)",
        "f1": "var(--member-3)",
    }
    words = {"precision": "precision", "recall": "recall", "f1": "F1"}
    wide: list[dict[str, Any]] = [
        {k: row.get(k) for k in ("threshold", *names, "balanced_accuracy", "flagged")} for row in found
    ]
    rows = [
        {"threshold": row["threshold"], "what": words[n], "value": row[n], "color": color,
         "text": format_share(row[n]), "say_at": format_number(float(row["threshold"])),
         "say_flagged": format_share(row["flagged"])}
        for n, color in names.items() for row in wide if row[n] is not None
    ]  # fmt: skip
    best = max(
        (row for row in wide if row["f1"] is not None),
        key=lambda row: row["f1"],
        default=None,
    )
    if best is None:
        return None
    labels = _line_labels(wide, words, names)
    used = record.summary.get("decision", {}).get("threshold")
    positive = record.summary["data"]["classes"][1]
    caption = (
        f"n = {format_count(_validation_rows(record))} validation rows: a row is taken for {positive!r} from "
    )
    caption += "the threshold on."
    marks = [{"x": best["threshold"], "word": "best F1"}]
    if used is not None:
        caption += f" The run uses {format_number(float(used))} (dashed line)."
        marks = [{"x": float(used), "word": "used"}]
    title = f"F1 is highest, {format_number(float(best['f1']))}, "
    title += f"at threshold {format_number(float(best['threshold']), 2)}"
    columns = (("threshold", "threshold"), ("precision", "precision"), ("recall", "recall"), ("f1", "F1"),
               ("balanced_accuracy", "balanced accuracy"), ("flagged", "share flagged"))  # fmt: skip
    data = {"rows": rows, "labels": labels, "marks": marks, "table": wide}
    return Figure("thresholds", title, caption, _threshold_chart(positive), data, columns, "table")


def _validation_rows(record: Record) -> int:
    held = record.evidence.validation
    return len(held) if held is not None else 0


def _line_labels(
    wide: Sequence[Mapping[str, Any]],
    words: Mapping[str, str],
    colors: Mapping[str, str],
) -> list[dict[str, Any]]:
    """A word on each curve where it is farthest from the others and from the words before it."""
    found: list[dict[str, Any]] = []
    inside = [
        row for row in wide if 0.12 <= row["threshold"] <= 0.9 and all(row[n] is not None for n in words)
    ]
    for name, word in words.items():

        def room(row: Mapping[str, Any], name: str = name) -> float:
            apart = min(abs(row[name] - row[other]) for other in words if other != name)
            return apart - sum(max(0.0, 0.2 - abs(row["threshold"] - label["threshold"])) for label in found)

        if inside:
            row = max(inside, key=room)
            lower = row[name] > 0.93 or sum(row[other] > row[name] for other in words) >= len(words) - 1
            found.append({"threshold": row["threshold"], "value": row[name], "what": word,
                          "color": colors[name], "lower": lower})  # fmt: skip
    return found


def _threshold_chart(positive: str) -> Any:
    import altair as alt

    short = positive if len(positive) < 24 else positive[:23] + "…"
    x = alt.X("threshold:Q", title=f"threshold on the probability of {short}",
              scale=alt.Scale(domain=[0, 1], nice=False), axis=alt.Axis(tickCount=5))  # fmt: skip
    y = share_axis(alt.Y, "value:Q", "share")
    color = alt.Color("color:N", scale=None)
    lines = rows_of("rows").mark_line(strokeWidth=2.25).encode(x=x, y=y, color=color, detail="what:N")
    near = alt.selection_point(name="near", on="pointerover", nearest=True, empty=False, clear="pointerout")
    told = tips(
        ("what", "of"),
        ("text", "value"),
        ("say_at", "threshold"),
        ("say_flagged", "rows flagged"),
    )
    seen = alt.condition(near, alt.value(1), alt.value(0))
    points = (
        rows_of("rows")
        .mark_point(filled=True, size=60)
        .encode(x=x, y=y, color=color, opacity=seen, tooltip=told)
    )
    mark = rows_of("marks").mark_rule(strokeDash=[4, 4]).encode(x="x:Q", color=alt.value(MUTED))
    word = (
        rows_of("marks")
        .mark_text(align="left", dx=5, fontSize=12)
        .encode(x="x:Q", text="word:N", color=alt.value(MUTED))
    )
    word = word.encode(y=alt.YValue(alt.ExprRef("height - 10")))
    spots = rows_of("labels").encode(x=x, y=y, text="what:N", color=color)
    upper = spots.mark_text(dy=-10, fontWeight="bold").transform_filter("!datum.lower")
    lower = spots.mark_text(dy=14, fontWeight="bold").transform_filter("datum.lower")
    return alt.layer(mark, word, lines, points.add_params(near), upper, lower)


def cost_figure(record: Record) -> Figure | None:
    """What errors cost at the best threshold and at the one half, for each price of a miss.

    Args:
        record: the run.

    Returns:
        The figure; None without evidence or for other tasks.
    """
    found = record.evidence.cost
    if not found:
        return None
    rows = [
        {**row, "say_ratio": format_number(float(row["ratio"])), "say_best": format_number(float(row["cost"])),
         "say_half": format_number(float(row["default_cost"])), "say_at": format_number(float(row["threshold"]))}
        for row in found
    ]  # fmt: skip
    saved = max(rows, key=lambda row: row["default_cost"] - row["cost"])
    gain = saved["default_cost"] - saved["cost"]
    classes = record.summary["data"]["classes"]
    title = "The threshold hardly matters to the cost"
    if saved["default_cost"] > 0 and gain > 0.1 * saved["default_cost"]:
        title = f"Where a miss costs {saved['say_ratio']} false alarms, threshold {saved['say_at']} saves "
        title += format_share(gain / saved["default_cost"])
    caption = f"n = {format_count(_validation_rows(record))} validation rows. Mean cost of a row, in false alarms, if "
    caption += f"missing a {classes[1]!r} costs so many of them: at the threshold that is best for that price, and at "
    caption += "one half. The best is chosen on these very rows, so expect a little less."
    columns = (
        ("ratio", "price of a miss"),
        ("threshold", "best threshold"),
        ("cost", "cost a row"),
        ("default_cost", "at 0.5"),
    )
    return Figure("cost", title, caption, _cost_chart(rows), {"rows": rows}, columns)


def _cost_chart(rows: Sequence[Mapping[str, Any]]) -> Any:
    import altair as alt

    ratios = [row["ratio"] for row in rows]
    log = min(ratios) > 0 and max(ratios) / min(ratios) >= 10
    scale = alt.Scale(type="log" if log else "linear", nice=False, padding=10)
    ticks = alt.Axis(format=".3~g", values=log_ticks(min(ratios), max(ratios)) if log else alt.Undefined)
    title = "price of a miss in false alarms" + " (log scale)" * log
    x = alt.X("ratio:Q", title=title, scale=scale, axis=ticks)
    y_title = "cost a row, in false alarms"
    told = tips(
        ("say_ratio", "price of a miss"),
        ("say_best", "cost at the best threshold"),
        ("say_half", "cost at 0.5"),
        ("say_at", "best threshold"),
    )
    base = rows_of("rows").encode(x=x, tooltip=told)
    best, half = alt.Y("cost:Q", title=y_title), alt.Y("default_cost:Q", title=y_title)
    last = rows_of("rows").transform_filter(f"datum.ratio === {max(ratios)!r}").encode(x=x)
    word = {"align": "right", "dx": -10, "fontWeight": "bold"}
    low = rows[-1]["cost"] < 0.3 * max(row["default_cost"] for row in rows)
    return alt.layer(
        base.mark_line(strokeWidth=1.5, strokeDash=[4, 4]).encode(y=half, color=alt.value(MUTED)),
        base.mark_line(strokeWidth=2.25).encode(y=best, color=alt.value(VALIDATION)),
        base.mark_point(size=45, strokeWidth=1.5, fill=GROUND, opacity=1).encode(
            y=half, stroke=alt.value(MUTED)
        ),
        base.mark_point(size=55, filled=True, opacity=1).encode(y=best, color=alt.value(VALIDATION)),
        last.mark_text(dy=-8, **word).encode(y=half, text=alt.value("threshold 0.5"), color=alt.value(INK)),
        last.mark_text(dy=-10 if low else 16, **word).encode(
            y=best, text=alt.value("best threshold"), color=alt.value(VALIDATION)
        ),
    )
