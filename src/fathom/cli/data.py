"""`fathom data`: what Fathom reads in a source of data, or the bundled sources."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..look import format_count, format_number, format_share
from .catalogues import as_json
from .common import PLAIN, Common, Reading, read_columns, verb
from .terminal import print_json, print_table, say

if TYPE_CHECKING:
    from ..data import Dataset
    from ..data.reading import Reading as Read

app = verb(
    "data",
    "fathom data",
    "fathom data digits",
    "fathom data data.csv",
    "fathom data data.csv --target y --columns zip=categorical,row=ignore",
    "fathom data train.csv --target y --test-file test.csv",
)

NOTHING = Reading()

_MOST_CLASSES = 30
_QUANTILES = {"smallest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "largest": 1.0}


@app.default
def data(
    source: Annotated[
        str | None, Parameter(help="A bundled name or a data file; the bundled ones are listed if not given.")
    ] = None,
    /,
    *,
    reading: Reading = NOTHING,
    common: Common = PLAIN,
) -> None:
    """Show what Fathom reads in a source of data, or list the bundled ones."""
    from ..data import SOURCES
    from ..data.load import build_dataset
    from ..data.reading import read_source
    from ..data.stream import draw, fits_memory

    if source is None:
        if common.json:
            print_json({"sources": [as_json(record) for record in SOURCES]})
            return
        rows = [(s.name, s.kind, format_count(s.rows), s.summary, s.reference) for s in SOURCES]
        print_table("", ("name", "kind", "rows", "what it is", "reference"), rows, right=("rows",))
        return
    columns, files = read_columns(reading.columns), (reading.test_file, reading.validation_file)
    if reading.sql is None and files == (None, None) and not fits_memory(source):
        read = draw(source, reading.target, columns).reading
    else:
        read = read_source(
            source,
            reading.target,
            columns=columns,
            sql=reading.sql,
            test=files[0],
            validation=files[1],
            target_needed=False,
        )
    described = describe(
        read, None if read.target is None else build_dataset(read, reading.kind, positive=reading.positive)
    )
    if common.json:
        print_json(described)
    else:
        _show(described)


def describe(read: "Read", dataset: "Dataset | None") -> dict[str, Any]:
    """Everything that `fathom data SOURCE --json` prints.

    Args:
        read: what was read.
        dataset: the data; None where no target was named.

    Returns:
        JSON-safe values.
    """
    from ..data.infer import infer_columns
    from ..data.profile import profile

    rows = len(read.columns[0].values)
    if dataset is None:
        columns, notes = infer_columns(read.columns, keep_all=read.positions, given=read.given)
        known = {column.name: column for column in columns}
        told: dict[str, Any] = {"kind": None, "target": None, "schema": None, "suspicions": []}
    else:
        schema, notes = dataset.schema, list(dataset.notes)
        known = {column.name: column for column in (*schema.columns, *schema.ignored, schema.target)}
        told = {
            "kind": dataset.kind,
            "target": {"name": schema.target.name, "distribution": _distribution(dataset)},
            "schema": schema.to_dict(),
            "suspicions": [suspicion.to_dict() for suspicion in dataset.suspicions],
        }
    parts = {}
    if read.part is not None:
        names = {"train": 0, "validation": 1, "test": 2, "to be divided": -1}
        parts = {name: int((read.part == number).sum()) for name, number in names.items()}
    columns = profile(read.columns, known)
    return {"name": read.name, "rows": rows, "parts": parts, "columns": columns, **told, "notes": list(notes)}


def _distribution(dataset: "Dataset") -> dict[str, Any]:
    import numpy as np

    if dataset.classes is not None:
        counts = np.bincount(dataset.target, minlength=len(dataset.classes)).tolist()
        return dict(zip(dataset.classes, counts, strict=True))
    quantiles = np.quantile(dataset.target, list(_QUANTILES.values())).tolist()
    spread = {"mean": float(dataset.target.mean()), "standard deviation": float(dataset.target.std())}
    return {**dict(zip(_QUANTILES, quantiles, strict=True)), **spread}


def _show(described: dict[str, Any]) -> None:
    target, rows = described["target"], format_count(described["rows"])
    if target is None:
        say(f"{described['name']}: {rows} rows, {len(described['columns'])} columns")
    else:
        used = len(described["schema"]["columns"])
        what = f"{described['kind']} of {target['name']}"
        classes = described["schema"]["target"]["categories"] or ()
        what += f" (positive class: {classes[1]!r})" if len(classes) == 2 else ""
        noun = "column" if used == 1 else "columns"
        say(f"{described['name']}: {rows} rows, {used} {noun} used, {what}")
    parts = [f"{format_count(count)} {name}" for name, count in described["parts"].items() if count]
    if parts:
        say(f"rows: {', '.join(parts)}")
    for note in described["notes"]:
        say(f"note: {note}", style="dim")
    say("")
    _show_columns(described["columns"])
    if target is None:
        say("\nName the column to predict with --target to see what is suspicious about the data.")
        return
    say("")
    say(f"target {target['name']}", style="bold")
    distribution = target["distribution"].items()
    if described["kind"] == "classification":
        shares = [(name, format_count(n), format_share(n / described["rows"])) for name, n in distribution]
        print_table("", ("class", "rows", "share"), _few(shares), right=("rows", "share"))
    else:
        values = [(name, format_number(value)) for name, value in distribution]
        print_table("", ("", "value"), values, right=("value",))
    if described["suspicions"]:
        say("\nsuspicions", style="bold")
    for suspicion in described["suspicions"]:
        say(f"- {suspicion['said']}; {suspicion['advice']}")


def _show_columns(columns: list[dict[str, Any]]) -> None:
    noted = any(column["note"] for column in columns)
    rows = []
    for column in columns:
        missing = format_share(column["missing"]) if column["missing"] else ""
        cells = (column["name"], column["kind"], missing, format_count(column["distinct"]), column["values"])
        rows.append((*cells, column["note"]) if noted else cells)
    heads = ("name", "kind", "missing", "distinct", "values", *(("note",) if noted else ()))
    print_table("columns", heads, rows, right=("missing", "distinct"))


def _few(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    if len(rows) <= _MOST_CLASSES:
        return rows
    return [*rows[:_MOST_CLASSES], (f"... and {len(rows) - _MOST_CLASSES} more", "", "")]
