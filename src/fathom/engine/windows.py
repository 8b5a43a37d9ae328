"""More rows than memory holds, read a window at a time.

The rows are cut into windows of one size, numbered from 0 over the whole run. A window is read once for every
member of every cohort, so members share the order of the rows; while the devices train on one window a thread
reads the next. What a window holds and the order of its rows follow from its number and the seed alone, so
that a resumed run reads the same.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

_ORDER = 1 << 63  # keeps the order of a window's rows apart from all else that is drawn from a seed
HELD = 2  # windows in memory at a time


@dataclasses.dataclass(frozen=True)
class Windows:
    """Training rows that are read a window at a time.

    Attributes:
        rows: the most rows that a window has.
        per_epoch: windows between two evaluations.
        seed: draws the order of the rows within a window.
        count: how many rows a window has, from its number.
        fill: writes a window's rows, from its number, to the beginning of arrays [rows, ...] that have the
            structure of the examples.
    """

    rows: int
    per_epoch: int
    seed: int
    count: Callable[[int], int]
    fill: Callable[[int, Any], None]

    def order(self, number: int, length: int) -> np.ndarray:
        """The order of a window's rows, int32 [length]: every row once, blank rows spread between them."""
        rows = np.full(length, self.rows, dtype=np.int32)
        count = self.count(number)
        rows[:count] = np.arange(count)
        bits = np.random.Philox(key=np.array([self.seed, _ORDER | number], dtype=np.uint64))
        return np.random.Generator(bits).permutation(rows)
