"""A table file of any size, read a stretch of rows at a time by DuckDB under a limit on its memory.

Parquet is read where it lies: its row groups are found by row number. Text (CSV, JSON lines), and Parquet in
row groups too large to be read one by one, is first copied into a DuckDB file in a scratch folder.
"""

import contextlib
import csv
import os
import shutil
import sys
import tempfile
import weakref
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...process import cache_root
from ..read.cells import cells_of, raw_column
from ..read.columns import RawColumn, Writing, unsupported
from ..read.database import CELLS, connect, escaped, one_line
from ..read.rewrite import REWRITTEN
from ..read.tables import (
    PARQUET,
    file_kind,
    fill_table,
    load_table,
    table_stem,
    typed_reader,
    writings_by_name,
)

STRETCH = 131_072  # rows read at a time
_FETCHED, _LISTED = 10_000, 100  # different texts of a column: at a time, and that cannot be read
_LARGEST_GROUP = 1 << 20  # rows of a Parquet row group; larger ones are copied into smaller ones


class TableSource:
    """A table file that is read a stretch at a time; the columns are what `read_file` would find.

    Args:
        paths: a file of Parquet, JSON lines or delimited text, the latter also packed; or Parquet files, which
            are copied into one table.
        expected: names that the file should hold, or what is known of their cells, by name.

    Attributes:
        paths: the files.
        name: what the table is called.
        names: the columns' names, in order.
        rows: how many there are.

    Raises:
        DataError: if the file cannot be read as a table.
    """

    def __init__(self, paths: Sequence[Path], expected: Collection[str] = ()):
        self.paths = tuple(paths)
        first, several = self.paths[0], len(self.paths) > 1
        self._shown = str(first.parent if several else first)
        self.name = first.resolve().parent.name if several else table_stem(first)
        scratch = scratch_folder()
        made = [scratch / "text" / file for file in (REWRITTEN, first.stem)]
        self._connection = connect([*self.paths, *made], scratch)
        weakref.finalize(self, _remove, self._connection, scratch)
        with self._told():
            if not several and _small_groups(self._connection, first):
                reader = typed_reader(self.paths, ", file_row_number = true") or ""
                names, delimiter = fill_table(self._connection, reader, view=True), ","
                names.pop()
                self._row = f"c{len(names)}"
            else:
                names, delimiter = load_table(self._connection, self.paths, scratch / "text", expected)
                shutil.rmtree(scratch / "text", ignore_errors=True)
                self._row = "rowid"
            self.names = tuple(names)
            self._delimiter = delimiter
            self.expect(writings_by_name(expected))
            self.rows = int(self._connection.execute(f"SELECT count(*) FROM {CELLS}").fetchall()[0][0])
        if self.rows == 0:
            raise DataError(f"file {self._shown!r} has no rows; give at least one under the header")

    def expect(self, known: Mapping[str, Writing]) -> None:
        """Read the cells from here on as is known of them, by the name of the column."""
        cells = cells_of(self._connection, self.names, self._delimiter, known, self._row)
        self._cells = dict(zip(self.names, cells, strict=True))

    def stretches(self, rows: int = STRETCH) -> list[tuple[int, int]]:
        """The whole table in stretches of rows, each [start, stop)."""
        return [(start, min(start + rows, self.rows)) for start in range(0, self.rows, rows)]

    def read(self, start: int, stop: int, names: Collection[str] | None = None) -> list[RawColumn]:
        """The columns of the rows [start, stop).

        Args:
            start: the first row, from 0.
            stop: the row after the last.
            names: which columns; all of them if None.

        Raises:
            DataError: if a cell cannot be read.
        """
        return self._columns(f"{self._row} >= {int(start)} AND {self._row} < {int(stop)}", names)

    def pick(self, rows: np.ndarray) -> list[RawColumn]:
        """The columns of some rows, given in ascending order."""
        return self._columns(f"{self._row} IN (SELECT unnest($1::BIGINT[]))", None, [rows.tolist()])

    def draw(self, size: int, seed: int = 0) -> np.ndarray:
        """Numbers of `size` rows drawn at random, ascending; of all rows where there are no more."""
        if size >= self.rows:
            return np.arange(self.rows)
        return np.sort(np.random.default_rng(seed).choice(self.rows, size, replace=False, shuffle=False))

    def filled(self) -> dict[str, int]:
        """How many cells of each column that can be used hold a value; NULL is none, NaN is one."""
        usable = {name: cell for name, cell in self._cells.items() if cell.sql}
        counts = ", ".join(f"count({cell.sql})" for cell in usable.values())
        with self._told():
            found = self._connection.execute(f"SELECT {counts} FROM {CELLS}").fetchall()[0]
        return dict(zip(usable, found, strict=True))

    def unread(self, name: str, read: Callable[[str], object]) -> dict[str, int]:
        """Texts of a column for which `read` gives None, and how many cells are so; the first ones of many."""
        if self._cells[name].kind != "text":
            return {}
        cell, found = f"c{self.names.index(name)}", {}
        query = f"SELECT {cell}, count(*) FROM {CELLS} WHERE {cell} IS NOT NULL GROUP BY {cell}"
        with self._told():
            cursor = self._connection.cursor().execute(query)
            while len(found) < _LISTED and (some := cursor.fetchmany(_FETCHED)):
                found |= {text: count for text, count in some if read(text) is None}
        return found

    @property
    def identity(self) -> str:
        """What tells whether the files are the same as before: where they are, their size, when they changed."""
        stats = [(path.resolve(), path.stat()) for path in self.paths]
        return " ".join(f"{path} {about.st_size} {about.st_mtime_ns}" for path, about in stats)

    def _columns(
        self, where: str, names: Collection[str] | None, values: list[Any] | None = None
    ) -> list[RawColumn]:
        wanted = {name: cell for name, cell in self._cells.items() if names is None or name in names}
        usable = [cell.sql for cell in wanted.values() if cell.sql]
        cells = [f"{sql} AS v{place}" for place, sql in enumerate(usable)]
        with self._told():
            cursor = self._connection.cursor()  # one a thread: stretches are read ahead
            cursor.execute(
                f"SELECT {self._row} AS row, {', '.join(cells)} FROM {CELLS} WHERE {where}", values or []
            )
            found: dict[str, Any] = cursor.fetchnumpy()
        rows = found.pop("row")
        count, order = len(rows), _ascending(rows)
        columns = iter(found.values())
        return [
            raw_column(name, cell, next(columns)[order])
            if cell.sql
            else unsupported(name, count, cell.reason)
            for name, cell in wanted.items()
        ]

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """DuckDB's errors in Fathom's words."""
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise DataError(f"file {self._shown!r} cannot be read as a table: {one_line(error)}") from None
        except (OSError, EOFError, zlib.error, UnicodeError, csv.Error) as error:
            raise DataError(f"file {self._shown!r} cannot be read: {error}") from None


def _ascending(rows: np.ndarray) -> Any:
    """What puts rows into the order of the file: DuckDB's threads need not give them in it."""
    return slice(None) if (np.diff(rows) > 0).all() else np.argsort(rows)


def scratch_folder() -> Path:
    """A new folder for what is needed only while this process runs; those of processes that died are removed."""
    root = cache_root(os.environ) / "streams"
    root.mkdir(parents=True, exist_ok=True)
    for left in root.iterdir():
        if not _runs(left.name.partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))


def _runs(process: str) -> bool:
    if sys.platform == "win32":  # where there is no asking without sending
        return True
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def _remove(connection: Any, folder: Path) -> None:
    connection.close()
    shutil.rmtree(folder, ignore_errors=True)


def _small_groups(connection: Any, path: Path) -> bool:
    """Whether a file is Parquet whose row groups can be read one by one."""
    if file_kind(path) not in PARQUET:
        return False
    query = "SELECT max(row_group_num_rows) FROM parquet_metadata(?)"
    largest = connection.execute(query, [escaped(path)]).fetchall()[0][0]
    return largest is None or largest <= _LARGEST_GROUP
