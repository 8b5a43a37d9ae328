"""What a report shows of a run: its files, read once and gathered by member and by candidate."""

import dataclasses
import functools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..look import format_setting
from ..study.evidence import FOLDER, Evidence
from ..study.result import member_rows
from ..study.run_folder import PLAN, RunFolder

#: What a setting is called where there is little room.
SHORT = {
    "learning_rate": "rate",
    "weight_decay": "decay",
    "label_smoothing": "smoothing",
    "input_noise": "noise",
}
_SERIES = ("score", "train_loss", "validation_loss")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A candidate and what became of its members.

    Attributes:
        index: its number.
        rank: 1 for the best; 0 for one that was dropped or has a diverged member.
        settings: all of them.
        members: their numbers.
        status: "finished", or what happened to its unluckiest member ("diverged", "dropped").
        score: mean of its members' best validation scores; nan where one has none.
        spread: standard deviation of these; 0 for one member.
    """

    index: int
    rank: int
    settings: Mapping[str, Any]
    members: tuple[int, ...]
    status: str
    score: float
    spread: float


@dataclasses.dataclass(frozen=True)
class Record:
    """A finished run as its files tell it.

    Attributes:
        folder: the run.
        summary: its result.
        study: its settings file.
        plan: its plan.
        rows: one for each member, best first.
        candidates: the ranked ones first, best first.
        curves: for each member and each of "score", "train_loss", "validation_loss" the values by epoch.
        events: what happened to many members at once, such as rungs.
        evidence: predictions and what follows from them; empty for a run of an older version.
        has_evidence: whether the run kept any.
    """

    folder: Path
    summary: Mapping[str, Any]
    study: Mapping[str, Any]
    plan: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    candidates: Sequence[Candidate]
    curves: Mapping[int, Mapping[str, np.ndarray]]
    events: Sequence[Mapping[str, Any]] = ()
    evidence: Evidence = dataclasses.field(default_factory=Evidence)
    has_evidence: bool = False

    @classmethod
    def read(cls, folder: str | Path) -> "Record":
        """Read a finished run.

        Args:
            folder: the run.

        Returns:
            The record.

        Raises:
            RunError: if there is no run, it is not finished, or it is damaged.
        """
        run = RunFolder.open(folder)
        summary, study = run.read_result(), run.read_study()
        run.read_plan()  # refuses a damaged one
        written = run.path / PLAN
        plan = json.loads(written.read_text(encoding="utf-8")) if written.is_file() else {}
        lines = run.read_members()
        for line in lines:
            if line["event"] == "member":
                line["settings"] = {name: known(value) for name, value in line["settings"].items()}
        rows = member_rows(lines, summary["greater_is_better"])
        settings = {line["candidate"]: line["settings"] for line in lines if line["event"] == "member"}
        candidates = _candidates(summary, rows, settings)
        events = [line for line in lines if line["event"] not in ("member", "epoch", "end")]
        found = Evidence.read(run.path / FOLDER)
        return cls(
            folder=run.path,
            summary=summary,
            study=study,
            plan=plan,
            rows=rows,
            candidates=candidates,
            curves=_curves(lines),
            events=events,
            evidence=found or Evidence(),
            has_evidence=found is not None,
        )

    @property
    def rising(self) -> bool:
        """Whether a larger score is better."""
        return self.summary["greater_is_better"]

    @property
    def metric(self) -> str:
        """The metric in words."""
        return self.summary["metric"].replace("_", " ")

    @property
    def most(self) -> float:
        """The largest score that there can be."""
        return 1.0 if self.rising else math.inf

    @functools.cached_property
    def varied(self) -> list[str]:
        """The settings in which candidates differ, the learning rate first."""
        first = self.candidates[0].settings if self.candidates else {}
        names = {name: None for candidate in self.candidates for name in candidate.settings}
        found = [n for n in names if any(c.settings.get(n) != first.get(n) for c in self.candidates)]
        return sorted(found, key=lambda name: name != "learning_rate")

    def about(self, candidate: Candidate, most: int = 3) -> str:
        """The settings that tell a candidate from the others, in few words."""
        parts = [f"{SHORT.get(n, n)} {say(candidate.settings.get(n))}" for n in self.varied[:most]]
        return ", ".join(parts) or str(candidate.settings.get("model", "the candidate"))


def known(value: Any) -> Any:
    """A setting's value; JSON has no infinity, so that null stands for it."""
    return math.inf if value is None else value


def say(value: Any) -> str:
    """A setting's value as text; a dash for a setting that a candidate does not have."""
    return "–" if value is None else "∞" if value == math.inf else format_setting(value)


def _candidates(
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    settings: Mapping[int, Any],
) -> list:
    ranks = {entry["candidate"]: place + 1 for place, entry in enumerate(summary["validation"]["ranking"])}
    groups: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["candidate"], []).append(row)
    found = []
    for index, group in groups.items():
        scores = np.array(
            [np.nan if row["best_score"] is None else row["best_score"] for row in group],
            dtype=float,
        )
        states = {row["status"] for row in group}
        status = next((word for word in ("diverged", "dropped") if word in states), "finished")
        spread = float(scores.std(ddof=1)) if len(scores) > 1 else 0.0
        members = tuple(sorted(row["member"] for row in group))
        rank = ranks.get(index, 0)
        found.append(
            Candidate(
                index,
                rank,
                settings[index],
                members,
                status,
                float(scores.mean()),
                spread,
            )
        )
    return sorted(found, key=lambda c: (c.rank == 0, c.rank, c.index))


def _curves(lines: Sequence[Mapping[str, Any]]) -> dict[int, dict[str, np.ndarray]]:
    gathered: dict[int, dict[str, list[float]]] = {}
    for line in lines:
        if line["event"] == "epoch":
            member = gathered.setdefault(line["member"], {name: [] for name in _SERIES})
            for name in _SERIES:
                value = line.get(name)
                member[name].append(np.nan if value is None else value)
    return {
        m: {name: np.array(values, dtype=float) for name, values in s.items()} for m, s in gathered.items()
    }
