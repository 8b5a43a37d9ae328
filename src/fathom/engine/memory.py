"""What a study takes of memory, forecast from shapes before anything is compiled, and refused where it cannot fit."""

import contextlib
import ctypes
import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from ..errors import UsageError
from ..look import format_bytes
from .cohort import CohortSpec, block_lanes, lane_kind
from .feed import Feed, copied_bytes
from .lanes import power_of_two
from .liveness import count_equations, live_bytes
from .program import Programs, device_mesh, programs_for
from .work import REPLICATED

_SHARE = 0.8  # of the memory there is: the rest is for other processes, and for what a forecast cannot know
_TIGHT = 0.25  # of that: from here on it matters what a step holds
# Measured, see docs/planner.md: bytes that compiling holds for each equation of a cohort's program, where as many
# programs as that are compiled at a time; what each further one leaves behind; what choosing and the report take.
_EQUATION = 340e3 if jax.__version_info__ < (0, 11) else 250e3
_COMPILERS, _FURTHER, _REPORT = 2, 25e6, 230e6
_STORED = 0.15  # of that, for a program that is read from disk
_USUAL = 900  # equations of a program that nobody has counted
_CHOSEN = 25  # networks of an ensemble, at most
_MUCH = 1 << 26  # bytes of members: from there on it pays to give them back before the report is drawn
_UNKNOWN = 250e6  # of a process, where the system does not tell
_STATUS = Path("/proc/self/statm")
_CONTROL = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_PARTS = ("process", "programs", "rows", "members", "working", "copies")
_ADVICE = {
    "process": "give fewer rows or columns, or let the data stay on disk (stream=True)",
    "rows": "give fewer rows, columns or folds, or let the data stay on disk (stream=True)",
    "members": "train fewer members, a smaller width, or fewer seeds or folds",
    "working": "give a smaller batch_size",
}


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes that a study takes at its peak, part by part.

    Attributes:
        process: what the process holds when the plan is made: Python, JAX, the rows on the host.
        programs: while they are compiled, or read from disk.
        rows: examples, where the devices do not read the host's own; their orders, those of the next epoch too.
        members: their state and their best epoch's.
        working: what a step or an evaluation holds beside its members, on all devices; 0 if nobody counted.
        copies: members on the host while some are dropped or all are saved; choosing and the report, if they take more.
        block: members that train in one call.
        shared: whether the devices use the host's memory.
        away: whether members wait on the host while others train, because the devices cannot hold all.
    """

    process: int = 0
    programs: int = 0
    rows: int = 0
    members: int = 0
    working: int = 0
    copies: int = 0
    block: int = 0
    shared: bool = True
    away: bool = False

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(getattr(self, name) for name in _PARTS)

    @property
    def on_devices(self) -> int:
        """What devices with memory of their own must hold."""
        return self.rows + self.working + (self.block if self.away else self.members)

    @property
    def on_host(self) -> int:
        """What the host must hold beside such devices."""
        return self.process + self.programs + self.copies + (self.members if self.away else 0)

    def __str__(self) -> str:
        sizes = {name: getattr(self, name) for name in _PARTS}
        parts = ", ".join(f"{name} {format_bytes(size)}" for name, size in sizes.items() if size)
        return (
            f"{format_bytes(self.total)}: {parts}"
            + "; members wait on the host while others train" * self.away
        )


def forecast(
    specs: Sequence[CohortSpec], feed: Feed, devices: Sequence[Any], *, rungs: bool, kept: bool, counted: bool
) -> Memory:
    """What training some cohorts will take at its peak, on the devices and on the host.

    Nothing is compiled. Counting what a step holds means tracing it, about a third of a second a cohort.

    Args:
        specs: the cohorts.
        feed: their examples.
        devices: the devices.
        rungs: whether members are dropped on the way.
        kept: whether the run is saved in a folder, with a report.
        counted: whether to trace the programs and count what they hold.

    Returns:
        The forecast.
    """
    parts = [_part(spec, feed, devices, counted) for spec in specs]
    shared, many = devices[0].platform == "cpu", min(len(devices), jax.local_device_count())
    if not shared:
        placed = feed.nbytes * many
    else:
        placed = feed.nbytes if feed.windows is not None else copied_bytes(feed.examples) * many
    largest = sorted((part.equations for part in parts), reverse=True)
    members = sum(part.members for part in parts)
    working = many * max(part.working for part in parts)
    copies = _copies(parts, rungs, kept)
    if kept:  # by the time of the report many members are gone
        copies = max(copies, int(_REPORT) - (members if members > _MUCH else 0))
    return Memory(
        process=process_memory(),
        programs=int(_EQUATION * sum(largest[:_COMPILERS]) + _FURTHER * len(largest[_COMPILERS:])),
        rows=placed + (many + 1) * (2 if feed.windows is None else 1) * max(part.orders for part in parts),
        members=members,
        working=working,
        copies=copies,
        block=max(part.block for part in parts),
        shared=shared,
    )


@dataclasses.dataclass(frozen=True)
class _Part:
    """What one cohort takes.

    Attributes:
        spec: what it trains.
        programs: its programs.
        members: bytes of all places for members on this process's devices, those that stay empty too.
        block: bytes of those that one call trains.
        working: bytes that a device holds beside them.
        equations: of its program; a share of them if it is on disk.
        orders: bytes of the orders of its rows.
    """

    spec: CohortSpec
    programs: Programs
    members: int
    block: int
    working: int
    equations: float
    orders: int


def _part(spec: CohortSpec, feed: Feed, devices: Sequence[Any], counted: bool) -> _Part:
    mesh, split = device_mesh(tuple(devices)), len(devices) if spec.shared else 1
    kind = lane_kind(feed, spec.lane_width, spec.batch_size, spec.fused, split)
    programs = programs_for(spec.functions, tuple(spec.settings), kind, mesh)
    spread = mesh.size // split  # devices that have members of their own
    depth = block_lanes(len(spec.members), kind.width, spread)
    block = depth * kind.width * spread
    pairs = len(set(zip(spec.seeds.tolist(), spec.folds.tolist(), strict=True)))
    orders = (1 if feed.windows is not None else power_of_two(pairs), kind.steps * kind.batch)
    lead = (depth * spread, kind.width) if kind.width > 1 else (depth * spread,)
    shapes = _shapes(spec, feed, programs, mesh, lead, orders)
    working, equations, traced = 0, float(_USUAL), None
    if counted:
        traced = programs.epoch.equations(*shapes)
        held = depth * kind.width * programs.member_bytes  # which the trace counts among what it holds
        working, equations = max(0, live_bytes(traced) - held), float(count_equations(traced))
    if programs.epoch.is_stored(*shapes, traced=traced):
        equations *= _STORED
    blocks = -(-len(spec.members) // block)
    here = min(len(devices), jax.local_device_count())
    place = (
        programs.member_bytes * here // spread
    )  # of each place for a member, on the devices of this process
    held_at_once = block * place
    return _Part(
        spec, programs, blocks * held_at_once, held_at_once, working, equations, 4 * math.prod(orders)
    )


def _shapes(
    spec: CohortSpec,
    feed: Feed,
    programs: Programs,
    mesh: Any,
    lead: tuple[int, ...],
    orders: tuple[int, int],
) -> tuple[Any, ...]:
    """The arguments of a cohort's epoch program as shapes; see `Cohort._arguments`."""

    def shape(axes: Sequence[int], kind: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(tuple(axes), kind, sharding=NamedSharding(mesh, programs.kind.spec))

    def whole(axes: Sequence[int], kind: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(tuple(axes), kind, sharding=NamedSharding(mesh, REPLICATED))

    rows, judged = feed.rows_held, feed.validation
    examples = jax.tree.map(lambda a: whole((a.shape[0], rows, *a.shape[2:]), a.dtype), feed.examples)
    if judged is not None:
        judged = whole((1, judged.size) if feed.windows is not None else judged.shape, np.int32)
    settings = {name: shape(lead, np.float32) for name in spec.settings}
    number, count = shape(lead, np.int32), shape((mesh.size // programs.kind.split,), np.int32)
    slots = programs.slot_shapes(lead, mesh)
    return (
        slots,
        settings,
        number,
        number,
        count,
        whole(orders, np.int32),
        examples,
        judged,
        whole((3,), np.int32),
    )


def _copies(parts: Sequence[_Part], rungs: bool, kept: bool) -> int:
    """Bytes of members on the host: while all are saved, some of a cohort are dropped, or the last are chosen."""
    states = [len(part.spec.members) * part.programs.member_bytes for part in parts]
    if kept:
        return sum(states) + max(states)  # a file is put together in memory before it is written
    if rungs:
        return max(states)
    return max(part.programs.best.nbytes for part in parts) * min(
        _CHOSEN, sum(len(p.spec.members) for p in parts)
    )


def plan_memory(
    specs: Sequence[CohortSpec],
    feed: Feed,
    devices: Sequence[Any],
    *,
    rungs: bool = False,
    kept: bool = False,
    counted: bool = False,
) -> Memory:
    """The forecast of some cohorts, refused before anything is compiled where it cannot fit; arguments as `forecast`.

    Where accelerators cannot hold all members but the host can, members wait there while others train. What a step
    holds is counted in any case where much of the memory is needed.

    Raises:
        UsageError: saying how much is needed, how much there is, and what to change.
    """
    allowed = int(_SHARE * host_memory())
    held = int(_SHARE * device_memory(devices[0])) * min(len(devices), jax.local_device_count())
    memory = _placed(forecast(specs, feed, devices, rungs=rungs, kept=kept, counted=False), allowed, held)
    if counted or memory.total > _TIGHT * allowed or memory.on_devices > _TIGHT * held:
        memory = _placed(forecast(specs, feed, devices, rungs=rungs, kept=kept, counted=True), allowed, held)
    return memory


def _placed(memory: Memory, allowed: int, held: int) -> Memory:
    """A forecast with members where there is room for them: `allowed` bytes on the host, `held` on the devices."""
    if memory.shared:
        _refuse(memory, memory.total, allowed)
        return memory
    memory = dataclasses.replace(memory, away=memory.on_devices > held)
    _refuse(memory, memory.on_devices, held)
    _refuse(memory, memory.on_host, allowed)
    return memory


def _refuse(memory: Memory, needed: int, allowed: int) -> None:
    if needed <= allowed:
        return
    sizes = {name: getattr(memory, name) for name in ("rows", "members", "working", "process")}
    largest = max(sizes, key=lambda name: sizes[name] + (memory.copies if name == "members" else 0))
    raise UsageError(
        f"memory={format_bytes(needed)} is needed and {format_bytes(allowed)} is allowed ({memory}); "
        f"{_ADVICE[largest]}"
    )


def device_memory(device: Any) -> int:
    """Bytes of memory that a device may fill: its own limit, or the machine's where it shares that."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    return int(stats["bytes_limit"]) if stats and "bytes_limit" in stats else host_memory()


def host_memory() -> int:
    """Bytes of memory of this machine, or of the container where that has less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CONTROL:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            found.append(int(path.read_text()))
    return min(found)


def give_back(memory: Memory) -> None:
    """Give back to the system what many members held: the C library keeps small pieces and asks for more."""
    if memory.members > _MUCH:
        with contextlib.suppress(OSError, AttributeError):  # a C library that cannot be told to
            ctypes.CDLL(None).malloc_trim(0)


def process_memory() -> int:
    """Bytes of memory that this process holds now."""
    try:
        return int(_STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return int(_UNKNOWN)
