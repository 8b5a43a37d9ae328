"""The one look at the test rows, after everything is chosen."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..analysis import paired_differences, score_interval, scorer, wilson
from ..analysis.bootstrap import resamples
from ..task import Task
from .baselines import Baseline, baseline_outputs
from .intervals import COVERAGE
from .predictor import Predictor
from .scoring import score_all
from .study import Study
from .weights import effective_rows


@dataclasses.dataclass(frozen=True, eq=False)
class FinalLook:
    """What the look at the test rows showed.

    Attributes:
        outputs: of the ensemble's networks, [networks, rows, outputs].
        baselines: by name, log-probabilities [rows, classes] or values [rows].
        scores: what `Result.summary` has under "test".
        baseline_scores: what it has under "baselines".
    """

    outputs: np.ndarray
    baselines: Mapping[str, np.ndarray]
    scores: dict[str, Any]
    baseline_scores: dict[str, Any]


def look_at_test_rows(study: Study, predictor: Predictor, baselines: Mapping[str, Baseline]) -> FinalLook:
    """The scores on the test rows of the chosen network, the ensemble and the baselines.

    Args:
        study: the study.
        predictor: the ensemble.
        baselines: by name.
    """
    dataset, rows, metric = study.dataset, study.split.test, study.task.metric
    if not len(rows):
        none = dict.fromkeys(("score", "ensemble_score", "interval", "interval_of_score", "against"))
        return FinalLook(np.zeros((0, 0, 0)), {}, {"rows": 0, "effective_rows": 0, **none}, {})
    table, target = dataset.table.take(rows), dataset.target[rows]
    weight = None if dataset.weight is None else dataset.weight[rows]
    inputs = {fold: encoder.encode(table) for fold, encoder in enumerate(study.inputs.encoders)}
    outputs = predictor.outputs_of(inputs, len(rows))
    alone = predictor.chosen.scores(outputs[:1], target, weight)
    together = predictor.scores(outputs, target, weight)
    theirs = {name: baseline_outputs(one.model, inputs[0], dataset) for name, one in baselines.items()}
    found = {}
    for name, one in baselines.items():
        scores = score_all(study.task, theirs[name], target, weight)
        found[name] = {"score": scores[metric], "metrics": scores, "seconds": one.seconds, "note": one.note}
    scores = {
        "rows": len(rows),
        "effective_rows": effective_rows(weight, len(rows)),
        "score": alone[metric],
        "ensemble_score": together[metric],
        "metrics": alone,
        "ensemble_metrics": together,
        "interval": _interval(predictor, outputs, target, weight),
        **_how_sure(study.task, predictor, outputs, theirs, target, weight),
    }
    return FinalLook(outputs, theirs, scores, found)


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


def _how_sure(
    task: Task,
    predictor: Predictor,
    outputs: np.ndarray,
    baselines: Mapping[str, np.ndarray],
    target: np.ndarray,
    weight: np.ndarray | None,
) -> dict[str, Any]:
    """The 95 % intervals of the ensemble's score, and of its differences to the baselines on the same rows."""
    rows, found = len(target), predictor.combine(outputs)
    if rows < 2:
        return {"interval_of_score": None, "against": []}
    if weight is not None:
        weight = weight / weight.mean()
    offsets = np.array(predictor.offsets) if predictor.offsets else None
    score = scorer(task.metric, found, target, offsets)
    if task.metric == "accuracy":
        whole = np.ones((1, rows)) if weight is None else weight[None]
        ends = wilson(float(score(whole)[0]), effective_rows(weight, rows))
        how = "Wilson"
    else:
        ends = score_interval(score, rows, weight)
        how = f"bootstrap, {resamples(rows)} resamples of the rows"
    sure = {"low": ends[0], "high": ends[1], "how": how} if np.isfinite(ends).all() else None
    others = [scorer(task.metric, theirs, target) for theirs in baselines.values()]
    differences = paired_differences(score, others, rows, weight)
    named = zip(baselines, differences, strict=True)
    return {
        "interval_of_score": sure,
        "against": [{"baseline": n, "difference": d, "low": a, "high": b} for n, (d, a, b) in named],
    }
