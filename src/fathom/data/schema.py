"""The schema: what each column of a table is, inferred once and kept with the model.

Everything that decides how many inputs a network has lives here and depends on no fitted statistic, so that
every fold of a study has the same inputs.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import DataError, one_of
from .columns import RawColumn, as_texts, looks_boolean, number_text

#: A text column with more categories than this is kept only if its values repeat.
MAX_FREE_CATEGORIES = 50
#: At most so many categories get an input of their own; the rest share the slot of unseen values.
MAX_CATEGORIES = 200
#: A whole-number target with more classes than this, or than this share of the rows, is a quantity.
MAX_NUMBER_CLASSES = 20
MAX_NUMBER_CLASS_SHARE = 0.05

_ID_NAME = re.compile(r"(id|.*[_\s.-]id|index|row|row[_\s]?(id|number|no|num)|unnamed.*)", re.IGNORECASE)
_ID_CAMEL = re.compile(r".*[a-z](Id|ID)")
_NUMERIC_KINDS = ("numeric", "boolean", "date")


@dataclass(frozen=True)
class Column:
    """One column of a schema.

    Attributes:
        name: its name in the table.
        kind: "numeric", "boolean", "categorical" or "date" for one that is used; "constant", "identifier" or
            "text" for one that is not; "target".
        categories: the values of a categorical column, or the classes of a target; None otherwise.
        has_missing: whether a cell without a value was seen when the schema was inferred.
        reason: why an ignored column is ignored.
    """

    name: str
    kind: str
    categories: tuple[str, ...] | None = None
    has_missing: bool = False
    reason: str = ""


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

    @property
    def numeric(self) -> tuple[Column, ...]:
        """The columns that `Table.numeric` holds, in its order: numeric, boolean and date."""
        return tuple(column for column in self.columns if column.kind in _NUMERIC_KINDS)

    @property
    def categorical(self) -> tuple[Column, ...]:
        """The columns that `Table.categorical` holds, in its order."""
        return tuple(column for column in self.columns if column.kind == "categorical")

    def to_dict(self) -> dict[str, Any]:
        """The schema as JSON-safe dictionaries and lists."""
        write = lambda column: {**asdict(column), "categories": _listed(column.categories)}  # noqa: E731
        return {
            "columns": [write(column) for column in self.columns],
            "target": write(self.target),
            "ignored": [write(column) for column in self.ignored],
        }

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> "Schema":
        """The schema that `to_dict` wrote."""
        read = lambda c: Column(**{**c, "categories": _tupled(c["categories"])})  # noqa: E731
        return cls(
            tuple(read(c) for c in written["columns"]),
            read(written["target"]),
            tuple(read(c) for c in written["ignored"]),
        )


def infer_schema(
    columns: Sequence[RawColumn], target: str, *, kind: str | None = None, keep_all: bool = False
) -> tuple[Schema, tuple[str, ...]]:
    """The schema of a table whose target has no missing cell.

    Args:
        columns: every column of the table, the target among them.
        target: the name of the column to predict.
        kind: "classification" or "regression"; inferred from the target where None.
        keep_all: keep constant and identifier-like number columns (for unnamed feature vectors and images,
            whose inputs are positions).

    Returns:
        The schema, and notes: one sentence for each thing a user should hear.

    Raises:
        DataError: if nothing is left to predict from, or the target cannot be predicted as asked.
        UsageError: if `kind` is not a known word.
    """
    goal = next(column for column in columns if column.name == target)
    chosen, notes = infer_kind(goal, kind)
    classes = _classes(goal) if chosen == "classification" else None
    if chosen == "regression" and np.ptp(goal.values) == 0:
        raise DataError(f"target={target!r} has the same value in every row; choose a column that varies")
    features = [column for column in columns if column.name != target]
    inferred = [_infer_column(column, len(features), keep_all) for column in features]
    used = tuple(column for column in inferred if not column.reason)
    ignored = tuple(column for column in inferred if column.reason)
    notes += [f"column {column.name!r} is ignored: {column.reason}" for column in ignored]
    notes += _category_notes(used, features)
    if not used:
        raise DataError(
            f"target={target!r}: no usable column is left to predict from; {'; '.join(notes) or 'add one'}"
        )
    return Schema(used, Column(target, "target", classes), ignored), tuple(notes)


def infer_kind(goal: RawColumn, kind: str | None = None) -> tuple[str, list[str]]:
    """The kind of task that a target column asks for.

    Text and booleans are classes. Numbers are classes if all are whole and there are two different ones, or
    at most 20 that are at most 5 % as many as the rows; else they are a quantity.

    Args:
        goal: the target column, without missing cells.
        kind: what the user asked for, or None.

    Returns:
        "classification" or "regression", and notes where the choice is worth a word.

    Raises:
        DataError: if the column cannot be predicted so.
        UsageError: if `kind` is not a known word.
    """
    if kind is not None and kind not in ("classification", "regression"):
        raise one_of("kind", kind, ("classification", "regression"))
    if goal.kind in ("date", "unsupported"):
        raise DataError(
            f"target={goal.name!r} holds {goal.reason or 'dates'}; choose a column of numbers or of classes"
        )
    if goal.kind != "number":
        if kind == "regression":
            raise DataError(
                f"target={goal.name!r} holds no numbers; use kind='classification' or another column"
            )
        return "classification", []
    if kind is not None:
        return kind, []
    distinct = np.unique(goal.values)
    whole = bool((distinct == np.round(distinct)).all())
    few = len(distinct) <= MAX_NUMBER_CLASSES and len(distinct) <= MAX_NUMBER_CLASS_SHARE * len(goal.values)
    if whole and len(distinct) > 2 and len(distinct) <= MAX_NUMBER_CLASSES:
        chosen, other = ("classification", "regression") if few else ("regression", "classification")
        word = "classes" if few else "a quantity"
        note = f"target {goal.name!r}: its {len(distinct)} whole numbers are read as {word}"
        return chosen, [f"{note}; kind={other!r} reads them otherwise"]
    return ("classification" if whole and (few or len(distinct) == 2) else "regression"), []


def _classes(goal: RawColumn) -> tuple[str, ...]:
    classes: tuple[str, ...]
    if goal.kind == "number":
        classes = tuple(number_text(value) for value in np.unique(goal.values))
    else:
        classes = tuple(sorted(set(as_texts(goal).tolist())))
    if len(classes) < 2:
        raise DataError(
            f"target={goal.name!r} has one value only ({', '.join(classes)}); choose a column that varies"
        )
    if len(classes) > max(2, len(goal.values) / 2):
        raise DataError(
            f"target={goal.name!r} has {len(classes)} classes in {len(goal.values)} rows; "
            "a class needs at least two rows on average: choose another column"
        )
    return classes


def _infer_column(column: RawColumn, features: int, keep_all: bool) -> Column:
    missing = column.missing()
    if column.kind == "unsupported":
        return Column(column.name, "text", reason=column.reason)
    if missing.all():
        return Column(column.name, "constant", has_missing=True, reason="it has no value in any row")
    if column.kind == "text":
        return _infer_text(column, bool(missing.any()))
    values = column.values
    present = values[~np.isnan(values)]
    has_missing = len(present) < len(values)
    if not keep_all:
        if len(present) == 0 or np.ptp(present) == 0:
            # A column whose cells are one value or missing says something only by being missing.
            return Column(column.name, "constant", has_missing=has_missing, reason="it has one value only")
        if column.kind == "number" and features > 1 and _is_identifier(column.name, values):
            return Column(column.name, "identifier", reason="it numbers the rows (an identifier)")
    kind = {"number": "numeric"}.get(column.kind, column.kind)
    return Column(column.name, kind, has_missing=has_missing)


def _infer_text(column: RawColumn, has_missing: bool) -> Column:
    counts = Counter(value for value in column.values if value is not None)
    filled = sum(counts.values())
    if len(counts) == 1:
        return Column(column.name, "constant", has_missing=has_missing, reason="it has one value only")
    if looks_boolean(column.values):
        return Column(column.name, "boolean", has_missing=has_missing)
    unique = len(counts) == filled and filled > 20
    if unique or (len(counts) > MAX_FREE_CATEGORIES and len(counts) > filled / 2):
        kind = "text" if any(" " in value.strip() for value in counts) else "identifier"
        word = "free text" if kind == "text" else "an identifier"
        reason = f"{len(counts)} different values in {filled} rows ({word})"
        return Column(column.name, kind, has_missing=has_missing, reason=reason)
    # The most frequent categories, ties by name, so that the choice does not depend on the order of the rows.
    frequent = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_CATEGORIES]
    return Column(column.name, "categorical", tuple(sorted(frequent)), has_missing)


def _is_identifier(name: str, values: np.ndarray) -> bool:
    if np.isnan(values).any() or not (values == np.round(values)).all():
        return False
    named = bool(_ID_NAME.fullmatch(name) or _ID_CAMEL.fullmatch(name))
    numbered = len(values) >= 20 and values[0] in (0.0, 1.0) and bool((np.diff(values) == 1).all())
    return numbered or (named and len(np.unique(values)) == len(values))


def _category_notes(used: Sequence[Column], features: Sequence[RawColumn]) -> list[str]:
    raw = {column.name: column for column in features}
    notes = []
    for column in used:
        if column.categories is not None and len(column.categories) == MAX_CATEGORIES:
            distinct = len(set(raw[column.name].values.tolist()) - {None})
            if distinct > MAX_CATEGORIES:
                kept = f"its {MAX_CATEGORIES} most frequent of {distinct} values are kept"
                notes.append(f"column {column.name!r}: {kept}")
    return notes


def _listed(categories: tuple[str, ...] | None) -> list[str] | None:
    return None if categories is None else list(categories)


def _tupled(categories: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if categories is None else tuple(categories)
