"""Where the line between classes is drawn: fitted to a metric on validation rows, guarded against noise."""

import math
from collections.abc import Callable

import numpy as np

from ..analysis import COUNTED

_DRAWS = 100  # of the rows, whose best lines are averaged
_CELLS = 4e5  # cells that the sweeps look at in all, unless 10 draws take more
_MOST_CELLS = 2e7  # cells of one sweep beyond which there is none
_PASSES = 2  # times that each class's offset is fitted in turn
_SEED = 0

# Weights of the rows by class, [cuts, classes] each: answered rightly, answered, and there, [1, classes].
Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def decision_offsets(
    metric: str, chances: np.ndarray, targets: np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """What to add to each class's log-probability so that the class with the largest sum scores best.

    A fit looks at every line between two rows. The best line for the classes that happen to be there is where chance
    put it: in 250 rows with 8 % in a class it may cost more than no line. So two fits are joined. One takes
    the probabilities at their word (each row counts for every class by its probability), and hardly moves from
    sample to sample. The other is the mean over draws of the rows with replacement. As far as the two differ by
    more than the draws spread, the second is believed: then the probabilities are off.

    For accuracy the first draws no line, and the gain of the second must exceed its standard error, rows paired.

    Args:
        metric: name of the metric; one that is not in `TUNED` gives no offsets.
        chances: log-probabilities [rows, classes] of rows that the networks were not trained on.
        targets: class numbers [rows].
        weight: weight of each row; None for all alike.

    Returns:
        float64 [classes], the first 0. Cost: 100 sorts of the rows for two classes; fewer where rows or
        classes are many, and none where one fit would take seconds.

    References:
        Lipton, Elkan and Naryanaswamy, "Optimal thresholding of classifiers to maximize F1 measure", 2014;
        Efron and Morris, "Stein's estimation rule and its competitors", 1973.
    """
    rows, classes = chances.shape
    score = TUNED.get(metric)
    cells = rows * classes * (1 if classes == 2 else classes * _PASSES)
    weight = np.ones(rows) if weight is None else weight
    none = np.zeros(classes)
    alone = len(np.unique(targets)) < 2 or (metric == "accuracy" and classes > 2)
    if score is None or alone or cells > _MOST_CELLS:
        return none
    truth = weight[:, None] * (targets[:, None] == np.arange(classes))
    expected = _fit(score, chances, weight[:, None] * np.exp(chances))
    draws, found = np.random.default_rng(_SEED), []
    for _ in range(int(np.clip(_CELLS / cells, 10, _DRAWS))):
        drawn = np.bincount(draws.integers(rows, size=rows), minlength=rows)
        kept = drawn > 0
        found.append(_fit(score, chances[kept], (truth * drawn[:, None])[kept]))
    apart = np.mean(found, axis=0) - expected
    noise = np.var(found, axis=0) / np.where(apart == 0, 1, np.square(apart))
    offsets = expected + np.clip(1 - noise, 0, 1) * apart
    if metric == "accuracy" and not _beyond_noise(chances, targets, weight, offsets):
        return none
    return offsets


def threshold_of(offsets: np.ndarray) -> float:
    """The probability of the second of two classes from which it is named."""
    return round(1.0 / (1.0 + math.exp(float(offsets[1] - offsets[0]))), 12)


def offsets_of(threshold: float) -> tuple[float, float]:
    """The offsets by which the second of two classes is named from a probability on."""
    return 0.0, math.log1p(-threshold) - math.log(threshold)


def _fit(score: Score, chances: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The offsets that score best, one class at a time; `truth` is each row's weight for each class."""
    offsets = np.zeros(chances.shape[1])
    if len(offsets) == 2:
        offsets[1] = _best_offset(score, chances, truth, 1)
        return offsets
    for _ in range(_PASSES):
        for k in range(len(offsets)):
            offsets[k] += _best_offset(score, chances + offsets, truth, k)
    return offsets - offsets[0]


def _best_offset(score: Score, chances: np.ndarray, truth: np.ndarray, of: int) -> float:
    """The offset of one class, among all that differ in the rows they move, that scores best."""
    rows, classes = chances.shape
    others = chances.copy()
    others[:, of] = -np.inf
    rival, each = others.argmax(1), np.arange(rows)
    lead = chances[:, of] - others[each, rival]
    order = np.argsort(-lead, kind="stable")
    lead, rival, truth = lead[order], rival[order], truth[order]
    # Cut c: the c rows that lean most to the class are answered by it, the others by their next best class.
    weight, there = truth.sum(1), truth.sum(0)
    moved, right = np.zeros((2, rows, classes))
    moved[each, rival], right[each, rival] = -weight, -truth[each, rival]
    moved[:, of], right[:, of] = weight, truth[:, of]
    answered = _before(np.bincount(rival, weight, classes), moved)
    rightly = _before(np.bincount(rival, truth[each, rival], classes), right)
    scores = score(rightly, answered, there[None])
    edges = np.concatenate([[True], lead[1:] < lead[:-1], [True]])  # rows of equal lead go together
    best = int(np.argmax(np.where(edges, scores, -np.inf)))
    before = lead[best - 1] if best else lead[0] + 1
    after = lead[best] if best < rows else lead[-1] - 1
    return -(before + after) / 2


def _before(start: np.ndarray, steps: np.ndarray) -> np.ndarray:
    return start + np.concatenate([np.zeros((1, len(start))), np.cumsum(steps, axis=0)])


def _beyond_noise(chances: np.ndarray, targets: np.ndarray, weight: np.ndarray, offsets: np.ndarray) -> bool:
    """Whether offsets gain more accuracy than one standard error, rows paired."""
    gain = ((chances + offsets).argmax(1) == targets).astype(float) - (chances.argmax(1) == targets)
    mean = np.average(gain, weights=weight)
    # One row more that differs: a single one is no evidence.
    squares = np.sum((weight * (gain - mean)) ** 2) + np.mean(np.square(weight))
    error = math.sqrt(float(squares)) / weight.sum()
    return bool(mean > error)


#: The metrics whose best line is worth finding. Precision alone would name next to nothing, recall everything.
TUNED: dict[str, Score] = {name: COUNTED[name] for name in ("accuracy", "balanced_accuracy", "f1", "mcc")}
