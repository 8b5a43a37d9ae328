"""Tables of every kind, each with what it is opened with, drawn from the number of its case alone."""

import datetime
import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from .cells import MARKERS, Cells, any_cells, target_cells

SEED = 20260301
CASES = 500
#: Beyond so many cells a fit takes too long to be part of the fuzz.
FITTED_CELLS = 300_000

_FORMATS = {"text": 60, "parquet": 11, "json": 9, "npz": 6, "frame": 8, "mapping": 3, "arrays": 3}
_ODD_NAMES = (
    *(
        "",
        " ",
        "a",
        "a",
        "A",
        "id",
        "y",
        "label",
        "x0",
        "column0",
        "date",
        "e mail",
        'quo"te',
        "it's",
        "=1",
        "a=b",
    ),
    *(
        "new\nline",
        "tab\t",
        "comma,name",
        "semi;colon",
        "DROP TABLE data;--",
        "naïve",
        "🙂",
        "日本",
        "#hash",
        "%",
        "1",
    ),
    *(
        "2.5",
        "true",
        "NaN",
        "c0",
        "data",
        "select",
        "fathom cells",
        "{x}",
        "[y]",
        "*",
        "\\",
        "n" * 2000,
        "w " * 300,
    ),
)
_FILES = (
    "data",
    "data.v2",
    "it's",
    "a b",
    "d[1]",
    "wild*card?",
    "ünï",
    "semi;colon",
    'quo"te',
    "UPPER",
    "#1",
    "%s",
    "-",
)
_DELIMITERS = (",", ",", ",", ";", ";", "\t", "|", " ", ":", "::", "^", "~", "\x01", "||")
_ENCODINGS = ("utf-8",) * 6 + ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252")
_WORDS = (
    *("numeric", "boolean", "categorical", "date", "day-first", "month-first", "text", "text:16", "ignore"),
    *("weight", "group", "time", "split", "identifier"),
)


@dataclass(frozen=True)
class Case:
    """One table and what is done with it.

    Attributes:
        number: the case.
        story: what it is, in a few words.
        source: the table.
        arguments: of `load`, besides the source.
        settings: of `Study`.
        head: the first rows again, as new data to predict.
        head_rows: how many.
        fits: whether to train; otherwise the case ends with the plan.
        written: the cells of delimited text and how they are written, where the file is whole; else None.
    """

    number: int
    story: str
    source: Any
    arguments: dict[str, Any]
    settings: dict[str, Any]
    head: Any
    head_rows: int
    fits: bool
    written: "tuple[Sheet, TextStyle] | None" = None


@dataclass
class Sheet:
    """A table in memory, before it is written: names, cells and the marker of a missing cell in each column."""

    names: list[str]
    columns: list[Cells]
    markers: list[str]

    @property
    def rows(self) -> int:
        return len(self.columns[0].places)

    def take(self, rows: np.ndarray) -> "Sheet":
        """Some of the rows."""
        return Sheet(self.names, [column.take(rows) for column in self.columns], self.markers)


@dataclass
class TextStyle:
    """How a text file is written."""

    delimiter: str = ","
    quote: str = '"'
    always: bool = False
    header: bool = True
    line_end: str = "\n"
    encoding: str = "utf-8"
    comments: list[str] = field(default_factory=list)
    ended: bool = True
    trailing: bool = False
    blank_lines: bool = False


def size_of(number: int) -> tuple[int, int, bool]:
    """Features, rows and whether to train, of a case; the first things that are drawn."""
    draw = np.random.default_rng([SEED, number])
    features = round(np.exp(draw.uniform(0, np.log(5000))))
    rows = round(np.exp(draw.uniform(0, np.log(200_001))) - 1)
    most = int(draw.choice([200_000, 1_000_000, 5_000_000], p=[0.5, 0.4, 0.1]))
    if features * rows > most:
        rows = most // features
    return features, rows, bool(features * rows <= FITTED_CELLS and draw.random() < 0.8)


def make_case(number: int, folder: Path) -> Case:
    """The case of a number; its files are written to the folder."""
    features, rows, fits = size_of(number)
    draw = np.random.default_rng([SEED, number, 1])
    shape = str(draw.choice(list(_FORMATS), p=np.array(list(_FORMATS.values())) / sum(_FORMATS.values())))
    sheet, target = _sheet(draw, features, rows, numbers=shape in ("npz", "arrays"))
    style = _text_style(draw)
    if shape == "text" and not style.header and draw.random() < 0.9:
        target = f"column{sheet.names.index(target)}"
    if shape == "frame" and draw.random() < 0.9:
        sheet.names[:] = [
            f"{name}{place}" if sheet.names.index(name) < place else name
            for place, name in enumerate(sheet.names)
        ]
    write = _writer(draw, shape, style, folder)
    file = str(draw.choice(np.array(_FILES, dtype=object)))
    head_rows = int(draw.choice([1, 3, 30]))
    arguments = _arguments(draw, sheet, target, write, file)
    source = write(sheet, file)
    written = (sheet, style) if shape == "text" else None
    if isinstance(source, Path) and draw.random() < 0.04:
        _damage(draw, source)
        written = None
    if shape in ("npz", "arrays") and draw.random() < 0.8:
        arguments = {name: arguments[name] for name in arguments if name not in ("target", "columns", "sql")}
    head = sheet.take(np.arange(min(head_rows, rows)))
    if shape in ("text", "parquet", "json") and not {"sql", "test", "validation"} & set(arguments):
        arguments |= {"stream": True} if draw.random() < 0.04 else {}
    settings = {
        "folds": int(draw.choice([1, 1, 2])),
        "keep_duplicates_together": bool(draw.random() < 0.1),
        "scaling": [None, None, None, "robust", "standardize", "quantile", "pca", "zca", "none"][
            draw.integers(9)
        ],
    }
    story = f"{shape} {source.name if isinstance(source, Path) else ''} {rows} x {features}, target {target!r:.40}"
    return Case(number, story, source, arguments, settings, write(head, "head"), head.rows, fits, written)


def _sheet(draw: np.random.Generator, features: int, rows: int, numbers: bool) -> tuple[Sheet, str]:
    """A table with its target somewhere, and what the target is called."""
    kinds = int(draw.choice([1, 3, 40])) if features > 40 else features
    mixed, odd_names = draw.random() < 0.6, draw.random() < 0.5
    makers = [any_cells(draw, rows, plain=numbers or not mixed) for _ in range(min(kinds, features))]
    columns = makers if kinds >= features else [makers[draw.integers(kinds)] for _ in range(features)]
    # Columns of a wide table share few draws, each in an order of its own.
    shuffles = [draw.permutation(rows) for _ in range(4)]
    if kinds < features:
        columns = [column.take(shuffles[draw.integers(4)]) for column in columns]
    names = [f"f{place}" for place in range(features)]
    if odd_names:
        for place in draw.choice(features, min(features, int(draw.integers(1, 12))), replace=False):
            names[place] = _ODD_NAMES[draw.integers(len(_ODD_NAMES))]
    goal = target_cells(draw, rows)
    target = (
        str(draw.choice(np.array(["y", "target", "Survived?", "a", *_ODD_NAMES], dtype=object)))
        if (draw.random() < 0.3)
        else "target"
    )
    if draw.random() < 0.05 and rows:
        columns[0] = Cells("leak", goal.pool, goal.places, goal.write)
    place = int(draw.choice([0, features, draw.integers(features + 1)]))
    columns.insert(place, goal)
    names.insert(place, target)
    marker = str(draw.choice(np.array(MARKERS, dtype=object)))
    markers = [
        marker if draw.random() < 0.8 else str(draw.choice(np.array(MARKERS, dtype=object))) for _ in columns
    ]
    sheet = Sheet(names, columns, markers)
    if draw.random() < 0.15 and rows:
        sheet = sheet.take(draw.integers(0, rows, rows))
    return sheet, target


def _arguments(draw: np.random.Generator, sheet: Sheet, target: str, write, file: str) -> dict[str, Any]:
    """What the table is opened with; at times what does not fit it."""
    given: dict[str, Any] = {"target": target}
    chance = draw.random()
    if chance < 0.02:
        del given["target"]
    elif chance < 0.04:
        given["target"] = target + "x"
    if draw.random() < 0.1:
        given["kind"] = str(draw.choice(["classification", "regression", "ranking"], p=[0.45, 0.45, 0.1]))
    if draw.random() < 0.06:
        words = {}
        for _ in range(draw.integers(1, 4)):
            words[sheet.names[draw.integers(len(sheet.names))]] = str(draw.choice(_WORDS))
        given["columns"] = words
    if draw.random() < 0.2:
        _add_role(draw, sheet, target, given)
    rows = sheet.rows
    for role in ("test", "validation"):
        if draw.random() < 0.05:
            other = sheet.take(draw.integers(0, rows, rows // int(draw.integers(1, 8)))) if rows else sheet
            given[role] = write(_altered(draw, other), role)
    if draw.random() < 0.04:
        name = "data" if draw.random() < 0.5 else file.split(".")[0]
        given["sql"] = str(
            draw.choice(
                np.array(
                    [
                        f'SELECT * FROM "{name}"',
                        "SELECT * FROM data LIMIT 40",
                        "SELECT nothing FROM data",
                        "DROP TABLE data",
                        "SELECT * FROM '/etc/passwd'",
                        "SELECT 1 AS a, 2 AS b",
                        "SELECT * FROM data; SELECT 1",
                        "",
                    ],
                    dtype=object,
                )
            )
        )
    return given


def _add_role(draw: np.random.Generator, sheet: Sheet, target: str, given: dict[str, Any]) -> None:
    """A column that has a role, fit for it or not."""
    rows = sheet.rows
    role = str(draw.choice(["weight", "group", "time", "split"]))
    pools = {
        "weight": ([[0.5, 1.0, 2.0], [0.0, 1.0], [0.0], [1.0, -1.0], [1.0, 1e300], ["heavy"]], str),
        "group": ([list(range(30)), ["a", "b"], ["one"], [1.5, 2.5, None]], str),
        "time": (
            [
                list(range(100)),
                [datetime.datetime(2024, 1, day) for day in range(1, 20)],
                ["late", "soon"],
                [1],
            ],
            str,
        ),
        "split": (
            [["train", "validation", "test"], ["train", "test"], ["Train", "TEST"], ["train"], ["left"]],
            str,
        ),
    }
    pool = [value for value in pools[role][0][draw.integers(len(pools[role][0]))] if value is not None]
    places = draw.integers(0, len(pool), rows)
    if draw.random() < 0.3:
        places = np.where(draw.random(rows) < 0.1, -1, places)
    name = f"column{len(sheet.names)}" if target.startswith("column") else f"the {role}"
    sheet.names.append(name)
    sheet.columns.append(Cells(role, pool, places))
    sheet.markers.append("")
    given["columns"] = {**given.get("columns", {}), name: role}


def _altered(draw: np.random.Generator, sheet: Sheet) -> Sheet:
    """The columns in another order; at times one lacks, or is of another kind."""
    order = list(draw.permutation(len(sheet.names)))
    if draw.random() < 0.1 and len(order) > 2:
        order.pop()
    columns = [sheet.columns[place] for place in order]
    if draw.random() < 0.15 and sheet.rows:
        columns[0] = any_cells(draw, sheet.rows)
    return Sheet([sheet.names[place] for place in order], columns, [sheet.markers[place] for place in order])


def _writer(draw: np.random.Generator, shape: str, style: "TextStyle", folder: Path):
    """What writes any sheet in one way, chosen at random: `write(sheet, stem)` gives a source."""
    if shape == "text":
        suffix = str(
            draw.choice([".csv", ".csv", ".txt", ".tsv" if style.delimiter == "\t" else ".data", ""])
        )
        packing = str(draw.choice(["", "", "", "", ".gz", "" if style.delimiter == "\x01" else ".zst"]))
        return lambda sheet, stem: write_text(sheet, style, folder / f"{stem}{suffix or '.csv'}{packing}")
    if shape == "json":
        packing, array = str(draw.choice(["", "", ".gz", ".zst"])), draw.random() < 0.2
        return lambda sheet, stem: _write_json(
            sheet, folder / f"{stem}.json{'' if array else 'l'}{packing}", array
        )
    if shape == "parquet":
        return lambda sheet, stem: _write_parquet(sheet, folder / f"{stem}.parquet")
    if shape == "npz":
        kind = np.dtype(str(draw.choice(["f8", "f4", "f8", "i4", "u1", "f2", "?", "U8", "O"])))
        return lambda sheet, stem: _write_npz(sheet, kind, folder / f"{stem}.npz")
    if shape == "arrays":
        return lambda sheet, stem: _arrays(sheet, np.dtype(np.float64))
    if shape == "mapping":
        return lambda sheet, stem: {
            name: typed(column) for name, column in zip(sheet.names, sheet.columns, strict=True)
        }
    nullable = bool(draw.random() < 0.3)
    return lambda sheet, stem: frame_of(sheet, nullable)


def _text_style(draw: np.random.Generator) -> TextStyle:
    line_end = str(draw.choice(["\n", "\n", "\r\n", "\r"], p=[0.5, 0.2, 0.25, 0.05]))
    comments = ["# made by a machine", "# second, line"][: draw.integers(1, 3)] if draw.random() < 0.1 else []
    return TextStyle(
        str(draw.choice(np.array(_DELIMITERS, dtype=object))),
        "'" if draw.random() < 0.07 else "" if draw.random() < 0.07 else '"',
        bool(draw.random() < 0.15),
        bool(draw.random() < 0.85),
        line_end,
        str(draw.choice(_ENCODINGS)),
        comments,
        bool(draw.random() < 0.8),
        bool(draw.random() < 0.04),
        bool(draw.random() < 0.05),
    )


def write_text(sheet: Sheet, style: TextStyle, path: Path) -> Path:
    """Write a table as delimited text."""
    special = (style.delimiter, style.quote or "\n", "\n", "\r")

    def cell(text: str) -> str:
        if style.quote and (style.always or any(mark in text for mark in special)):
            return style.quote + text.replace(style.quote, style.quote * 2) + style.quote
        return (
            text if style.quote else text.replace("\n", " ").replace("\r", " ").replace(style.delimiter, "_")
        )

    written = []
    for column, marker in zip(sheet.columns, sheet.markers, strict=True):
        cells = Cells(column.kind, column.pool, column.places, lambda value, c=column: cell(c.write(value)))
        written.append(cells.texts(cell(marker)).tolist())
    end = style.delimiter if style.trailing else ""
    lines = list(style.comments)
    if style.header:
        lines.append(style.delimiter.join(map(cell, sheet.names)) + end)
    body = [style.delimiter.join(row) + end for row in zip(*written, strict=True)]
    lines += [line for row in body for line in ("", row)] if style.blank_lines else body
    text = style.line_end.join(lines) + (style.line_end if style.ended else "")
    return _packed(text, style.encoding, path)


def _packed(text: str, encoding: str, path: Path) -> Path:
    content = text.encode(encoding, "replace" if encoding in ("latin-1", "cp1252") else "surrogatepass")
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content, 1))
    elif path.suffix == ".zst":
        lines = text.replace("\x01", " ").split("\n")
        options = "FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x01', COMPRESSION zstd"
        with duckdb.connect() as connection:
            plain = path.parent / "packed.zst"
            connection.execute(f"COPY (SELECT unnest(?::VARCHAR[])) TO '{plain}' ({options})", [lines])
        plain.rename(path)
    else:
        path.write_bytes(content)
    return path


def _write_json(sheet: Sheet, path: Path, array: bool) -> Path:
    cells = [column.values().tolist() for column in sheet.columns]
    rows = [dict(zip(sheet.names, row, strict=True)) for row in zip(*cells, strict=True)]
    write = lambda value: value.decode("latin-1") if isinstance(value, bytes) else str(value)  # noqa: E731
    if array:
        return _packed(json.dumps(rows, default=write), "utf-8", path)
    return _packed("\n".join(json.dumps(row, default=write) for row in rows), "utf-8", path)


def _write_parquet(sheet: Sheet, path: Path) -> Path:
    frame = frame_of(sheet, False)
    names: dict[str, None] = {}
    for name in sheet.names:  # Parquet's names differ even without their case
        while name.lower() in {other.lower() for other in names} or not name:
            name += "_"
        names[name] = None
    frame.columns = list(names)
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("frame", frame)
        plain = path.parent / "plain.parquet"
        connection.execute(f"COPY (SELECT * FROM frame) TO '{plain}' (FORMAT parquet)")
    plain.rename(path)
    return path


def typed(cells: Cells) -> np.ndarray:
    """The cells as an array of the type that its values have, objects where no type holds them all."""
    values = cells.values()
    there = cells.places >= 0
    kinds = {type(value) for value in cells.pool}
    if kinds <= {int, float}:
        if kinds == {int} and there.all():
            return np.array(values.tolist(), dtype=np.int64)
        return np.array([np.nan if value is None else float(value) for value in values])
    if kinds == {bool} and there.all():
        return values.astype(bool)
    if kinds == {datetime.datetime}:
        return np.array(
            [np.datetime64("NaT", "us") if v is None else np.datetime64(v, "us") for v in values],
            "datetime64[us]",
        )
    return values


def frame_of(sheet: Sheet, nullable: bool) -> pd.DataFrame:
    """The table as a pandas frame, at times of types that have a missing value of their own."""
    series = {}
    for place, column in enumerate(sheet.columns):
        held = pd.Series(typed(column))
        if nullable and held.dtype == object and all(isinstance(value, str) for value in column.pool):
            held = held.astype("category" if place % 2 else "string")
        elif nullable and held.dtype == np.int64:
            held = held.astype("Int64")
        series[place] = held
    frame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = sheet.names
    return frame


def _arrays(sheet: Sheet, kind: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Features of numbers and a target; what is no number is the number of its value."""
    places = [place for place, name in enumerate(sheet.names) if not name.startswith("the ")]
    goal = max(places, key=lambda place: sheet.columns[place].kind.startswith("target"))
    numbers = []
    for place in places:
        column = sheet.columns[place]
        if place != goal:
            held = typed(column)
            numbers.append(held if held.dtype.kind in "if" else column.places.astype(float))
    x = np.stack(numbers, axis=1) if numbers else np.zeros((sheet.rows, 0))
    with np.errstate(all="ignore"):
        return x.astype(kind), typed(sheet.columns[goal])


def _write_npz(sheet: Sheet, kind: np.dtype, path: Path) -> Path:
    x, y = _arrays(sheet, kind)
    if y.dtype.kind == "O" and kind.kind != "O":
        y = np.array([str(value) for value in y])
    np.savez(path, x=x, y=y)
    return path


def _damage(draw: np.random.Generator, path: Path) -> None:
    """Cut a file, or change some of its bytes."""
    content = bytearray(path.read_bytes())
    if len(content) < 4:
        return
    if draw.random() < 0.5:
        content = content[: int(draw.integers(len(content)))]
    else:
        for place in draw.integers(0, len(content), int(draw.integers(1, 20))):
            content[place] = int(draw.integers(256))
    path.write_bytes(content)
