"""What a tracker is told of a run, whichever it is; one that fails is left alone, and the run goes on."""

import importlib
import importlib.util
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import UsageError, one_of
from ...objectives import METRICS

#: By name of the tracker: its class here, the package that it needs, and what pip calls that.
TRACKERS = {
    "tensorboard": ("TensorBoard", "tensorboardX", "tensorboardX"),
    "mlflow": ("MLflow", "mlflow", "mlflow"),
    "wandb": ("WeightsAndBiases", "wandb", "wandb"),
}
_QUANTILES = {"q10": 0.1, "median": 0.5, "q90": 0.9}

Row = Mapping[str, Any]


class TrackerWarning(RuntimeWarning):
    """A tracker failed; the run went on without it."""


class Tracker(Protocol):
    """One run in a tracker's own terms. It is made with the run's name, its folder or None, and its settings."""

    def __init__(self, name: str, folder: Path | None, settings: Mapping[str, str]) -> None: ...

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Keep numbers of an epoch; epochs only ever grow."""

    def finish(self, scores: Mapping[str, float], answer: str, members: Sequence[Row]) -> None:
        """Keep the scores on the test rows, the answer, a table of the members, and the files of the run."""

    def close(self, failed: bool) -> None:
        """End the run."""


class Tracking:
    """A listener that keeps a tracker up to date; use it as a context, which ends the tracker's run.

    Of every number that is reported by epoch the tracker gets the best of the members' and the 10 %, 50 % and 90 %
    quantiles, once all that still train have come to that epoch.

    Args:
        name: one of `TRACKERS`; None tracks nothing.
        run: what the run is called.
        folder: the run's folder; None if nothing is kept.
        settings: the study's settings.

    Raises:
        UsageError: if there is no such tracker, or its package is not installed.

    Warns:
        TrackerWarning: once, where the tracker failed.
    """

    def __init__(self, name: str | None, run: str, folder: Path | None, settings: Mapping[str, Any]):
        self._name = name
        self._tracker: Tracker | None = None
        self._waiting: dict[int, dict[str, list[np.ndarray]]] = {}
        self._came: dict[int, int] = {}
        if name is not None:
            check_tracker(name)
            made = getattr(importlib.import_module(f".{name}", __package__), TRACKERS[name][0])
            self._safely(lambda: setattr(self, "_tracker", made(run, folder, flat(settings))))

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._tracker is not None:
            self._safely(lambda: self._close(error is not None))

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Learn from what a run tells its callbacks."""
        if self._tracker is not None and event["event"] == "epoch":
            self._safely(lambda: self._epoch(event))

    def finish(self, result: Any) -> None:
        """Keep what came out.

        Args:
            result: the `Result`.
        """
        if self._tracker is not None:
            self._safely(lambda: self._finish(result))

    def _epoch(self, event: Mapping[str, Any]) -> None:
        report = event["report"]
        epoch = report.epoch + 1
        columns = {f"train_{name}": column for name, column in report.train.items()}
        columns |= {f"validation_{name}": column for name, column in report.validation.items()}
        columns |= dict(report.measured)
        kept = self._waiting.setdefault(epoch, {})
        for name, column in columns.items():
            kept.setdefault(name, []).append(np.asarray(column, dtype=float))
        self._came[epoch] = self._came.get(epoch, 0) + len(report.members)
        while self._waiting and self._came[first := min(self._waiting)] >= event["alive"]:
            self._log(first)

    def _log(self, epoch: int) -> None:
        assert self._tracker is not None, "asked for by the callers"
        values: dict[str, float] = {}
        for name, columns in self._waiting.pop(epoch).items():
            column = np.concatenate(columns)
            column = column[np.isfinite(column)]
            if len(column):
                best = max if _rises(name) else min
                values[f"{name}/best"] = float(best(column))
                values |= {f"{name}/{word}": float(np.quantile(column, q)) for word, q in _QUANTILES.items()}
        values["members"] = float(self._came.pop(epoch))
        self._tracker.log(epoch, values)

    def _finish(self, result: Any) -> None:
        assert self._tracker is not None, "asked for by the callers"
        for epoch in sorted(self._waiting):
            self._log(epoch)
        summary = result.summary()
        scores = {
            f"test_{name}": value for name, value in (summary["test"].get("ensemble_metrics") or {}).items()
        }
        scores[f"validation_{summary['metric']}"] = summary["validation"]["score"]
        scores["seconds"] = summary["seconds"]["total"]
        finite = {name: float(value) for name, value in scores.items() if value is not None}
        self._tracker.finish(finite, result.answer(), result.table())

    def _close(self, failed: bool) -> None:
        assert self._tracker is not None, "asked for by the caller"
        tracker, self._tracker = self._tracker, None
        tracker.close(failed)

    def _safely(self, work: Callable[[], None]) -> None:
        """Do something with the tracker; where that fails, say so and go on without it."""
        try:
            work()
        except Exception as error:
            self._tracker = None
            said = " ".join(f"{type(error).__name__}: {error}".split())
            said = f"tracker={self._name!r} failed and is left alone, the run goes on ({said[:300]})"
            warnings.warn(said, TrackerWarning, stacklevel=3)


def check_tracker(name: str) -> None:
    """Refuse a tracker that is not known or not installed.

    Args:
        name: its name.

    Raises:
        UsageError: if it is.
    """
    if name not in TRACKERS:
        raise one_of("tracker", name, TRACKERS)
    _, package, install = TRACKERS[name]
    if importlib.util.find_spec(package) is None:
        raise UsageError(
            f"tracker={name!r} needs the package {package}, which is not there; pip install {install}"
        )


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings as text, nested ones by dotted names.

    Example:
        >>> flat({"seeds": [0, 1], "recipe": {"epochs": 3}})
        {'seeds': '[0, 1]', 'recipe.epochs': '3'}
    """
    found: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value, default=str)
    return found


def _rises(name: str) -> bool:
    """Whether more is better of what is reported under a name."""
    metric = name.removeprefix("validation_")
    return metric in METRICS and METRICS[metric].greater_is_better
