"""The compiled programs of a cohort: one that makes members, one that trains them for an epoch.

Where an epoch is read in windows, a third program trains on each window but the epoch's last.

A device walks through its lanes one after another in a loop whose length is a number, not a shape, so that
when members are dropped the same program does less work. Within a lane the members advance together under
`jax.vmap`; a lane of width 1 has no member axis at all, which keeps a larger network's arrays in cache.
"""

import concurrent.futures
import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..errors import UsageError
from . import program_store
from .functions import KEY_KIND, MOST_EFFORT, Functions, Packer, abstract_key, run_step

# What the engine keeps of a member beside its state, with its type and what it is before the first epoch.
_SCALARS = {
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


@functools.lru_cache(maxsize=8)
def device_mesh(devices: tuple[Any, ...]) -> Mesh:
    """The mesh over which members are spread, one axis named "device"."""
    return Mesh(np.array(devices), ("device",))


@dataclasses.dataclass(frozen=True)
class Made:
    """How a program came to be.

    Attributes:
        name: the program's.
        read: whether it was read from disk, as it was compiled before.
        traced: seconds of Python that turned the function into a program.
        compiled: seconds of the compiler, or of reading.
        stored: whether the next process can read it from disk.
    """

    name: str
    read: bool
    traced: float
    compiled: float
    stored: bool


class Program:
    """A function compiled once for each set of argument shapes, and counted.

    Args:
        name: what the plan calls it.
        function: the function.
        donate: positions of the arguments whose memory the result may take over.
        described: what the function was made from, if that says all of it: the program is then kept on disk.
        effort: how hard LLVM tries on a CPU, 0 to 3; less makes a program sooner that runs too little to repay more.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        donate: tuple[int, ...] = (),
        described: str = "",
        effort: int = MOST_EFFORT,
    ):
        self.name = name
        self._described = described and f"{name} {effort} {described}"
        options = {"xla_backend_optimization_level": effort} if effort < MOST_EFFORT else None
        function = program_store.named(function, name, self._described)
        self._jitted = jax.jit(function, donate_argnums=donate, compiler_options=options)
        self._compiled: dict[Any, concurrent.futures.Future[Callable[..., Any]]] = {}
        self._lock = threading.Lock()
        self.made: list[Made] = []

    def compiled(self, *args: Any) -> Callable[..., Any]:
        """The executable for arguments of these shapes, made now if it is new."""
        return self.traced(*args)()

    def traced(self, *args: Any) -> Callable[[], Callable[..., Any]]:
        """Trace the function for arguments of these shapes if it is new; what comes back compiles it.

        Tracing holds Python's lock, compiling does not, so that one program is traced while another is compiled.
        """
        leaves, tree = jax.tree.flatten(args)
        shapes = (tree, tuple((np.shape(a), np.dtype(a.dtype), a.sharding) for a in leaves))
        with self._lock:
            found = self._compiled.get(shapes)
            if found is not None:
                return found.result  # which waits where another thread compiles it
            found = self._compiled[shapes] = concurrent.futures.Future()
        try:
            make = self._trace(args)
        except BaseException as error:
            self._fail(shapes, error)
            raise

        def compile() -> Callable[..., Any]:
            try:
                found.set_result(make())
            except BaseException as error:
                self._fail(shapes, error)
                raise
            return found.result()

        return compile

    def _trace(self, args: Sequence[Any]) -> Callable[[], Callable[..., Any]]:
        """What gives the executable: read from disk now, or to be compiled from what is traced now."""
        start = time.perf_counter()
        if stored := program_store.fetch(self._described, args):
            self.made.append(Made(self.name, True, 0.0, time.perf_counter() - start, True))
            return lambda: stored
        lowered = self._jitted.lower(*args)
        traced = time.perf_counter() - start

        def compile() -> Callable[..., Any]:
            start = time.perf_counter()
            made = program_store.compiled(self._described, lowered, args)
            seconds, kept = time.perf_counter() - start, program_store.stored(self._described, args)
            self.made.append(Made(self.name, False, traced, seconds, kept))
            return made

        return compile

    def _fail(self, shapes: Any, error: BaseException) -> None:
        """Tell who waits for a program that it failed; the next who asks tries again."""
        self._compiled.pop(shapes).set_exception(error)

    def is_stored(self, *shapes: Any) -> bool:
        """Whether the program for arguments of these shapes is on disk."""
        return program_store.stored(self._described, shapes)

    def equations(self, *shapes: Any) -> Any:
        """The function traced for arguments of these shapes, for counting what it holds; nothing is compiled."""
        return self._jitted.trace(*shapes).jaxpr.jaxpr

    def __call__(self, *args: Any) -> Any:
        """The function's result."""
        return self.compiled(*args)(*args)

    @property
    def count(self) -> int:
        """How many times it was compiled."""
        return len(self._compiled)


@dataclasses.dataclass(frozen=True)
class Programs:
    """The programs of a cohort and the layout of its members' state.

    Attributes:
        init: makes members from keys, settings, and what they start from.
        epoch: trains them for an epoch, or on its last window, then evaluates them.
        window: trains them on a window that is not its epoch's last.
        measure: what a member's next step would be; None where there is nothing to measure.
        state: layout of a member's state.
        best: layout of what is kept of its best epoch.
        kind: how its lanes run.
    """

    init: Program
    epoch: Program
    window: Program
    measure: Program | None
    state: Packer
    best: Packer
    kind: LaneKind

    def slot_shapes(self, lead: tuple[int, ...], mesh: Mesh) -> Slot:
        """The shapes of a block's slots, so that the epoch program can be compiled before there are members."""
        sharding = NamedSharding(mesh, self.kind.spec)

        def shape(aval: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((*lead, *aval.shape), aval.dtype, sharding=sharding)

        scalars = {name: shape(jax.ShapeDtypeStruct((), kind)) for name, (kind, _) in _SCALARS.items()}
        return {
            "state": [shape(a) for a in self.state.avals],
            "best": [shape(a) for a in self.best.avals],
            **scalars,
        }

    @property
    def member_bytes(self) -> int:
        """Bytes that one member takes on its device while it trains."""
        return self.state.nbytes + self.best.nbytes


@functools.lru_cache(maxsize=64)
def programs_for(functions: Functions, names: tuple[str, ...], kind: LaneKind, mesh: Mesh) -> Programs:
    """The programs of a cohort, shared by every study that asks for the same ones.

    Args:
        functions: the member's pure functions.
        names: names of the settings that each member has.
        kind: how its lanes run.
        mesh: the devices.

    Returns:
        The programs; nothing is compiled yet.
    """
    scalar = jax.ShapeDtypeStruct((), jnp.float32)
    settings = dict.fromkeys(names, scalar)
    sharded = functools.partial(_sharded, mesh)
    if kind.split > 1:
        functions, sharded = _share_batches(functions, mesh), functools.partial(_repeated, mesh)
    layout = Packer(eqx.filter_eval_shape(functions.init, abstract_key(), settings))
    if kind.width > 1 and layout.foreign_keys:
        raise UsageError(
            f"state: {layout.foreign_keys[0]} is no {KEY_KIND} key, and what it draws would depend on the member's "
            f"neighbors; use lane_width=1 or jax.random.key(seed, impl={KEY_KIND!r})"
        )
    best = Packer(eqx.filter_eval_shape(lambda leaves: functions.keep(layout.unpack(leaves)), layout.avals))
    init = sharded(functools.partial(_init_lanes, functions, layout, best, kind), "sss")
    trained = {
        name: sharded(functools.partial(_device_train, lane, functions, layout, best, kind), "sssssrrrr")
        for name, lane in (("epoch", _lane_epoch), ("window", _lane_window))
    }
    measure = None
    if functions.measure is not None:
        device = functools.partial(_device_measure, functions, layout, kind)
        measure = Program("measure", sharded(device, "sssssrr"))
    stores = functions.described and mesh.devices.flat[0].platform == "cpu"  # tried nowhere else
    described = f"{functions.described} {names} {kind}" if stores else ""
    epoch, window = (Program(n, run, (0,), described, functions.effort) for n, run in trained.items())
    return Programs(
        Program("init", init, (), described, effort=1), epoch, window, measure, layout, best, kind
    )


def _sharded(mesh: Mesh, function: Callable[..., Any], layout: str) -> Callable[..., Any]:
    """What each device does with its own part of the arguments marked "s"."""
    specs = tuple(SHARDED if letter == "s" else REPLICATED for letter in layout)
    return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=SHARDED, check_vma=False)


def _repeated(mesh: Mesh, function: Callable[..., Any], layout: str) -> Callable[..., Any]:
    """What all devices do together with arguments that each of them has."""
    del layout

    def run(*args: Any) -> Any:
        return jax.lax.with_sharding_constraint(function(*args), NamedSharding(mesh, REPLICATED))

    return run


def _share_batches(functions: Functions, mesh: Mesh) -> Functions:
    """The same functions, each device with its part of the rows that they are shown; XLA adds up what they share."""

    def part(rows: Any) -> Any:
        def place(array: Any) -> Any:
            even = array.shape[0] % mesh.size == 0
            return jax.lax.with_sharding_constraint(array, NamedSharding(mesh, SHARDED)) if even else array

        return jax.tree.map(place, rows)

    evaluate, measure = functions.evaluate, functions.measure
    return dataclasses.replace(
        functions,
        step=lambda state, batch, settings: functions.step(state, part(batch), settings),
        evaluate=evaluate and (lambda state, split: evaluate(state, part(split))),
        measure=measure and (lambda state, batch, settings: measure(state, part(batch), settings)),
        steps=None,
    )


def put(mesh: Mesh, array: Any, spec: PartitionSpec = SHARDED) -> jax.Array:
    """An array that every process has, on the devices: split along its first axis, or repeated on each."""
    sharding = NamedSharding(mesh, spec)
    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    return jax.make_array_from_callback(np.shape(array), sharding, lambda part: array[part])


def _per_member(kind: LaneKind, function: Callable[..., Any]) -> Callable[..., Any]:
    return function if kind.width == 1 else jax.vmap(function)


def _init_lanes(functions, layout, best, kind, seeds, settings, start) -> Slot:
    """New slots [lanes, (width,) ...] from uint32 seeds [lanes, width] and settings of that shape.

    `start` holds what each member starts from, [lanes, (width,) ...] as `best` lays it out; [] for a start anew.
    """

    def member(seed, numbers, kept) -> Slot:
        state = functions.init(jax.random.key(seed, impl=KEY_KIND), numbers)
        if kept:
            state = functions.restart(state, best.unpack(kept), numbers)
        return {
            "state": layout.pack(state),
            "best": best.pack(functions.keep(state)),
            **{name: jnp.asarray(first, kind) for name, (kind, first) in _SCALARS.items()},
        }

    return jax.lax.map(lambda args: _per_member(kind, member)(*args), (seeds, settings, start))


def _device_train(
    train,
    functions,
    layout,
    best,
    kind,
    slots,
    settings,
    fold,
    order,
    count,
    orders,
    examples,
    validation,
    now,
):
    """One call of the first `count` lanes of this device; the others come back as they were.

    `train` is what happens to a lane: `_lane_epoch` or `_lane_window`.

    Shapes: slots, settings, fold, order [lanes, (width,) ...]; count [1]; orders [orders, steps * batch];
    examples [folds or 1, rows, ...]; validation [folds, rows] or None; now the epoch's number, that of the
    call's first step, and the steps that it takes.
    """
    # Under an inlined jit the lane is traced once, though its shapes are asked for before it is run.
    traced = jax.jit(functools.partial(train, functions, layout, best, kind), inline=True)
    lane = functools.partial(traced, orders, examples, validation, now)
    blank = _blank(lambda *lanes: lane(*lanes)[1], slots, settings, fold, order)
    barrier = jax.lax.optimization_barrier

    def body(index, carry):
        slots, reports = carry
        # Barriers keep the compiler from fusing a lane with what surrounds it, which depends on how many lanes there
        # are: at little effort the last bits of its sums would come to depend on that too.
        slot, report = barrier(lane(*barrier(_read((slots, settings, fold, order), index))))
        return _write(slots, slot, index), _write(reports, report, index)

    return jax.lax.fori_loop(0, count[0], body, (slots, blank))


def _device_measure(functions, layout, kind, leaves, settings, fold, order, count, orders, examples):
    """What the members of the first `count` lanes would do in a step; shapes as in `_device_train`."""

    def member(leaves, settings, fold, order):
        batch = take(examples, fold, orders[order, : kind.batch])
        metrics = functions.measure(layout.unpack(leaves), batch, settings)
        return {name: jnp.asarray(value, jnp.float32) for name, value in metrics.items()}

    lane = _per_member(kind, member)
    lanes = (leaves, settings, fold, order)

    def body(index, reports):
        return _write(reports, lane(*_read(lanes, index)), index)

    return jax.lax.fori_loop(0, count[0], body, _blank(lane, *lanes))


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


def _lane_epoch(
    functions, layout, best, kind, orders, examples, validation, now, slot, settings, fold, order
):
    """One epoch of one lane: every step, the evaluation, what is kept, what is reported."""
    carried, train = _lane_steps(functions, layout, kind, orders, examples, now, slot, settings, fold, order)
    last = now[1] + now[2] - 1
    finish = functools.partial(_finish_epoch, functions, layout, best, examples, validation, now[0], last)
    return _per_member(kind, finish)(slot, *carried, train, settings, fold)


def _lane_window(
    functions, layout, best, kind, orders, examples, validation, now, slot, settings, fold, order
):
    """The steps of one lane on a window that is not its epoch's last."""
    del best, validation
    carried, train = _lane_steps(functions, layout, kind, orders, examples, now, slot, settings, fold, order)

    def finish(slot, leaves, diverged, last_loss):
        leaves, diverged, last_loss = _frozen(slot, leaves, diverged, last_loss, now[1] + now[2] - 1)
        return {**slot, "state": leaves, "diverged": diverged, "last_loss": last_loss}

    return _per_member(kind, finish)(slot, *carried), {"train": train}


def _lane_steps(functions, layout, kind, orders, examples, now, slot, settings, fold, order):
    """The steps of a call: what they carry (state, step of divergence, last loss), and the mean of what they tell."""
    each = functools.partial(_per_member, kind)
    if kind.fused:
        run = functools.partial(_fused_steps, functions, layout, kind, orders, examples, now)
        return each(run)(slot["state"], slot["diverged"], slot["last_loss"], settings, fold, order)
    rows = each(lambda index: orders[index].reshape(kind.steps, kind.batch))(order)
    rows = rows if kind.width == 1 else jnp.moveaxis(rows, 0, 1)

    def step(carry, inputs):
        return each(functools.partial(_watched_step, functions, layout, examples))(
            *carry, *inputs, settings, fold
        )

    def scanned(carry, inputs):
        number, batch_rows = inputs
        spread = number if kind.width == 1 else jnp.full((kind.width,), number)
        return step(carry, (spread, batch_rows))

    start = (slot["state"], slot["diverged"], slot["last_loss"])
    if kind.roomy:
        return _counted(lambda carry, i: scanned(carry, (now[1] + i, rows[i])), start, now[2])
    numbers = now[1] + jnp.arange(kind.steps, dtype=jnp.int32)
    carried, train = jax.lax.scan(scanned, start, (numbers, rows))
    return carried, jax.tree.map(lambda a: a.mean(0), train)


def _fused_steps(
    functions, layout, kind, orders, examples, now, leaves, diverged, last_loss, settings, fold, order
):
    """A member's steps of a call at once; the same of it is told as of single steps."""
    rows = orders[order].reshape(kind.steps, kind.batch)
    state, losses = functions.steps(layout.unpack(leaves), examples, fold, rows, now[2], settings)
    place = jnp.arange(kind.steps, dtype=jnp.int32)
    taken, finite = place < now[2], jnp.isfinite(losses)
    failed = jnp.where(taken & ~finite, place, kind.steps).min()
    healthy = diverged < 0
    last = jnp.where(taken & (place < failed), place, -1).max()
    last_loss = jnp.where(healthy & (last >= 0), losses[jnp.maximum(last, 0)], last_loss)
    diverged = jnp.where(healthy & (failed < kind.steps), now[1] + failed, diverged)
    mean = jnp.where(taken, losses, 0).sum() / now[2].astype(losses.dtype)
    return (layout.pack(state), diverged, last_loss), {"loss": mean}


def _counted(step, start, count):
    """What `count` steps, a number in the program, carry, and the mean of what they tell."""
    told = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(step, start, jnp.int32(0))[1])

    def body(index, both):
        carry, metrics = step(both[0], index)
        return carry, jax.tree.map(jnp.add, both[1], metrics)

    carried, sums = jax.lax.fori_loop(0, count, body, (start, told))
    return carried, jax.tree.map(lambda a: a / count.astype(a.dtype), sums)


def take(examples: Any, fold: Any, rows: Any) -> Any:
    """The examples of the given rows as a fold sees them; leaves are [folds or 1, rows, ...]."""
    return jax.tree.map(lambda a: a[jnp.minimum(fold, a.shape[0] - 1), rows], examples)


def _watched_step(functions, layout, examples, leaves, diverged, last_loss, number, rows, settings, fold):
    """A member's step, noting the first step whose loss is not finite and the last loss before it."""
    batch = take(examples, fold, rows)
    state, metrics = run_step(functions, layout.unpack(leaves), batch, settings)
    loss = metrics.get("loss", jnp.float32(0.0))
    finite = jnp.isfinite(loss)
    healthy = diverged < 0
    last_loss = jnp.where(healthy & finite, loss, last_loss)
    diverged = jnp.where(healthy & ~finite, number, diverged)
    return (layout.pack(state), diverged, last_loss), metrics


def _finish_epoch(
    functions,
    layout,
    best,
    examples,
    validation,
    epoch,
    last,
    slot,
    leaves,
    diverged,
    last_loss,
    train,
    settings,
    fold,
):
    """Evaluate a member, freeze it if it diverged, keep it if it is better than before."""
    leaves, diverged, last_loss = _frozen(slot, leaves, diverged, last_loss, last)
    healthy = (diverged < 0) & ~slot["stopped"]
    state = layout.unpack(leaves)
    metrics: dict[str, Any]
    if functions.evaluate is None:
        metrics, score = {}, _score(train, "loss", "step")
    else:
        metrics = functions.evaluate(state, take(examples, fold, validation[fold]))
        metrics = {name: jnp.asarray(value, jnp.float32) for name, value in metrics.items()}
        score = _score(metrics, functions.score, "evaluate")
    loss = metrics.get("loss", jnp.float32(0.0))
    watch = metrics[functions.watch] if functions.watch else -score if functions.rising else score
    tie = (watch == slot["best_watch"]) & (loss < slot["best_loss"])
    better = healthy & ((watch < slot["best_watch"]) | tie)
    if functions.after_epoch is not None:
        changed = layout.pack(functions.after_epoch(state, {**metrics, "score": score}, settings))
        leaves = [jnp.where(healthy, new, old) for new, old in zip(changed, leaves, strict=True)]
    kept = best.pack(functions.keep(state))
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
    watched = {name: new[name] for name in ("best_score", "best_loss", "best_epoch", "diverged", "last_loss")}
    return new, {"train": train, "validation": metrics, "score": score, **watched}


def _frozen(slot, leaves, diverged, last_loss, last):
    """State, step of divergence and last loss after a call, as they were before it where a member rests."""
    finite = functools.reduce(
        jnp.logical_and, [jnp.isfinite(a).all() for a in leaves if _is_float(a)], jnp.bool_(True)
    )
    diverged = jnp.where((diverged < 0) & ~finite, last, diverged)
    # A stopped member may wait in its lane until its place is worth freeing; nothing of it changes there.
    diverged = jnp.where(slot["stopped"], slot["diverged"], diverged)
    healthy = (diverged < 0) & ~slot["stopped"]
    # A frozen member goes back to the start of the call in which it failed; its moments would be poisoned.
    leaves = [jnp.where(healthy, new, old) for new, old in zip(leaves, slot["state"], strict=True)]
    return leaves, diverged, jnp.where(slot["stopped"], slot["last_loss"], last_loss)


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
