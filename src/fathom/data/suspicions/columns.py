"""Suspicions about single columns: constants, identifiers, codes for a missing value, writings of two meanings."""

from collections.abc import Iterator

import numpy as np

from ...look import format_count
from ..dataset import Dataset
from ..infer import is_named_identifier
from ..read.dates import UNCLEAR
from ..read.numerals import UNCLEAR_COMMAS
from .suspicion import Suspicion, asked, columns_are

#: Numbers that often stand for a missing value.
CODES = (-1.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0, -9.0, -99.0, -999.0, -9999.0, -99999.0)

_LEAST_KEYS = 20  # rows


def constant(dataset: Dataset) -> Iterator[Suspicion]:
    """Columns that never vary, which are left out."""
    names = tuple(column.name for column in dataset.schema.ignored if column.kind == "constant")
    if names:
        said = columns_are(
            names, "has one value only and is left out", "have one value only and are left out"
        )
        advice = "nothing is lost, unless the file should hold more than it does"
        yield Suspicion("constant", names, said, advice)


def identifier(dataset: Dataset) -> Iterator[Suspicion]:
    """Columns that only name the row: those left out, and those kept that look like one."""
    ignored = tuple(column.name for column in dataset.schema.ignored if column.kind == "identifier")
    if ignored:
        said = columns_are(
            ignored,
            "tells the rows apart (an identifier) and is left out",
            "tell the rows apart (identifiers) and are left out",
        )
        example = ignored[0]
        which = "it says" if len(ignored) == 1 else "one of them says"
        advice = f"if {which} something of use, keep it: {asked(example, 'categorical')}"
        yield Suspicion("identifier", ignored, said, advice)
    names = [column.name for column in dataset.schema.columns if column.kind == "numeric"]
    kept = (
        tuple(name for name in names if is_named_identifier(name)) if len(dataset.schema.columns) > 1 else ()
    )
    if kept:
        said = columns_are(
            kept,
            "is named like an identifier and is used as a number",
            "are named like identifiers and are used as numbers",
        )
        name = kept[0]
        advice = (
            f"leave it out ({asked(name, 'ignore')}), or keep rows that share it on one side of the split "
            f"({asked(name, 'group')})"
        )
        yield Suspicion("identifier", kept, said, advice)


def shuffled_numbers(dataset: Dataset) -> Iterator[Suspicion]:
    """Columns of whole numbers without gaps, each once: keys in another order."""
    names = []
    for place, column in enumerate(dataset.schema.numeric):
        values = dataset.table.numeric[:, place]
        if column.kind != "numeric" or is_named_identifier(column.name) or np.isnan(values).any():
            continue
        if np.ptp(values) == len(values) - 1 and (values == np.round(values)).all():
            names += [column.name] * (len(np.unique(values)) == len(values))
    if not names or len(values := dataset.target) < _LEAST_KEYS or len(dataset.schema.columns) == 1:
        return
    said = columns_are(
        names,
        f"holds {len(values)} whole numbers without a gap, each once, as keys of rows do",
        f"hold {len(values)} whole numbers without a gap, each once, as keys of rows do",
    )
    yield Suspicion("shuffled numbers", tuple(names), said, f"leave it out: {asked(names[0], 'ignore')}")


def unclear_points(dataset: Dataset) -> Iterator[Suspicion]:
    """Numbers such as 1.234, whose points may hold thousands apart."""
    columns = (*dataset.schema.columns, dataset.schema.target)
    names = tuple(c.name for c in columns if c.style == "unclear" and c.kind in ("numeric", "target"))
    if names:
        said = columns_are(
            names,
            "has three digits after every point, and was read with decimal points (1.234 as a little over 1)",
            "have three digits after every point, and were read with decimal points (1.234 as a little over 1)",
        )
        comma, point = (asked(names[0], word) for word in ("decimal-comma", "decimal-point"))
        advice = f"if the points hold thousands apart, say {comma}; if not, {point}"
        yield Suspicion("decimal point", names, said, advice)


def unclear_commas(dataset: Dataset) -> Iterator[Suspicion]:
    """Numbers such as 1,234 in a table that does not tell what their commas are, which stay text."""
    columns = (*dataset.schema.columns, *dataset.schema.ignored, dataset.schema.target)
    names = tuple(column.name for column in columns if column.style == UNCLEAR_COMMAS)
    said = "numbers whose commas may be decimal or hold thousands apart (1,234), and {} not read as numbers"
    yield from _unread("decimal comma", names, said, ("decimal-comma", "decimal-point"))


def unclear_dates(dataset: Dataset) -> Iterator[Suspicion]:
    """Dates such as 3/4/2024 in a column without a day above 12."""
    columns = (*dataset.schema.columns, *dataset.schema.ignored)
    names = tuple(c.name for c in columns if c.style == UNCLEAR and c.kind in ("categorical", "text"))
    said = "dates with the day or the month first, no row tells which, and {} not read as dates"
    yield from _unread("day or month", names, said, ("day-first", "month-first"))


def _unread(what: str, names: tuple[str, ...], said: str, words: tuple[str, str]) -> Iterator[Suspicion]:
    """Columns that wait for one of two words of the user."""
    if names:
        first, second = (asked(names[0], word) for word in words)
        told = columns_are(names, f"has {said.format('is')}", f"have {said.format('are')}")
        yield Suspicion(what, names, told, f"say {first} or {second}")


def missing_code(dataset: Dataset) -> Iterator[Suspicion]:
    """A number far from all others, such as -999 or 9999, that comes again and again."""
    for place, column in enumerate(dataset.schema.numeric):
        if column.kind != "numeric":
            continue
        values = dataset.table.numeric[:, place]
        values = values[~np.isnan(values)]
        if len(values) < 10:
            continue
        for end, code in (("smallest", values.min()), ("largest", values.max())):
            count = int((values == code).sum())
            rest = values[values != code]
            if code not in CODES or count < max(2, 0.0005 * len(values)) or len(rest) == 0:
                continue
            with np.errstate(over="ignore"):
                spread, gap = float(np.ptp(rest)), float(np.abs(rest - code).min())
            if spread == 0 or gap <= spread:
                continue
            low, high = f"{rest.min():g}", f"{rest.max():g}"
            said = (
                f"column {column.name!r}: {format_count(count)} cells are {code:g}, its {end} value, and all others "
                f"lie between {low} and {high}"
            )
            yield Suspicion(
                "missing code",
                (column.name,),
                said,
                f"if {code:g} stands for a missing value, empty those cells",
                {"value": float(code), "rows": count},
            )
