"""A dataset: a table that follows a schema, with the target to predict."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .columns import RawColumn, as_numbers, as_texts, number_text
from .schema import Schema


@dataclass(frozen=True, eq=False)
class Table:
    """The cells of a schema's used columns.

    Attributes:
        numeric: float64 [rows, columns], NaN = missing: the columns of `Schema.numeric`; a boolean is 0 or 1,
            a date is days since 1970-01-01.
        categorical: object [rows, columns] of str or None: the columns of `Schema.categorical`.

    Example:
        >>> len(Table(np.zeros((3, 2)), np.empty((3, 0), dtype=object)))
        3
    """

    numeric: np.ndarray
    categorical: np.ndarray

    def __len__(self) -> int:
        return len(self.numeric)

    def take(self, rows: np.ndarray) -> "Table":
        """The table at some rows (indices or a mask)."""
        return Table(self.numeric[rows], self.categorical[rows])


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
    """

    name: str
    schema: Schema
    table: Table
    kind: str
    target: np.ndarray
    classes: tuple[str, ...] | None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.table)


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
        numeric[:, place] = as_numbers(columns[column.name], column.kind)
    categorical = np.empty((rows, len(schema.categorical)), dtype=object)
    for place, column in enumerate(schema.categorical):
        categorical[:, place] = as_texts(columns[column.name])
    return Table(numeric, categorical)


def build_target(column: RawColumn, schema: Schema) -> np.ndarray:
    """The target that a raw column holds under a schema.

    Args:
        column: the column, under the name of `schema.target`.
        schema: whose classes the values must be among.

    Returns:
        [rows]: int32 class index with -1 where a cell has no value, or float64 with NaN there.

    Raises:
        DataError: if a value is none of the classes, or is no number where a number is predicted.
    """
    classes = schema.target.categories
    if classes is None:
        return as_numbers(column, "numeric")
    index: dict[str | None, int] = {name: place for place, name in enumerate(classes)}
    index[None] = -1
    texts = as_texts(column)
    try:
        return np.array([index[text] for text in texts], dtype=np.int32)
    except KeyError:
        return _spelled_otherwise(texts, index, column.name, classes)


def _spelled_otherwise(texts: np.ndarray, index: dict, name: str, classes: Sequence[str]) -> np.ndarray:
    """Class indices where a label may write a number in another way ("1.0" for "1")."""
    places = []
    for row, text in enumerate(texts):
        place = index.get(text, index.get(_as_number(text)))
        if place is None:
            close = difflib.get_close_matches(text, classes, n=1)
            hint = f"; did you mean {close[0]!r}" if close else ""
            known = ", ".join(classes[:20]) + (", …" if len(classes) > 20 else "")
            raise DataError(
                f"target {name!r}, row {row + 1}: {text!r} is none of the classes learned ({known}){hint}"
            )
        places.append(place)
    return np.array(places, dtype=np.int32)


def _as_number(text: str) -> str:
    try:
        return number_text(float(text))
    except (ValueError, OverflowError):
        return text
