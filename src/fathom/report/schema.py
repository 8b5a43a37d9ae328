"""The data as the run saw it: its columns, and what about it is worth a look."""

from collections.abc import Mapping
from html import escape
from typing import Any

from ..look import format_count, format_number, format_share
from .record import Record
from .tables import share, table

_COLUMNS = 300  # in the table
_TOP = 4  # values named of a column
_WORDS = {
    "min": "from",
    "max": "to",
    "q25": "quarter",
    "q75": "three quarters",
    "std": "deviation",
}


def lead(record: Record) -> str:
    """How many rows there were, and what each was for."""
    data = record.summary["data"]
    train, held = data["train_rows"], data["validation_rows"]
    folds = len(train)
    part = f"In each of {folds} folds " if folds > 1 else ""
    text = f"{format_count(data['rows'])} rows, {format_count(data['features'])} inputs to the network. "
    if train and held:
        text += f"{part}{format_count(max(train))} rows train and {format_count(max(held))} validate; "
    text += f"{format_count(data['test_rows'])} were kept for the one test at the end."
    classes = data["classes"]
    if classes:
        few = ", ".join(classes[:12]) + (", …" if len(classes) > 12 else "")
        text += f" {len(classes)} classes: {few}."
    return text


def suspicions(record: Record) -> str:
    """What may spoil the data, each with what to do about it, then what else was noticed."""
    data = record.summary["data"]
    found = data.get("suspicions") or []
    said = {s["said"] for s in found}
    entries = "".join(
        f'<li><b class="sign">{escape(s["what"].replace("_", " "))}</b> {escape(_sentence(s["said"]))} '
        f"<span>{escape(_sentence(s.get('advice') or ''))}</span></li>"
        for s in found
    )
    body = (
        f'<h3>Worth a look before you rely on it</h3><ul class="plain findings">{entries}</ul>'
        if found
        else ""
    )
    notes = [note for note in data["notes"] if not any(text in note for text in said)]
    if notes:
        body += f'<h3>Noticed</h3><ul class="plain">{"".join(f"<li>{escape(n)}</li>" for n in notes)}</ul>'
    return body or "<p>Nothing about the data stood out: no leak, drift, copy or odd column was found.</p>"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def columns(record: Record) -> str:
    """The columns and what they hold, as HTML; empty without evidence."""
    found = record.evidence.schema or []
    if not found:
        return ""
    rows = [
        [
            f'<span class="clip">{escape(str(c["column"]))}</span>',
            escape(str(c["kind"])),
            share(c.get("missing")),
            "–" if c.get("distinct") is None else escape(format_count(int(c["distinct"]))),
            f'<span class="clip wide">{escape(_values(c))}</span>',
            f'<span class="clip wide">{escape(str(c.get("reason") or "–"))}</span>',
        ]
        for c in found[:_COLUMNS]
    ]
    heads = ["column", "kind", "missing", "distinct", "holds", "why"]
    if all(row[-1].endswith(">–</span>") for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    kinds: dict[str, int] = {}
    for c in found:
        kinds[c["kind"]] = kinds.get(c["kind"], 0) + 1
    title = f"{len(found)} columns: " + ", ".join(
        f"{n} {kind}" for kind, n in sorted(kinds.items(), key=lambda e: -e[1])
    )
    note = (
        f"<p>The first {_COLUMNS} of {format_count(len(found))} columns.</p>" if len(found) > _COLUMNS else ""
    )
    return f"<h3>{escape(title)}</h3>{table(heads, rows, 'Columns', tall=True, sortable=True)}{note}"


def _values(column: Mapping[str, Any]) -> str:
    """A few statistics of a column in words."""
    found = column.get("statistics") or {}
    if not isinstance(found, Mapping):
        return str(found)
    top = found.get("top") or ()
    parts = [f"{entry['value']} {format_share(entry['share'])}" for entry in list(top)[:_TOP]]
    parts += ["…"] * (len(top) > _TOP)
    for name, value in found.items():
        if name != "top" and value is not None:
            parts.append(f"{_WORDS.get(name, name.replace('_', ' '))} {_number(value)}")
    return ", ".join(parts) or "–"


def _number(value: Any) -> str:
    return (
        format_number(value, 4)
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else str(value)
    )
