"""Raw columns: what every door (file, data frame, array) hands over before a schema is known.

One column is a name, a kind and one NumPy array. Numbers, booleans and dates are float64 with NaN for a
missing cell (a date is days since 1970-01-01); text is an object array of `str` or None.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...errors import DataError
from .dates import days_of, days_of_numbers

#: Cells that mean "no value". Lower-case "none" is left out: it is a category in many tables; so is "-".
MISSING_MARKERS = (
    *("", "NA", "N/A", "n/a", "N.A.", "n.a.", "#N/A", "#NA", "<NA>", "NaT", "None", "?", ".", "--", "\\N"),
    *("NaN", "nan", "NAN", "-NaN", "-nan", "null", "Null", "NULL", "#NULL!", "#VALUE!", "#DIV/0!", "#REF!"),
)
#: What is stripped from both ends of a text cell.
BLANKS = " \t\r\n"
#: What a file reader may take for a date at once; every other writing stays text until the schema is inferred.
DATE_PATTERN = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T][0-9:.]*)?$"
#: What pandas calls a level of its index that has no name, where it has to write it as a column.
UNNAMED_INDEX = r"__index_level_\d+__"

_MARKERS = frozenset(MISSING_MARKERS)
_BOOLEANS = {"true", "false"}
_WORDS = {"numeric": "numbers", "boolean": "true or false", "date": "dates"}
_TRUTH = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), 1.0),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), 0.0),
}


@dataclass(frozen=True, eq=False)
class RawColumn:
    """One column as it was read.

    Attributes:
        name: the column's name.
        kind: "number", "boolean", "date", "text", or "unsupported" (nested or binary values).
        values: float64 [rows] (NaN = missing, never infinite), or for text object [rows] (str or None).
        reason: for "unsupported", what the column holds.
        first: the number in the source, from 0, of the first row held here.
    """

    name: str
    kind: str
    values: np.ndarray
    reason: str = ""
    first: int = 0

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
    different = set(values.tolist()) - {None}
    for kind, parse in (("number", read_number), ("date", days_of)):
        known: dict[str | None, float] = {None: np.nan}
        for text in different:
            number = parse(text)
            if number is None:
                break
            known[text] = number
        else:
            if different:
                return RawColumn(
                    name, kind, np.fromiter(map(known.__getitem__, values), np.float64, len(values))
                )
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
    different, places = np.unique(column.values, return_inverse=True)
    return _objects([None if np.isnan(value) else write(value) for value in different])[places]


def as_numbers(column: RawColumn, kind: str, style: str = "") -> np.ndarray:
    """The column as float64 [rows], NaN where a cell has no value.

    Args:
        column: the column as read.
        kind: what it must hold: "numeric", "boolean" or "date".
        style: how dates are written, one of `dates.STYLES`.

    Returns:
        The numbers; booleans are 0 and 1, dates are days since 1970-01-01.

    Raises:
        DataError: if a cell cannot be read so; the message names the cell.
    """
    if column.missing().all():
        return np.full(len(column.values), np.nan)
    if column.kind == "text":
        return _parsed(column, kind, style)
    if column.kind == "number" and kind == "date" and style:
        days = days_of_numbers(column.values, style)
        if days is not None:
            return days
    fits = {"numeric": ("number", "boolean"), "boolean": ("boolean", "number"), "date": ("date",)}[kind]
    if column.kind not in fits:
        held = column.reason or f"{column.kind} values"
        raise DataError(f"column {column.name!r} holds {held}; it must hold {_WORDS[kind]}")
    values = column.values
    if kind == "boolean" and not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
        raise DataError(f"column {column.name!r} holds numbers other than 0 and 1; it must be true or false")
    return values


def read_number(text: str) -> float | None:
    """The number that a text is, NaN for an infinite one; None for other text.

    Python also reads "1_000" and digits of other scripts; the file reader does not, and neither does this.
    """
    if "_" in text or not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return np.nan if np.isinf(number) else number


def finite(values: np.ndarray) -> np.ndarray:
    """The values with infinities, which no network can read, counted as missing."""
    return np.where(np.isinf(values), np.nan, values)


def looks_boolean(texts: np.ndarray) -> bool:
    """Whether every value of a text column is true or false, in any case."""
    return {text.lower() for text in set(texts.tolist()) if text is not None} <= _BOOLEANS


def _objects(cells: list) -> np.ndarray:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def _parsed(column: RawColumn, kind: str, style: str) -> np.ndarray:
    """Text cells as numbers, each different cell read once."""
    parse = {"numeric": read_number, "boolean": _truth, "date": lambda text: days_of(text, style)}[kind]
    known: dict[str | None, float | None] = {
        text: parse(text) for text in set(column.values) if text is not None
    }
    bad = {text for text, number in known.items() if number is None}
    if bad:
        row = next(row for row, text in enumerate(column.values) if text in bad)
        word = {"numeric": "number", "boolean": "true or false", "date": "date"}[kind]
        raise DataError(
            f"column {column.name!r}, row {column.first + row + 1}: {column.values[row]!r} is no {word}; "
            f"the column is {kind}, "
            "so correct the cell or leave it empty"
        )
    known[None] = np.nan
    return np.fromiter(map(known.__getitem__, column.values), np.float64, len(column.values))


def _truth(text: str) -> float | None:
    return _TRUTH.get(text.lower())


def _date_text(days: float) -> str:
    return str(np.datetime64("1970-01-01") + np.timedelta64(int(np.floor(days)), "D"))
