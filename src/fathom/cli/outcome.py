"""What `fathom fit` and `fathom resume` have in common: showing the run, its answer, and what to do next."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FathomError
from ..look import format_number, format_seconds
from .common import Common
from .main import STOPPED
from .progress import Progress
from .terminal import console, print_json, say

if TYPE_CHECKING:
    from ..study import Result


class Stopped(FathomError):
    """The user stopped the run. Exit code 130."""

    exit_code = STOPPED


def speaks() -> bool:
    """Whether this process tells the user: the only one, or the first of several."""
    from ..engine import hosts

    return hosts.first()


def watch(
    folder: Path,
    metric: str,
    common: Common,
    work: Callable[[list[Any]], "Result"],
    explained: bool = False,
) -> None:
    """Do the work of a run, show its progress on standard error, then its answer on standard output.

    Args:
        folder: where the run is kept.
        metric: the metric's name.
        common: the options of every verb.
        work: does it, given the callbacks.
        explained: whether to say why its programs are what they are, and how they came to be.

    Raises:
        Stopped: on Ctrl-C, with the words how to go on.
    """
    try:
        out = None if common.quiet or not speaks() else console(stderr=True)
        with Progress(metric, out, explained=explained) as progress:
            result = work([progress])
    except KeyboardInterrupt:
        raise Stopped(_how_to_go_on(folder)) from None
    if speaks():
        show(result, folder, common)


def show(result: "Result", folder: Path, common: Common) -> None:
    """The answer, where it is kept, what to do next."""
    if common.json:
        print_json(result.summary())
        return
    say(result.answer(), style="bold")
    if common.quiet:
        return
    summary = result.summary()
    seconds = summary["seconds"]
    say("")
    total, compiling = format_seconds(seconds["total"]), format_seconds(seconds["compile"])
    say(f"Kept in {folder}: {summary['members']} members in {total}, {compiling} of them compiling.")
    say(_certainty(summary["validation"]))
    for line in _use(summary):
        say(line)
    say("")
    say("Next")
    say(f"  fathom report {folder}")
    say(f"  fathom predict {folder} NEW.csv")


def _certainty(validation: dict[str, Any]) -> str:
    """Whether the choice among candidates means something."""
    equals, ranked = len(validation["not_worse_beyond_noise"]), len(validation["ranking"])
    if ranked == 1:
        return "One candidate was trained to the end; there was nothing to choose."
    if len(validation["scores"]) == 1:
        return "With one seed and one fold, chance cannot be told from merit: give --seeds or --folds."
    if equals:
        return f"On validation the winner is not better than {equals} of {ranked - 1} other finalists, beyond noise."
    return f"On validation the winner is better than all {ranked - 1} other finalists, beyond noise."


def _use(summary: dict[str, Any]) -> Iterator[str]:
    """Where the line between two classes was drawn, or how far off predictions are."""
    threshold = summary["decision"]["threshold"]
    if summary["decision"]["offsets"] and threshold is not None:
        name, shown = summary["data"]["classes"][1], format_number(threshold)
        yield f"{name!r} is predicted from a probability of {shown} on, tuned for {summary['metric']} on validation."
    interval = summary["test"].get("interval")
    if interval and interval["width"] is not None:
        shares = f"{100 * interval['coverage']:.3g} % of test rows (asked: {100 * interval['asked']:g} %)"
        yield f"Intervals hold {shares} and are {format_number(interval['width'])} wide in the mean."


def _how_to_go_on(folder: Path) -> str:
    if (folder / "study.toml").is_file():
        return f"stopped; go on with: fathom resume {folder}"
    return "stopped before training began; nothing was kept."
