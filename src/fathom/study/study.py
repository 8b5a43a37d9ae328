"""The study: a dataset, architectures, a recipe grid, seeds and folds, trained as one."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import SCALINGS, Dataset, Schema, load, make_split
from ..data.stream import StreamedDataset
from ..engine import hosts
from ..engine.budget import Budget
from ..engine.cohort import CohortSpec, lane_kind
from ..engine.lanes import check_shard, lane_width
from ..engine.learner import network_for
from ..engine.memory import plan_memory
from ..engine.program import device_mesh, programs_for
from ..engine.rungs import Rung
from ..errors import UsageError, one_of
from ..models import Architecture, from_dict
from ..objectives import LOSSES, outputs_for
from ..optim import Recipe
from ..settings import as_range, as_sweep, declarations, grid_size
from ..task import Task
from .defaults import SAMPLES, default_scaling
from .explain import reasons, why_apart
from .given import architectures_of, folds_of, metric_of, recipe_of, seeds_of, training_rows_of
from .inputs import Inputs
from .members import CohortMembers, Member, candidates_of, cohort_spec, cohorts_of, members_of
from .plan import CohortPlan, Plan, Resolved, resolve
from .streaming import Streaming
from .warm_start import WarmStart
from .weights import ClassWeight

if TYPE_CHECKING:
    from .predictor import Predictor
    from .result import Result

_MOST_SAMPLES = 96
#: Options of `run`, with what they are unless said.
RUN_OPTIONS = {"baselines": True, "measure": False, "shard": "members"}
_PLAIN_KEYS = (
    "seeds",
    "folds",
    "samples",
    "metric",
    "loss",
    "test",
    "split_seed",
    "scaling",
    "class_weight",
    "keep_duplicates_together",
    "window_rows",
    "epoch_rows",
    "roomy",
)
_READING_KEYS = ("positive", "columns", "sql", "test_file", "validation_file", "stream")
_STUDY_KEYS = [
    *RUN_OPTIONS,
    "data",
    "target",
    "kind",
    *_READING_KEYS,
    *_PLAIN_KEYS,
    "from",
    "from_fingerprint",
    "budget",
    "rungs",
    "model",
    "recipe",
    "search",
]


class Study:
    """Dataset x architectures x recipe grid x seeds x folds.

    Args:
        data: a dataset from `load`, or what `load` takes: a bundled name, a path, a data frame.
        architectures: an architecture or several; any of their fields may be swept. If None a `models.Tabular`,
            or a `models.MLP` for columns of one unit such as pixels.
        recipe: how the networks are trained; any field may be swept, dynamic ones also drawn from a range.
            The default search if None; the default search with some fields changed if a mapping.
        seeds: how many seeds for each candidate, or which.
        folds: parts to cross-validate on; 1 for one division; 0 to hold nothing out: every row trains, and
            chooses too, so nothing is calibrated. Five below 5,000 rows if None, one where the
            data gives the validation rows or is divided by time.
        samples: draws from the recipe's ranges for each grid point, where there are ranges and no budget.
        metric: what chooses; accuracy or rmse if None.
        loss: name of a loss, or ``loss(outputs, targets) -> [batch]``; the task's own if None.
        test: share of the rows kept for the end.
        split_seed: decides the division of the rows.
        keep_duplicates_together: whether rows with equal cells, the target aside, are kept on one side of it.
        start_from: the folder of a finished run, or its predictor, whose networks are the first weights. Data,
            inputs, architecture and loss are then those of the run: the data is read under its schema, and
            what its encoders were fitted to stays.
        scaling: conditioning of the numeric columns, one of `fathom.data.SCALINGS`; if None "shared" for columns
            of one unit such as pixels (`fathom.data.shares_unit`), "quantile" for a `models.Tabular`, and
            "standardize" for others.
        rungs: where weak candidates are dropped; () for nowhere; chosen if None.
        class_weight: what the loss of a class's rows is multiplied by in training: "balanced" for the same
            total for each class (the metric is then balanced_accuracy if None), or a number for some classes.
            Predicted probabilities are brought back to the classes' own shares.
        window_rows: of data that is streamed, about how many rows are in memory at a time; chosen by their
            size if None.
        epoch_rows: of data that is streamed, about how many rows an epoch shows; all of them, but at most four
            million, if None.
        roomy: whether rows and inputs are laid out in rooms of round sizes, so that studies of about the same
            size share their programs and a later one compiles nothing. What is left over changes nothing.

    Raises:
        UsageError: if an argument is not allowed.
        DataError: if the data cannot be read or divided.

    Example:
        >>> study = Study("iris", MLP(width=8), Recipe(learning_rate=[1e-3, 1e-2], epochs=5), folds=3)
        >>> plan = study.plan()
        >>> plan.members, len(plan.cohorts)
        (6, 1)
    """

    def __init__(
        self,
        data: Any,
        architectures: Architecture | Sequence[Architecture] | None = None,
        recipe: Recipe | Mapping[str, Any] | None = None,
        *,
        seeds: int | Sequence[int] = 1,
        folds: int | None = None,
        samples: int | None = None,
        metric: str | None = None,
        loss: str | Callable[..., Any] | None = None,
        test: float = 0.2,
        split_seed: int = 0,
        keep_duplicates_together: bool = False,
        start_from: "str | Path | Predictor | WarmStart | None" = None,
        scaling: str | None = None,
        rungs: Sequence[Rung] | None = None,
        class_weight: ClassWeight = None,
        window_rows: int | None = None,
        epoch_rows: int | None = None,
        roomy: bool = False,
    ):
        self.start = start = None if start_from is None else WarmStart.of(start_from, architectures)
        like = start.predictor.schema if start is not None else None
        self.dataset: Dataset = data if isinstance(data, Dataset) else load(data, like=like)
        self.source = data if isinstance(data, (str, Path)) else None
        self.reading: dict[str, Any] = {}  # how the source is read, as a settings file says it
        if start is not None:
            start.check_data(self.dataset)
            scaling, loss = start.scaling(scaling), start.loss(loss)
            architectures = start.architecture(architectures)
        self.architectures = architectures_of(architectures, self.dataset)
        if scaling is None:
            scaling = default_scaling(self.dataset, self.architectures)
        if scaling not in SCALINGS:
            raise one_of("scaling", scaling, SCALINGS)
        self.seeds = seeds_of(seeds)
        self.folds = folds if folds is not None else folds_of(self.dataset)
        self.test, self.split_seed, self.scaling = test, split_seed, scaling
        self.samples, self.rungs = samples, rungs
        self.keep_duplicates_together = keep_duplicates_together
        self.split = make_split(
            self.dataset, test=test, folds=self.folds, seed=split_seed, duplicates=keep_duplicates_together
        )
        self.recipe = recipe_of(recipe, training_rows_of(self.dataset, self.split), self.architectures)
        self.loss = loss or ""
        losses = self._losses()
        if "poisson_nll" in losses and set(losses) != {"poisson_nll"}:
            raise UsageError(
                f"loss={losses}: 'poisson_nll' takes the target as it is; sweep it in a study of its own"
            )
        if class_weight is not None and self.dataset.kind != "classification":
            raise UsageError("class_weight is for classification; weigh the rows of a regression by a column")
        self.class_weight = class_weight
        encoders = start.encoders(self.divisions) if start is not None else None
        counts = "poisson_nll" in losses
        # The networks of a run that had room for more inputs have it still.
        self.roomy = roomy or (encoders is not None and any(encoders[0].room))
        room = self.roomy and self._check_roomy()
        self.inputs = Inputs.of(self.dataset, self.split, scaling, counts, encoders, class_weight, room)
        self.split = self.inputs.split
        self.streaming = None
        if isinstance(self.dataset, StreamedDataset):
            together = keep_duplicates_together
            self.streaming = Streaming(
                self.dataset, self.split, self.inputs, window_rows, epoch_rows, split_seed, together
            )
            self.inputs = dataclasses.replace(self.inputs, feed=self.streaming.feed)
            if not isinstance(recipe, Recipe) and "epochs" not in (recipe or {}):
                epochs = max(self.recipe.epochs, self.streaming.epochs_of_a_pass)
                self.recipe = dataclasses.replace(self.recipe, epochs=epochs)
        elif window_rows is not None or epoch_rows is not None:
            raise UsageError("window_rows and epoch_rows are for data that is streamed; leave them out")
        named = self.loss if isinstance(self.loss, str) else ""
        if metric is None and class_weight == "balanced":
            metric = "balanced_accuracy"
        self._cohorts: dict[tuple[int, int], tuple[list[CohortMembers], list[Member]]] = {}
        self.task: Task = self.inputs.task(metric_of(metric, self.dataset.kind), named)

    def _check_roomy(self) -> bool:
        """Refuse rooms for what has none."""
        if isinstance(self.dataset, StreamedDataset):
            raise UsageError("roomy=True is for data in memory, and this is streamed; leave it out")
        for architecture in self.architectures:
            if not architecture.takes_blanks:
                raise UsageError(
                    f"roomy=True: the architecture {architecture.name!r} cannot have blank inputs; leave it out"
                )
        return True

    @property
    def divisions(self) -> int:
        """How many divisions of the rows each candidate is trained on: the folds, or one without."""
        return max(1, self.folds)

    @property
    def rows(self) -> int:
        """Rows of the data, those that are not in memory included."""
        return len(self.dataset) if self.streaming is None else self.streaming.shuffling.labeled

    @property
    def training_rows(self) -> list[int]:
        """Rows that each fold trains on."""
        return [len(rows) for rows in self.split.train] if self.streaming is None else [self.streaming.rows]

    def _losses(self) -> list[str]:
        """The names of the losses that the study trains with, checked; empty for the task's own."""
        swept = as_sweep(self.recipe.loss)
        names = [name for name in (swept.values if swept else (self.recipe.loss,)) if name]
        if isinstance(self.loss, str) and self.loss:
            names = [self.loss]
        for name in names:
            record = LOSSES[name]
            if record.kind != self.dataset.kind:
                raise UsageError(f"loss={name!r} is for {record.kind} and the task is {self.dataset.kind}")
            if not record.differentiable:
                raise UsageError(
                    f"loss={name!r} has no gradient to train by; use it as a metric, and another loss"
                )
            outputs_for(name, len(self.dataset.classes or ()) or 1)
            if name == "poisson_nll" and self.dataset.target.min() < 0:
                raise UsageError(
                    f"loss={name!r} takes counts and the target has values below 0; use another loss"
                )
        return names

    @property
    def sampled(self) -> bool:
        """Whether the recipe has ranges to draw from."""
        return any(as_range(getattr(self.recipe, name)) is not None for name in declarations(self.recipe))

    def cohorts(self, resolved: Resolved) -> tuple[list[CohortMembers], list[Member]]:
        """The programs and the members that a decision comes to; found once for each."""
        decided = (resolved.epochs, resolved.samples)
        if decided not in self._cohorts:
            self._cohorts = {decided: self._find_cohorts(resolved)}
        return self._cohorts[decided]

    def _find_cohorts(self, resolved: Resolved) -> tuple[list[CohortMembers], list[Member]]:
        recipe = dataclasses.replace(self.recipe, epochs=resolved.epochs) if resolved.epochs else self.recipe
        candidates = candidates_of(self.architectures, recipe, resolved.samples)
        loss = self.loss if callable(self.loss) else None
        cohorts = cohorts_of(candidates, self.task, loss, self.roomy)
        return cohorts, members_of(candidates, self.seeds, self.divisions)

    def resolve(self, budget: Budget | None, rate: float = float("nan"), spent: float = 0.0) -> Resolved:
        """Decide what a budget comes to, from a measured rate (seconds of an epoch for one member)."""
        epochs = as_sweep(self.recipe.epochs) or [self.recipe.epochs]
        return resolve(
            budget,
            grid=sum(map(grid_size, self.architectures)) * grid_size(self.recipe),
            sampled=self.sampled,
            samples=self.samples or (SAMPLES if self.sampled else 1),
            most_samples=_MOST_SAMPLES,
            epochs=max(epochs),
            per_candidate=len(self.seeds) * self.divisions,
            rate=rate,
            spent=spent,
            rungs=self.rungs,
        )

    def plan(self, budget: str | float | Budget | None = None, *, shard: str = "members") -> Plan:
        """What the study will do, before anything is compiled.

        Args:
            budget: a budget; a time is resolved when the study runs, from the rate measured then, so this
                plan shows the study without it.
            shard: what the devices divide, as `run` takes it.

        Returns:
            The plan; its memory is that of a run that is kept in a folder.

        Raises:
            UsageError: if the study does not fit into memory.
        """
        parsed = Budget.parse(budget) if budget is not None else None
        timed = parsed is not None and parsed.kind == "seconds"
        resolved = self.resolve(None if timed else parsed)
        shared = check_shard(shard) == "batch"
        return self.plan_for(resolved, str(parsed) if parsed is not None else "", counted=True, shared=shared)

    def plan_for(
        self,
        resolved: Resolved,
        budget: str = "",
        rates: Mapping[int, float] | None = None,
        *,
        kept: bool = True,
        counted: bool = False,
        shared: bool = False,
    ) -> Plan:
        """The plan of a decision.

        Args:
            resolved: the decision.
            budget: how the budget was given.
            rates: measured seconds of an epoch for one member, by cohort.
            kept: whether the run is kept in a folder, which takes memory for saves and the report.
            counted: whether to count what a step holds though memory is not short.
            shared: whether the devices share each batch, in place of the members.
        """
        devices = hosts.devices()
        cohorts, members = self.cohorts(resolved)
        specs = self.specs(cohorts, members, shared)
        rows = zip(cohorts, specs, strict=True)
        plans = tuple(
            self._cohort_plan(i, c, s, cohorts, (rates or {}).get(i)) for i, (c, s) in enumerate(rows)
        )
        plan = Plan(
            plans,
            resolved.samples,
            len(self.seeds),
            self.divisions,
            resolved.rungs,
            len(devices),
            budget,
            resolved.epochs,
        )
        feed, rungs = self.inputs.feed, bool(resolved.rungs)
        memory = plan_memory(specs, feed, devices, rungs=rungs, kept=kept, counted=counted)
        plan = dataclasses.replace(plan, memory=memory)
        if rates:
            share = plan.work / sum(c.members * c.epochs for c in plans)
            seconds = sum(c.members * c.epochs * c.seconds_per_epoch for c in plans) * share
            plan = dataclasses.replace(plan, seconds=seconds)
        return plan

    def specs(
        self, cohorts: Sequence[CohortMembers], members: Sequence[Member], shared: bool = False
    ) -> list[CohortSpec]:
        """What the engine trains for each cohort; `shared` as `plan_for` takes it."""
        devices = hosts.devices()
        found = []
        for cohort in cohorts:
            numbers = {candidate.index for candidate in cohort.candidates}
            mine = [member for member in members if member.candidate in numbers]
            parameters = network_for(cohort.spec).parameters
            rows = self.inputs.feed.batch_rows(cohort.recipe.batch_size)
            width = lane_width(devices[0].platform, parameters, -(-len(mine) // len(devices)), rows)
            steps = self.inputs.feed.steps(cohort.recipe.batch_size)
            start = None if self.start is None else self.start.start(cohort.spec, mine, self.divisions)
            scales, filled = self.inputs.scales, self.inputs.encoders[0].filled
            epochs = cohort.recipe.epochs
            spec = cohort_spec(cohort, mine, scales, steps, width, epochs, start, filled)
            found.append(
                dataclasses.replace(spec, lane_width=1, fused=False, shared=True) if shared else spec
            )
        return found

    def _cohort_plan(
        self,
        index: int,
        cohort: CohortMembers,
        spec: CohortSpec,
        cohorts: Sequence[CohortMembers],
        rate: float | None,
    ) -> CohortPlan:
        feed = self.inputs.feed
        devices = hosts.devices()
        kind = lane_kind(
            feed, spec.lane_width, spec.batch_size, spec.fused, len(devices) if spec.shared else 1
        )
        programs = programs_for(spec.functions, tuple(spec.settings), kind, device_mesh(devices))
        lanes, parameters = -(-len(spec.members) // kind.width), network_for(cohort.spec).parameters
        idle = 0 if spec.shared else max(0, len(devices) - lanes)
        return CohortPlan(
            label=spec.label,
            why=why_apart(index, cohorts),
            candidates=len(cohort.candidates),
            members=len(spec.members),
            epochs=spec.epochs,
            steps=feed.steps(spec.batch_size),
            batch=kind.batch,
            lane_width=kind.width,
            lanes=lanes,
            parameters=parameters,
            member_bytes=programs.member_bytes,
            noise=tuple(sorted(cohort.spec.active)),
            seconds_per_epoch=float("nan") if rate is None else rate,
            fused=kind.fused,
            packed=cohort.spec.packed,
            reasons=reasons(cohort.spec, kind, parameters, programs.epoch.effort, idle),
        )

    def run(
        self,
        folder: str | Path | None = None,
        budget: str | float | Budget | None = None,
        *,
        callbacks: Sequence[Callable[[dict[str, Any]], None]] = (),
        save_every: float = 5.0,
        baselines: bool = True,
        measure: bool = False,
        tracker: str | None = None,
        shard: str = "members",
    ) -> "Result":
        """Train the study.

        Args:
            folder: where to keep the run; nothing is kept if None.
            budget: a time ("60s", "5m"), "64 members" or "30 epochs"; the study as it is if None.
            callbacks: called with each event.
            save_every: seconds between saves; 0 saves after every epoch.
            baselines: whether to fit scikit-learn's baselines on the same rows.
            measure: whether to note, before each epoch, the length of the gradient, of the weights and of the
                step (the radius of its trust region). Measuring never changes the run.
            tracker: "tensorboard", "mlflow" or "wandb", to be told of the run as one run of its own. Tracking
                never changes the run, and one that fails does not end it.
            shard: what the devices, of all processes, divide among them: "members", or "batch", each device its
                rows of every batch, for a few networks that are large (docs/processes.md).

        Returns:
            The result. With several processes each has it, and the folder only process 0, which alone writes.

        Raises:
            RunError: if the folder is not empty.
            TrainingError: if every member diverged.
            UsageError: if the tracker is not known or not installed, or a batch cannot be divided by the devices.
        """
        from .run import run_study

        parsed = Budget.parse(budget) if budget is not None else None
        options = {"baselines": baselines, "measure": measure, "shard": check_shard(shard)}
        return run_study(self, folder, parsed, callbacks, save_every, options, tracker)

    def to_settings(self, resolved: Resolved | None = None) -> dict[str, Any]:
        """The study as a settings file says it; with a decision, so that it repeats the run exactly."""
        recipe = self.recipe.to_dict()
        samples, rungs = self.samples, self.rungs
        if resolved is not None:
            samples, rungs = resolved.samples, resolved.rungs
            recipe["epochs"] = resolved.epochs or recipe["epochs"]
        models = [architecture.to_dict() for architecture in self.architectures]
        settings: dict[str, Any] = {
            "data": _where(self.source, self.dataset),
            "target": self.dataset.schema.target.name,
            "kind": self.dataset.kind,
            "metric": self.task.metric,
            "seeds": list(self.seeds),
            "folds": self.folds,
            "test": self.test,
            "split_seed": self.split_seed,
            "scaling": self.scaling,
        }
        for name, value in self.reading.items():
            settings[name] = _absolute(value) if name in ("test_file", "validation_file") else value
        if self.streaming is not None:
            settings.update(self.streaming.settings)
        if self.roomy:
            settings["roomy"] = True
        if self.keep_duplicates_together:
            settings["keep_duplicates_together"] = True
        if self.start is not None:
            settings["from"] = self.start.place or "(in memory)"
            settings["from_fingerprint"] = self.start.fingerprint
        if isinstance(self.class_weight, str):
            settings["class_weight"] = self.class_weight
        elif self.class_weight is not None:
            settings["class_weight"] = {str(name): number for name, number in self.class_weight.items()}
        if samples is not None:
            settings["samples"] = samples
        if rungs is not None:
            settings["rungs"] = [{"at": rung.at, "keep": rung.keep} for rung in rungs]
        if self.loss:
            settings["loss"] = self.loss if isinstance(self.loss, str) else f"(function: {_place(self.loss)})"
        return {**settings, "model": models[0] if len(models) == 1 else models, "recipe": recipe}

    @classmethod
    def from_settings(
        cls,
        settings: Mapping[str, Any],
        data: Any = None,
        architectures: Architecture | Sequence[Architecture] | None = None,
        loss: Callable[..., Any] | None = None,
        start_from: "str | Path | Predictor | None" = None,
    ) -> "Study":
        """The study that a settings file says.

        Args:
            settings: the parsed file; "budget", "baselines", "measure" and "shard" are left to `run`.
            data: the data, in place of the file's "data".
            architectures: in place of the file's "model", which cannot hold a module of one's own.
            loss: in place of the file's "loss", which cannot hold a function.
            start_from: in place of the file's "from", which cannot hold a predictor in memory.

        Raises:
            RunError: if what the file starts from has changed since it was written.
            UsageError: if a key is unknown, or a value is not allowed.
        """
        for name in settings:
            if name not in _STUDY_KEYS:
                raise one_of("study setting", name, _STUDY_KEYS)
        source = data if data is not None else settings.get("data")
        if source is None:
            raise UsageError('data=? is missing from the settings; add a line such as: data = "digits"')
        written = settings.get("model")
        models = architectures
        if models is None and written is not None:
            models = [from_dict(one) for one in (written if isinstance(written, list) else [written])]
        start = _start(settings, start_from, models)
        like = start.predictor.schema if start is not None else None
        dataset, reading = source, {name: settings[name] for name in _READING_KEYS if name in settings}
        if not isinstance(source, Dataset):
            dataset = _load(source, settings.get("target"), settings.get("kind"), reading, like)
        if "recipe" in settings and "search" in settings:
            raise UsageError(
                "recipe and search are both given; [search] changes the default search, keep one"
            )
        recipe = Recipe.from_dict(settings["recipe"]) if "recipe" in settings else settings.get("search")
        rungs = settings.get("rungs")
        given = {name: settings[name] for name in _PLAIN_KEYS if name in settings}
        if loss is not None:
            given["loss"] = loss
        elif str(given.get("loss", "")).startswith("(function"):
            raise UsageError(
                f"loss={given['loss']!r} is a function, which a file does not hold; give it: loss=..."
            )
        study = cls(
            dataset,
            models,
            recipe,
            rungs=None if rungs is None else [Rung(**r) for r in rungs],
            start_from=start,
            **given,
        )
        study.source = source if isinstance(source, (str, Path)) else None
        study.reading = reading
        return study


def _start(settings: Mapping[str, Any], given: Any, models: Any) -> WarmStart | None:
    """What settings start from, the same as when they were recorded."""
    given = given if given is not None else settings.get("from")
    if given is None:
        return None
    if given == "(in memory)":
        raise UsageError("from='(in memory)' is a model, which a file does not hold; give it: start_from=...")
    start = WarmStart.of(given, models)
    start.check_unchanged(settings.get("from_fingerprint"))
    goal = start.predictor.schema.target
    positive = goal.categories[1] if goal.categories and len(goal.categories) == 2 else None
    for name, ours in (("target", goal.name), ("kind", start.predictor.task.kind), ("positive", positive)):
        start.check_taken_over(name, settings.get(name), ours)
    if any(word != "split" for word in dict(settings.get("columns", {})).values()):
        raise UsageError(
            "columns: what each is, the run to start from says; leave columns out, but for a split"
        )
    return start


def _place(function: Any) -> str:
    """Where a function of the user's lives."""
    return f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def _load(
    source: Any, target: str | None, kind: str | None, reading: Mapping[str, Any], like: Schema | None
) -> Dataset:
    """The dataset that the settings say."""
    columns = reading.get("columns", {})
    if not isinstance(columns, Mapping):
        raise UsageError(
            f'columns={columns!r} is no table of names and words; write [columns] zip = "categorical"'
        )
    files = {"test": reading.get("test_file"), "validation": reading.get("validation_file")}
    more = {name: reading[name] for name in ("positive", "sql", "stream") if name in reading}
    return load(source, target, kind=kind, columns=columns, like=like, **more, **files)


def _where(source: Any, dataset: Dataset) -> str:
    return f"(in memory: {dataset.name})" if source is None else _absolute(source)


def _absolute(source: str | Path) -> str:
    """A path that holds from any folder; a name as it is."""
    return str(Path(source).resolve()) if Path(source).exists() else str(source)
