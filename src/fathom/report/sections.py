"""The sections of the report, in the order in which a careful reader asks for them."""

import dataclasses
import shlex
from collections.abc import Sequence
from html import escape
from typing import Any

from ..look import format_count, format_number, format_seconds, format_uncertain
from . import (
    advice,
    calibration,
    cost,
    curves,
    examples,
    inputs,
    mistakes,
    schema,
    scores,
    sensitivity,
    sweeps,
    thresholds,
)
from .chart import Figure
from .record import Record, known, say
from .tables import SHOWN, cell, members_table, pairs, share, table

#: HTML, or figures that stand beside each other.
Entry = str | Sequence[Figure | str]


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        name: its address on the page.
        title: its heading; empty for the first one.
        lead: a sentence or two under the heading, plain text.
        body: HTML and figures.
    """

    name: str
    title: str
    lead: str
    body: Sequence[Entry]


def all_sections(record: Record, packed: dict[str, Any]) -> list[Section]:
    """Every section that has something to say.

    Args:
        record: the run.
        packed: gets what the page's script needs to know of tables, by name.
    """
    made = [_answer(record), _learning(record), _settings(record), _members(record, packed)]
    if record.has_evidence:
        made += [_mistakes(record), _trust(record), _inputs(record), _examples(record)]
    else:
        why = "This run keeps no evidence of its predictions: it is of an older version. Errors, calibration and "
        why += "importance are read from it; fit the data again to see them."
        made.append(Section("mistakes", "Where it errs, and how far to trust it", "", [_empty(why)]))
    return [*made, _data(record), _cost(record), _next(record)]


def figures_of(record: Record) -> list[Figure]:
    """Every figure of the report, in its order."""
    entries = [entry for part in all_sections(record, {}) for entry in part.body]
    parts = [part for entry in entries if not isinstance(entry, str) for part in entry]
    return [part for part in parts if isinstance(part, Figure)]


def _there(*figures: Figure | None) -> list[Figure]:
    return [figure for figure in figures if figure is not None]


def _empty(why: str) -> str:
    return f'<p class="empty">{escape(why)}</p>'


def _missing(record: Record, *what: str) -> str:
    """Why a part of the evidence is not there, and what to do about it."""
    for entry in record.evidence.left_out:
        if any(word in str(entry["what"]) for word in what):
            return _empty(f"{str(entry['what']).capitalize()} left out: {entry['why']}.".replace("..", "."))
    if record.evidence.test is None:
        return _empty("No test rows were kept, so there is nothing to show here; keep some with --test 0.2.")
    return ""


def _answer(record: Record) -> Section:
    """Three numbers, one picture, and every metric."""
    test = record.summary["test"]
    if test["score"] is None:
        held = record.summary["validation"]
        parts = [
            (
                "ours",
                f"validation {record.metric}, chosen candidate",
                held["score"],
                _over(held),
            )
        ]
        why = "No test rows were kept, so nothing here is an unbiased measure; set test above 0 for one."
        return Section("answer", "", "", [_numbers(parts), _empty(why)])
    figures = _there(scores.scores_figure(record), scores.against_figure(record))
    return Section("answer", "", "", [_numbers(_three(record)), figures, _metrics(record)])


def _three(record: Record) -> list[tuple[str, str, float, str]]:
    summary, test, metric = record.summary, record.summary["test"], record.metric
    networks, rows = len(summary["ensemble"]["members"]), format_count(test["rows"])
    interval = test.get("interval_of_score")
    note = f"{rows} test rows"
    if interval:
        low, high = (
            format_number(float(interval["low"])),
            format_number(float(interval["high"])),
        )
        note = f"95 % interval {low} to {high}, {note}"
    held = summary["validation"]
    parts = [
        ("ours", f"test {metric}, ensemble of {networks}", test["ensemble_score"], note),
        ("ours", f"test {metric}, chosen network", test["score"], f"validation {_over(held)}"),
    ]
    if networks == 1:
        few = "chose the best epoch" if len(held["scores"]) < 2 else _over(held)
        parts = [
            ("ours", f"test {metric}, the network", test["ensemble_score"], note),
            ("", f"validation {metric}", held["score"], few),
        ]
    found = {name: base["score"] for name, base in summary["baselines"].items()}
    if found:
        name = (max if record.rising else min)(found, key=lambda n: found[n])
        parts.append(("", f"test {metric}, best baseline", found[name], name.replace("_", " ")))
    return parts


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
        f"<dd>{cell(float(value))}<small>{escape(note)}</small></dd></div>"
        for kind, name, value, note in parts
    )
    return f'<dl class="numbers">{entries}</dl>'


def _metrics(record: Record) -> str:
    """Every metric of the networks and the baselines on the test rows."""
    summary, test = record.summary, record.summary["test"]
    names = [summary["metric"], *(n for n in test["metrics"] if n != summary["metric"])]
    networks = len(summary["ensemble"]["members"])
    rows = [
        [
            f"ensemble of {networks}",
            *(cell(test["ensemble_metrics"][n]) for n in names),
            "–",
        ],
        ["chosen network", *(cell(test["metrics"][n]) for n in names), "–"],
    ]
    for label, found in summary["baselines"].items():
        cells = [cell(found["metrics"][n]) for n in names]
        rows.append(
            [
                escape(label.replace("_", " ")),
                *cells,
                escape(format_seconds(found["seconds"])),
            ]
        )
    columns = ["model", *(n.replace("_", " ") for n in names), "fitted in"]
    inner = table(columns, rows, "Every metric on the test rows", ours=2, sortable=True)
    note = f"On the {format_count(test['rows'])} test rows; validation {record.metric} chose."
    return f'<details><summary>Every metric, every model</summary>{inner}<p class="lead">{escape(note)}</p></details>'


def _learning(record: Record) -> Section:
    figures = _there(curves.curves_figure(record), curves.losses_figure(record))
    body: list[Entry] = [figures]
    if not figures:
        why = "No candidate was trained to the end, so there are no curves to compare; lower the learning rate or "
        body = [_empty(f"{why}lift the budget.")]
    return Section("learning", "How they learned", "", body)


def _settings(record: Record) -> Section:
    """Score against what was varied, and whether the choice is beyond noise."""
    figures = _there(sensitivity.sensitivity_figure(record), *sweeps.setting_figures(record))
    if not figures:
        why = "Nothing was varied: every member has the same settings. To see what matters, give a setting several "
        why += 'values, such as --set "recipe.learning_rate={log=[1e-4,1e-1]}".'
        return Section("settings", "What mattered", "", [_empty(why)])
    body: list[Entry] = [figures]
    if figures[0].name != "sensitivity":
        body.append(
            _empty("A map of learning rate and weight decay needs both to vary; one of them was held fixed.")
        )
    return Section("settings", "What mattered", _beyond_noise(record), body)


def _beyond_noise(record: Record) -> str:
    equals = record.summary["validation"]["not_worse_beyond_noise"]
    ranked = sum(1 for c in record.candidates if c.rank)
    if ranked < 2:
        return "Only one candidate was trained to the end."
    if len(record.candidates[0].members) < 2:
        return "With one network a candidate, luck and merit cannot be told apart; more seeds or folds would."
    if equals:
        others = "1 other is" if len(equals) == 1 else f"{format_count(len(equals))} others are"
        lead = f"The winner is not better than all: {others} as good within noise"
        return lead + " (95 %, paired by seed and fold)."
    return f"The winner is better than the other {ranked - 1} beyond noise (95 %, paired by seed and fold)."


def _members(record: Record, packed: dict[str, Any]) -> Section:
    """The table of members, best first."""
    text, packed["members"] = members_table(record)
    early = sum(row["status"] == "dropped" for row in record.rows)
    many = len(record.rows)
    lead = f"{format_count(many)} network{'s' * (many != 1)}, best validation score first"
    lead += ", those dropped early after the others" if early else ""
    lead += f"; the first {SHOWN} are shown, all are in members.jsonl." if many > SHOWN else "."
    settings = record.summary["chosen"]["settings"]
    shown = {n.replace("_", " "): say(known(v)) or "–" for n, v in settings.items()}
    chosen = (
        f"<details><summary>All settings of the chosen network</summary>{pairs(shown, 'Settings')}</details>"
    )
    return Section("members", "Members", lead, [text, chosen])


def _mistakes(record: Record) -> Section:
    figures = _there(mistakes.confusion_figure(record), mistakes.residuals_figure(record))
    classes = mistakes.classes_table(record)
    if classes:
        heads = ["class", "rows", "recall", "precision", "F1", "most taken for"]
        rows = [
            [f'<span class="clip">{escape(c["name"])}</span>', format_count(c["rows"]), share(c["recall"]),
             share(c["precision"]), share(c["f1"]), f'<span class="clip">{escape(c["other"])}</span>']
            for c in classes
        ]  # fmt: skip
        text = table(heads, rows, "How well each class is found", tall=True, sortable=True)
        return Section(
            "mistakes",
            "Where it errs",
            "",
            [[*figures, f"<h3>{_worst(classes)}</h3>{text}"]],
        )
    return Section(
        "mistakes",
        "Where it errs",
        "",
        [figures or _missing(record, "confusion", "test")],
    )


def _worst(classes: Sequence[dict[str, Any]]) -> str:
    first, last = classes[0], [c for c in classes if c["recall"] is not None][-1:]
    if not last or first["recall"] == last[0]["recall"]:
        return "Every class is found as well as the others"
    return f"{escape(first['name'])} is found least, {share(first['recall'])} of its rows"


def _trust(record: Record) -> Section:
    figures = _there(
        calibration.calibration_figure(record),
        calibration.coverage_figure(record),
        thresholds.thresholds_figure(record),
        thresholds.cost_figure(record),
    )
    body: list[Entry] = [figures or _missing(record, "calibration", "test")]
    return Section("trust", "How far to trust it", "", body)


def _inputs(record: Record) -> Section:
    importance = inputs.importance_figure(record)
    body: list[Entry] = [_there(importance) or _missing(record, "importance", "test")]
    dependence = inputs.dependence_figures(record)
    if dependence:
        body += [
            '<h3 class="over">How predictions follow the columns that matter most</h3>',
            dependence,
        ]
    elif importance is not None:
        body.append(_missing(record, "dependence"))
    return Section("inputs", "What it looks at", "", body)


def _examples(record: Record) -> Section:
    body = [
        examples.hardest(record) or _missing(record, "hardest", "test"),
        examples.label_errors(record),
    ]
    return Section("examples", "Hardest rows and doubtful labels", "", body)


def _data(record: Record) -> Section:
    return Section(
        "data",
        "Data",
        schema.lead(record),
        [schema.suspicions(record), schema.columns(record)],
    )


def _cost(record: Record) -> Section:
    figures = _there(cost.seconds_figure(record), cost.ends_figure(record))
    why = "".join(f"<li>{escape(text)}</li>" for text in cost.why_dropped(record))
    why = f'<h3>Members that ended early, and why</h3><ul class="plain">{why}</ul>' if why else ""
    text = escape(record.summary["plan"]["text"])
    plan = f'<details><summary>The plan</summary><pre class="wrap" tabindex="0">{text}</pre></details>'
    programs, many = record.summary["programs"], record.summary["members"]
    compiled = record.summary["seconds"].get("compile")
    lead = f"{format_count(many)} network{'s' * (many != 1)} shared "
    lead += f"{programs} compiled program{'s' * (programs != 1)}"
    lead += f", which took {format_seconds(compiled)} to compile." if compiled is not None else "."
    if record.evidence.seconds:
        lead += f" Gathering what this report shows took {format_seconds(record.evidence.seconds)}."
    left = "".join(
        f"<li>{escape(str(entry['what']))}: {escape(str(entry['why']))}</li>"
        for entry in record.evidence.left_out
    )
    left = f'<h3>Left out of this report</h3><ul class="plain">{left}</ul>' if left else ""
    return Section("cost", "What it cost", lead, [figures, why, plan, left])


def _next(record: Record) -> Section:
    """What the record suggests, then the two commands that most readers want."""
    pieces = advice.advice(record)
    entries = "".join(
        f"<li><p>{escape(piece.seen)} <b>{escape(piece.do)}</b></p>"
        + (f'<pre tabindex="0">{escape(piece.command)}</pre>' if piece.command else "")
        + "</li>"
        for piece in pieces
    )
    body = (
        f'<ol class="advice">{entries}</ol>'
        if entries
        else _empty("Nothing in the record stands out as worth changing.")
    )
    run = shlex.quote(str(record.folder))
    again = advice.fit(record, f"--budget {advice.longer(record)}")
    again = f"{again}   # search further" if again else (
        f"fathom evaluate {run} new.csv   # new.csv has the column {record.summary['target']}"
    )  # fmt: skip
    use = f'<h3>Use it</h3><pre tabindex="0">{escape(f"fathom predict {run} new.csv")}\n{escape(again)}</pre>'
    return Section("next", "What to try next", "", [body, use])
