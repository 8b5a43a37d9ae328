"""`fathom compare`: runs on the test rows that they share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .. import process
from ..look import format_count, format_number, format_seconds, format_setting
from .common import PLAIN, Common, verb
from .terminal import print_json, print_table, say

app = verb(
    "compare",
    "fathom compare runs/digits runs/digits-2",
    "fathom compare runs/churn runs/churn-2 runs/churn-3 --metric roc_auc",
    "fathom compare runs/digits runs/digits-2 --json",
)

_SETTINGS = 20  # shown in the terminal


@app.default
def compare(
    *runs: Annotated[
        str, Parameter(help="Folders of finished runs; the others are compared with the first.")
    ],
    metric: Annotated[
        str | None, Parameter(help="What to compare by; what chose in the first run if not given.")
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Compare runs on the test rows that they share."""
    process.configure()
    from ..study.compare import compare as of

    found = of(*runs, metric=metric)
    if common.json:
        print_json(found.to_dict())
        return
    names = _names(found.runs)
    for other in found.runs[1:]:
        say(_sentence(found, other, names))
    if not common.quiet:
        say("")
        _print_runs(found, names)
        if found.differing:
            say("")
            _print_settings(found, names)
    if not common.quiet:
        for note in found.notes:
            say(f"note: {note}.", stderr=True)


def _sentence(found: Any, other: Any, names: Mapping[str, str]) -> str:
    """Whether a run is better than the first, and whether chance could be why."""
    metric, mine, first = found.metric.replace("_", " "), names[other.run], names[found.runs[0].run]
    low, high = other.difference_low, other.difference_high
    rows = f"{format_count(found.rows)} shared test rows"
    if not (low > 0 or high < 0):
        verdict = f"{mine} and {first} cannot be told apart by {metric} on {rows}"
    else:
        better = (other.difference > 0) == found.greater_is_better
        verdict = f"{mine} is {'better' if better else 'worse'} than {first} by {metric} on {rows}"
    return f"{verdict}: {_signed(other.difference)} (95 % interval {_signed(low)} to {_signed(high)})."


def _names(runs: Sequence[Any]) -> dict[str, str]:
    """The folders' names, where they tell the runs apart."""
    short = {run.run: Path(run.run).name for run in runs}
    return short if len(set(short.values())) == len(runs) else {run.run: run.run for run in runs}


def _print_runs(found: Any, names: Mapping[str, str]) -> None:
    accuracy, first = any(run.p is not None for run in found.runs), names[found.runs[0].run]
    heads = ["run", found.metric.replace("_", " "), "95 % interval", f"less {first}", "its 95 % interval"]
    heads += ["McNemar p"] * accuracy
    rows = []
    for run in found.runs:
        row = [
            names[run.run],
            format_number(run.score),
            f"{format_number(run.low)} to {format_number(run.high)}",
        ]
        row += ["", ""] if run.difference is None else [_signed(run.difference), _between(run)]
        row += ["" if run.p is None else format_number(run.p)] * accuracy
        rows.append(row)
    print_table("", heads, rows, right=(heads[1], heads[3], "McNemar p"))
    say("")
    costs = []
    for run in found.runs:
        counts = map(format_count, (run.members, run.networks, run.parameters))
        costs.append((names[run.run], format_seconds(run.seconds), *counts))
    heads = ("run", "took", "trained", "in the ensemble", "parameters")
    print_table("", heads, costs, right=heads[1:])


def _print_settings(found: Any, names: Mapping[str, str]) -> None:
    shown = list(found.differing)[:_SETTINGS]
    rows = [[name, *map(_shown, found.differing[name])] for name in shown]
    print_table("", ["set otherwise", *(names[run.run] for run in found.runs)], rows)
    if len(found.differing) > len(shown):
        say(f"and {len(found.differing) - len(shown)} more, which --json has")


def _between(run: Any) -> str:
    return f"{_signed(run.difference_low)} to {_signed(run.difference_high)}"


def _shown(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, dict):
        return " ".join(f"{name} {_shown(entry)}" for name, entry in value.items())
    return format_setting(value)


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + format_number(float(value))
