"""`fathom evaluate`: every metric of a trained run on data with known answers."""

from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import Parameter

from .. import process
from ..look import format_count, format_number
from .common import PLAIN, Common, verb
from .terminal import print_json, print_table, say

app = verb(
    "evaluate", "fathom evaluate runs/digits later.csv", "fathom evaluate runs/digits later.csv --json"
)


@app.default
def evaluate(
    run: Annotated[str, Parameter(help="The folder of a finished run, or one that fathom export wrote.")],
    data: Annotated[str, Parameter(help="A data file with the target column, or a bundled name.")],
    /,
    *,
    threshold: Annotated[
        float | None,
        Parameter(
            help="Probability from which the second of two classes is predicted; the run's if not given."
        ),
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Measure a trained run on data with known answers."""
    process.configure()
    import fathom as fm
    from fathom.objectives import METRICS

    model = fm.load_model(run)
    if threshold is not None:
        model = model.with_threshold(threshold)
    judged = model.judge(data)
    if common.json:
        rows = {"rows": judged.rows, "left_out": judged.left_out}
        about = {"run": run, "data": data, **rows, "threshold": model.threshold}
        print_json({**about, "metrics": judged.scores, "notes": judged.notes})
        return
    lines = [(name, format_number(value), METRICS[name].summary) for name, value in judged.scores.items()]
    print_table("", ("metric", "value", "what it is"), lines, right=("value",))
    if not common.quiet:
        for note in (*judged.notes, *_notes(judged, model.schema.target.name)):
            say(f"note: {note}", stderr=True)


def _notes(judged: Any, target: str) -> Iterator[str]:
    """What a reader of the scores has to know."""
    if judged.left_out:
        noun = "row has" if judged.left_out == 1 else "rows have"
        without = f"{format_count(judged.left_out)} {noun} no value in {target!r}"
        yield f"{without}, and {format_count(judged.rows)} were judged."
