"""Raw columns: what every door (file, data frame, array) hands over before a schema is known.

One column is a name, a kind and one NumPy array. Numbers, booleans and dates are float64 with NaN for a
missing cell (a date is days since 1970-01-01); text is an object array of `str` or None.
"""

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ...errors import DataError
from .dates import days_of, days_of_numbers
from .numerals import (
    COMMA,
    MOST_ODD,
    NUMERALS,
    POINT,
    Fits,
    is_marker,
    number_reader,
    read_number,
)

#: Cells that mean "no value". Lower-case "none" is left out: it is a category in many tables; so is "-". Among
#: numbers and dates `numerals.MARKERS` mean it too.
MISSING_MARKERS = (
    *("", "NA", "N/A", "n/a", "N.A.", "n.a.", "#N/A", "#NA", "<NA>", "NaT", "None", "?", ".", "--", "\\N"),
    *("NaN", "nan", "NAN", "-NaN", "-nan", "null", "Null", "NULL", "#NULL!", "#VALUE!", "#DIV/0!", "#REF!"),
    *("(null)", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "#N/A N/A"),
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


@dataclass(frozen=True)
class Writing:
    """What is known of the cells of a column before they are read.

    Attributes:
        kind: "" where the cells must tell; "number" of a column of numbers, where only markers and `odd` may be none;
            "text" of one whose cells are values whatever they are, so that it is numbers only if each cell is one.
        style: how its numbers are written, one of `numerals.STYLES`; "" where the cells must tell.
        odd: writings that count as missing.
    """

    kind: str = ""
    style: str = ""
    odd: tuple[str, ...] = ()


@dataclass(frozen=True)
class Odd:
    """The cells of a column of numbers or dates that are none, and count as missing.

    Attributes:
        found: of each such writing, how many cells there are, and the first one's row, from 0.
        filled: cells of the column with a value, these among them.
    """

    found: Mapping[str, tuple[int, int]]
    filled: int


@dataclass(frozen=True, eq=False)
class RawColumn:
    """One column as it was read.

    Attributes:
        name: the column's name.
        kind: "number", "boolean", "date", "text", or "unsupported" (nested or binary values).
        values: float64 [rows] (NaN = missing, never infinite), or for text object [rows] (str or None).
        reason: for "unsupported", what the column holds.
        first: the number in the source, from 0, of the first row held here.
        style: how its numbers were written, one of `numerals.STYLES`; "" where they came as numbers, or are whole
            ones, which do not tell what a point would mean.
        odd: cells that were no numbers and count as missing; None where there were none.
        infinite: how many cells of the source were infinite; they count as missing too.
    """

    name: str
    kind: str
    values: np.ndarray
    reason: str = ""
    first: int = 0
    style: str = ""
    odd: Odd | None = None
    infinite: int = 0

    @property
    def odd_texts(self) -> tuple[str, ...]:
        """The writings of the cells that were no numbers."""
        return tuple(sorted(self.odd.found)) if self.odd is not None else ()

    def missing(self) -> np.ndarray:
        """Which cells have no value, bool [rows]."""
        if self.kind == "text":
            return np.array([value is None for value in self.values], dtype=bool)
        return np.isnan(self.values)

    def take(self, rows: np.ndarray) -> "RawColumn":
        """The column at some rows (indices or a mask)."""
        return dataclasses.replace(self, values=self.values[rows], first=0)


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
                array = np.fromiter(map(known.__getitem__, values), np.float64, len(values))
                infinite = [text for text in different if np.isnan(known[text])]
                count = sum(map(values.tolist().count, infinite))
                return RawColumn(name, kind, array, infinite=count)
    return RawColumn(name, "text", values)


def read_texts(name: str, values: np.ndarray, known: Writing | None = None) -> RawColumn:
    """The column that clean text stands for, where numbers may be written otherwise, and a few cells be none.

    Args:
        name: the column's name.
        values: object [rows] of str or None, as `clean_text` returns.
        known: what is known of it.

    Returns:
        A column of kind "number", "date" or "text"; of numbers, with its style and its odd cells.

    Example:
        >>> read_texts("price", clean_text(["$3.50", "$1,200"])).values.tolist()
        [3.5, 1200.0]
    """
    known = known or Writing()
    counts = Counter(values.tolist())
    del counts[None]
    if known.style in ("", "plain", "unclear"):
        column = type_text(name, values)
        if column.kind != "text":
            pointed = column.kind == "number" and any("." in text for text in counts)
            return dataclasses.replace(column, style=known.style or ("plain" if pointed else ""))
    aside = set() if known.kind == "text" else {t for t in counts if is_marker(t) or t in known.odd}
    read = _read_by_style([text for text in counts if text not in aside], known)
    fits = Fits(
        sum(count for text, count in counts.items() if text not in aside),
        sum(counts[text] for text in aside),
        {style: sum(counts[text] for text in found) for style, found in read.items()},
        any("," in text for text in counts),
        any("." in text for text in read.get("plain", ())),
    )
    style = one_style(fits.best(known.kind == ""), fits.commas)
    if style is None:
        return RawColumn(name, "text", values)
    numbers: dict[str | None, float] = {None: np.nan, **read[style]}
    odd = [text for text in counts if text not in numbers]
    if odd and known.kind == "":
        slips = [text for text in odd if text not in aside]
        if len(slips) > MOST_ODD or len({value for value in numbers.values() if value == value}) < 2:
            return RawColumn(name, "text", values)
    first = dict.fromkeys(odd, 0)
    for row in range(len(values) - 1, -1, -1) if odd else ():
        if values[row] in first:
            first[values[row]] = row
    numbers |= dict.fromkeys(odd, np.nan)
    array = np.fromiter(map(numbers.__getitem__, values), np.float64, len(values))
    found = {text: (counts[text], first[text]) for text in odd}
    if style == "plain":
        style = known.style or ("plain" if fits.points else "")
    return RawColumn(
        name, "number", array, style=style, odd=Odd(found, sum(counts.values())) if odd else None
    )


def _read_by_style(texts: Collection[str], known: Writing) -> dict[str, dict[str, float]]:
    """The texts that are numbers, with these, for each style that the column may have."""
    if known.style:
        styles = ("plain",) if known.style == "unclear" else (known.style,)
    else:
        styles = ("plain", *NUMERALS)
    found = {}
    for style in styles:
        numbers = ((text, number_reader(style)(text)) for text in texts)
        found[style] = {text: number for text, number in numbers if number is not None}
    return found


def one_style(styles: Collection[str], commas: bool) -> str | None:
    """The style that is meant where a column fits several; None where a comma may be a point or hold thousands."""
    for plain, point, comma in (("plain", "point", "comma"), ("plain", "point %", "comma %")):
        if plain in styles:
            return plain
        if point in styles and comma in styles and commas:
            return None
        if chosen := next((style for style in (point, comma) if style in styles), None):
            return chosen
    return None


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


def as_numbers(column: RawColumn, kind: str, style: str = "", odd: Collection[str] = ()) -> np.ndarray:
    """The column as float64 [rows], NaN where a cell has no value.

    Args:
        column: the column as read.
        kind: what it must hold: "numeric", "boolean" or "date".
        style: how dates are written, one of `dates.STYLES`, or numbers, one of `numerals.STYLES`.
        odd: writings of a cell that count as missing, besides the usual markers.

    Returns:
        The numbers; booleans are 0 and 1, dates are days since 1970-01-01.

    Raises:
        DataError: if a cell cannot be read so; the message names the cell.
    """
    if column.missing().all():
        return np.full(len(column.values), np.nan)
    if column.kind == "text":
        return _parsed(column, kind, style, odd)
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


def finite(values: np.ndarray) -> np.ndarray:
    """The values with infinities, which no network can read, counted as missing."""
    return np.where(np.isinf(values), np.nan, values)


def number_column(name: str, values: np.ndarray) -> RawColumn:
    """A column of numbers, of which infinite ones count as missing."""
    return RawColumn(name, "number", finite(values), infinite=int(np.isinf(values).sum()))


def looks_boolean(texts: np.ndarray) -> bool:
    """Whether every value of a text column is true or false, in any case."""
    return {text.lower() for text in set(texts.tolist()) if text is not None} <= _BOOLEANS


def _objects(cells: list) -> np.ndarray:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def _parsed(column: RawColumn, kind: str, style: str, odd: Collection[str]) -> np.ndarray:
    """Text cells as numbers, each different cell read once."""
    parse = {
        "numeric": number_reader(style),
        "boolean": _truth,
        "date": lambda text: days_of(text, style),
    }[kind]
    known: dict[str | None, float | None] = {
        text: parse(text) for text in set(column.values) if text is not None
    }
    bad = {text for text, number in known.items() if number is None}
    if kind != "boolean":
        missing = {text for text in bad if text is not None and (text in odd or is_marker(text))}
        known |= dict.fromkeys(missing, np.nan)
        bad -= missing
    if bad:
        row = next(row for row, text in enumerate(column.values) if text in bad)
        word = {"numeric": _style_word(style), "boolean": "true or false", "date": "date"}[kind]
        raise DataError(
            f"column {column.name!r}, row {column.first + row + 1}: {column.values[row]!r} is no {word}; "
            f"the column is {kind}, so {_todo(column.values[row], kind, style)}"
        )
    known[None] = np.nan
    return np.fromiter(map(known.__getitem__, column.values), np.float64, len(column.values))


def _style_word(style: str) -> str:
    """What a cell of a column of numbers must be."""
    sign = " and a percent sign" if style.endswith("%") else ""
    point = {"comma": "comma", "point": "point", "plain": "point"}.get(style.removesuffix(" %"))
    return f"number with a decimal {point}{sign}" if point else "number"


def _todo(cell: str, kind: str, style: str) -> str:
    if kind == "numeric" and style == "" and COMMA.read(cell) is not None and POINT.read(cell) is not None:
        return "say what its comma is: 'decimal-comma' or 'decimal-point' in place of 'numeric'"
    if kind == "numeric" and style == "unclear" and COMMA.read(cell) is not None:
        return "say in training what its points are: 'decimal-comma' or 'decimal-point'"
    return "correct the cell or leave it empty"


def _truth(text: str) -> float | None:
    return _TRUTH.get(text.lower())


def _date_text(days: float) -> str:
    return str(np.datetime64("1970-01-01") + np.timedelta64(int(np.floor(days)), "D"))
