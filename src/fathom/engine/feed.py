"""What the members read: examples on every device, and the order in which each member sees them.

The order of an epoch is drawn on the host from the member's own seed and fold and the epoch's number, so it
is the same on every device, after every resume, and whoever the neighbours are.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ..errors import DataError, UsageError
from .windows import HELD, Windows

_LINE = 64  # bytes at whose multiples an array must begin for XLA to use it where it is


@dataclasses.dataclass(frozen=True)
class Feed:
    """Examples, and which rows train and validate in each fold.

    Attributes:
        examples: pytree of arrays [folds or 1, rows, ...]; the leading axis holds what was fitted on each
            fold's training rows (1 where the folds share it).
        train: int32 [folds, training rows]; every fold the same number (pad with rows of weight 0).
        validation: int32 [folds, validation rows], or None.
        blank: a row of weight 0 that fills an epoch up to whole batches; None to fill it up with rows of the
            epoch's start.
        windows: where the training rows are read from, if memory does not hold them: `examples` then has
            one fold, a blank row and the validation rows, and `train` is not read.
        room: training rows that the programs are made for, if that is more than there are: one program then
            serves every number of rows up to it, and an epoch takes the steps that its own rows need.
    """

    examples: Any
    train: np.ndarray
    validation: np.ndarray | None
    blank: int | None = None
    windows: Windows | None = None
    room: int = 0

    @classmethod
    def of(cls, train: Any, validation: Any = None) -> "Feed":
        """A feed of one fold from pytrees of arrays [rows, ...].

        Args:
            train: training examples; every leaf has the same number of rows.
            validation: validation examples of the same structure, or None.

        Returns:
            The feed.

        Raises:
            DataError: if leaves differ in their number of rows, or the two structures differ.
        """
        rows = _rows("train", train)
        if validation is None:
            examples = jax.tree.map(lambda a: np.asarray(a)[None], train)
            return cls(examples, np.arange(rows, dtype=np.int32)[None], None)
        if jax.tree.structure(train) != jax.tree.structure(validation):
            raise DataError(
                f"validation={jax.tree.structure(validation)} differs in structure from "
                f"train={jax.tree.structure(train)}; give both the same structure"
            )
        held = _rows("validation", validation)
        for ours, theirs in zip(jax.tree.leaves(train), jax.tree.leaves(validation), strict=True):
            if np.shape(ours)[1:] != np.shape(theirs)[1:]:
                raise DataError(
                    f"validation has an array of shape {np.shape(theirs)} where train has {np.shape(ours)}; "
                    "give both the same shape after the first axis"
                )
        examples = jax.tree.map(lambda a, b: joined([np.asarray(a), np.asarray(b)])[None], train, validation)
        indices = np.arange(rows + held, dtype=np.int32)
        return cls(examples, indices[None, :rows], indices[None, rows:])

    @property
    def calls(self) -> int:
        """Calls of a program that an epoch takes: one for each window."""
        return 1 if self.windows is None else self.windows.per_epoch

    @property
    def call_rows(self) -> int:
        """The most training rows that a call shows a member."""
        return self.train.shape[1] if self.windows is None else self.windows.rows

    def steps(self, batch_size: int) -> int:
        """Steps in an epoch that shows every training row at least once."""
        return self.calls * self.call_steps(batch_size)

    def call_steps(self, batch_size: int) -> int:
        """Steps in a call of a program."""
        return -(-self.call_rows // self.batch_rows(batch_size))

    def most_steps(self, batch_size: int) -> int:
        """Steps in a call that has as many rows as there is room for."""
        return -(-max(self.room, self.call_rows) // self.batch_rows(batch_size))

    def batch_rows(self, batch_size: int) -> int:
        """Rows in a batch: `batch_size`, or all that a call has room for where that is less."""
        if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise UsageError(f"batch_size={batch_size!r} is not allowed; give a whole number, 1 or more")
        return min(batch_size, max(self.room, self.call_rows))

    @property
    def rows_held(self) -> int:
        """Rows that a device holds: all examples, or those of a window, a blank one and those to validate on."""
        if self.windows is None:
            return jax.tree.leaves(self.examples)[0].shape[1]
        return self.windows.rows + 1 + (0 if self.validation is None else self.validation.size)

    @property
    def nbytes(self) -> int:
        """Bytes that the examples take on each device."""
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(self.examples)]
        if self.windows is None:
            return sum(int(leaf.nbytes) for leaf in leaves)
        return HELD * self.rows_held * sum(int(leaf[:1, :1].nbytes) for leaf in leaves)


def aligned(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """An empty array that a CPU device reads in place: one that begins elsewhere it copies, once a device.

    Example:
        >>> aligned((3, 5), np.float32).ctypes.data % 64
        0
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays one after another along their first axis, in one that is `aligned`."""
    shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
    return np.concatenate(parts, out=aligned(shape, np.result_type(*parts)))


def copied_bytes(examples: Any) -> int:
    """Bytes of the arrays of a pytree that a CPU device would copy."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(examples)]
    return sum(int(leaf.nbytes) for leaf in leaves if leaf.ctypes.data % _LINE)


def epoch_order(feed: Feed, seed: int, fold: int, epoch: int, length: int) -> np.ndarray:
    """The rows of one epoch in the order that a seed gives them.

    Args:
        feed: whose rows.
        seed: the member's data seed.
        fold: the member's fold.
        epoch: the epoch's number, from 0.
        length: steps x batch rows, at least the number of rows.

    Returns:
        int32 [length]: every training row once; the rest are blank rows spread over the epoch, or, where
        there is no blank row, the order's own first rows again.
    """
    bits = np.random.Philox(key=np.array([seed, (fold << 32) | epoch], dtype=np.uint64))
    rows = feed.train[fold]
    if feed.blank is not None:
        rows = np.concatenate([rows, np.full(length - len(rows), feed.blank, dtype=np.int32)])
    order = np.random.Generator(bits).permutation(rows)
    return np.resize(order, length).astype(np.int32, copy=False)


def _rows(name: str, tree: Any) -> int:
    leaves = jax.tree.leaves(tree)
    counts = {np.shape(leaf)[0] if np.ndim(leaf) else None for leaf in leaves}
    if len(counts) != 1 or None in counts:
        shapes = [np.shape(leaf) for leaf in leaves]
        raise DataError(
            f"{name}: arrays of shapes {shapes} do not share their first axis; give [rows, ...] arrays"
        )
    (count,) = counts
    if not count:
        raise DataError(f"{name} has 0 rows; give at least one")
    return int(count)
