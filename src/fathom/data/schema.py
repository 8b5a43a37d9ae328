"""The schema: what each column of a table is, inferred once and kept with the model.

Everything that decides how many inputs a network has lives here and depends on no fitted statistic, so that
every fold of a study has the same inputs.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

#: What a column may be used as.
KINDS = ("numeric", "boolean", "categorical", "date", "text")
#: What a column may say about its row instead of being an input.
ROLES = ("weight", "group", "time", "split")

_NUMERIC_KINDS = ("numeric", "boolean", "date")
_DATE_PARTS = ("days", "month", "weekday")


@dataclass(frozen=True)
class Column:
    """One column of a schema.

    Attributes:
        name: its name in the table.
        kind: one of `KINDS` for a column that is used; "constant", "identifier", "text", "ignore" or one of
            `ROLES` for one that is no input; "target".
        categories: the values of a categorical column that have a slot of their own, or the classes of a
            target; None otherwise.
        has_missing: whether a cell without a value was seen when the schema was inferred.
        reason: why a column is no input.
        buckets: hashed slots: those that the other values of a categorical column share (0: one slot for all
            of them), or those of the words of a text column.
        parts: which parts of a date are inputs: "days" since 1970-01-01, "month" (1 to 12), "weekday" (Monday
            is 0), "hour" (with the minutes as a fraction).
        style: how its dates are written, one of `dates.STYLES`, or its numbers, one of `numerals.STYLES`; "unclear"
            of a column whose dates may have the day or the month first, so that they are none, "unclear commas" of
            text that is numbers of two meanings.
        odd: writings of a cell of numbers or dates that count as missing, besides the usual markers.
    """

    name: str
    kind: str
    categories: tuple[str, ...] | None = None
    has_missing: bool = False
    reason: str = ""
    buckets: int = 0
    parts: tuple[str, ...] = ()
    # How cells were written does not change what a column means to a network.
    style: str = field(default="", compare=False)
    odd: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.kind == "date" and not self.parts:
            object.__setattr__(self, "parts", _DATE_PARTS)

    @property
    def slots(self) -> int:
        """How many different codes `Table.categorical` holds: the categories, the others, the missing."""
        return len(self.categories or ()) + max(self.buckets, 1) + 1


@dataclass(frozen=True)
class Schema:
    """The columns of a table: those used, in order, the one predicted, those ignored.

    Attributes:
        columns: the columns used, in the order of the inputs.
        target: the column predicted; its categories are the classes, None for regression.
        ignored: columns left out, each with a reason.

    Example:
        >>> schema = Schema((Column("age", "numeric"),), Column("sick", "target", ("no", "yes")), ())
        >>> schema.kind, Schema.from_dict(schema.to_dict()) == schema
        ('classification', True)
    """

    columns: tuple[Column, ...]
    target: Column
    ignored: tuple[Column, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of task: "classification" or "regression"."""
        return "regression" if self.target.categories is None else "classification"

    @cached_property
    def numeric(self) -> tuple[Column, ...]:
        """The columns that `Table.numeric` holds, in its order: numeric, boolean and date."""
        return tuple(column for column in self.columns if column.kind in _NUMERIC_KINDS)

    @cached_property
    def categorical(self) -> tuple[Column, ...]:
        """The columns that `Table.categorical` holds, in its order."""
        return tuple(column for column in self.columns if column.kind == "categorical")

    @cached_property
    def text(self) -> tuple[Column, ...]:
        """The columns that `Table.text` holds, in its order."""
        return tuple(column for column in self.columns if column.kind == "text")

    def role(self, role: str) -> Column | None:
        """The column that has a role, one of `ROLES`; None where no column has."""
        return next((column for column in self.ignored if column.kind == role), None)

    def to_dict(self) -> dict[str, Any]:
        """The schema as JSON-safe dictionaries and lists."""
        return {
            "columns": [_written(column) for column in self.columns],
            "target": _written(self.target),
            "ignored": [_written(column) for column in self.ignored],
        }

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> "Schema":
        """The schema that `to_dict` wrote."""
        return cls(
            tuple(_read(column) for column in written["columns"]),
            _read(written["target"]),
            tuple(_read(column) for column in written["ignored"]),
        )


def _written(column: Column) -> dict[str, Any]:
    categories = None if column.categories is None else list(column.categories)
    return {**asdict(column), "categories": categories, "parts": list(column.parts), "odd": list(column.odd)}


def _read(written: Mapping[str, Any]) -> Column:
    categories = None if written["categories"] is None else tuple(written["categories"])
    more = {name: tuple(written.get(name, ())) for name in ("parts", "odd")}
    return Column(**{**written, "categories": categories, **more})
