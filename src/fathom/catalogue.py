"""A catalogue: the frozen records of one kind of thing, by name.

Architectures, optimizers, schedules, losses, metrics and data sources are each listed in one. The command
line and the documentation print from the same records, and one conformance suite walks each catalogue.
"""

from collections.abc import Iterator
from typing import ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from .errors import one_of


@runtime_checkable
class Named(Protocol):
    """What a record needs: a name, unique in its catalogue."""

    @property
    def name(self) -> str:
        """The word a user types."""
        ...


Record = TypeVar("Record", bound=Named)


class Catalogue(Generic[Record]):
    """Records of one kind by name, in the order in which they were added.

    Args:
        kind: what a record is, in the singular, as error messages say it ("optimizer").

    Example:
        >>> import dataclasses
        >>> @dataclasses.dataclass(frozen=True)
        ... class Colour:
        ...     name: str
        >>> colours = Catalogue("colour")
        >>> _ = colours.add(Colour("red"))
        >>> colours["red"]
        Colour(name='red')
    """

    #: Records of every catalogue that run other code than Fathom's and its libraries'.
    others: ClassVar[set[str]] = set()

    def __init__(self, kind: str):
        self.kind = kind
        self._records: dict[str, Record] = {}

    def add(self, record: Record) -> Record:
        """Add a record and return it.

        Args:
            record: the frozen record.

        Returns:
            The same record, so that it can be assigned where it is added.

        Raises:
            ValueError: if the name is taken.
        """
        if record.name in self._records:
            raise ValueError(
                f"{self.kind} name={record.name!r} is in the catalogue already; choose another name"
            )
        self._records[record.name] = record
        if any(map(_foreign, vars(record).values())):
            self.others.add(f"{self.kind} {record.name}")
        return record

    def __getitem__(self, name: str) -> Record:
        """The record of that name; a `UsageError` that lists the names otherwise."""
        try:
            return self._records[name]
        except (KeyError, TypeError):
            raise one_of(self.kind, name, self._records) from None

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def names(self) -> list[str]:
        """Every name, in order."""
        return list(self._records)


_LIBRARIES = {"fathom", "jax", "jaxlib", "optax", "equinox", "numpy", "functools", "builtins"}


def _foreign(value: object) -> bool:
    """Whether a value of a record is code of somebody else."""
    module = getattr(value, "__module__", None) or type(value).__module__
    return callable(value) and module.partition(".")[0] not in _LIBRARIES
