"""Choosing among trained members by their validation scores, with the uncertainty of that choice."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..engine.training import MemberRecord
from .members import Member

_MOST = 1e6  # of a logit


@dataclasses.dataclass(frozen=True)
class Standing:
    """How a candidate did.

    Attributes:
        candidate: its number.
        score: mean over its members of each one's best validation score.
        spread: standard deviation over its members; 0 for one member.
        members: its members.
        scores: their scores, in order of seed and fold.
        loss: mean of their validation losses, which breaks ties.
    """

    candidate: int
    score: float
    spread: float
    members: tuple[int, ...]
    scores: tuple[float, ...]
    loss: float = 0.0

    @property
    def error(self) -> float:
        """The standard error of the mean; nan for one member."""
        return self.spread / math.sqrt(len(self.scores)) if len(self.scores) > 1 else math.nan


def standings(members: Sequence[Member], records: Mapping[int, MemberRecord], rising: bool) -> list[Standing]:
    """The candidates that were trained to the end, best first; without those that have a diverged member."""
    groups: dict[int, list[Member]] = {}
    for member in members:
        groups.setdefault(member.candidate, []).append(member)
    found = []
    for candidate, group in groups.items():
        if any(records[m.index].status not in ("finished", "stopped") for m in group):
            continue
        scores = [records[m.index].best_score for m in group]
        if not all(map(math.isfinite, scores)):  # an error so large that its square overflows is inf
            continue
        spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
        mean = float(np.mean(scores))
        loss = float(np.mean([records[m.index].best_loss for m in group]))
        found.append(Standing(candidate, mean, spread, tuple(m.index for m in group), tuple(scores), loss))
    return sorted(found, key=lambda s: (-s.score if rising else s.score, s.loss, s.candidate))


def indistinguishable(ranking: Sequence[Standing], rising: bool) -> list[int]:
    """Candidates that the winner does not beat beyond noise.

    The winner is compared with each other candidate by the paired differences of their members, which share
    seeds and folds: where the 95 % interval of the mean difference (Student's t) holds zero, the two cannot
    be told apart. With one member a candidate nothing can be told apart.

    Args:
        ranking: the candidates, best first.
        rising: whether a larger score is better.

    Returns:
        Numbers of the candidates, best first.
    """
    winner = np.array(ranking[0].scores)
    found = []
    for other in ranking[1:]:
        gain = (winner - np.array(other.scores)) * (1 if rising else -1)
        if len(gain) < 2:
            found.append(other.candidate)
            continue
        from scipy.special import stdtrit  # SciPy is slow to import, scipy.stats most of all

        error = gain.std(ddof=1) / math.sqrt(len(gain))
        if gain.mean() <= stdtrit(len(gain) - 1, 0.975) * error:
            found.append(other.candidate)
    return found


def ensemble_members(ranking: Sequence[Standing], most: int) -> list[int]:
    """Members of the best candidates, at most `most`, whole candidates only but always the best one."""
    chosen: list[int] = []
    for standing in ranking:
        if chosen and len(chosen) + len(standing.members) > most:
            break
        chosen.extend(standing.members)
    return chosen


def temperature(
    logits: np.ndarray,
    targets: np.ndarray,
    weight: np.ndarray | None = None,
    shift: Sequence[float] = (),
) -> float:
    """The temperature that makes probabilities softmax(logits / T + shift) most likely.

    Args:
        logits: [rows, classes], or log-probabilities.
        targets: class numbers [rows].
        weight: weight of each row; None for all alike.
        shift: what is added for each class; nothing if empty.

    Returns:
        T, between 0.05 and 20.

    References:
        Guo et al., "On calibration of modern neural networks", 2017.
    """
    logits = np.nan_to_num(
        logits, nan=0.0, posinf=_MOST, neginf=-_MOST
    )  # a probability of 0 has the logarithm -inf
    shares = np.ones(len(targets)) if weight is None else weight
    shares = shares / shares.sum()
    said, added = shares @ logits[np.arange(len(targets)), targets], np.array(shift) if shift else 0.0

    def slope(sharpness: float) -> tuple[float, float]:
        """Of the loss with respect to 1 / T, which only grows, for the loss is convex in 1 / T; and its own slope."""
        z = logits * sharpness + added
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p *= (shares / p.sum(axis=1))[:, None]
        weighted = p * logits
        means = weighted.sum(axis=1)
        spread = np.vdot(weighted, logits) - np.vdot(means, means / np.maximum(shares, 1e-300))
        return float(means.sum() - said), float(spread)

    low, high, sharpness, step = 0.05, 20.0, 1.0, math.inf
    while high / low > 1 + 1e-4 and abs(step / sharpness - 1) > 1e-3:
        error, bend = slope(sharpness)
        low, high = (low, sharpness) if error > 0 else (sharpness, high)
        step = (
            sharpness - error / bend if bend > 0 else 0.0
        )  # Newton's; the middle where that leaves the ends
        step, sharpness = sharpness, step if low < step < high else math.sqrt(low * high)
    return 1 / sharpness
