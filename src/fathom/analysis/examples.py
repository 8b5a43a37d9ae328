"""Single rows worth a look: those predicted worst, and those whose target is likely wrong."""

import dataclasses

import numpy as np

OUTLYING = 6.0  # robust deviations: two in a thousand of Laplace-distributed errors, none of normal ones


def losses(found: np.ndarray, target: np.ndarray) -> np.ndarray:
    """How wrong each prediction is [rows].

    Args:
        found: probabilities [rows, classes], or values [rows].
        target: class numbers, or values.

    Returns:
        -log probability of the true class, in nats; or the absolute error, in units of the target.

    Example:
        >>> losses(np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([0, 1])).round(2)
        array([0.69, 2.3 ])
    """
    if found.ndim == 1:
        return np.abs(target - found)
    return -np.log(np.clip(found[np.arange(len(target)), target], 1e-30, None))


def hardest(loss: np.ndarray, most: int) -> np.ndarray:
    """The rows of the largest loss, the largest first; of equal ones the earlier first."""
    return np.argsort(-loss, kind="stable")[:most]


@dataclasses.dataclass(frozen=True)
class Suspect:
    """A row whose target is likely wrong.

    Attributes:
        row: its place among the rows looked at.
        suggested: the class, or the value, that the model holds for true.
        score: the probability of its own class; of a value, the residual in robust deviations. The lower, or the
            further from 0, the likelier it is wrong.
    """

    row: int
    suggested: float
    score: float


def label_errors(probability: np.ndarray, target: np.ndarray) -> list[Suspect]:
    """Rows that are likely of another class than their own (confident learning).

    A class's threshold is the mean probability that rows of that class have of it. A row counts for the class
    of its largest probability among those that reach their threshold; so many rows of each class, in proportion,
    are held to be of each other class. As many are named, by how far that class leads over their own,
    as long as it is the likeliest of all.

    Args:
        probability: of rows that the model was not trained on [rows, classes].
        target: their class numbers, as given.

    Returns:
        The suspects, those of the lowest probability of their own class first. Where classes overlap, many are
        rightly labeled: the list says where to look first.

    References:
        Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021 (the
        calibrated joint, pruned by noise rate).

    Example:
        >>> probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9], [0.95, 0.05]])
        >>> [(s.row, s.suggested) for s in label_errors(probability, np.array([0, 0, 1, 1, 1]))]
        [(4, 0)]
    """
    rows, classes = probability.shape
    own = probability[np.arange(rows), target]
    totals = np.bincount(target, minlength=classes)
    means = np.bincount(target, own, classes) / np.maximum(totals, 1)
    thresholds = np.where(totals > 0, means, np.inf)  # a class that no row has suggests nothing
    likely = np.where(probability >= thresholds, probability, -1.0)
    counted, held = likely.max(1) >= 0, likely.argmax(1)
    joint = np.zeros((classes, classes))
    np.add.at(joint, (target[counted], held[counted]), 1)
    wrong = np.rint(joint * (totals / np.maximum(joint.sum(1), 1))[:, None]).astype(int)
    best, suspects = probability.argmax(1), []
    for given, other in zip(*np.nonzero(wrong), strict=True):
        if given != other:
            mine = np.flatnonzero((target == given) & (best == other))
            lead = probability[mine, other] - own[mine]
            suspects.extend(mine[np.argsort(-lead, kind="stable")[: wrong[given, other]]])
    order = sorted(suspects, key=lambda row: (own[row], row))
    return [Suspect(int(row), int(best[row]), float(own[row])) for row in order]


def outlying(value: np.ndarray, target: np.ndarray, limit: float = OUTLYING) -> list[Suspect]:
    """Rows whose residual is out of all proportion to the others'.

    Deviations are measured from the median residual, in units of 1.4826 times the median absolute deviation, the
    standard deviation of normal residuals.

    Args:
        value: predictions of rows that the model was not trained on [rows].
        target: their values, as given [rows].
        limit: deviations from which a row is named.

    Returns:
        The suspects, the furthest off first.

    References:
        Iglewicz and Hoaglin, "How to detect and handle outliers", 1993.

    Example:
        >>> target = np.array([1.0, 2.1, 2.9, 4.2, 50.0])
        >>> [(s.row, s.suggested) for s in outlying(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), target)]
        [(4, 5.0)]
    """
    residual = target - value
    center = np.median(residual)
    unit = 1.4826 * np.median(np.abs(residual - center))
    if not unit > 0:
        return []
    z = (residual - center) / unit
    order = np.argsort(-np.abs(z), kind="stable")
    return [Suspect(int(row), float(value[row]), float(z[row])) for row in order if abs(z[row]) > limit]
