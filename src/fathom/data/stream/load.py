"""A dataset larger than memory: some rows of it, drawn at random, stand for it; the others stay in the file."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError, UsageError
from ..dataset import Dataset, build_table, writings
from ..load import build_dataset
from ..read.columns import RawColumn
from ..read.dates import days_of
from ..read.numerals import MOST_ODD, is_marker, nearly_all
from ..read.open import table_files
from ..read.tables import PARQUET, file_kind
from ..reading import Reading, listing
from ..roles import asked_writings, read_columns
from ..schema import Schema
from ..split.duplicates import digests
from .source import TableSource

RESIDENT = 300_000  # rows that are held in memory
_SHARE = 0.25  # of the machine's memory that a file in memory may take
_COPIES = 4  # of 8 bytes a cell: as read, as a table, as inputs, on the devices
_TEXT_COPIES = 6  # of the bytes of a text file
_PACKED = 5  # how much larger a packed text is
_REFUSED = ("group", "time", "split")


@dataclass(frozen=True, eq=False)
class StreamedDataset(Dataset):
    """A dataset whose rows in memory were drawn from a file that holds more.

    What is fitted, chosen and tested is so on the rows in memory, which are a `Dataset` like any other. Training
    reads the whole file.

    Attributes:
        source: the file.
        places: int64 [rows], where in the file each row in memory is; ascending.
        labeled: rows of the file that have a target.
    """

    source: TableSource = None  # pyright: ignore[reportAssignmentType]
    places: np.ndarray = None  # pyright: ignore[reportAssignmentType]
    labeled: int = 0

    @property
    def rows_in_all(self) -> int:
        """Rows of the file that have a target."""
        return self.labeled

    def copies_of(self, rows: np.ndarray) -> np.ndarray:
        """Where in the file there are rows with the cells of some rows in memory, the target aside.

        Args:
            rows: which of those in memory.

        Returns:
            int64, ascending, the rows themselves among them; only rows that have a target. Cost: one pass over the
            columns that are learned from, a stretch at a time.

        Raises:
            DataError: if a cell of the file does not fit the schema.
        """
        wanted, goal, found = digests(self.table.take(rows)), self.schema.target.name, []
        names = {column.name for column in self.schema.columns}
        for start, stop in self.source.stretches():
            columns = {column.name: column for column in self.source.read(start, stop, {*names, goal})}
            labeled = ~columns.pop(goal).missing()
            try:
                table = build_table(columns, self.schema)
            except DataError as error:
                raise DataError(f"in the rows from {start + 1:,} on: {error}") from None
            found.append(start + np.flatnonzero(labeled & np.isin(digests(table), wanted)))
        return np.concatenate(found)


def load_stream(
    path: object,
    target: str | None,
    *,
    kind: str | None = None,
    positive: str | None = None,
    columns: Mapping[str, str] | None = None,
    like: Schema | None = None,
    resident: int = RESIDENT,
) -> StreamedDataset:
    """Open a file that need not fit into memory.

    Args:
        path: to Parquet, CSV and its relatives, or JSON lines; or to several Parquet files, as for `load`.
        target: the column to predict.
        kind: "classification" or "regression"; inferred where None.
        positive: the positive one of two classes, as for `load`.
        columns: what some columns are, as for `load`; of the roles only "weight".
        like: the schema to read it under; inferred where None.
        resident: rows to draw from it.

    Returns:
        The dataset. Cost: one pass over the file, two over its columns of text; a text file is copied once.

    Raises:
        DataError: if the file cannot be read or cannot be learned from.
        UsageError: if it is no table file, or a column is asked to have a role that needs every row in memory.
    """
    for name, word in (columns or {}).items():
        if word in _REFUSED:
            raise UsageError(
                f"columns: {name!r} is {word!r}, which needs every row in memory; stream without it, or on a "
                "machine with more memory give stream=False"
            )
    drawn = draw(path, target, columns, resident, like)
    source, reading = drawn.source, drawn.reading
    if target is None:
        raise UsageError(f"target is not given; the columns are: {listing(source.names)}")
    dataset = build_dataset(reading, kind, like, positive)
    filled = source.filled()
    labeled, notes = filled.get(target, source.rows), list(dataset.notes)
    if like is None:
        schema = _seen_missing(dataset.schema, filled, source.rows)
        schema, more = _seen_odd(schema, source, filled)
        dataset, notes = dataclasses.replace(dataset, schema=schema), [*notes, *more]
    if labeled < source.rows:
        notes.append(f"{source.rows - labeled:,} rows have no value in {target!r} and are left out")
    held = {field.name: getattr(dataset, field.name) for field in dataclasses.fields(dataset)}
    return StreamedDataset(
        **{**held, "notes": tuple(notes)}, source=source, places=drawn.places, labeled=labeled
    )


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows drawn from a file.

    Attributes:
        source: the file.
        places: int64 [rows], where in the file each row is; ascending.
        reading: the rows, as if they were the file; those without a target are left out.
    """

    source: TableSource
    places: np.ndarray
    reading: Reading


def draw(
    path: object,
    target: str | None,
    columns: Mapping[str, str] | None = None,
    rows: int = RESIDENT,
    like: Schema | None = None,
) -> Drawn:
    """Draw rows at random from a file that need not fit into memory.

    Args:
        path: to a table or to Parquet files.
        target: the column to predict, or None.
        columns: what some columns are, as for `load`.
        rows: how many; all of them where there are no more.
        like: the schema that the columns are read under.

    Raises:
        DataError: if the file cannot be read, or none of the rows has a target.
        UsageError: if it is no table file, or the target is no column.
    """
    files = table_files(path)
    if not files:
        raise UsageError(f"stream: {path!r} is no file of a table; only CSV, Parquet and JSON are streamed")
    source = TableSource(files, asked_writings(columns, target) if like is None else writings(like))
    if target is not None and target not in source.names:
        raise UsageError(f"target={target!r} is no column; the columns are: {listing(source.names)}")
    given = read_columns(columns, source.names, target)
    places = source.draw(rows)
    found = source.pick(places)
    numbering = _numbering(found, places, [target or "", *given])
    given |= dict.fromkeys(numbering, "ignore")
    goal = next((column for column in found if column.name == target and column.kind != "unsupported"), None)
    if goal is not None:
        usable = ~goal.missing()
        if not usable.any():
            raise DataError(
                f"target={target!r} has no value in {len(usable)} rows drawn; choose another column"
            )
        found, places = [column.take(usable) for column in found], places[usable]
    notes = [
        f"the file has {source.rows:,} rows and is read in windows; {len(places):,} of them, drawn at random, are "
        "held in memory: column kinds, scaling and baselines are fitted to these, and the test and validation "
        "rows are among them",
        *(f"column {name!r} is ignored: it numbers the rows" for name in numbering),
    ]
    return Drawn(source, places, Reading(source.name, found, target, given, notes=tuple(notes)))


def fits_memory(source: object, most: float = math.inf) -> bool:
    """Whether a source can be read whole: all but tables that would take over a quarter of the memory.

    Args:
        source: as for `load`; what is no path to a table is never too large.
        most: bytes that it may take at most, whatever the memory.
    """
    files = table_files(source)
    allowed = min(most, _SHARE * _memory())
    if sum(path.stat().st_size for path in files) * _TEXT_COPIES * _PACKED <= allowed:  # however it is packed
        return True
    return sum(map(_whole, files)) <= allowed


def _whole(path: Path) -> float:
    """About how many bytes a table file takes that is read whole."""
    if file_kind(path) in PARQUET:
        return _parquet_cells(path) * 8 * _COPIES
    packed = _PACKED if path.suffix.lower() in (".gz", ".zst") else 1
    return path.stat().st_size * packed * _TEXT_COPIES


def _memory() -> int:
    """Bytes of memory that the machine has; where that cannot be told, enough for anything."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 60


def _parquet_cells(path: Path) -> int:
    """Cells of a Parquet file, from what it says of itself."""
    import duckdb

    from ..read.database import connect, escaped

    try:
        with connect([path]) as connection:
            query = "SELECT sum(num_values) FROM parquet_metadata(?)"
            return int(connection.execute(query, [escaped(path)]).fetchall()[0][0] or 0)
    except duckdb.Error:
        return 0  # what is wrong with the file is told where it is read


def _numbering(drawn: Sequence[RawColumn], places: np.ndarray, known: Sequence[str]) -> list[str]:
    """Columns that count the rows of the file, which rows drawn at random do not show by themselves."""
    return [
        column.name
        for column in drawn
        if column.kind == "number" and column.name not in known and np.ptp(column.values - places) == 0
    ]


def _seen_missing(schema: Schema, filled: Mapping[str, int], rows: int) -> Schema:
    """The schema with missing cells noted that no row drawn has."""
    columns = tuple(
        dataclasses.replace(c, has_missing=c.has_missing or filled.get(c.name, rows) < rows)
        for c in schema.columns
    )
    return dataclasses.replace(schema, columns=columns)


def _seen_odd(schema: Schema, source: TableSource, filled: Mapping[str, int]) -> tuple[Schema, list[str]]:
    """The schema with the few cells noted that are no dates, which the rows drawn may not show; and notes of them."""
    columns, notes = [], []
    for column in schema.columns:
        odd = (
            source.unread(column.name, lambda text, style=column.style: days_of(text, style))
            if column.kind == "date"
            else {}
        )
        slips = {text: count for text, count in odd.items() if not is_marker(text)}
        dates = filled.get(column.name, 0) - sum(odd.values())
        if odd and len(slips) <= MOST_ODD and (not slips or nearly_all(dates, dates + sum(slips.values()))):
            if set(odd) != set(column.odd):
                shown = ", ".join(map(repr, sorted(odd)))
                notes.append(
                    f"column {column.name!r}: cells of the file that are no dates ({shown}) count as missing"
                )
            column = dataclasses.replace(column, odd=tuple(sorted(odd)), has_missing=True)
        columns.append(column)
    return dataclasses.replace(schema, columns=tuple(columns)), notes
