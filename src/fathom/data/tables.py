"""Table files, read by DuckDB: CSV and its relatives, Parquet, JSON lines; the text formats also as .gz.

A text file is read with nothing left to guessing inside DuckDB: the delimiter and the header are decided
here, every cell arrives as text, and a column is numbers only if each of its cells is one.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from ..errors import DataError
from .columns import BLANKS, DATE_PATTERN, MISSING_MARKERS, RawColumn, clean_text, type_text, unsupported

_PARQUET = (".parquet", ".pq")
_JSON = (".json", ".jsonl", ".ndjson")
_SAMPLE_BYTES = 1 << 20
_DELIMITERS = (",", ";", "\t", "|", " ")
_NUMBER_TYPES = re.compile(
    r"^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|REAL|DOUBLE|U?INT(128)?|BIGNUM)$"
)
_DATE_TYPES = re.compile(r"^(DATE|TIMESTAMP.*)$")
_TEXT_TYPES = re.compile(r"^(VARCHAR|ENUM.*|UUID|\"?NULL\"?)$")


@dataclass(frozen=True)
class Layout:
    """How a text table is written.

    Attributes:
        delimiter: between two cells.
        header: whether the first row holds names.
        names: the columns' names, unique and not empty.
        encoding: "utf-8", "utf-16" or "latin-1".
    """

    delimiter: str
    header: bool
    names: tuple[str, ...]
    encoding: str


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
    try:
        with _connect(path) as connection:
            if kind in _PARQUET:
                names = _load(connection, "read_parquet(?)", path)
            elif kind in _JSON:
                names = _load(connection, "read_json(?, format='auto', sample_size=-1)", path)
            else:
                names = _load_text(connection, path, detect_layout(path, expected))
            columns = _columns(connection, names)
    except duckdb.Error as error:
        raise DataError(f"file {str(path)!r} cannot be read as a table: {_first_lines(error)}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"file {str(path)!r} cannot be read: {error}") from None
    if len(columns[0].values) == 0:
        raise DataError(f"file {str(path)!r} has no rows; give at least one under the header")
    return columns


def detect_layout(path: str | Path, expected: Collection[str] = ()) -> Layout:
    """How a text table is written, from its first megabyte.

    The first row is a header if it holds one of the names expected; or a word above a column of numbers; or,
    in a table of words only, no value that comes again below it.

    Args:
        path: the file.
        expected: names that the file should hold.

    Returns:
        The layout.

    Raises:
        DataError: if the file is empty or no text.
    """
    path = Path(path)
    text, encoding, whole = _sample(path)
    tab = any(suffix.lower() in (".tsv", ".tab") for suffix in path.suffixes)
    delimiter = "\t" if tab else _delimiter(text, whole)
    rows = _rows(text, delimiter, whole)
    if not rows:
        raise DataError(f"file {str(path)!r} is empty; give a table with a header and rows")
    first = [cell.strip(BLANKS) for cell in rows[0]]
    header = _is_header(first, rows[1:500], expected)
    width = len(first)
    return Layout(delimiter, header, tuple(_unique(first if header else [""] * width)), encoding)


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    """A database in memory that may read this one file and nothing else."""
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
    paths = ", ".join(_literal(name) for name in {str(path), _escaped(path)})
    connection.execute(f"SET allowed_paths = [{paths}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _escaped(path: Path) -> str:
    """The path as a pattern that matches only itself: DuckDB reads *, ? and [ as wildcards."""
    return re.sub(r"[*?\[]", lambda found: f"[{found.group()}]", str(path))


def _load(connection: duckdb.DuckDBPyConnection, reader: str, path: Path) -> list[str]:
    """Read a file into the table t, its columns renamed c0, c1, … and its text cleaned; their own names."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {reader}", [_escaped(path)]).fetchall()
    cells = [f"c{place}" for place in range(len(described))]
    chosen = [
        f"{_clean(cell)} AS {cell}" if _TEXT_TYPES.match(row[1]) else cell
        for cell, row in zip(cells, described, strict=True)
    ]
    source = f"SELECT {', '.join(chosen)} FROM {reader} AS source({', '.join(cells)})"
    connection.execute(f"CREATE TABLE t AS {source}", [_escaped(path)])
    return _unique([row[0] for row in described])


def _load_text(connection: duckdb.DuckDBPyConnection, path: Path, layout: Layout) -> list[str]:
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(layout.names)))
    packed = "gzip" if path.suffix.lower() == ".gz" else "none"
    reader = f"""read_csv(?, auto_detect = false, header = {layout.header}, columns = {{{columns}}},
        delim = {_literal(layout.delimiter)}, quote = '"', escape = '"', nullstr = '', strict_mode = true,
        compression = '{packed}', encoding = '{layout.encoding}', max_line_size = 16777216)"""
    _load(connection, reader, path)
    return list(layout.names)


def _columns(connection: duckdb.DuckDBPyConnection, names: list[str]) -> list[RawColumn]:
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


def _text_kinds(connection: duckdb.DuckDBPyConnection, places: list[int]) -> dict[int, str]:
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


def _fetch(connection: duckdb.DuckDBPyConnection, name: str, kind: str, cell: str) -> RawColumn:
    read = {
        "number": f"CAST({cell} AS DOUBLE)",
        "boolean": f"CAST({cell} AS DOUBLE)",
        "date": f"epoch_us(CAST({cell} AS TIMESTAMP)) / 86400000000.0",
        "text": f"CAST({cell} AS VARCHAR)",
    }[kind]
    values = connection.execute(f"SELECT {read} AS v FROM t").fetchnumpy()["v"]
    if kind != "text":
        return RawColumn(name, kind, np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan))
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


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines[:3] if not line.startswith(("Possible", "*", "file ="))]
    return "; ".join(kept).replace("Invalid Input Error: ", "")


def _sample(path: Path) -> tuple[str, str, bool]:
    """The first megabyte as text, its encoding, and whether that is the whole file."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as stream:
        start = stream.read(_SAMPLE_BYTES)
        whole = not stream.read(1)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif b"\x00" in start[:4096]:
        raise DataError(f"file {str(path)!r} is no text table; give CSV, TSV, Parquet or JSON lines")
    else:
        encoding = _encoding(path, opener)
    return start.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace"), encoding, whole


def _encoding(path: Path, opener) -> str:
    """UTF-8 if every byte of the file fits it, else Latin-1 (in which every byte is a letter)."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opener(path, "rb") as stream:
        try:
            while block := stream.read(_SAMPLE_BYTES):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def _rows(text: str, delimiter: str, whole: bool) -> list[list[str]]:
    rows = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
    except csv.Error:
        pass
    return rows if whole or len(rows) < 2 else rows[:-1]


def _delimiter(text: str, whole: bool) -> str:
    """The delimiter under which most rows have as many cells as the first, more than one; else a comma."""
    best, found = 0.0, ","
    for delimiter in _DELIMITERS:
        rows = _rows(text[:65536], delimiter, whole and len(text) <= 65536)
        if not rows or len(rows[0]) < 2:
            continue
        share = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        # Blanks occur in words, so they delimit only where they do so in every row.
        if share > best and (delimiter != " " or share == 1.0):
            best, found = share, delimiter
    return found


def _is_header(first: list[str], body: list[list[str]], expected: Collection[str]) -> bool:
    if set(first) & set(expected):
        return True
    if not any(first):
        return False
    repeated = False
    for place, name in enumerate(first):
        below = clean_text(row[place] for row in body if place < len(row))
        kind, own = type_text("", below).kind, clean_text([name])
        if kind != "text" and own[0] is not None and type_text("", own).kind != kind:
            return True
        typed = kind != "text" or type_text("", own).kind == "number"
        repeated = repeated or typed or name in set(below.tolist())
    return not repeated


def _unique(names: list[str]) -> list[str]:
    """The names, an empty one by its position and a repeated one with a number after it."""
    given = {name for name in names if name}
    result: dict[str, None] = {}
    for place, name in enumerate(names):
        base = name or f"column{place}"
        unique, count = base, 1
        while unique in result or (unique != name and unique in given):
            count += 1
            unique = f"{base}_{count}"
        result[unique] = None
    return list(result)
