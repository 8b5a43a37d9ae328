"""`fathom predict`: predictions of a trained run for new data, as CSV."""

import csv
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .. import process
from ..errors import UsageError
from .common import PLAIN, Common, verb
from .terminal import print_json, say

app = verb(
    "predict",
    "fathom predict runs/digits new.csv",
    "fathom predict runs/digits new.csv --out predictions.csv",
    "fathom predict runs/digits digits --json",
)

_OTHER_FORMATS = (".parquet", ".json", ".jsonl", ".tsv", ".xlsx", ".feather", ".arrow", ".npy", ".npz")


@app.default
def predict(
    run: Annotated[str, Parameter(help="The folder of a finished run.")],
    data: Annotated[
        str, Parameter(help="New data: a file with the columns of the training data, or a bundled name.")
    ],
    /,
    *,
    out: Annotated[str | None, Parameter(help="The CSV file to write; standard output if not given.")] = None,
    common: Common = PLAIN,
) -> None:
    """Predict for new data with a trained run."""
    if out is not None:
        _check_out(Path(out))
    process.configure()
    import fathom as fm

    columns = fm.load_model(run).frame(data)
    rows = len(next(iter(columns.values())))
    if out is not None:
        _write_file(Path(out), columns)
    if common.json:
        shown = {"run": run, "data": data, "rows": rows}
        print_json({**shown, "out": out} if out is not None else {**shown, "columns": columns})
    elif out is None:
        _write_csv(sys.stdout, columns)
    elif not common.quiet:
        say(f"{rows} predictions written to {out}.", stderr=True)


def _check_out(path: Path) -> None:
    """Refuse before any work what could not be written after it."""
    if path.suffix.lower() in _OTHER_FORMATS:
        raise UsageError(f"out={str(path)!r}: predictions are written as CSV; give a name that ends in .csv")
    if not path.parent.is_dir():
        raise UsageError(f"out={str(path)!r}: the folder {str(path.parent)!r} does not exist; make it first")
    if path.is_dir():
        raise UsageError(f"out={str(path)!r} is a folder; give the name of a file in it")


def _write_file(path: Path, columns: Mapping[str, Any]) -> None:
    """Write the file whole, then give it its name: a reader never sees half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            _write_csv(file, columns)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_csv(file: Any, columns: Mapping[str, Any]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_cells(column) for column in columns.values()), strict=True))


def _cells(column: Any) -> list[Any]:
    """Numbers to six significant digits, which is what a float32 network has to say."""
    return [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in column.tolist()]
