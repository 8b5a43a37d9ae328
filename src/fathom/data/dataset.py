"""A dataset: a table that follows a schema, with the target to predict."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .read.columns import RawColumn, Writing, as_numbers, as_texts, number_text, read_number
from .read.numerals import UNCLEAR_COMMAS
from .schema import Column, Schema
from .words import bucket

if TYPE_CHECKING:
    from .suspicions import Suspicion


@dataclass(frozen=True, eq=False)
class Table:
    """The cells of a schema's used columns.

    Attributes:
        numeric: float64 [rows, columns], NaN = missing: the columns of `Schema.numeric`; a boolean is 0 or 1,
            a date is days since 1970-01-01.
        categorical: int32 [rows, columns], the columns of `Schema.categorical`: with k categories and b hashed
            slots, 0 to k - 1 is a category, k to k + max(b, 1) - 1 is where values beyond them share (b = 0:
            one slot for all), and k + max(b, 1) = `Column.slots` - 1 is a missing cell.
        text: object [rows, columns] of str or None: the columns of `Schema.text`; no columns if not given.

    Example:
        >>> len(Table(np.zeros((3, 2)), np.zeros((3, 0), dtype=np.int32)))
        3
    """

    numeric: np.ndarray
    categorical: np.ndarray
    text: np.ndarray = None  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        if self.text is None:
            object.__setattr__(self, "text", np.empty((len(self.numeric), 0), dtype=object))

    def __len__(self) -> int:
        return len(self.numeric)

    def take(self, rows: np.ndarray | slice) -> "Table":
        """The table at some rows (indices, a mask, or a slice, which copies nothing)."""
        return Table(self.numeric[rows], self.categorical[rows], self.text[rows])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with a schema.

    Attributes:
        name: what it is called in reports.
        schema: what each column is.
        table: the cells of the used columns.
        kind: "classification" or "regression".
        target: [rows]: int32 class index, or float64.
        classes: the name of each class; None for regression.
        notes: one sentence for each thing a user should hear (columns ignored, rows dropped).
        weight: float64 [rows], how much each row counts, none below 0; None where all count the same.
        group: int64 [rows], the number of the row's group, whose rows stay on one side of a split; or None.
        time: float64 [rows], when the row was (a number, or days since 1970-01-01), to split by; or None.
        part: int8 [rows], what a row is for: 0 training, 1 validation, 2 test, -1 left to chance; or None.
        shape: how the inputs of one example are arranged, where they are an image; () otherwise.
        asked: the kind of task, where the user named it; None where it was inferred.
    """

    name: str
    schema: Schema
    table: Table
    kind: str
    target: np.ndarray
    classes: tuple[str, ...] | None
    notes: tuple[str, ...] = ()
    weight: np.ndarray | None = None
    group: np.ndarray | None = None
    time: np.ndarray | None = None
    part: np.ndarray | None = None
    shape: tuple[int, ...] = ()
    asked: str | None = None

    def __len__(self) -> int:
        return len(self.table)

    @property
    def rows_in_all(self) -> int:
        """Rows that have a target, those that are not in memory included."""
        return len(self)

    @cached_property
    def suspicions(self) -> "tuple[Suspicion, ...]":
        """What about the data is worth a look before training, each with what to do; found when first asked."""
        from .suspicions import find_suspicions

        return find_suspicions(self)


def writing_of(column: Column) -> Writing:
    """What a schema's column says of the cells of new data, before they are read."""
    if column.kind in ("numeric", "weight") or (column.kind == "target" and column.categories is None):
        return Writing("number", column.style, column.odd)
    if column.kind in ("date", "time"):
        return Writing("number", odd=column.odd)
    written = column.kind == "target" and column.style not in ("", UNCLEAR_COMMAS)
    return Writing("text", column.style if written else "plain")


def writings(schema: Schema) -> dict[str, Writing]:
    """What a schema says of the cells of new data, by the name of the column."""
    return {column.name: writing_of(column) for column in (*schema.ignored, *schema.columns, schema.target)}


def build_table(columns: Mapping[str, RawColumn], schema: Schema) -> Table:
    """The table that raw columns hold under a schema.

    Args:
        columns: raw columns by name; others than the schema's are passed over.
        schema: what each column must be.

    Returns:
        The table, columns in the order of the schema.

    Raises:
        DataError: if a cell cannot be read as the schema says.
    """
    rows = len(next(iter(columns.values())).values)
    numeric = np.empty((rows, len(schema.numeric)))
    for place, column in enumerate(schema.numeric):
        numeric[:, place] = as_numbers(columns[column.name], column.kind, column.style, column.odd)
    categorical = np.empty((rows, len(schema.categorical)), dtype=np.int32)
    for place, column in enumerate(schema.categorical):
        categorical[:, place] = _codes(as_texts(columns[column.name]), column)
    text = np.empty((rows, len(schema.text)), dtype=object)
    for place, column in enumerate(schema.text):
        text[:, place] = as_texts(columns[column.name])
    return Table(numeric, categorical, text)


def build_target(column: RawColumn, schema: Schema) -> np.ndarray:
    """The target that a raw column holds under a schema.

    Args:
        column: the column, under the name of `schema.target`.
        schema: whose classes the values must be among; a label may write a number in another way ("1.0" for
            "1").

    Returns:
        [rows]: int32 class index with -1 where a cell has no value, or float64 with NaN there.

    Raises:
        DataError: if a value is none of the classes, or is no number where a number is predicted.
    """
    classes = schema.target.categories
    if classes is None:
        return as_numbers(column, "numeric", schema.target.style)
    texts = as_texts(column)
    places = {name: place for place, name in enumerate(classes)}
    index: dict[str | None, int | None] = {None: -1}
    for text in set(texts.tolist()) - {None}:
        index[text] = places.get(text, places.get(_plain_number(text)))
    unknown = {text for text, place in index.items() if place is None}
    if unknown:
        row = next(row for row, text in enumerate(texts) if text in unknown)
        close = difflib.get_close_matches(texts[row], classes, n=1)
        hint = f"; did you mean {close[0]!r}" if close else ""
        known = ", ".join(classes[:20]) + (", …" if len(classes) > 20 else "")
        raise DataError(
            f"target {column.name!r}, row {column.first + row + 1}: {texts[row]!r} is none of the classes learned "
            f"({known}){hint}"
        )
    return np.fromiter(map(index.__getitem__, texts), np.int32, len(texts))


def _codes(texts: np.ndarray, column: Column) -> np.ndarray:
    """The slot of each cell of a categorical column, as `Table.categorical` has it."""
    places = {name: place for place, name in enumerate(column.categories or ())}
    index: dict[str | None, int] = {None: column.slots - 1}
    for text in set(texts.tolist()) - {None}:
        # A number may be written in another way than it was in training: "02" for "2".
        place = places.get(text, places.get(_plain_number(text)))
        if place is None:
            place = len(places) + (bucket(text, column.buckets) if column.buckets else 0)
        index[text] = place
    return np.fromiter(map(index.__getitem__, texts), np.int32, len(texts))


def _plain_number(text: str) -> str:
    number = read_number(text)
    return text if number is None or np.isnan(number) else number_text(number)
