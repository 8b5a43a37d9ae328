"""What a device does with its lanes in a call of a program: it makes members, or trains them for an epoch.

A device walks through its lanes one after another in a loop whose length is a number, not a shape, so that
when members are dropped the same program does less work. Within a lane the members advance together under
`jax.vmap`; a lane of width 1 has no member axis at all, which keeps a larger network's arrays in cache.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from ..errors import UsageError
from .functions import KEY_KIND, Functions, Packer, run_step

# What the engine keeps of a member beside its state, with its type and what it is before the first epoch.
SCALARS = {
    "best_score": (np.float32, np.nan),
    "best_watch": (np.float32, np.inf),
    "best_loss": (np.float32, np.inf),
    "best_epoch": (np.int32, -1),
    "diverged": (np.int32, -1),
    "stopped": (np.bool_, False),
    "last_loss": (np.float32, np.nan),
}
SHARDED, REPLICATED = PartitionSpec("device"), PartitionSpec()
Slot = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class LaneKind:
    """How a lane is run: with the settings and the key, all that a member's bits depend on.

    Attributes:
        width: members advanced together.
        steps: steps in a call of a program: in an epoch, or in a window of one.
        batch: rows in a batch.
        fused: whether a call's steps are one (`Functions.steps`).
        roomy: whether `steps` is the most there is room for, and how many are taken a number in the program.
        split: devices that share each batch; 1 where each device has members of its own.
    """

    width: int
    steps: int
    batch: int
    roomy: bool = False
    fused: bool = False
    split: int = 1

    @property
    def spec(self) -> PartitionSpec:
        """Where lanes are: spread over the devices, or on each of those that share their batches."""
        return REPLICATED if self.split > 1 else SHARDED


class Shown(NamedTuple):
    """What all lanes of a call are shown.

    Attributes:
        orders: the orders of the rows, [orders, steps * batch].
        examples: arrays [folds or 1, rows, ...].
        validation: rows to validate on, [folds, rows]; None where nobody is judged.
        now: the epoch's number, that of the call's first step, and the steps that it takes.
    """

    orders: Any
    examples: Any
    validation: Any
    now: Any

    @property
    def last(self) -> Any:
        """The number of the call's last step."""
        return self.now[1] + self.now[2] - 1


class Carried(NamedTuple):
    """What a member carries from step to step.

    Attributes:
        leaves: its state, as `Work.apart` lays it out, or as `Work.layout` where its steps are native code's.
        diverged: the first step whose loss was not finite; -1 if none.
        last_loss: the last finite loss.
    """

    leaves: Any
    diverged: Any
    last_loss: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Work:
    """The work of one device, for the members of one cohort.

    Attributes:
        functions: the member's pure functions.
        layout: of its state between calls, small arrays joined.
        apart: of its state from step to step, every array on its own.
        best: of what is kept of its best epoch.
        kind: how lanes run.
    """

    functions: Functions
    layout: Packer
    apart: Packer
    best: Packer
    kind: LaneKind

    def make(self, seeds: Any, settings: Any, start: Any) -> Slot:
        """New slots [lanes, (width,) ...] from uint32 seeds [lanes, width] and settings of that shape.

        `start` holds what each member starts from, [lanes, (width,) ...] as `best` lays it out; [] for a start anew.
        """

        def member(seed, numbers, kept) -> Slot:
            state = self.functions.init(jax.random.key(seed, impl=KEY_KIND), numbers)
            if kept:
                assert self.functions.restart is not None  # whoever starts from a network says how
                state = self.functions.restart(state, self.best.unpack(kept), numbers)
            return {
                "state": self.layout.pack(state),
                "best": self.best.pack(self.functions.keep(state)),
                **{name: jnp.asarray(first, kind) for name, (kind, first) in SCALARS.items()},
            }

        return jax.lax.map(lambda args: self._each(member)(*args), (seeds, settings, start))

    def train(self, ends: bool, slots, settings, fold, order, count, *shown) -> tuple[Slot, Any]:
        """One call of the first `count` lanes of this device; the others come back as they were.

        `ends` is whether the call ends an epoch, so that members are judged: all but an epoch's first windows do.
        Shapes: slots, settings, fold, order [lanes, (width,) ...]; count [1]; `shown` are the fields of `Shown`.
        """
        # Under an inlined jit the lane is traced once, though its shapes are asked for before it is run.
        traced = jax.jit(self._epoch if ends else self._window, inline=True)
        lane = functools.partial(traced, Shown(*shown))
        blank = _blank(lambda *lanes: lane(*lanes)[1], slots, settings, fold, order)
        barrier = jax.lax.optimization_barrier

        def body(index, carry):
            slots, reports = carry
            # Barriers keep the compiler from fusing a lane with what surrounds it, which depends on how many lanes
            # there are: at little effort the last bits of its sums would come to depend on that too.
            slot, report = barrier(lane(*barrier(_read((slots, settings, fold, order), index))))
            return _write(slots, slot, index), _write(reports, report, index)

        return jax.lax.fori_loop(0, count[0], body, (slots, blank))

    def measure(self, leaves, settings, fold, order, count, orders, examples) -> Any:
        """What the members of the first `count` lanes would do in a step; shapes as in `train`."""
        assert self.functions.measure is not None  # or there is no program for it
        look = self.functions.measure

        def member(leaves, settings, fold, order):
            batch = take(examples, fold, orders[order, : self.kind.batch])
            metrics = look(self.layout.unpack(leaves), batch, settings)
            return {name: jnp.asarray(value, jnp.float32) for name, value in metrics.items()}

        lane, lanes = self._each(member), (leaves, settings, fold, order)

        def body(index, reports):
            return _write(reports, lane(*_read(lanes, index)), index)

        return jax.lax.fori_loop(0, count[0], body, _blank(lane, *lanes))

    def _each(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A member's function for all members of a lane."""
        return function if self.kind.width == 1 else jax.vmap(function)

    def _epoch(self, shown: Shown, slot, settings, fold, order):
        """An epoch of one lane, or its last window: every step, the evaluation, what is kept, what is reported."""
        carried, train = self._steps(shown, slot, settings, fold, order)
        return self._each(functools.partial(self._finish, shown))(slot, carried, train, settings, fold)

    def _window(self, shown: Shown, slot, settings, fold, order):
        """The steps of one lane on a window that is not its epoch's last."""
        carried, train = self._steps(shown, slot, settings, fold, order)

        def finish(slot, carried):
            leaves, diverged, last_loss = _frozen(slot, carried, shown.last)
            return {**slot, "state": leaves, "diverged": diverged, "last_loss": last_loss}

        return self._each(finish)(slot, carried), {"train": train}

    def _steps(self, shown: Shown, slot, settings, fold, order):
        """The steps of a call: what members carry after them, and the mean of what the steps tell."""
        kind, start = self.kind, Carried(slot["state"], slot["diverged"], slot["last_loss"])
        if kind.fused:
            return self._each(functools.partial(self._fused, shown))(start, settings, fold, order)
        start = start._replace(leaves=self._each(_laid(self.layout, self.apart))(start.leaves))
        rows = self._each(lambda index: shown.orders[index].reshape(kind.steps, kind.batch))(order)
        rows = rows if kind.width == 1 else jnp.moveaxis(rows, 0, 1)
        step = self._each(functools.partial(self._step, shown.examples))

        def scanned(carried, inputs):
            number, batch_rows = inputs
            spread = number if kind.width == 1 else jnp.full((kind.width,), number)
            return step(carried, spread, batch_rows, settings, fold)

        first, steps = shown.now[1], shown.now[2]
        if kind.roomy:
            carried, train = _counted(lambda carried, i: scanned(carried, (first + i, rows[i])), start, steps)
        else:
            numbers = first + jnp.arange(kind.steps, dtype=jnp.int32)
            carried, told = jax.lax.scan(scanned, start, (numbers, rows))
            train = jax.tree.map(lambda a: a.mean(0), told)
        return carried._replace(leaves=self._each(_laid(self.apart, self.layout))(carried.leaves)), train

    def _step(self, examples, carried: Carried, number, rows, settings, fold):
        """A member's step, noting the first step whose loss is not finite and the last loss before it."""
        batch = take(examples, fold, rows)
        state, metrics = run_step(self.functions, self.apart.unpack(carried.leaves), batch, settings)
        loss = metrics.get("loss", jnp.float32(0.0))
        finite, healthy = jnp.isfinite(loss), carried.diverged < 0
        last_loss = jnp.where(healthy & finite, loss, carried.last_loss)
        diverged = jnp.where(healthy & ~finite, number, carried.diverged)
        return Carried(self.apart.pack(state), diverged, last_loss), metrics

    def _fused(self, shown: Shown, carried: Carried, settings, fold, order):
        """A member's steps of a call at once; the same of it is told as of single steps."""
        assert self.functions.steps is not None  # or the kind is not fused
        rows, (_, first, steps) = shown.orders[order].reshape(self.kind.steps, self.kind.batch), shown.now
        state = self.layout.unpack(carried.leaves)
        state, losses = self.functions.steps(state, shown.examples, fold, rows, steps, settings)
        place = jnp.arange(self.kind.steps, dtype=jnp.int32)
        taken, finite = place < steps, jnp.isfinite(losses)
        failed = jnp.where(taken & ~finite, place, self.kind.steps).min()
        healthy = carried.diverged < 0
        last = jnp.where(taken & (place < failed), place, -1).max()
        last_loss = jnp.where(healthy & (last >= 0), losses[jnp.maximum(last, 0)], carried.last_loss)
        diverged = jnp.where(healthy & (failed < self.kind.steps), first + failed, carried.diverged)
        mean = jnp.where(taken, losses, 0).sum() / steps.astype(losses.dtype)
        return Carried(self.layout.pack(state), diverged, last_loss), {"loss": mean}

    def _finish(self, shown: Shown, slot, carried: Carried, train, settings, fold):
        """Evaluate a member, freeze it if it diverged, keep it if it is better than before."""
        functions = self.functions
        leaves, diverged, last_loss = _frozen(slot, carried, shown.last)
        healthy = (diverged < 0) & ~slot["stopped"]
        state = self.layout.unpack(leaves)
        metrics: dict[str, Any] = {}
        if functions.evaluate is None:
            score = _score(train, "loss", "step")
        else:
            found = functions.evaluate(state, take(shown.examples, fold, shown.validation[fold]))
            metrics = {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}
            score = _score(metrics, functions.score, "evaluate")
        loss = metrics.get("loss", jnp.float32(0.0))
        watch = metrics[functions.watch] if functions.watch else -score if functions.rising else score
        tie = (watch == slot["best_watch"]) & (loss < slot["best_loss"])
        better = healthy & ((watch < slot["best_watch"]) | tie)
        if functions.after_epoch is not None:
            changed = self.layout.pack(functions.after_epoch(state, {**metrics, "score": score}, settings))
            leaves = [jnp.where(healthy, new, old) for new, old in zip(changed, leaves, strict=True)]
        kept = self.best.pack(functions.keep(state))
        epoch = shown.now[0]
        new = {
            "state": leaves,
            "best": [jnp.where(better, now, before) for now, before in zip(kept, slot["best"], strict=True)],
            "best_score": jnp.where(better, score, slot["best_score"]),
            "best_watch": jnp.where(better, watch, slot["best_watch"]),
            "best_loss": jnp.where(better, loss, slot["best_loss"]),
            "best_epoch": jnp.where(better, epoch, slot["best_epoch"]),
            "diverged": diverged,
            "stopped": slot["stopped"],
            "last_loss": last_loss,
        }
        watched = {
            name: new[name] for name in ("best_score", "best_loss", "best_epoch", "diverged", "last_loss")
        }
        return new, {"train": train, "validation": metrics, "score": score, **watched}


def take(examples: Any, fold: Any, rows: Any) -> Any:
    """The examples of the given rows as a fold sees them; leaves are [folds or 1, rows, ...]."""
    return jax.tree.map(lambda a: a[jnp.minimum(fold, a.shape[0] - 1), rows], examples)


def _laid(out: Packer, anew: Packer) -> Callable[[Any], list[Any]]:
    """What turns arrays that one packer laid out into those of another."""
    return lambda arrays: anew.pack(out.unpack(arrays))


def _read(lanes: Any, index: Any) -> Any:
    """One lane of a device's arrays."""
    return jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, index, 0, keepdims=False), lanes)


def _write(lanes: Any, lane: Any, index: Any) -> Any:
    """A device's arrays with one lane replaced."""
    return jax.tree.map(lambda a, new: jax.lax.dynamic_update_index_in_dim(a, new, index, 0), lanes, lane)


def _blank(function: Callable[..., Any], *lanes: Any) -> Any:
    """Zeros for what a function of one lane gives, for every lane."""
    count = jax.tree.leaves(lanes)[0].shape[0]
    shapes = jax.eval_shape(function, *jax.tree.map(lambda a: a[0], lanes))
    return jax.tree.map(lambda a: jnp.zeros((count, *a.shape), a.dtype), shapes)


def _counted(step, start, count):
    """What `count` steps, a number in the program, carry, and the mean of what they tell."""
    told = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(step, start, jnp.int32(0))[1])

    def body(index, both):
        carry, metrics = step(both[0], index)
        return carry, jax.tree.map(jnp.add, both[1], metrics)

    carried, sums = jax.lax.fori_loop(0, count, body, (start, told))
    return carried, jax.tree.map(lambda a: a / count.astype(a.dtype), sums)


def _frozen(slot, carried: Carried, last) -> Carried:
    """What a member carries after a call whose last step is `last`; where it rests, what it carried before."""
    leaves, diverged, last_loss = carried
    finite = functools.reduce(
        jnp.logical_and, [jnp.isfinite(a).all() for a in leaves if _is_float(a)], jnp.bool_(True)
    )
    diverged = jnp.where((diverged < 0) & ~finite, last, diverged)
    # A stopped member may wait in its lane until its place is worth freeing; nothing of it changes there.
    diverged = jnp.where(slot["stopped"], slot["diverged"], diverged)
    healthy = (diverged < 0) & ~slot["stopped"]
    # A frozen member goes back to the start of the call in which it failed; its moments would be poisoned.
    leaves = [jnp.where(healthy, new, old) for new, old in zip(leaves, slot["state"], strict=True)]
    return Carried(leaves, diverged, jnp.where(slot["stopped"], slot["last_loss"], last_loss))


def _score(metrics: Mapping[str, Any], name: str, source: str) -> Any:
    """The number that judges a member.

    Raises:
        UsageError: if the user's function gives none.
    """
    if name not in metrics:
        given = ", ".join(metrics) or "none"
        raise UsageError(
            f"score={name!r} is not among the metrics that {source} returns ({given}); return it there"
        )
    return metrics[name]


def _is_float(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jnp.inexact)
