"""The model card of a run, filled from its record; what only a person can say is left visibly open."""

from typing import Any

from ..engine.checkpoint import write_whole
from ..look import format_number, format_seconds
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
    data, test, metric = summary["data"], summary["test"], summary["metric"]
    tag = "tabular-classification" if summary["task"] == "classification" else "tabular-regression"
    rows = [("chosen network", test["score"]), (f"ensemble of {len(summary['ensemble']['members'])}", test["ensemble_score"])]
    rows += [(f"baseline: {name.replace('_', ' ')}", found["score"]) for name, found in summary["baselines"].items()]
    table = "\n".join(f"| {name} | {'-' if score is None else format_number(score)} |" for name, score in rows)
    settings = "\n".join(f"| {name} | {value} |" for name, value in summary["chosen"]["settings"].items())
    notes = "".join(f"- {note}\n" for note in data["notes"]) or "- none\n"
    return f"""---
library_name: fathom
pipeline_tag: {tag}
tags: [{tag}, jax]
---

# {summary["target"]} from {data["name"]}

{summary["answer"]}

## Use

    fathom predict {summary["run"]} new.csv

    import fathom as fm
    fm.load_model("{summary["run"]}").predict("new.csv")

## Results

{test["rows"]} test rows, looked at once, after everything was chosen. Metric: {metric}.

| model | {metric} |
|---|---|
{table}

## Data

{data["rows"]} rows, {data["features"]} features; target: {summary["target"]}. Where it comes from and who it is about: {_OPEN}

What was noticed:

{notes}
## Training

{summary["members"]} networks in {summary["programs"]} compiled program(s), {format_seconds(summary["seconds"]["total"])} in all. The chosen one:

| setting | value |
|---|---|
{settings}

## Intended use, limits, risks

{_OPEN}
"""
