"""Suspicions that a column gives the answer away: what it predicts alone, on rows that were held out."""

import re
from collections.abc import Iterator

import numpy as np

from ...look import format_number
from ..dataset import Dataset
from ..schema import Column
from .suspicion import Suspicion, asked, sample

_SURE = 0.98  # of a perfect ROC AUC or R2
_SAME = 0.9999  # of R2: the target itself, in another unit or rounded
_FAR = 0.85  # what no other column may reach beside a sure one; ROC AUC
_CLEARER = 5  # times as little as the next column does a sure one leave unexplained of a quantity
_NAMED = {"classification": 0.65, "regression": 0.3}  # what a telling name needs besides
_FILLED = 0.5  # of a column's cells, for its missing ones to be passed over
_BINS = 64
_ROWS = 10_000  # looked at, half of them to fit to; fewer where there are many columns
_FEWEST_ROWS = 600
_SMALLEST = 40  # rows below which nothing is said
_CELLS = 300_000
_COLUMNS = 1000  # looked at, drawn at random where there are more
_CLASSES = 20  # the most frequent classes that are looked at
_MADE = {"predicted", "prediction", "predictions", "predict", "forecast", "forecasted", "yhat", "fitted"}


def leak(dataset: Dataset) -> Iterator[Suspicion]:
    """A column that is the target again; or predicts it alone, or nearly, while the others are far from it."""
    schema, table = dataset.schema, dataset.table
    blocks = [(column, table.numeric[:, place]) for place, column in enumerate(schema.numeric)]
    blocks += [(column, table.categorical[:, place]) for place, column in enumerate(schema.categorical)]
    blocks = [blocks[place] for place in sample(np.arange(len(blocks)), _COLUMNS)]
    rows = np.arange(len(dataset)) if dataset.part is None else np.flatnonzero(dataset.part != 2)
    rows = sample(rows, int(np.clip(_CELLS // max(len(blocks), 1), _FEWEST_ROWS, _ROWS)))
    rows = np.random.default_rng(0).permutation(rows)
    fitted = len(rows) // 2  # the first half is fitted to, the other is predicted
    goals = _goals(dataset, rows, fitted)
    if len(rows) < _SMALLEST or not blocks or not goals.shape[1]:
        return
    columns = [column for column, _ in blocks]
    classes = dataset.classes is not None
    power = {column.name: _power(column, cells[rows], goals, fitted, classes) for column, cells in blocks}
    again = {
        column.name
        for column, cells in blocks
        if power[column.name] >= (_SURE if classes else _SAME)
        and (not classes or _recodes(column, cells[rows], dataset.target[rows]))
    }
    measure = "R2" if dataset.classes is None else "ROC AUC"
    sure = [name for name, value in power.items() if value >= _SURE]
    far = _FAR if classes else 1 - _CLEARER * (1 - min((power[name] for name in sure), default=1.0))
    rest = [value for name, value in power.items() if name not in sure]
    telling = sure if rest and len(sure) <= max(1, len(columns) // 4) and max(rest) < far else []
    for column in columns:
        name, value = column.name, power[column.name]
        by_name = _telling_name(name, dataset.schema.target.name) and value >= _NAMED[dataset.kind]
        if name not in telling and name not in again and not by_name:
            continue
        evidence = {"measure": measure, "power": value, "next": max(rest, default=None), "rows": len(rows)}
        if name in again:
            goal = dataset.schema.target.name
            said = f"column {name!r} is {goal!r} again, written otherwise ({measure} {format_number(value)} alone)"
        elif name in telling:
            said = (
                f"column {name!r} alone predicts {dataset.schema.target.name!r} almost without fault ({measure} "
                f"{format_number(value)} on held-out rows; the next column reaches {format_number(max(rest))})"
            )
        else:
            said = (
                f"column {name!r} is named as if it were made from {dataset.schema.target.name!r}, and predicts it "
                f"alone with {measure} {format_number(value)}"
            )
        advice = (
            "if its value is known only together with the answer, the scores mean nothing: leave it out "
            f"({asked(name, 'ignore')})"
        )
        yield Suspicion("leak", (name,), said, advice, evidence)


def _recodes(column: Column, cells: np.ndarray, classes: np.ndarray) -> bool:
    """Whether each value of a column stands for one class, and each class has one value; missing cells aside."""
    filled = cells != column.slots - 1 if column.kind == "categorical" else ~np.isnan(cells)
    cells, classes = cells[filled], classes[filled]
    pairs = np.unique(np.stack([np.unique(cells, return_inverse=True)[1], classes]), axis=1).shape[1]
    return pairs == len(np.unique(cells)) == len(np.unique(classes))


def _telling_name(name: str, target: str) -> bool:
    words, goal = _name_words(name), _name_words(target)
    holds_target = len(target) >= 4 and set(goal) <= set(words)
    return bool(_MADE & set(words)) or holds_target


def _name_words(name: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())


def _goals(dataset: Dataset, rows: np.ndarray, fitted: int) -> np.ndarray:
    """What is to be predicted, float64 [rows, goals]: a quantity, or 1 for each class that can be judged."""
    target = dataset.target[rows]
    if dataset.classes is None:
        return (target / max(np.abs(target).max(initial=0.0), 1e-300))[:, None]
    counts = np.bincount(target[fitted:], minlength=len(dataset.classes))
    frequent = np.argsort(-counts, kind="stable")[: 1 if (counts > 0).sum() == 2 else _CLASSES]
    judged = [number for number in frequent if 5 <= counts[number] <= len(rows) - fitted - 5]
    return (target[:, None] == np.array(judged, dtype=np.int64)).astype(np.float64)


def _power(column: Column, cells: np.ndarray, goals: np.ndarray, fitted: int, classes: bool) -> float:
    """How well a column alone predicts the rows after the fitted ones: the mean ROC AUC of the classes, or R2."""
    learn, judge = goals[:fitted], goals[fitted:]
    if column.kind == "categorical":
        found = _by_category(cells[:fitted], learn, column.slots)[cells[fitted:]]
    else:
        cells = np.where(np.isnan(cells), -np.inf, cells)
        found = _by_bins(cells, learn)
    if classes:
        areas = [_rank_area(judge[:, place], found[:, place]) for place in range(goals.shape[1])]
        return float(np.mean(areas))
    power = _explained(judge[:, 0], found[:, 0])
    filled = np.isfinite(cells)
    if column.kind == "categorical" or power >= _SAME or filled.mean() < _FILLED:
        return power
    known, goal, fitted = cells[filled], goals[filled, 0], int(filled[:fitted].sum())
    if fitted in (0, len(known)):
        return power
    return max(power, _by_line(known, goal, fitted), _by_order(known, goal, fitted))


def _by_line(cells: np.ndarray, goal: np.ndarray, fitted: int) -> float:
    """R2 of a line: a bin has one mean, a line shows a copy in another unit."""
    size = np.abs(cells).max()
    if size == 0:
        return 0.0
    learn, along = goal[:fitted], cells / size
    along = along - along[:fitted].mean()
    spread = np.square(along[:fitted]).sum()
    if spread == 0:
        return 0.0
    slope = (along[:fitted] * (learn - learn.mean())).sum() / spread
    return _explained(goal[fitted:], learn.mean() + slope * along[fitted:])


def _by_order(cells: np.ndarray, goal: np.ndarray, fitted: int) -> float:
    """R2 of a value from the two fitted ones around it: shows a copy on any scale, such as its logarithm."""
    known, first = np.unique(cells[:fitted], return_index=True)
    return _explained(goal[fitted:], np.interp(cells[fitted:], known, goal[:fitted][first]))


def _explained(goal: np.ndarray, found: np.ndarray) -> float:
    """R2, at least 0."""
    spread = goal.var()
    return 0.0 if spread == 0 else max(0.0, 1.0 - float(np.square(goal - found).mean() / spread))


def _by_category(cells: np.ndarray, goals: np.ndarray, slots: int) -> np.ndarray:
    """The mean of each category, drawn towards the mean of all as if that had been seen once more."""
    counts = np.bincount(cells, minlength=slots)
    sums = np.stack([np.bincount(cells, goal, minlength=slots) for goal in goals.T], axis=1)
    return (sums + goals.mean(axis=0)) / (counts[:, None] + 1)


def _by_bins(cells: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """What the means of up to 64 bins, equally full of the first rows, say of the others."""
    fitted = len(goals)
    known = np.unique(cells[:fitted])
    bins = int(np.clip(fitted // 8, 2, _BINS))
    if len(known) > bins:
        known = np.unique(np.sort(cells[:fitted])[np.arange(bins) * fitted // bins])
    places = np.maximum(np.searchsorted(known, cells, side="right") - 1, 0)
    return _by_category(places[:fitted], goals, len(known))[places[fitted:]]


def _rank_area(goal: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve, ties counted half (Mann & Whitney, 1947)."""
    _, places, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    ones = goal.sum()
    zeros = len(goal) - ones
    return float((ranks[goal == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))
