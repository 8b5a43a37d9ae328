"""A cohort in training: its members in lanes on the devices, one call an epoch."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .feed import Feed, epoch_order
from .functions import Functions
from .program import REPLICATED, LaneKind, Programs, device_mesh, programs_for, put

EMPTY = -1


@dataclasses.dataclass(frozen=True)
class CohortSpec:
    """What a cohort trains.

    Attributes:
        functions: the member's pure functions.
        members: the study's numbers for its members.
        settings: float32 [members] for each dynamic setting.
        seeds: uint32 [members]; draws the initial weights and the order of the data.
        folds: int32 [members].
        epochs: how many epochs a member trains that is never dropped.
        batch_size: examples in a batch.
        lane_width: members that one device advances together.
        label: what the plan calls it.
    """

    functions: Functions
    members: tuple[int, ...]
    settings: Mapping[str, np.ndarray]
    seeds: np.ndarray
    folds: np.ndarray
    epochs: int
    batch_size: int
    lane_width: int
    label: str = ""


@dataclasses.dataclass(frozen=True)
class EpochReport:
    """What one epoch measured.

    Attributes:
        epoch: its number, from 0.
        members: numbers of the members that trained.
        values: [members] arrays: "score", "best_score", "best_epoch", "diverged", "last_loss".
        train: means over the epoch's steps, [members] for each metric.
        validation: [members] for each metric.
    """

    epoch: int
    members: np.ndarray
    values: Mapping[str, np.ndarray]
    train: Mapping[str, np.ndarray]
    validation: Mapping[str, np.ndarray]


class Cohort:
    """The members of one cohort on the devices.

    Args:
        spec: what it trains.
        feed: the examples, shared with the study's other cohorts.
        devices: the devices to spread the members over.
    """

    def __init__(self, spec: CohortSpec, feed: "DeviceFeed", devices: Sequence[jax.Device]):
        self.spec = spec
        self.feed = feed
        self.mesh = device_mesh(tuple(devices))
        self.epoch = 0
        host = feed.host
        self.kind = LaneKind(spec.lane_width, host.steps(spec.batch_size), host.batch_rows(spec.batch_size))
        self.programs: Programs = programs_for(spec.functions, tuple(spec.settings), self.kind, self.mesh)
        pairs = sorted(set(zip(spec.seeds.tolist(), spec.folds.tolist(), strict=True)))
        self._pairs = {pair: index for index, pair in enumerate(pairs)}
        self._place(np.arange(len(spec.members)), self._capacity(len(spec.members)))
        self._slots: dict[str, Any] | None = None

    def _capacity(self, members: int) -> int:
        """Lanes on each device: a power of two, so that studies of about one size share a program."""
        lanes = -(-members // self.kind.width)
        return 1 << max(0, -(-lanes // self.mesh.size) - 1).bit_length()

    def _place(self, members: np.ndarray, capacity: int) -> None:
        """Deal members (positions in the spec) to lanes, round the devices; empty places copy a neighbor."""
        width, devices = self.kind.width, self.mesh.size
        lanes = -(-len(members) // width)
        dealt = np.full(lanes * width, EMPTY)
        dealt[: len(members)] = members
        self._occupant = np.full((devices, capacity, width), EMPTY)
        for lane, group in enumerate(dealt.reshape(lanes, width)):
            self._occupant[lane % devices, lane // devices] = group
        self._lanes = np.array([len(range(d, lanes, devices)) for d in range(devices)], dtype=np.int32)
        filled = np.where(self._occupant == EMPTY, members[0], self._occupant)
        shape = (devices * capacity, width) if width > 1 else (devices * capacity,)
        self._index = filled.reshape(shape)
        spec = self.spec
        self._settings = {
            name: put(self.mesh, values[self._index].astype(np.float32)) for name, values in spec.settings.items()
        }
        self._fold = put(self.mesh, spec.folds[self._index].astype(np.int32))
        pair = [self._pairs[key] for key in zip(spec.seeds.tolist(), spec.folds.tolist(), strict=True)]
        self._order = put(self.mesh, np.array(pair, dtype=np.int32)[self._index])
        self._count = put(self.mesh, self._lanes)

    @property
    def alive(self) -> np.ndarray:
        """Positions in the spec of the members still in a lane, in order."""
        return np.sort(self._occupant[self._occupant != EMPTY])

    def start(self) -> None:
        """Make every member from its seed and settings."""
        seeds = put(self.mesh, self.spec.seeds[self._index].astype(np.uint32))
        self._slots = self.programs.init(seeds, self._settings)

    def compile(self) -> float:
        """Make both programs ready; the seconds it took (0 where they were ready)."""
        before = self.programs.init.seconds + self.programs.epoch.seconds
        if self._slots is None:
            self.start()
        self.programs.epoch.compiled(*self._arguments())
        return self.programs.init.seconds + self.programs.epoch.seconds - before

    def _arguments(self) -> tuple[Any, ...]:
        orders = put(self.mesh, self._orders(self.epoch), REPLICATED)
        epoch = put(self.mesh, np.int32(self.epoch), REPLICATED)
        per_slot = (self._slots, self._settings, self._fold, self._order, self._count)
        return (*per_slot, orders, self.feed.examples, self.feed.validation, epoch)

    def _orders(self, epoch: int) -> np.ndarray:
        length = self.kind.steps * self.kind.batch
        orders = np.zeros((len(self._pairs), length), dtype=np.int32)
        spec, alive = self.spec, self.alive
        needed = {(int(spec.seeds[m]), int(spec.folds[m])) for m in alive}
        for seed, fold in needed:
            rows = self.feed.host.train[fold]
            orders[self._pairs[seed, fold]] = epoch_order(seed, fold, epoch, rows, length)
        return orders

    def advance(self) -> EpochReport:
        """Train every member still alive for one epoch."""
        if self._slots is None:
            self.start()
        self._slots, report = self.programs.epoch(*self._arguments())
        report = jax.device_get(report)
        where = self._occupant.reshape(-1)
        members = np.flatnonzero(where != EMPTY)
        members = members[np.argsort(where[members])]
        flat = jax.tree.map(lambda a: np.asarray(a).reshape(-1)[members], report)
        train, validation = flat.pop("train"), flat.pop("validation")
        numbers = np.array(self.spec.members)[where[members]]
        self.epoch += 1
        return EpochReport(self.epoch - 1, numbers, flat, train, validation)

    def keep(self, positions: np.ndarray) -> None:
        """Drop every member but these and pack the rest into as few lanes as they need."""
        slots = self.host_slots()
        source = {int(member): index for index, member in enumerate(self._occupant.reshape(-1)) if member != EMPTY}
        capacity = self._occupant.shape[1]
        if len(positions) == 0:
            self._occupant[:] = EMPTY
            self._lanes = np.zeros_like(self._lanes)
            self._count = put(self.mesh, self._lanes)
            return
        self._place(np.asarray(positions), capacity)
        gather = np.array([source[int(member)] for member in self._index.reshape(-1)])
        shape = self._index.shape
        self._slots = jax.tree.map(lambda a: put(self.mesh, a[gather].reshape(shape + a.shape[1:])), slots)

    def host_slots(self) -> dict[str, Any]:
        """The state of every place on the host, the lane axes joined into one."""
        lead = self._index.ndim
        return jax.tree.map(lambda a: np.asarray(a).reshape(-1, *a.shape[lead:]), self._slots)

    def load_slots(self, slots: Mapping[str, Any], positions: np.ndarray, epoch: int) -> None:
        """Go on from what `member_slots` gave: slots [members] for members at `positions`, after `epoch` epochs."""
        self._place(np.asarray(positions), self._occupant.shape[1])
        source = {int(member): index for index, member in enumerate(positions)}
        gather = np.array([source[int(member)] for member in self._index.reshape(-1)])
        shape = self._index.shape
        self._slots = jax.tree.map(lambda a: put(self.mesh, a[gather].reshape(shape + a.shape[1:])), dict(slots))
        self.epoch = epoch

    def member_slots(self) -> tuple[dict[str, Any], np.ndarray]:
        """The state of the living members on the host, and their positions, both in order."""
        where = self._occupant.reshape(-1)
        filled = np.flatnonzero(where != EMPTY)
        filled = filled[np.argsort(where[filled])]
        return jax.tree.map(lambda a: a[filled], self.host_slots()), where[filled]


class DeviceFeed:
    """A feed's arrays on every device.

    Args:
        feed: the feed.
        devices: the devices.
    """

    def __init__(self, feed: Feed, devices: Sequence[jax.Device]):
        mesh = device_mesh(tuple(devices))
        self.host = feed
        self.examples = jax.tree.map(lambda a: put(mesh, np.asarray(a), REPLICATED), feed.examples)
        validation = feed.validation
        self.validation = None if validation is None else put(mesh, validation.astype(np.int32), REPLICATED)
