"""The plan of a study: how many members, in which programs and why, what they take, what was decided."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..engine.budget import Budget
from ..engine.memory import Memory
from ..engine.packing import LIMITS
from ..engine.rungs import Rung, halving, rung_work
from ..look import format_bytes, format_count, format_seconds

# Of a time budget, what choosing, evidence and the report may take: seconds and a share, or a larger share if less.
_RESERVE, _RESERVE_SHARE, _MOST_RESERVE = 6.0, 0.02, 0.2
_LEAST_EPOCHS = 4
_STEP = 20e-6  # seconds that a step takes on one core however small the network is
_RATE = 60e9  # operations a second of one core in products of a batch and a matrix


@dataclasses.dataclass(frozen=True)
class CohortPlan:
    """One program and the members that it trains.

    Attributes:
        label: its architecture.
        why: the static settings that set it apart.
        candidates: how many points of the grid.
        members: candidates x seeds x folds.
        epochs: how many each member trains that is not dropped.
        steps: steps in an epoch.
        batch: rows in a batch.
        lane_width: members that a device advances together.
        lanes: lanes over all devices.
        parameters: numbers that a member learns.
        member_bytes: bytes of a member while it trains.
        noise: what its program draws or adds that others leave out.
        seconds_per_epoch: measured seconds of an epoch for one member; nan before it is measured.
        fused: whether native code trains them, all steps of an epoch in one call.
        packed: how small arrays are laid out as one vector (`engine.packing.LIMITS`).
        reasons: what else was decided about its program, and why, a line each.
    """

    label: str
    why: str
    candidates: int
    members: int
    epochs: int
    steps: int
    batch: int
    lane_width: int
    lanes: int
    parameters: int
    member_bytes: int
    noise: tuple[str, ...] = ()
    seconds_per_epoch: float = math.nan
    fused: bool = False
    packed: tuple[int, int] = LIMITS
    reasons: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a study will do; recorded in the run and followed by its resumption.

    Attributes:
        cohorts: one for each program.
        samples: draws from the recipe's ranges for each grid point.
        seeds: seeds for each candidate.
        folds: parts of the rows to validate on.
        rungs: where candidates are dropped.
        devices: how many devices train.
        budget: as it was given; empty for none.
        epochs: epochs of every recipe, where the budget decided them; 0 where the recipe did.
        seconds: expected seconds of training; nan before they are measured.
        memory: what training takes at its peak.
    """

    cohorts: tuple[CohortPlan, ...]
    samples: int
    seeds: int
    folds: int
    rungs: tuple[Rung, ...]
    devices: int
    budget: str = ""
    epochs: int = 0
    seconds: float = math.nan
    memory: Memory = dataclasses.field(default_factory=Memory)

    @property
    def candidates(self) -> int:
        """How many points of the grid."""
        return sum(cohort.candidates for cohort in self.cohorts)

    @property
    def members(self) -> int:
        """How many networks."""
        return sum(cohort.members for cohort in self.cohorts)

    @property
    def work(self) -> float:
        """Member-epochs of the plan, dropped members counted as far as they go."""
        return sum(c.members * c.epochs for c in self.cohorts) * rung_work(self.rungs, self.candidates)

    @property
    def guess(self) -> float:
        """Seconds of training, guessed: a fixed cost a step, six operations for each parameter and example."""
        share = rung_work(self.rungs, self.candidates)
        each = [
            c.steps * (_STEP + 6 * c.parameters * c.batch / _RATE) * c.epochs * c.members
            for c in self.cohorts
        ]
        return sum(each) * share / self.devices

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON-safe values; nan as None."""
        values = dataclasses.asdict(self)
        values["seconds"] = None if math.isnan(self.seconds) else self.seconds
        for cohort in values["cohorts"]:
            per_epoch = cohort["seconds_per_epoch"]
            cohort["seconds_per_epoch"] = None if math.isnan(per_epoch) else per_epoch
        return values

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> "Plan":
        """The plan that `to_dict` wrote."""
        cohorts = []
        for cohort in written["cohorts"]:
            read: dict[str, Any] = {
                name: tuple(cohort[name]) for name in ("noise", "packed", "reasons") if name in cohort
            }
            read["seconds_per_epoch"] = cohort["seconds_per_epoch"] or math.nan
            cohorts.append(CohortPlan(**{**cohort, **read}))
        read = {"cohorts": tuple(cohorts), "rungs": tuple(Rung(**rung) for rung in written["rungs"])}
        memory = Memory(**written.get("memory", {}))  # a plan of version 0.1 has none
        return cls(**{**written, **read, "memory": memory, "seconds": written["seconds"] or math.nan})

    def __str__(self) -> str:
        return self._text(reasons=False)

    def explain(self) -> str:
        """The plan with the reasons for what each program is."""
        return self._text(reasons=True)

    def _text(self, reasons: bool) -> str:
        each = f"{self.candidates} candidates x {self.seeds} seed{'s' * (self.seeds > 1)} x "
        each += f"{self.folds} fold{'s' * (self.folds > 1)}"
        programs = f"{len(self.cohorts)} program{'s' * (len(self.cohorts) > 1)}"
        lines = [
            f"{self.members} members ({each}) in {programs} on {self.devices} device{'s' * (self.devices > 1)}"
        ]
        for cohort in self.cohorts:
            lines.append(
                f"  {cohort.label}: {cohort.members} members in {cohort.lanes} lanes of {cohort.lane_width}, "
                f"{format_count(cohort.parameters)} parameters, {format_bytes(cohort.member_bytes)} each, "
                f"{cohort.epochs} epochs x {cohort.steps} steps of {cohort.batch}"
                + ", native code"
                * cohort.fused
            )
            if len(self.cohorts) > 1:
                lines.append(f"    a program of its own because of {cohort.why}")
            lines += [f"    {reason}" for reason in cohort.reasons if reasons]
        for rung in self.rungs:
            lines.append(f"  after {rung.at:.0%} of the epochs the best {rung.keep} candidates go on")
        if math.isnan(self.seconds):
            seconds = f"roughly {format_seconds(self.guess)}, guessed from the size"
        else:
            seconds = f"about {format_seconds(self.seconds)}, measured"
        lines += [f"  training time {seconds}", f"  memory {self.memory}"]
        return "\n".join(lines)


def seconds_to_train(budget: Budget) -> float:
    """The seconds of a time budget after which training should be over."""
    reserve = min(_RESERVE + _RESERVE_SHARE * budget.amount, _MOST_RESERVE * budget.amount)
    return budget.amount - reserve


@dataclasses.dataclass(frozen=True)
class Resolved:
    """What a budget comes to.

    Attributes:
        samples: draws from the recipe's ranges for each grid point.
        epochs: epochs of every recipe; 0 leaves them as they are.
        rungs: where candidates are dropped.
    """

    samples: int
    epochs: int
    rungs: tuple[Rung, ...]


def resolve(
    budget: Budget | None,
    *,
    grid: int,
    sampled: bool,
    samples: int,
    most_samples: int,
    epochs: int,
    per_candidate: int,
    rate: float,
    spent: float,
    rungs: Sequence[Rung] | None,
) -> Resolved:
    """Decide once how many candidates, epochs and rungs a budget pays for.

    A time buys candidates first, if the recipe has ranges to draw them from, up to `most_samples`, then
    epochs. A grid that was asked for whole keeps all its candidates: if it does not fit, rungs drop the weak
    ones early, and if that is not enough, every member trains fewer epochs.

    Args:
        budget: what was given, or None.
        grid: points of the grid without the draws.
        sampled: whether the recipe has ranges.
        samples: draws for each grid point where the budget does not decide.
        most_samples: the most draws that a time may buy.
        epochs: the recipe's epochs.
        per_candidate: members a candidate.
        rate: measured seconds of an epoch for one member; only read for a time budget.
        spent: seconds of the budget that are gone.
        rungs: the rungs asked for; None to choose.

    Returns:
        The decision.
    """

    def with_rungs(candidates: int, halve: bool) -> tuple[Rung, ...]:
        if rungs is not None:
            return tuple(rung for rung in rungs if rung.keep < candidates)
        return halving(candidates) if halve else ()

    if budget is None or budget.kind != "seconds":
        if budget is not None and budget.kind == "members":
            samples = max(1, round(budget.amount / (per_candidate * grid))) if sampled else samples
        chosen = int(budget.amount) if budget is not None and budget.kind == "epochs" else 0
        return Resolved(samples, chosen, with_rungs(grid * samples, sampled))
    affordable = max(0.0, seconds_to_train(budget) - spent) / (rate * per_candidate)  # candidate-epochs

    def cost(count: int, length: int, halve: bool) -> float:
        return grid * count * length * rung_work(with_rungs(grid * count, halve), grid * count)

    if not sampled:
        halve = cost(1, epochs, False) > affordable
        work = rung_work(with_rungs(grid, halve), grid)
        fits = int(affordable / (grid * work))
        return Resolved(1, max(_LEAST_EPOCHS, fits) if fits < epochs else 0, with_rungs(grid, halve))
    low, high = 1, most_samples
    while low < high:  # the largest number of draws that fits; the cost grows with it
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost(middle, epochs, True) <= affordable else (low, middle - 1)
    work = rung_work(with_rungs(grid * low, True), grid * low)
    fits = max(_LEAST_EPOCHS, int(affordable / (grid * low * work)))
    return Resolved(low, fits if fits != epochs else 0, with_rungs(grid * low, True))
