"""Splits: which rows are trained on, which are chosen by, which are kept for the end."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, UsageError

if TYPE_CHECKING:
    from .dataset import Dataset


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


def make_split(
    dataset: "Dataset", *, test: float = 0.2, validation: float = 0.2, folds: int = 1, seed: int = 0
) -> Split:
    """Divide a dataset, each class in its proportion (stratified) where it has enough rows.

    Args:
        dataset: what to divide.
        test: the share of all rows kept for the end; 0 keeps none.
        validation: the share of all rows to choose by, for `folds=1`.
        folds: 1 for one train/validation division; k for cross-validation, in which each row that is no test
            row is a validation row once.
        seed: what decides the division; the same seed gives the same rows.

    Returns:
        The split, rows in ascending order.

    Raises:
        DataError: if there are too few rows to leave one in each part.
        UsageError: if a share or `folds` is not allowed.

    Example:
        >>> from fathom.data import load
        >>> split = make_split(load("iris"), folds=4)
        >>> len(split.test), [len(rows) for rows in split.validation]
        (30, [30, 30, 30, 30])
    """
    _check(test, validation, folds, seed)
    rows = np.arange(len(dataset), dtype=np.int64)
    count = round(len(rows) * test) if test == 0 else max(1, round(len(rows) * test))
    if len(rows) - count < max(2, folds):
        raise DataError(
            f"rows={len(rows)}: too few for test={test:g} and folds={folds}; give more rows or fewer folds"
        )
    labels = dataset.target if dataset.kind == "classification" else None
    notes: list[str] = []
    rest, held = _divide(rows, count, labels, seed, "test", notes) if count else (rows, rows[:0])
    if folds == 1:
        chosen = min(len(rest) - 1, max(1, round(len(rows) * validation)))
        parts = [_divide(rest, chosen, labels, seed + 1, "validation", notes)]
    else:
        parts = _cross(rest, folds, labels, seed, notes)
    return Split(held, tuple(part[0] for part in parts), tuple(part[1] for part in parts), tuple(notes))


def _check(test: float, validation: float, folds: int, seed: int) -> None:
    if not 0 <= test < 1:
        raise UsageError(f"test={test!r} is not allowed; give a share of the rows from 0 to below 1")
    if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or folds < 1:
        raise UsageError(
            f"folds={folds!r} is not allowed; give 1 (one division) or 2 and more (cross-validation)"
        )
    if folds == 1 and not 0 < validation < 1 - test:
        raise UsageError(
            f"validation={validation!r} is not allowed; give a share above 0 and below {1 - test:g}"
        )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32 - 1:
        raise UsageError(f"seed={seed!r} is not allowed; give a whole number from 0 to 4294967294")


def _divide(
    rows: np.ndarray, count: int, labels: np.ndarray | None, seed: int, part: str, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The rows without `count` of them, and those."""
    from sklearn.model_selection import train_test_split

    strata = None
    if labels is not None:
        strata = labels[rows]
        sizes = np.unique(strata, return_counts=True)[1]
        if sizes.min() < 2 or min(count, len(rows) - count) < len(sizes):
            notes.append(_unstratified(f"{part} rows", sizes.min()))
            strata = None
    rest, held = train_test_split(rows, test_size=count, stratify=strata, random_state=seed)
    return np.sort(rest), np.sort(held)


def _cross(
    rows: np.ndarray, folds: int, labels: np.ndarray | None, seed: int, notes: list[str]
) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import KFold, StratifiedKFold

    division, strata = KFold(folds, shuffle=True, random_state=seed), None
    if labels is not None:
        strata = labels[rows]
        smallest = np.unique(strata, return_counts=True)[1].min()
        if smallest >= folds:
            division = StratifiedKFold(folds, shuffle=True, random_state=seed)
        else:
            notes.append(_unstratified("folds", smallest))
    return [(rows[train], rows[held]) for train, held in division.split(rows, strata)]


def _unstratified(what: str, smallest: int) -> str:
    return f"the {what} are drawn without regard to classes: the smallest class has too few rows ({smallest})"
