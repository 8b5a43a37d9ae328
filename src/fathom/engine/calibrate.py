"""The planner's rules measured again on the machine at hand: lane width and packing, over a ladder of network sizes."""

import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..errors import UsageError
from ..models import MLP
from ..optim import Recipe
from ..settings import names_of
from ..task import Task
from .checkpoint import write_whole
from .cohort import Cohort, CohortSpec, compile_all
from .device_feed import DeviceFeed
from .feed import Feed
from .lanes import Rules, rules_file
from .learner import LearnerSpec, functions_for, network_for

WIDTHS = (16, 32, 48, 64, 128)
_INPUTS, _CLASSES, _BATCH, _STEPS, _JUDGED, _MEMBERS = 64, 10, 32, 32, 64, 64
_TOGETHER = 8
_ALWAYS, _NEVER = 1 << 40, 0  # limits of `Packing.of` that pack every array, and none
_SMALL = Rules().packed[1]
_VECTOR_BELOW = 2 * Rules().packed[0]  # parameters: where one vector is measured; beyond, it has lost
_NOISE = 0.01  # of a mean over the sizes: rules must lose less by as much to be preferred to those that stand


@dataclasses.dataclass(frozen=True)
class Choice:
    """One way to train a cohort.

    Attributes:
        width: members in a lane.
        packed: how small arrays become one vector, as `Packing.of` takes it.
    """

    width: int
    packed: tuple[int, int]

    def __str__(self) -> str:
        layout = {_ALWAYS: "one vector", _NEVER: "small arrays packed"}[self.packed[0]]
        return f"{self.width} together, {layout}" if self.width > 1 else layout


#: The ways that are measured, the simplest first.
CHOICES = tuple(
    Choice(width, packed) for packed in ((_NEVER, _SMALL), (_ALWAYS, _SMALL)) for width in (1, _TOGETHER)
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one size of network took.

    Attributes:
        width: units in each of its two hidden layers.
        parameters: how many numbers it learns.
        seconds: of each round, for a step of one member, by choice; every device at work.
    """

    width: int
    parameters: int
    seconds: Mapping[Choice, Sequence[float]]

    def least(self, choice: Choice) -> float:
        """The least of the rounds: what the machine can do when nothing disturbs it."""
        return min(self.seconds[self.as_measured(choice)])

    def median(self, choice: Choice) -> float:
        """The median of the rounds."""
        return float(np.median(self.seconds[self.as_measured(choice)]))

    def as_measured(self, choice: Choice) -> Choice:
        """The choice itself; where it is the same program as the one with the other layout, that one."""
        return choice if choice in self.seconds else next(c for c in self.seconds if c.width == choice.width)

    @property
    def best(self) -> Choice:
        """The choice that took least."""
        return min(self.seconds, key=self.least)


def chosen(found: Rules, parameters: int) -> Choice:
    """What rules choose for a network of a size."""
    width = found.width if parameters * _BATCH <= found.together_up_to else 1
    return Choice(width, (_ALWAYS if parameters <= found.packed[0] else _NEVER, _SMALL))


def loss_of(found: Rules, measured: Measured) -> float:
    """The share of time that rules lose at a size to the best choice for it."""
    return measured.least(chosen(found, measured.parameters)) / measured.least(measured.best) - 1


def measure(
    seconds: float = 30.0, widths: Sequence[int] = WIDTHS, tell: Callable[[str], None] = lambda text: None
) -> list[Measured]:
    """Train 64-W-W-10 perceptrons of every size in every way, in turn, so that all meet the same disturbances.

    Args:
        seconds: how long to measure, compiling aside.
        widths: the sizes W.
        tell: is told what is being done.

    Returns:
        What each size took.

    Raises:
        UsageError: without a CPU device; on others the planner has nothing to choose by size.
    """
    devices = jax.local_devices()
    if devices[0].platform != "cpu":
        raise UsageError(f"platform={devices[0].platform!r} has no rules to calibrate; they are for CPUs")
    cohorts = {
        (width, choice): cohort for width in widths for choice, cohort in _cohorts(width, devices).items()
    }
    tell(f"compiling {len(cohorts)} programs")
    compile_all(list(cohorts.values()))
    tell(f"measuring for {seconds:.0f} s")
    taken: dict[Any, list[float]] = {key: [] for key in cohorts}
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(next(iter(taken.values()))) < 3:
        for key, cohort in cohorts.items():
            taken[key].append(cohort.probe(0.0) / _STEPS)
    sizes = {width: network_for(_learner(width, CHOICES[0])).parameters for width in widths}
    return [
        Measured(width, sizes[width], {choice: rounds for (w, choice), rounds in taken.items() if w == width})
        for width in widths
    ]


def fit(measured: Sequence[Measured]) -> Rules:
    """The rules that lose least over the sizes measured; those that stand, where others are no better beyond noise.

    Both thresholds are put half way, on a logarithmic scale, between two sizes; at the ends beyond them.
    """
    sizes = sorted(one.parameters for one in measured)
    between = [round(float(np.sqrt(a * b))) for a, b in itertools.pairwise(sizes)]
    places = [0, *between, 2 * sizes[-1]]
    vectors = [place for place in places if place <= _VECTOR_BELOW]

    def lost(found: Rules) -> float:
        return float(np.mean([loss_of(found, one) for one in measured]))

    stands = Rules()
    candidates = [
        Rules(first * _BATCH, _TOGETHER, (second, _SMALL)) for first in places for second in vectors
    ]
    best = min(candidates, key=lost)
    return best if lost(best) < lost(stands) - _NOISE else stands


def keep(measured: Sequence[Measured], found: Rules) -> None:
    """Keep rules, and what they were made from, where the next process finds them."""
    path = rules_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "width": one.width,
            "parameters": one.parameters,
            "seconds": {str(c): list(s) for c, s in one.seconds.items()},
        }
        for one in measured
    ]
    write_whole(path, json.dumps({"rules": dataclasses.asdict(found), "measured": rows}, indent=1))


def _learner(width: int, choice: Choice) -> LearnerSpec:
    task = Task.classification(_INPUTS, tuple(map(str, range(_CLASSES))))
    return LearnerSpec(MLP(width=width, depth=2), task, packed=choice.packed)


def _cohorts(width: int, devices: Sequence[Any]) -> dict[Choice, Cohort]:
    """A cohort for each choice; one for all choices that come to the same program."""
    random = np.random.default_rng(0)
    rows = _STEPS * _BATCH + _JUDGED
    data = {
        "x": random.normal(size=(rows, _INPUTS)).astype(np.float32),
        "y": random.integers(0, _CLASSES, rows).astype(np.int32),
        "weight": np.ones(rows, np.float32),
    }
    train, judged = ({k: v[part] for k, v in data.items()} for part in (slice(_JUDGED, None), slice(_JUDGED)))
    feed, made = DeviceFeed(Feed.of(train, judged), devices), {}
    networks = [network_for(_learner(width, choice)) for choice in CHOICES]
    same, large = len({n.packing for n in networks}) == 1, networks[0].parameters > _VECTOR_BELOW
    for choice in CHOICES:
        vector = choice.packed[0] == _ALWAYS
        if (vector and large) or (same and not vector):
            continue
        made[choice] = Cohort(_spec(_learner(width, choice), choice.width), feed, devices)
    return made


def _spec(learner: LearnerSpec, width: int) -> CohortSpec:
    """Members that differ in their learning rate."""
    names = [name for name in names_of(Recipe, "dynamic") if name != "patience"]
    settings = {name: np.full(_MEMBERS, getattr(Recipe(), name), np.float32) for name in names}
    settings |= {
        "learning_rate": np.geomspace(1e-4, 1e-2, _MEMBERS).astype(np.float32),
        "total_steps": np.full(_MEMBERS, 100 * _STEPS, np.float32),
        "target_scale": np.ones(_MEMBERS, np.float32),
    }
    nothing = np.zeros(_MEMBERS, np.int32)
    return CohortSpec(
        functions_for(learner),
        tuple(range(_MEMBERS)),
        settings,
        nothing.astype(np.uint32),
        nothing,
        100,
        _BATCH,
        width,
    )
