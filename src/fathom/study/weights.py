"""How much a row counts: the rows' own weights, and those of the classes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data import Dataset, Split
from ..errors import DataError, UsageError, one_of

ClassWeight = str | Mapping[Any, float] | None


def check_weights(dataset: Dataset, split: Split) -> None:
    """Refuse weights that no row could be judged by.

    Raises:
        DataError: if a weight is below 0 or no number, or all of a part's are 0.
    """
    weight = dataset.weight
    if weight is None:
        return
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if len(bad):
        raise DataError(
            f"weight={weight[bad[0]]:g} in row {bad[0] + 1}: a row's weight is a number, 0 or more; correct it "
            "or leave the row out"
        )
    parts = {"training": split.train, "validation": split.validation, "test": (split.test,)}
    for name, rows in parts.items():
        if any(len(part) and not weight[part].sum() > 0 for part in rows):
            raise DataError(
                f"weight: all {name} rows weigh 0; give some of them a weight, or choose another split"
            )


def effective_rows(weight: np.ndarray | None, rows: int) -> int:
    """How many rows of equal weight say as much: (Σw)² / Σw².

    References:
        Kish, "Survey sampling", 1965.
    """
    return rows if weight is None else round(float(weight.sum() ** 2 / np.square(weight).sum()))


def parse_class_weight(written: str) -> ClassWeight:
    """What the command line calls class weights: "balanced", or "yes=5,no=1".

    Raises:
        UsageError: if it is neither.

    Example:
        >>> parse_class_weight("yes=5,no=1")
        {'yes': 5.0, 'no': 1.0}
    """
    if "=" not in written:
        return written
    pairs = [pair.rpartition("=") for pair in written.split(",")]
    try:
        return {name.strip(): float(number) for name, _, number in pairs}
    except ValueError:
        raise _misuse(written) from None


def class_weights(
    given: ClassWeight, classes: Sequence[str], target: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """The weight of each class, such that the rows' mean weight stays what it is.

    Args:
        given: "balanced" for weights that give every class the same total, or a number for some classes;
            the others count 1.
        classes: the classes' names.
        target: class numbers [rows].
        weight: weight of each row [rows].

    Returns:
        float64 [classes].

    Raises:
        UsageError: if it is another word, a class is unknown, or a number is not above 0.

    Example:
        >>> class_weights("balanced", ["a", "b"], np.array([0, 0, 0, 1]), np.ones(4)).round(3)
        array([0.667, 2.   ])
    """
    totals = np.bincount(target, weight, len(classes))
    if isinstance(given, str) and "=" in given:
        given = parse_class_weight(given)
    if isinstance(given, Mapping):
        found = np.ones(len(classes))
        for name, number in given.items():
            if str(name) not in classes:
                raise one_of("class_weight class", str(name), classes)
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < math.inf:
                raise UsageError(f"class_weight={name}: {number!r} is not allowed; give a number above 0")
            found[list(classes).index(str(name))] = number
    elif given == "balanced":
        # A class that only test rows have weighs 1: nothing is trained on it.
        found = np.where(totals > 0, totals.sum() / (len(classes) * np.where(totals > 0, totals, 1)), 1.0)
    else:
        raise _misuse(given)
    return found * totals.sum() / (totals * found).sum()


def _misuse(given: Any) -> UsageError:
    return UsageError(
        f"class_weight={given!r} is not allowed; give 'balanced', or a number for each class, such as yes=5,no=1"
    )
