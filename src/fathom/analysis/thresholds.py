"""Which answers are given: confusion of the classes, and what another threshold between two would bring."""

import dataclasses

import numpy as np

POINTS = 100
RATIOS = tuple(float(f"{10**power:.3g}") for power in np.linspace(-2, 2, 25))


def confusion(
    named: np.ndarray, target: np.ndarray, classes: int, weight: np.ndarray | None = None
) -> np.ndarray:
    """How many rows of each class were taken for which, [true classes, named classes].

    Args:
        named: the class that each row was taken for [rows].
        target: its class [rows].
        classes: how many classes there are.
        weight: weight of each row; None to count rows.

    Example:
        >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    found = np.bincount(target * classes + named, weight, classes * classes).reshape(classes, classes)
    return found.astype(np.int64) if weight is None else found


@dataclasses.dataclass(frozen=True)
class Threshold:
    """What naming the second of two classes from a probability on comes to.

    Attributes:
        threshold: the probability.
        precision: share of the rows named so that are; 0 where none is named.
        recall: share of the rows that are that are named.
        f1: the harmonic mean of the two.
        balanced_accuracy: the mean recall of both classes.
        flagged: share of all rows that is named.
    """

    threshold: float
    precision: float
    recall: float
    f1: float
    balanced_accuracy: float
    flagged: float


def threshold_curve(
    probability: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    also: tuple[float, ...] = (0.5,),
    points: int = POINTS,
) -> list[Threshold]:
    """What each threshold brings, where thresholds lie among the rows.

    Args:
        probability: of the second class [rows].
        target: 1 for rows that are of it, 0 for others [rows].
        weight: weight of each row; None for all alike.
        also: thresholds that must be there.
        points: about how many there are: half of them quantiles of the rows that are of it, half of all rows, so that
            the curve is as fine where the class is rare.

    Returns:
        By rising threshold; none where a class has no rows.

    Example:
        >>> curve = threshold_curve(np.array([0.1, 0.4, 0.6, 0.9]), np.array([0, 1, 0, 1]))
        >>> [(t.threshold, t.precision, t.recall) for t in curve if t.threshold == 0.5]
        [(0.5, 0.5, 0.5)]
    """
    levels = np.linspace(0, 1, points // 2)
    true = target == 1
    if true.all() or not true.any():
        return []
    spread = [np.quantile(rows, levels, method="lower") for rows in (probability[true], probability)]
    cuts = np.unique(np.concatenate([*spread, also]))
    right, named, there, total = _above(probability, true, weight, cuts)
    precision, recall = right / np.where(named > 0, named, 1), right / there
    spared = 1 - (named - right) / (total - there)
    f1 = 2 * right / (named + there)
    columns = (cuts, precision, recall, f1, (recall + spared) / 2, named / total)
    return [Threshold(*map(float, numbers)) for numbers in zip(*columns, strict=True)]


@dataclasses.dataclass(frozen=True)
class Cost:
    """The best threshold at one price of a miss.

    Attributes:
        ratio: what a missed row of the second class costs, a false alarm costing 1.
        threshold: where the costs are lowest.
        cost: what they are there, for each row in the mean.
        default_cost: what they are at the threshold in use.
    """

    ratio: float
    threshold: float
    cost: float
    default_cost: float


def cost_curve(
    probability: np.ndarray,
    target: np.ndarray,
    default: float,
    weight: np.ndarray | None = None,
    ratios: tuple[float, ...] = RATIOS,
) -> list[Cost]:
    """The threshold of lowest cost for each price of a miss against a false alarm.

    For calibrated probabilities it is 1 / (1 + ratio); here it is the best among all that part the rows in
    another way, hence a little optimistic where rows are few.

    Args:
        probability: of the second class [rows].
        target: 1 for rows that are of it, 0 for others [rows].
        default: the threshold in use.
        weight: weight of each row; None for all alike.
        ratios: the prices.

    Returns:
        One for each price; none where a class has no rows.

    References:
        Elkan, "The foundations of cost-sensitive learning", 2001.
    """
    true = target == 1
    if true.all() or not true.any():
        return []
    scores = np.unique(probability)
    # Between two scores; below the lowest every row is named, above the highest none.
    cuts = np.concatenate([[scores[0] / 2], (scores[1:] + scores[:-1]) / 2, [(scores[-1] + 1) / 2]])
    right, named, there, total = _above(probability, true, weight, np.append(cuts, default))
    found = []
    for ratio in ratios:
        costs = (ratio * (there - right) + named - right) / total
        least = costs[:-1].min()
        # Of equally good cuts the one nearest to what calibrated probabilities ask for.
        best = np.flatnonzero(costs[:-1] <= least * (1 + 1e-12))
        cut = cuts[best[np.abs(cuts[best] - 1 / (1 + ratio)).argmin()]]
        found.append(Cost(ratio, float(cut), float(least), float(costs[-1])))
    return found


def _above(
    probability: np.ndarray, true: np.ndarray, weight: np.ndarray | None, cuts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """The weight named from each cut on: of rows that are, and of all; then what there is of both."""
    counts = np.ones(len(probability)) if weight is None else weight
    order = np.argsort(probability, kind="stable")
    first = np.searchsorted(probability[order], cuts, side="left")
    sums = [np.concatenate([[0.0], np.cumsum(w[order])]) for w in (counts * true, counts)]
    right, named = (each[-1] - each[first] for each in sums)
    return right, named, float(sums[0][-1]), float(sums[1][-1])
