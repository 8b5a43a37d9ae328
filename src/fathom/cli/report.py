"""`fathom report`: write the report of a run again, and its figures as files."""

from typing import Annotated

from cyclopts import Parameter

from .. import process
from .common import PLAIN, Common, verb
from .terminal import print_json, say

app = verb("report", "fathom report runs/digits", "fathom report runs/digits --figures figures")


@app.default
def report(
    run: Annotated[str, Parameter(help="The folder of a finished run.")],
    /,
    *,
    figures: Annotated[
        str | None,
        Parameter(help="A folder for every chart as SVG, PNG and PDF, and the data behind each as CSV."),
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Write the report of a run again and say where it is."""
    process.configure()
    import fathom as fm

    path = fm.write_report(run)
    files = []
    if figures is not None:
        from ..report import write_figures

        files = write_figures(run, figures)
    if common.json:
        print_json({"run": run, "report": path, "figures": files})
        return
    say(str(path) if common.quiet else f"Report written to {path}; open it in a browser.")
    if figures is not None and not common.quiet:
        charts = sum(file.suffix == ".svg" for file in files)
        say(f"{charts} charts as SVG, PNG and PDF, the data behind each as CSV, and captions.md: {figures}")
