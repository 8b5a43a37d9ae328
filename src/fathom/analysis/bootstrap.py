"""How sure a score is: intervals from drawing the rows again, and in closed form where there is one."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]  # from weights [sets, rows] to numbers [sets, ...]

RESAMPLES = 1000
SEED = 0
_LEAST_RESAMPLES = 100
_CELLS = 50_000_000  # drawn in all: more rows are drawn fewer times
_STEP = 1 << 21  # held at a time
_Z = 1.959964  # the 97.5 % point of the standard normal distribution


def resamples(rows: int, most: int = RESAMPLES) -> int:
    """How often rows are drawn again: a thousand times, and fewer of more than 50,000 rows."""
    return int(np.clip(_CELLS // max(rows, 1), min(_LEAST_RESAMPLES, most), most))


def draws(rows: int, weight: np.ndarray | None = None, most: int = RESAMPLES) -> Iterator[np.ndarray]:
    """How much each row counts in each drawing with replacement, some drawings at a time, the same every time.

    Args:
        rows: how many there are, and are drawn each time.
        weight: weight of each row, which it keeps where it is drawn; None for all alike.
        most: drawings of not too many rows.

    Yields:
        float64 [some, rows].
    """
    random, left = np.random.default_rng(SEED), resamples(rows, most)
    while left:
        count = min(left, max(1, _STEP // max(rows, 1)))
        places = random.integers(rows, size=(count, rows)) + rows * np.arange(count)[:, None]
        drawn = np.bincount(places.ravel(), minlength=count * rows).reshape(count, rows).astype(float)
        yield drawn if weight is None else drawn * weight
        left -= count


def resampled(
    statistics: Sequence[Statistic], rows: int, weight: np.ndarray | None = None, most: int = RESAMPLES
) -> list[np.ndarray]:
    """Each statistic on the same drawings of the rows, [resamples, ...] each.

    Args:
        statistics: functions from weights [sets, rows] to numbers [sets, ...].
        rows: how many there are.
        weight: weight of each row; None for all alike.
        most: drawings of not too many rows.
    """
    found: list[list[np.ndarray]] = [[] for _ in statistics]
    for weights in draws(rows, weight, most):
        for values, statistic in zip(found, statistics, strict=True):
            values.append(statistic(weights))
    return [np.concatenate(values) for values in found]


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of what the drawings gave [resamples]; NaN where they gave nothing.

    References:
        Efron and Tibshirani, "An introduction to the bootstrap", 1993.

    Example:
        >>> interval(np.arange(1001.0))
        (25.0, 975.0)
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def score_interval(score: Statistic, rows: int, weight: np.ndarray | None = None) -> tuple[float, float]:
    """The 95 % interval of a score, from drawing the rows again.

    Args:
        score: from weights [sets, rows] to scores [sets], as `scorer` makes it.
        rows: how many there are.
        weight: weight of each row; None for all alike.

    Returns:
        Low and high. Cost: 1,000 scorings.

    Example:
        >>> values = np.linspace(-1, 1, 400)  # of standard deviation 0.58, hence ± 1.96 x 0.58 / √400
        >>> low, high = score_interval(lambda w: w @ values / w.sum(1), 400)
        >>> round(low, 1), round(high, 1)
        (-0.1, 0.1)
    """
    return interval(resampled([score], rows, weight)[0])


def paired_differences(
    ours: Statistic, theirs: Sequence[Statistic], rows: int, weight: np.ndarray | None = None
) -> list[tuple[float, float, float]]:
    """The differences of a score to others on the same rows, with their 95 % intervals.

    Every drawing scores all of them on the same rows, so that what makes rows hard for all cancels.

    Args:
        ours: from weights [sets, rows] to scores [sets].
        theirs: those it is compared with.
        rows: how many there are.
        weight: weight of each row; None for all alike.

    Returns:
        For each of `theirs`: ours - theirs, low and high.
    """
    whole = np.ones((1, rows)) if weight is None else np.asarray(weight, float)[None]
    own, *others = resampled([ours, *theirs], rows, weight)
    at = float(ours(whole)[0])
    return [
        (at - float(other(whole)[0]), *interval(own - found))
        for other, found in zip(theirs, others, strict=True)
    ]


def wilson(share: float, rows: float) -> tuple[float, float]:
    """The 95 % interval of a share that was found on some rows.

    Args:
        share: the share, 0 to 1.
        rows: rows it was found on; of weighted ones how many equal ones say as much.

    References:
        Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Example:
        >>> [round(end, 3) for end in wilson(0.9, 100)]
        [0.826, 0.945]
    """
    center = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    half = _Z / (1 + _Z**2 / rows) * math.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2))
    return center - half, center + half
