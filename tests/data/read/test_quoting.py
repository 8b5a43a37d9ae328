"""Tables that Python's csv module wrote, in every way it can write them. Oracle: the cells that were written."""

import csv
import dataclasses
import io
import itertools
import random
from dataclasses import dataclass

import pytest

from fathom.data.read.layout import detect_layout, read_rows
from fathom.data.read.tables import read_file

DELIMITERS = (",", ";", "\t", "|")
# What the cells of a column of text hold; {d} is the delimiter, {o} another one, {i} a number.
CONTENTS = {
    "plain": "left {i}",
    "newline": "line\ntwo {i}",
    "two newlines": "line\n\ntwo {i}",
    "newline and delimiter": "line\ntwo{d} {i}",
    "delimiter and newline": "line{d}a\ntwo {i}",
    "newline and quotes": 'he "x"\nit\'s {i}',
    "delimiter": "a{d} b {i}",
    "close delimiter": "a{d}b{i}",
    "other delimiter": "a{o} b {i}",
    "close other delimiter": "a{o}b{i}",
    "double quotes": 'say "x" {i}',
    "double quotes first": '"x" said {i}',
    "double quotes around": '"x {i}"',
    "double quotes and delimiter": 'say "x"{d} {i}',
    "double quotes and other delimiter": 'say "x"{o} {i}',
    "double quotes and both": 'he "hi"{d} then{o} left {i}',
    "inches": '{i}" pipe',
    "apostrophe": "it's {i}",
    "apostrophe first": "'tis {i}",
    "single quotes around": "'x {i}'",
    "apostrophe and delimiter": "it's{d} {i}",
    "apostrophe and other delimiter": "it's{o} {i}",
    "both quotes": 'it\'s "x"{d} {i}',
    "leading blank": " lead {i}",
    "blank and quote": ' "x" {i}',
    "backslash": "C:\\dir{i}\\",
    "hash": "#{i}",
    "percent": "{i}%",
    "time": "12:3{i}:00",
    "empty": "",
}
WAYS = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL, "nonnumeric": csv.QUOTE_NONNUMERIC}
HEADER = ["age", "income", "city", "y"]


@dataclass(frozen=True)
class Written:
    """How one table is written, and what its column of text holds."""

    content: str
    delimiter: str
    quote: str
    way: str
    header: bool
    place: int
    every: bool

    def rows(self) -> list[list[object]]:
        """The table's cells."""
        draw = random.Random(7)
        other = ";" if self.delimiter == "," else ","
        rows: list[list[object]] = [[*HEADER[: self.place], "note", *HEADER[self.place :]]] * self.header
        for number in range(40):
            text = CONTENTS[self.content].format(d=self.delimiter, o=other, i=number % 7)
            plain = f"left {number % 5}"
            row = [
                draw.randrange(18, 80),
                round(draw.gauss(3e4, 9e3), 2),
                ["Köln", "Oslo", "Rom"][number % 3],
            ]
            row.append(number % 2)
            row.insert(self.place, text if self.every or number % 3 == 1 else plain)
            rows.append(row)
        return rows

    def text(self) -> str:
        """The table as the csv module writes it."""
        stream = io.StringIO()
        csv.writer(
            stream,
            delimiter=self.delimiter,
            quotechar=self.quote,
            quoting=WAYS[self.way],
            lineterminator="\n",
        ).writerows(self.rows())
        return stream.getvalue()

    def readings(self) -> list[list[list[str]]]:
        """What may be read: the cells; where the file shows none of its quotes, also what other quotes make of it."""
        text, readings = self.text(), [self.rows()]
        if self.quote not in text:
            for quote in "\"'":
                reader = csv.reader(io.StringIO(text), delimiter=self.delimiter, quotechar=quote)
                readings.append(list(reader))
        return [[[str(cell).strip() for cell in row] for row in rows] for rows in readings]


EVERY = [
    Written(*choice)
    for choice in itertools.product(
        CONTENTS, DELIMITERS, "\"'", WAYS, (True, False), (0, 2, 4), (True, False)
    )
]


def wrong(table: Written, path) -> str:
    """What is read wrong of a table; empty if nothing is."""
    path.write_text(table.text(), newline="")
    try:
        layout = detect_layout(path)
        lines = io.StringIO(table.text(), newline="")
        found = [[cell.strip() for cell in row] for _, row in read_rows(lines, layout)]
    except Exception as error:
        return f"{table}: {error!r}"
    if found not in table.readings():
        return f"{table}: {found[:2]} {dataclasses.replace(layout, names=())}"
    return "" if layout.header is table.header else f"{table}: header={layout.header}"


# Strides that share no factor with the numbers of choices meet every choice.
@pytest.mark.parametrize("content", CONTENTS)
def test_the_cells_written_are_read(content, tmp_path):
    tables = [table for table in EVERY if table.content == content][::29]
    assert not [said for table in tables if (said := wrong(table, tmp_path / "a.csv"))]


@pytest.mark.parametrize("table", EVERY[::397], ids=lambda table: table.content)
def test_the_cells_written_come_through_the_door(table, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(table.text(), newline="")
    columns = read_file(path)
    found = {column.name: column.values.tolist() for column in columns}
    names = table.rows()[0] if table.header else [f"column{place}" for place in range(5)]
    assert list(found) == names
    for rows in table.readings():
        written = dict(zip(names, zip(*rows[table.header :], strict=True), strict=True))
        if all(
            [float(cell.removesuffix("%")) for cell in cells] == found[name]
            if isinstance(found[name][0], float)
            else [cell or None for cell in cells] == found[name]
            for name, cells in written.items()
        ):
            return
    raise AssertionError(f"{table}: {found}")


@pytest.mark.slow
def test_every_table(tmp_path):
    assert not [said for table in EVERY if (said := wrong(table, tmp_path / "a.csv"))]
