"""How a delimited text file is written: its encoding, delimiter, quotes, comments, and whether it has a header."""

import codecs
import csv
import dataclasses
import gzip
import io
import itertools
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError
from .columns import BLANKS, clean_text, type_text

#: The delimiter of a table whose cells are held apart by any number of blanks and tabs.
RUN = "runs of blanks"

_SAMPLE_BYTES = 1 << 20
_TRIAL = 1 << 16
_LONGEST = 1 << 24  # characters of a cell
# In the order that decides where two fit equally well: "1,5;2,5" has as many commas in every row as semicolons.
_USUAL = ("\t", ";", "|", ",")
# These occur inside cells so often that they delimit only where they do so in every row.
_DOUBTFUL = ("\x01", "\x1f", " ", "::", ":", RUN, "||", "^", "~", "¦", "§", "#", "@", "&", "*")
# A sentence or a time of day holds many of these.
_IN_PROSE = (" ", ":", RUN)
_ALIKE = 1e-5  # shares of rows that differ by less say the same
_DELIMITERS = (*_USUAL, *_DOUBTFUL)
_COMMENTS = ("#", "%")
_TOKEN = re.compile(r"\"(?P<double>(?:[^\"]|\"\")*)\"(?=\s|$)|'(?P<single>[^']*)'(?=\s|$)|(?P<plain>\S+)")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
#: Bytes that are control characters in Latin-1 and letters or signs in CP1252.
_CP1252_ONLY = frozenset(range(0x80, 0xA0))
_CP1252_HOLES = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))


@dataclass(frozen=True)
class Layout:
    r"""How a text table is written.

    Attributes:
        delimiter: between two cells; one character, two, or `RUN`.
        header: whether the first row holds names.
        names: the columns' names, unique and not empty.
        encoding: "utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252" or "latin-1".
        line_end: between two rows.
        broken_first: whether a cell of the first row holds a line break.
        quote: what may stand around a cell: `"` or `'`; "" where quotes are letters like others.
        backslash: whether a quote inside quotes is written `\"`; else it is doubled.
        blank_first: whether a blank may stand before a quote that opens a cell.
        mark: what a line that is a comment starts with; "" where there are none.
        body_width: how many cells a row under the header has, where that is not how many names it holds.
    """

    delimiter: str
    header: bool = False
    names: tuple[str, ...] = ()
    encoding: str = "utf-8"
    line_end: str = "\n"
    broken_first: bool = False
    quote: str = '"'
    backslash: bool = False
    blank_first: bool = False
    mark: str = ""
    body_width: int | None = None

    @property
    def plain(self) -> bool:
        """Whether DuckDB reads the file right as it stands."""
        usual = (
            len(self.delimiter) == 1
            and self.quote in ('"', "")
            and not self.backslash
            and not self.blank_first
        )
        # DuckDB loses every row where a line break within the first row differs from the line end.
        broken = self.line_end == "\r\n" and self.broken_first
        known = self.encoding in ("utf-8", "utf-16", "latin-1")
        return usual and known and not self.mark and self.body_width is None and not broken


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
    mark = _comment_mark(lines)
    tab = any(suffix.lower() in (".tsv", ".tab") for suffix in path.suffixes)
    layout = _dialect(lines, mark, ("\t",) if tab else _DELIMITERS, whole)
    layout = dataclasses.replace(layout, encoding=encoding, line_end=_line_end(text))
    rows = [row for _, row in itertools.islice(read_rows(lines, layout), 500)]
    if not rows:
        raise DataError(f"file {shown!r} is empty; give a table with a header and rows")
    return _with_names(layout, rows, _commented_header(lines, layout), expected)


def read_rows(lines: Iterable[str], layout: Layout, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """The rows of a text table, each with the number of the line on which it ends; comments are passed over.

    Args:
        lines: the text, line by line, line ends kept.
        layout: its delimiter, quotes and comments.
        strict: refuse text after a closing quote.

    Yields:
        The line's number, from 1, and the row's cells; rows without any cell are left out.

    Raises:
        csv.Error: if quotes are not closed (when strict), or a cell is longer than 16 MiB.
    """
    mark = layout.mark
    kept = ("\n" if mark and line.lstrip().startswith(mark) else line for line in lines)
    if layout.delimiter == RUN:
        for number, line in enumerate(kept, 1):
            if cells := [_unquoted(found) for found in _TOKEN.finditer(line)]:
                yield number, cells
        return
    if len(layout.delimiter) > 1:
        yield from (
            (n, line.rstrip("\r\n").split(layout.delimiter)) for n, line in enumerate(kept, 1) if line.strip()
        )
        return
    reader = csv.reader(
        kept,
        delimiter=layout.delimiter,
        quotechar=layout.quote or None,
        quoting=csv.QUOTE_MINIMAL if layout.quote else csv.QUOTE_NONE,
        escapechar="\\" if layout.backslash else None,
        skipinitialspace=layout.blank_first,
        strict=strict,
    )
    limit = csv.field_size_limit(_LONGEST)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    finally:
        csv.field_size_limit(limit)


def without_quotes(path: Path, layout: Layout) -> Layout:
    """The layout in which quotes are letters, where that alone gives every row of a whole file one width.

    Args:
        path: the file, which cannot be read under `layout`.
        layout: what its first megabyte says.
    """
    encoding = "utf-8-sig" if layout.encoding == "utf-8" else layout.encoding
    with open_text(path)(path, "rt", encoding=encoding, errors="replace", newline="") as lines:
        letters = _uniform(lines, layout)
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


def _unquoted(found: re.Match[str]) -> str:
    if found["double"] is not None:
        return found["double"].replace('""', '"')
    return found["plain"] if found["plain"] is not None else found["single"]


def _sample(path: Path, shown: str) -> tuple[str, str, bool]:
    """The first megabyte as text, its encoding, and whether that is the whole file."""
    opener = open_text(path)
    with opener(path, "rb") as stream:
        start = stream.read(_SAMPLE_BYTES)
        whole = not stream.read(1)
    head = start[:4096]
    nulls = head.count(0)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
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


def _comment_mark(lines: list[str]) -> str:
    """What the first line starts with, if that makes it a comment: "#", "%", or "|" used nowhere below."""
    filled = [line for line in itertools.islice(lines, 100) if line.strip(BLANKS)]
    if not filled:
        return ""
    first = filled[0].lstrip()
    if first.startswith("|") and len(filled) > 1 and not any("|" in line for line in filled[1:]):
        return "|"
    return first[0] if first.startswith(_COMMENTS) and len(filled) > 1 else ""


def _dialect(lines: list[str], mark: str, delimiters: tuple[str, ...], whole: bool) -> Layout:
    """The delimiter and quotes under which most rows have the width of the table; else commas.

    Ways in which some quote stands where none should be count for a little less. Quotes that join lines of one
    width each are letters.
    """
    sizes = itertools.accumulate(map(len, lines))
    trial = lines[: 1 + sum(1 for _ in itertools.takewhile(lambda size: size < _TRIAL, sizes))]
    cut = not whole or len(trial) < len(lines)
    text = "".join(trial)
    quotes = ('"', "'") if re.search(r"(^|[\s,;|:])'[^'\n]*'(?=[\s,;|:]|$)", text) else ('"',)
    escapes = (False, True) if re.search(r"\\[\"']", text) else (False,)
    blanks = (False, True) if re.search(r"[,;|\t:] +[\"']", text) else (False,)
    best, widest, found = 0.0, 1, Layout(delimiters[0] if len(delimiters) == 1 else ",", mark=mark)
    used = [delimiter for delimiter in delimiters if delimiter == RUN or delimiter in text]
    used = [one for one in used if one * 2 not in used or not _comes_twice(one, text)]
    for delimiter, quote, escape, blank in itertools.product(used, quotes, escapes, blanks):
        layout = Layout(delimiter, quote=quote, backslash=escape, blank_first=blank, mark=mark)
        for strict in (True, False):
            share, width = _share(trial, layout, cut, strict)
            share -= 0.02 * (not strict)
            # Every row of a wide table may hold a few of another delimiter within its cells.
            wider = width > 3 * widest and delimiter not in _IN_PROSE
            unlikely = 3 * width < widest or found == dataclasses.replace(layout, backslash=False)
            if share > best + (-_ALIKE if wider else _ALIKE if unlikely else 0.0):
                best, widest, found = share, width, layout
    letters = _quotes_join(lines, found) and _uniform(lines, found)
    return dataclasses.replace(found, quote="") if letters else found


def _comes_twice(mark: str, text: str) -> bool:
    """Whether a mark comes twice wherever it comes, so that the two are one delimiter; such cells have no quotes."""
    return text.count(mark) == 2 * text.count(mark * 2) and f'"{mark}' not in text


def _quotes_join(lines: list[str], layout: Layout) -> bool:
    """Whether quotes join lines, or are left open."""
    if len(layout.delimiter) > 1 or not any(layout.quote in line for line in lines):
        return False
    bare = dataclasses.replace(layout, quote="", backslash=False, blank_first=False)
    try:
        return sum(1 for _ in read_rows(lines, layout)) < sum(1 for _ in read_rows(lines, bare))
    except csv.Error:
        return True


def _uniform(lines: Iterable[str], layout: Layout) -> bool:
    """Whether every line has one width, above one cell, where quotes are letters."""
    bare = dataclasses.replace(layout, quote="", backslash=False, blank_first=False)
    widths = {len(row) for _, row in read_rows(lines, bare)}
    return len(widths) == 1 and 1 not in widths


def _share(lines: list[str], layout: Layout, cut: bool, strict: bool) -> tuple[float, int]:
    """How many of the rows have the width of the table, 0 to 1, with what speaks for a layout added; the width."""
    rows = []
    try:
        for _, row in read_rows(lines, layout, strict):
            rows.append(row)
    except csv.Error:
        if strict and not cut:
            return 0.0, 0
    if cut and len(rows) > 1:
        rows.pop()
    if not rows:
        return 0.0, 0
    width = len(rows[0])
    if len(rows) > 1 and len(rows[1]) == width + 1 and width > 1:
        # A header without a name for the row names, as R writes it, or rows that end in a delimiter.
        width, rows = width + 1, rows[1:]
    share = sum(len(row) == width for row in rows) / len(rows)
    if width < 2 or (layout.delimiter in _DOUBTFUL and share < 1.0):
        return 0.0, 0
    if layout.delimiter == ":" and all(cell.isdigit() and len(cell) == 2 for row in rows for cell in row[1:]):
        return 0.0, 0  # times of day
    if layout.delimiter == " " and not all(cell for row in rows for cell in row):
        return 0.0, 0  # runs of blanks
    if layout.delimiter == "\t" and _holds_runs(rows):
        return 0.0, 0
    # Cells that keep quotes around them were read with the wrong ones.
    bare = (cell.strip(BLANKS) for row in rows for cell in row)
    kept = any(len(cell) > 1 and cell[0] == cell[-1] and cell[0] in "\"'" for cell in bare)
    return share - 1e-6 * kept, width


def _holds_runs(rows: list[list[str]]) -> bool:
    """Whether every row has a cell of numbers held apart by blanks."""
    split = ([cell.split() for cell in row] for row in rows)
    return all(any(len(parts) > 2 and all(map(_is_number, parts)) for parts in row) for row in split)


def _is_number(text: str) -> bool:
    """Whether a cell is a number or has no value."""
    cell = clean_text([text])
    return cell[0] is None or type_text("", cell).kind == "number"


def _commented_header(lines: list[str], layout: Layout) -> tuple[list[str], bool]:
    """The cells of the last comment above the first row, and whether it follows its mark without a blank."""
    last = ""
    for line in lines:
        bare = line.strip(BLANKS)
        if not layout.mark or (bare and not bare.startswith(layout.mark)):
            break
        last = bare or last
    bare = last.lstrip(layout.mark)
    cells = next((row for _, row in read_rows([bare], dataclasses.replace(layout, mark=""))), [])
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
    if width > 2 and longer > 0.9 * len(rows[1:]) and not any(map(_is_number, first)):
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
