"""The report of a run: one file that opens anywhere, without a network."""

import importlib.resources
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..engine.checkpoint import write_whole
from ..look import format_count, format_number, format_seconds, format_uncertain
from ..study.run_folder import REPORT
from .curves import curves_figure, losses_figure
from .draw import Figure
from .record import Record, known, say
from .scores import scores_figure, seconds_figure
from .sweeps import setting_figures

_MOST_ROWS = 200


def write_report(folder: str | Path) -> Path:
    """Write the report of a finished run into its folder: one HTML file that needs no other.

    Args:
        folder: the run.

    Returns:
        The file.

    Raises:
        RunError: if there is no run, it is not finished, or it is damaged.
    """
    record = Record.read(folder)
    path = record.folder / REPORT
    write_whole(path, page(record))
    return path


def page(record: Record) -> str:
    """The whole document, answer first.

    Args:
        record: the run.
    """
    summary = record.summary
    style = importlib.resources.files("fathom.report").joinpath("style.css").read_text(encoding="utf-8")
    title = f"{summary['target']} from {summary['data']['name']}"
    sections = (_learning, _sweeps, _members, _baselines, _plan, _data, _time, _next)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="fathom {escape(str(summary["made"]["fathom"]))}">
<title>{escape(title)} · Fathom</title>
<style>
{style}</style>
</head>
<body>
<header>
<p class="mark"><b>Fathom</b> <span>{escape(title)}</span></p>
<h1>{escape(summary["answer"])}</h1>
</header>
<main>
{_first(record)}
{"".join(section(record) for section in sections)}</main>
{_footer(record)}
</body>
</html>
"""


def _section(title: str, body: str, lead: str = "") -> str:
    name = title.lower().replace(" ", "-")
    text = f"<p>{escape(lead)}</p>\n" if lead else ""
    return (
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{escape(title)}</h2>\n{text}{body}</section>\n'
    )


def _figure(figure: Figure) -> str:
    names = ("wide", "narrow") if len(figure.svg) == 2 else ("",)
    pictures = "".join(f'<div class="{n}">{svg}</div>' for n, svg in zip(names, figure.svg, strict=True))
    key = "".join(
        f'<li style="color:{color}"><i aria-hidden="true"></i><span>{escape(text)}</span></li>'
        for color, text in figure.key
    )
    key = f'<ul class="key">{key}</ul>' if key else ""
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>"
    return f"<figure>\n<h3>{escape(figure.title)}</h3>\n{pictures}{key}{caption}\n</figure>\n"


def _pair(figures: Sequence[Figure | None]) -> str:
    return f'<div class="pair">{"".join(_figure(f) for f in figures if f is not None)}</div>'


def _first(record: Record) -> str:
    """Three numbers and one picture."""
    summary, test = record.summary, record.summary["test"]
    metric = record.metric
    networks, rows = len(summary["ensemble"]["members"]), format_count(test["rows"])
    if test["score"] is None:
        held = summary["validation"]
        parts = [("ours", f"validation {metric}, chosen candidate", held["score"], _over(held))]
        note = (
            "<p>No test rows were kept, so nothing here is an unbiased measure; set test above 0 for one.</p>"
        )
        return f"<section>{_numbers(parts)}{note}</section>\n"
    parts = [
        ("ours", f"test {metric}, ensemble of {networks}", test["ensemble_score"], f"{rows} test rows"),
        (
            "ours",
            f"test {metric}, chosen network",
            test["score"],
            f"validation {_over(summary['validation'])}",
        ),
    ]
    found = {name: base["score"] for name, base in summary["baselines"].items()}
    if found:
        name = (max if record.rising else min)(found, key=lambda n: found[n])
        parts.append(("", f"test {metric}, best baseline", found[name], name.replace("_", " ")))
    figure = scores_figure(record)
    assert figure is not None
    return f'<section aria-label="The answer in numbers">{_numbers(parts)}<br>{_figure(figure)}</section>\n'


def _over(held: dict[str, Any]) -> str:
    """The validation score with its standard error, and what the two are."""
    count, error = len(held["scores"]), held["standard_error"]
    if error is None or count < 2:
        return f"{format_number(float(held['score']))}, one network"
    what = "mean and standard error" if error else "mean"
    return f"{format_uncertain(held['score'], error)}, {what} of {count} networks"


def _numbers(parts: Sequence[tuple[str, str, float, str]]) -> str:
    entries = "".join(
        f'<div class="{kind}"><dt>{escape(name)}</dt>'
        f"<dd>{_cell(float(value))}<small>{escape(note)}</small></dd></div>"
        for kind, name, value, note in parts
    )
    return f'<dl class="numbers">{entries}</dl>'


def _learning(record: Record) -> str:
    figures = [curves_figure(record), losses_figure(record)]
    return _section("How they learned", _pair(figures)) if any(figures) else ""


def _sweeps(record: Record) -> str:
    """Score against what was varied, and whether the choice is beyond noise."""
    figures = setting_figures(record)
    if not figures:
        return ""
    equals = record.summary["validation"]["not_worse_beyond_noise"]
    ranked = sum(1 for c in record.candidates if c.rank)
    if ranked < 2:
        lead = "Only one candidate was trained to the end."
    elif len(record.candidates[0].members) < 2:
        lead = "With one network a candidate, luck and merit cannot be told apart; more seeds or folds would."
    elif equals:
        others = "1 other is" if len(equals) == 1 else f"{format_count(len(equals))} others are"
        lead = f"The winner is not better than all: {others} as good within noise"
        lead += " (95 %, paired by seed and fold)."
    else:
        lead = (
            f"The winner is better than the other {ranked - 1} beyond noise (95 %, paired by seed and fold)."
        )
    return _section("What mattered", _pair(figures), lead)


def _members(record: Record) -> str:
    """The table of members, best first."""
    names = [
        "member",
        "candidate",
        "seed",
        "fold",
        "best_score",
        "best_epoch",
        "epochs",
        "status",
        "last_loss",
    ]
    varied = [n for n in record.varied if n not in names]
    heads = {
        "best_score": f"best {record.metric}",
        "last_loss": "last training loss",
    }
    early = sum(row["status"] == "dropped" for row in record.rows)
    shown = sorted(record.rows, key=lambda row: row["status"] == "dropped")[:_MOST_ROWS]
    body = [[_member_cell(name, row.get(name)) for name in names + varied] for row in shown]
    columns = [heads.get(n, n.replace("_", " ")) for n in names + varied]
    lead = f"{format_count(len(record.rows))} networks, best validation score first"
    lead += ", those dropped early after the others" if early else ""
    lead += (
        f"; the first {_MOST_ROWS} are shown, all are in members.jsonl."
        if len(record.rows) > _MOST_ROWS
        else "."
    )
    return _section("Members", _table(columns, body, "Members", tall=True), lead)


_STATES = {"finished": "", "stopped": "", "dropped": "muted", "diverged": "bad"}


def _member_cell(name: str, value: Any) -> str:
    if name == "status":
        sign = "✕ " if value == "diverged" else ""
        return f'<span class="state {_STATES.get(value, "")}">{sign}{escape(str(value))}</span>'
    if name == "best_epoch":
        return str(value + 1) if value >= 0 else "–"
    if name in ("best_score", "last_loss"):
        return _cell(value)
    return escape(say(value))


def _cell(value: Any) -> str:
    """A measured number, or a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return escape(format_number(value))


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], label: str, *, tall: bool = False, ours: int = 0
) -> str:
    """A table that scrolls in itself; cells are HTML; the first `ours` rows stand out."""
    numeric = [all(_looks_numeric(row[place]) for row in rows) for place in range(len(columns))]
    kinds = [' class="number"' if n else "" for n in numeric]
    head = "".join(f'<th scope="col"{k}>{escape(c)}</th>' for c, k in zip(columns, kinds, strict=True))
    lines = []
    for place, row in enumerate(rows):
        cells = "".join(f"<td{k}>{cell}</td>" for cell, k in zip(row[1:], kinds[1:], strict=True))
        mark = ' class="ours"' if place < ours else ""
        lines.append(f'<tr{mark}><th scope="row"{kinds[0]}>{row[0]}</th>{cells}</tr>')
    shape = "scroll tall" if tall else "scroll"
    return (
        f'<div class="{shape}" tabindex="0" role="region" aria-label="{escape(label)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{chr(10).join(lines)}\n</tbody></table></div>"
    )


def _looks_numeric(cell: str) -> bool:
    bare = cell.replace("\u202f", "").replace("−", "-").replace("∞", "inf")
    try:
        float(bare)
    except ValueError:
        return bare == "–"
    return True


def _baselines(record: Record) -> str:
    """Every metric of the networks and the baselines on the test rows."""
    summary, test = record.summary, record.summary["test"]
    if test["score"] is None:
        return ""
    names = [summary["metric"], *(n for n in test["metrics"] if n != summary["metric"])]
    rows = [
        [
            f"ensemble of {len(summary['ensemble']['members'])}",
            *(_cell(test["ensemble_metrics"][n]) for n in names),
            "–",
        ],
        ["chosen network", *(_cell(test["metrics"][n]) for n in names), "–"],
    ]
    for label, found in summary["baselines"].items():
        cells = [_cell(found["metrics"][n]) for n in names]
        rows.append([escape(label.replace("_", " ")), *cells, escape(format_seconds(found["seconds"]))])
    lead = f"Every metric on the {format_count(test['rows'])} test rows; {record.metric} chose."
    columns = [n.replace("_", " ") for n in names]
    return _section(
        "Against the baselines", _table(["model", *columns, "fitted in"], rows, "Baselines", ours=2), lead
    )


def _plan(record: Record) -> str:
    settings = record.summary["chosen"]["settings"]
    rows = [
        [escape(name.replace("_", " ")), escape(say(known(value)) or "–")] for name, value in settings.items()
    ]
    table = _table(["setting", "value"], rows, "Settings")
    chosen = f"<details><summary>All settings of the chosen network</summary>{table}</details>"
    return _section(
        "Plan", f'<pre class="wrap" tabindex="0">{escape(record.summary["plan"]["text"])}</pre>\n{chosen}'
    )


def _data(record: Record) -> str:
    data = record.summary["data"]
    train, held = data["train_rows"], data["validation_rows"]
    folds = len(train)
    part = f"in each of {folds} folds " if folds > 1 else ""
    lead = f"{format_count(data['rows'])} rows, {format_count(data['features'])} inputs to the network. "
    lead += (
        f"{part}{format_count(max(train))} rows train and {format_count(max(held))} validate; ".capitalize()
    )
    lead += f"{format_count(data['test_rows'])} were kept for the one test at the end."
    if data["classes"]:
        few = ", ".join(data["classes"][:12]) + (", …" if len(data["classes"]) > 12 else "")
        lead += f" {len(data['classes'])} classes: {few}."
    notes = "".join(f"<li>{escape(note)}</li>" for note in data["notes"])
    body = f'<ul class="plain">{notes}</ul>' if notes else "<p>Nothing about the data stood out.</p>"
    return _section("Data", body, lead)


def _time(record: Record) -> str:
    return _section("Where the time went", _pair([seconds_figure(record)]))


def _next(record: Record) -> str:
    """Two commands: use it, and the one thing most likely to make it better."""
    run = _quoted(str(record.folder))
    data = _quoted(str(record.study.get("data", "")))
    again = f"fathom evaluate {run} new.csv   # new.csv has the column {record.summary['target']}"
    if not str(record.study.get("data", "")).startswith("(in memory"):
        bundled = "" if "." not in data else f" --target {_quoted(record.summary['target'])}"
        again = f"fathom fit {data}{bundled} --budget {_longer(record)}   # search further"
    commands = f"fathom predict {run} new.csv\n{again}"
    return _section("What to do next", f'<pre tabindex="0">{escape(commands)}</pre>')


def _longer(record: Record) -> str:
    """A budget of about four times what the run took, in whole minutes."""
    return f"{max(1, math.ceil(4 * record.summary['seconds']['total'] / 60))}m"


def _quoted(text: str) -> str:
    plain = all(letter.isalnum() or letter in "/._-:+~" for letter in text)
    return text if plain and text else "'" + text.replace("'", "'\\''") + "'"


def _footer(record: Record) -> str:
    made = record.summary["made"]
    text = (
        f"Fathom {made['fathom']}, JAX {made['jax']}, Python {made['python']}; {made['at']}; {record.folder}"
    )
    return f"<footer><p>{escape(text)}</p></footer>"
