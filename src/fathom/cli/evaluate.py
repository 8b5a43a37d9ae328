"""`fathom evaluate`: every metric of a trained run on data with known answers."""

from typing import Annotated

from cyclopts import Parameter

from .. import process
from ..look import format_number
from .common import PLAIN, Common, verb
from .terminal import print_json, print_table

app = verb(
    "evaluate", "fathom evaluate runs/digits later.csv", "fathom evaluate runs/digits later.csv --json"
)


@app.default
def evaluate(
    run: Annotated[str, Parameter(help="The folder of a finished run.")],
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
    scores = model.evaluate(data)
    if common.json:
        print_json({"run": run, "data": data, "metrics": scores})
        return
    rows = [(name, format_number(value), METRICS[name].summary) for name, value in scores.items()]
    print_table("", ("metric", "value", "what it is"), rows, right=("value",))
