"""Table files, read by DuckDB: CSV and its relatives, Parquet, JSON; the text formats also as .gz and .zst.

A text file is read with nothing left to guessing inside DuckDB: the delimiter and the header are decided
here, every cell arrives as text, and a column is numbers only if each of its cells is one.
"""

import csv
import re
import tempfile
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, UsageError
from .columns import BLANKS, DATE_PATTERN, MISSING_MARKERS, UNNAMED_INDEX, RawColumn, finite, unsupported
from .database import CELLS, aggregates, connect, escaped, literal, one_line, quoted, several
from .layout import Layout, detect_layout, unique_names, without_quotes
from .numerals import Numeral, find_numerals
from .rewrite import REWRITTEN, rewrite_plain, unpack_zst

if TYPE_CHECKING:
    import duckdb

PARQUET = (".parquet", ".pq")
_JSON = (".json", ".jsonl", ".ndjson")
#: The suffixes of tables, packed or not; a file of another name is read as delimited text.
TABLE_SUFFIXES = (*PARQUET, *_JSON, ".csv", ".tsv", ".tab", ".data")
_PACKED = (".gz", ".zst")
_FETCHED = 1 << 20  # cells of one query
_NUMBER_TYPES = re.compile(
    r"^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|REAL|DOUBLE|U?INT(128)?|BIGNUM)$"
)
_DATE_TYPES = re.compile(r"^(DATE|TIMESTAMP.*)$")
_SPAN_TYPES = re.compile(r"^(INTERVAL|TIME.*)$")
_TEXT_TYPES = re.compile(r"^(VARCHAR|ENUM.*|UUID|\"?NULL\"?)$")


@dataclass(frozen=True)
class Cell:
    """How a column of the table of cells is read.

    Attributes:
        kind: as of `RawColumn`.
        sql: its value as DuckDB reads it; empty for a column that cannot be used.
        reason: why it cannot be used.
    """

    kind: str
    sql: str = ""
    reason: str = ""


def read_file(path: str | Path, expected: Collection[str] = (), sql: str | None = None) -> list[RawColumn]:
    """The columns of a table file, in its order.

    Args:
        path: .parquet, .json/.jsonl/.ndjson, or delimited text under any other name; text also as .gz or .zst.
        expected: names that the file should hold; one of them in the first row makes that row a header.
        sql: a SELECT over the file, whose table is called by the file's stem or `data`; its result is read.

    Returns:
        One raw column for each column of the file.

    Raises:
        DataError: if the file cannot be read as a table; one sentence with what to do.
        UsageError: if `sql` is no SELECT or fails.
    """
    return read_files([Path(path)], expected, sql)


def read_files(
    paths: Sequence[Path], expected: Collection[str] = (), sql: str | None = None
) -> list[RawColumn]:
    """The columns of several table files: of Parquet files one under the other, or of a SELECT over any.

    Args:
        paths: the files; without `sql` one file, or Parquet files whose columns are matched by name.
        expected: as for `read_file`.
        sql: a SELECT over tables called by the stems of the files.

    Returns:
        One raw column for each column.

    Raises:
        DataError: if a file cannot be read as a table.
        UsageError: if `sql` is no SELECT or fails.
    """
    import duckdb

    shown = str(paths[0]) if len(paths) == 1 else str(paths[0].parent)
    try:
        with tempfile.TemporaryDirectory(prefix="fathom-") as name:
            folders = [Path(name, str(place)) for place in range(len(paths))]
            made = [folder / file for folder, path in zip(folders, paths, strict=True)
                    for file in (REWRITTEN, path.stem)]  # fmt: skip
            with connect([*paths, *made]) as connection:
                if sql is not None:
                    names, decimal = _select(connection, paths, folders, expected, sql), ","
                else:
                    names, decimal = load_table(connection, paths, folders[0], expected)
                columns = _columns(connection, names, decimal)
    except duckdb.Error as error:
        raise DataError(f"file {shown!r} cannot be read as a table: {one_line(error)}") from None
    except (OSError, EOFError, zlib.error, UnicodeError, csv.Error) as error:
        raise DataError(f"file {shown!r} cannot be read: {error}") from None
    if len(columns[0].values) == 0:
        if sql is not None:
            raise DataError("sql selects no rows; widen its WHERE")
        raise DataError(f"file {shown!r} has no rows; give at least one under the header")
    return columns


def table_stem(path: Path) -> str:
    """What the table in a file is called: "adult-train" for adult-train.csv.gz."""
    return path.name.split(".")[0] or path.name


def file_kind(path: Path) -> str:
    """The suffix that says what a file holds, in lower case, without that of its packing: ".csv"."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix not in _PACKED), "")


def load_table(
    connection: "duckdb.DuckDBPyConnection", paths: Sequence[Path], folder: Path, expected: Collection[str]
) -> tuple[list[str], str]:
    """Read files into the table of cells, its columns c0, c1, … and its text cleaned; their names, the delimiter."""
    reader = typed_reader(paths)
    if reader is not None:
        return fill_table(connection, reader), ","
    path = paths[0]
    folder.mkdir()
    readable = unpack_zst(path, folder) if path.suffix.lower() == ".zst" else path
    layout = detect_layout(readable, expected, str(path))
    delimiter = layout.delimiter
    import duckdb

    if layout.plain:
        try:
            return fill_table(connection, _text_reader(readable, layout), layout.names), delimiter
        except duckdb.InvalidInputException:
            # Python's reader says what is wrong, or reads it.
            layout = without_quotes(readable, layout)
    plain, layout = rewrite_plain(readable, layout, str(path), folder)
    return fill_table(connection, _text_reader(plain, layout), layout.names), delimiter


def _select(
    connection: "duckdb.DuckDBPyConnection",
    paths: Sequence[Path],
    folders: Sequence[Path],
    expected: Collection[str],
    sql: str,
) -> list[str]:
    """Read the result of a SELECT over files into the table of cells; its names."""
    import duckdb

    for path, folder in zip(paths, folders, strict=True):
        reader = typed_reader([path])
        stem = quoted(table_stem(path))
        if reader is not None:
            connection.execute(f"CREATE VIEW {stem} AS SELECT * FROM {reader}")
        else:
            names, delimiter = load_table(connection, [path], folder, expected)
            kinds = _text_kinds(connection, range(len(names)), delimiter)
            cells = (f"{_typed(kinds[i], f'c{i}')} AS {quoted(name)}" for i, name in enumerate(names))
            connection.execute(f"CREATE TABLE {stem} AS SELECT {', '.join(cells)} FROM {CELLS}")
            connection.execute(f"DROP TABLE {CELLS}")
        if len(paths) == 1 and stem.lower() != '"data"':
            connection.execute(f"CREATE VIEW data AS SELECT * FROM {stem}")
    stems = [table_stem(path) for path in paths]
    known = ", ".join(
        [stem if stem.isidentifier() else quoted(stem) for stem in stems] + ["data"] * (len(paths) == 1)
    )
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise UsageError("sql is no single SELECT; give one that selects from: " + known)
        query = statements[0].query.strip().rstrip(";")
        connection.execute(f"CREATE TABLE {quoted('fathom result')} AS {query}")
    except duckdb.PermissionException as error:
        raise UsageError(
            f"sql may read the named files only, as the tables {known}: {one_line(error)}"
        ) from None
    except duckdb.Error as error:
        raise UsageError(f"sql fails: {one_line(error)}; the tables are: {known}") from None
    return fill_table(connection, quoted("fathom result"))


def typed_reader(paths: Sequence[Path], more: str = "") -> str | None:
    """The SQL that reads files whose format says what each column is; None for delimited text.

    Args:
        paths: the files.
        more: further options of the reader of Parquet.
    """
    files = ", ".join(literal(escaped(path)) for path in paths)
    kind = file_kind(paths[0])
    if kind in PARQUET:
        # pandas writes an index without a name beside the columns.
        chosen = f"* NOT SIMILAR TO {literal(UNNAMED_INDEX)}"
        return f"(SELECT {chosen} FROM read_parquet([{files}], union_by_name = true{more}))"
    if kind in _JSON:
        # Told none, DuckDB takes a packed file whose name is escaped for a plain one. Without the thresholds it
        # makes one column, a mapping, of many columns of one type.
        packing = {".gz": "gzip", ".zst": "zstd"}.get(paths[0].suffix.lower(), "none")
        return f"""read_json([{files}], format = 'auto', sample_size = -1, compression = '{packing}',
            map_inference_threshold = -1, field_appearance_threshold = 0)"""
    return None


def _text_reader(path: Path, layout: Layout) -> str:
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(layout.names)))
    packed = "gzip" if path.suffix.lower() == ".gz" else "none"
    reader = f"""read_csv({literal(escaped(path))}, auto_detect = false, header = {layout.header},
        columns = {{{columns}}}, delim = {literal(layout.delimiter)}, quote = {literal(layout.quote)},
        escape = {literal(layout.quote)}, nullstr = '', compression = '{packed}',
        encoding = '{layout.encoding}', max_line_size = 16777216, strict_mode = true"""
    # Told "\r\n", DuckDB reads nothing; it finds that line end by itself.
    if layout.line_end != "\r\n":
        reader += f", new_line = {literal(repr(layout.line_end)[1:-1])}"
    return reader + ")"


def fill_table(
    connection: "duckdb.DuckDBPyConnection",
    reader: str,
    names: Sequence[str] | None = None,
    view: bool = False,
) -> list[str]:
    """Read into the table of cells, or lay it over the reader as a view; the names, those given or the reader's."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()
    if [row[:2] for row in described] == [("json", "JSON")]:
        raise DataError(
            'the rows of the file are no JSON objects with a name for each value; write {"a": 1, "b": "x"} on a line'
        )
    cells = [f"c{place}" for place in range(len(described))]
    chosen = [
        f"{_clean(cell)} AS {cell}" if _TEXT_TYPES.match(row[1]) else cell
        for cell, row in zip(cells, described, strict=True)
    ]
    source = f"SELECT {', '.join(chosen)} FROM {reader} AS source({', '.join(cells)})"
    connection.execute(f"CREATE {'VIEW' if view else 'TABLE'} {CELLS} AS {source}")
    return list(names) if names is not None else unique_names([row[0] for row in described])


def _columns(
    connection: "duckdb.DuckDBPyConnection", names: Sequence[str], delimiter: str
) -> list[RawColumn]:
    rows = connection.execute(f"SELECT count(*) FROM {CELLS}").fetchall()[0][0]
    named = dict(zip(names, cells_of(connection, delimiter), strict=True))
    columns = {name: unsupported(name, rows, cell.reason) for name, cell in named.items() if not cell.sql}
    for some in several([name for name in named if name not in columns], _FETCHED // max(rows, 1)):
        asked = ", ".join(f"{named[name].sql} AS v{place}" for place, name in enumerate(some))
        found = connection.execute(f"SELECT {asked} FROM {CELLS}").fetchnumpy()
        columns |= {
            name: raw_column(name, named[name], found.pop(f"v{place}")) for place, name in enumerate(some)
        }
    return [columns[name] for name in names]


def cells_of(connection: "duckdb.DuckDBPyConnection", delimiter: str) -> list[Cell]:
    """How each column of the table of cells is read: text as numbers or dates where every cell is one."""
    types = [row[1] for row in connection.execute(f"DESCRIBE {CELLS}").fetchall()]
    texts = [place for place, kind in enumerate(types) if _TEXT_TYPES.match(kind)]
    kinds = _text_kinds(connection, texts, delimiter)
    cells = []
    for place, kind in enumerate(types):
        cell = f"c{place}"
        if place in kinds:
            word = kinds[place]
            cells.append(_cell(word if isinstance(word, str) else "number", _typed(word, cell)))
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


def _text_kinds(
    connection: "duckdb.DuckDBPyConnection", places: Sequence[int], delimiter: str
) -> dict[int, str | Numeral]:
    """For each text column, what every one of its cells fits: number, date, a numeral, or else text."""
    if not places:
        return {}
    counts = {
        cell: f"count({cell}), count({_as_double(cell)}), count({_as_date(cell)})"
        for cell in (f"c{place}" for place in places)
    }
    found = aggregates(connection, counts)
    kinds: dict[int, str | Numeral] = {}
    for order, place in enumerate(places):
        filled, numbers, dates = found[3 * order : 3 * order + 3]
        fits = {"number": numbers, "date": dates}
        kinds[place] = next((kind for kind, count in fits.items() if count == filled > 0), "text")
    plain = [f"c{place}" for place, kind in kinds.items() if kind == "number"]
    texts = [f"c{place}" for place, kind in kinds.items() if kind == "text"]
    numerals = find_numerals(connection, texts, plain, delimiter)
    return {place: numerals.get(f"c{place}", kind) for place, kind in kinds.items()}


def _typed(kind: str | Numeral, cell: str) -> str:
    """The SQL of a text cell as what it is."""
    if isinstance(kind, Numeral):
        return kind.sql(cell)
    return {
        "number": f"CAST({cell} AS DOUBLE)",
        "date": f"CAST({cell} AS TIMESTAMP)",
        "text": f"CAST({cell} AS VARCHAR)",
    }[kind]


def _cell(kind: str, cell: str) -> Cell:
    read = {
        "number": f"CAST({cell} AS DOUBLE)",
        "boolean": f"CAST({cell} AS DOUBLE)",
        # Of a moment in a time zone these are the microseconds in UTC.
        "date": f"epoch_us({cell}) / 86400000000.0",
        "text": f"CAST({cell} AS VARCHAR)",
    }
    return Cell(kind, read[kind])


def raw_column(name: str, cell: Cell, values: Any) -> RawColumn:
    """A column from what DuckDB fetched of it."""
    if cell.kind != "text":
        numbers = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
        return RawColumn(name, cell.kind, finite(numbers))
    cells = np.array(np.ma.getdata(values), dtype=object)
    cells[np.ma.getmaskarray(np.ma.asarray(values))] = None
    return RawColumn(name, "text", cells)


def _clean(cell: str) -> str:
    trimmed = f"trim({cell}, {literal(BLANKS)})"
    # Not IN: DuckDB makes a join of a list this long, and a join does not keep the order of the rows.
    # Nor a WHEN for each: that takes 2 MB a column.
    marker = literal("|".join(map(re.escape, MISSING_MARKERS)))
    return f"(CASE WHEN regexp_full_match({trimmed}, {marker}) THEN NULL ELSE {trimmed} END)"


def _as_double(cell: str) -> str:
    return f"(CASE WHEN contains({cell}, '_') THEN NULL ELSE TRY_CAST({cell} AS DOUBLE) END)"


def _as_date(cell: str) -> str:
    return f"(CASE WHEN regexp_matches({cell}, '{DATE_PATTERN}', 's') THEN TRY_CAST({cell} AS TIMESTAMP) END)"
