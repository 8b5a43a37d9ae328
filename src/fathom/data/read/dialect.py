"""What a delimited text file puts between its cells and around them: its rows read, and its marks chosen.

The marks chosen are those under which the rows have one width and the cells leave nothing to explain: a cell in
quotes explains what it holds, while a bare cell with a quote in it, or with a mark that would part all the rows as
well, was probably parted or quoted by other marks. Double quotes as in RFC 4180 come first where two ways are alike.
"""

import csv
import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .columns import BLANKS, clean_text, type_text

#: The delimiter of a table whose cells are held apart by any number of blanks and tabs.
RUN = "runs of blanks"

_TRIAL = 1 << 16
_LONGEST = 1 << 24  # characters of a cell
# In the order that decides where two fit equally well: "1,5;2,5" has as many commas in every row as semicolons.
_USUAL = ("\t", ";", "|", ",")
# These occur inside cells so often that they delimit only where they do so in every row.
_DOUBTFUL = ("\x01", "\x1f", " ", "::", ":", RUN, "||", "^", "~", "¦", "§", "#", "@", "&", "*")
# A sentence or a time of day holds many of these.
_IN_PROSE = (" ", ":", RUN)
DELIMITERS = (*_USUAL, *_DOUBTFUL)
_NEARLY = 0.98  # shares of rows from which on the cells decide
_LOOSE = (
    3  # a cell whose closing quote is lost or has text after it counts for so many that are not explained
)
_BLANK = 0.5  # so many, a cell that starts with a blank
_TOKEN = re.compile(r"\"(?P<double>(?:[^\"]|\"\")*)\"(?=\s|$)|'(?P<single>[^']*)'(?=\s|$)|(?P<plain>\S+)")
_FIGURES = re.compile(r"\s*[+-]?[.,]?\d(?:[\d.,:/'-]*\d)?[.]?(?:[eE][+-]?\d+)?(?: \d{3})*\s*")


@dataclass(frozen=True)
class Layout:
    r"""How a text table is written.

    Attributes:
        delimiter: between two cells; one character, two, or `RUN`.
        header: whether the first row holds names.
        names: the columns' names, unique and not empty.
        encoding: "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252" or "latin-1".
        line_end: between two rows.
        broken_first: whether a cell of the first row holds a line break.
        quote: what may stand around a cell: `"` or `'`; "" where quotes are letters like others.
        backslash: whether a quote inside quotes is written `\"`; else it is doubled.
        blank_first: whether a blank may stand before a quote that opens a cell.
        mark: what a line that is a comment starts with; "" where there are none.
        body_width: how many cells a row under the header has, where that is not how many names it holds.
        declared: whether the first line only names the delimiter, as Excel writes it (`sep=;`).
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
    declared: bool = False

    @property
    def plain(self) -> bool:
        """Whether DuckDB reads the file right as it stands."""
        usual = (
            len(self.delimiter) == 1
            and self.quote in ('"', "")
            and not self.backslash
            and not self.blank_first
            and not self.declared
        )
        # DuckDB loses every row where a line break within the first row differs from the line end.
        broken = self.line_end == "\r\n" and self.broken_first
        known = self.encoding in ("utf-8", "utf-16", "latin-1")
        return usual and known and not self.mark and self.body_width is None and not broken


@dataclass(frozen=True)
class Fit:
    """How well a layout explains some lines.

    Attributes:
        layout: the layout.
        share: how many of the rows have the width of the table, 0 to 1; 1 from `_NEARLY` on.
        unexplained: cells of a row that it does not explain.
        figures: cells of a row that are numbers or dates.
        cells: cells of a row.
    """

    layout: Layout
    share: float
    unexplained: float = 0.0
    figures: float = 0.0
    cells: float = 1.0

    def merit(self) -> tuple[float, ...]:
        """What is compared, first things first."""
        return (
            round(self.share, 5),
            2 * self.unexplained <= self.cells,
            -round(self.unexplained, 5),
            round(self.figures, 5),
            -round(self.unexplained / self.cells, 5),
        )


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
    if layout.declared:
        kept = itertools.chain(["\n"], itertools.islice(kept, 1, None))
    if layout.delimiter == RUN:
        for number, line in enumerate(kept, 1):
            if cells := [_unquoted(found) for found in _TOKEN.finditer(line)]:
                yield number, cells
        return
    if len(layout.delimiter) > 1:
        for number, line in enumerate(kept, 1):
            if line.strip():
                yield number, [cell for cell, _ in _parted(line, layout)]
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


def choose_dialect(lines: list[str], known: Layout, delimiters: Sequence[str], whole: bool) -> Layout:
    """The delimiter and quotes that explain a table best; commas and double quotes if none explains any.

    Args:
        lines: its first lines.
        known: what is known of it; its comments are passed over.
        delimiters: those it may have, in the order that decides where two fit equally well.
        whole: whether the lines are all.
    """
    sizes = itertools.accumulate(map(len, lines))
    trial = lines[: 1 + sum(1 for _ in itertools.takewhile(lambda size: size < _TRIAL, sizes))]
    cut = not whole or len(trial) < len(lines)
    default = dataclasses.replace(known, delimiter=delimiters[0] if len(delimiters) == 1 else ",")
    tried = (Fit(layout, _share(trial, layout, cut)) for layout in _candidates(trial, known, delimiters))
    fits = [fit for fit in tried if fit.share > 0]
    if not fits:
        return default
    most = max(fit.share for fit in fits)
    best = [fit.layout for fit in fits if fit.share > most - 1e-5]
    if any(layout.delimiter == "\t" for layout in best):
        # Nobody writes one tab in every row within a text.
        best = [layout for layout in best if layout.delimiter not in _IN_PROSE]
    if len(best) > 1:
        marks = {layout.delimiter for layout in best if layout.delimiter not in _IN_PROSE}
        best = [max((_fit(trial, layout, marks, cut) for layout in best), key=Fit.merit).layout]
    return dataclasses.replace(best[0], quote="") if _lines_are_rows(lines, best[0]) else best[0]


def one_width(lines: Iterable[str], layout: Layout) -> int:
    """The width of every line where quotes are letters; 0 if they differ or have one cell."""
    widths = {len(row) for _, row in read_rows(lines, _without_quotes(layout))}
    return max(widths) if len(widths) == 1 and 1 not in widths else 0


def _without_quotes(layout: Layout) -> Layout:
    return dataclasses.replace(layout, quote="", backslash=False, blank_first=False)


def _candidates(trial: list[str], known: Layout, delimiters: Sequence[str]) -> Iterator[Layout]:
    """The layouts that lines may have, those that are tried first where they are alike before the others."""
    text = "".join(trial)
    single = re.search(r"(^|\W)'", text) and re.search(r"'(\W|$)", text)
    quotes = ('"', *("'" if single else ""), *([""] if '"' in text else []))
    escapes = (False, True) if re.search(r"\\[\"']", text) else (False,)
    blanks = (False, True) if re.search(r"[,;|\t:] +[\"']", text) else (False,)
    used = [delimiter for delimiter in delimiters if delimiter == RUN or delimiter in text]
    used = [one for one in used if one * 2 not in used or not _comes_twice(one, text)]
    for delimiter in used:
        if len(delimiter) > 1:
            yield dataclasses.replace(known, delimiter=delimiter)
            continue
        for quote, escape, blank in itertools.product(quotes, escapes, blanks):
            if quote or not (escape or blank):
                yield dataclasses.replace(
                    known, delimiter=delimiter, quote=quote, backslash=escape, blank_first=blank
                )


def _comes_twice(mark: str, text: str) -> bool:
    """Whether a mark comes twice wherever it comes, so that the two are one delimiter."""
    return text.count(mark) == 2 * text.count(mark * 2)


def _share(lines: list[str], layout: Layout, cut: bool) -> float:
    """How many of the rows have the width of the table, 0 to 1."""
    rows = [row for _, row in read_rows(lines, layout)]
    if cut and len(rows) > 1:
        rows.pop()
    if not rows:
        return 0.0
    width = len(rows[0])
    if len(rows) > 1 and len(rows[1]) == width + 1 and width > 1:
        # A header without a name for the row names, as R writes it, or rows that end in a delimiter.
        width, rows = width + 1, rows[1:]
    share = sum(len(row) == width for row in rows) / len(rows)
    if width < 2 or (layout.delimiter in _DOUBTFUL and share < 1.0):
        return 0.0
    if layout.delimiter == ":" and all(cell.isdigit() and len(cell) == 2 for row in rows for cell in row[1:]):
        return 0.0  # times of day
    if layout.delimiter == " " and not all(cell for row in rows for cell in row):
        return 0.0  # runs of blanks
    if layout.delimiter == "\t" and _holds_runs(rows):
        return 0.0
    return 1.0 if share >= _NEARLY else share


def _holds_runs(rows: list[list[str]]) -> bool:
    """Whether every row has a cell of numbers held apart by blanks."""
    split = ([cell.split() for cell in row] for row in rows)
    return all(any(len(parts) > 2 and all(map(is_number, parts)) for parts in row) for row in split)


def _fit(lines: list[str], layout: Layout, marks: set[str], cut: bool) -> Fit:
    """How well a layout that fits explains the cells.

    Args:
        lines: some lines.
        layout: the layout.
        marks: the delimiters of all layouts that fit as well.
        cut: whether the lines end somewhere within the table.
    """
    others = tuple(marks - {layout.delimiter})
    rows, cells, figures, unexplained = 1, 0, 0, 0.0
    for cell, enclosed, loose, last in _cells(_kept(lines, layout), layout, cut):
        rows += last
        cells += 1
        figures += _FIGURES.fullmatch(cell) is not None
        unexplained += _LOOSE * loose if enclosed else _strange(cell, layout, others)
    return Fit(layout, 1.0, unexplained / rows, figures / rows, max(cells / rows, 1.0))


def _kept(lines: Iterable[str], layout: Layout) -> str:
    """The text without comments, the line that names the delimiter, and empty lines."""
    mark, start = layout.mark, int(layout.declared)
    return "".join(
        line for line in itertools.islice(lines, start, None) if not (mark and line.lstrip().startswith(mark))
    )


def _cells(text: str, layout: Layout, cut: bool) -> Iterator[tuple[str, bool, bool, bool]]:
    """Each cell of a text: its content, whether quotes enclose it, or are lost, and whether it ends its row."""
    if layout.delimiter == RUN:
        for line in text.splitlines():
            found = list(_TOKEN.finditer(line))
            for place, one in enumerate(found, 1):
                yield _unquoted(one), one["plain"] is None, False, place == len(found)
        return
    if len(layout.delimiter) > 1:
        for line in text.splitlines():
            row = list(_parted(line, layout)) if line.strip() else []
            for place, (cell, enclosed) in enumerate(row, 1):
                yield cell, enclosed, False, place == len(row)
        return
    part, quote = re.escape(layout.delimiter), layout.quote
    escape = r"\\." if layout.backslash else "(?!)"
    held = r"[^\\Q]" if layout.backslash else "[^Q]"
    inside = f"Q(?P<held>(?:{escape}|{held}|QQ)*)(?P<close>Q?)".replace("Q", quote) if quote else "(?!)"
    blank = " *" if layout.blank_first else ""
    pattern = re.compile(f"{blank}(?:{inside})?(?P<bare>[^{part}\r\n]*)(?P<end>{part}|[\r\n]+|$)", re.DOTALL)
    place = 0
    while place < len(text):
        found = pattern.match(text, place)
        if found is None or found.end() == place:
            return
        place = found.end()
        enclosed = bool(quote) and found["held"] is not None
        if enclosed and not found["close"] and cut and place == len(text):
            return
        loose = enclosed and (not found["close"] or bool(found["bare"].strip(BLANKS)))
        ends = found["end"] != layout.delimiter
        yield (found["held"] or "") if enclosed else found["bare"], enclosed, loose, ends


def _strange(cell: str, layout: Layout, others: tuple[str, ...]) -> float:
    """Whether a cell without quotes around it holds what other marks would explain, 0 to 1."""
    if _FIGURES.fullmatch(cell):
        return 0.0
    quote = layout.quote or '"'
    if cell.startswith(('"', "'")) or quote in cell or any(mark in cell for mark in others):
        return 1.0
    return _BLANK if cell.startswith(" ") else 0.0


def _lines_are_rows(lines: list[str], layout: Layout) -> bool:
    """Whether each line is a row, so that quotes which join lines, or are left open, are letters.

    They are where every line has one width and quotes are out of place. Where they are not, the joined lines must
    look like the other rows: as wide as these, and with a cell that comes in the same column of these or is a
    number there as in these; or some cell must be nothing but a quote, as where the cells are words of a text.
    """
    if len(layout.delimiter) > 1 or not layout.quote or not any(layout.quote in line for line in lines):
        return False
    width = one_width(lines, layout)
    if not width:
        return False
    try:
        rows = [row for _, row in read_rows(lines, layout, strict=True)]
    except csv.Error:
        return True
    bare = [row for _, row in read_rows(lines, _without_quotes(layout))]
    if len(rows) == len(bare) or any(len(row) != width for row in rows):
        return False
    if any(cell.strip(BLANKS) == layout.quote for row in bare for cell in row):
        return True
    single = [tuple(row) for row in rows if not any("\n" in cell or "\r" in cell for cell in row)]
    among = set(single)
    joined = zip(*(row for row in bare if tuple(row) not in among), strict=True)
    alone = zip(*single[1:], strict=True)  # the first may be a header
    return any(_is_like(column, known) for column, known in zip(joined, alone, strict=False))


def _is_like(cells: Sequence[str], known: Sequence[str]) -> bool:
    """Whether cells look like those known of a column: most of them come there, or are numbers as these are."""
    found, numbers = set(known), sum(map(is_number, known)) > 0.9 * len(known)
    like = sum(cell in found or (numbers and bool(cell.strip(BLANKS)) and is_number(cell)) for cell in cells)
    return like > 0.9 * len(cells)


def is_number(text: str) -> bool:
    """Whether a cell is a number or has no value."""
    cell = clean_text([text])
    return cell[0] is None or type_text("", cell).kind == "number"


def _parted(line: str, layout: Layout) -> Iterator[tuple[str, bool]]:
    """The cells of a line under a delimiter of two characters, each with whether double quotes enclose it."""
    text, place = line.rstrip("\r\n"), 0
    if layout.quote not in text or not layout.quote:
        yield from ((cell, False) for cell in text.split(layout.delimiter))
        return
    ends = f"(?:{re.escape(layout.delimiter)}|$)"
    pattern = re.compile(r'(?:"((?:[^"]|"")*)"|(.*?))' + ends, re.DOTALL)
    while found := pattern.match(text, place):
        yield (found[2], False) if found[1] is None else (found[1].replace('""', '"'), True)
        if not found.group().endswith(layout.delimiter):
            return
        place = found.end()


def _unquoted(found: re.Match[str]) -> str:
    if found["double"] is not None:
        return found["double"].replace('""', '"')
    return found["plain"] if found["plain"] is not None else found["single"]
