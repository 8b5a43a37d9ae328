"""A cohort in training: its members in lanes on the devices, one call an epoch, or one for each of its windows."""

import concurrent.futures
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..errors import UsageError
from . import hosts
from .device_feed import DeviceFeed
from .feed import Feed, epoch_order
from .functions import Functions
from .lanes import power_of_two
from .program import Made, Program, Programs, device_mesh, programs_for, put
from .work import REPLICATED, LaneKind

EMPTY = -1
_BLOCK = 16
_COMPILERS = 2  # programs that are compiled at a time


@dataclasses.dataclass(frozen=True)
class Start:
    """What members start from in place of first weights of their own.

    Attributes:
        networks: what `Functions.keep` kept of some networks.
        which: int [members], the network that each member starts from.
    """

    networks: tuple[Any, ...]
    which: np.ndarray


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
        start: what its members start from; None for first weights drawn from their seeds.
        fused: whether a call's steps are one call of native code.
        shared: whether the devices share each batch, in place of the members.
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
    start: Start | None = None
    fused: bool = False
    shared: bool = False


@dataclasses.dataclass(frozen=True)
class EpochReport:
    """What one epoch measured.

    Attributes:
        epoch: its number, from 0.
        members: numbers of the members that trained.
        values: [members] arrays: "score", "best_score", "best_epoch", "diverged", "last_loss".
        train: means over the epoch's steps, [members] for each metric.
        validation: [members] for each metric.
        measured: [members] for each number of `Functions.measure`, before the epoch; empty where not asked for.
    """

    epoch: int
    members: np.ndarray
    values: Mapping[str, np.ndarray]
    train: Mapping[str, np.ndarray]
    validation: Mapping[str, np.ndarray]
    measured: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Cohort:
    """The members of one cohort on the devices.

    The members are dealt to lanes, the lanes round the devices, and the lanes of all devices are grouped into
    blocks of one shape: one program call trains one block for an epoch, so that one program serves any number
    of members.

    Args:
        spec: what it trains.
        feed: the examples, shared with the study's other cohorts.
        devices: the devices to spread the members over.
        away: whether a block waits on the host while others train.
    """

    def __init__(self, spec: CohortSpec, feed: DeviceFeed, devices: Sequence[Any], away: bool = False):
        self.spec = spec
        self.feed = feed
        self._away = away
        self.mesh = device_mesh(tuple(devices))
        self.epoch = 0
        self.call = 0  # calls of the present epoch that are done
        self.sums: dict[str, np.ndarray] = {}  # over those calls, of what the members told while they trained
        split = self.mesh.size if spec.shared else 1
        self.kind = lane_kind(feed.host, spec.lane_width, spec.batch_size, spec.fused, split)
        self._spread = self.mesh.size // split  # devices that have lanes of their own
        self.programs: Programs = programs_for(spec.functions, tuple(spec.settings), self.kind, self.mesh)
        pairs = sorted(set(zip(spec.seeds.tolist(), spec.folds.tolist(), strict=True)))
        shared = feed.host.windows is not None  # a window has one order for all
        self._pairs = {pair: 0 if shared else index for index, pair in enumerate(pairs)}
        self._depth = block_lanes(len(spec.members), self.kind.width, self._spread)
        self._blocks: list[_Block] = []
        self._ahead: tuple[int, Any] | None = None  # a call, and the orders of its rows
        self._where = np.zeros(0, dtype=int)
        self._place(np.arange(len(spec.members)))

    def _place(self, members: np.ndarray) -> None:
        """Deal members (positions in the spec) to lanes; what is left of a lane copies the first member."""
        width, devices, depth = self.kind.width, self._spread, self._depth
        lanes = -(-len(members) // width)
        blocks = max(1, -(-lanes // (devices * depth)))
        dealt = np.full((blocks * depth * devices, width), EMPTY)
        dealt.reshape(-1)[: len(members)] = members
        # Lane i goes to device i % devices, so that the devices have the same to do.
        occupant = dealt.reshape(blocks, depth, devices, width).transpose(0, 2, 1, 3)
        self._where = occupant.reshape(-1)
        self._blocks = [self._block(part, int(members[0])) for part in occupant]

    def _block(self, occupant: np.ndarray, filler: int) -> "_Block":
        spec, put = self.spec, self._put
        filled = np.where(occupant == EMPTY, filler, occupant)
        index = filled.reshape(self._lead)
        pair = np.array(
            [self._pairs[int(spec.seeds[m]), int(spec.folds[m])] for m in filled.reshape(-1)], np.int32
        )
        settings = {name: put(values[index].astype(np.float32)) for name, values in spec.settings.items()}
        count = (occupant != EMPTY).any(-1).sum(-1).astype(np.int32)
        fold = put(spec.folds[index].astype(np.int32))
        return _Block(occupant, index, settings, fold, put(pair.reshape(self._lead)), put(count))

    def _put(self, array: np.ndarray) -> jax.Array:
        """An array of lanes on the devices that have them."""
        return put(self.mesh, array, self.kind.spec)

    @property
    def _lead(self) -> tuple[int, ...]:
        """Leading axes of a block's arrays: lanes of all devices, then members of a lane if more than one."""
        lanes = self._spread * self._depth
        return (lanes, self.kind.width) if self.kind.width > 1 else (lanes,)

    @property
    def started(self) -> bool:
        """Whether its members have been made."""
        return bool(self._blocks) and self._blocks[0].slots is not None

    @property
    def alive(self) -> np.ndarray:
        """Positions in the spec of the members still in a lane, in order."""
        return np.sort(self._where[self._where != EMPTY])

    def start(self) -> None:
        """Make every member from its seed and settings, and from the network that it starts from."""
        leaves = self._starts
        for block in self._blocks:
            block.slots = self._waiting(self.programs.init(*self._makes(block, leaves)))

    @property
    def _starts(self) -> list[np.ndarray]:
        """What is kept of the networks that members start from, each array [networks, ...]; none if they start anew."""
        if self.spec.start is None:
            return []
        packed = [self.programs.best.pack(network) for network in self.spec.start.networks]
        return [np.stack(same) for same in zip(*packed, strict=True)]

    def _makes(self, block: "_Block", leaves: Sequence[np.ndarray]) -> tuple[Any, ...]:
        """What the members of a block are made from."""
        start, seeds = self.spec.start, self._put(self.spec.seeds[block.index].astype(np.uint32))
        kept = [self._put(leaf[start.which[block.index]]) for leaf in leaves] if start else []
        return seeds, block.settings, kept

    def traced(self) -> Iterator[Callable[[], Any]]:
        """Trace each program in turn; what comes out compiles it. The one that takes longest is the first."""
        block = self._blocks[0]
        shapes = dataclasses.replace(block, slots=self.programs.slot_shapes(self._lead, self.mesh))
        arguments = self._arguments(shapes, *self._orders())
        for program in self._trainers:
            yield program.traced(*arguments)
        if not self.started:
            yield self.programs.init.traced(*self._makes(block, self._starts))

    @property
    def _trainers(self) -> tuple[Program, ...]:
        """The programs that train: the epoch's, and the windows' where an epoch has several."""
        programs = self.programs
        return (programs.epoch,) if self.feed.host.calls == 1 else (programs.epoch, programs.window)

    @property
    def made(self) -> list[Made]:
        """How each program that has been made came to be."""
        return [made for program in (self.programs.init, *self._trainers) for made in program.made]

    @property
    def number(self) -> int:
        """The number of its next call, over all epochs."""
        return self.epoch * self.feed.host.calls + self.call

    @property
    def last_call(self) -> bool:
        """Whether its next call ends an epoch."""
        return self.call + 1 == self.feed.host.calls

    def _arguments(self, block: "_Block", orders: Any, now: Any) -> tuple[Any, ...]:
        slots = jax.tree.map(self._put, block.slots) if self._away else block.slots
        per_slot = (slots, block.settings, block.fold, block.order, block.count)
        return (*per_slot, orders, self.feed.examples, self.feed.validation, now)

    def _waiting(self, slots: dict[str, Any]) -> dict[str, Any]:
        """A block's slots where they wait for its next call: on the devices, or on the host."""
        if not self._away:
            return slots
        leaves, tree = jax.tree.flatten(slots)
        return jax.tree.unflatten(tree, hosts.drain(leaves))

    def _orders(self, ahead: int = 0) -> tuple[Any, Any]:
        """The order of the rows for each (seed, fold) still needed, and where the run is, on the devices.

        `ahead` is how many calls from the next one; several windows are not read ahead.
        """
        number, epoch = self.number + ahead, self.epoch + ahead
        if self._ahead is not None and self._ahead[0] == number:
            return self._ahead[1]
        length = self.kind.steps * self.kind.batch
        spec, host = self.spec, self.feed.host
        steps = host.call_steps(spec.batch_size)
        filled = steps * self.kind.batch  # where there is room for more, the rest is never read
        if host.windows is not None:
            orders = host.windows.order(number, length)[None]
        else:
            # A power of two, so that a study of a few seeds more or fewer runs the same program.
            orders = np.zeros((power_of_two(len(self._pairs)), length), dtype=np.int32)
            needed = {(int(spec.seeds[m]), int(spec.folds[m])) for m in self.alive}
            for seed, fold in needed:
                orders[self._pairs[seed, fold], :filled] = epoch_order(host, seed, fold, epoch, filled)
        now = np.array([epoch, number * steps, steps], np.int32)
        return put(self.mesh, orders, REPLICATED), put(self.mesh, now, REPLICATED)

    def advance(self) -> EpochReport | None:
        """Train every member still alive on what the devices hold; a report where that ends an epoch."""
        if not self.started:
            self.start()
        orders, now = self._orders()
        program = self.programs.epoch if self.last_call else self.programs.window
        reports = []
        for block in self._blocks:
            slots, report = program(*self._arguments(block, orders, now))
            block.slots = self._waiting(slots)
            reports.append(report)
        if self.feed.host.windows is None and self.epoch + 1 < self.spec.epochs:  # while the devices work
            self._ahead = (self.number + 1, self._orders(ahead=1))
        # Fetched once all are under way, so that no device waits for another between two blocks.
        joined = self._by_member(hosts.fetch(reports))
        train = {name: value + self.sums.get(name, 0) for name, value in joined.pop("train").items()}
        if not self.last_call:
            self.call, self.sums = self.call + 1, train
            return None
        train = {name: value / np.float32(self.feed.host.calls) for name, value in train.items()}
        validation = joined.pop("validation")
        numbers = np.array(self.spec.members)[self._where[self._filled()]]
        self.epoch, self.call, self.sums = self.epoch + 1, 0, {}
        return EpochReport(self.epoch - 1, numbers, joined, train, validation)

    def measure(self) -> dict[str, np.ndarray]:
        """What the living members' next step would be, [members] for each number; changes nothing."""
        if self.programs.measure is None or not len(self.alive):
            return {}
        orders, _ = self._orders()
        reports = []
        for block in self._blocks:
            slots = (block.slots or {})["state"]
            found = self.programs.measure(
                slots, block.settings, block.fold, block.order, block.count, orders, self.feed.examples
            )
            reports.append(found)
        return self._by_member(hosts.fetch(reports))

    def _by_member(self, reports: Sequence[Any]) -> Any:
        """What every block reported, [members] in order."""
        filled = self._filled()
        return jax.tree.map(lambda *parts: np.concatenate([p.reshape(-1) for p in parts])[filled], *reports)

    def probe(self, seconds: float = 0.2) -> float:
        """Seconds that an epoch takes for each member: the median of epochs of copies that are thrown away.

        Args:
            seconds: how long to measure; at least two epochs are, the first of which warms up and does not count.
        """
        members = int((self._blocks[0].occupant != EMPTY).sum())
        epoch, *window = (self._time(program, seconds) for program in self._trainers)
        return (epoch + sum(window) * (self.feed.host.calls - 1)) / members

    def _time(self, program: Program, seconds: float) -> float:
        """Seconds that a call on copies of a block takes."""
        block, (orders, now) = self._blocks[0], self._orders()
        slots, taken = jax.tree.map(lambda a: a.copy(), block.slots), []
        while len(taken) < 2 or sum(taken) < seconds:
            start = time.perf_counter()
            copied = dataclasses.replace(block, slots=slots)
            slots, report = program(*self._arguments(copied, orders, now))
            jax.block_until_ready(report)
            taken.append(time.perf_counter() - start)
        return float(np.median(taken[1:]))

    def _filled(self) -> np.ndarray:
        """The places that hold a member, in the order of their members."""
        filled = np.flatnonzero(self._where != EMPTY)
        return filled[np.argsort(self._where[filled])]

    def stop(self, positions: np.ndarray) -> None:
        """Let members rest in their lanes: nothing of them changes from now on."""
        for block in self._blocks:
            assert block.slots is not None
            stopped = np.isin(block.occupant.reshape(-1), positions).reshape(self._lead)
            if stopped.any():
                before = hosts.fetch(block.slots["stopped"])
                now = before | stopped
                block.slots = {**block.slots, "stopped": now if self._away else self._put(now)}

    def keep(self, positions: np.ndarray) -> None:
        """Drop every member but these and pack the rest into as few lanes as they need."""
        if len(positions) == 0:
            self.empty(self.epoch)
            return
        slots, held = self.member_slots(wanted=np.asarray(positions))
        self.load_slots(slots, held, np.asarray(positions), self.epoch)

    def empty(self, epoch: int) -> None:
        """Leave no member in a lane, after `epoch` epochs."""
        self._blocks, self._where, self.epoch, self._ahead = [], np.zeros(0, dtype=int), epoch, None

    def member_slots(
        self, *names: str, wanted: np.ndarray | None = None
    ) -> tuple[dict[str, Any], np.ndarray]:
        """The state of the members in lanes, on the host, [members, ...], and their positions, both in order.

        Args:
            names: the entries of the slots that are wanted; none for all.
            wanted: positions of the members that are wanted; None for all.
        """
        filled, lead = self._filled(), len(self._lead)
        if wanted is not None:
            filled = filled[np.isin(self._where[filled], wanted)]
        slots = [{name: (b.slots or {})[name] for name in names or (b.slots or {})} for b in self._blocks]
        leaves, (tree, *_) = zip(*map(jax.tree.flatten, slots), strict=True)

        def joined(parts: Sequence[Any]) -> np.ndarray:
            whole = [a.reshape(-1, *a.shape[lead:]) for a in hosts.drain(parts)]
            return np.concatenate(whole)[filled]

        # One array after another, so that only one of them is on the host twice.
        return jax.tree.unflatten(tree, map(joined, zip(*leaves, strict=True))), self._where[filled]

    def load_slots(self, slots: Mapping[str, Any], held: np.ndarray, wanted: np.ndarray, epoch: int) -> None:
        """Go on from saved state.

        Args:
            slots: state [members, ...], as `member_slots` gives it.
            held: positions of its members.
            wanted: positions of the members to put into lanes.
            epoch: epochs that they have trained.
        """
        self._place(wanted)
        source = np.full(len(self.spec.members), EMPTY)
        source[held] = np.arange(len(held))
        for block in self._blocks:
            gather = source[block.index]
            mine = jax.tree.map(lambda a, g=gather: a[g], dict(slots))
            block.slots = mine if self._away else jax.tree.map(self._put, mine)
        self.epoch = epoch


@dataclasses.dataclass
class _Block:
    """Lanes of every device that one call trains; arrays lead with the axes of `Cohort._lead`.

    Attributes:
        occupant: [devices, lanes, width] positions of the members, EMPTY where there is none.
        index: the same with every place filled, leading axes as above.
        settings: float32 for each setting.
        fold: int32.
        order: int32, which order of the rows each member reads.
        count: int32 [devices], lanes in use.
        slots: the members' state; None before `start`.
    """

    occupant: np.ndarray
    index: np.ndarray
    settings: dict[str, Any]
    fold: Any
    order: Any
    count: Any
    slots: dict[str, Any] | None = None


def compile_all(cohorts: Sequence[Cohort]) -> None:
    """Make every program and every member of some cohorts ready.

    All is traced in this thread, under what JAX is told in it (its context managers are a thread's own), and meanwhile
    compiled in others, two programs at a time.
    """
    with concurrent.futures.ThreadPoolExecutor(_COMPILERS) as pool:
        for made in [pool.submit(compile) for cohort in cohorts for compile in cohort.traced()]:
            made.result()
    for cohort in cohorts:
        if not cohort.started:
            cohort.start()


def lane_kind(feed: Feed, width: int, batch_size: int, fused: bool = False, split: int = 1) -> LaneKind:
    """How lanes of a width run on a feed.

    Raises:
        UsageError: if a batch cannot be split over so many devices.
    """
    rows = feed.batch_rows(batch_size)
    if rows % split:
        raise UsageError(
            f"batch_size={rows} cannot be shared by {split} devices; give a multiple of {split}, or do not share it"
        )
    return LaneKind(width, feed.most_steps(batch_size), rows, feed.room > 0, fused, split)


def block_lanes(members: int, width: int, devices: int) -> int:
    """Lanes that one call trains on each device: a power of two, at most 16.

    Example:
        >>> block_lanes(3, 1, 2), block_lanes(1000, 1, 2)
        (2, 16)
    """
    lanes = -(-members // (width * devices))
    return min(_BLOCK, power_of_two(lanes))
