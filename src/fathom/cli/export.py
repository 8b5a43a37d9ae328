"""`fathom export`: a trained model as a folder that is of use without Fathom."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .. import process
from ..look import format_bytes
from .common import PLAIN, Common, verb
from .terminal import print_json, say

app = verb(
    "export",
    "fathom export runs/digits",
    "fathom export runs/digits digits-model --chosen",
    "fathom export runs/prices --coverage 0.95",
)


@app.default
def export(
    run: Annotated[str, Parameter(help="The folder of a finished run.")],
    folder: Annotated[
        str | None, Parameter(help="The folder to write; the run's name and -export if not given.")
    ] = None,
    /,
    *,
    chosen: Annotated[
        bool, Parameter(negative=(), help="Export the chosen network alone and not the ensemble.")
    ] = False,
    coverage: Annotated[
        float | None,
        Parameter(help="Share of values between lower and upper (regression); 0.9 if not given."),
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Write a trained model as a folder that predicts with JAX alone."""
    process.configure()
    import fathom as fm
    from fathom.study.intervals import COVERAGE

    result = fm.load_run(run)
    if coverage is not None:
        result.ensemble.check_coverage(coverage)
    place = Path(folder) if folder is not None else Path(run).with_name(f"{Path(run).resolve().name}-export")
    made = result.export(place, chosen=chosen, coverage=COVERAGE if coverage is None else coverage)
    files = sorted(path for path in made.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    if common.json:
        names = [path.relative_to(made).as_posix() for path in files]
        print_json({"run": run, "folder": str(made), "files": names, "bytes": size})
        return
    say(f"Written to {made}: {len(files)} files, {format_bytes(size)}.")
    if not common.quiet:
        say("\nNext")
        say(f"  pip install -r {made}/requirements.txt && python {made}/predict.py NEW.csv")
        say(f"  fathom predict {made} NEW.csv")
        say(f"\nWhat only you can say is left open in {made}/README.md.")
