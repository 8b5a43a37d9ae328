"""What is known of each value of a graph: its numbers, and those of its δ."""

import dataclasses
import math
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...errors import UsageError
from ...look import format_count, format_number, format_share, format_uncertain
from ..backward import BackwardPass
from ..graph import Graph
from ..nodes import Node, Value
from ..record import Arrays
from ..reverse import Backward
from ..run import Env, Forward
from .item import Item

#: Arrays of at most this many entries are kept whole; larger ones as statistics and a histogram.
MOST_ENTRIES, BINS = 32, 24
#: Beyond so many bytes of values, statistics are taken inside of the compiled program and nothing else is kept.
MOST_BYTES = 1_000_000_000
_QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@dataclasses.dataclass(frozen=True)
class Measure:
    """The numbers of one array.

    Attributes:
        mean: of the finite entries, as are the next three.
        spread: their standard deviation.
        smallest: the smallest.
        largest: the largest.
        norm: the Euclidean norm.
        zeros: the share of zeros.
        nonfinite: how many entries are NaN or infinite.
        nans: how many of these are NaN; all, where nobody looked.
        size: how many entries.
        kind: "float", "int" or "bool".
        shape: the shape, steps of loops first.
        entries: all of them, where they are few.
        histogram: how many finite entries are in each of equal parts from smallest to largest.
    """

    mean: float
    spread: float
    smallest: float
    largest: float
    norm: float
    zeros: float
    nonfinite: int
    nans: int
    size: int
    kind: str = "float"
    shape: tuple[int, ...] = ()
    entries: tuple[float, ...] | None = None
    histogram: tuple[int, ...] | None = None

    @classmethod
    def of(cls, array: Any) -> "Measure | None":
        """The numbers of an array; None for a random key and an empty array."""
        if not hasattr(array, "dtype") or jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            return None
        whole = np.asarray(array)
        kind = {"b": "bool", "i": "int", "u": "int"}.get(whole.dtype.kind, "float")
        flat = np.abs(whole) if whole.dtype.kind == "c" else whole
        flat = flat.astype(np.float64).reshape(-1)
        if flat.size == 0:
            return None
        is_finite = np.isfinite(flat)
        kept = flat[is_finite] if not is_finite.all() else flat
        few = flat.size <= MOST_ENTRIES
        histogram = None
        if not few and kept.size and kept.min() < kept.max():
            histogram = tuple(int(n) for n in np.histogram(kept, BINS)[0])
        some = kept if kept.size else np.full(1, math.nan)
        return cls(
            mean=float(some.mean()),
            spread=float(some.std()),
            smallest=float(some.min()),
            largest=float(some.max()),
            norm=float(np.linalg.norm(some)),
            zeros=float((flat == 0).mean()),
            nonfinite=int(flat.size - is_finite.sum()),
            nans=int(np.isnan(flat).sum()),
            size=flat.size,
            kind=kind,
            shape=tuple(whole.shape),
            entries=tuple(flat.tolist()) if few else None,
            histogram=histogram,
        )

    @classmethod
    def of_statistics(cls, found: dict[str, Any], size: int, shape: tuple[int, ...]) -> "Measure":
        """The same out of `fathom.graph.Statistics`, steps of loops taken together."""
        mean, spread = np.asarray(found["mean"], float), np.asarray(found["spread"], float)
        middle = float(mean.mean())
        return cls(
            mean=middle,
            spread=float(np.sqrt(max((spread**2 + mean**2).mean() - middle**2, 0.0))),
            smallest=float(np.min(found["smallest"])),
            largest=float(np.max(found["largest"])),
            norm=float(np.linalg.norm(np.asarray(found["norm"], float))),
            zeros=float(np.mean(found["zeros"])),
            nonfinite=int(np.sum(found["nonfinite"])),
            nans=int(np.sum(found["nonfinite"])),
            size=size * mean.size,
            shape=(*mean.shape, *shape),
        )

    @property
    def text(self) -> str:
        """The array in a few words: its numbers where they are at most three, else mean ± spread."""
        if self.nonfinite == self.size and self.size > 3:
            return "all NaN" if self.nans == self.size else "all infinite" if not self.nans else "none finite"
        bad = f", {format_count(self.nans)} NaN" if self.nans else ""
        bad += f", {format_count(self.nonfinite - self.nans)} infinite" if self.nonfinite > self.nans else ""
        if self.kind == "bool" and self.size > 3:
            return f"{format_share(self.mean)} true"
        if self.entries is not None and self.size <= 3:
            return ", ".join(self.entry_text(entry) for entry in self.entries)
        if self.spread == 0:
            return f"all {self.entry_text(self.mean)}{bad}"
        if self.kind == "int":
            return f"{self.entry_text(self.smallest)} to {self.entry_text(self.largest)}"
        return spread_text(self.mean, self.spread) + bad

    def entry_text(self, entry: float) -> str:
        """One entry in words."""
        if self.kind == "bool":
            return "true" if entry else "false"
        if math.isnan(entry):
            return "NaN"
        return format_number(int(entry) if self.kind == "int" else entry)


def spread_text(mean: float, spread: float) -> str:
    """Mean ± spread, with a power of ten where both are small or large.

    Example:
        >>> spread_text(0.0213, 0.981), spread_text(1.2e-8, 3.41e-7)
        ('0.02 ± 0.98', '(0.1 ± 3.4)e−7')
    """
    power = math.floor(math.log10(max(abs(mean), spread)))
    scale = 1.0 if -3 <= power < 5 else 10.0**power
    text = format_uncertain(mean / scale, spread / scale)
    shown, _, rest = text.partition(" ± ")
    if not shown.strip("−0."):
        text = f"0 ± {rest}"
    return text if scale == 1.0 else f"({text})e{power}".replace("-", "−")


class Facts:
    """What is known of the values of a graph.

    Attributes:
        graph: the graph.
        back: the backward pass, or None.
        nonfinite: the first node that makes a non-finite number, or None.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        values: bool = True,
        backward: bool | BackwardPass | None = None,
        nonfinite: Node | None = None,
    ):
        self.graph = graph
        is_known = values and not any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in graph.leaves)
        self._has_values = is_known
        self.nonfinite = nonfinite
        self._is_large = 2 * sum(node.nbytes * node.times for node in graph.nodes) > MOST_BYTES
        if backward is True:
            graph.scalar()
        self.has_backward = is_known and (
            isinstance(backward, BackwardPass)
            or backward is True
            or (backward is None and _can_go_back(graph))
        )
        self._given = backward if isinstance(backward, BackwardPass) else None
        self._forward: dict[int, Measure | None] = {}
        self._delta: dict[int, Measure | None] = {}

    @cached_property
    def _arrays(self) -> tuple[Env, BackwardPass | None]:
        """Every forward value by value id, and the backward pass with every δ; both out of one program."""
        if self._is_large or not self._has_values:
            return {}, self._given
        if self._given is not None or not self.has_backward:
            return self.graph.values.arrays, self._given
        graph, plan = self.graph, self.graph.plan()

        def whole(leaves: list[Any], constants: Env) -> tuple[Env, Env]:
            env = {**graph.env(leaves), **constants}
            forward = Forward(keep=lambda value: True)
            forward.run(graph.block, env)
            delta: Env = {} if plan.output.is_literal else {plan.output.id: jnp.ones((), plan.output.dtype)}
            back = Backward(plan.active, plan.rules, forward.kept, keep=lambda value: True)
            back.run(graph.block, env, delta)
            return {**env, **forward.kept}, {**delta, **back.kept}

        # It runs once: what a better program would gain is less than what it costs to compile.
        compiled = jax.jit(whole).lower(graph.concrete(), graph.constants).compile(_QUICKLY)
        values, deltas = compiled(graph.concrete(), graph.constants)
        loss = values.get(plan.output.id, plan.output.literal)
        return values, BackwardPass(graph, plan, loss, Arrays(deltas))

    @cached_property
    def _leaves(self) -> Env:
        pairs = zip(self.graph.inputs, self.graph.leaves, strict=True)
        return {value.id: leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for value, leaf in pairs}

    @property
    def back(self) -> BackwardPass | None:
        """The backward pass with all that it kept; None where it was not asked for or is too large."""
        return self._arrays[1]

    @cached_property
    def _statistics(self) -> Any:
        return self.graph.statistics(backward=self.has_backward)

    @cached_property
    def stored(self) -> set[int]:
        """The ids of the values that the backward pass keeps; none where there is no backward pass."""
        if not self.has_backward:
            return set()
        plan = self._given.plan if self._given is not None else self.graph.plan()
        inputs = {value.id for value in self.graph.inputs} | set(self.graph.constants)
        return {value.id for value in plan.stored.values()} - inputs

    def forward(self, item: Item) -> Measure | None:
        """The forward value of an item; None where it is not known."""
        return self._look(item, self._forward, self._forward_array, lambda row: row.forward)

    def delta(self, item: Item) -> Measure | None:
        """δ of an item; None where no gradient arrives or nothing is known."""
        if not self.has_backward:
            return None
        return self._look(item, self._delta, self._delta_array, lambda row: row.backward)

    def _forward_array(self, value: Value) -> Any:
        if value.id in self.graph.constants:
            return self.graph.constants[value.id]
        if value.id in self._leaves:
            return self._leaves[value.id]
        return value.literal if value.is_literal else self._arrays[0].get(value.id)

    def _delta_array(self, value: Value) -> Any:
        return self.back[value] if self.back is not None and not value.is_literal else None

    def _look(self, item: Item, known: dict[int, Measure | None], array_of: Any, part: Any) -> Measure | None:
        value = item.value
        if value is None or not self._has_values or self.is_left_out(item):
            return None
        if value.id not in known:
            array = array_of(value)
            if array is not None:
                known[value.id] = Measure.of(_taken_steps(array, self._choices(item)))
            elif self._is_large and value.node is not None and value.node.outputs[0] is value:
                found = part(self._statistics.of(value.node))
                known[value.id] = (
                    Measure.of_statistics(found, value.size, value.shape) if found and value.size else None
                )
            else:
                known[value.id] = None
        return known[value.id]

    def is_left_out(self, item: Item) -> bool:
        """Whether an item is in a branch that was not taken."""
        return any(not (chosen == place).any() for chosen, place in self._choices(item))

    def _choices(self, item: Item) -> list[tuple[Any, int]]:
        """For each branch around an item, which branch was taken at each step, and which it is in."""
        if not self._has_values or self._is_large:
            return []
        found = []
        for box in item.ancestors():
            if box.kind == "block" and box.node is not None and box.node.kind == "cond":
                index = box.node.inputs[0]
                chosen = index.literal if index.is_literal else self._forward_array(index)
                if chosen is not None:
                    limit = len(box.node.blocks) - 1
                    found.append((np.clip(np.asarray(chosen), 0, limit), box.place))
        return found


def _taken_steps(array: Any, choices: Iterable[tuple[Any, int]]) -> Any:
    """The steps of a loop at which the branch around was taken; the others hold zeros that nobody computed."""
    for chosen, place in choices:
        is_taken = chosen == place
        if is_taken.ndim and is_taken.shape == np.shape(array)[: is_taken.ndim]:
            return np.asarray(array)[is_taken]
    return array


def _can_go_back(graph: Graph) -> bool:
    if not graph.has_loss:
        return False
    try:
        graph.plan()
    except UsageError:
        return False
    return True
