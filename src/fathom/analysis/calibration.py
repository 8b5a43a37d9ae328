"""Whether probabilities and intervals keep what they promise."""

import dataclasses

import numpy as np

from .bootstrap import interval, resampled, wilson

BINS = 10


@dataclasses.dataclass(frozen=True)
class Bin:
    """Rows of about the same confidence.

    Attributes:
        low: the smallest confidence of the bin.
        high: the largest.
        confidence: the mean of its rows.
        share: the share of its rows where what was predicted happened.
        share_low: lower end of the 95 % interval of that share.
        share_high: its upper end.
        rows: how many rows it holds.
    """

    low: float
    high: float
    confidence: float
    share: float
    share_low: float
    share_high: float
    rows: int


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How confidence and outcome go together.

    Attributes:
        bins: those that hold rows, by rising confidence.
        ece: the expected calibration error: the mean over the rows of |share - confidence| of their bin.
        ece_interval: its 95 % interval.
    """

    bins: tuple[Bin, ...]
    ece: float
    ece_interval: tuple[float, float]


def calibration(
    confidence: np.ndarray, happened: np.ndarray, weight: np.ndarray | None = None, bins: int = BINS
) -> Calibration:
    """Reliability of probabilities in bins of equal width, and the expected calibration error.

    The error of a perfect model is not 0 on few rows, since every bin's share is off by chance, and drawing the rows
    again adds as much chance once more. The interval is therefore turned about the error that was found
    (2 ece - quantile), which takes that addition off.

    Args:
        confidence: the probability of what was predicted [rows].
        happened: whether it was so [rows].
        weight: weight of each row; None for all alike.
        bins: of equal width between 0 and 1.

    Returns:
        The bins and the error. Cost: 1,000 passes over the rows.

    References:
        Guo et al., "On calibration of modern neural networks", 2017.

    Example:
        >>> found = calibration(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False]))
        >>> [(round(b.confidence, 2), b.share, b.rows) for b in found.bins], round(found.ece, 3)
        ([(0.6, 0.5, 2), (0.9, 1.0, 2)], 0.1)
    """
    counts = np.ones(len(confidence)) if weight is None else weight
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    used = np.unique(place)
    inside = (place[:, None] == used).astype(float)  # [rows, bins]
    gap = inside * (happened - confidence)[:, None]
    total = counts @ inside
    shares, means = (counts * happened) @ inside / total, (counts * confidence) @ inside / total

    def error(weights: np.ndarray) -> np.ndarray:
        return np.abs(weights @ gap).sum(1) / weights.sum(1)

    ece = float(error(counts[None])[0])
    low, high = interval(resampled([error], len(confidence), weight)[0])
    turned = (min(max(2 * ece - high, 0.0), ece), max(2 * ece - low, ece))
    made = []
    for index, number in enumerate(used):
        mine = counts[place == number]
        ends = wilson(min(float(shares[index]), 1.0), float(mine.sum() ** 2 / np.square(mine).sum()))
        numbers = (number / bins, (number + 1) / bins, means[index], shares[index], *ends)
        made.append(Bin(*map(float, numbers), rows=len(mine)))
    return Calibration(tuple(made), ece, turned)


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How many rows fell inside the intervals that were to hold some share of them.

    Attributes:
        asked: the share that was asked for.
        found: the share that was inside.
        low: lower end of the 95 % interval of that share.
        high: its upper end.
    """

    asked: float
    found: float
    low: float
    high: float


def coverage(
    asked: float, lower: np.ndarray, upper: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None
) -> Coverage:
    """The share of the values between the ends of their intervals.

    Args:
        asked: the share that was promised.
        lower: lower ends [rows].
        upper: upper ends [rows].
        target: the values [rows].
        weight: weight of each row; None for all alike.

    Example:
        >>> found = coverage(0.9, np.zeros(4), np.ones(4), np.array([0.5, 0.2, 1.5, 0.9]))
        >>> found.asked, found.found
        (0.9, 0.75)
    """
    counts = np.ones(len(target)) if weight is None else weight
    share = float(np.average((lower <= target) & (target <= upper), weights=counts))
    return Coverage(asked, share, *wilson(share, float(counts.sum() ** 2 / np.square(counts).sum())))
