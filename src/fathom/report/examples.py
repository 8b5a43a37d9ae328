"""Single rows: the hardest to predict, and those whose label is likely wrong; pictures where they are pictures."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..look import format_count, format_number, format_share
from .record import Record
from .tables import cell, table

_INPUTS = 6  # columns shown of a row, those that matter most


def hardest(record: Record) -> str:
    """The test rows predicted worst, as HTML; empty without evidence."""
    found = record.evidence.hardest or []
    if not found:
        return ""
    classes = bool(record.summary["data"]["classes"])
    total = record.summary["test"]["rows"]
    wrong = sum(str(row["target"]) != str(row["predicted"]) for row in found) if classes else 0
    title = f"The {len(found)} test rows predicted worst"
    if classes and wrong < len(found):
        title = (
            f"Of the {len(found)} hardest test rows {wrong or 'none'} {'is' if wrong == 1 else 'are'} wrong"
        )
    say = (
        "its loss is minus the logarithm of the probability of the true class"
        if classes
        else "its loss is the distance to the true value"
    )
    lead = f"Out of n = {format_count(total)} test rows, by the loss of the ensemble: {say}."
    heads = ["row", "true", "predicted", "probability" if classes else "off by"]
    return _rows(
        record,
        "hardest",
        title,
        lead,
        found,
        heads,
        lambda row: _hard_cells(row, classes),
    )


def _hard_cells(row: Mapping[str, Any], classes: bool) -> list[str]:
    said = row.get("probability") if classes else row.get("loss")
    last = _percent(said) if classes else cell(said)
    return [_row_number(row), _value(row["target"]), _value(row["predicted"]), last]


def label_errors(record: Record) -> str:
    """Rows whose label is likely wrong, as HTML; says so where there is none."""
    evidence = record.evidence
    if evidence.label_errors is None:
        return ""
    found, count = evidence.label_errors, evidence.label_error_count or 0
    classes = bool(record.summary["data"]["classes"])
    how = (
        "Confident learning (Northcutt et al. 2021): networks that never saw the row are surer of another class "
        "than they usually are of that class."
        if classes
        else "Residuals far outside those of other rows (robust z above the usual), by networks that never saw the row."
    )
    if not found:
        return f'<h3>No label stands out as wrong</h3><p class="lead">{how}</p>'
    title = f"{format_count(count)} label{' is' if count == 1 else 's are'} worth a second look"
    order = "The most suspicious first" if len(found) > 1 else "It follows"
    lead = f"{how} {order}{f', {len(found)} of them' if len(found) < count else ''}."
    heads = [
        "row",
        "part",
        "labeled",
        "suggested",
        "probability" if classes else "robust z",
    ]
    return _rows(
        record,
        "labels",
        title,
        lead,
        found,
        heads,
        lambda row: _label_cells(row, classes),
    )


def _label_cells(row: Mapping[str, Any], classes: bool) -> list[str]:
    last = _percent(row.get("probability")) if classes else cell(row.get("z"))
    part = escape(str(row["part"]))
    return [
        _row_number(row),
        part,
        _value(row["target"]),
        _value(row["suggested"]),
        last,
    ]


def _rows(
    record: Record,
    name: str,
    title: str,
    lead: str,
    found: Sequence[Mapping[str, Any]],
    heads: list[str],
    cells: Any,
) -> str:
    head = f'<h3 id="{name}">{escape(title)}</h3><p class="lead">{escape(lead)}</p>'
    if all(row.get("picture") for row in found):
        cards = "".join(_card(row, dict(zip(heads, cells(row), strict=True))) for row in found)
        return f'{head}<ul class="cards">{cards}</ul>'
    shown = _columns(record, found)
    body = [[*cells(row), *(_input(row, column) for column in shown)] for row in found]
    more = max((len(row.get("inputs") or {}) for row in found), default=0) - len(shown)
    note = (
        f'<p class="lead">{more} more column{"s are" if more > 1 else " is"} in evidence/evidence.json.</p>'
        if more > 0
        else ""
    )
    return f"{head}{table([*heads, *shown], body, title, tall=True, sortable=True)}{note}"


def _columns(record: Record, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns to show: the most important of them, else the first."""
    there = list(dict.fromkeys(name for row in found for name in (row.get("inputs") or {})))
    ranked = [row["feature"] for row in (record.evidence.importance or ())]
    order = {name: place for place, name in enumerate(ranked)}
    return sorted(there, key=lambda name: order.get(name, len(order)))[:_INPUTS]


def _input(row: Mapping[str, Any], column: str) -> str:
    text = (row.get("inputs") or {}).get(column)
    return "–" if text is None or text == "" else f'<span class="clip">{escape(str(text))}</span>'


def _card(row: Mapping[str, Any], cells: Mapping[str, str]) -> str:
    told = list(cells.items())[1:]
    label = escape(f"row {row['row']}")
    lines = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in told)
    source = f"data:image/png;base64,{escape(row['picture'])}"
    image = f'<img src="{source}" alt="{label}" width="72" height="72" loading="lazy">'
    return f"<li>{image}<dl><div><dt>row</dt><dd>{next(iter(cells.values()))}</dd></div>{lines}</dl></li>"


def _row_number(row: Mapping[str, Any]) -> str:
    return escape(str(row["row"]))


def _value(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return escape(format_number(value))
    return f'<span class="clip">{escape(str(value))}</span>'


def _percent(value: float | None) -> str:
    return "–" if value is None else escape(format_share(float(value)))
