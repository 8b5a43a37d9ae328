"""The result of a study: the one object that most users hold."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analysis import wilson
from ..errors import RunError
from ..look import format_number, format_share
from .intervals import COVERAGE
from .predictor import Predictor
from .run_folder import MODEL, RunFolder

if TYPE_CHECKING:
    from .study import Study


class Result:
    """What a study found: the chosen network, the ensemble, the table of members, the numbers.

    Args:
        summary: every number, as `summary` gives it.
        predictor: the ensemble, the chosen network first.
        run: the folder, or None if nothing was kept.
        study: the study, or None if the result was read from disk.
    """

    def __init__(
        self, summary: dict[str, Any], predictor: Predictor, run: RunFolder | None, study: "Study | None"
    ):
        self._summary = {**summary, "answer": answer(summary)}
        self.ensemble = predictor
        self.run = run
        self.study = study
        self.lines: Sequence[Mapping[str, Any]] = ()  # about members, where there is no folder that has them

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle holds: everything but the study, which has the data."""
        return {**self.__dict__, "study": None}

    @classmethod
    def load(cls, folder: str | Path) -> "Result":
        """Read the result of a finished run.

        Raises:
            RunError: if there is none, or it is damaged.
        """
        run = RunFolder.open(folder)
        return cls(run.read_result(), Predictor.load(run.path / MODEL), run, None)

    @property
    def best(self) -> Predictor:
        """The chosen network alone."""
        return self.ensemble.chosen

    def summary(self) -> dict[str, Any]:
        """Every number of the result, JSON-safe; the shape is documented in docs/json.md."""
        return self._summary

    def answer(self) -> str:
        """The result in one sentence."""
        return self._summary["answer"]

    def table(self) -> list[dict[str, Any]]:
        """One row for each member: its settings and what became of it, best score first."""
        lines = self.lines if self.run is None else self.run.read_members()
        return member_rows(lines, self._summary["greater_is_better"])

    def report(self) -> Path:
        """Write the report again and say where it is."""
        from ..report import write_report

        if self.run is None:
            raise RunError(
                "folder=None: a report is written into the run's folder; run the study with folder=..."
            )
        return write_report(self.run.path)

    def export(self, folder: str | Path, *, chosen: bool = False, coverage: float = COVERAGE) -> Path:
        """Write the model as a folder that is of use without Fathom, with its model card; see `Predictor.export`.

        Args:
            folder: the folder, which must not exist or be empty.
            chosen: export the chosen network alone and not the ensemble.
            coverage: the share of values between the ends of the frozen function's intervals (regression).

        Returns:
            The folder.
        """
        from .evidence import FOLDER, Evidence
        from .export import export_model

        if chosen:
            return export_model(self.best, folder, _of_the_chosen(self._summary), None, coverage)
        evidence = None if self.run is None else Evidence.read(self.run.path / FOLDER)
        return export_model(self.ensemble, folder, self._summary, evidence, coverage)


def _of_the_chosen(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary as it were if the chosen network were all there is."""
    test = summary["test"]
    own = {"ensemble_score": test["score"], "ensemble_metrics": test.get("metrics"), "interval": None}
    alone = {
        **summary,
        "ensemble": {"members": [summary["chosen"]["member"]], "temperature": 1.0},
        "test": {**test, **own, "interval_of_score": None, "against": []},
    }
    return {**alone, "answer": answer(alone)}


def member_rows(lines: Sequence[Mapping[str, Any]], rising: bool) -> list[dict[str, Any]]:
    """One row for each member from the stream of metrics: its settings and what became of it, best score first."""
    about = {line["index"]: line for line in lines if line["event"] == "member"}
    rows = []
    for line in lines:
        if line["event"] == "end":
            member = about[line["member"]]
            place = {name: member[name] for name in ("candidate", "seed", "fold")}
            outcome = {name: value for name, value in line.items() if name not in ("event", "member")}
            # "epochs" is how many it trained, not how many its recipe asks for.
            settings = {name: value for name, value in member["settings"].items() if name not in outcome}
            rows.append({"member": line["member"], **place, **outcome, **settings})
    sign = -1.0 if rising else 1.0
    return sorted(rows, key=lambda row: math.inf if row["best_score"] is None else sign * row["best_score"])


def answer(summary: dict[str, Any]) -> str:
    """The result in one sentence: what is predicted how well and how surely, against the best baseline."""
    metric, test, target = summary["metric"], summary["test"], summary["target"]
    if test["score"] is None:
        score, where = summary["validation"]["score"], "validation (no test rows were kept)"
        return f"Predicts {target} with {_value(metric, score)} on {where}."
    score, baselines, rising = test["ensemble_score"], summary["baselines"], summary["greater_is_better"]
    mine = f"{_value(metric, score)}{_interval(metric, test)}"
    if not baselines:
        return f"Predicts {target} with {mine} on {test['rows']} test rows."
    name = (max if rising else min)(baselines, key=lambda n: baselines[n]["score"])
    best, label = baselines[name]["score"], name.replace("_", " ")
    theirs = f"{_value(metric, best)} for the best baseline ({label})"
    if not _told_apart(summary, name):
        return f"Predicts {target} with {mine}, which the test rows cannot tell apart from {theirs}."
    if (best > score) if rising else (best < score):
        return f"The best baseline ({label}) does better: {_value(metric, best)} against {mine} for the networks."
    return f"Predicts {target} with {mine}, against {theirs}."


def _told_apart(summary: dict[str, Any], name: str) -> bool:
    """Whether the 95 % interval of the difference to a baseline, rows paired, leaves 0 out."""
    test, metric = summary["test"], summary["metric"]
    found = next((one for one in test.get("against") or () if one["baseline"] == name), None)
    if found is not None and found["low"] is not None:
        return not found["low"] <= 0 <= found["high"]
    ours, theirs = test["ensemble_score"], summary["baselines"][name]["score"]
    return test["rows"] > 1 and _value(metric, ours) != _value(metric, theirs)


def _value(metric: str, score: float) -> str:
    return f"{format_share(score)} accuracy" if metric == "accuracy" else f"{metric} {format_number(score)}"


def _interval(metric: str, test: dict[str, Any]) -> str:
    found = test.get("interval_of_score")
    if found is None and metric == "accuracy":  # of an older run, or of one network alone
        low, high = wilson(test["ensemble_score"], test["effective_rows"])
        found = {"low": low, "high": high}
    if found is None or found["low"] is None:
        return ""
    low, high = found["low"], found["high"]
    if metric == "accuracy":
        return f" (95 % interval {100 * low:.1f} to {100 * high:.1f})"
    return f" (95 % interval {format_number(low)} to {format_number(high)})"
