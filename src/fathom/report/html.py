"""The report of a run: one file that opens anywhere, without a network."""

import importlib.resources
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..engine.checkpoint import write_whole
from ..study.run_folder import REPORT
from . import sections
from .chart import Figure, picture, to_vega
from .palette import style
from .record import Record
from .runtime import packed, script
from .tables import figure_table


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
    charts: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    parts = [(part, _section(part, charts)) for part in sections.all_sections(record, tables)]
    summary = record.summary
    title = f"{summary['target']} from {summary['data']['name']}"
    contents = "".join(f'<li><a href="#{part.name}">{escape(part.title)}</a></li>' for part, _ in parts[1:])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="fathom {escape(str(summary["made"]["fathom"]))}">
<title>{escape(title)} · Fathom</title>
<link rel="icon" href="data:,">
<style>
{style()}{_css()}</style>
</head>
<body>
<a class="skip" href="#main">To the results</a>
<header>
<p class="mark"><b>Fathom</b> <span>{escape(title)}</span></p>
<h1>{_unbroken(summary["answer"])}</h1>
</header>
<nav aria-label="Contents"><ul>{contents}</ul></nav>
<main id="main">
{"".join(text for _, text in parts)}</main>
{_footer(record)}
<p id="walk" hidden>Arrow keys walk through its marks.</p>
<p id="walk-and-zoom" hidden>Arrow keys walk through its marks; plus and minus zoom, 0 goes back.</p>
{packed({"charts": charts, "tables": tables})}<script>
{script()}</script>
</body>
</html>
"""


def _unbroken(text: str) -> str:
    """Text as HTML whose numbers stay on the line of what they count."""
    return escape(text).replace("n = ", "n\u00a0=\u00a0").replace(" %", "\u202f%")


def _css() -> str:
    return importlib.resources.files("fathom.report").joinpath("style.css").read_text(encoding="utf-8")


def _section(part: sections.Section, charts: dict[str, Any]) -> str:
    """A section; its charts' specifications are put into `charts`."""
    lead = f'<p class="lead">{escape(part.lead)}</p>\n' if part.lead else ""
    body = "".join(entry if isinstance(entry, str) else _figures(entry, charts) for entry in part.body)
    if not part.title:
        return f'<section id="{part.name}" aria-label="The answer in numbers">\n{body}</section>\n'
    head = f'<h2 id="{part.name}-title">{escape(part.title)}</h2>'
    return f'<section id="{part.name}" aria-labelledby="{part.name}-title">\n{head}\n{lead}{body}</section>\n'


def _figures(entries: Sequence[Figure | str], charts: dict[str, Any]) -> str:
    """What stands beside each other; a figure that stands alone has its words beside it."""
    parts = [f'<div class="beside">{e}</div>' if isinstance(e, str) else _figure(e, charts) for e in entries]
    kind = "pair alone" if len(parts) == 1 else "pair"
    return f'<div class="{kind}">{"".join(parts)}</div>' if parts else ""


def _figure(figure: Figure, charts: dict[str, Any]) -> str:
    charts[figure.name] = vega = to_vega(figure)
    key = "".join(_key_entry(entry, place) for place, entry in enumerate(figure.key))
    key = f'<ul class="key">{key}</ul>' if key else ""
    how = " Drag to move, Ctrl and wheel to zoom, double click to go back." if figure.zoom else ""
    how = f'<span class="how">{how}</span>' if how else ""
    said = _unbroken(figure.caption)
    caption = f"<figcaption>{said}{how}</figcaption>"
    below = f'<div class="below">{key}{caption}{figure_table(figure)}</div>'
    return f"<figure>\n<h3>{escape(figure.title)}</h3>\n{picture(figure, vega)}{below}\n</figure>\n"


def _key_entry(entry: Any, place: int) -> str:
    inner = f'<i aria-hidden="true"></i><span>{escape(entry.text)}</span>'
    if entry.value is not None:
        pressed = "true" if place == 0 else "false"
        inner = f'<button type="button" data-value="{entry.value}" aria-pressed="{pressed}">{inner}</button>'
    return f'<li style="color:{entry.color}">{inner}</li>'


def _footer(record: Record) -> str:
    made: Mapping[str, Any] = record.summary["made"]
    versions = f"Fathom {made['fathom']}, JAX {made['jax']}, Python {made['python']}"
    text = f"{versions}; {made['at']}; {record.folder}"
    return f"<footer><p>{escape(text)}</p></footer>"
