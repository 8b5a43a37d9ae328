"""How each column of the table of cells is read: as numbers, dates or text, by what all its cells fit."""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

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
from .database import CELLS, by_column, literal
from .numerals import MARKERS, MOST_ODD, NUMERALS, Fits, is_marker

if TYPE_CHECKING:
    import duckdb

_NUMBER_TYPES = re.compile(
    r"^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|REAL|DOUBLE|U?INT(128)?|BIGNUM)$"
)
_DATE_TYPES = re.compile(r"^(DATE|TIMESTAMP.*)$")
_SPAN_TYPES = re.compile(r"^(INTERVAL|TIME.*)$")
TEXT_TYPES = re.compile(r"^(VARCHAR|ENUM.*|UUID|\"?NULL\"?)$")

_CELL = "cell"  # of the columns laid one under the other
_TRIAL = 1000  # rows that show which ways to write numbers are worth a look at all rows
_MOST_LISTED = 1000  # writings of cells that are no numbers
_THOUSANDS = r"[+-]?[1-9]\d{0,2}\.\d{3}"
_LEAST_UNCLEAR = 3  # numbers such as 1.234 in a column
_WITH_COMMA = {"plain": "comma", "point": "comma", "point %": "comma %"}


Known = TypeVar("Known", bound=Hashable)


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
    asked = f"count(*), count({_as_double(_CELL)}), count({_as_date(_CELL)}), bool_or(contains({_CELL}, '.'))"
    found = {name: answer for name, *answer in by_column(connection, known, asked)}
    kinds: dict[str, TextKind] = {}
    plain: dict[str, bool] = {}  # whether some cell holds a point
    for cell in known:
        filled, numbers, dates, points = found.get(cell, (0, 0, 0, False))
        if numbers == filled > 0 and known[cell].style not in NUMERALS:
            plain[cell] = points
        else:
            kinds[cell] = TextKind("date" if dates == filled > 0 else "text")
    fits = _fits(connection, {cell: known[cell] for cell, kind in kinds.items() if kind.kind == "text"})
    styles = _styles(connection, fits, plain, known, delimiter)
    kinds |= _with_odd(connection, styles, fits, known, row)
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
    blank = f"[{re.escape(BLANKS)}]"
    markers = "|".join(map(re.escape, MISSING_MARKERS))
    # Not IN: DuckDB makes a join of a list this long, and a join does not keep the order of the rows.
    # Nor a WHEN for each: that takes 2 MB a column. To look for blanks first costs a third of trimming every cell.
    missing = f"regexp_full_match({cell}, {literal(f'{blank}*(?:{markers}){blank}*')})"
    trims = f"regexp_full_match({cell}, {literal(f'(?s){blank}.*|.*{blank}')})"
    return (
        f"(CASE WHEN {missing} THEN NULL WHEN {trims} THEN trim({cell}, {literal(BLANKS)}) ELSE {cell} END)"
    )


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
    found = {}
    for writing, columns in _alike(known).items():
        aside, pointed = _aside_sql(writing), f"{_fit_sql('plain', _CELL)} AND contains({_CELL}, '.')"
        own = "plain" if writing.style == "unclear" else writing.style
        styles = (own,) if own else ("plain", *NUMERALS)
        counts = [_count(f"NOT {aside} AND {_fit_sql(style, _CELL)}") for style in styles]
        commas = f"bool_or(contains({_CELL}, ','))"
        asked = f"count(*), {_count(aside)}, {commas}, {_count(pointed)}, {', '.join(counts)}"
        found |= {cell: Fits(0, 0, dict.fromkeys(styles, 0), False, False) for cell in columns}
        for cell, filled, markers, comma, points, *fitting in by_column(connection, columns, asked, rows):
            counted = dict(zip(styles, fitting, strict=True))
            found[cell] = Fits(filled - markers, markers, counted, comma, points > 0)
    return found


def _alike(known: Mapping[str, Known]) -> dict[Known, list[str]]:
    """The columns of which the same is known."""
    found: dict[Known, list[str]] = {}
    for cell, one in known.items():
        found.setdefault(one, []).append(cell)
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
    beside columns with decimal commas, if none has decimal points.
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
        commas, points = _commas(connection, free, styles, fits)
        if points:
            return styles | _unclear(connection, [cell for cell in commas if styles[cell] == "plain"])
        return styles | commas | dict.fromkeys(unclear, "comma")
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
) -> tuple[dict[str, str], bool]:
    """Columns of a table with decimal commas whose cells are just as well such numbers; whether others have points."""
    bare = sorted(free - set(fits))
    answer = by_column(connection, bare, f"bool_and({_fit_sql('comma', _CELL)})") if bare else []
    found = {cell: "comma" for cell, all_fit in answer if all_fit}
    for cell in free & set(fits):
        counts, comma = fits[cell].counts, _WITH_COMMA.get(styles[cell] or "plain")
        if comma is not None and counts[comma] == max(counts.values()):
            found[cell] = comma
    return found, any(styles[cell] in ("plain", "point") for cell in free - set(found))


def _unclear(connection: "duckdb.DuckDBPyConnection", pointed: Sequence[str]) -> dict[str, str]:
    """The columns, if in all of them each point may hold thousands apart and no other writing tells."""
    fit = f"regexp_full_match({_CELL}, {literal(_THOUSANDS)})"
    other = f"contains({_CELL}, '.') AND {_fit_sql('plain', _CELL)} AND NOT {fit}"
    differ = f"min({_CELL}) FILTER ({fit}) < max({_CELL}) FILTER ({fit})"
    answer: list[tuple] = []
    for rows in (_TRIAL, None) if pointed else ():
        answer = by_column(
            connection, pointed, f"{_count(fit)}, {_count(other)}, coalesce({differ}, false)", rows
        )
        if any(others for _, _, others, _ in answer):
            return {}
    return {cell: "unclear" for cell, count, _, differs in answer if count >= _LEAST_UNCLEAR and differs}


def _with_odd(
    connection: "duckdb.DuckDBPyConnection",
    styles: Mapping[str, str],
    fits: Mapping[str, Fits],
    known: Mapping[str, Writing],
    row: str,
) -> dict[str, TextKind]:
    """Columns of numbers with the cells that are none; as text where these are too many writings."""
    kinds, doubtful = {}, {}
    for cell, style in styles.items():
        own = known[cell].style or style
        gaps = cell in fits and (
            fits[cell].markers > 0 or max(fits[cell].counts.values()) < fits[cell].filled
        )
        kinds[cell] = TextKind("number", own, gaps=gaps)
        if gaps and not known[cell].kind:
            doubtful[cell] = own
    for style, columns in _alike(doubtful).items():
        value, strange = _number_sql(style, _CELL, True), f"NOT {_fit_sql(style, _CELL)}"
        differ = dict(by_column(connection, columns, f"min({value}) < max({value})"))
        found: dict[str, list[tuple[str, int, int]]] = {cell: [] for cell in columns}
        each = f"WHERE {strange} GROUP BY name, {_CELL} QUALIFY row_number() OVER (PARTITION BY name ORDER BY first) "
        asked = f"{_CELL}, count(*), min(place) AS first"
        for cell, *writing in by_column(
            connection, columns, asked, None, row, f"{each}<= {_MOST_LISTED} ORDER BY first"
        ):
            found[cell].append(tuple(writing))
        for cell in columns:
            slips = sum(not is_marker(text) for text, _, _ in found[cell])
            if not differ[cell] or slips > MOST_ODD:
                kinds[cell] = TextKind("text")
                continue
            odd = {text: (count, first) for text, count, first in found[cell]}
            kinds[cell] = TextKind("number", style, Odd(odd, fits[cell].filled + fits[cell].markers), True)
    return kinds


def _aside_sql(known: Writing) -> str:
    """Whether a cell is known to be no number and none is asked of it."""
    if known.kind == "text":
        return "false"
    marker = literal("|".join(map(re.escape, MARKERS)))
    aside = f"regexp_full_match(lower({_CELL}), {marker})"
    if known.odd:
        aside += f" OR list_contains([{', '.join(map(literal, known.odd))}], {_CELL})"
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
