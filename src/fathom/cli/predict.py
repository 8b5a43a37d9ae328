"""`fathom predict`: predictions of a trained run for new data, as CSV or Parquet."""

import csv
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .. import process
from ..errors import UsageError
from ..look import format_number
from .common import PLAIN, Common, verb
from .terminal import print_json, say

app = verb(
    "predict",
    "fathom predict runs/digits new.csv",
    "fathom predict runs/digits new.csv --out predictions.csv",
    "fathom predict runs/big big.parquet --out predictions.parquet",
    "fathom predict runs/digits digits --json",
    "fathom predict runs/prices new.csv --coverage 0.95",
    "fathom predict runs/churn new.csv --threshold 0.3",
)

_OTHER_FORMATS = (".json", ".jsonl", ".tsv", ".xlsx", ".feather", ".arrow", ".npy", ".npz")


@app.default
def predict(
    run: Annotated[str, Parameter(help="The folder of a finished run.")],
    data: Annotated[
        str, Parameter(help="New data: a file with the columns of the training data, or a bundled name.")
    ],
    /,
    *,
    coverage: Annotated[
        float | None,
        Parameter(help="Share of values between lower and upper (regression); 0.9 if not given."),
    ] = None,
    threshold: Annotated[
        float | None,
        Parameter(
            help="Probability from which the second of two classes is predicted; the run's if not given."
        ),
    ] = None,
    out: Annotated[
        str | None, Parameter(help="The file to write, .csv or .parquet; standard output if not given.")
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Predict for new data with a trained run."""
    if out is not None:
        _check_out(Path(out))
    process.configure()
    import fathom as fm
    from fathom.study.intervals import COVERAGE

    model, share = fm.load_model(run), COVERAGE if coverage is None else coverage
    if threshold is not None:
        model = model.with_threshold(threshold)
    if coverage is not None:
        model.check_coverage(coverage)
    about = {"threshold": model.threshold, "coverage": share if model.intervals is not None else None}
    if out is None and common.json:
        columns = model.frame(data, share)
        rows = len(next(iter(columns.values())))
        print_json({"run": run, "data": data, "rows": rows, **about, "columns": columns})
        return
    frames = _frames(model, data, share)
    classes = model.task.kind == "classification"
    rows = _write_csv(sys.stdout, frames) if out is None else _write_file(Path(out), frames, classes)
    if common.json:
        print_json({"run": run, "data": data, "rows": rows, **about, "out": out})
    elif not common.quiet:
        if out is not None:
            say(f"{rows} predictions written to {out}.", stderr=True)
        for note in _notes(model, share, tuned=threshold is None):
            say(f"note: {note}", stderr=True)


def _notes(model: Any, coverage: float, tuned: bool) -> Iterator[str]:
    """What a reader of the predictions has to know."""
    if model.offsets and model.threshold is not None:
        words = f", tuned for {model.task.metric} on validation rows" if tuned else ""
        name = model.task.classes[1]
        yield f"{name!r} is predicted from a probability of {format_number(model.threshold)} on{words}."
    if model.intervals is not None:
        share = f"{100 * coverage:.4g} %"
        if coverage <= model.intervals.most:
            yield f"lower and upper hold {share} of the values of rows like those trained on."
        else:
            limit = f"{100 * model.intervals.most:.3g} %"
            yield f"{share} is more than the validation rows can promise; lower and upper have ends up to {limit}."


def _frames(model: Any, data: str, coverage: float) -> Iterator[Mapping[str, Any]]:
    """The predictions; of a file too large for memory, a batch of rows at a time."""
    from ..data.stream import fits_memory, read_batches

    if fits_memory(data):
        yield model.frame(data, coverage)
    else:
        for batch in read_batches(data, model.schema):
            yield model.frame(batch, coverage)


def _check_out(path: Path) -> None:
    """Refuse before any work what could not be written after it."""
    if path.suffix.lower() in _OTHER_FORMATS:
        raise UsageError(
            f"out={str(path)!r}: predictions are written as CSV or Parquet; give a name that ends in .csv or .parquet"
        )
    if not path.parent.is_dir():
        raise UsageError(f"out={str(path)!r}: the folder {str(path.parent)!r} does not exist; make it first")
    if path.is_dir():
        raise UsageError(f"out={str(path)!r} is a folder; give the name of a file in it")


def _write_file(path: Path, frames: Iterator[Mapping[str, Any]], classes: bool) -> int:
    """Write the file whole, then give it its name: a reader never sees half of it. Returns the rows."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    text = part.with_suffix(".text") if path.suffix.lower() == ".parquet" else part
    try:
        with text.open("w", encoding="utf-8", newline="") as file:
            rows = _write_csv(file, frames)
        if text != part:
            _to_parquet(text, part, classes)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
        text.unlink(missing_ok=True)
    return rows


def _write_csv(file: Any, frames: Iterator[Mapping[str, Any]]) -> int:
    """Write the predictions under one header; returns the rows."""
    writer, rows = csv.writer(file, lineterminator="\n"), 0
    for number, columns in enumerate(frames):
        if number == 0:
            writer.writerow(columns)
        writer.writerows(zip(*(_cells(column) for column in columns.values()), strict=True))
        rows += len(next(iter(columns.values())))
    return rows


def _to_parquet(text: Path, out: Path, classes: bool) -> None:
    """Turn a CSV file of predictions into Parquet: classes as text, all else as numbers."""
    import duckdb

    from ..data.read.database import escaped, literal

    reader = f"read_csv({literal(escaped(text))}, header = true, all_varchar = true)"
    first = "prediction" if classes else "CAST(prediction AS DOUBLE) AS prediction"
    query = f"SELECT {first}, CAST(COLUMNS(* EXCLUDE (prediction)) AS DOUBLE) FROM {reader}"
    limits: Any = {"memory_limit": "768MB", "temp_directory": str(out) + ".spilled"}
    with duckdb.connect(config=limits) as connection:
        if len(connection.execute(f"DESCRIBE FROM {reader}").fetchall()) == 1:
            query = f"SELECT {first} FROM {reader}"
        connection.execute(f"COPY ({query}) TO {literal(str(out))} (FORMAT parquet)")


def _cells(column: Any) -> list[Any]:
    """Numbers to six significant digits, which is what a float32 network has to say."""
    return [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in column.tolist()]
