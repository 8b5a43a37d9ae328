"""Where it errs: which class is taken for which, or how far off values are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..look import format_count, format_number, format_share
from .chart import Figure, rows_of, tips, zooming
from .palette import INK, MUTED, RULE, TEST, WASH
from .record import Record

_NUMBERED = 14  # classes up to which every cell says its count
_NAMED = 40  # classes up to which every class has its name beside the matrix
_DOTS = 1500  # residuals drawn


def confusion_figure(record: Record) -> Figure | None:
    """Which test rows of a class were taken for which.

    Args:
        record: the run.

    Returns:
        The figure; None without evidence or for values.
    """
    found = record.evidence.confusion
    if not found:
        return None
    names = [str(name) for name in found["classes"]]
    counts = np.asarray(found["counts"], dtype=float)
    totals = counts.sum(axis=1)
    rows = [
        _cell(names, counts, totals, int(true), int(taken))
        for true, taken in zip(*np.nonzero(counts), strict=True)
    ]
    wrong = sorted(
        (row for row in rows if not row["right"]),
        key=lambda row: (-row["rows"], -row["share"]),
    )
    most = max((row["share"] for row in wrong), default=1.0)
    for row in rows:
        row["dark"] = not row["right"] and row["share"] / most < 0.55
    caption = (
        f"n = {format_count(int(counts.sum()))} test rows, {len(names)} classes, predicted by the ensemble. "
    )
    caption += (
        "Each line of cells is a true class; color is the share of it that was taken for another class, "
    )
    caption += "brighter is more; gray cells are right. Classes never confused are left blank."
    # What went wrong is what the table is for: first the confusions, then what was right.
    table = wrong + [row for row in rows if row["right"]]
    columns = (
        ("true", "true class"),
        ("taken", "predicted"),
        ("rows", "rows"),
        ("share", "share of the class"),
    )
    longest = max(map(len, names))
    height = int(min(620, max(300, 30 * len(names) + 6 * min(longest, 24))))
    return Figure(
        "confusion",
        _confusion_title(wrong, counts, totals),
        caption,
        _confusion_chart(names, most if wrong else None),
        {"rows": table},
        columns,
        height=height,
    )


def _cell(
    names: Sequence[str], counts: np.ndarray, totals: np.ndarray, true: int, taken: int
) -> dict[str, Any]:
    share = float(counts[true, taken] / totals[true])
    return {
        "true": names[true],
        "taken": names[taken],
        "true_place": true,
        "taken_place": taken,
        "rows": int(counts[true, taken]),
        "share": share,
        "right": true == taken,
        "say_rows": f"{format_count(int(counts[true, taken]))} of {format_count(int(totals[true]))} rows",
        "say_share": format_share(share),
    }


def _confusion_title(wrong: Sequence[Mapping[str, Any]], counts: np.ndarray, totals: np.ndarray) -> str:
    if not wrong:
        return "No test row is predicted wrong"
    top = wrong[0]
    if len(wrong) > 1 and wrong[1]["rows"] == top["rows"] and top["rows"] < 3:
        errors = int(sum(row["rows"] for row in wrong))
        # Of the classes that have test rows.
        found = np.divide(np.diag(counts), totals, out=np.ones(len(totals)), where=totals > 0)
        worst = int(np.argmin(found))
        name = next(row["true"] for row in wrong if row["true_place"] == worst)
        share = format_share(float(counts[worst, worst] / totals[worst]))
        return (
            f"{errors} error{'s' * (errors > 1)}, no pair stands out; {_short(name)} is found least, {share}"
        )
    return f"{_short(top['true'])} is taken for {_short(top['taken'])} most often: {top['say_rows']}"


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _confusion_chart(names: Sequence[str], most: float | None) -> Any:
    import altair as alt

    many = len(names)
    long = max(len(name) for name in names) * many > 60
    common = {"labelLimit": 110, "grid": False, "domain": False, "ticks": False, "labelOverlap": False}
    common["labelFontSize"] = 13 if many <= 25 else 10
    beside, under = (list(names)[:: max(1, -(-many // most_names))] for most_names in (_NAMED, _NAMED // 2))
    x_axis = alt.Axis(
        values=under, labelAngle=-45 if long else 0, labelAlign="right" if long else "center", **common
    )
    scale = alt.Scale(domain=list(names))
    x = alt.X("taken:N", sort=list(names), scale=scale, title="predicted", axis=x_axis)
    y = alt.Y("true:N", sort=list(names), scale=scale, title="true", axis=alt.Axis(values=beside, **common))
    told = tips(
        ("true", "true"),
        ("taken", "predicted"),
        ("say_rows", "rows"),
        ("say_share", "share of the class"),
    )
    band = alt.RelativeBandSize(0.94 if many <= _NAMED else 1)
    base = rows_of("rows").encode(x=x, y=y, tooltip=told)
    cells = base.mark_rect(cornerRadius=2 if many <= _NAMED else 0, width=band, height=band)
    right = cells.transform_filter("datum.right").encode(color=alt.value(WASH if many <= _NUMBERED else RULE))
    scale = alt.Scale(scheme="viridis", domain=[0, most or 1.0])
    legend = alt.Legend(title="share taken for another class", format=".0%", tickCount=2, titleLimit=260)
    wrong = cells.transform_filter("!datum.right").encode(
        color=alt.Color("share:Q", scale=scale, legend=legend if most else None)
    )
    if many > _NUMBERED:
        return alt.layer(right, wrong)
    text = base.mark_text(fontSize=13 if many <= 10 else 11).encode(text="rows:Q")
    ink = alt.condition("datum.dark", alt.value("#ffffff"), alt.value("#16202e"))
    plain = text.transform_filter("datum.right").encode(color=alt.value(INK))
    return alt.layer(right, wrong, plain, text.transform_filter("!datum.right").encode(color=ink))


def classes_table(record: Record) -> list[dict[str, Any]]:
    """How well each class is found, the worst first: rows, recall, precision, F1 and what it is most taken for."""
    found = record.evidence.confusion
    if not found:
        return []
    counts = np.asarray(found["counts"], dtype=float)
    rows = []
    for place, name in enumerate(found["classes"]):
        total, taken, right = (
            counts[place].sum(),
            counts[:, place].sum(),
            counts[place, place],
        )
        others = np.where(np.arange(len(counts)) == place, 0, counts[place])
        other = int(others.argmax())
        rows.append(
            {
                "name": str(name),
                "rows": int(total),
                "recall": right / total if total else None,
                "precision": right / taken if taken else None,
                "f1": 2 * right / (total + taken) if total + taken else None,
                "other": f"{found['classes'][other]} ({int(others[other])})" if others[other] else "–",
            }
        )
    return sorted(rows, key=lambda row: 2.0 if row["recall"] is None else row["recall"])


def residuals_figure(record: Record) -> Figure | None:
    """Errors against predictions on the test rows.

    Args:
        record: the run.

    Returns:
        The figure; None without evidence or for classes.
    """
    test = record.evidence.test
    if test is None or test.value is None or len(test) < 2:
        return None
    value, error = test.value.astype(float), test.target.astype(float) - test.value
    drawn = np.sort(np.random.default_rng(0).permutation(len(value))[:_DOTS])
    edge = float(np.quantile(np.abs(error), 0.995)) * 1.15 or 1.0
    rows = [
        {
            "predicted": float(value[i]),
            "residual": float(np.clip(error[i], -edge, edge)),
            "exact": float(error[i]),
            "row": int(test.row[i]),
            "say_true": format_number(float(test.target[i])),
            "say_predicted": format_number(float(value[i])),
            "say_residual": format_number(float(error[i])),
        }
        for i in drawn
    ]
    bands = _error_bands(value, error)
    beyond = int((np.abs(error) > edge).sum())
    caption = f"n = {format_count(len(value))} test rows, true minus predicted by the ensemble"
    caption += f", {format_count(len(rows))} drawn" if len(rows) < len(value) else ""
    caption += ". Dark line: median of ten equal groups of rows; band: the middle 90 % of each."
    caption += (
        f" {beyond} beyond the scale {'are' if beyond > 1 else 'is'} drawn at its rim." if beyond else ""
    )
    columns = (
        ("from", "predicted from"),
        ("to", "to"),
        ("count", "rows"),
        ("low", "5 %"),
        ("mid", "median"),
        ("high", "95 %"),
    )
    target = str(record.summary["target"])
    chart = _residual_chart(target, edge)
    title = _residual_title(value, error)
    return Figure(
        "residuals",
        title,
        caption,
        chart,
        {"rows": rows, "bands": bands},
        columns,
        "bands",
        zoom=True,
    )


def _error_bands(value: np.ndarray, error: np.ndarray) -> list[dict[str, Any]]:
    """Quantiles of the error in up to ten groups of as many rows, by prediction."""
    order = np.argsort(value, kind="stable")
    groups = [g for g in np.array_split(order, min(10, max(1, len(order) // 8))) if len(g)]
    found = []
    for group in groups:
        low, mid, high = np.quantile(error[group], [0.05, 0.5, 0.95])
        ends = {
            "from": float(value[group].min()),
            "to": float(value[group].max()),
            "count": len(group),
        }
        found.append(
            {
                **ends,
                "at": float(np.median(value[group])),
                "low": low,
                "mid": mid,
                "high": high,
            }
        )
    return [{name: float(v) for name, v in row.items()} | {"count": int(row["count"])} for row in found]


def _residual_title(value: np.ndarray, error: np.ndarray) -> str:
    half = format_number(float(np.quantile(np.abs(error), 0.5)))
    most = format_number(float(np.quantile(np.abs(error), 0.9)))
    if len(value) >= 50 and value.std() > 0:
        from scipy.stats import spearmanr

        rank: Any = spearmanr(value, np.abs(error))
        if rank.statistic > 0.25 and rank.pvalue < 0.01:
            return f"Errors grow with the prediction; half are below {half}"
    return f"Half of the errors are below {half}, nine in ten below {most}"


def _residual_chart(target: str, edge: float) -> Any:
    import altair as alt

    y_scale = alt.Scale(domain=[-edge, edge], nice=False)
    x = alt.X(
        "predicted:Q",
        title=f"predicted {_short(target)}",
        scale=alt.Scale(zero=False, padding=8),
    )
    y = alt.Y(
        "residual:Q",
        title="true − predicted",
        scale=y_scale,
        axis=alt.Axis(tickCount=5),
    )
    told = tips(
        ("row", "row"),
        ("say_true", "true"),
        ("say_predicted", "predicted"),
        ("say_residual", "residual"),
    )
    dots = rows_of("rows").mark_point(filled=True, size=22, clip=True, opacity=0.4)
    zero = alt.Chart(alt.InlineData(values=[{"y": 0}])).mark_rule(strokeDash=[4, 4]).encode(y="y:Q")
    band = rows_of("bands").mark_area(opacity=0.14, clip=True)
    band = band.encode(x="at:Q", y=alt.Y("low:Q", scale=y_scale), y2="high:Q", color=alt.value(TEST))
    line = (
        rows_of("bands").mark_line(strokeWidth=2, clip=True).encode(x="at:Q", y=alt.Y("mid:Q", scale=y_scale))
    )
    return alt.layer(
        band,
        dots.encode(x=x, y=y, color=alt.value(TEST), tooltip=told),
        zero.encode(color=alt.value(MUTED)),
        line.encode(color=alt.value(INK)),
    ).add_params(zooming())
