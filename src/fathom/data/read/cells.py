"""How each column of the table of cells is read: as numbers, dates or text, by what all its cells fit."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import (
    BLANKS,
    DATE_PATTERN,
    MISSING_MARKERS,
    Odd,
    RawColumn,
    Writing,
    finite,
    one_style,
)
from .database import CELLS, aggregates, literal
from .numerals import MARKERS, MOST_ODD, NUMERALS, Fits, is_marker

if TYPE_CHECKING:
    import duckdb

_NUMBER_TYPES = re.compile(
    r"^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|REAL|DOUBLE|U?INT(128)?|BIGNUM)$"
)
_DATE_TYPES = re.compile(r"^(DATE|TIMESTAMP.*)$")
_SPAN_TYPES = re.compile(r"^(INTERVAL|TIME.*)$")
TEXT_TYPES = re.compile(r"^(VARCHAR|ENUM.*|UUID|\"?NULL\"?)$")

_TRIAL = 1000  # rows that show which ways to write numbers are worth a look at all rows
_MOST_LISTED = 1000  # writings of cells that are no numbers
_THOUSANDS = r"[+-]?[1-9]\d{0,2}\.\d{3}"
_LEAST_UNCLEAR = 3  # numbers such as 1.234 in a column
_WITH_COMMA = {"plain": "comma", "point": "comma", "point %": "comma %"}


@dataclass(frozen=True)
class Cell:
    """How a column of the table of cells is read.

    Attributes:
        kind: as of `RawColumn`.
        sql: its value as DuckDB reads it; empty for a column that cannot be used.
        reason: why it cannot be used.
        style: as of `RawColumn`, and so is `odd`.
    """

    kind: str
    sql: str = ""
    reason: str = ""
    style: str = ""
    odd: Odd | None = None


@dataclass(frozen=True)
class TextKind:
    """What a column of text is: "number" with its style, "date" or "text".

    Attributes:
        kind: one of these.
        style: how numbers are written.
        odd: cells that are no numbers.
        gaps: whether there may be such cells.
    """

    kind: str
    style: str = ""
    odd: Odd | None = None
    gaps: bool = False

    def sql(self, cell: str) -> str:
        """The SQL of a text cell as what it is."""
        if self.kind == "number":
            return _number_sql(self.style, cell, self.gaps)
        return f"CAST({cell} AS {'TIMESTAMP' if self.kind == 'date' else 'VARCHAR'})"


def cells_of(
    connection: "duckdb.DuckDBPyConnection",
    names: Sequence[str],
    delimiter: str,
    expected: Mapping[str, Writing],
    row: str = "rowid",
) -> list[Cell]:
    """How each column of the table of cells is read: text as numbers or dates where its cells are such.

    Args:
        connection: holds the table of cells.
        names: the columns' names; columns beyond them are not looked at.
        delimiter: the delimiter of the file; a comma where it has none.
        expected: what is known of some columns, by name.
        row: the SQL of a row's number.
    """
    types = [found[1] for found in connection.execute(f"DESCRIBE {CELLS}").fetchall()][: len(names)]
    texts = {place: names[place] for place, kind in enumerate(types) if TEXT_TYPES.match(kind)}
    kinds = text_kinds(connection, texts, delimiter, expected, row)
    cells = []
    for place, kind in enumerate(types):
        cell = f"c{place}"
        if place in kinds:
            text = kinds[place]
            cells.append(_cell(text.kind, text.sql(cell), text.style, text.odd))
        elif _NUMBER_TYPES.match(kind):
            cells.append(_cell("number", cell))
        elif kind == "BOOLEAN":
            cells.append(_cell("boolean", cell))
        elif _DATE_TYPES.match(kind):
            cells.append(_cell("date", cell))
        elif _SPAN_TYPES.match(kind):
            cells.append(_cell("number", f"epoch({cell})"))
        else:
            cells.append(Cell("unsupported", reason=f"its values are of type {kind}"))
    return cells


def text_kinds(
    connection: "duckdb.DuckDBPyConnection",
    texts: Mapping[int, str],
    delimiter: str,
    expected: Mapping[str, Writing],
    row: str = "rowid",
) -> dict[int, TextKind]:
    """What each text column is, by its place; arguments as for `cells_of`, `texts` the names by place."""
    if not texts:
        return {}
    known = {f"c{place}": expected.get(name, Writing()) for place, name in texts.items()}
    asked = {
        cell: f"count({cell}), count({_as_double(cell)}), count({_as_date(cell)}), "
        f"coalesce(bool_or(contains({cell}, '.')), false)"
        for cell in known
    }
    found = aggregates(connection, asked)
    kinds: dict[str, TextKind] = {}
    plain: dict[str, bool] = {}  # whether some cell holds a point
    for order, cell in enumerate(known):
        filled, numbers, dates, points = found[4 * order : 4 * order + 4]
        if numbers == filled > 0 and known[cell].style not in NUMERALS:
            plain[cell] = points
        else:
            kinds[cell] = TextKind("date" if dates == filled > 0 else "text")
    fits = _fits(connection, {cell: known[cell] for cell, kind in kinds.items() if kind.kind == "text"})
    styles = _styles(connection, fits, plain, known, delimiter)
    for cell, style in styles.items():
        kinds[cell] = _with_odd(connection, cell, style, fits.get(cell), known[cell], row)
    return {place: kinds[f"c{place}"] for place in texts}


def raw_column(name: str, cell: Cell, values: Any) -> RawColumn:
    """A column from what DuckDB fetched of it."""
    if cell.kind != "text":
        numbers = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
        infinite = int(np.isinf(numbers).sum())
        return RawColumn(name, cell.kind, finite(numbers), style=cell.style, odd=cell.odd, infinite=infinite)
    cells = np.array(np.ma.getdata(values), dtype=object)
    cells[np.ma.getmaskarray(np.ma.asarray(values))] = None
    return RawColumn(name, "text", cells)


def clean_sql(cell: str) -> str:
    """The SQL of a text cell without outer blanks, NULL where it is a missing marker."""
    trimmed = f"trim({cell}, {literal(BLANKS)})"
    # Not IN: DuckDB makes a join of a list this long, and a join does not keep the order of the rows.
    # Nor a WHEN for each: that takes 2 MB a column.
    marker = literal("|".join(map(re.escape, MISSING_MARKERS)))
    return f"(CASE WHEN regexp_full_match({trimmed}, {marker}) THEN NULL ELSE {trimmed} END)"


def _cell(kind: str, cell: str, style: str = "", odd: Odd | None = None) -> Cell:
    read = {
        "number": f"CAST({cell} AS DOUBLE)",
        "boolean": f"CAST({cell} AS DOUBLE)",
        # Of a moment in a time zone these are the microseconds in UTC.
        "date": f"epoch_us({cell}) / 86400000000.0",
        "text": f"CAST({cell} AS VARCHAR)",
    }
    return Cell(kind, read[kind], style=style, odd=odd)


def _fits(connection: "duckdb.DuckDBPyConnection", known: Mapping[str, Writing]) -> dict[str, Fits]:
    """How many cells of each column fit each way to write numbers, of the columns where many do."""
    trial = _counted(connection, known, _TRIAL)
    some = {}
    for cell, fits in trial.items():
        most, tolerant = max(fits.counts.values()), known[cell].kind == ""
        if most >= (0.5 * fits.filled if tolerant else fits.filled):
            some[cell] = known[cell]
    return _counted(connection, some, None)


def _counted(
    connection: "duckdb.DuckDBPyConnection", known: Mapping[str, Writing], rows: int | None
) -> dict[str, Fits]:
    asked, styles = {}, {}
    for cell, writing in known.items():
        aside, pointed = _aside_sql(cell, writing), f"{_fit_sql('plain', cell)} AND contains({cell}, '.')"
        own = "plain" if writing.style == "unclear" else writing.style
        styles[cell] = (own,) if own else ("plain", *NUMERALS)
        counts = [_count(f"NOT {aside} AND {_fit_sql(style, cell)}") for style in styles[cell]]
        asked[cell] = (
            f"count({cell}), {_count(aside)}, coalesce(bool_or(contains({cell}, ',')), false), "
            f"{_count(pointed)}, " + ", ".join(counts)
        )
    answer, found = iter(aggregates(connection, asked, rows)), {}
    for cell in known:
        filled, markers, commas, points = (next(answer) for _ in range(4))
        counts = {style: next(answer) for style in styles[cell]}
        found[cell] = Fits(filled - markers, markers, counts, commas, points > 0)
    return found


def _styles(
    connection: "duckdb.DuckDBPyConnection",
    fits: Mapping[str, Fits],
    plain: Mapping[str, bool],
    known: Mapping[str, Writing],
    delimiter: str,
) -> dict[str, str]:
    """The style of each column that is numbers.

    "1,234" alone may be two numbers: in a table whose delimiter is a comma it is a thousand; elsewhere the other
    columns decide, by the commas or points that they hold; where they do not, it stays text. "1.234" is a thousand
    beside a column with decimal commas.
    """
    styles: dict[str, str] = {cell: "plain" if point else "" for cell, point in plain.items()}
    unclear, has_point = [], any(plain.values())
    for cell, fit in fits.items():
        best = fit.best(known[cell].kind == "")
        style = one_style(best, fit.commas)
        if style is not None:
            styles[cell] = "" if style == "plain" and not fit.points else style
        elif best:
            unclear.append(cell)
    if delimiter == ",":
        return styles | dict.fromkeys(unclear, "point")
    if any(style.startswith("comma") for style in styles.values()):
        free = {cell for cell in styles if not known[cell].style}
        return styles | _commas(connection, free, styles, fits) | dict.fromkeys(unclear, "comma")
    if has_point:
        styles |= dict.fromkeys(unclear, "point")
    pointed = [cell for cell, style in styles.items() if style == "plain" and not known[cell].style]
    if any(style.startswith("point") for style in styles.values()):
        return styles
    return styles | _unclear(connection, pointed)


def _commas(
    connection: "duckdb.DuckDBPyConnection",
    free: set[str],
    styles: Mapping[str, str],
    fits: Mapping[str, Fits],
) -> dict[str, str]:
    """Columns of a table with decimal commas whose cells are just as well such numbers."""
    asked = {
        cell: f"coalesce(bool_and({_fit_sql('comma', cell)}), false)" for cell in sorted(free - set(fits))
    }
    answer = zip(asked, aggregates(connection, asked), strict=True)
    found = {cell: "comma" for cell, all_fit in answer if all_fit}
    for cell in free & set(fits):
        counts, comma = fits[cell].counts, _WITH_COMMA.get(styles[cell] or "plain")
        if comma is not None and counts[comma] == max(counts.values()):
            found[cell] = comma
    return found


def _unclear(connection: "duckdb.DuckDBPyConnection", pointed: Sequence[str]) -> dict[str, str]:
    """The columns, if in all of them each point may hold thousands apart and no other writing tells."""
    for rows in (_TRIAL, None):
        asked = {}
        for cell in pointed:
            fit = f"regexp_full_match({cell}, {literal(_THOUSANDS)})"
            other = f"contains({cell}, '.') AND {_fit_sql('plain', cell)} AND NOT {fit}"
            differ = f"min({cell}) FILTER ({fit}) < max({cell}) FILTER ({fit})"
            asked[cell] = f"{_count(fit)}, {_count(other)}, coalesce({differ}, false)"
        answer = aggregates(connection, asked, rows)
        if any(answer[1::3]):
            return {}
    several = zip(pointed, answer[::3], answer[2::3], strict=True)
    return {cell: "unclear" for cell, count, differ in several if count >= _LEAST_UNCLEAR and differ}


def _with_odd(
    connection: "duckdb.DuckDBPyConnection",
    cell: str,
    style: str,
    fits: Fits | None,
    known: Writing,
    row: str,
) -> TextKind:
    """A column of numbers with the cells that are none; as text where these are too many writings."""
    style = known.style or style
    if fits is None:
        return TextKind("number", style)
    fitting = max(fits.counts.values())
    gaps = fits.markers > 0 or fitting < fits.filled
    if known.kind or not gaps:
        return TextKind("number", style, gaps=gaps)
    value = _number_sql(style, cell, True)
    differ = connection.execute(f"SELECT min({value}) < max({value}) FROM {CELLS}").fetchall()[0][0]
    found = connection.execute(
        f"SELECT {cell}, count(*), min({row}) FROM {CELLS} WHERE {cell} IS NOT NULL AND NOT {_fit_sql(style, cell)} "
        f"GROUP BY {cell} ORDER BY min({row}) LIMIT {_MOST_LISTED}"
    ).fetchall()
    slips = sum(not is_marker(text) for text, _, _ in found)
    if not differ or slips > MOST_ODD:
        return TextKind("text")
    odd = Odd({text: (count, first) for text, count, first in found}, fits.filled + fits.markers)
    return TextKind("number", style, odd, True)


def _aside_sql(cell: str, known: Writing) -> str:
    """Whether a cell is known to be no number and none is asked of it."""
    if known.kind == "text":
        return "false"
    marker = literal("|".join(map(re.escape, MARKERS)))
    aside = f"regexp_full_match(lower({cell}), {marker})"
    if known.odd:
        aside += f" OR list_contains([{', '.join(map(literal, known.odd))}], {cell})"
    return f"({aside})"


def _count(fit: str) -> str:
    return f"count(*) FILTER ({fit})"


def _fit_sql(style: str, cell: str) -> str:
    """Whether a cell is a number of a style."""
    if style in NUMERALS:
        return f"regexp_full_match({cell}, {literal(NUMERALS[style].pattern)})"
    return f"({_as_double(cell)} IS NOT NULL)"


def _number_sql(style: str, cell: str, gaps: bool) -> str:
    """The SQL that reads a cell as a number of a style, NULL where it is none."""
    if style not in NUMERALS:
        return _as_double(cell) if gaps else f"CAST({cell} AS DOUBLE)"
    numeral = NUMERALS[style]
    bare = f"translate({cell}, {literal('−' + numeral.dropped)}, '-')"
    number = f"TRY_CAST(replace({bare}, {literal(numeral.point)}, '.') AS DOUBLE)"
    number = f"(CASE WHEN starts_with({cell}, '(') THEN -1 ELSE 1 END * {number})"
    return f"(CASE WHEN {_fit_sql(style, cell)} THEN {number} END)" if gaps else number


def _as_double(cell: str) -> str:
    return f"(CASE WHEN contains({cell}, '_') THEN NULL ELSE TRY_CAST({cell} AS DOUBLE) END)"


def _as_date(cell: str) -> str:
    return f"(CASE WHEN regexp_matches({cell}, '{DATE_PATTERN}', 's') THEN TRY_CAST({cell} AS TIMESTAMP) END)"
