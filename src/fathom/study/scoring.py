"""Every metric of a task at once, as one compiled program."""

import functools

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from ..engine.lanes import power_of_two
from ..engine.program import Program
from ..objectives import METRICS
from ..task import Task

LEAST_ROWS = 16


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
    rows = len(target)
    kind = np.int32 if task.kind == "classification" else np.float32
    more = bucket(rows) - rows
    outputs = np.pad(found.astype(np.float32), [(0, more)] + [(0, 0)] * (found.ndim - 1))
    counts = np.ones(rows) if weight is None else weight / weight.mean()
    moved = np.zeros(len(task.classes)) if offsets is None else offsets
    scores = _scores(task.kind)(
        *jax.device_put(
            (
                outputs,
                np.pad(target.astype(kind), (0, more)),
                np.pad(counts.astype(np.float32), (0, more)),
                moved.astype(np.float32),
            )
        )
    )
    return {name: float(value) for name, value in jax.device_get(scores).items()}


def prepare_scores(task: Task, rows: int) -> None:
    """Compile ahead what scoring some number of rows will need."""
    place = SingleDeviceSharding(jax.local_devices()[0])
    count, classes = bucket(rows), len(task.classes)
    shapes = [(count, classes) if classes else (count,), (count,), (count,), (classes,)]
    kinds = [np.float32, np.int32 if classes else np.float32, np.float32, np.float32]
    _scores(task.kind).compiled(
        *(jax.ShapeDtypeStruct(s, k, sharding=place) for s, k in zip(shapes, kinds, strict=True))
    )


def bucket(rows: int, most: int = 1 << 31) -> int:
    """Rows that a program is compiled for: a power of two, so that a few programs serve any table."""
    return min(most, max(LEAST_ROWS, power_of_two(rows)))


@functools.lru_cache(maxsize=2)
def _scores(kind: str) -> Program:
    """All metrics of a kind as one program."""
    metrics = [metric for metric in METRICS if metric.kind == kind]

    def run(found, targets, weight, offsets):
        named = found if kind == "regression" else found + offsets[None]
        return {m.name: m.fn(named if m.decides else found, targets, weight) for m in metrics}

    return Program("scores", run)
