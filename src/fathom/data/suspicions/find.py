"""The catalogue of checks, and what they find in a dataset."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...catalogue import Catalogue
from ..dataset import Dataset
from . import columns, drift, leaks, rows, target
from .suspicion import Suspicion


@dataclass(frozen=True)
class Check:
    """One thing that is looked for.

    Attributes:
        name: what its suspicions are called.
        find: yields them.
    """

    name: str
    find: Callable[[Dataset], Iterator[Suspicion]]


#: Every check, in the order in which suspicions are told: what spoils most comes first.
CHECKS: Catalogue[Check] = Catalogue("check")
for _name, _find in {
    "leak": leaks.leak,
    "duplicates": rows.duplicates,
    "drift": drift.drift,
    "new categories": drift.new_categories,
    "kind": target.kind,
    "lone class": target.lone_class,
    "imbalance": target.imbalance,
    "capped": target.capped,
    "missing code": columns.missing_code,
    "decimal point": columns.unclear_points,
    "decimal comma": columns.unclear_commas,
    "day or month": columns.unclear_dates,
    "identifier": columns.identifier,
    "shuffled numbers": columns.shuffled_numbers,
    "constant": columns.constant,
    "few rows": rows.few_rows,
}.items():
    CHECKS.add(Check(_name, _find))


def find_suspicions(dataset: Dataset) -> tuple[Suspicion, ...]:
    """What about a dataset is worth a look before training.

    Args:
        dataset: the data; beyond 20,000 rows what needs fitting is looked at on a sample of them.

    Returns:
        The suspicions, what spoils most first. Cost: about a second for 50,000 rows of 30 columns.

    Example:
        >>> from fathom.data import load
        >>> find_suspicions(load("iris"))
        ()
    """
    return tuple(suspicion for check in CHECKS for suspicion in check.find(dataset))
