"""What a user says a column is: its kind, or a role that it has for its row in place of being an input."""

import difflib
import re
from collections.abc import Iterable, Mapping

import numpy as np

from ..errors import DataError, UsageError, one_of
from .read.columns import RawColumn, Writing, as_numbers, as_texts
from .read.dates import date_style
from .schema import KINDS, ROLES

#: What `columns` may say of how a column's numbers are written, and the style that it means.
DECIMALS = {"decimal-comma": "comma", "decimal-point": "point"}
#: What `columns` may say of a column; "text:N" hashes its words into N inputs.
COLUMN_WORDS = (*KINDS, "text:N", *DECIMALS, "day-first", "month-first", "ignore", *ROLES)
#: What a split column may say of a row, and the part that it means.
PARTS = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("validation", "valid", "val", "dev"), 1),
    **dict.fromkeys(("test", "testing"), 2),
}

_SIZED = re.compile(r"text:[1-9]\d{0,5}")


def read_columns(
    columns: Mapping[str, str] | None, names: Iterable[str], target: str | None = None
) -> dict[str, str]:
    """The words of `columns`, checked.

    Args:
        columns: what some columns are, one of `COLUMN_WORDS` by name.
        names: the columns that there are.
        target: the column to predict.

    Returns:
        The mapping; "identifier" and "constant" are "ignore".

    Raises:
        UsageError: if a name is no column, a word is not known, or two columns have one role.

    Example:
        >>> read_columns({"zip": "categorical", "row": "identifier"}, ["zip", "row", "y"], "y")
        {'zip': 'categorical', 'row': 'ignore'}
    """
    names = list(names)
    read: dict[str, str] = {}
    unknown = [name for name in columns or {} if name not in names]
    if unknown:
        close = difflib.get_close_matches(unknown[0], names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        shown = ", ".join(names[:40]) + (f", … ({len(names)} in all)" if len(names) > 40 else "")
        noun = "is no column" if len(unknown) == 1 else "are no columns"
        quoted = ", ".join(repr(name) for name in unknown)
        raise UsageError(f"columns: {quoted} {noun}; the columns are: {shown}{hint}")
    for name, word in (columns or {}).items():
        if name == target and word not in DECIMALS:
            raise UsageError(
                f"columns: {name!r} is the target; use kind=… to say what it is ({' and '.join(map(repr, DECIMALS))} "
                "say of a target too how its numbers are written)"
            )
        if word in ("identifier", "constant"):
            word = "ignore"
        if word not in COLUMN_WORDS and not (isinstance(word, str) and _SIZED.fullmatch(word)):
            raise one_of(f"columns: {name}", word, COLUMN_WORDS)
        if word in ROLES and word in read.values():
            other = next(n for n, w in read.items() if w == word)
            raise UsageError(
                f"columns: {other!r} and {name!r} both are {word!r}; give that role to one column"
            )
        read[name] = "text" if word == "text:N" else word
    return read


def asked_writings(columns: Mapping[str, str] | None, target: str | None = None) -> dict[str, Writing]:
    """What `columns` says of the cells, before they are read; those of the target are values whatever they are."""
    read = {word: Writing() for word in ("numeric", "date", "day-first", "month-first", "weight", "time")}
    read |= {word: Writing(style=style) for word, style in DECIMALS.items()}
    named = {name: read.get(str(word), Writing("text", "plain")) for name, word in (columns or {}).items()}
    style = named.get(target, Writing()).style if target is not None else ""
    own = Writing("number", style) if style in DECIMALS.values() else Writing("text")
    return named if target is None else {**named, target: own}


def row_weights(column: RawColumn) -> np.ndarray:
    """The weight of each row, float64 [rows]; a `DataError` where one is missing or below 0."""
    weights = as_numbers(column, "numeric")
    bad = np.flatnonzero(~(weights >= 0))
    if len(bad):
        said = "has no value" if np.isnan(weights[bad[0]]) else f"is {weights[bad[0]]:g}"
        raise DataError(
            f"column {column.name!r}, row {column.first + bad[0] + 1}: the weight {said}; "
            "give a number from 0 up in each row"
        )
    if not weights.any():
        raise DataError(f"column {column.name!r}: every weight is 0; give some rows a weight above 0")
    return weights


def row_groups(column: RawColumn) -> np.ndarray:
    """The number of each row's group, int64 [rows]; a row without one is a group of its own."""
    missing = column.missing()
    _, groups = np.unique(as_texts(column)[~missing].astype(str), return_inverse=True)
    found = np.empty(len(missing), dtype=np.int64)
    found[~missing] = groups
    found[missing] = groups.max(initial=-1) + 1 + np.arange(missing.sum())
    return found


def row_times(column: RawColumn) -> np.ndarray:
    """The time of each row, float64 [rows]: a number, or days since 1970-01-01; NaN where it has none."""
    if column.kind in ("number", "date"):
        return column.values
    style = date_style(set(column.values.tolist()) - {None}) if column.kind == "text" else None
    if style is None:
        raise DataError(
            f"column {column.name!r} is no time: its cells are neither all numbers nor all dates "
            "(write dates as 2024-01-31)"
        )
    return as_numbers(column, "date", style)


def row_parts(column: RawColumn) -> np.ndarray:
    """The part that each row is for, int8 [rows]: 0 training, 1 validation, 2 test, -1 where it is empty."""
    texts = as_texts(column)
    parts = {None: -1, **{text: PARTS.get(text.lower(), -2) for text in set(texts.tolist()) - {None}}}
    unknown = {text for text, part in parts.items() if part == -2}
    if unknown:
        row = next(row for row, text in enumerate(texts) if text in unknown)
        raise DataError(
            f"column {column.name!r}, row {row + 1}: {texts[row]!r} is no part; "
            "write train, validation or test, or leave it empty to leave it to chance"
        )
    return np.fromiter(map(parts.__getitem__, texts), np.int8, len(texts))
