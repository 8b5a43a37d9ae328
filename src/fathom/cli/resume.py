"""`fathom resume`: go on with a run that was stopped."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .common import ALONE, PLAIN, Common, Processes, verb
from .outcome import speaks, watch
from .request import read_settings
from .terminal import say

app = verb("resume", "fathom resume runs/digits")


@app.default
def resume(
    run: Annotated[str, Parameter(help="The folder of the run, as fathom fit printed it.")],
    /,
    *,
    processes: Processes = ALONE,
    common: Common = PLAIN,
) -> None:
    """Go on with a run that was stopped."""
    processes.configure()
    import fathom as fm

    folder = Path(run)
    if (folder / "result.json").is_file() and not common.quiet and speaks():
        say(f"note: {run} is finished already; nothing is left to train", stderr=True, style="dim")
    watch(folder, _metric(folder), common, lambda callbacks: fm.resume(folder, callbacks=callbacks))


def _metric(folder: Path) -> str:
    """The metric's name, for the progress; a folder that holds no run is refused by the resumption itself."""
    settings = folder / "study.toml"
    return str(read_settings(settings).get("metric", "score")) if settings.is_file() else "score"
