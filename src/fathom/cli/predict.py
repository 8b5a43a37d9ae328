"""`fathom predict`: predictions of a trained run for new data, as CSV, Parquet or JSON lines."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .. import process
from ..look import format_count, format_number
from .common import PLAIN, Common, verb
from .predictions import check_out, write_csv, write_file
from .terminal import counting, print_json, say

app = verb(
    "predict",
    "fathom predict runs/digits new.csv",
    "fathom predict runs/digits new.csv --out predictions.csv",
    "fathom predict runs/big big.parquet --out predictions.parquet",
    "fathom predict exported new.csv --out predictions.jsonl",
    "fathom predict runs/digits digits --json",
    "fathom predict runs/prices new.csv --coverage 0.95",
    "fathom predict runs/churn new.csv --threshold 0.3",
)


@app.default
def predict(
    run: Annotated[str, Parameter(help="The folder of a finished run, or one that fathom export wrote.")],
    data: Annotated[
        str,
        Parameter(help="New data: a file with the columns of the training data, images, or a bundled name."),
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
        str | None,
        Parameter(help="The file to write: .csv, .parquet or .jsonl; CSV on standard output if not given."),
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Predict for new data with a trained run."""
    if out is not None:
        check_out(Path(out), data)
    process.configure()
    import fathom as fm
    from fathom.study.intervals import COVERAGE

    model, share = fm.load_model(run), COVERAGE if coverage is None else coverage
    if threshold is not None:
        model = model.with_threshold(threshold)
    if coverage is not None:
        model.check_coverage(coverage)
    about = {"threshold": model.threshold, "coverage": share if model.intervals is not None else None}
    notes: list[str] = []
    if out is None and common.json:
        columns = _whole(list(_frames(model, data, share, notes)))
        rows = len(columns["prediction"])
        print_json({"run": run, "data": data, "rows": rows, **about, "columns": columns, "notes": notes})
        return
    frames = _frames(model, data, share, notes)
    if out is None:
        rows = write_csv(sys.stdout, frames, model.target_spread)
    else:
        with counting("rows predicted", shown=not common.quiet) as count:
            rows = write_file(Path(out), _told(frames, count), model.target_spread)
    if common.json:
        print_json({"run": run, "data": data, "rows": rows, **about, "out": out, "notes": notes})
    elif not common.quiet:
        if out is not None:
            say(f"{format_count(rows)} predictions written to {out}.", stderr=True)
        for note in (*notes, *_notes(model, share, tuned=threshold is None)):
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


def _frames(model: Any, data: str, coverage: float, notes: list[str]) -> Iterator[Mapping[str, Any]]:
    """The predictions a batch of rows at a time; what the data is noted for is added to `notes`."""
    for new, outputs in model.batches(data):
        notes += new.notes
        yield {**new.names, **model.frame_of(outputs, coverage)}


def _told(frames: Iterator[Mapping[str, Any]], count: Callable[[int], None]) -> Iterator[Mapping[str, Any]]:
    for columns in frames:
        yield columns
        count(len(columns["prediction"]))


def _whole(frames: list[Mapping[str, Any]]) -> dict[str, Any]:
    import numpy as np

    return {name: np.concatenate([frame[name] for frame in frames]) for name in frames[0]}
