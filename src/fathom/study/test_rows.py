"""The one look at the test rows, after everything is chosen."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .baselines import baseline_outputs
from .intervals import COVERAGE
from .predictor import Predictor
from .scoring import score_all
from .study import Study
from .weights import effective_rows


def look_at_test_rows(
    study: Study, predictor: Predictor, baselines: Mapping[str, tuple[Any, float]]
) -> dict[str, Any]:
    """The scores on the test rows of the chosen network, the ensemble and the baselines.

    Args:
        study: the study.
        predictor: the ensemble.
        baselines: by name, the fitted estimator and the seconds it took.

    Returns:
        What `Result.summary` has under "test", and "baselines" beside it.
    """
    dataset, rows, metric = study.dataset, study.split.test, study.task.metric
    if not len(rows):
        return {
            "rows": 0,
            "effective_rows": 0,
            "score": None,
            "ensemble_score": None,
            "interval": None,
            "baselines": {},
        }
    table, target = dataset.table.take(rows), dataset.target[rows]
    weight = None if dataset.weight is None else dataset.weight[rows]
    inputs = {fold: encoder.encode(table) for fold, encoder in enumerate(study.inputs.encoders)}
    outputs = predictor.outputs_of(inputs, len(rows))
    alone = predictor.chosen.scores(outputs[:1], target, weight)
    together = predictor.scores(outputs, target, weight)
    found = {}
    for name, (model, seconds) in baselines.items():
        scores = score_all(study.task, baseline_outputs(model, inputs[0], dataset), target, weight)
        found[name] = {"score": scores[metric], "metrics": scores, "seconds": seconds}
    return {
        "rows": len(rows),
        "effective_rows": effective_rows(weight, len(rows)),
        "score": alone[metric],
        "ensemble_score": together[metric],
        "metrics": alone,
        "ensemble_metrics": together,
        "interval": _interval(predictor, outputs, target, weight),
        "baselines": found,
    }


def _interval(
    predictor: Predictor, outputs: np.ndarray, target: np.ndarray, weight: np.ndarray | None
) -> dict[str, float] | None:
    """How many test rows the intervals hold, and how wide they are; None for classes."""
    if predictor.intervals is None:
        return None
    lower, upper = predictor.interval_of(outputs)
    inside = (lower <= target) & (target <= upper)
    return {
        "asked": COVERAGE,
        "coverage": float(np.average(inside, weights=weight)),
        "width": float(np.average(upper - lower, weights=weight)),
    }
