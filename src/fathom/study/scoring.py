"""Every metric of a task at once."""

import dataclasses

import numpy as np

from ..engine.lanes import power_of_two
from ..objectives import METRICS
from ..task import Task

LEAST_ROWS = 16


@dataclasses.dataclass(frozen=True)
class Judged:
    """How a model did on data with known answers.

    Attributes:
        scores: every metric of the task's kind, by name.
        rows: how many rows were judged.
        left_out: rows without a target.
        notes: one sentence for each thing a user should hear of the data.
    """

    scores: dict[str, float]
    rows: int
    left_out: int
    notes: tuple[str, ...]


def score_all(
    task: Task,
    found: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    offsets: np.ndarray | None = None,
) -> dict[str, float]:
    """Every metric of a task's kind.

    Args:
        task: the task.
        found: log-probabilities [rows, classes], or values [rows].
        target: class numbers, or values.
        weight: weight of each row; None for all alike.
        offsets: what is added to the log-probabilities [classes] where a metric judges which class was named.
    """
    classes = task.kind == "classification"
    found, target = found.astype(float), target.astype(int if classes else float)
    counts = np.ones(len(target)) if weight is None else weight / weight.mean()
    named = found if offsets is None or not classes else found + offsets
    with np.errstate(all="ignore"):  # what is not finite is what a network said
        return {
            metric.name: float(metric.fn(named if metric.decides else found, target, counts))
            for metric in METRICS
            if metric.kind == task.kind
        }


def bucket(rows: int, most: int = 1 << 31) -> int:
    """Rows that a program is compiled for: a power of two, so that a few programs serve any table."""
    return min(most, max(LEAST_ROWS, power_of_two(rows)))
