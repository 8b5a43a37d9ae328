"""Open any source of data, and read new data for a model that exists."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, UsageError
from .columns import RawColumn
from .dataset import Dataset, Table, build_table, build_target
from .frames import ARRAY_TARGET, read_arrays, read_frame
from .schema import Schema, infer_schema
from .sources import SOURCES
from .tables import read_file


def load(source: Any, target: str | None = None, *, kind: str | None = None) -> Dataset:
    """Open a source of data and infer its schema.

    Args:
        source: a bundled name (`SOURCES`); a path to CSV, TSV, Parquet or JSON lines, text also as .gz; a
            data frame; a mapping of columns; or an (x, y) pair of arrays, [rows, features] and [rows].
        target: the column to predict; needed for a file or a data frame.
        kind: "classification" or "regression"; inferred from the target where None.

    Returns:
        The dataset; rows without a target are left out, and its notes say what else a user should hear.

    Raises:
        DataError: if the source cannot be read or cannot be learned from.
        UsageError: if `target` is missing or no column, or `kind` is not a known word.

    Example:
        >>> data = load("iris")
        >>> len(data), data.kind, data.classes
        (150, 'classification', ('setosa', 'versicolor', 'virginica'))
        >>> load((np.arange(8.0), np.arange(8.0) ** 2)).kind
        'regression'
    """
    if isinstance(source, Dataset):
        return source
    name, columns, own_target, keep_all = _open(source, (target,) if target else ())
    chosen = _check_target(target, own_target, [column.name for column in columns])
    if isinstance(source, str) and kind is None and source in SOURCES and chosen == own_target:
        kind = SOURCES[source].kind
    columns, notes = _drop_unlabeled(columns, chosen)
    schema, more = infer_schema(columns, chosen, kind=kind, keep_all=keep_all)
    by_name = {column.name: column for column in columns}
    target_values = build_target(by_name[chosen], schema)
    table = build_table(by_name, schema)
    return Dataset(name, schema, table, schema.kind, target_values, schema.target.categories, (*notes, *more))


def read_table(source: Any, schema: Schema, *, with_target: bool = True) -> tuple[Table, np.ndarray | None]:
    """Read new data under the schema of a trained model.

    Columns are matched by name, in any order; others are passed over. An array without names is matched by
    position.

    Args:
        source: as for `load`; or an array [rows, features] alone.
        schema: what the model reads.
        with_target: also read the target, where the source has it.

    Returns:
        The table, and the target: None where the source has no such column or no value in it; a single
        missing value is -1 (class index) or NaN (number).

    Raises:
        DataError: if a column is missing (all of them are named) or a cell cannot be read as in training.
    """
    columns = _read_new(source, schema)
    by_name = {column.name: column for column in columns}
    absent = [column.name for column in schema.columns if column.name not in by_name]
    if absent:
        raise DataError(_absent_message(absent, list(by_name), schema))
    table = build_table(by_name, schema)
    goal = by_name.get(schema.target.name)
    if not with_target or goal is None or goal.missing().all():
        return table, None
    return table, build_target(goal, schema)


def _open(source: Any, expected: Iterable[str]) -> tuple[str, list[RawColumn], str | None, bool]:
    """Name, columns, the target that the source itself names, and whether its columns are positions."""
    if isinstance(source, tuple):
        if len(source) != 2:
            raise UsageError(f"source is a tuple of {len(source)}; give (x, y): features and target")
        columns = read_arrays(*source)
        return "arrays", columns, ARRAY_TARGET, columns[0].name == "x0"
    if isinstance(source, str) and source in SOURCES:
        record = SOURCES[source]
        return record.name, record.read(), record.target, bool(record.shape)
    if isinstance(source, (str, os.PathLike)):
        path = _existing(Path(source).expanduser())
        return path.name.split(".")[0] or path.name, read_file(path, tuple(expected)), None, False
    return "table", read_frame(source), None, False


def _read_new(source: Any, schema: Schema) -> list[RawColumn]:
    names = [column.name for column in schema.columns]
    if isinstance(source, tuple) and len(source) == 2:
        columns = read_arrays(*source)
        goal = RawColumn(schema.target.name, columns[-1].kind, columns[-1].values)
        return (
            [*_by_position(columns[:-1], names), goal] if columns[0].name == "x0" else [*columns[:-1], goal]
        )
    if isinstance(source, list) or (
        hasattr(source, "__array__") and hasattr(source, "ndim") and not hasattr(source, "columns")
    ):
        return _by_position(read_arrays(source), names)
    return _open(source, [*names, schema.target.name])[1]


def _by_position(columns: list[RawColumn], names: list[str]) -> list[RawColumn]:
    if set(names) <= {column.name for column in columns}:
        return columns
    if len(columns) != len(names):
        raise DataError(f"x has {len(columns)} columns; the model reads {len(names)}: {_listing(names)}")
    return [RawColumn(name, column.kind, column.values) for name, column in zip(names, columns, strict=True)]


def _existing(path: Path) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        raise DataError(f"source={str(path)!r} is a folder; give a file in it")
    folder = path.parent if path.parent.is_dir() else None
    beside = [entry.name for entry in folder.iterdir() if entry.is_file()] if folder else []
    close = difflib.get_close_matches(path.name, [*SOURCES.names(), *beside], n=1)
    near = close[0] if close and close[0] in SOURCES else str(path.parent / close[0]) if close else ""
    hint = f"; did you mean {near!r}?" if near else ""
    raise DataError(
        f"source={str(path)!r} is neither a file nor a dataset that comes with Fathom "
        f"({', '.join(SOURCES.names())}){hint}"
    )


def _check_target(target: str | None, own: str | None, names: list[str]) -> str:
    chosen = target if target is not None else own
    if chosen is None:
        raise UsageError(
            "target is not given; name the column to predict with --target (target=… in Python), "
            f"one of: {_listing(names)}"
        )
    if chosen not in names:
        close = difflib.get_close_matches(chosen, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"target={chosen!r} is no column; the columns are: {_listing(names)}{hint}")
    return chosen


def _drop_unlabeled(columns: list[RawColumn], target: str) -> tuple[list[RawColumn], list[str]]:
    goal = next(column for column in columns if column.name == target)
    if goal.kind == "unsupported":
        return columns, []
    missing = goal.missing()
    count = int(missing.sum())
    if count == 0:
        return columns, []
    if count == len(missing):
        raise DataError(f"target={target!r} has no value in any row; choose another column")
    noun = "row has" if count == 1 else "rows have"
    note = f"{count} {noun} no value in {target!r} and {'is' if count == 1 else 'are'} left out"
    return [column.take(~missing) for column in columns], [note]


def _absent_message(absent: list[str], given: list[str], schema: Schema) -> str:
    noun = "column is" if len(absent) == 1 else "columns are"
    hint = ""
    if len(absent) == len(schema.columns):
        hint = f"; it has: {_listing(given)} (is its header line missing?)"
    elif close := difflib.get_close_matches(absent[0], given, n=1):
        hint = f"; did you mean the column {close[0]!r} for {absent[0]!r}?"
    return f"the {noun} missing that the model reads: {_listing(absent)}{hint}"


def _listing(names: list[str], most: int = 40) -> str:
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
