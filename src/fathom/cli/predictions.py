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


def write_file(path: Path, frames: Frames) -> int:
    """Write the file whole, then give it its name: a reader never sees half of it.

    Args:
        path: the file; what its name ends in says the format, CSV for any other end.
        frames: predictions by column, a batch of rows at a time.

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
                rows = write(file, frames)
        part.replace(path)
    return rows


def write_csv(file: Any, frames: Frames) -> int:
    """Write the predictions as CSV under one header; returns the rows."""
    writer, rows = csv.writer(file, lineterminator="\n"), 0
    for number, columns in enumerate(frames):
        if number == 0:
            writer.writerow(columns)
        writer.writerows(zip(*map(_cells, columns.values()), strict=True))
        rows += len(columns["prediction"])
    return rows


def _write_lines(file: Any, frames: Frames) -> int:
    """Write the predictions as JSON lines; an end of an interval that is infinite is null."""
    rows = 0
    for columns in frames:
        names = [f"{json.dumps(name, ensure_ascii=False)}: " for name in columns]
        values = [[_json(cell) for cell in column.tolist()] for column in columns.values()]
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


def _cells(column: Any) -> list[Any]:
    """Numbers to six significant digits, which is what a float32 network has to say."""
    return [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in column.tolist()]


def _json(cell: Any) -> str:
    if not isinstance(cell, float):
        return json.dumps(cell, ensure_ascii=False)
    return f"{cell:.6g}" if math.isfinite(cell) else "null"
