"""A drawing as one HTML page that needs no network: zoom, fold, search, every number."""

import importlib.resources
import json
from html import escape
from string import Template
from typing import TYPE_CHECKING, Any

from ...look import format_bytes, format_number
from .cards import Card, card_markup, shape_markup, summary_of
from .facts import Measure
from .item import Item, code_of, short_line
from .palette import DARK, LIGHT, VIRIDIS, style
from .scene import Inside, arrange, wires_of
from .svg import COLORS, key_of
from .words import shapes_text

if TYPE_CHECKING:
    from .drawing import Drawing

#: Settings of an operation that say nothing to a reader, or are functions of their own.
_UNSAID = ("sharding", "out_sharding", "jaxpr", "call_jaxpr", "branches", "name", "accuracy", "memory_kind")


def page(drawing: "Drawing") -> str:
    """The whole document.

    Args:
        drawing: what is drawn.
    """
    here = importlib.resources.files("fathom.graph.draw")
    template, css, script = (
        here.joinpath(f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    dark = f"@media screen and (prefers-color-scheme: dark) {{\n{style(DARK)}\n}}"
    data = json.dumps(_data(drawing), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Template(template).substitute(
        title=escape(drawing.tree.root.title),
        note=escape(drawing.note),
        style=f"{style(LIGHT)}\n{dark}\n{css}",
        colors="".join(f'<option value="{name}">{escape(words)}</option>' for name, words in COLORS.items()),
        key=_key(drawing),
        table=_table(drawing),
        # No text of the function can end the element that holds it.
        data=data.replace("<", "\\u003c"),
        script=script,
    )


def _key(drawing: "Drawing") -> str:
    items = list(drawing.tree.items())
    has_values = any(drawing.facts.forward(item) is not None for item in items[:50])
    entries = []
    for kind, words in key_of(items, drawing.cards, drawing.facts.has_backward, has_values):
        if kind == "text":
            entries.append(f"<span>{escape(words)}</span>")
            continue
        body = '<rect class="kept" x="14" y="8" width="20" height="12" rx="2"/>'
        if kind != "kept":
            body = shape_markup(Card(50.0, 28.0, (), kind))
        entries.append(
            f'<span><svg class="fathom-graph" width="30" height="19" viewBox="-5 -5 62 40" aria-hidden="true">{body}'
            f"</svg>{escape(words)}</span>"
        )
    return "".join(entries)


def _table(drawing: "Drawing") -> str:
    """Everything that can be seen, for those who cannot see it."""
    head = ("node", "kind", "shape", "value", "δ", "operations", "line")
    rows = []
    for item in drawing.tree.items():
        depth = len(item.ancestors()) - 2
        forward, delta = drawing.facts.forward(item), drawing.facts.delta(item)
        cells = (
            item.kind, shapes_text(item.value, item.node), forward.text if forward else "", delta.text if delta else "",
            f"{item.operations}" if item.operations else "", short_line(item.line),
        )  # fmt: skip
        rest = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows.append(
            f'<tr><th scope="row" style="padding-left:{depth * 1.2:.1f}em">{escape(item.title)}</th>{rest}</tr>'
        )
    heads = "".join(f'<th scope="col">{name}</th>' for name in head)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="All nodes"><table><thead><tr>'
        f"{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _data(drawing: "Drawing") -> dict[str, Any]:
    """What the page's script draws: items with their closed cards, and the layout inside of each box."""
    tree = drawing.tree
    items = list(tree.root.walk())
    number = {item: place for place, item in enumerate(items)}
    wires = wires_of(tree)
    closed = {item: (card.width, card.height) for item, card in drawing.cards.items()}
    entries = []
    for item in items:
        entry = _entry(item, drawing)
        entry["parent"] = number[item.parent] if item.parent is not None else None
        if item.is_box:
            entry["inside"] = _inside(arrange(item, wires[item], closed, {}), number)
        entries.append(entry)
    flows = [[number[flow.source], number[flow.target]] for flow in tree.flows]
    opened = [number[item] for item in drawing.opened]
    return {
        "items": entries, "flows": flows, "open": sorted(opened), "viridis": VIRIDIS, "color": drawing.color or "",
        "colors": COLORS,
    }  # fmt: skip


def _inside(inside: Inside, number: dict[Item, int]) -> dict[str, Any]:
    placed = inside.placed
    ends = [[kind, number[what] if kind == "item" else what] for kind, what in inside.ends]
    return {
        "ends": ends,
        "x": [round(x, 1) for x in placed.x],
        "rank": placed.rank,
        "order": placed.order,
        "chains": placed.chains,
        "values": [[value.id for value in values] for values in inside.values],
        "light": [int(wire.is_light) for wire in inside.wires],
    }


def _entry(item: Item, drawing: "Drawing") -> dict[str, Any]:
    card, facts = drawing.cards[item], drawing.facts
    entry: dict[str, Any] = {
        "kind": item.kind,
        "title": item.title,
        "card": card_markup(card),
        "size": [card.width, card.height],
        "shape": shapes_text(item.value, item.node),
        "operations": item.operations,
        "bytes": item.nbytes,
        "bytesText": format_bytes(item.nbytes),
        "line": short_line(item.line),
        "code": code_of(item.line),
        "does": summary_of(item) if item.is_box else "",
        "value": _measure(facts.forward(item)),
        "delta": _measure(facts.delta(item)),
    }
    if item.node is not None and not item.is_box:
        entry["module"] = item.node.module
        entry["settings"] = _settings(item)
    if item.rule is not None:
        entry["rule"] = [item.rule.rule.name, item.rule.rule.forward, item.rule.rule.backward]
    if card.is_bad:
        entry["note"] = "The first numbers that are not finite come from here."
    elif card.is_dim:
        entry["note"], entry["left_out"] = "This branch was not taken.", True
    entry["kept"] = card.is_kept
    return {name: value for name, value in entry.items() if value not in ("", None, False)}


def _settings(item: Item) -> str:
    """The settings of an operation that are numbers or words."""
    assert item.node is not None
    found = []
    for name, value in item.node.params.items():
        text = str(value)
        if (
            name in _UNSAID
            or text in ("None", "()", "False")
            or len(text) > 120
            or "<" in text
            or "\n" in text
        ):
            continue
        found.append(f"{name} = {text}")
    return "; ".join(found)


def _measure(measure: Measure | None) -> dict[str, Any] | None:
    """The numbers of an array for the panel, in the words of the rest of Fathom."""
    if measure is None:
        return None
    words = {
        "mean": measure.mean, "spread": measure.spread, "smallest": measure.smallest, "largest": measure.largest,
        "norm": measure.norm,
    }  # fmt: skip
    return {
        "text": measure.text,
        "shape": list(measure.shape),
        "numbers": {name: format_number(value) for name, value in words.items()}
        | {
            "zeros": f"{100 * measure.zeros:.3g} %",
            "NaN": str(measure.nans),
            "infinite": str(measure.nonfinite - measure.nans),
        },
        "entries": [measure.entry_text(entry) for entry in measure.entries] if measure.entries else None,
        "histogram": measure.histogram,
    }
