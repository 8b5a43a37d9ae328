"""How a delimited text file is written: its encoding, delimiter, quotes, comments, and whether it has a header."""

import codecs
import dataclasses
import gzip
import io
import itertools
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ...errors import DataError
from .columns import BLANKS, clean_text, type_text
from .dialect import DELIMITERS, Layout, choose_dialect, is_number, one_width, read_rows

_SAMPLE_BYTES = 1 << 20
_COMMENTS = ("#", "%", "//")
# What Excel writes above a table.
_DECLARED = re.compile(r"\s*\"?sep=([^\r\n])\"?\s*", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
#: Bytes that are control characters in Latin-1 and letters or signs in CP1252.
_CP1252_ONLY = frozenset(range(0x80, 0xA0))
_CP1252_HOLES = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))


def detect_layout(path: str | Path, expected: Collection[str] = (), shown: str = "") -> Layout:
    """How a text table is written, from its first megabyte.

    The first row is a header if it holds one of the names expected; or a word above a column of numbers; or,
    in a table of words only, no value that comes again below it. A table that starts with comments may have
    its header in the last of them.

    Args:
        path: the file, plain or .gz.
        expected: names that the file should hold.
        shown: what a message calls the file; by its path if empty.

    Returns:
        The layout.

    Raises:
        DataError: if the file is empty or no text.
    """
    path = Path(path)
    shown = shown or str(path)
    text, encoding, whole = _sample(path, shown)
    lines = list(io.StringIO(text, newline=""))
    if not whole and len(lines) > 1:
        lines.pop()
    tab = any(suffix.lower() in (".tsv", ".tab") for suffix in path.suffixes)
    layout = _marks(lines, ("\t",) if tab else DELIMITERS, whole)
    layout = dataclasses.replace(layout, encoding=encoding, line_end=_line_end(text))
    rows = [row for _, row in itertools.islice(read_rows(lines, layout), 500)]
    if not rows:
        raise DataError(f"file {shown!r} is empty; give a table with a header and rows")
    return _with_names(layout, rows, _commented_header(lines, layout), expected)


def without_quotes(path: Path, layout: Layout) -> Layout:
    """The layout in which quotes are letters, where that alone gives every row of a whole file one width.

    Args:
        path: the file, which cannot be read under `layout`.
        layout: what its first megabyte says.
    """
    encoding = "utf-8-sig" if layout.encoding == "utf-8" else layout.encoding
    with open_text(path)(path, "rt", encoding=encoding, errors="replace", newline="") as lines:
        letters = one_width(lines, layout) == len(layout.names)
    return dataclasses.replace(layout, quote="") if letters else layout


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


def _sample(path: Path, shown: str) -> tuple[str, str, bool]:
    """The first megabyte as text, its encoding, and whether that is the whole file."""
    opener = open_text(path)
    with opener(path, "rb") as stream:
        start = stream.read(_SAMPLE_BYTES)
        whole = not stream.read(1)
    head = start[:4096]
    nulls = head.count(0)
    if start[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        encoding = "utf-32"
    elif start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-16"
    elif nulls > len(head) / 4 and nulls in (head[::2].count(0), head[1::2].count(0)):
        # Without a byte order mark: the zero byte of each Western letter says which half comes first.
        encoding = "utf-16-be" if head[0] == 0 else "utf-16-le"
    elif nulls:
        raise DataError(f"file {shown!r} is no text table; give CSV, TSV, Parquet or JSON lines")
    else:
        encoding = _encoding(path, opener)
    return start.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace"), encoding, whole


def _encoding(path: Path, opener) -> str:
    """UTF-8 if every byte of the file fits it; else CP1252 or Latin-1 (in which every byte is a character)."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    used: set[int] = set()
    fits = True
    with opener(path, "rb") as stream:
        while block := stream.read(_SAMPLE_BYTES):
            used |= _CP1252_ONLY & set(block)
            try:
                fits = fits and decoder.decode(block) is not None
            except UnicodeDecodeError:
                fits = False
    if fits:
        try:
            decoder.decode(b"", final=True)
            return "utf-8"
        except UnicodeDecodeError:
            pass
    return "cp1252" if used and not used & _CP1252_HOLES else "latin-1"


def _line_end(text: str) -> str:
    """The first line break outside quotes."""
    breaks = list(itertools.islice(re.finditer(r"\r\n|\n|\r", text), 100))
    outside = (found.group() for found in breaks if text.count('"', 0, found.start()) % 2 == 0)
    return next(outside, breaks[0].group() if breaks else "\n")


def _marks(lines: list[str], delimiters: Sequence[str], whole: bool) -> Layout:
    """The delimiter, the quotes and the comments of a table from its first lines."""
    if declared := _DECLARED.fullmatch(lines[0]) if lines else None:
        return choose_dialect(lines, Layout(",", declared=True), (declared[1],), whole)
    mark = _comment_mark(lines)
    layout = choose_dialect(lines, Layout(",", mark=mark), delimiters, whole)
    bare = [line.strip(BLANKS) for line in lines if line.strip(BLANKS)]
    marked = [line[len(mark) :] for line in bare if mark and line.startswith(mark)]
    if 2 * len(marked) > len(bare) and all(line and line[0] not in BLANKS for line in marked):
        # Most lines are no comments if they are rows of one width, as where the first cell is a color (#ff0000).
        every = choose_dialect(lines, Layout(","), delimiters, whole)
        widths = {len(row) for _, row in read_rows(lines, every)}
        return every if len(widths) == 1 and 1 not in widths else layout
    return layout


def _comment_mark(lines: list[str]) -> str:
    """What the first line starts with, if that makes it a comment: "#", "%", "//", or "|" used nowhere below."""
    filled = [line for line in itertools.islice(lines, 100) if line.strip(BLANKS)]
    if not filled:
        return ""
    first = filled[0].lstrip()
    if first.startswith("|") and len(filled) > 1 and not any("|" in line for line in filled[1:]):
        return "|"
    return next((mark for mark in _COMMENTS if first.startswith(mark) and len(filled) > 1), "")


def _commented_header(lines: list[str], layout: Layout) -> tuple[list[str], bool]:
    """The cells of the last comment above the first row, and whether it follows its mark without a blank."""
    last = ""
    for line in lines:
        bare = line.strip(BLANKS)
        if not layout.mark or (bare and not bare.startswith(layout.mark)):
            break
        last = bare or last
    bare = last.lstrip(layout.mark)
    cells = next(
        (row for _, row in read_rows([bare], dataclasses.replace(layout, mark="", declared=False))), []
    )
    return [cell.strip(BLANKS) for cell in cells], not bare.startswith((" ", "\t"))


def _with_names(
    layout: Layout, rows: list[list[str]], comment: tuple[list[str], bool], expected: Collection[str]
) -> Layout:
    first = [cell.strip(BLANKS) for cell in rows[0]]
    above, close = comment
    point = layout.delimiter != ","
    header = _is_header(first, rows[1:], expected, point)
    if len(above) == len(first) and (close or not header) and _is_header(above, rows, expected, point):
        # Rewritten without its comments, such a file has rows only.
        return dataclasses.replace(layout, names=tuple(unique_names(above)))
    width, body_width = len(first) + 1, None
    longer = sum(len(row) == width for row in rows[1:])
    if width > 2 and longer > 0.9 * len(rows[1:]) and not any(map(is_number, first)):
        body_width, header = width, True
        ended = all(not row[-1].strip(BLANKS) for row in rows[1:] if len(row) == width)
        first = [*first, ""] if ended else ["row", *first]
    names = tuple(unique_names(first if header else [""] * len(first)))
    broken = any("\n" in cell or "\r" in cell for cell in rows[0])
    return dataclasses.replace(layout, header=header, names=names, broken_first=broken, body_width=body_width)


def _is_header(first: list[str], body: list[list[str]], expected: Collection[str], point: bool) -> bool:
    if set(first) & set(expected):
        return True
    if not any(first):
        return False
    repeated = False
    for place, name in enumerate(first):
        below = clean_text(_pointed(row[place], point) for row in body if place < len(row))
        kind, own = type_text("", below).kind, clean_text([_pointed(name, point)])
        if kind != "text" and own[0] is not None and type_text("", own).kind != kind:
            return True
        typed = kind != "text" or type_text("", own).kind == "number"
        repeated = repeated or typed or name in set(below.tolist())
    return not repeated


def _pointed(cell: str, point: bool) -> str:
    """A number with a decimal comma as one with a point."""
    return cell.replace(",", ".") if point and _DECIMAL_COMMA.fullmatch(cell.strip(BLANKS)) else cell
