"""The result of a study: the one object that most users hold."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from ..look import format_number, format_share
from .predictor import Predictor
from .run_folder import MODEL, RunFolder

if TYPE_CHECKING:
    from .study import Study

_Z = 1.959964  # the 97.5 % point of the standard normal distribution


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
        """One row for each member: its settings and what became of it, best score first.

        Raises:
            RunError: if the run was not kept in a folder.
        """
        if self.run is None:
            raise RunError(
                "folder=None: the table is read from the run's folder; run the study with folder=..."
            )
        return member_rows(self.run.read_members(), self._summary["greater_is_better"])

    def report(self) -> Path:
        """Write the report again and say where it is."""
        from ..report import write_report

        if self.run is None:
            raise RunError(
                "folder=None: a report is written into the run's folder; run the study with folder=..."
            )
        return write_report(self.run.path)


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
    """The result in one sentence: what is predicted how well, against the best baseline."""
    metric, test = summary["metric"], summary["test"]
    target = summary["target"]
    rising = summary["greater_is_better"]
    if test["score"] is None:
        score, where = summary["validation"]["score"], "validation (no test rows were kept)"
        return f"Predicts {target} with {_value(metric, score)} on {where}."
    score = test["ensemble_score"]
    own = f"Predicts {target} with {_value(metric, score)}{_interval(metric, score, test['effective_rows'])}"
    baselines = summary["baselines"]
    if not baselines:
        return f"{own} on {test['rows']} test rows."
    name = (max if rising else min)(baselines, key=lambda n: baselines[n]["score"])
    best = baselines[name]["score"]
    label = name.replace("_", " ")
    if _value(metric, best) == _value(metric, score):
        return f"{own}; the best baseline ({label}) does as well."
    if (best > score) if rising else (best < score):
        theirs, mine = _value(metric, best), _value(metric, score)
        return f"The best baseline ({label}) does better: {theirs} against {mine} for the networks."
    return f"{own}, against {_value(metric, best)} for the best baseline ({label})."


def _value(metric: str, score: float) -> str:
    if metric == "accuracy":
        return f"{format_share(score)} accuracy"
    return f"{metric} {format_number(score)}"


def _interval(metric: str, score: float, rows: int) -> str:
    if metric != "accuracy":
        return ""
    low, high = wilson(score, rows)
    return f" (95 % interval {100 * low:.1f} to {100 * high:.1f})"


def wilson(share: float, rows: int) -> tuple[float, float]:
    """The 95 % interval of a share that was found on some rows.

    References:
        Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    center = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    half = _Z / (1 + _Z**2 / rows) * math.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2))
    return center - half, center + half
