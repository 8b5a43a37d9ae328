"""Rungs: the points where weak members are dropped, so that their compute goes to the others."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import UsageError


@dataclasses.dataclass(frozen=True)
class Rung:
    """One point where members are dropped.

    Attributes:
        at: the share of a member's epochs after which it is judged, between 0 and 1.
        keep: how many candidates go on.
    """

    at: float
    keep: int

    def __post_init__(self) -> None:
        if not 0 < self.at < 1:
            raise UsageError(
                f"rung: at={self.at!r} is not allowed; give a share of the epochs between 0 and 1"
            )
        if self.keep < 1:
            raise UsageError(f"rung: keep={self.keep!r} is not allowed; keep at least 1")


def halving(
    candidates: int, at: Sequence[float] = (0.2, 0.5), share: float = 0.4, least: int = 4
) -> tuple[Rung, ...]:
    """Successive halving: at each rung the best `share` of the candidates goes on.

    Args:
        candidates: how many there are at first.
        at: shares of the epochs at which to judge.
        share: share of the candidates that goes on.
        least: never keep fewer.

    Returns:
        The rungs that drop something.

    Example:
        >>> halving(50)
        (Rung(at=0.2, keep=20), Rung(at=0.5, keep=8))

    References:
        Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", 2016.
    """
    rungs, left = [], candidates
    for point in at:
        keep = max(least, math.ceil(left * share))
        if keep < left:
            rungs.append(Rung(point, keep))
            left = keep
    return tuple(rungs)


def rung_work(rungs: Sequence[Rung], candidates: int) -> float:
    """The share of the full grid's work that is left when candidates are dropped at the rungs.

    Example:
        >>> rung_work([Rung(0.5, 5)], 10)
        0.75
    """
    work, left, since = 0.0, candidates, 0.0
    for rung in rungs:
        work += left * (rung.at - since)
        left, since = min(left, rung.keep), rung.at
    return (work + left * (1 - since)) / candidates


def survivors(scores: Mapping[int, Sequence[float]], keep: int, rising: bool) -> list[int]:
    """The candidates that go on: those with the best mean score over their members.

    Args:
        scores: each candidate's scores, one a member; nan marks a member that diverged.
        keep: how many go on.
        rising: whether a larger score is better.

    Returns:
        The candidates, in ascending order. A candidate with a diverged member goes last; ties go to the
        candidate that comes first.
    """
    sign = -1.0 if rising else 1.0

    def rank(candidate: int) -> tuple[bool, float, int]:
        mean = float(np.mean(scores[candidate]))
        return (math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean, candidate)

    return sorted(sorted(scores, key=rank)[:keep])
