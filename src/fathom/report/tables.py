"""Tables of the page: cells are HTML, columns of numbers stand to the right, every one scrolls in itself."""

import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..look import format_count, format_number, format_share
from .chart import Figure
from .record import Record, say

SHOWN = 200  # members on the page at first
_DATA_ROWS = 60  # of the table under a chart
_STATES = {"finished": "", "stopped": "", "dropped": "muted", "diverged": "bad"}


def cell(value: Any) -> str:
    """A measured number, or a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return escape(format_number(value)) if isinstance(value, (int, float)) else escape(str(value))


def share(value: float | None) -> str:
    """A share of one as a cell."""
    if value is None or math.isnan(value):
        return "–"
    return escape(format_share(value)) if value else "0\u202f%"


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    label: str,
    *,
    tall: bool = False,
    ours: int = 0,
    sortable: bool = False,
    name: str = "",
    marks: Sequence[str] = (),
) -> str:
    """A table that scrolls in itself.

    Args:
        columns: headings, plain text.
        rows: cells, HTML.
        label: what the table is, for who does not see it.
        tall: whether it is cut to a height of its own.
        ours: how many of the first rows stand out.
        sortable: whether a script may sort it by any column.
        name: by which the page's script finds what belongs to it.
        marks: for each row, attributes of its own.
    """
    numeric = [
        bool(rows) and all(_looks_numeric(row[place]) for row in rows) for place in range(len(columns))
    ]
    kinds = [' class="number"' if n else "" for n in numeric]
    head = "".join(f'<th scope="col"{k}>{escape(c)}</th>' for c, k in zip(columns, kinds, strict=True))
    lines = []
    for place, row in enumerate(rows):
        cells = "".join(f"<td{k}>{value}</td>" for value, k in zip(row[1:], kinds[1:], strict=True))
        mark = (' class="ours"' if place < ours else "") + (marks[place] if marks else "")
        lines.append(f'<tr{mark}><th scope="row"{kinds[0]}>{row[0]}</th>{cells}</tr>')
    shape = "scroll tall" if tall else "scroll"
    more = (" data-sortable" if sortable else "") + (f' data-table="{name}"' if name else "")
    return (
        f'<div class="{shape}" tabindex="0" role="region" aria-label="{escape(label)}">'
        f"<table{more}><thead><tr>{head}</tr></thead><tbody>\n{chr(10).join(lines)}\n</tbody></table></div>"
    )


def _looks_numeric(text: str) -> bool:
    bare = re.sub(r"<[^>]*>|\u202f", "", text).replace("−", "-").replace("∞", "inf").removesuffix("%")
    try:
        float(bare)
    except ValueError:
        return bare == "–"
    return True


def figure_table(figure: Figure) -> str:
    """The numbers of a chart as a table that opens under it; empty where it has none."""
    rows = figure.table()
    if not figure.columns or not rows:
        return ""
    # The last row of a curve says more than its first ones, so that a long table is thinned, not cut.
    step = max(1, math.ceil(len(rows) / _DATA_ROWS)) if "epoch" in rows[0] else 1
    kept = [row for place, row in enumerate(rows) if (len(rows) - 1 - place) % step == 0][:_DATA_ROWS]
    body = [[cell(row.get(field)) for field, _ in figure.columns] for row in kept]
    note = ""
    if len(kept) < len(rows):
        many = f"{len(kept)} of {format_count(len(rows))} rows"
        note = f"<p>{many}; all of them with <code>fathom report RUN --figures DIR</code>.</p>"
    inner = table(
        [heading for _, heading in figure.columns],
        body,
        f"Numbers: {figure.title}",
        tall=True,
    )
    return f'<details class="numbers-of"><summary>Numbers</summary>{inner}{note}</details>'


def members_table(record: Record) -> tuple[str, dict[str, Any]]:
    """The table of members, best first, and what the page's script needs to sort and explain it.

    Args:
        record: the run.

    Returns:
        The table's HTML with the first `SHOWN` members, and the rest: "rows", a list of the cells' texts, and
        "settings", those of each candidate.
    """
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
    heads = {"best_score": f"best {record.metric}", "last_loss": "last training loss"}
    ordered = sorted(record.rows, key=lambda row: row["status"] == "dropped")
    body = [[member_cell(name, row.get(name)) for name in names + varied] for row in ordered]
    columns = [heads.get(n, n.replace("_", " ")) for n in names + varied]
    first = body[:SHOWN]
    marks = [f' data-candidate="{row["candidate"]}"' for row in ordered[:SHOWN]]
    text = table(columns, first, "Members", tall=True, sortable=True, name="members", marks=marks)
    settings = {
        str(c.index): {n: say(v) for n, v in c.settings.items() if v != ""} for c in record.candidates
    }
    more = [[row["candidate"], *cells] for row, cells in zip(ordered[SHOWN:], body[SHOWN:], strict=True)]
    return text, {"rows": more, "settings": settings, "shown": SHOWN}


def member_cell(name: str, value: Any) -> str:
    """A cell of the table of members, as HTML."""
    if name == "status":
        sign = "✕ " if value == "diverged" else ""
        return f'<span class="state {_STATES.get(value, "")}">{sign}{escape(str(value))}</span>'
    if name == "best_epoch":
        return str(value + 1) if value is not None and value >= 0 else "–"
    if name in ("best_score", "last_loss"):
        return cell(value)
    return escape(say(value))


def pairs(found: Mapping[str, Any], label: str) -> str:
    """A table of names and values."""
    rows = [[escape(str(name)), escape(str(value))] for name, value in found.items()]
    return table(["setting", "value"], rows, label)
