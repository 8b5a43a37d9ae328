"""Training cohorts side by side: epochs and their windows, rungs, divergence, patience, saves.

What happened to a member is kept as plain numbers; what it knows stays on the device until it is asked for.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..errors import RunError, UsageError
from . import hosts
from .checkpoint import Checkpoint
from .cohort import Cohort, CohortSpec, EpochReport, compile_all
from .device_feed import DeviceFeed
from .feed import Feed
from .program import Made
from .rungs import Rung, survivors

Event = dict[str, Any]
Listener = Callable[[Event], None]


@dataclasses.dataclass
class MemberRecord:
    """What happened to one member.

    Attributes:
        status: "training", "finished", "dropped" (at a rung), "stopped" (out of patience) or "diverged".
        epochs: how many it trained.
        score: of its last epoch.
        best_score: of its best epoch; nan if there was none.
        best_loss: validation loss of that epoch, 0 where there is none.
        best_epoch: the number of that epoch, from 0; -1 if there was none.
        diverged_step: the step, from 0, whose loss or weights were not finite; -1 if none.
        last_loss: the last finite training loss before it diverged, or of its last step.
    """

    status: str = "training"
    epochs: int = 0
    score: float = math.nan
    best_score: float = math.nan
    best_loss: float = math.nan
    best_epoch: int = -1
    diverged_step: int = -1
    last_loss: float = math.nan


@dataclasses.dataclass(frozen=True)
class Pace:
    """A promise about time, kept at rungs only.

    Attributes:
        seconds: what training may take.
    """

    seconds: float


class Training:
    """Cohorts that are trained together and judged against each other.

    Args:
        specs: the cohorts.
        feed: the examples they share.
        groups: the candidate of each member; members of a candidate are judged by their mean.
        rungs: where candidates are dropped.
        patience: epochs without a better score before a member stops, for each member; inf is never.
        devices: the devices; those of all processes if None.
        listeners: called with every event, in order.
        checkpoint: where to save, or None.
        save_every: seconds between saves; 0 saves after every epoch.
        measuring: whether each epoch reports what `Functions.measure` gives.
        away: whether members wait on the host while others of their cohort train.
    """

    def __init__(
        self,
        specs: Sequence[CohortSpec],
        feed: Feed,
        groups: Mapping[int, int],
        *,
        rungs: Sequence[Rung] = (),
        patience: Mapping[int, float] | None = None,
        devices: Sequence[Any] | None = None,
        listeners: Sequence[Listener] = (),
        checkpoint: Checkpoint | None = None,
        save_every: float = 5.0,
        measuring: bool = False,
        away: bool = False,
    ):
        devices = tuple(devices or hosts.devices())
        self._feed = DeviceFeed(feed, devices)
        away = not hosts.everywhere(not away)
        self.cohorts = [Cohort(spec, self._feed, devices, away) for spec in specs]
        self.groups = dict(groups)
        self.rungs = tuple(rungs)
        points = [rung.at for rung in self.rungs]
        if points != sorted(set(points)):
            raise UsageError(f"rungs at {points} are out of order; give each a later share of the epochs")
        self.rungs_done, self.measuring = 0, measuring
        self.patience = dict(patience or {})
        self.listeners = list(listeners)
        self.records = {member: MemberRecord() for member in self.groups}
        self.rising = specs[0].functions.rising
        self._home = {m: (cohort, i) for cohort in self.cohorts for i, m in enumerate(cohort.spec.members)}
        self._resting: dict[int, dict[str, Any]] = {}
        if not hosts.alone():
            hosts.check_alike([_words(spec) for spec in specs], rungs, sorted(self.patience.items()))
        self._checkpoint, self._save_every, self._saved = checkpoint, save_every, hosts.now()
        self.seconds = 0.0

    def compile(self) -> tuple[float, list[tuple[str, Made]]]:
        """Make every program ready and every member.

        Returns:
            The seconds it took, 0 if no program was new; each new program, with the label of its cohort.
        """
        start = time.perf_counter()
        each = {
            id(cohort.programs): cohort for cohort in reversed(self.cohorts)
        }.values()  # cohorts may share them
        before = [len(cohort.made) for cohort in each]
        compile_all(self.cohorts)
        hosts.meet()  # waiting for another process to compile is no training
        new = [(c.spec.label, made) for c, n in zip(each, before, strict=True) for made in c.made[n:]]
        return time.perf_counter() - start if new else 0.0, new[::-1]

    def emit(self, kind: str, **values: Any) -> None:
        """Tell every listener."""
        for listener in self.listeners:
            listener({"event": kind, **values})

    def run(self, pace: Pace | None = None) -> dict[int, MemberRecord]:
        """Train to the end, or on to the end after `restore`.

        Args:
            pace: what time was promised; where the run turns out slower, rungs drop more members.

        Returns:
            The record of each member.
        """
        for number, rung in enumerate((*self.rungs, None)):
            if number < self.rungs_done:
                continue
            self._train_to(1.0 if rung is None else rung.at)
            if rung is not None:
                self._judge(rung, pace)
                self.rungs_done = number + 1
                self.save()
        for record in self.records.values():
            if record.status == "training":
                record.status = "finished"
        self.save()
        self.let_go()
        return self.records

    def _train_to(self, share: float) -> None:
        while waiting := [cohort for cohort in self.cohorts if self._waits(cohort, share)]:
            if self._feed.host.windows is None:
                self._advance(waiting[0])
            else:  # a window is read once for every cohort that has come to it
                number = min(cohort.number for cohort in waiting)
                self.hold(number)
                for cohort in waiting:
                    if cohort.number == number:
                        self._advance(cohort)
            self.save(self._save_every)

    @staticmethod
    def _waits(cohort: Cohort, share: float) -> bool:
        """Whether a cohort has not trained a share of its epochs."""
        target = max(1, math.ceil(share * cohort.spec.epochs - 1e-9))  # 0.7 x 10 is 7, not 7.000000000000001
        return cohort.epoch < target and len(cohort.alive) > 0

    def hold(self, number: int) -> None:
        """Bring a window to the devices, where the feed has windows; waiting for it is training time."""
        start = time.perf_counter()
        self._feed.hold(number)
        self.seconds += time.perf_counter() - start

    def let_go(self) -> None:
        """Free the window that the devices hold, and the one that is being read."""
        self._feed.let_go()

    def forget(self) -> None:
        """Free every member; what happened to them stays in `records`."""
        self._resting.clear()
        for cohort in self.cohorts:
            cohort.empty(cohort.epoch)

    def _advance(self, cohort: Cohort) -> None:
        """Train a cohort on what the devices hold, and note what that told."""
        start = time.perf_counter()
        measured = cohort.measure() if self.measuring and cohort.started and cohort.last_call else {}
        report = cohort.advance()
        self.seconds += time.perf_counter() - start
        if report is None:
            self.emit("window", epoch=cohort.epoch, call=cohort.call)
            return
        self._record(cohort, dataclasses.replace(report, measured=measured))
        self._release(cohort)

    def _record(self, cohort: Cohort, report: EpochReport) -> None:
        values, stopped = {name: column.tolist() for name, column in report.values.items()}, []
        for i, member in enumerate(report.members.tolist()):
            record = self.records[member]
            if record.status != "training":
                continue
            record.epochs = report.epoch + 1
            record.score, record.last_loss = values["score"][i], values["last_loss"][i]
            record.best_epoch = values["best_epoch"][i]
            if record.best_epoch >= 0:
                record.best_score, record.best_loss = values["best_score"][i], values["best_loss"][i]
            record.diverged_step = values["diverged"][i]
            if record.diverged_step >= 0:
                record.status = "diverged"
                self.emit("diverged", member=member, step=record.diverged_step, last_loss=record.last_loss)
            elif report.epoch - record.best_epoch > self.patience.get(member, math.inf):
                record.status = "stopped"
                stopped.append(member)
                self.emit("stopped", member=member, epoch=report.epoch, best_epoch=record.best_epoch)
        if stopped:
            cohort.stop(np.array([self._home[member][1] for member in stopped]))
        self.emit("epoch", epoch=report.epoch, report=report)

    def _release(self, cohort: Cohort) -> None:
        """Take members that diverged or stopped out of their lanes once that frees enough of them."""
        training = self._positions(cohort, "training")
        width = cohort.kind.width
        lanes, needed = -(-len(cohort.alive) // width), -(-len(training) // width)
        if lanes - needed >= max(1, lanes // 10):
            self._pack(cohort)

    def _positions(self, cohort: Cohort, *statuses: str) -> np.ndarray:
        """The places in lanes of members with one of these statuses."""
        numbers = cohort.spec.members
        return np.array([p for p in cohort.alive if self.records[numbers[p]].status in statuses], dtype=int)

    def _pack(self, cohort: Cohort) -> None:
        """Leave only members in lanes that go on; keep what those know that were not dropped."""
        training, resting = (
            self._positions(cohort, "training"),
            self._positions(cohort, "diverged", "stopped"),
        )
        if len(resting):
            self._rest(cohort, resting)
        if len(training) < len(cohort.alive):
            cohort.keep(training)

    def _rest(self, cohort: Cohort, positions: np.ndarray) -> None:
        slots, where = cohort.member_slots(wanted=positions)
        for index, position in enumerate(where.tolist()):
            self._resting[cohort.spec.members[position]] = jax.tree.map(lambda a, i=index: a[i, ...], slots)

    def _judge(self, rung: Rung, pace: Pace | None) -> None:
        """Drop the weakest candidates."""
        scores: dict[int, list[float]] = {}
        for member, record in self.records.items():
            if record.status != "dropped":
                value = math.nan if record.status == "diverged" else record.best_score
                scores.setdefault(self.groups[member], []).append(value)
        keep = self._affordable(rung, len(scores), pace)
        if keep < rung.keep:
            self.emit("slower", at=rung.at, planned=rung.keep, kept=keep, seconds=self.seconds)
        going_on = set(survivors(scores, keep, self.rising))
        dropped = []
        for member, record in self.records.items():
            if self.groups[member] not in going_on and record.status in ("training", "stopped"):
                record.status = "dropped"
                dropped.append(member)
                self._resting.pop(member, None)
        for cohort in self.cohorts:
            self._pack(cohort)
        self.emit("rung", at=rung.at, kept=sorted(going_on), dropped=dropped)

    def _affordable(self, rung: Rung, candidates: int, pace: Pace | None) -> int:
        """How many candidates the time that is left allows, at most as many as planned."""
        if pace is None or not self.seconds:
            return rung.keep
        done = sum(record.epochs for record in self.records.values())
        seconds, promised = hosts.agree(self.seconds, pace.seconds)
        rate = seconds / max(1, done)
        per_candidate = len(self.records) / max(1, len(set(self.groups.values())))
        epochs = max(cohort.spec.epochs for cohort in self.cohorts)
        left = promised - seconds
        fits = math.floor(left / (rate * per_candidate * epochs * (1 - rung.at)))
        return max(1, min(rung.keep, fits))

    def slot(self, member: int) -> dict[str, Any]:
        """What a member that was not dropped has: "state" and "best" as pytrees.

        Raises:
            KeyError: if the member was dropped.
        """
        programs = self._home[member][0].programs
        raw = self._raw([member])[member]
        return {
            **raw,
            "best": programs.best.unpack(raw["best"]),
            "state": programs.state.unpack(raw["state"]),
        }

    def kept(self, members: Sequence[int]) -> dict[int, Any]:
        """What was kept of the best epoch of each of some members that were not dropped."""
        raw = self._raw(members, "best")
        return {m: self._home[m][0].programs.best.unpack(slot["best"]) for m, slot in raw.items()}

    def _raw(self, members: Sequence[int], *names: str) -> dict[int, dict[str, Any]]:
        """Entries of the slots of some members, all if none is named."""
        found: dict[int, dict[str, Any]] = {}
        for cohort in self.cohorts:
            wanted = [m for m in members if self._home[m][0] is cohort]
            if not wanted:
                continue
            places = np.array([self._home[member][1] for member in wanted])
            there = np.isin(places, cohort.alive).any()
            slots, where = cohort.member_slots(*names, wanted=places) if there else ({}, np.array([], int))
            index = {cohort.spec.members[p]: i for i, p in enumerate(where.tolist())}
            for member in wanted:
                if member in index:
                    found[member] = jax.tree.map(lambda a, i=index[member]: a[i, ...], slots)
                else:
                    found[member] = self._resting[member]
        return found

    def save(self, after: float = 0.0) -> None:
        """Save everything that is needed to go on, if `after` seconds have passed since the last save."""
        if self._checkpoint is None or hosts.now() - self._saved < after:
            return
        self.emit("saving")
        record: dict[str, Any] = {
            "rungs_done": self.rungs_done,
            "seconds": self.seconds,
            "records": {str(m): dataclasses.asdict(r) for m, r in self.records.items()},
            "cohorts": [],
        }
        groups: dict[str, dict[str, np.ndarray]] = {}
        for number, cohort in enumerate(self.cohorts):
            started = cohort.started and len(cohort.alive)
            slots, where = cohort.member_slots() if started else ({}, np.array([], int))
            where_it_is = {"epoch": cohort.epoch, "call": cohort.call, "positions": where.tolist()}
            record["cohorts"].append(where_it_is)
            if started:
                groups[f"cohort-{number}"] = _flatten(slots)
            if cohort.sums:
                groups[f"sums-{number}"] = cohort.sums
        for member, slot in self._resting.items():
            groups[f"member-{member}"] = _flatten(jax.tree.map(lambda a: np.asarray(a)[None], slot))
        for listener in self.listeners:
            extra = getattr(listener, "checkpoint", None)
            if extra is not None:
                record.update(extra())
        if hosts.first():
            self._checkpoint.save(record, groups)
        self._saved = hosts.now()

    def restore(self, accept: Callable[[Mapping[str, Any]], None] | None = None) -> dict[str, Any] | None:
        """Go on from the last save; returns its record, or None where there is none.

        Args:
            accept: called with the record before anything is taken from it; raises if it is not ours.
        """
        saved = self._checkpoint.load() if self._checkpoint is not None else None
        if self._checkpoint is not None:
            hosts.check_same(self._checkpoint.generation, self._checkpoint.folder)
        if saved is None:
            return None
        record, groups = saved
        if accept is not None:
            accept(record)
        self.rungs_done, self.seconds = int(record["rungs_done"]), float(record["seconds"])
        self.records = {int(m): MemberRecord(**values) for m, values in record["records"].items()}
        for number, (cohort, where) in enumerate(zip(self.cohorts, record["cohorts"], strict=True)):
            positions = np.array(where["positions"], dtype=int)
            cohort.call, cohort.sums = int(where["call"]), dict(groups.get(f"sums-{number}", {}))
            if len(positions):
                slots = self._slots_of(cohort, groups[f"cohort-{number}"])
                cohort.load_slots(slots, positions, positions, where["epoch"])
            elif where["epoch"]:
                cohort.empty(where["epoch"])
        for name, arrays in groups.items():
            if name.startswith("member-"):
                member = int(name.removeprefix("member-"))
                slots = self._slots_of(self._home[member][0], arrays)
                self._resting[member] = jax.tree.map(lambda a: a[0, ...], slots)
        return record

    def _slots_of(self, cohort: Cohort, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Saved slots of members of a cohort, [members, ...], if they are laid out as its programs lay them out."""
        slots, programs = _unflatten(arrays), cohort.programs
        for part, layout in (("state", programs.state), ("best", programs.best)):
            if [a.shape[1:] for a in slots[part]] != [a.shape for a in layout.avals]:
                assert self._checkpoint is not None  # which the arrays are from
                raise RunError(
                    f"{self._checkpoint.folder} was saved by a version of Fathom that kept networks in another form; "
                    "start the run anew, or go on with the version that began it"
                )
        return slots


def _words(spec: CohortSpec) -> list[Any]:
    """What decides what a cohort does, as far as it can be said."""
    arrays = [*spec.settings.values(), spec.seeds, spec.folds]
    kind = (spec.epochs, spec.batch_size, spec.lane_width, spec.fused, spec.shared)
    return [
        spec.functions.described,
        spec.members,
        sorted(spec.settings),
        kind,
        *(a.tolist() for a in arrays),
    ]


def _flatten(slots: Mapping[str, Any]) -> dict[str, np.ndarray]:
    flat: dict[str, np.ndarray] = {}
    for name, value in slots.items():
        if isinstance(value, list):
            flat.update({f"{name}.{i:04d}": np.asarray(a) for i, a in enumerate(value)})
        else:
            flat[name] = np.asarray(value)
    return flat


def _unflatten(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    slots: dict[str, Any] = {"state": [], "best": []}
    for name in sorted(flat):
        head, dot, _ = name.partition(".")
        if dot:
            slots[head].append(flat[name])
        else:
            slots[head] = flat[name]
    return slots
