"""The catalogue of metrics."""

import dataclasses
from collections.abc import Callable
from typing import Any

from ..catalogue import Catalogue
from ..errors import one_of
from ..task import Task
from . import scores


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: the word a user types.
        kind: "classification" or "regression".
        greater_is_better: whether selection looks for the largest value.
        fn: (outputs, targets, weight=None) -> a scalar. Outputs are logits [rows, classes] or predictions
            [rows, k] or [rows]; a row of weight 0 does not count; NaN if every weight is 0. JAX arrays,
            also under jit and vmap, or NumPy arrays.
        summary: one line for the user.
        decides: whether it judges which class was named, and not the probabilities: where the line between
            the classes is drawn changes it.
    """

    name: str
    kind: str
    greater_is_better: bool
    fn: Callable[..., Any]
    summary: str
    decides: bool = False


METRICS: Catalogue[Metric] = Catalogue("metric")

for _record in (
    Metric("accuracy", "classification", True, scores.accuracy, "share of right answers", decides=True),
    Metric(
        "balanced_accuracy",
        "classification",
        True,
        scores.balanced_accuracy,
        "mean of the recalls",
        decides=True,
    ),
    Metric(
        "log_loss",
        "classification",
        False,
        scores.log_loss,
        "-log probability of the true class, nats",
    ),
    Metric("f1", "classification", True, scores.f1, "harmonic mean of precision and recall", decides=True),
    Metric(
        "mcc",
        "classification",
        True,
        scores.mcc,
        "correlation of answers and truths (Matthews)",
        decides=True,
    ),
    Metric(
        "precision",
        "classification",
        True,
        scores.precision,
        "share of the answers for a class that are right",
        decides=True,
    ),
    Metric("recall", "classification", True, scores.recall, "share of a class that is found", decides=True),
    Metric("roc_auc", "classification", True, scores.roc_auc, "chance that a true row outranks a false one"),
    Metric("brier", "classification", False, scores.brier, "squared error of the probabilities"),
    Metric("rmse", "regression", False, scores.rmse, "root mean squared error, in units of the target"),
    Metric("mae", "regression", False, scores.mae, "mean absolute error, in units of the target"),
    Metric("r2", "regression", True, scores.r2, "share of the target's variance that is explained"),
):
    METRICS.add(_record)


def metric_of(task: Task) -> Metric:
    """The metric that a task names.

    Args:
        task: the task.

    Returns:
        The record.

    Raises:
        UsageError: if there is none of that name for the task's kind.

    Example:
        >>> metric_of(Task.classification(4, 3)).name
        'accuracy'
    """
    allowed = [record.name for record in METRICS if record.kind == task.kind]
    if task.metric not in allowed:
        raise one_of("metric", task.metric, allowed)
    return METRICS[task.metric]
