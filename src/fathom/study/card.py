"""The model card of a run, filled from its record; what only a person can say is left visibly open."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..engine.checkpoint import write_whole
from ..look import format_count, format_number, format_seconds, format_setting, format_share
from .evidence import FOLDER, Evidence
from .run_folder import CARD, RunFolder

OPEN = "*To be filled in by a person.*"
# By metric: the type that Hugging Face knows it by, and what of the score that type is.
_TYPES = {
    "accuracy": ("accuracy", lambda score: score),
    "f1": ("f1", lambda score: score),
    "precision": ("precision", lambda score: score),
    "recall": ("recall", lambda score: score),
    "roc_auc": ("roc_auc", lambda score: score),
    "mcc": ("matthews_correlation", lambda score: score),
    "brier": ("brier_score", lambda score: score),
    "rmse": ("mse", lambda score: score * score),
    "mae": ("mae", lambda score: score),
    "r2": ("r_squared", lambda score: score),
}
_MARKS = re.compile(r"[\\`*<>\[\]|]|(?<!\w)_|_(?!\w)")
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_FEWEST = 200  # test rows below which a card warns


def write_card(run: RunFolder) -> None:
    """Write the model card of a finished run.

    Args:
        run: the run.
    """
    write_whole(run.path / CARD, card(run.read_result(), Evidence.read(run.path / FOLDER)))


def card(summary: Mapping[str, Any], evidence: Evidence | None = None, exported: str = "") -> str:
    """The text of a model card.

    Args:
        summary: the result's summary.
        evidence: the run's; None where it has none.
        exported: a section on the files of an exported folder, in place of the run's commands.
    """
    parts = {
        "Use": exported or _use(summary),
        "Results": _results(summary),
        "How sure": _certainty(summary, evidence),
        "Data": _data(summary),
        "Limits found": _limits(summary, evidence),
        "Training": _training(summary),
        "Environment": _environment(summary),
        "Intended use": f"What it is for, and who is to use it: {OPEN}\n\nWhat it must not be used for: {OPEN}",
        "Risks": f"Whom a wrong prediction harms, and what is done about it: {OPEN}",
        "License and contact": f"License: {OPEN}\n\nWho answers for this model: {OPEN}",
    }
    title = f"# {_text(summary['target'])} from {_text(summary['data']['name'])}"
    sections = [f"## {heading}\n\n{body}" for heading, body in parts.items() if body]
    return "\n\n".join([_front_matter(summary), title, _text(summary["answer"]), *sections]) + "\n"


def short_card(target: str, kind: str, exported: str) -> str:
    """The card of an exported model of which no result is known."""
    front = (
        f"---\nlibrary_name: fathom\npipeline_tag: tabular-{kind}\ntags: [tabular-{kind}, jax, fathom]\n---"
    )
    about = f"Data, results, intended use, limits, risks and license: {OPEN}"
    return f"{front}\n\n# {_text(target)}\n\n## Use\n\n{exported}\n\n## About\n\n{about}\n"


def _front_matter(summary: Mapping[str, Any]) -> str:
    """What Hugging Face reads: YAML, every text in it quoted so that any name is only a text."""
    tag, test = f"tabular-{summary['task']}", summary["test"]
    name = f"{summary['target']} from {summary['data']['name']}"
    lines = [
        "---",
        "# license: to be filled in by a person, such as apache-2.0",
        "library_name: fathom",
        f"pipeline_tag: {tag}",
        f"tags: [{tag}, jax, fathom]",
    ]
    scores = test["ensemble_metrics"] if test["score"] is not None else {}
    known = [
        (metric, *_TYPES[metric]) for metric in scores if metric in _TYPES and scores[metric] is not None
    ]
    if known:
        lines += [
            f"metrics: [{', '.join(kind for _, kind, _ in known)}]",
            "model-index:",
            f"- name: {_quoted(name)}",
            "  results:",
            f"  - task: {{type: {tag}}}",
            "    dataset:",
            f"      type: {_quoted(_slug(summary['data']['name']))}",
            f"      name: {_quoted(summary['data']['name'])}",
            "      split: test",
            "    metrics:",
        ]
        for metric, kind, of in known:
            shown = "mean squared error" if kind == "mse" else metric.replace("_", " ")
            value = _number(of(float(scores[metric])))
            lines += [f"    - type: {kind}", f"      name: {shown}", f"      value: {value}"]
    return "\n".join([*lines, "---"])


def _use(summary: Mapping[str, Any]) -> str:
    run = summary["run"] or "RUN"
    return (
        f"```sh\nfathom predict {_argument(run)} new.csv --out predictions.csv\n```\n\n"
        f'```python\nimport fathom as fm\n\nfm.load_model({run!r}).predict("new.csv")\n```\n\n'
        "New data has the columns of the training data, in any order; others are passed over."
    )


def _results(summary: Mapping[str, Any]) -> str:
    """The scores of the networks and the baselines, and on which rows."""
    test, metric = summary["test"], summary["metric"].replace("_", " ")
    better = "higher" if summary["greater_is_better"] else "lower"
    if test["score"] is None:
        score = f"{format_number(float(summary['validation']['score']))} ({better} is better)"
        return f"No test rows were kept. Validation {metric} of the chosen candidate: {score}."
    networks = len(summary["ensemble"]["members"])
    scores = [(f"ensemble of {networks}", test["ensemble_score"], "")]
    scores += [("chosen network", test["score"], "")]
    against = {one["baseline"]: one for one in test.get("against") or ()}
    for name, found in summary["baselines"].items():
        scores.append((f"baseline: {name.replace('_', ' ')}", found["score"], _difference(against.get(name))))
    rows = [(name, "–" if s is None else format_number(float(s)), apart) for name, s, apart in scores]
    heads = ["model", metric, "ensemble less baseline (95 % interval)"]
    if not against:
        heads, rows = heads[:2], [row[:2] for row in rows]
    rest = [
        (n.replace("_", " "), format_number(v)) for n, v in test["ensemble_metrics"].items() if v is not None
    ]
    where = f"{format_count(test['rows'])} test rows, looked at once, after everything was chosen"
    return (
        f"{where}; {better} is better.\n\n{_table(heads, rows)}\n\n"
        f"Every metric of the ensemble on these rows:\n\n{_table(['metric', 'value'], rest)}"
    )


def _difference(one: Mapping[str, Any] | None) -> str:
    if one is None or one["low"] is None:
        return ""
    return f"{_signed(one['difference'])} ({_signed(one['low'])} to {_signed(one['high'])})"


def _certainty(summary: Mapping[str, Any], evidence: Evidence | None) -> str:
    """Interval of the score, calibration, thresholds, intervals of predictions."""
    test, metric, said = summary["test"], summary["metric"].replace("_", " "), []
    if sure := test.get("interval_of_score"):
        low, high = format_number(sure["low"]), format_number(sure["high"])
        said.append(f"The 95 % interval of the ensemble's {metric} is {low} to {high} ({sure['how']}).")
    if summary["task"] == "classification":
        said.append("Probabilities are calibrated on validation rows by temperatures.")
        found = evidence.calibration if evidence is not None else None
        if found and found.get("ece") is not None:
            off, ends = format_number(found["ece"]), found.get("ece_interval")
            between = f" (95 % interval {format_number(ends[0])} to {format_number(ends[1])})" if ends else ""
            said.append(
                f"On the test rows they are off by {off} in the mean{between}: the calibration error."
            )
    if summary["decision"]["offsets"] and summary["decision"]["threshold"] is not None:
        name, shown = summary["data"]["classes"][1], format_number(summary["decision"]["threshold"])
        said.append(
            f"{_text(repr(name))} is predicted from a probability of {shown} on, tuned for {metric} on validation rows."
        )
    if (interval := test["interval"]) and interval["width"] is not None:
        held, wide = format_share(interval["coverage"]), format_number(interval["width"])
        asked = f"Intervals asked to hold {100 * interval['asked']:g} % held {held} of the test rows"
        said.append(f"{asked}, {wide} wide in the mean.")
    return "\n".join(f"- {line}" for line in said)


def _data(summary: Mapping[str, Any]) -> str:
    data = summary["data"]
    classes = f" Classes: {_listed(data['classes'])}." if data["classes"] else ""
    counts = f"{format_count(data['rows'])} rows, {format_count(data['features'])} inputs to the network."
    parts = f"Test rows: {format_count(data['test_rows'])}, kept apart from the start."
    notes = "\n".join(f"- {_text(note)}" for note in _told(data)) or "- nothing stood out"
    return (
        f"{counts} Target: {_text(summary['target'])}.{classes} {parts}\n\nWhat was noticed:\n\n{notes}\n\n"
        f"Where the data comes from and who it is about: {OPEN}"
    )


def _told(data: Mapping[str, Any]) -> Iterable[str]:
    """The notes that are not a suspicion, which have a section of their own."""
    suspected = [str(suspicion.get("said", "")) for suspicion in data["suspicions"]]
    return (note for note in data["notes"] if not any(said and said in note for said in suspected))


def _limits(summary: Mapping[str, Any], evidence: Evidence | None) -> str:
    said = []
    for suspicion in summary["data"]["suspicions"]:
        advice = f" {_text(suspicion['advice'])}" if suspicion.get("advice") else ""
        said.append(f"Suspected: {_text(suspicion['said'])}.{advice}".replace("..", "."))
    rows = summary["test"]["rows"]
    if 0 < rows < _FEWEST:
        said.append(f"The test has only {format_count(rows)} rows: its scores are uncertain.")
    if not rows:
        said.append("There was no test: how well it does on new rows is known from validation alone.")
    failed = {name: count for name, count in summary["status"].items() if name == "diverged" and count}
    said += [f"{format_count(count)} of the members diverged." for count in failed.values()]
    if evidence is not None:
        if evidence.label_error_count:
            count = format_count(evidence.label_error_count)
            noun = "row has" if evidence.label_error_count == 1 else "rows have"
            said.append(f"{count} {noun} a target that is likely wrong; the report lists the likeliest.")
        said += [
            f"Not looked at: {_text(one['what'])}, because {_text(one['why'])}." for one in evidence.left_out
        ]
    said.append("How it does on groups of people, or where the data drifts, was not measured.")
    return "\n".join(f"- {line}" for line in said)


def _training(summary: Mapping[str, Any]) -> str:
    seconds, chosen = summary["seconds"], summary["chosen"]
    programs = f"{summary['programs']} compiled program{'s' * (summary['programs'] > 1)}"
    parts = {"compiling": seconds.get("compile"), "training": seconds.get("train")}
    spent = ", ".join(f"{format_seconds(s)} {name}" for name, s in parts.items() if s is not None)
    settings = {name: _setting(value) for name, value in chosen["settings"].items() if value != ""}
    which = f"member {chosen['member']}, seed {chosen['seed']}, fold {chosen['fold']}"
    return (
        f"{format_count(summary['members'])} networks in {programs}, {format_seconds(seconds['total'])} in all"
        f"{f' ({spent})' * bool(spent)}. The chosen one ({which}, weights of epoch {chosen['best_epoch']}):\n\n"
        f"{_table(['setting', 'value'], list(settings.items()))}"
    )


def _environment(summary: Mapping[str, Any]) -> str:
    made = {**summary["made"], "devices": ", ".join(summary["made"].get("devices", ()))}
    made = {{"at": "made at"}.get(name, name): str(value) for name, value in made.items() if value}
    return _table(["what", "value"], list(made.items()))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *(map(_escaped, row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _listed(names: Sequence[str], most: int = 20) -> str:
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(_text(name) for name in names[:most]) + more


def _text(text: Any) -> str:
    """A text as a line of Markdown that shows as it is."""
    line = _escaped(text)
    return f"\\{line}" if line[:1] in tuple("#+-=~") else line


def _escaped(text: Any) -> str:
    """A text that shows as it is within a line or a cell of Markdown."""
    return _MARKS.sub(lambda found: "\\" + found.group(), _BREAKS.sub(" ", str(text)).strip())


def _quoted(text: str) -> str:
    """A text as YAML reads it back: as JSON writes it, what cannot be printed as its code."""
    written = json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in written)


def _number(value: float) -> str:
    """A number as every version of YAML reads it: with a point also before an exponent."""
    text = f"{value:.7g}"
    return re.sub(r"^(-?\d+)(e|$)", r"\1.0\2", text)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.") or "data"


def _argument(path: str) -> str:
    import shlex

    return shlex.quote(path)


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + format_number(float(value)) if math.isfinite(value) else "–"


def _setting(value: Any) -> str:
    """A setting's value; one that JSON cannot say was infinite."""
    return "∞" if value is None else format_setting(value)
