"""The model card of a run, filled from its record; what only a person can say is left visibly open."""

from collections.abc import Sequence
from typing import Any

from ..engine.checkpoint import write_whole
from ..look import format_count, format_number, format_seconds, format_setting
from .run_folder import CARD, RunFolder

_OPEN = "*To be filled in by a person.*"


def write_card(run: RunFolder) -> None:
    """Write the model card of a finished run.

    Args:
        run: the run.
    """
    write_whole(run.path / CARD, card(run.read_result()))


def card(summary: dict[str, Any]) -> str:
    """The text of a model card.

    Args:
        summary: the result's summary.
    """
    data = summary["data"]
    tag = f"tabular-{summary['task']}"
    chosen = {name: _setting(value) for name, value in summary["chosen"]["settings"].items() if value != ""}
    notes = "\n".join(f"- {_line(note)}" for note in data["notes"]) or "- nothing stood out"
    seconds = format_seconds(summary["seconds"]["total"])
    programs = f"{summary['programs']} compiled program{'s' * (summary['programs'] > 1)}"
    return f"""---
library_name: fathom
pipeline_tag: {tag}
tags: [{tag}, jax]
---

# {_line(summary["target"])} from {_line(data["name"])}

{_line(summary["answer"])}

## Use

    fathom predict {summary["run"]} new.csv

    import fathom as fm
    fm.load_model({summary["run"]!r}).predict("new.csv")

## Results

{_results(summary)}

## Data

{format_count(data["rows"])} rows, {format_count(data["features"])} inputs to the network.
Target: {_line(summary["target"])}.

What was noticed:

{notes}

Where the data comes from and who it is about: {_OPEN}

## Training

{format_count(summary["members"])} networks in {programs}, {seconds} in all.
The chosen one:

{_table(["setting", "value"], list(chosen.items()))}

## Intended use, limits, risks

{_OPEN}
"""


def _results(summary: dict[str, Any]) -> str:
    """The scores of the networks and the baselines, and on which rows."""
    test, metric = summary["test"], summary["metric"].replace("_", " ")
    better = "higher" if summary["greater_is_better"] else "lower"
    if test["score"] is None:
        score = format_number(float(summary["validation"]["score"]))
        score = f"{score} ({better} is better)"
        return f"No test rows were kept. Validation {metric} of the chosen candidate: {score}."
    networks = len(summary["ensemble"]["members"])
    rows = [(f"ensemble of {networks}", test["ensemble_score"]), ("chosen network", test["score"])]
    rows += [(f"baseline: {name.replace('_', ' ')}", b["score"]) for name, b in summary["baselines"].items()]
    cells = [(name, "–" if score is None else format_number(float(score))) for name, score in rows]
    warm = ""
    if summary["task"] == "classification":
        warm = "\nProbabilities are calibrated on validation rows by temperatures."
    if summary["decision"]["offsets"] and summary["decision"]["threshold"] is not None:
        name, shown = summary["data"]["classes"][1], format_number(summary["decision"]["threshold"])
        warm += f"\n{name!r} is predicted from a probability of {shown} on, tuned for {metric} on validation rows."
    if (interval := test["interval"]) and interval["width"] is not None:
        held = f"{100 * interval['coverage']:.3g} % of the test rows"
        warm += f"\nIntervals asked to hold {100 * interval['asked']:g} % held {held}, "
        warm += f"{format_number(interval['width'])} wide in the mean."
    where = f"{format_count(test['rows'])} test rows, looked at once, after everything was chosen"
    return f"{where}; {better} is better.{warm}\n\n{_table(['model', metric], cells)}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _line(text: str) -> str:
    return " ".join(str(text).splitlines())


def _setting(value: Any) -> str:
    """A setting's value; one that JSON cannot say was infinite."""
    return "∞" if value is None else format_setting(value)
