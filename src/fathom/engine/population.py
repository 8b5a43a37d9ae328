"""A population: one's own pure functions, trained at every setting at once."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..errors import RunError, TrainingError, UsageError
from . import hosts
from .checkpoint import Checkpoint
from .cohort import CohortSpec
from .feed import Feed
from .functions import Functions, Packer, abstract_key
from .lanes import check_lane_width, check_shard, lane_width
from .memory import plan_memory
from .rungs import Rung
from .training import Listener, MemberRecord, Training

_USABLE = ("finished", "stopped")


class Population:
    """Members that differ only in their settings, from plain pure functions on any pytree.

    Nothing in the functions knows of a population: the engine adds that axis from outside. What a member
    computes depends, bit for bit, on its settings, its seed and the lane width alone; not on its neighbors.

    Args:
        init: ``init(key, settings) -> state``, any pytree.
        step: ``step(state, batch, settings) -> state`` or ``(state, metrics)``. `batch` has the structure of
            the training examples. ``metrics["loss"]`` is watched for numerical failure.
        evaluate: ``evaluate(state, split) -> metrics``, once an epoch on the validation examples; None goes
            by the training loss.
        settings: for each dynamic setting a sequence [members] of numbers, or one number for all. "seed"
            draws the initial weights and the order of the examples; 0 for every member if left out.
        score: the validation metric that judges; "loss" without `evaluate`.
        greater_is_better: whether a larger score is better.

    Raises:
        UsageError: if the settings differ in length or are not numbers.

    Example:
        >>> import jax.numpy as jnp
        >>> def init(key, settings):
        ...     return jnp.zeros(())
        >>> def step(w, batch, settings):
        ...     loss, slope = jax.value_and_grad(lambda w: jnp.mean((w * batch["x"] - batch["y"]) ** 2))(w)
        ...     return w - settings["learning_rate"] * slope, {"loss": loss}
        >>> x = np.linspace(-1, 1, 64, dtype=np.float32)
        >>> population = Population(init, step, None, {"learning_rate": [0.01, 0.3]})
        >>> result = population.run({"x": x, "y": 3 * x}, epochs=20, batch_size=16)
        >>> result.best, round(float(result.state(result.best)), 2)
        (1, 3.0)
    """

    def __init__(
        self,
        init: Callable[..., PyTree],
        step: Callable[..., Any],
        evaluate: Callable[..., Mapping[str, Any]] | None,
        settings: Mapping[str, Any],
        *,
        score: str = "",
        greater_is_better: bool = False,
    ):
        self.functions = Functions(
            init, step, evaluate, score=score or "loss", greater_is_better=greater_is_better
        )
        columns = _columns(settings)
        self.members = max((len(column) for column in columns.values()), default=1)
        self.seeds = _seeds(columns.pop("seed", np.zeros(self.members)))
        self.settings = columns

    def run(
        self,
        train: PyTree,
        validation: PyTree | None = None,
        *,
        epochs: int,
        batch_size: int = 32,
        rungs: Sequence[Rung] = (),
        patience: float = float("inf"),
        lane_width: int | None = None,
        shard: str = "members",
        callbacks: Sequence[Listener] = (),
        checkpoint: str | Path | None = None,
        save_every: float = 5.0,
    ) -> "PopulationResult":
        """Train every member.

        Args:
            train: pytree of arrays [rows, ...].
            validation: pytree of the same structure, or None.
            epochs: passes through the training rows.
            batch_size: rows in a batch; an epoch's last batch is filled up from the epoch's start.
            rungs: where the weakest members are dropped.
            patience: epochs without a better score before a member stops.
            lane_width: members that a device advances together, a power of two; chosen if None.
            shard: what the devices, of all processes, divide among them: "members", or "batch": every device its
                rows of every batch, for a few networks that are large. Sums over a batch are then taken in another
                order, so that numbers agree with those of "members" within rounding.
            callbacks: called with each event, a mapping with "event" and its values.
            checkpoint: a folder to save in; a run that was killed goes on from it with the same numbers.
            save_every: seconds between saves; 0 saves after every epoch.

        Returns:
            The result.

        Raises:
            UsageError: if an argument is not allowed, a batch cannot be divided by the devices, or the members do
                not fit into memory.
            RunError: if `checkpoint` holds another population's state.
            TrainingError: if every member diverged.
        """
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
            raise UsageError(f"epochs={epochs!r} is not allowed; give a whole number, 1 or more")
        functions = self.functions
        if not patience >= 0:
            raise UsageError(
                f"patience={patience!r} is not allowed; give a number of epochs, 0 or more, or inf"
            )
        if functions.evaluate is not None and validation is None:
            raise UsageError("validation=None: evaluate was given but no examples for it; give validation")
        feed = Feed.of(train, validation)
        store = Checkpoint(Path(checkpoint)) if checkpoint is not None else None
        if lane_width is None and store is not None:  # a run that has begun keeps what was chosen then
            lane_width = store.record.get("lane_width")
        spec = self._spec(functions, feed, epochs, batch_size, lane_width, check_shard(shard) == "batch")
        mark = _Mark(self._fingerprint(spec, feed, rungs, patience), spec.lane_width)
        memory = plan_memory([spec], feed, hosts.devices(), rungs=bool(rungs), kept=store is not None)
        training = Training(
            [spec],
            feed,
            {member: member for member in range(self.members)},
            rungs=rungs,
            patience=dict.fromkeys(range(self.members), patience),
            listeners=[*callbacks, mark],
            checkpoint=store,
            save_every=save_every,
            away=memory.away,
        )

        def accept(saved: Mapping[str, Any]) -> None:
            if saved.get("fingerprint") != mark.text:
                raise RunError(
                    f"checkpoint={str(checkpoint)!r} holds another population; give an empty folder"
                )

        if training.restore(accept) is None:
            training.compile()
        records = training.run()
        usable = [member for member, record in records.items() if record.status != "dropped"]
        kept = None if hosts.alone() else training.kept(usable)
        if not any(record.status in _USABLE for record in records.values()):
            raise TrainingError(
                f"every one of the {self.members} members diverged or was dropped; lower the learning rate"
            )
        return PopulationResult(self, training, records, kept)

    def _spec(
        self, functions: Functions, feed: Feed, epochs: int, batch_size: int, width: int | None, shared: bool
    ) -> CohortSpec:
        devices = hosts.devices()
        if width is None and shared:
            width = 1
        elif width is None:
            members, rows = -(-self.members // len(devices)), feed.batch_rows(batch_size)
            width = self._width(functions, members, rows, devices[0].platform)
        folds = np.zeros(self.members, np.int32)
        members, width = tuple(range(self.members)), check_lane_width(width)
        columns = (members, self.settings, self.seeds, folds)
        return CohortSpec(functions, *columns, epochs, batch_size, width, shared=shared)

    def _width(self, functions: Functions, members: int, rows: int, platform: str) -> int:
        scalars = dict.fromkeys(self.settings, jax.ShapeDtypeStruct((), np.float32))
        layout = Packer(eqx.filter_eval_shape(functions.init, abstract_key(), scalars))
        if layout.foreign_keys:
            return 1
        return lane_width(platform, layout.numbers, members, rows)

    def _fingerprint(self, spec: CohortSpec, feed: Feed, rungs: Sequence[Rung], patience: float) -> str:
        columns = {name: column.tolist() for name, column in self.settings.items()}
        training = [spec.epochs, spec.batch_size, spec.lane_width, patience, [(r.at, r.keep) for r in rungs]]
        training += ["batch"] * spec.shared
        digest = hashlib.sha256(json.dumps([columns, self.seeds.tolist(), training], sort_keys=True).encode())
        for leaf in jax.tree.leaves(feed.examples):
            digest.update(f"{leaf.dtype}{leaf.shape}".encode() + np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()


class _Mark:
    """Puts into every save what tells whose it is, and how its lanes run."""

    def __init__(self, text: str, lane_width: int):
        self.text, self.lane_width = text, lane_width

    def __call__(self, event: Mapping[str, Any]) -> None:
        pass

    def checkpoint(self) -> dict[str, Any]:
        return {"fingerprint": self.text, "lane_width": self.lane_width}


@dataclasses.dataclass(frozen=True)
class PopulationResult:
    """What became of a population.

    Attributes:
        population: what was trained.
        records: what happened to each member.
    """

    population: Population
    _training: Training
    records: Mapping[int, MemberRecord]
    _kept: Mapping[int, PyTree] | None = (
        None  # with several processes: of every member, so that each can ask alone
    )

    @property
    def scores(self) -> np.ndarray:
        """The best score of each member, [members]; nan where there is none or the member diverged."""
        return np.array(
            [np.nan if r.status == "diverged" else r.best_score for r in self.records.values()], dtype=float
        )

    @property
    def best(self) -> int:
        """The member with the best score among those that were not dropped."""
        rising = self.population.functions.rising
        usable = {m: r.best_score for m, r in self.records.items() if r.status in _USABLE}
        return min(usable, key=lambda m: (np.isnan(usable[m]), -usable[m] if rising else usable[m]))

    def state(self, member: int) -> PyTree:
        """A member's state after its best epoch, as `init` structured it.

        Raises:
            UsageError: if the member was dropped, or there is no such member.
        """
        if member not in self.records:
            raise UsageError(f"member={member!r}: there are members 0 to {len(self.records) - 1}")
        if self.records[member].status == "dropped":
            raise UsageError(f"member={member!r} was dropped at a rung; only survivors keep their state")
        best = self._training.slot(member)["best"] if self._kept is None else self._kept[member]
        return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, best)

    def table(self) -> list[dict[str, Any]]:
        """One row for each member: its settings and what happened to it, best score first, diverged members last."""
        rising = self.population.functions.rising
        rows = []
        for member, record in self.records.items():
            settings = {name: float(column[member]) for name, column in self.population.settings.items()}
            seed = int(self.population.seeds[member])
            rows.append({"member": member, **settings, "seed": seed, **dataclasses.asdict(record)})

        def rank(row: dict[str, Any]) -> tuple[bool, float]:
            score = -row["best_score"] if rising else row["best_score"]
            unusable = row["status"] == "diverged" or math.isnan(score)
            return (unusable, 0.0 if unusable else score)

        return sorted(rows, key=rank)


def _seeds(column: np.ndarray) -> np.ndarray:
    wrong = (column < 0) | (column >= 2**32) | (column != np.floor(column))
    if wrong.any():
        raise UsageError(
            f"settings: seed={column[wrong][0]:g} is not allowed; give whole numbers from 0 to 2**32 - 1"
        )
    return column.astype(np.uint32)


def _columns(settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    for name, values in settings.items():
        try:
            columns[name] = np.atleast_1d(np.asarray(values, dtype=np.float64))
        except (TypeError, ValueError):
            raise UsageError(
                f"settings: {name}={values!r} are not numbers; give one number for each member"
            ) from None
        if np.isnan(columns[name]).any():  # None reads as nan, too
            raise UsageError(
                f"settings: {name}={values!r} are not all numbers; give one number for each member"
            )
    lengths = {len(column) for column in columns.values()} - {1}
    if len(lengths) > 1 or 0 in lengths or any(column.ndim != 1 for column in columns.values()):
        shapes = {name: column.shape for name, column in columns.items()}
        raise UsageError(f"settings have shapes {shapes}; give each one number, or one for each member")
    members = max(lengths, default=1)
    return {name: np.resize(column, members) for name, column in columns.items()}
