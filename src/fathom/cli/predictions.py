"""Writing predictions, a batch of rows at a time: CSV, Parquet or JSON lines, whole files only."""

import csv
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError

_LINES = (".jsonl", ".ndjson")
_OTHER_FORMATS = (".json", ".tsv", ".xlsx", ".feather", ".arrow", ".npy", ".npz")
_MEMORY = "512MB"  # that DuckDB may fill
_DIGITS, _MOST_DIGITS = 6, 17  # what a float32 network has to say, and what tells any two doubles apart

Frames = Iterator[Mapping[str, Any]]


def check_out(path: Path, data: str) -> None:
    """Refuse before any work what could not be written after it.

    Args:
        path: the file to be written.
        data: what is predicted for, which must stay as it is.

    Raises:
        UsageError: if the name says another format, the folder is not there, or the file is the data itself.
    """
    shown = f"out={str(path)!r}"
    if path.suffix.lower() in _OTHER_FORMATS:
        raise UsageError(
            f"{shown}: predictions are written as CSV, Parquet or JSON lines; give a name that ends in .csv, "
            ".parquet or .jsonl"
        )
    if not path.parent.is_dir():
        raise UsageError(f"{shown}: the folder {str(path.parent)!r} does not exist; make it first")
    if path.is_dir():
        raise UsageError(f"{shown} is a folder; give the name of a file in it")
    if path.exists() and not path.is_file():
        raise UsageError(f"{shown} is no plain file, and a whole one is to take its place; give another name")
    if path.exists() and Path(data).exists() and path.samefile(data):
        raise UsageError(f"{shown} is the data itself, which would be lost; give another name")


def write_file(path: Path, frames: Frames, spread: float | None = None) -> int:
    """Write the file whole, then give it its name: a reader never sees half of it.

    Args:
        path: the file; what its name ends in says the format, CSV for any other end.
        frames: predictions by column, a batch of rows at a time.
        spread: standard deviation of the target that the model was trained on; None for classes. Text has six
            significant digits of every number, and as many decimals as show six of the spread: an error of a
            network is a share of the spread, however far from 0 the target lies.

    Returns:
        The rows written.
    """
    suffix = path.suffix.lower()
    with tempfile.TemporaryDirectory(prefix=f".{path.name[:100]}.", dir=path.parent) as folder:
        part = Path(folder) / "part"
        if suffix == ".parquet":
            rows = _write_parquet(part, frames)
        else:
            write = _write_lines if suffix in _LINES else write_csv
            with part.open("w", encoding="utf-8", errors="replace", newline="") as file:
                rows = write(file, frames, spread)
        part.replace(path)
    return rows


def write_csv(file: Any, frames: Frames, spread: float | None = None) -> int:
    """Write the predictions as CSV under one header, as `write_file` says; returns the rows."""
    writer, rows = csv.writer(file, lineterminator="\n"), 0
    for number, columns in enumerate(frames):
        if number == 0:
            writer.writerow(columns)
        writer.writerows(zip(*(_cells(column, spread) for column in columns.values()), strict=True))
        rows += len(columns["prediction"])
    return rows


def _write_lines(file: Any, frames: Frames, spread: float | None) -> int:
    """Write the predictions as JSON lines; an end of an interval that is infinite is null."""
    rows = 0
    for columns in frames:
        names = [f"{json.dumps(name, ensure_ascii=False)}: " for name in columns]
        values = [_json_cells(column, spread) for column in columns.values()]
        for line in zip(*values, strict=True):
            file.write("{" + ", ".join(map("".join, zip(names, line, strict=True))) + "}\n")
        rows += len(columns["prediction"])
    return rows


def _write_parquet(path: Path, frames: Frames) -> int:
    """Gather the predictions in a database beside the file, then write them: classes as text, else doubles."""
    import duckdb

    from ..data.read.database import literal, quoted

    names, rows = [], 0
    limits: Any = {"memory_limit": _MEMORY, "temp_directory": str(path.with_name("spilled"))}
    with duckdb.connect(path.with_name("rows"), config=limits) as connection:
        for number, columns in enumerate(frames):
            names = list(columns)
            batch = {f"c{place}": column for place, column in enumerate(columns.values())}
            connection.register("batch", batch)
            connection.execute(
                "INSERT INTO found FROM batch" if number else "CREATE TABLE found AS FROM batch"
            )
            rows += len(columns["prediction"])
        chosen = ", ".join(f"c{place} AS {quoted(name)}" for place, name in enumerate(names))
        connection.execute(f"COPY (SELECT {chosen} FROM found) TO {literal(str(path))} (FORMAT parquet)")
    return rows


def _cells(column: Any, spread: float | None) -> list[Any]:
    """Numbers as text, with as many digits as a network that learned a target of this spread has to say."""
    if column.dtype.kind != "f":
        return column.tolist()
    digits = [_DIGITS] * len(column) if spread is None else _digits(column, spread)
    return [f"{cell:.{count}g}" for cell, count in zip(column.tolist(), digits, strict=True)]


def _digits(column: Any, spread: float) -> list[int]:
    """How many significant digits of each number show six of the spread; six at least."""
    import numpy as np

    decimals = _DIGITS - math.ceil(math.log10(spread))
    size = np.abs(np.where(np.isfinite(column) & (column != 0), column, 1.0))
    whole = np.floor(np.log10(size)).astype(int) + 1
    return np.clip(whole + decimals, _DIGITS, _MOST_DIGITS).tolist()


def _json_cells(column: Any, spread: float | None) -> list[str]:
    if column.dtype.kind != "f":
        return [json.dumps(cell, ensure_ascii=False) for cell in column.tolist()]
    cells = zip(_cells(column, spread), column.tolist(), strict=True)
    return [text if math.isfinite(cell) else "null" for text, cell in cells]
