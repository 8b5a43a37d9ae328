"""Open any source of data: a bundled name, a path, a data frame, a mapping or arrays."""

import difflib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, UsageError
from .arrays import LABEL, find_idx, is_idx, npz_target, read_idx, read_idx_folder, read_npy, read_npz
from .columns import RawColumn
from .frames import ARRAY_TARGET, image_shape, read_arrays, read_frame
from .images import has_images, is_image, read_images
from .sources import SOURCES
from .tables import PARQUET, TABLE_SUFFIXES, file_kind, read_files, table_stem, writings_by_name

# Files that a user may well give, and what to do with them.
_OTHERS = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "a spreadsheet; save it as CSV"),
    **dict.fromkeys(
        (".pkl", ".pickle", ".joblib", ".pt", ".pth"),
        "a pickle, which may run code and is not read; save it as Parquet or NPZ",
    ),
    **dict.fromkeys((".h5", ".hdf5", ".mat"), "no table that is read here; save it as Parquet or NPZ"),
    **dict.fromkeys((".feather", ".arrow"), "an Arrow file; save it as Parquet"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz"), "an archive; unpack it first"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Opened:
    """What a source holds, before a schema is known.

    Attributes:
        name: what it is called in reports.
        columns: the raw columns, in the order of the source.
        target: the column that the source itself names as the one to predict, or None.
        positions: whether the columns are positions (of an array, of an image) and not names.
        shape: how the inputs of one example are arranged: (height, width) or (height, width, channels) of an
            image; () otherwise.
        part: int8 [rows], where the source says it: 0 train, 1 validation, 2 test, -1 left to chance; or None.
        notes: one sentence for each thing a user should hear (files passed over).
        files: [rows], the file of each row, where each has one of its own (an image); or None.
        kind: "classification" or "regression", where the source itself says what its target is; or None.
    """

    name: str
    columns: list[RawColumn]
    target: str | None = None
    positions: bool = False
    shape: tuple[int, ...] = ()
    part: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    kind: str | None = None
    files: np.ndarray | None = None


def open_source(source: Any, expected: Collection[str] = (), sql: str | None = None) -> Opened:
    """Read a source of any kind.

    Args:
        source: as for `load`.
        expected: names that the source should hold; one of them in the first row of a text file makes that
            row a header, and names of pixels say the size of images; or a mapping, which says what is known of
            each column's cells.
        sql: a SELECT over the file, whose table is called by the file's stem or `data`; or over the tables of
            a folder, each called by its stem.

    Returns:
        What the source holds.

    Raises:
        DataError: if the source cannot be read.
        UsageError: if it is of a kind that cannot be read, or `sql` is given where there is no file.
    """
    if isinstance(source, Opened):
        return source
    is_path = isinstance(source, (str, os.PathLike)) and not (isinstance(source, str) and source in SOURCES)
    if sql is not None and not is_path:
        raise UsageError("sql is given without a file; name the file it selects from")
    if isinstance(source, tuple):
        if len(source) != 2:
            raise UsageError(f"source is a tuple of {len(source)}; give (x, y): features and target")
        columns = read_arrays(*source, writings_by_name(expected))
        named = _has_names(source[0])
        shape = () if named else image_shape(np.shape(source[0]))
        return Opened("arrays", columns, ARRAY_TARGET, not named, shape)
    if is_path:
        return _open_path(_path(source), expected, sql)
    if isinstance(source, str):
        record = SOURCES[source]
        columns = record.read()
        return Opened(record.name, columns, record.target, bool(record.shape), record.shape, kind=record.kind)
    return Opened("table", read_frame(source, writings_by_name(expected)))


def table_files(source: Any) -> list[Path]:
    """The files that a source of tables names: one table, or Parquet files that are read as one; else none.

    Args:
        source: as for `load`.

    Raises:
        DataError: if the source is a path and there is nothing.
    """
    if not isinstance(source, (str, os.PathLike)) or (isinstance(source, str) and source in SOURCES):
        return []
    path = _path(source)
    if not path.exists() and (found := _matching(path)):
        return found if len(found) == 1 or all(file_kind(one) in PARQUET for one in found) else []
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
        tables = [one for one in files if file_kind(one) in TABLE_SUFFIXES]
        return tables if all(file_kind(one) in PARQUET for one in tables) and not find_idx(path) else []
    _check_exists(path)
    no_table = path.suffix.lower() in (*_OTHERS, ".npz", ".npy") or is_image(path) or is_idx(path)
    return [] if no_table else [path]


def _path(source: str | os.PathLike) -> Path:
    if not os.fspath(source):
        raise UsageError("source is an empty text; give a bundled name or the path of a file or a folder")
    return Path(source).expanduser()


def _has_names(x: Any) -> bool:
    return isinstance(x, Mapping) or hasattr(x, "columns")


def _open_path(path: Path, expected: Collection[str], sql: str | None) -> Opened:
    if not path.exists() and (found := _matching(path)):
        return _open_tables(path.parent.name or "table", found, str(path), expected, sql)
    if path.is_dir():
        return _open_folder(path, expected, sql)
    _check_exists(path)
    name, kind = table_stem(path), path.suffix.lower()
    if sql is not None:
        return Opened(name, read_files([path], expected, sql))
    if kind in _OTHERS:
        raise DataError(f"file {str(path)!r} is {_OTHERS[kind]}")
    if kind in (".npz", ".npy"):
        arrays = read_npz(path) if kind == ".npz" else read_npy(path)
        target = npz_target(path) if kind == ".npz" and arrays.y is not None else None
        columns = arrays.columns(target or ARRAY_TARGET)
        return Opened(name, columns, target, True, arrays.shape, arrays.part)
    if is_image(path):
        return _open_images(path, expected)
    if is_idx(path):
        return _labeled(name, read_idx(path))
    return Opened(name, read_files([path], expected))


def _open_folder(folder: Path, expected: Collection[str], sql: str | None) -> Opened:
    name = folder.resolve().name
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    tables = [path for path in files if file_kind(path) in TABLE_SUFFIXES]
    if sql is not None:
        if not tables:
            raise DataError(f"source={str(folder)!r} holds no tables; give a folder of CSV, Parquet or JSON")
        return Opened(name, read_files(tables, expected, sql))
    if idx := find_idx(folder):
        return _labeled(name, read_idx_folder(folder, idx))
    if tables and all(file_kind(path) in PARQUET for path in tables):
        return Opened(name, read_files(tables, expected))
    if has_images(folder):
        return _open_images(folder, expected)
    listed = ", ".join(path.name for path in files[:10]) + (", …" if len(files) > 10 else "")
    raise DataError(
        f"source={str(folder)!r} is a folder; give a file in it ({listed or 'it has none'}), or a folder of "
        "images, of IDX files or of Parquet files" + ("; or join its tables with sql" if tables else "")
    )


def _open_tables(
    name: str, paths: list[Path], shown: str, expected: Collection[str], sql: str | None
) -> Opened:
    if sql is None and len(paths) > 1 and not all(file_kind(path) in PARQUET for path in paths):
        raise DataError(
            f"source={shown!r} matches {len(paths)} files; only Parquet files are read together: "
            "give one of them, or sql that selects from several"
        )
    return Opened(table_stem(paths[0]) if len(paths) == 1 else name, read_files(paths, expected, sql))


def _open_images(source: Path, expected: Collection[str]) -> Opened:
    images = read_images(source, expected)
    columns = read_arrays(images.x)
    target = None
    if images.labels is not None:
        target = LABEL
        columns.append(RawColumn(LABEL, "text", images.labels))
    name = table_stem(source) if source.is_file() else source.resolve().name
    shape = image_shape(images.x.shape)
    kind = target and "classification"
    return Opened(name, columns, target, True, shape, images.part, images.notes, kind, images.files)


def _labeled(name: str, arrays: Any) -> Opened:
    target = None if arrays.y is None else LABEL
    kind = target and "classification"
    return Opened(name, arrays.columns(LABEL), target, True, arrays.shape, arrays.part, kind=kind)


def _matching(path: Path) -> list[Path]:
    """The files that a pattern with *, ? or [ matches, in the order of their names."""
    if not any(mark in str(path) for mark in "*?["):
        return []
    root = Path(path.anchor or ".")
    return sorted(found for found in root.glob(str(path.relative_to(path.anchor))) if found.is_file())


def _check_exists(path: Path) -> None:
    if path.is_file():
        return
    folder = path.parent if path.parent.is_dir() else None
    beside = [entry.name for entry in folder.iterdir() if entry.is_file()] if folder else []
    close = difflib.get_close_matches(path.name, [*SOURCES.names(), *beside], n=1)
    near = close[0] if close and close[0] in SOURCES else str(path.parent / close[0]) if close else ""
    hint = f"; did you mean {near!r}?" if near else ""
    raise DataError(
        f"source={str(path)!r} is neither a file nor a dataset that comes with Fathom "
        f"({', '.join(SOURCES.names())}){hint}"
    )
