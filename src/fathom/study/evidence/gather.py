"""Gathering the evidence of a run, once everything is chosen and the test rows were looked at."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...analysis import calibration, confusion, cost_curve, coverage, threshold_curve
from ..baselines import missing_baselines
from ..final import FinalLook
from ..intervals import COVERAGE
from ..predictor import Predictor
from ..run_folder import clean
from ..study import Study
from .cells import MOST_COLUMNS, summary
from .examples import hardest_rows, likely_errors
from .passes import LeftOut, dependence, importance
from .record import Evidence, Rows
from .rows import test_rows, validation_rows

_LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # coverages that intervals are asked for
_DEPENDENCE = 6  # columns
_LONGEST = 200  # characters of an error
_NO_TEST = "no test rows were kept"


def gather(study: Study, predictor: Predictor, look: FinalLook, best: Sequence[int], work: float) -> Evidence:
    """What a run's report stands on.

    Nothing here changes the run, and nothing fails it: what cannot be had is in `left_out`, with the reason.

    Args:
        study: the study.
        predictor: the ensemble.
        look: what the look at the test rows showed.
        best: members of the chosen candidate.
        work: multiplications that training took; a tenth of them may go into evidence.

    Returns:
        The evidence; the same for the same run, but for the seconds.
    """
    start = time.perf_counter()
    found = _Gathering(study, predictor, look, best, work).all()
    return dataclasses.replace(found, seconds=round(time.perf_counter() - start, 3))


class _Gathering:
    """One part after another."""

    def __init__(self, study: Study, predictor: Predictor, look: FinalLook, best: Sequence[int], work: float):
        self.study, self.predictor, self.look = study, predictor, look
        self.best, self.work = best, work
        self.left_out: list[dict[str, str]] = []
        self.classes = study.task.classes
        rows, weight = study.split.test, study.dataset.weight
        self.target = study.dataset.target[rows]
        self.weight = None if weight is None or not len(rows) else weight[rows] / weight[rows].mean()

    def all(self) -> Evidence:
        """Every part that can be had."""
        study, scores = self.study, self.look.scores
        self.test: Rows | None = self._try("test", lambda: test_rows(study, self.predictor, self.look))
        self.validation = self._try("validation", lambda: validation_rows(study, self.predictor, self.best))
        if not len(self.target):
            self._leave("test", _NO_TEST)
        importances, asked = self._tested("importance", self._importance) or (None, None)
        columns = [one["feature"] for one in importances or ()]
        columns += [c.name for c in study.dataset.schema.columns if c.name not in columns]
        shown = [] if study.dataset.shape else columns[:MOST_COLUMNS]
        suspects, count = self._try("label_errors", lambda: self._suspects(shown)) or (None, None)
        binary = len(self.classes) == 2
        parts = {
            "importance": importances,
            "importance_of": None if asked is None else asked.name,
            "dependence": self._try("dependence", lambda: self._dependence(importances)),
            "hardest": self._tested("hardest", lambda: hardest_rows(study, self.test, self.predictor, shown)),
            "label_errors": suspects,
            "label_error_count": count,
            "calibration": self._tested("calibration", self._calibration),
            "confusion": self._tested("confusion", self._confusion) if self.classes else None,
            "thresholds": self._try("thresholds", self._thresholds) if binary else None,
            "cost": self._try("cost", self._costs) if binary else None,
            "interval": scores["interval_of_score"],
            "against": scores["against"],
            "schema": self._try("schema", lambda: summary(study.dataset)),
            "rows_of": self._rows_of(),
            "coverage": None if self.classes else COVERAGE,
        }
        for name, why in (missing_baselines(study.inputs) if self.look.baselines else {}).items():
            self._leave(f"baseline {name}", why)
        return Evidence(test=self.test, validation=self.validation, left_out=self.left_out, **clean(parts))

    def _try(self, what: str, work: Callable[[], Any]) -> Any:
        """A part, or None where it cannot be had: the run is worth more than any part of its evidence."""
        try:
            return work()
        except LeftOut as why:
            self._leave(what, str(why))
        except Exception as error:
            first = str(error).partition("\n")[0][:_LONGEST]
            self._leave(what, f"it failed: {type(error).__name__}: {first}")
        return None

    def _tested(self, what: str, work: Callable[[], Any]) -> Any:
        """A part that is made of the test rows."""
        if self.test is None:
            self._leave(what, _NO_TEST if not len(self.target) else "it is made of the test rows")
            return None
        return self._try(what, work)

    def _leave(self, what: str, why: str) -> None:
        self.left_out.append({"what": what, "why": why})

    def _rows_of(self) -> dict[str, dict[str, int]]:
        feed = self.study.inputs.feed
        validating = 0 if feed.validation is None else int((feed.validation != feed.blank).sum())
        there = {"test": len(self.study.split.test), "validation": validating}
        kept = {"test": self.test, "validation": self.validation}
        return {
            n: {"kept": len(r) if (r := kept[n]) is not None else 0, "all": all_} for n, all_ in there.items()
        }

    def _importance(self) -> Any:
        found, asked = importance(self.study, self.predictor, self.work)
        rows = len(self.study.split.test)
        if asked.rows < rows:
            self._leave("importance on every test row", f"{asked.rows} of {rows} were asked, drawn at random")
        return found, asked

    def _dependence(self, importances: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        if self.study.dataset.shape:
            raise LeftOut("the inputs are pixels, of which no single one says much")
        if importances is None:
            raise LeftOut("without importance there is no telling which columns to follow")
        text = {c.name for c in self.study.dataset.schema.text}
        features = [one["feature"] for one in importances if one["feature"] not in text and one["mean"] > 0]
        if not features:
            raise LeftOut("no column but text matters, by permuting it")
        return dependence(self.study, self.predictor, features[:_DEPENDENCE], self.work)

    def _suspects(self, shown: Sequence[str]) -> Any:
        return likely_errors(self.study, {"test": self.test, "validation": self.validation}, shown)

    def _calibration(self) -> dict[str, Any]:
        if not self.classes:
            return self._coverage()
        raw = dataclasses.replace(
            self.predictor,
            temperatures=tuple(1.0 for _ in self.predictor.temperatures),
            ensemble_temperature=1.0,
        )
        after, before = (
            _reliability(np.exp(model.combine(self.look.outputs)), self.target, self.weight)
            for model in (self.predictor, raw)
        )
        of = self.classes[1] if len(self.classes) == 2 else "predicted class"
        return {"of": of, **after, "before": before}

    def _coverage(self) -> dict[str, Any]:
        intervals = self.predictor.intervals
        assert intervals is not None
        levels = [level for level in _LEVELS if level <= intervals.most]
        ends = (self.predictor.interval_of(self.look.outputs, level) for level in levels)
        found = [
            coverage(level, *pair, self.target, self.weight) for level, pair in zip(levels, ends, strict=True)
        ]
        return {
            "asked": levels,
            "found": [one.found for one in found],
            "found_low": [one.low for one in found],
            "found_high": [one.high for one in found],
            "rows": len(self.target),
        }

    def _confusion(self) -> dict[str, Any]:
        named, size = self.predictor.decide(self.predictor.combine(self.look.outputs)), len(self.classes)
        weights = self.study.dataset.weight
        weighed = None if weights is None else weights[self.study.split.test]
        return {
            "classes": list(self.classes),
            "counts": confusion(named, self.target, size).tolist(),
            "weights": None if weighed is None else confusion(named, self.target, size, weighed).tolist(),
        }

    def _thresholds(self) -> list[dict[str, Any]] | None:
        rows, default = self._chances()
        curve = threshold_curve(rows.probability[:, 1], rows.target, rows.weight, (0.5, default))
        return [dataclasses.asdict(one) for one in curve]

    def _costs(self) -> list[dict[str, Any]] | None:
        rows, default = self._chances()
        curve = cost_curve(rows.probability[:, 1], rows.target, default, rows.weight)
        return [dataclasses.asdict(one) for one in curve]

    def _chances(self) -> tuple[Any, float]:
        """The validation rows of a task of two classes, both of which they have, and the threshold in use."""
        rows, default = self.validation, self.predictor.threshold
        if rows is None or len(np.unique(rows.target)) < 2:
            raise LeftOut("the validation rows do not have both classes")
        assert default is not None
        return rows, default


def _reliability(probability: Any, target: np.ndarray, weight: np.ndarray | None) -> dict[str, Any]:
    """Of two classes the second's probability, of more that of the class with the largest."""
    if probability.shape[1] == 2:
        confidence, happened = probability[:, 1], target == 1
    else:
        confidence, happened = probability.max(1), probability.argmax(1) == target
    found = calibration(confidence.astype(float), happened.astype(float), weight)
    bins = [dataclasses.asdict(one) for one in found.bins]
    return {"bins": bins, "ece": found.ece, "ece_interval": list(found.ece_interval)}
