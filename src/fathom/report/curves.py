"""Learning curves: the members of the best candidates as thin lines under their mean."""

import itertools
from typing import Any

import numpy as np

from .draw import HEIGHT, INK, MEMBERS, MUTED, TRAINING, VALIDATION, WIDTH, Figure, log_ticks, padded, to_svg
from .record import Candidate, Record

_SHOWN = 4  # candidates drawn each in a color of its own
_BEHIND = 60  # others drawn in gray behind them


def curves_figure(record: Record) -> Figure | None:
    """Validation score by epoch of the best candidates, members as thin lines under their mean."""
    best = [c for c in record.candidates if c.rank][:_SHOWN]
    behind = [c for c in record.candidates if c not in best][:_BEHIND]
    if not best or not any(m in record.curves for c in best for m in c.members):
        return None
    thin, means, gray, low_high = [], [], [], []
    for place, candidate in enumerate(best):
        for member in candidate.members:
            values = record.curves[member]["score"]
            thin += _points(values, member=member, color=MEMBERS[place])
            low_high += _settled(values)
        mean = _mean_curve(record, candidate, "score")
        means += _points(mean, member=candidate.index, color=MEMBERS[place])
    for candidate in behind:
        gray += _points(_mean_curve(record, candidate, "score"), member=candidate.index, color=MUTED)
    limits = padded(low_high, record.most)
    ends = [(record, c, MEMBERS[place]) for place, c in enumerate(best)]
    labels = _end_labels(ends, limits)
    chart = _curve_chart(record.metric, limits, bool(gray), max(p["epoch"] for p in means))
    title = _curves_title(record, best[0])
    each = len(best[0].members)
    many = (
        f"the best {len(best)} of {len(record.candidates)} candidates".replace("best 1 of", "best of")
        if len(record.candidates) > 1
        else "the candidate"
    )
    parts = f"each over {each} members (seeds and folds), drawn thin" if each > 1 else "one member each"
    caption = f"Validation {record.metric} by epoch: means of {many}, {parts}."
    caption += f" Gray: means of {len(behind)} others." if behind else ""
    key = [(MEMBERS[place], f"{place + 1}: {record.about(c)}") for place, c in enumerate(best)]
    data = {"thin": thin if each > 1 else [], "means": means, "gray": gray, "labels": labels}
    picture = to_svg(chart, data, title, "curves")
    return Figure(title, (picture,), caption, tuple(key) if len(best) > 1 else ())


def _points(values: np.ndarray, **more: Any) -> list[dict[str, Any]]:
    """A curve's finite points, at most 120 of them, the last one kept."""
    step = max(1, len(values) // 120)
    places = [*range(0, len(values) - 1, step), len(values) - 1] if len(values) else []
    return [{"epoch": i + 1, "value": float(values[i]), **more} for i in places if np.isfinite(values[i])]


def _mean_curve(record: Record, candidate: Candidate, series: str) -> np.ndarray:
    """Mean over a candidate's members, as far as all of them go."""
    curves = [record.curves[m][series] for m in candidate.members if m in record.curves]
    length = min((len(c) for c in curves), default=0)
    return np.mean([c[:length] for c in curves], axis=0) if length else np.zeros(0)


def _settled(values: np.ndarray) -> list[float]:
    """What a curve's axis must hold: all but its first steep epochs."""
    kept = values[max(1, len(values) // 8) :] if len(values) > 4 else values
    return [float(v) for v in kept if np.isfinite(v)]


def _end_labels(ends: list[tuple[Record, Candidate, str]], limits: list[float]) -> list[dict[str, Any]]:
    """A number at the end of each mean curve, moved apart where they would overlap."""
    least = 16 * (limits[1] - limits[0]) / HEIGHT
    found = []
    for place, (record, candidate, color) in enumerate(ends):
        mean = _mean_curve(record, candidate, "score")
        finite = np.flatnonzero(np.isfinite(mean))
        if len(finite):
            value = min(max(float(mean[finite[-1]]), limits[0]), limits[1])
            found.append(
                {"epoch": int(finite[-1]) + 1, "value": value, "color": color, "text": str(place + 1)}
            )
    found.sort(key=lambda label: label["value"])
    for before, label in itertools.pairwise(found):
        label["value"] = max(label["value"], before["value"] + least)
    over = max((label["value"] for label in found), default=0.0) - limits[1]
    return [{**label, "value": label["value"] - max(0.0, over)} for label in found] if len(found) > 1 else []


def _curve_chart(name: str, limits: list[float], gray: bool, epochs: int) -> Any:
    import altair as alt

    x = _epoch_axis(epochs)
    scale = alt.Scale(domain=limits, nice=False, zero=False)
    y = alt.Y("value:Q", title=f"validation {name}", scale=scale, axis=alt.Axis(tickCount=5))
    color = alt.Color("color:N", scale=None)

    def lines(data: str, **style: Any) -> Any:
        return (
            alt.Chart(alt.NamedData(data))
            .mark_line(clip=True, **style)
            .encode(x=x, y=y, color=color, detail="member:N")
        )

    layers = [lines("gray", strokeWidth=1, opacity=0.35)] if gray else []
    layers += [lines("thin", strokeWidth=1, opacity=0.4), lines("means", strokeWidth=2.5)]
    if epochs == 1:
        points = alt.Chart(alt.NamedData("means")).mark_point(filled=True, size=60)
        layers.append(points.encode(x=x, y=y, color=color))
    text = alt.Chart(alt.NamedData("labels")).mark_text(align="left", dx=7, fontWeight="bold")
    layers.append(text.encode(x=x, y=y, text="text:N", color=alt.value(INK)))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def _epoch_axis(epochs: int) -> Any:
    import altair as alt

    axis = alt.Axis(tickMinStep=1, tickCount=min(epochs, 6), format="d")
    return alt.X("epoch:Q", title="epoch", scale=alt.Scale(domain=[1, max(2, epochs)], nice=False), axis=axis)


def _curves_title(record: Record, best: Candidate) -> str:
    mean = _mean_curve(record, best, "score")
    if len(mean) < 3 or not np.isfinite(mean).any():
        return "How the best candidates learned"
    peak = int(np.nanargmax(mean if record.rising else -mean)) + 1
    if peak == len(mean):
        return "The best candidate was still improving at its last epoch"
    return f"The best candidate peaks at epoch {peak} of {len(mean)}"


def losses_figure(record: Record) -> Figure | None:
    """Training against validation loss of the best candidate."""
    best = record.candidates[0]
    train, held = (_mean_curve(record, best, n) for n in ("train_loss", "validation_loss"))
    if not (np.isfinite(train).any() and np.isfinite(held).any()):
        return None
    import altair as alt

    colors = {"train_loss": TRAINING, "validation_loss": VALIDATION}
    thin = [
        p
        for m in best.members
        for n, c in colors.items()
        for p in _points(record.curves[m][n], member=m, color=c)
    ]
    means = _points(train, member="training", color=TRAINING) + _points(
        held, member="validation", color=VALIDATION
    )
    values = [p["value"] for p in means + thin]
    decades = min(values) > 0 and max(values) / min(values) >= 10
    between = log_ticks(min(values), max(values)) if decades else alt.Undefined
    ticks = alt.Axis(tickCount=5, format=".3~g", values=between)
    scale = alt.Scale(type="log", nice=False) if decades else alt.Scale(zero=False)
    y = alt.Y("value:Q", title="loss" + " (log scale)" * decades, scale=scale, axis=ticks)
    x, color = _epoch_axis(len(train)), alt.Color("color:N", scale=None)

    def lines(data: str, **style: Any) -> Any:
        chart = alt.Chart(alt.NamedData(data)).mark_line(**style)
        return chart.encode(x=x, y=y, color=color, detail=["member:N", "color:N"])

    labels = _loss_labels(train, held)
    spots = alt.Chart(alt.NamedData("labels")).encode(x=x, y=y, text="text:N", color=color)
    upper = spots.mark_text(align="left", dx=6, dy=-6).transform_filter("datum.upper")
    lower = spots.mark_text(align="left", dx=6, dy=6).transform_filter("!datum.upper")
    layers = [lines("thin", strokeWidth=1, opacity=0.3)] if len(best.members) > 1 else []
    chart = alt.layer(*layers, lines("means", strokeWidth=2.5), upper, lower).properties(
        width=WIDTH, height=HEIGHT
    )
    title = _loss_title(train, held)
    many = f"means of {len(best.members)} members, drawn thin" if len(best.members) > 1 else "one member"
    caption = f"Loss of the best candidate by epoch ({many}). Training: mean over the epoch's steps, "
    caption += "with dropout and noise if any; validation: after the epoch, without."
    data = {"thin": thin, "means": means, "labels": labels}
    return Figure(title, (to_svg(chart, data, title, "losses"),), caption)


def _loss_labels(train: np.ndarray, held: np.ndarray) -> list[dict[str, Any]]:
    """A word at the end of each curve, the upper one above its end so that the two never meet."""
    pairs = (("training", train, TRAINING), ("validation", held, VALIDATION))
    found = [(name, float(v[-1]), len(v), color) for name, v, color in pairs if np.isfinite(v[-1])]
    top = max((value for _, value, _, _ in found), default=0.0)
    return [{"epoch": n, "value": v, "text": t, "color": c, "upper": v == top} for t, v, n, c in found]


def _loss_title(train: np.ndarray, held: np.ndarray) -> str:
    """Says so where validation loss turns up while training loss falls, both beyond their jitter."""
    train, held = _smooth(train), _smooth(held)
    lowest = int(np.nanargmin(held))
    if lowest >= 0.9 * len(held) - 1 or held[-1] < 1.05 * held[lowest]:
        return "Validation loss falls and stays down" if len(held) > 1 else "Losses after one epoch"
    if train[-1] < 0.9 * train[lowest]:
        return f"After epoch {lowest + 1} training loss falls on and validation loss rises: overfitting"
    return f"Validation loss is lowest at epoch {lowest + 1} of {len(held)}"


def _smooth(values: np.ndarray) -> np.ndarray:
    """A running mean over a tenth of the epochs, shorter at the ends."""
    half = len(values) // 20
    return np.array([np.nanmean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])
