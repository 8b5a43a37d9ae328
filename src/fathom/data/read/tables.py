"""Table files, read by DuckDB: CSV and its relatives, Parquet, JSON; the text formats also as .gz and .zst.

A text file is read with nothing left to guessing inside DuckDB: the delimiter and the header are decided
here, every cell arrives as text, and a column is numbers only if each of its cells is one.
"""

import csv
import tempfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError, UsageError
from .cells import TEXT_TYPES, cells_of, clean_sql, raw_column, text_kinds
from .columns import UNNAMED_INDEX, RawColumn, Writing, unsupported
from .database import CELLS, by_column, connect, escaped, literal, one_line, quoted, several
from .layout import Layout, detect_layout, unique_names, without_quotes
from .rewrite import REWRITTEN, rewrite_plain, unpack_zst

if TYPE_CHECKING:
    import duckdb

PARQUET = (".parquet", ".pq")
_JSON = (".json", ".jsonl", ".ndjson")
#: The suffixes of tables, packed or not; a file of another name is read as delimited text.
TABLE_SUFFIXES = (*PARQUET, *_JSON, ".csv", ".tsv", ".tab", ".data")
_PACKED = (".gz", ".zst")
_WIDE = 500  # columns from which on those that need no cleaning are looked for first
_FETCHED = 1 << 20  # cells of one query


def read_file(path: str | Path, expected: Collection[str] = (), sql: str | None = None) -> list[RawColumn]:
    """The columns of a table file, in its order.

    Args:
        path: .parquet, .json/.jsonl/.ndjson, or delimited text under any other name; text also as .gz or .zst.
        expected: names that the file should hold, one of which in the first row makes that row a header; or a
            mapping, which says what is known of each column's cells.
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
                styles: dict[str, str] = {}
                if sql is not None:
                    (names, styles), delimiter = _select(connection, paths, folders, expected, sql), ","
                else:
                    names, delimiter = load_table(connection, paths, folders[0], expected)
                columns = _columns(connection, names, delimiter, writings_by_name(expected))
                columns = [replace(c, style=c.style or styles.get(c.name, "")) if c.kind == "number" else c
                           for c in columns]  # fmt: skip
    except duckdb.Error as error:
        raise DataError(f"file {shown!r} cannot be read as a table: {one_line(error)}") from None
    except (OSError, EOFError, zlib.error, UnicodeError, csv.Error) as error:
        raise DataError(f"file {shown!r} cannot be read: {error}") from None
    if len(columns[0].values) == 0:
        if sql is not None:
            raise DataError("sql selects no rows; widen its WHERE")
        raise DataError(f"file {shown!r} has no rows; give at least one under the header")
    return columns


def writings_by_name(expected: Collection[str]) -> dict[str, Writing]:
    """What is known of columns by name; of those that are only named nothing is."""
    return dict(expected) if isinstance(expected, Mapping) else dict.fromkeys(expected, Writing())


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
) -> tuple[list[str], dict[str, str]]:
    """Read the result of a SELECT over files into the table of cells; its names, and how numbers were written."""
    import duckdb

    styles: dict[str, str] = {}
    for path, folder in zip(paths, folders, strict=True):
        reader = typed_reader([path])
        stem = quoted(table_stem(path))
        if reader is not None:
            connection.execute(f"CREATE VIEW {stem} AS SELECT * FROM {reader}")
        else:
            names, delimiter = load_table(connection, [path], folder, expected)
            # A result does not say which of its cells were no numbers, so that none may be.
            asked = dict.fromkeys(names, Writing()) | writings_by_name(expected)
            known = {name: one if one.kind else replace(one, kind="text") for name, one in asked.items()}
            kinds = text_kinds(connection, dict(enumerate(names)), delimiter, known)
            styles |= {name: kinds[place].style for place, name in enumerate(names)}
            cells = (f"{kinds[i].sql(f'c{i}')} AS {quoted(name)}" for i, name in enumerate(names))
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
    return fill_table(connection, quoted("fathom result")), styles


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
    source = f"FROM {reader} AS source({', '.join(cells)})"
    kinds = {cell: row[1] for cell, row in zip(cells, described, strict=True)}
    texts = {cell: cell for cell, kind in kinds.items() if TEXT_TYPES.match(kind)}
    for cell in (cell for cell, kind in kinds.items() if kind == "JSON"):  # values of several types
        nested = f"SELECT bool_or(json_type({cell}) IN ('OBJECT', 'ARRAY')) {source}"
        if not connection.execute(nested).fetchall()[0][0]:
            texts[cell] = f"json_extract_string({cell}, '$')"
    if view or len(cells) <= _WIDE:
        chosen = [f"{clean_sql(texts[cell])} AS {cell}" if cell in texts else cell for cell in cells]
        source = f"SELECT {', '.join(chosen)} {source}"
        connection.execute(f"CREATE {'VIEW' if view else 'TABLE'} {CELLS} AS {source}")
    else:
        chosen = [f"{texts.get(cell, cell)} AS {cell}" for cell in cells]
        connection.execute(f"CREATE TABLE {CELLS} AS SELECT {', '.join(chosen)} {source}")
        _clean_wide(connection, cells, list(texts))
    return list(names) if names is not None else unique_names([row[0] for row in described])


def _clean_wide(connection: "duckdb.DuckDBPyConnection", cells: Sequence[str], texts: Sequence[str]) -> None:
    """Clean the columns of text that need it, some at a time: all at once take a time that grows with their square."""
    unclean = f"WHERE {clean_sql('cell')} IS DISTINCT FROM cell GROUP BY name"
    named = {name for name, _ in by_column(connection, texts, "count(*)", each=unclean)} if texts else set()
    if not named:
        return
    raw = quoted("fathom raw")
    connection.execute(f"ALTER TABLE {CELLS} RENAME TO {raw}")
    parts = []
    for some in several([cell for cell in cells if cell in named]):
        parts.append(quoted(f"fathom part {len(parts)}"))
        cleaned = ", ".join(f"{clean_sql(cell)} AS {cell}" for cell in some)
        connection.execute(f"CREATE TABLE {parts[-1]} AS SELECT {cleaned} FROM {raw}")
    rest = (
        [f"(SELECT {', '.join(kept)} FROM {raw})"] if (kept := [c for c in cells if c not in named]) else []
    )
    connection.execute(
        f"CREATE TABLE {CELLS} AS SELECT {', '.join(cells)} FROM {' POSITIONAL JOIN '.join(rest + parts)}"
    )
    for table in (raw, *parts):
        connection.execute(f"DROP TABLE {table}")


def _columns(
    connection: "duckdb.DuckDBPyConnection",
    names: Sequence[str],
    delimiter: str,
    known: Mapping[str, Writing],
) -> list[RawColumn]:
    rows = connection.execute(f"SELECT count(*) FROM {CELLS}").fetchall()[0][0]
    named = dict(zip(names, cells_of(connection, names, delimiter, known), strict=True))
    columns = {name: unsupported(name, rows, cell.reason) for name, cell in named.items() if not cell.sql}
    for some in several([name for name in named if name not in columns], _FETCHED // max(rows, 1)):
        asked = ", ".join(f"{named[name].sql} AS v{place}" for place, name in enumerate(some))
        found = connection.execute(f"SELECT {asked} FROM {CELLS}").fetchnumpy()
        columns |= {
            name: raw_column(name, named[name], found.pop(f"v{place}")) for place, name in enumerate(some)
        }
    return [columns[name] for name in names]
