"""Learning curves: the members of the best candidates as thin lines under their mean, the best in its band."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..look import format_number
from .chart import HEIGHT, Figure, Key, log_ticks, padded, rows_of, tips, zooming
from .palette import INK, MEMBERS, MUTED, TRAINING, VALIDATION
from .record import Candidate, Record

_SHOWN = len(MEMBERS)  # candidates drawn each in a color of its own
_BEHIND = 60  # others drawn in gray behind them


def curves_figure(record: Record) -> Figure | None:
    """Validation score by epoch of the best candidates, members as thin lines under their mean.

    Args:
        record: the run.

    Returns:
        The figure; None where no candidate was trained to the end or no epoch was written down.
    """
    best = [c for c in record.candidates if c.rank][:_SHOWN]
    best = [c for c in best if any(m in record.curves for m in c.members)]
    if not best:
        return None
    behind = [c for c in record.candidates if c not in best][:_BEHIND]
    thin, means, bands, gray, low_high = [], [], [], [], []
    for place, candidate in enumerate(best):
        about = {
            "who": place + 1,
            "color": MEMBERS[place],
            "about": record.about(candidate),
        }
        for member in candidate.members:
            values = record.curves[member]["score"]
            thin += _points(values, line=member, **about)
            low_high += _settled(values)
        means += _points(_mean_curve(record, candidate, "score"), line=candidate.index, **about)
        bands += _band(record, candidate, about)
    for candidate in behind:
        gray += _points(_mean_curve(record, candidate, "score"), line=candidate.index, color=MUTED)
    limits = padded(low_high, record.most)
    data = {"means": means, "thin": thin if bands else [], "bands": bands, "gray": gray}
    data["labels"] = _end_labels(record, best, limits)
    chart = _curve_chart(record.metric, limits, max(p["epoch"] for p in means))
    key = tuple(
        Key(MEMBERS[place], f"{place + 1}: {record.about(c)}", place + 1) for place, c in enumerate(best)
    )
    return Figure(
        "learning-curves",
        _curves_title(record, best[0]),
        _curves_caption(record, best, len(behind)),
        chart,
        data,
        (
            ("who", "place"),
            ("about", "settings"),
            ("epoch", "epoch"),
            ("value", f"mean {record.metric}"),
        ),
        "means",
        key if len(best) > 1 else (),
        zoom=True,
    )


def _curves_caption(record: Record, best: Sequence[Candidate], behind: int) -> str:
    each, of = len(best[0].members), len(record.candidates)
    several = len(best) > 1
    many = f"means of the best {len(best)} of {of} candidates" if several else "mean of the best candidate"
    many = many if of > 1 else "mean of the candidate"
    caption = f"Validation {record.metric} after each epoch: {many}, "
    if each > 1:
        caption += f"{'each ' * several}over n = {each} members ({_parts(record)}). Thin: the members"
        caption += " of the one chosen in the key" if several else ""
        caption += "; band: one standard deviation of them to either side."
    else:
        caption = caption.replace("means", "curves").replace("mean", "curve")
        caption += f"one member{' each' * several} (one seed, one fold), so there is no band."
    return caption + (f" Gray: means of {behind} other{'s' * (behind > 1)}." if behind else "")


def _parts(record: Record) -> str:
    """How many seeds and folds the members of a candidate are."""
    plan = record.summary["plan"]
    seeds, folds = plan["seeds"], plan["folds"]
    words = [f"{n} {what}{'s' * (n > 1)}" for n, what in ((seeds, "seed"), (folds, "fold")) if n > 1]
    return " × ".join(words) or "one seed, one fold"


def _points(values: np.ndarray, **more: Any) -> list[dict[str, Any]]:
    """A curve's finite points, at most 120 of them, the last one kept."""
    return [
        {
            "epoch": i + 1,
            "value": float(values[i]),
            "text": format_number(float(values[i])),
            **more,
        }
        for i in _places(len(values))
        if np.isfinite(values[i])
    ]


def _places(length: int) -> list[int]:
    return [*range(0, length - 1, max(1, length // 120)), length - 1] if length else []


def _series(record: Record, candidate: Candidate, series: str) -> np.ndarray:
    """The curves of a candidate's members, as far as all of them go, [members, epochs]."""
    curves = [record.curves[m][series] for m in candidate.members if m in record.curves]
    length = min((len(c) for c in curves), default=0)
    return np.array([c[:length] for c in curves]).reshape(len(curves), length)


def _mean_curve(record: Record, candidate: Candidate, series: str) -> np.ndarray:
    curves = _series(record, candidate, series)
    return curves.mean(axis=0) if curves.size else np.zeros(0)


def _band(record: Record, candidate: Candidate, about: dict[str, Any]) -> list[dict[str, Any]]:
    """One standard deviation of a candidate's members to either side of their mean."""
    curves = _series(record, candidate, "score")
    if len(curves) < 2 or not curves.size:
        return []
    mean, spread = curves.mean(axis=0), curves.std(axis=0, ddof=1)
    return [
        {
            "epoch": i + 1,
            "low": float(mean[i] - spread[i]),
            "high": float(mean[i] + spread[i]),
            **about,
        }
        for i in _places(len(mean))
        if np.isfinite(mean[i])
    ]


def _settled(values: np.ndarray) -> list[float]:
    """What a curve's axis must hold: all but its first steep epochs."""
    kept = values[max(1, len(values) // 8) :] if len(values) > 4 else values
    return [float(v) for v in kept if np.isfinite(v)]


def _end_labels(record: Record, best: Sequence[Candidate], limits: list[float]) -> list[dict[str, Any]]:
    """A number at the end of each mean curve, moved apart where they would overlap."""
    least = 16 * (limits[1] - limits[0]) / HEIGHT
    found = []
    for place, candidate in enumerate(best):
        mean = _mean_curve(record, candidate, "score")
        finite = np.flatnonzero(np.isfinite(mean))
        if len(finite):
            value = min(max(float(mean[finite[-1]]), limits[0]), limits[1])
            where = {"epoch": int(finite[-1]) + 1, "value": value}
            found.append({**where, "color": MEMBERS[place], "text": str(place + 1)})
    found.sort(key=lambda label: label["value"])
    for before, label in itertools.pairwise(found):
        label["value"] = max(label["value"], before["value"] + least)
    over = max((label["value"] for label in found), default=0.0) - limits[1]
    return [{**label, "value": label["value"] - max(0.0, over)} for label in found] if len(found) > 1 else []


def _curve_chart(name: str, limits: list[float], epochs: int) -> Any:
    import altair as alt

    x = _epoch_axis(epochs)
    scale = alt.Scale(domain=limits, nice=False, zero=False)
    y = alt.Y("value:Q", title=f"validation {name}", scale=scale, axis=alt.Axis(tickCount=5))
    color = alt.Color("color:N", scale=None)
    picked = alt.param(name="picked", value=1)
    near = alt.selection_point(name="near", on="pointerover", nearest=True, empty=False, clear="pointerout")
    mine = "datum.who === picked"

    def lines(data: str, **style: Any) -> Any:
        return rows_of(data).mark_line(clip=True, **style).encode(x=x, y=y, color=color, detail="line:N")

    band = rows_of("bands").mark_area(opacity=0.16, clip=True).transform_filter(mine)
    band = band.encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=color)
    means = lines("means").encode(strokeWidth=alt.condition(mine, alt.value(3), alt.value(1.75)))
    points = rows_of("means").mark_point(filled=True, clip=True, size=70 if epochs == 1 else 60)
    told = tips(("about", "settings"), ("epoch", "epoch"), ("text", f"mean {name}"))
    seen = alt.value(1) if epochs == 1 else alt.condition(near, alt.value(1), alt.value(0))
    points = points.encode(x=x, y=y, color=color, opacity=seen, tooltip=told).add_params(near)
    text = rows_of("labels").mark_text(align="left", dx=8, fontWeight="bold", clip=False)
    layers = [
        lines("gray", strokeWidth=1, opacity=0.35),
        band,
        lines("thin", strokeWidth=1, opacity=0.4).transform_filter(mine),
        means,
        points,
        text.encode(x=x, y=y, text="text:N", color=alt.value(INK)),
    ]
    return alt.layer(*layers).add_params(picked, zooming())


def _epoch_axis(epochs: int) -> Any:
    import altair as alt

    axis = alt.Axis(tickMinStep=1, tickCount=min(epochs, 6), format="d")
    return alt.X(
        "epoch:Q",
        title="epoch",
        scale=alt.Scale(domain=[1, max(2, epochs)], nice=False),
        axis=axis,
    )


def _curves_title(record: Record, best: Candidate) -> str:
    mean = _mean_curve(record, best, "score")
    if len(mean) < 3 or not np.isfinite(mean).any():
        return "How the best candidates learned"
    peak = peak_epoch(record, best)
    if peak == len(mean):
        return "The best candidate was still improving at its last epoch"
    return f"The best candidate peaks at epoch {peak} of {len(mean)}"


def peak_epoch(record: Record, candidate: Candidate) -> int:
    """The epoch, from 1, at which the mean score of a candidate was best; 0 where it has none."""
    mean = _mean_curve(record, candidate, "score")
    if not np.isfinite(mean).any():
        return 0
    return int(np.nanargmax(mean if record.rising else -mean)) + 1


def losses_figure(record: Record) -> Figure | None:
    """Training against validation loss of the best candidate.

    Args:
        record: the run.

    Returns:
        The figure; None where there are no such losses.
    """
    best = record.candidates[0]
    train, held = (_mean_curve(record, best, n) for n in ("train_loss", "validation_loss"))
    if not (np.isfinite(train).any() and np.isfinite(held).any()):
        return None
    pairs = (
        ("training", "train_loss", TRAINING),
        ("validation", "validation_loss", VALIDATION),
    )
    thin, means = [], []
    for word, name, color in pairs:
        for member in best.members:
            thin += _points(record.curves[member][name], line=f"{word} {member}", color=color)
        means += _points(_mean_curve(record, best, name), line=word, color=color)
    thin = thin if len(best.members) > 1 else []
    many = (
        f"means of n = {len(best.members)} members ({_parts(record)}), drawn thin"
        if thin
        else "one member, one seed"
    )
    caption = f"Loss of the best candidate by epoch ({many}). Training: mean over the epoch's steps, "
    caption += "with dropout and noise if any; validation: after the epoch, without."
    data = {"means": means, "thin": thin, "labels": _loss_labels(train, held)}
    columns = (("line", "rows"), ("epoch", "epoch"), ("value", "mean loss"))
    chart = _loss_chart([p["value"] for p in means + thin], len(train))
    return Figure(
        "losses",
        _loss_title(train, held),
        caption,
        chart,
        data,
        columns,
        "means",
        zoom=True,
    )


def _loss_chart(values: Sequence[float], epochs: int) -> Any:
    import altair as alt

    decades = min(values) > 0 and max(values) / min(values) >= 10
    between = log_ticks(min(values), max(values)) if decades else alt.Undefined
    low, high = min(values), max(values)
    room = [low * (low / high) ** 0.08, high] if decades else [low - 0.09 * (high - low), high + 1e-12]
    ticks = alt.Axis(tickCount=5, format=".3~g" if decades else alt.Undefined, values=between)
    scale = alt.Scale(type="log" if decades else "linear", domain=room, nice=not decades)
    y = alt.Y("value:Q", title="loss" + " (log scale)" * decades, scale=scale, axis=ticks)
    x, color = _epoch_axis(epochs), alt.Color("color:N", scale=None)
    near = alt.selection_point(name="near", on="pointerover", nearest=True, empty=False, clear="pointerout")

    def lines(data: str, **style: Any) -> Any:
        return rows_of(data).mark_line(clip=True, **style).encode(x=x, y=y, color=color, detail="line:N")

    points = rows_of("means").mark_point(filled=True, size=60, clip=True)
    told = tips(("line", "rows"), ("epoch", "epoch"), ("text", "mean loss"))
    seen = alt.value(1) if epochs == 1 else alt.condition(near, alt.value(1), alt.value(0))
    points = points.encode(x=x, y=y, color=color, opacity=seen, tooltip=told).add_params(near)
    spots = rows_of("labels").encode(x=x, y=y, text="text:N", color=color)
    # Losses fall, so that above a point there is room to its right, and below it to its left.
    upper = spots.mark_text(dy=-10, align="left", fontWeight="bold").transform_filter("datum.upper")
    lower = spots.mark_text(dy=16, align="right", fontWeight="bold").transform_filter("!datum.upper")
    layers = [
        lines("thin", strokeWidth=1, opacity=0.3),
        lines("means", strokeWidth=2.5),
        points,
    ]
    return alt.layer(*layers, upper, lower).add_params(zooming())


def _loss_labels(train: np.ndarray, held: np.ndarray) -> list[dict[str, Any]]:
    """A word on each curve where the two are farthest apart, on the side where the other is not."""
    length = min(len(train), len(held))
    # Not at the ends, where a word would be cut; a run of one or two epochs leaves no choice.
    start = min(max(1, length // 4), length - 1)
    inside = np.arange(start, max(start + 1, 2 * length // 3))
    apart = np.abs(np.log(np.maximum(train[inside], 1e-12) / np.maximum(held[inside], 1e-12)))
    if not np.isfinite(apart).any():
        return []
    at = int(inside[int(np.nanargmax(apart))])
    pairs = (("training", train, held, TRAINING), ("validation", held, train, VALIDATION))
    found = []
    for text, own, other, color in pairs:
        row = {"epoch": at + 1, "value": float(own[at]), "text": text, "color": color}
        found.append({**row, "upper": bool(own[at] >= other[at])})
    return found


def _loss_title(train: np.ndarray, held: np.ndarray) -> str:
    """Says so where validation loss turns up while training loss falls, both beyond their jitter."""
    train, held = _smooth(train), _smooth(held)
    lowest = int(np.nanargmin(held))
    if lowest >= 0.9 * len(held) - 1 or held[-1] < 1.05 * held[lowest]:
        return "Validation loss falls and stays down" if len(held) > 1 else "Losses after one epoch"
    if train[-1] < 0.9 * train[lowest]:
        return f"After epoch {lowest + 1} training loss falls on and validation loss rises: overfitting"
    return f"Validation loss is lowest at epoch {lowest + 1} of {len(held)}"


def overfits(record: Record) -> bool:
    """Whether validation loss of the best candidate turns up while its training loss falls."""
    train, held = (_mean_curve(record, record.candidates[0], n) for n in ("train_loss", "validation_loss"))
    return bool(
        np.isfinite(train).any() and np.isfinite(held).any() and "overfitting" in _loss_title(train, held)
    )


def _smooth(values: np.ndarray) -> np.ndarray:
    """A running mean over a tenth of the epochs, shorter at the ends."""
    half = len(values) // 20
    return np.array([np.nanmean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])
