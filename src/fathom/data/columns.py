"""Raw columns: what every door (file, data frame, array) hands over before a schema is known.

One column is a name, a kind and one NumPy array. Numbers, booleans and dates are float64 with NaN for a
missing cell (a date is days since 1970-01-01); text is an object array of `str` or None.
"""

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..errors import DataError

#: Cells that mean "no value". Lower-case "none" is left out: it is a category in many tables.
MISSING_MARKERS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "?", "None")
#: What is stripped from both ends of a text cell.
BLANKS = " \t\r\n"
#: A date starts with a year of four digits; day-first and month-first writings are ambiguous and stay text.
DATE_PATTERN = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T].*)?$"

_DATE = re.compile(DATE_PATTERN, re.DOTALL)
_MARKERS = frozenset(MISSING_MARKERS)
_TRUTH = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, eq=False)
class RawColumn:
    """One column as it was read.

    Attributes:
        name: the column's name.
        kind: "number", "boolean", "date", "text", or "unsupported" (nested or binary values).
        values: float64 [rows] (NaN = missing, never infinite), or for text object [rows] (str or None).
        reason: for "unsupported", what the column holds.
    """

    name: str
    kind: str
    values: np.ndarray
    reason: str = ""

    def missing(self) -> np.ndarray:
        """Which cells have no value, bool [rows]."""
        if self.kind == "text":
            return np.array([value is None for value in self.values], dtype=bool)
        return np.isnan(self.values)

    def take(self, rows: np.ndarray) -> "RawColumn":
        """The column at some rows (indices or a mask)."""
        return RawColumn(self.name, self.kind, self.values[rows], self.reason)


def unsupported(name: str, rows: int, reason: str) -> RawColumn:
    """A column that cannot be used, with the reason."""
    return RawColumn(name, "unsupported", np.full(rows, np.nan), reason)


def clean_text(values: Iterable[object]) -> np.ndarray:
    """Text cells without outer blanks, None where a cell is a missing marker.

    Args:
        values: cells of any type; what is no text is written as Python writes it.

    Returns:
        Object array [rows] of str or None.

    Example:
        >>> list(clean_text([" a ", "?", None, float("nan"), 3]))
        ['a', None, None, None, '3']
    """
    cells: list[str | None] = []
    for value in values:
        if value is None:
            cells.append(None)
            continue
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        text = text.strip(BLANKS)
        cells.append(None if text in _MARKERS else text)
    return _objects(cells)


def type_text(name: str, values: np.ndarray) -> RawColumn:
    """The column that clean text stands for: numbers or dates if every cell is one, else text.

    Args:
        name: the column's name.
        values: object [rows] of str or None, as `clean_text` returns.

    Returns:
        A column of kind "number", "date" or "text". A column without any value is text.
    """
    for kind, parse in (("number", _number), ("date", _days)):
        numbers = np.full(len(values), np.nan)
        seen = False
        for row, text in enumerate(values):
            if text is None:
                continue
            number = parse(text)
            if number is None:
                break
            numbers[row], seen = number, True
        else:
            if seen:
                return RawColumn(name, kind, numbers)
    return RawColumn(name, "text", values)


def number_text(value: float) -> str:
    """A number as a category writes it: whole numbers without a point.

    Example:
        >>> number_text(3.0), number_text(2.5)
        ('3', '2.5')
    """
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def as_texts(column: RawColumn) -> np.ndarray:
    """The column as categories, object [rows] of str or None."""
    if column.kind == "text":
        return column.values
    write = {"boolean": lambda value: str(bool(value)), "date": _date_text}.get(column.kind, number_text)
    return _objects([None if np.isnan(value) else write(value) for value in column.values])


def as_numbers(column: RawColumn, kind: str) -> np.ndarray:
    """The column as float64 [rows], NaN where a cell has no value.

    Args:
        column: the column as read.
        kind: what it must hold: "numeric", "boolean" or "date".

    Returns:
        The numbers; booleans are 0 and 1, dates are days since 1970-01-01.

    Raises:
        DataError: if a cell cannot be read so; the message names the cell.
    """
    if column.missing().all():
        return np.full(len(column.values), np.nan)
    if column.kind == "text":
        parse = {"numeric": _number, "boolean": _truth, "date": _days}[kind]
        return np.array([np.nan if v is None else _parsed(column.name, v, r, parse, kind)
                         for r, v in enumerate(column.values)])  # fmt: skip
    fits = {"numeric": ("number", "boolean"), "boolean": ("boolean", "number"), "date": ("date",)}[kind]
    if column.kind not in fits:
        raise DataError(
            f"column {column.name!r} holds {column.kind} values; it must hold {kind} ones, as in training"
        )
    values = column.values
    if kind == "boolean" and not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
        raise DataError(
            f"column {column.name!r} holds numbers other than 0 and 1; it must be boolean, as in training"
        )
    return values


def finite(values: np.ndarray) -> np.ndarray:
    """The values with infinities, which no network can read, counted as missing."""
    return np.where(np.isinf(values), np.nan, values)


def looks_boolean(texts: np.ndarray) -> bool:
    """Whether every value of a text column is true or false, in any case."""
    return {text.lower() for text in set(texts.tolist()) if text is not None} <= set(_TRUTH)


def _objects(cells: list) -> np.ndarray:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def _parsed(name: str, text: str, row: int, parse, kind: str) -> float:
    number = parse(text)
    if number is None:
        word = {"numeric": "number", "boolean": "true or false", "date": "date"}[kind]
        raise DataError(f"column {name!r}, row {row + 1}: {text!r} is no {word}; the column is {kind}")
    return number


def _number(text: str) -> float | None:
    # Python also reads "1_000" and digits of other scripts, which the file reader does not.
    if "_" in text or not text.isascii():
        return None
    try:
        return float(finite(np.array(float(text))))
    except ValueError:
        return None


def _truth(text: str) -> float | None:
    return _TRUTH.get(text.lower(), {"1": 1.0, "0": 0.0}.get(text))


def _days(text: str) -> float | None:
    if not _DATE.match(text):
        return None
    day, _, rest = text.replace("/", "-", 2).replace("T", " ", 1).partition(" ")
    iso = "-".join(part.zfill(2) for part in day.split("-"))
    try:
        moment = datetime.datetime.fromisoformat(f"{iso} {rest}" if rest else iso)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return (moment - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)


def _date_text(days: float) -> str:
    return str(np.datetime64("1970-01-01") + np.timedelta64(int(np.floor(days)), "D"))
