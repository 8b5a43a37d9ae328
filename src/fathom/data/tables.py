"""Table files, read by DuckDB: CSV and its relatives, Parquet, JSON lines; the text formats also as .gz.

A text file is read with nothing left to guessing inside DuckDB: the delimiter and the header are decided
here, every cell arrives as text, and a column is numbers only if each of its cells is one.
"""

import csv
import re
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .columns import (
    BLANKS,
    DATE_PATTERN,
    MISSING_MARKERS,
    RawColumn,
    clean_text,
    finite,
    type_text,
    unsupported,
)
from .layout import Layout, detect_layout, open_text, unique_names

if TYPE_CHECKING:
    import duckdb

_PARQUET = (".parquet", ".pq")
_JSON = (".json", ".jsonl", ".ndjson")
_NUMBER_TYPES = re.compile(
    r"^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|REAL|DOUBLE|U?INT(128)?|BIGNUM)$"
)
_DATE_TYPES = re.compile(r"^(DATE|TIMESTAMP.*)$")
_TEXT_TYPES = re.compile(r"^(VARCHAR|ENUM.*|UUID|\"?NULL\"?)$")


def read_file(path: str | Path, expected: Collection[str] = ()) -> list[RawColumn]:
    """The columns of a table file, in its order.

    Args:
        path: .parquet, .json/.jsonl/.ndjson, or delimited text under any other name; text also as .gz.
        expected: names that the file should hold; one of them in the first row makes that row a header.

    Returns:
        One raw column for each column of the file.

    Raises:
        DataError: if the file cannot be read as a table; one sentence with what to do.
    """
    path = Path(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    import duckdb

    try:
        with _connect(path) as connection:
            if kind in _PARQUET:
                names = _load(connection, "read_parquet(?)", path)
            elif kind in _JSON:
                names = _load(connection, "read_json(?, format='auto', sample_size=-1)", path)
            else:
                layout = detect_layout(path, expected)
                # DuckDB loses every row where a line break within the first row differs from the line end.
                if layout.line_end == "\r\n" and layout.broken_first:
                    return _read_slowly(path, layout)
                names = _load_text(connection, path, layout)
            columns = _columns(connection, names)
    except duckdb.Error as error:
        raise DataError(f"file {str(path)!r} cannot be read as a table: {_first_lines(error)}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"file {str(path)!r} cannot be read: {error}") from None
    if len(columns[0].values) == 0:
        raise _no_rows(path)
    return columns


def _connect(path: Path) -> "duckdb.DuckDBPyConnection":
    """A database in memory that may read this one file and nothing else."""
    import duckdb

    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
    paths = ", ".join(_literal(name) for name in {str(path), _escaped(path)})
    connection.execute(f"SET allowed_paths = [{paths}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _escaped(path: Path) -> str:
    """The path as a pattern that matches only itself: DuckDB reads *, ? and [ as wildcards."""
    return re.sub(r"[*?\[]", lambda found: f"[{found.group()}]", str(path))


def _load(connection: "duckdb.DuckDBPyConnection", reader: str, path: Path) -> list[str]:
    """Read a file into the table t, its columns renamed c0, c1, … and its text cleaned; their own names."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {reader}", [_escaped(path)]).fetchall()
    cells = [f"c{place}" for place in range(len(described))]
    chosen = [
        f"{_clean(cell)} AS {cell}" if _TEXT_TYPES.match(row[1]) else cell
        for cell, row in zip(cells, described, strict=True)
    ]
    source = f"SELECT {', '.join(chosen)} FROM {reader} AS source({', '.join(cells)})"
    connection.execute(f"CREATE TABLE t AS {source}", [_escaped(path)])
    return unique_names([row[0] for row in described])


def _load_text(connection: "duckdb.DuckDBPyConnection", path: Path, layout: Layout) -> list[str]:
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(layout.names)))
    packed = "gzip" if path.suffix.lower() == ".gz" else "none"
    reader = f"""read_csv(?, auto_detect = false, header = {layout.header}, columns = {{{columns}}},
        delim = {_literal(layout.delimiter)}, quote = '"', escape = '"', nullstr = '', strict_mode = true,
        compression = '{packed}', encoding = '{layout.encoding}', max_line_size = 16777216"""
    # Told "\r\n", DuckDB reads nothing; it finds that line end by itself.
    if layout.line_end != "\r\n":
        reader += f", new_line = {_literal(repr(layout.line_end)[1:-1])}"
    _load(connection, reader + ")", path)
    return list(layout.names)


def _read_slowly(path: Path, layout: Layout) -> list[RawColumn]:
    """The columns by Python's own reader of CSV."""
    opener = open_text(path)
    encoding = "utf-8-sig" if layout.encoding == "utf-8" else layout.encoding
    with opener(path, "rt", encoding=encoding, newline="") as stream:
        rows = [row for row in csv.reader(stream, delimiter=layout.delimiter) if row][int(layout.header) :]
    for place, row in enumerate(rows):
        if len(row) != len(layout.names):
            raise DataError(
                f"file {str(path)!r}, row {place + 1}: {len(row)} cells; it must have {len(layout.names)}"
            )
    if not rows:
        raise _no_rows(path)
    cells = zip(*rows, strict=True)
    return [type_text(name, clean_text(column)) for name, column in zip(layout.names, cells, strict=True)]


def _columns(connection: "duckdb.DuckDBPyConnection", names: list[str]) -> list[RawColumn]:
    types = [row[1] for row in connection.execute("DESCRIBE t").fetchall()]
    rows = connection.execute("SELECT count(*) FROM t").fetchall()[0][0]
    texts = [place for place, kind in enumerate(types) if _TEXT_TYPES.match(kind)]
    kinds = _text_kinds(connection, texts)
    columns = []
    for place, (name, kind) in enumerate(zip(names, types, strict=True)):
        cell = f"c{place}"
        if place in kinds:
            columns.append(_fetch(connection, name, kinds[place], cell))
        elif _NUMBER_TYPES.match(kind):
            columns.append(_fetch(connection, name, "number", cell))
        elif kind == "BOOLEAN":
            columns.append(_fetch(connection, name, "boolean", cell))
        elif _DATE_TYPES.match(kind):
            columns.append(_fetch(connection, name, "date", cell))
        else:
            columns.append(unsupported(name, rows, f"its values are of type {kind}"))
    return columns


def _text_kinds(connection: "duckdb.DuckDBPyConnection", places: list[int]) -> dict[int, str]:
    """For each text column, the kind that every one of its cells fits: number, date, or else text."""
    if not places:
        return {}
    cells = [f"c{place}" for place in places]
    counts = ", ".join(f"count({cell}), count({_as_double(cell)}), count({_as_date(cell)})" for cell in cells)
    found = connection.execute(f"SELECT {counts} FROM t").fetchall()[0]
    kinds = {}
    for order, place in enumerate(places):
        filled, numbers, dates = found[3 * order : 3 * order + 3]
        fits = {"number": numbers, "date": dates}
        kinds[place] = next((kind for kind, count in fits.items() if count == filled > 0), "text")
    return kinds


def _fetch(connection: "duckdb.DuckDBPyConnection", name: str, kind: str, cell: str) -> RawColumn:
    read = {
        "number": f"CAST({cell} AS DOUBLE)",
        "boolean": f"CAST({cell} AS DOUBLE)",
        "date": f"epoch_us(CAST({cell} AS TIMESTAMP)) / 86400000000.0",
        "text": f"CAST({cell} AS VARCHAR)",
    }[kind]
    values = connection.execute(f"SELECT {read} AS v FROM t").fetchnumpy()["v"]
    if kind != "text":
        numbers = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
        return RawColumn(name, kind, finite(numbers))
    cells = np.array(np.ma.getdata(values), dtype=object)
    cells[np.ma.getmaskarray(np.ma.asarray(values))] = None
    return RawColumn(name, "text", cells)


def _clean(cell: str) -> str:
    markers = ", ".join(_literal(marker) for marker in MISSING_MARKERS)
    trimmed = f"trim({cell}, {_literal(BLANKS)})"
    return f"(CASE WHEN {trimmed} IN ({markers}) THEN NULL ELSE {trimmed} END)"


def _as_double(cell: str) -> str:
    return f"(CASE WHEN contains({cell}, '_') THEN NULL ELSE TRY_CAST({cell} AS DOUBLE) END)"


def _as_date(cell: str) -> str:
    return f"(CASE WHEN regexp_matches({cell}, '{DATE_PATTERN}', 's') THEN TRY_CAST({cell} AS TIMESTAMP) END)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _no_rows(path: Path) -> DataError:
    return DataError(f"file {str(path)!r} has no rows; give at least one under the header")


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines[:3] if not line.startswith(("Possible", "*", "file ="))]
    return "; ".join(kept).replace("Invalid Input Error: ", "")
