"""`fathom report`: write the report of a run again."""

from typing import Annotated

from cyclopts import Parameter

from .. import process
from .common import PLAIN, Common, verb
from .terminal import print_json, say

app = verb("report", "fathom report runs/digits")


@app.default
def report(
    run: Annotated[str, Parameter(help="The folder of a finished run.")],
    /,
    *,
    common: Common = PLAIN,
) -> None:
    """Write the report of a run again and say where it is."""
    process.configure()
    import fathom as fm

    path = fm.write_report(run)
    if common.json:
        print_json({"run": run, "report": path})
        return
    say(str(path) if common.quiet else f"Report written to {path}; open it in a browser.")
