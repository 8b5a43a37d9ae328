"""`fathom data`: what Fathom reads in a source of data, or the bundled sources."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..look import format_count, format_number, format_share
from .catalogues import as_json
from .common import PLAIN, Common, verb
from .terminal import print_json, print_table, say

if TYPE_CHECKING:
    from ..data import Dataset

app = verb("data", "fathom data", "fathom data digits", "fathom data data.csv --target y")

_MOST_CATEGORIES = 8
_MOST_CLASSES = 30
_QUANTILES = {"smallest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "largest": 1.0}


@app.default
def data(
    source: Annotated[
        str | None, Parameter(help="A bundled name or a data file; the bundled ones are listed if not given.")
    ] = None,
    /,
    *,
    target: Annotated[str | None, Parameter(help="The column to predict; needed for a data file.")] = None,
    kind: Annotated[
        str | None, Parameter(help="classification or regression, where the data leaves it open.")
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Show what Fathom reads in a source of data, or list the bundled ones."""
    from ..data import SOURCES, load

    if source is None:
        if common.json:
            print_json({"sources": [as_json(record) for record in SOURCES]})
            return
        rows = [(s.name, s.kind, format_count(s.rows), s.summary, s.reference) for s in SOURCES]
        print_table("", ("name", "kind", "rows", "what it is", "reference"), rows, right=("rows",))
        return
    dataset = load(source, target, kind=kind)
    described = describe(dataset)
    if common.json:
        print_json(described)
    else:
        _show(described)


def describe(dataset: "Dataset") -> dict[str, Any]:
    """Everything that `fathom data SOURCE --json` prints.

    Args:
        dataset: the data.

    Returns:
        JSON-safe values.
    """
    import numpy as np

    if dataset.classes is not None:
        counts = np.bincount(dataset.target, minlength=len(dataset.classes)).tolist()
        distribution: dict[str, Any] = dict(zip(dataset.classes, counts, strict=True))
    else:
        quantiles = np.quantile(dataset.target, list(_QUANTILES.values())).tolist()
        spread = {"mean": float(dataset.target.mean()), "standard deviation": float(dataset.target.std())}
        distribution = {**dict(zip(_QUANTILES, quantiles, strict=True)), **spread}
    return {
        "name": dataset.name,
        "rows": len(dataset),
        "kind": dataset.kind,
        "target": {"name": dataset.schema.target.name, "distribution": distribution},
        "schema": dataset.schema.to_dict(),
        "notes": list(dataset.notes),
    }


def _show(described: dict[str, Any]) -> None:
    schema, target = described["schema"], described["target"]
    used = len(schema["columns"])
    rows = format_count(described["rows"])
    what = f"{described['kind']} of {target['name']}"
    say(f"{described['name']}: {rows} rows, {used} columns used, {what}")
    for note in described["notes"]:
        say(f"note: {note}", style="dim")
    say("")
    parts, title = target["distribution"].items(), f"target {target['name']}"
    if described["kind"] == "classification":
        shares = [(name, format_count(n), format_share(n / described["rows"])) for name, n in parts]
        print_table(title, ("class", "rows", "share"), _few(shares), right=("rows", "share"))
    else:
        print_table(title, ("", "value"), [(n, format_number(v)) for n, v in parts], right=("value",))
    say("")
    columns = [
        (c["name"], c["kind"], "yes" if c["has_missing"] else "", _values(c)) for c in schema["columns"]
    ]
    columns += [
        (c["name"], "ignored", "yes" if c["has_missing"] else "", c["reason"]) for c in schema["ignored"]
    ]
    print_table("columns", ("name", "kind", "missing", "values"), columns)


def _few(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    if len(rows) <= _MOST_CLASSES:
        return rows
    return [*rows[:_MOST_CLASSES], (f"... and {len(rows) - _MOST_CLASSES} more", "", "")]


def _values(column: dict[str, Any]) -> str:
    categories = column["categories"] or []
    more = f", ... ({len(categories)})" if len(categories) > _MOST_CATEGORIES else ""
    return ", ".join(categories[:_MOST_CATEGORIES]) + more
