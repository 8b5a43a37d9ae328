"""Splits: which rows are trained on, which are chosen by, which are kept for the end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import DataError, UsageError
from ..dataset import Dataset
from .duplicates import twins
from .stratify import deal

_MOST_BINS = 20  # strata of a regression target
_BIN_ROWS = 10  # rows of a stratum at least

Division = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Split:
    """A division of a dataset's rows; the parts of one fold and the test rows share no row.

    Attributes:
        test: int64 rows kept for the end.
        train: one int64 array of rows for each fold.
        validation: one int64 array of rows for each fold.
        notes: one sentence for each thing a user should hear.
    """

    test: np.ndarray
    train: tuple[np.ndarray, ...]
    validation: tuple[np.ndarray, ...]
    notes: tuple[str, ...] = ()

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return len(self.train)

    @property
    def held_out(self) -> bool:
        """Whether the validation rows are others than the training rows."""
        return not np.array_equal(self.train[0], self.validation[0])


def make_split(
    dataset: Dataset,
    *,
    test: float = 0.2,
    validation: float = 0.2,
    folds: int = 1,
    seed: int = 0,
    duplicates: bool = False,
) -> Split:
    """Divide a dataset as it asks for itself, and else at random, each class in its proportion.

    Rows that `Dataset.part` gives to test or validation stay there. What is left to divide is divided by time
    where `Dataset.time` is given: the latest rows are for the test, the latest of the others for validation, and
    folds train on an ever longer past (every fold validates on the stretch that follows it). Otherwise rows
    are drawn, stratified by class or by twenty quantiles of a regression target: each part has its share of each
    to within one row. Rows of one `Dataset.group` stay on one side, at the price of exact proportions.

    Args:
        dataset: what to divide.
        test: the share kept for the end of all rows that the dataset does not give to validation; 0 keeps
            none. Not used where the dataset gives test rows.
        validation: the share of all rows to choose by, for `folds=1`; the share of the others where the dataset
            gives test rows; not used where it gives validation rows.
        folds: 0 for no division, every row that is no test row being both; 1 for one train/validation division; k
            for cross-validation, in which each row that is no test row is a validation row once (by time: but for
            the first of k + 1 stretches).
        seed: what decides the division; the same seed gives the same rows.
        duplicates: whether rows with equal cells, the target aside, are kept on one side.

    Returns:
        The split, rows in ascending order. Cost: O(rows log rows).

    Raises:
        DataError: if there are too few rows, groups or points of time to leave some in each part.
        UsageError: if a share or `folds` is not allowed, or two rules contradict each other.

    Example:
        >>> from fathom.data import load
        >>> split = make_split(load("iris"), folds=4)
        >>> len(split.test), [len(rows) for rows in split.validation]
        (30, [30, 30, 30, 30])
    """
    _check(test, validation, folds, seed)
    copies = twins(dataset.table)
    divider = _Divider(dataset, copies if duplicates else None, test, folds, seed)
    rows = np.arange(len(dataset), dtype=np.int64)
    part = dataset.part if dataset.part is not None else np.full(len(rows), -1)
    held, fixed = rows[part == 2], rows[part == 1]
    if len(held):
        share = validation
    else:
        share = validation / (1 - test)
        if test:
            free = rows[part != 1]
            held = divider.hold_out(free, max(1, round(len(free) * test)), 1 if len(fixed) else max(2, folds))
    rest = np.setdiff1d(rows, held)
    if len(fixed):
        parts = [_given(rest, fixed, folds)]
    elif folds == 0:
        parts = [(rest, rest)]
        divider.notes.append("no rows are held out for validation: what chooses has been trained on")
    elif folds == 1:
        chosen = divider.hold_out(rest, min(len(rest) - 1, max(1, round(len(rest) * share))), 1)
        parts = [(np.setdiff1d(rest, chosen), chosen)]
    else:
        parts = divider.cross(rest, folds)
    notes = (
        *divider.notes,
        *_about_parts(dataset, held, parts, test),
        *_about_copies(dataset, copies, held, duplicates),
    )
    return Split(held, tuple(p[0] for p in parts), tuple(p[1] for p in parts), notes)


def _check(test: float, validation: float, folds: int, seed: int) -> None:
    if not 0 <= test < 1:
        raise UsageError(f"test={test!r} is not allowed; give a share of the rows from 0 to below 1")
    if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or folds < 0:
        raise UsageError(
            f"folds={folds!r} is not allowed; give 0 (nothing held out), 1 (one division) or 2 and more "
            "(cross-validation)"
        )
    if folds == 1 and not 0 < validation < 1 - test:
        raise UsageError(
            f"validation={validation!r} is not allowed; give a share above 0 and below {1 - test:g}"
        )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32 - 1:
        raise UsageError(f"seed={seed!r} is not allowed; give a whole number from 0 to 4294967294")


class _Divider:
    """How the rows of a dataset are divided where it does not say so itself: by time, or at random.

    Args:
        dataset: the data.
        copies: int64 [rows], rows of one number stay together; None to let chance part them.
        test: for messages.
        folds: for messages.
        seed: decides what chance does.
    """

    def __init__(self, dataset: Dataset, copies: np.ndarray | None, test: float, folds: int, seed: int):
        self.notes: list[str] = []
        self._draw = np.random.default_rng(seed)
        self._dataset = dataset
        self._units = _joined(dataset.group, copies)
        self._noun = (
            "rows" if self._units is None else "groups" if dataset.group is not None else "different rows"
        )
        self._asked = f"test={test:g} and folds={folds}"
        self._time = dataset.time
        if self._time is None:
            return
        if self._units is not None:
            other = "groups" if dataset.group is not None else "keep_duplicates_together=True"
            raise UsageError(f"time and {other}: the rows can be divided by one of them; leave out the other")
        self._noun = "different times"
        if (unknown := int(np.isnan(self._time).sum())) > 0:
            self._time = np.where(np.isnan(self._time), -np.inf, self._time)
            self.notes.append(f"{unknown} rows have no time and count as the earliest")
        self.notes.append("the rows are divided by time: the latest are for the test, then for validation")

    def hold_out(self, rows: np.ndarray, count: int, least: int) -> np.ndarray:
        """About `count` of the rows; the others are at least `least` rows, groups or points of time."""
        self._enough(rows, 1 + least)
        if self._time is not None:
            return np.sort(self._stretches(rows, [len(rows) - count, count], [least, 1])[1])
        share = count / len(rows)
        units = None if self._units is None else self._units[rows]
        part = deal(
            _strata(self._dataset, rows), [share, 1 - share], self._draw, units=units, least=[1, least]
        )
        return rows[part == 0]

    def cross(self, rows: np.ndarray, folds: int) -> list[Division]:
        """Training and validation rows of each fold."""
        if self._time is not None:
            self._enough(rows, folds + 1)
            stretches = self._stretches(rows, [len(rows) // (folds + 1)] * (folds + 1), [1] * (folds + 1))
            return [
                (np.sort(np.concatenate(stretches[: fold + 1])), np.sort(stretches[fold + 1]))
                for fold in range(folds)
            ]
        self._enough(rows, folds)
        units = None if self._units is None else self._units[rows]
        part = deal(_strata(self._dataset, rows), [1 / folds] * folds, self._draw, units=units)
        return [(rows[part != fold], rows[part == fold]) for fold in range(folds)]

    def _enough(self, rows: np.ndarray, wanted: int) -> None:
        key = self._time if self._time is not None else self._units
        found = len(rows) if key is None else len(np.unique(key[rows]))
        if found < wanted:
            raise DataError(
                f"{self._noun}={found}: too few for {self._asked}; give more {self._noun} or fewer folds"
            )

    def _stretches(self, rows: np.ndarray, sizes: Sequence[int], least: Sequence[int]) -> list[np.ndarray]:
        """The rows in stretches of time of about these sizes; rows of one time stay together."""
        assert self._time is not None
        ordered = rows[np.argsort(self._time[rows], kind="stable")]
        times = self._time[ordered]
        starts = np.append(0, np.flatnonzero(times[1:] != times[:-1]) + 1)
        points, cuts = 0, []
        for index in range(len(sizes) - 1):
            low, high = points + least[index], len(starts) - sum(least[index + 1 :])
            wish = sum(sizes[: index + 1])
            points = low + int(np.abs(starts[low : high + 1] - wish).argmin())
            cuts.append(starts[points])
        return np.split(ordered, cuts)


def _strata(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """The class of each of these rows, or the quantile of its target among them."""
    target = dataset.target[rows]
    if dataset.kind == "classification":
        return target
    bins = int(np.clip(len(rows) // _BIN_ROWS, 1, _MOST_BINS))
    rank = np.argsort(np.argsort(target, kind="stable"), kind="stable")
    return rank * bins // len(rows)


def _joined(group: np.ndarray | None, copies: np.ndarray | None) -> np.ndarray | None:
    """What keeps rows together: one group or one set of copies, or a chain of both."""
    if group is None or copies is None:
        return copies if group is None else group
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, ours = np.unique(group, return_inverse=True)
    _, theirs = np.unique(copies, return_inverse=True)
    size = ours.max() + 1
    ends = size + theirs.max() + 1
    links = coo_array((np.ones(len(ours), dtype=bool), (ours, size + theirs)), shape=(ends, ends))
    return connected_components(links, directed=False)[1][ours]


def _given(rest: np.ndarray, fixed: np.ndarray, folds: int) -> Division:
    if folds > 1:
        raise UsageError(
            f"folds={folds}: the validation rows are given, which makes one division; use folds=1"
        )
    train = np.setdiff1d(rest, fixed)
    if not len(train):
        raise DataError("split: every row is given to validation or test; leave rows to train on")
    return train, fixed


def _about_parts(dataset: Dataset, held: np.ndarray, parts: Sequence[Division], test: float) -> list[str]:
    """What a user should hear about classes that are not everywhere, and about groups."""
    notes = []
    if dataset.group is not None:
        sides = np.unique(dataset.group[held])
        rest = np.setdiff1d(np.arange(len(dataset)), held)
        across = len(np.intersect1d(sides, dataset.group[rest]))
        if across:
            notes.append(f"{across} groups have rows on both sides of the test rows that are given")
        share = len(held) / len(dataset)
        if dataset.part is None and abs(share - test) > 0.05:
            notes.append(f"the test rows are {share:.0%} of all, since groups are kept whole")
    if dataset.classes is None:
        return notes
    counts = np.bincount(dataset.target, minlength=len(dataset.classes))
    absent = np.zeros(len(counts), dtype=bool)
    for rows in (*([held] if len(held) else []), *(rows for part in parts for rows in part)):
        absent |= np.bincount(dataset.target[rows], minlength=len(counts)) == 0
    absent &= counts > 0
    if absent.any():
        few = sorted(np.flatnonzero(absent).tolist(), key=lambda c: counts[c])
        named = ", ".join(f"{dataset.classes[c]!r} ({_rows(int(counts[c]))})" for c in few[:5])
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        noun = "class is" if len(few) == 1 else "classes are"
        notes.append(f"the {noun} not in every part of the split: {named}{more}")
    return notes


def _about_copies(dataset: Dataset, copies: np.ndarray, held: np.ndarray, together: bool) -> list[str]:
    """How many rows are copies, and how many of them the split parts from their twins."""
    count = int((np.bincount(copies, minlength=len(copies))[copies] > 1).sum())
    if not count:
        return []
    whole = dataset.rows_in_all == len(dataset)
    note = f"{_rows(count)} have a twin with the same cells"
    if not whole:
        note = f"{count} of the {len(dataset):,} rows in memory have a twin among them with the same cells"
    test = np.zeros(len(copies), dtype=bool)
    test[held] = True
    parted = int(np.isin(copies[test], copies[~test]).sum())
    if not parted:
        return [f"{note}; twins are kept on one side of each division" if together else note]
    note += f", and {parted} of the test rows have theirs among the rows trained on"
    note += "" if whole else " (those that stay in the file are not counted)"
    if together or dataset.time is not None or (dataset.part is not None and (dataset.part == 2).any()):
        return [note]  # the test rows are not left to chance
    return [f"{note}; keep_duplicates_together=True (--keep-duplicates-together) keeps them on one side"]


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
