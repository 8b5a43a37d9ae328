"""The compiled programs of a cohort: one that makes members, one that trains them for an epoch.

Where an epoch is read in windows, a third program trains on each window but the epoch's last. What each device does
in them is in `work.py`.
"""

import concurrent.futures
import dataclasses
import functools
import os
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .. import native
from ..errors import UsageError
from ..nn.conv import in_native_code
from ..optim.parts import rows_shared_by
from ..process import usable_cores
from . import hosts, program_store
from .functions import JOINED, KEY_KIND, Functions, Packer, abstract_key
from .liveness import batched_lapack, fingerprint
from .work import REPLICATED, SCALARS, SHARDED, LaneKind, Slot, Work

MOST_EFFORT = 3  # of LLVM: XLA's own choice
#: Numbers in a member's state (100,000 parameters and their moments): below, a run is so short that making its programs
#: sooner is worth up to 5 % of its speed.
_SHORT = 300_000


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
        effort: how hard LLVM tries on a CPU, 0 to 3; at 1 programs are made in two thirds of the time.
        noted: whether it is noted on disk that the function was compiled, where nothing describes it, for `is_stored`.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        donate: tuple[int, ...] = (),
        described: str = "",
        effort: int = MOST_EFFORT,
        noted: bool = False,
    ):
        self.name = name
        self.effort = effort
        self._noted = noted and not described
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
        function = self._jitted.trace(*args)
        if not self._described:
            _warn_of_waiting(self.name, function.jaxpr.jaxpr)
        lowered = function.lower()
        traced = time.perf_counter() - start

        def compile() -> Callable[..., Any]:
            start = time.perf_counter()
            made = program_store.compiled(self._described, lowered, args)
            seconds, kept = time.perf_counter() - start, program_store.stored(self._described, args)
            if self._noted:
                program_store.note(_known(function.jaxpr.jaxpr), args)
            self.made.append(Made(self.name, False, traced, seconds, kept))
            return made

        return compile

    def _fail(self, shapes: Any, error: BaseException) -> None:
        """Tell who waits for a program that it failed; the next who asks tries again."""
        self._compiled.pop(shapes).set_exception(error)

    def is_stored(self, *shapes: Any, traced: Any = None) -> bool:
        """Whether the program for arguments of these shapes is on disk.

        Whether JAX's cache has that of a user's function can only be guessed: if the same equations were compiled
        before, which takes what `equations` gave.
        """
        described = _known(traced) if self._noted and traced is not None else self._described
        return program_store.stored(described, shapes)

    def equations(self, *shapes: Any) -> Any:
        """The function traced for arguments of these shapes, for counting what it holds; nothing is compiled."""
        return self._jitted.trace(*shapes).jaxpr.jaxpr

    def __call__(self, *args: Any) -> Any:
        """The function's result."""
        return self.compiled(*args)(*args)

    @property
    def count(self) -> int:
        """How many times it was compiled."""
        return len(self.made)


def _warn_of_waiting(name: str, jaxpr: Any) -> None:
    """Say so if a user's function may wait for ever.

    For several matrices at once jaxlib's LAPACK calls take threads of XLA's pool and wait for them; the pool has a
    thread for each core, and every device waits on one of them.
    """
    threads, devices = int(os.environ.get("NPROC") or usable_cores()), jax.local_device_count()
    if jax.default_backend() != "cpu" or not 1 < devices >= threads:
        return
    if asked := batched_lapack(jaxpr):
        warnings.warn(
            f"{name}: {asked} of several matrices at once can wait for ever where {devices} CPU devices share "
            f"{threads} threads; set the environment variable NPROC={devices + 1} before Python starts, or take one "
            "matrix after another with jax.lax.map",
            RuntimeWarning,
            stacklevel=2,
        )


def _known(jaxpr: Any) -> str:
    """The words under which it is noted that a user's function was compiled."""
    return f"compiled by JAX {fingerprint(jaxpr)}"


@dataclasses.dataclass(frozen=True)
class Programs:
    """The programs of a cohort and the layout of its members' state.

    Attributes:
        init: makes members from keys, settings, and what they start from.
        epoch: trains them for an epoch, or on its last window, then evaluates them.
        window: trains them on a window that is not its epoch's last.
        measure: what a member's next step would be; None where there is nothing to measure.
        state: layout of a member's state between calls.
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

        scalars = {name: shape(jax.ShapeDtypeStruct((), kind)) for name, (kind, _) in SCALARS.items()}
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
    elif hosts.alone() or hosts.everywhere(native.ready(native.CONVOLUTION)):
        functions = _within(functions, lambda: in_native_code(True))
    state = eqx.filter_eval_shape(functions.init, abstract_key(), settings)
    layout = Packer(state, JOINED)
    if kind.width > 1 and layout.foreign_keys:
        raise UsageError(
            f"state: {layout.foreign_keys[0]} is no {KEY_KIND} key, and what it draws would depend on the member's "
            f"neighbors; use lane_width=1 or jax.random.key(seed, impl={KEY_KIND!r})"
        )
    kept = eqx.filter_eval_shape(lambda leaves: functions.keep(layout.unpack(leaves)), layout.avals)
    best = Packer(kept, JOINED)
    work = Work(functions, layout, Packer(state), best, kind)
    trained = {
        name: sharded(functools.partial(work.train, ends), "sssssrrrr")
        for name, ends in (("epoch", True), ("window", False))
    }
    measure = None
    if functions.measure is not None:
        measure = Program("measure", sharded(work.measure, "sssssrr"))
    stores = functions.described and mesh.devices.flat[0].platform == "cpu"  # tried nowhere else
    described = f"{functions.described} {names} {kind}" if stores else ""
    effort = 1 if layout.numbers < _SHORT else MOST_EFFORT
    epoch, window = (
        Program(n, run, (0,), described, effort, noted=n == "epoch") for n, run in trained.items()
    )
    return Programs(
        Program("init", sharded(work.make, "sss"), (), described, effort=1),
        epoch,
        window,
        measure,
        layout,
        best,
        kind,
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

    def shared(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda state, rows, *settings: function(state, part(rows), *settings)

    divided = dataclasses.replace(functions, **{name: shared(f) for name, f in _on_rows(functions).items()})
    return _within(dataclasses.replace(divided, steps=None), lambda: rows_shared_by(mesh))


def _within(functions: Functions, context: Callable[[], AbstractContextManager[Any]]) -> Functions:
    """The same functions, traced in a context."""

    def inside(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            with context():
                return function(*args)

        return run

    return dataclasses.replace(functions, **{name: inside(f) for name, f in _on_rows(functions).items()})


def _on_rows(functions: Functions) -> dict[str, Callable[..., Any]]:
    """Those of a member's functions that are shown rows, one step's or all: ``f(state, rows, ...)``."""
    found = {name: getattr(functions, name) for name in ("step", "evaluate", "measure")}
    return {name: function for name, function in found.items() if function is not None}


def put(mesh: Mesh, array: Any, spec: PartitionSpec = SHARDED) -> jax.Array:
    """An array that every process has, on the devices: split along its first axis, or repeated on each."""
    sharding = NamedSharding(mesh, spec)
    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    return jax.make_array_from_callback(np.shape(array), sharding, lambda part: array[part])
