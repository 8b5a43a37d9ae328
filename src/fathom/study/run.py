"""Running a study: baselines, plan, training, choice, the one look at the test rows, the files."""

import concurrent.futures
import contextlib
import dataclasses
import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .. import native
from .._version import __version__
from ..engine import hosts
from ..engine.budget import Budget
from ..engine.memory import give_back
from ..engine.training import MemberRecord, Pace, Training
from ..errors import RunError, TrainingError
from ..models import Architecture
from ..objectives import METRICS
from .baselines import Baseline, fit_baselines
from .choose import indistinguishable, standings
from .ensemble import build_predictor
from .evidence import FOLDER as EVIDENCE
from .evidence.gather import gather
from .evidence.passes import training_work
from .explain import as_event
from .final import FinalLook, look_at_test_rows
from .members import CohortMembers, Member
from .parts import MOST_ROWS, prepare, stand_alone
from .plan import Plan, Resolved, seconds_to_train
from .predictor import Predictor
from .result import Result
from .run_folder import MEMBERS, MODEL, RunFolder, Stream, clean, fingerprint, now
from .study import RUN_OPTIONS, Study
from .trackers import Tracking, check_tracker

Callbacks = Sequence[Callable[[dict[str, Any]], None]]


def run_study(
    study: Study,
    folder: str | Path | None,
    budget: Budget | None,
    callbacks: Callbacks,
    save_every: float,
    options: Mapping[str, Any],
    tracker: str | None = None,
) -> Result:
    """Run a study from its start; see `Study.run`, whose `RUN_OPTIONS` are the options."""
    if tracker is not None:
        check_tracker(tracker)
    run = RunFolder(folder) if folder is not None else None
    if run is not None:
        # Until the budget is resolved it is part of the settings; then the plan says what it came to.
        asked = {} if budget is None else {"budget": str(budget)}
        hosts.on_first(lambda: RunFolder.create(run.path).write_study({**asked, **_settings(study, options)}))
    place = None if run is None else run.path
    named = study.dataset.name if place is None else place.resolve().name
    with Tracking(tracker if hosts.first() else None, named, place, _settings(study, options)) as tracking:
        callbacks = (*callbacks, tracking)
        result = _Runner(study, run, budget, callbacks, save_every, options).go()
        tracking.finish(result)
    return result


def _settings(study: Study, options: Mapping[str, Any], resolved: Resolved | None = None) -> dict[str, Any]:
    """The settings file of a run: the study's, and the options of `run` that are not as usual."""
    unusual = {name: value for name, value in options.items() if value != RUN_OPTIONS[name]}
    return {**unusual, **study.to_settings(resolved)}


def resume(
    folder: str | Path,
    callbacks: Callbacks = (),
    *,
    data: Any = None,
    architectures: Architecture | Sequence[Architecture] | None = None,
    loss: Callable[..., Any] | None = None,
    start_from: str | Path | Predictor | None = None,
    save_every: float = 5.0,
) -> Result:
    """Go on with a run that was stopped or killed; the result is that of a run that was not.

    Args:
        folder: the run.
        callbacks: called with each event.
        data: the data, where the run was started on arrays or a data frame in memory.
        architectures: all of the study's, where one was built from your own module.
        loss: the loss, where it was a function of your own.
        start_from: what a warm start began from, where it was a model in memory or its folder has moved.
        save_every: seconds between saves.

    Returns:
        The result; at once, where the run is finished.

    Raises:
        RunError: if there is no such run, it is damaged, or its data has changed.
        UsageError: if the data, an architecture or the loss must be given and is not.
    """
    run = RunFolder.open(folder)
    if run.finished:
        if (
            hosts.first() and run.checkpoint.folder.exists()
        ):  # stopped between the result and what is drawn from it
            write_faces(run)
        return Result.load(folder)
    settings = run.read_study()
    if data is None and str(settings.get("data", "")).startswith("(in memory"):
        raise RunError(
            f"run={str(folder)!r} was started on data in memory; give it again: resume(folder, data=...)"
        )
    study = Study.from_settings(settings, data, architectures, loss, start_from)
    options = {name: settings.get(name, usual) for name, usual in RUN_OPTIONS.items()}
    plan = run.read_plan()
    hosts.check_same(plan is not None, run.path)  # before any process goes on and writes
    unresolved = settings.get("budget") if plan is None else None
    budget = Budget.parse(unresolved) if unresolved is not None else None
    return _Runner(study, run, budget, callbacks, save_every, options, plan).go()


def write_faces(run: RunFolder) -> None:
    """Write what is drawn from a finished run's result, then forget what a resume would need."""
    from ..report import write_report
    from .card import write_card

    write_card(run)
    write_report(run.path)
    run.checkpoint.clear()


class _Runner:
    """One run of a study, phase by phase."""

    def __init__(
        self,
        study: Study,
        run: RunFolder | None,
        budget: Budget | None,
        callbacks: Callbacks,
        save_every: float,
        options: Mapping[str, Any],
        recorded: tuple[Plan, str] | None = None,
    ):
        self.started = time.perf_counter()
        self.study, self.budget = study, budget
        self.run = run if hosts.first() else None  # what is written is written by process 0
        self.checkpoint = run.checkpoint if run is not None else None
        self.callbacks, self.save_every = callbacks, save_every
        self.recorded, self._options = recorded, options
        self.with_baselines, self.measuring = options["baselines"], options["measure"]
        self._shared = options["shard"] == "batch"
        self.fingerprint = fingerprint(study.dataset)
        hosts.check_alike(self.fingerprint)
        if recorded is not None and recorded[1] != self.fingerprint:
            raise RunError(
                f"run={str(run.path if run else '')!r}: its data has changed since it began; start it anew"
            )
        self.seconds: dict[str, float] = {"compile": 0.0}
        self.metric = METRICS[study.task.metric]

    def go(self) -> Result:
        """Every phase in turn."""
        self._tell_data()
        if self.study.streaming is not None:
            self._timed("shuffle", self._shuffle)
        baselines = self._timed("baselines", self._fit_baselines) if self.with_baselines else {}
        plan, cohorts, members, training, story = self._prepare()
        with contextlib.closing(story), concurrent.futures.ThreadPoolExecutor(1) as beside:
            self._compile(training)
            # While the devices train, this process has time to make ready what comes after.
            ahead = beside.submit(self._prepare_the_end, cohorts)
            self._timed("train", lambda: training.run(self._pace(plan)))
            story.finish(training.records)
            ahead.result()
        if self.study.streaming is not None:
            self.study.streaming.remove()
        self.tell("choose")
        result = self._timed("choose", lambda: self._conclude(plan, cohorts, members, training, baselines))
        result.lines = story.lines
        hosts.meet()  # process 0 may have had more to do
        self.tell("done", seconds=result.summary()["seconds"]["total"])
        return result

    def _shuffle(self) -> None:
        """Make the rows ready that stay on disk."""
        assert self.study.streaming is not None
        folder = self.run.path if self.run is not None else None
        self.study.streaming.prepare(folder, lambda share: self.tell("shuffle", share=share))

    def _prepare_the_end(self, cohorts: Sequence[CohortMembers]) -> None:
        """Compile what choosing and testing need."""
        split = self.study.split
        rows = {len(split.test), *(len(part) for part in split.validation)}
        if self.run is not None:
            rows.add(MOST_ROWS)  # what evidence is gathered in
        for spec in {stand_alone(cohort.spec) for cohort in cohorts}:
            prepare(spec, sorted(rows), self.study.roomy)

    def tell(self, event: str, **values: Any) -> None:
        """Tell every callback."""
        for callback in self.callbacks:
            callback({"event": event, **values})

    def _timed(self, phase: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        found = work()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start
        return found

    def _tell_data(self) -> None:
        dataset = self.study.dataset
        self.tell(
            "data",
            name=dataset.name,
            rows=self.study.rows,
            features=sum(self.study.inputs.encoders[0].filled),
            kind=dataset.kind,
            classes=len(dataset.classes or ()),
            target=dataset.schema.target.name,
            notes=_data_notes(self.study),
        )

    def _fit_baselines(self) -> dict[str, Baseline]:
        found = {}
        for one in fit_baselines(self.study.inputs, self.study.split_seed):
            found[one.name] = one
            self.tell("baseline", name=one.name, seconds=one.seconds)
        return found

    def _prepare(self) -> tuple[Plan, list[CohortMembers], list[Member], Training, "_Story"]:
        """Decide the plan, or follow the recorded one, and make the members."""
        study = self.study
        if self.recorded is not None:
            plan = self.recorded[0]
            resolved = Resolved(plan.samples, plan.epochs, plan.rungs)
        else:
            resolved, rates = self._resolve()
            said, kept = str(self.budget) if self.budget is not None else "", self.checkpoint is not None
            plan = study.plan_for(resolved, said, rates, kept=kept, shared=self._shared)
            self._write_plan(plan)
        self.tell("plan", plan=plan)
        cohorts, members = study.cohorts(resolved)
        if self.recorded is not None:
            cohorts = [c.packed_as(p.packed) for c, p in zip(cohorts, plan.cohorts, strict=True)]
        story = _Story(self, plan, cohorts, members)
        training = self._training(cohorts, members, plan, story)
        saved = training.restore()
        story.open(0 if saved is None else int(saved["stream_bytes"]), training.records)
        return plan, cohorts, members, training, story

    def _write_plan(self, plan: Plan) -> None:
        """Record what was decided: for a resume, and in the settings that repeat the run."""
        if self.run is not None:
            resolved = Resolved(plan.samples, plan.epochs, plan.rungs)
            self.run.write_study(_settings(self.study, self._options, resolved))
            self.run.write_plan(plan, self.fingerprint)

    def slower(self, plan: Plan, at: float, kept: int) -> Plan:
        """Record that a rung kept fewer candidates than planned, because the run is slower than was measured."""
        rungs = tuple(dataclasses.replace(r, keep=kept) if r.at == at else r for r in plan.rungs)
        plan = dataclasses.replace(plan, rungs=rungs)
        self._write_plan(plan)
        return plan

    def _training(
        self, cohorts: Sequence[CohortMembers], members: Sequence[Member], plan: Plan, story: "_Story | None"
    ) -> Training:
        specs = self.study.specs(cohorts, members, self._shared)
        if self.recorded is not None:  # the lane kinds are the plan's, whatever a newer version would choose
            specs = [
                dataclasses.replace(
                    s,
                    lane_width=c.lane_width,
                    fused=c.fused and hosts.everywhere(native.ready(native.PERCEPTRON)),
                )
                for s, c in zip(specs, plan.cohorts, strict=True)
            ]
        recipes = {candidate.index: candidate.recipe for cohort in cohorts for candidate in cohort.candidates}
        return Training(
            specs,
            self.study.inputs.feed,
            {member.index: member.candidate for member in members},
            rungs=plan.rungs,
            patience={member.index: float(recipes[member.candidate].patience) for member in members},
            listeners=[story] if story is not None else [],
            checkpoint=self.checkpoint if story is not None else None,
            save_every=self.save_every,
            measuring=self.measuring and story is not None,
            away=plan.memory.away,
        )

    def _compile(self, training: Training) -> None:
        programs = len(training.cohorts)
        if not self.seconds["compile"]:  # after a rate was measured, the programs are there
            self.tell("compile", state="start", programs=programs)
        seconds, made = training.compile()
        self.seconds["compile"] += seconds
        if seconds:
            self.tell("compile", state="end", programs=programs, seconds=seconds, made=as_event(made))

    def _resolve(self) -> tuple[Resolved, dict[int, float] | None]:
        """What the budget comes to; for a time, from a rate measured on copies."""
        study = self.study
        if self.budget is None or self.budget.kind != "seconds":
            return study.resolve(self.budget), None
        # The probe's members are as many as the largest study's, so that its program serves the run.
        trial = dataclasses.replace(study.resolve(None), samples=64 if study.sampled else 1)
        cohorts, members = study.cohorts(trial)
        training = self._training(cohorts, members, study.plan_for(trial, shared=self._shared), None)
        self._compile(training)
        # The longer the run, the longer it pays to measure: the speed of a shared machine changes by the second.
        seconds = min(3.0, 0.03 * self.budget.amount) / len(training.cohorts)
        training.hold(0)
        rates = {index: cohort.probe(seconds) for index, cohort in enumerate(training.cohorts)}
        training.let_go()
        spent, *agreed = hosts.agree(time.perf_counter() - self.started, *rates.values())
        rates = dict(enumerate(agreed))
        weights = [len(cohort.spec.members) for cohort in training.cohorts]
        rate = float(np.average(agreed, weights=weights))
        return study.resolve(self.budget, rate, spent), rates

    def _pace(self, plan: Plan) -> Pace | None:
        if self.budget is None or self.budget.kind != "seconds" or np.isnan(plan.seconds):
            return None
        return Pace(seconds_to_train(self.budget) - (time.perf_counter() - self.started))

    def _conclude(
        self,
        plan: Plan,
        cohorts: Sequence[CohortMembers],
        members: Sequence[Member],
        training: Training,
        baselines: Mapping[str, Baseline],
    ) -> Result:
        """Choose by validation, calibrate, look at the test rows once, write everything."""
        rising = self.metric.greater_is_better
        ranking = standings(members, training.records, rising)
        if not ranking:
            raise TrainingError(
                f"all {len(members)} members diverged; lower the learning rate (recipe.learning_rate) or check the data"
            )
        predictor = build_predictor(self.study, cohorts, members, training, ranking)
        training.forget()  # before evidence and report take their share of memory
        give_back(plan.memory)
        look = look_at_test_rows(self.study, predictor, baselines)
        if self.run is not None:
            folder, best = self.run.path / EVIDENCE, ranking[0].members
            work = training_work(plan, cohorts, members, training.records)
            self._timed("evidence", lambda: gather(self.study, predictor, look, best, work).save(folder))
        summary = self._summary(plan, cohorts, members, training.records, ranking, predictor, look)
        result = Result(clean(summary), predictor, self.run, self.study)
        if self.run is not None:
            predictor.save(self.run.path / MODEL)
            self.run.write_result(result.summary())
            write_faces(self.run)
        return result

    def _summary(
        self, plan, cohorts, members, records, ranking, predictor, look: FinalLook
    ) -> dict[str, Any]:
        """Everything that is known."""
        study, dataset = self.study, self.study.dataset
        candidates = {c.index: c for cohort in cohorts for c in cohort.candidates}
        chosen, best = predictor.parts[0].member, ranking[0]
        equals = indistinguishable(ranking, self.metric.greater_is_better)
        counts: dict[str, int] = {}
        for record in records.values():
            counts[record.status] = counts.get(record.status, 0) + 1
        self.seconds["total"] = time.perf_counter() - self.started
        return {
            "run": str(self.run.path) if self.run is not None else None,
            "task": dataset.kind,
            "metric": study.task.metric,
            "greater_is_better": self.metric.greater_is_better,
            "target": dataset.schema.target.name,
            "test": look.scores,
            "validation": {
                "score": best.score,
                "standard_error": best.error,
                "spread": best.spread,
                "candidate": best.candidate,
                "scores": list(best.scores),
                "not_worse_beyond_noise": equals,
                "ranking": [
                    {"candidate": s.candidate, "score": s.score, "spread": s.spread} for s in ranking
                ],
            },
            "baselines": look.baseline_scores,
            "members": len(members),
            "programs": len(cohorts),
            "status": counts,
            "chosen": {
                "member": chosen,
                "fold": members[chosen].fold,
                "seed": members[chosen].seed,
                "best_epoch": records[chosen].best_epoch + 1,
                "settings": candidates[members[chosen].candidate].settings(),
            },
            "ensemble": {
                "members": [p.member for p in predictor.parts],
                "temperature": predictor.ensemble_temperature,
            },
            "decision": {"threshold": predictor.threshold, "offsets": list(predictor.offsets)},
            "data": {
                "name": dataset.name,
                "rows": study.rows,
                "features": sum(study.inputs.encoders[0].filled),
                "classes": list(dataset.classes or ()),
                "train_rows": study.training_rows,
                "validation_rows": [len(rows) for rows in study.split.validation],
                "test_rows": len(study.split.test),
                "notes": _data_notes(study),
                "suspicions": [suspicion.to_dict() for suspicion in dataset.suspicions],
            },
            "plan": {
                "text": str(plan),
                "candidates": plan.candidates,
                "folds": plan.folds,
                "seeds": plan.seeds,
            },
            "seconds": dict(self.seconds),
            "made": {
                "at": now(),
                "fathom": __version__,
                "jax": jax.__version__,
                "python": platform.python_version(),
                "system": platform.platform(terse=True),
                "devices": sorted({device.device_kind for device in jax.local_devices()}),
            },
        }


def _data_notes(study: Study) -> list[str]:
    """What a user should hear of the data; of copies the split says what the suspicion would."""
    suspicions = [str(suspicion) for suspicion in study.dataset.suspicions if suspicion.what != "duplicates"]
    started = [] if study.start is None else [study.start.note]
    streaming = [] if study.streaming is None else [study.streaming.note]
    return [*study.dataset.notes, *streaming, *suspicions, *study.split.notes, *started]


class _Story:
    """Turns what the engine tells into the stream of metrics and into events for the callbacks."""

    def __init__(
        self, runner: _Runner, plan: Plan, cohorts: Sequence[CohortMembers], members: Sequence[Member]
    ):
        self._runner, self._plan = runner, plan
        self._steps = {
            c.index: plan.cohorts[i] for i, cohort in enumerate(cohorts) for c in cohort.candidates
        }
        self._members = {member.index: member for member in members}
        self._settings = {c.index: c.settings() for cohort in cohorts for c in cohort.candidates}
        self._rising = runner.metric.greater_is_better
        self._scores: dict[int, float] = {}
        self._alive: set[int] = set()
        self._best, self._done = float("nan"), 0
        self._stream = Stream(None)

    def open(self, size: int, records: Mapping[int, MemberRecord]) -> None:
        """Begin the stream, or go on with it where a save left it and its members had come to."""
        self._alive = {member for member, record in records.items() if record.status == "training"}
        self._scores = {m: record.best_score for m, record in records.items() if record.best_epoch >= 0}
        self._done = sum(record.epochs for record in records.values())
        run = self._runner.run
        self._stream = Stream(run.path / MEMBERS if run is not None else None, size)
        if size == 0 or run is None:
            for member in self._members.values():
                settings = self._settings[member.candidate]
                self._stream.write(event="member", **dataclasses.asdict(member), settings=settings)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines about members, where there is no file of them."""
        return self._stream.kept

    def checkpoint(self) -> dict[str, Any]:
        """What a save has to know."""
        return self._stream.checkpoint()

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            self._epoch(event["report"])
            return
        if event["event"] in ("diverged", "stopped", "rung"):
            self._alive.difference_update(event.get("dropped", [event.get("member")]))
        if event["event"] == "slower":
            self._plan = self._runner.slower(self._plan, event["at"], event["kept"])
        if event["event"] not in ("saving", "window"):
            self._stream.write(**event)
        self._runner.tell(**event)

    def _epoch(self, report: Any) -> None:
        numbers = report.members.tolist()
        if self._stream.saved:
            columns = {**report.values, **{f"train_{n}": v for n, v in report.train.items()}}
            columns.update({f"validation_{name}": value for name, value in report.validation.items()})
            columns.update({f"measured_{name}": value for name, value in report.measured.items()})
            for member, *row in zip(numbers, *(column.tolist() for column in columns.values()), strict=True):
                values = dict(zip(columns, row, strict=True))
                self._stream.write(event="epoch", epoch=report.epoch, member=member, **values)
        self._scores.update(zip(numbers, report.values["best_score"].tolist(), strict=True))
        self._best = self._best_candidate()
        self._done += len(numbers)
        cohort = self._steps[self._members[numbers[0]].candidate]
        self._runner.tell(
            "epoch",
            epoch=report.epoch,
            report=report,
            alive=len(self._alive),
            best=self._best,
            examples=len(numbers) * cohort.steps * cohort.batch,
            progress=min(1.0, self._done / self._plan.work),
        )

    def _best_candidate(self) -> float:
        """The best mean over the members of a candidate, as the choice will see it."""
        groups: dict[int, list[float]] = {}
        for member, score in self._scores.items():
            groups.setdefault(self._members[member].candidate, []).append(score)
        means = [mean for group in groups.values() if math.isfinite(mean := sum(group) / len(group))]
        return (max if self._rising else min)(means) if means else self._best

    def finish(self, records: Mapping[int, MemberRecord]) -> None:
        """End the stream with what became of each member."""
        for member, record in records.items():
            self._stream.write(event="end", member=member, **dataclasses.asdict(record))

    def close(self) -> None:
        """Close the stream, also that of a run that broke off."""
        self._stream.close()
