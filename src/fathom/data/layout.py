"""How a delimited text file is written: its encoding, delimiter, line ends, and whether it has a header."""

import codecs
import csv
import gzip
import io
import itertools
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .columns import BLANKS, clean_text, type_text

_SAMPLE_BYTES = 1 << 20
_DELIMITERS = (",", ";", "\t", "|", " ")


@dataclass(frozen=True)
class Layout:
    """How a text table is written.

    Attributes:
        delimiter: between two cells.
        header: whether the first row holds names.
        names: the columns' names, unique and not empty.
        encoding: "utf-8", "utf-16" or "latin-1".
        line_end: between two rows.
        broken_first: whether a cell of the first row holds a line break.
    """

    delimiter: str
    header: bool
    names: tuple[str, ...]
    encoding: str
    line_end: str = "\n"
    broken_first: bool = False


def detect_layout(path: str | Path, expected: Collection[str] = ()) -> Layout:
    """How a text table is written, from its first megabyte.

    The first row is a header if it holds one of the names expected; or a word above a column of numbers; or,
    in a table of words only, no value that comes again below it.

    Args:
        path: the file.
        expected: names that the file should hold.

    Returns:
        The layout.

    Raises:
        DataError: if the file is empty or no text.
    """
    path = Path(path)
    text, encoding, whole = _sample(path)
    tab = any(suffix.lower() in (".tsv", ".tab") for suffix in path.suffixes)
    delimiter = "\t" if tab else _delimiter(text, whole)
    rows = _rows(text, delimiter, whole)
    if not rows:
        raise DataError(f"file {str(path)!r} is empty; give a table with a header and rows")
    first = [cell.strip(BLANKS) for cell in rows[0]]
    header = _is_header(first, rows[1:500], expected)
    width = len(first)
    names = tuple(unique_names(first if header else [""] * width))
    broken = any("\n" in cell or "\r" in cell for cell in rows[0])
    return Layout(delimiter, header, names, encoding, _line_end(text), broken)


def open_text(path: Path):
    """What opens a file's bytes: `gzip.open` for a .gz file, else `open`."""
    return gzip.open if path.suffix.lower() == ".gz" else open


def unique_names(names: list[str]) -> list[str]:
    """The names, an empty one by its position and a repeated one with a number after it."""
    given = {name for name in names if name}
    result: dict[str, None] = {}
    for place, name in enumerate(names):
        base = name or f"column{place}"
        unique, count = base, 1
        while unique in result or (unique != name and unique in given):
            count += 1
            unique = f"{base}_{count}"
        result[unique] = None
    return list(result)


def _sample(path: Path) -> tuple[str, str, bool]:
    """The first megabyte as text, its encoding, and whether that is the whole file."""
    opener = open_text(path)
    with opener(path, "rb") as stream:
        start = stream.read(_SAMPLE_BYTES)
        whole = not stream.read(1)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif b"\x00" in start[:4096]:
        raise DataError(f"file {str(path)!r} is no text table; give CSV, TSV, Parquet or JSON lines")
    else:
        encoding = _encoding(path, opener)
    return start.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace"), encoding, whole


def _encoding(path: Path, opener) -> str:
    """UTF-8 if every byte of the file fits it, else Latin-1 (in which every byte is a letter)."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opener(path, "rb") as stream:
        try:
            while block := stream.read(_SAMPLE_BYTES):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def _rows(text: str, delimiter: str, whole: bool, strict: bool = False) -> list[list[str]]:
    """The rows of a text, the last one left out where it may be cut; none where strict reading fails."""
    rows = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict):
            if row:
                rows.append(row)
    except csv.Error:
        return [] if strict and whole else rows
    return rows if whole or len(rows) < 2 else rows[:-1]


def _line_end(text: str) -> str:
    """The first line break outside quotes."""
    breaks = list(itertools.islice(re.finditer(r"\r\n|\n|\r", text), 100))
    outside = (found.group() for found in breaks if text.count('"', 0, found.start()) % 2 == 0)
    return next(outside, breaks[0].group() if breaks else "\n")


def _delimiter(text: str, whole: bool, strict: bool = True) -> str:
    """The delimiter under which most rows have as many cells as the first, more than one; else a comma.

    Read strictly (after a closing quote only a delimiter may follow) if any delimiter allows it: a wrong one
    sees quotes in the wrong places.
    """
    best, found = 0.0, ""
    for delimiter in _DELIMITERS:
        rows = _rows(text[:65536], delimiter, whole and len(text) <= 65536, strict)
        if not rows or len(rows[0]) < 2:
            continue
        share = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        # Blanks occur in words, so they delimit only where they do so in every row.
        if share > best and (delimiter != " " or share == 1.0):
            best, found = share, delimiter
    return found or (_delimiter(text, whole, strict=False) if strict else ",")


def _is_header(first: list[str], body: list[list[str]], expected: Collection[str]) -> bool:
    if set(first) & set(expected):
        return True
    if not any(first):
        return False
    repeated = False
    for place, name in enumerate(first):
        below = clean_text(row[place] for row in body if place < len(row))
        kind, own = type_text("", below).kind, clean_text([name])
        if kind != "text" and own[0] is not None and type_text("", own).kind != kind:
            return True
        typed = kind != "text" or type_text("", own).kind == "number"
        repeated = repeated or typed or name in set(below.tolist())
    return not repeated
