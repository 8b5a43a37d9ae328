"""What a column of text is: dates, categories, free text, or nothing to learn from."""

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np

from ..errors import DataError
from .read.columns import RawColumn, as_numbers, looks_boolean
from .read.dates import UNCLEAR, number_style, style_of_most
from .read.numerals import POINT, UNCLEAR_COMMAS, is_marker, read_number, unclear_commas
from .schema import Column

#: A text column with more categories than this is kept only if its values repeat.
MAX_FREE_CATEGORIES = 50
#: At most so many categories get an input of their own; the rest are hashed into `CATEGORY_BUCKETS` shared ones.
MAX_CATEGORIES = 200
CATEGORY_BUCKETS = 16
#: The words of a text column are hashed into so many inputs, unless "text:N" says otherwise.
WORD_BUCKETS = 64

_UNIT = re.compile(r"(?P<number>[+-]?[\d.,]*\d)\s*(?P<unit>[^\W\d_]\S{0,11})")
_MOST_UNITS = 3


def infer_text(column: RawColumn, has_missing: bool) -> Column:
    """What a column of text is."""
    counts = Counter(column.values.tolist())
    filled = len(column.values) - counts.pop(None, 0)
    if len(counts) == 1:
        return Column(column.name, "constant", has_missing=has_missing, reason="it has one value only")
    if looks_boolean(column.values):
        return Column(column.name, "boolean", has_missing=has_missing)
    dates = style_of_most(counts)
    style = "" if dates is None else dates[0]
    if dates is not None and style != UNCLEAR:
        return date(column, style, has_missing, dates[1])
    if unclear_commas(counts):
        style = UNCLEAR_COMMAS
    unique = len(counts) == filled and filled > 20
    if unique or (len(counts) > MAX_FREE_CATEGORIES and len(counts) > filled / 2):
        length, repeats = _wording(counts)
        if length >= 2 and repeats >= 2 and not _unread(counts, style):
            return Column(column.name, "text", None, has_missing, buckets=WORD_BUCKETS)
        if reason := _unread(counts, style):
            return Column(column.name, "text", has_missing=has_missing, reason=reason, style=style)
        kind, word = (
            ("text", "text whose words do not repeat") if length >= 2 else ("identifier", "an identifier")
        )
        reason = f"{len(counts)} different values in {filled} rows ({word})"
        return Column(column.name, kind, has_missing=has_missing, reason=reason)
    if len(counts) > MAX_CATEGORIES and _wording(counts)[0] >= 4:
        return Column(column.name, "text", None, has_missing, buckets=WORD_BUCKETS)
    return categorical(column.name, counts, has_missing, style)


def _unread(counts: Mapping[str, int], style: str) -> str:
    """Why values that differ from row to row are neither numbers nor dates, where they look like some."""
    if style == UNCLEAR:
        return "its dates may have the day or the month first, and no row tells which"
    example = next(iter(counts))
    if style == UNCLEAR_COMMAS:
        return f"the commas of its numbers ({example!r}) may be decimal or hold thousands apart"
    found = [_UNIT.fullmatch(text) for text in counts]
    units = {match["unit"] for match in found if match is not None}
    if len(units) <= _MOST_UNITS and all(
        match and POINT.read(match["number"]) is not None for match in found
    ):
        return f"its cells are numbers followed by a word ({example!r}); write the numbers alone"
    words = [text for text in counts if read_number(text) is None and not is_marker(text)]
    if len(words) <= len(counts) / 4:
        shown = ", ".join(repr(text) for text in sorted(words)[:3]) + (", …" if len(words) > 3 else "")
        odd = sum(counts[text] for text in words)
        return f"{odd} of its {sum(counts.values())} cells are no numbers ({shown}); empty or correct those"
    return ""


def _wording(counts: Mapping[str, int]) -> tuple[float, float]:
    """Words in a text, and how often each word occurs, over some 2,000 of the different texts."""
    texts = sorted(counts)[:: max(1, len(counts) // 2000)]
    words = [word for text in texts for word in text.lower().split()]
    return len(words) / len(texts), len(words) / max(len(set(words)), 1)


def categorical(name: str, counts: Mapping[str, int], has_missing: bool, style: str = "") -> Column:
    """A column of categories."""
    # The most frequent categories, ties by name, so that the choice does not depend on the order of the rows.
    frequent = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_CATEGORIES]
    buckets = CATEGORY_BUCKETS if len(counts) > MAX_CATEGORIES else 0
    return Column(name, "categorical", tuple(sorted(frequent)), has_missing, buckets=buckets, style=style)


def date(column: RawColumn, style: str, has_missing: bool, odd: tuple[str, ...] = ()) -> Column:
    """A column of dates with those of their parts that vary.

    Args:
        column: the column.
        style: how its dates are written.
        has_missing: whether a cell has no value.
        odd: writings of cells that are no dates and count as missing.
    """
    odd = odd or column.odd_texts
    has_missing = has_missing or bool(odd)
    days = as_numbers(column, "date", style, odd)
    days = days[~np.isnan(days)]
    if days.min() == days.max():
        return Column(column.name, "constant", has_missing=has_missing, reason="it has one value only")
    if style == "time":
        return Column(column.name, "date", None, has_missing, parts=("hour",), style=style, odd=odd)
    whole = np.floor(days).astype(np.int64)
    date = whole.astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    monthly = bool((date == month).all())  # months written as their first day
    varies = {
        "days": True,
        "month": len(np.unique(month.astype(np.int64) % 12)) > 1,
        "weekday": not monthly and len(np.unique(whole % 7)) > 1,
        "hour": bool((days != whole).any()),
    }
    parts = tuple(part for part, varied in varies.items() if varied)
    return Column(column.name, "date", None, has_missing, parts=parts, style=style, odd=odd)


def given_style(column: RawColumn, style: str | None) -> tuple[str, tuple[str, ...]]:
    """The style of a column that is said to be dates, and the writings in it that are none.

    Args:
        column: the column.
        style: how its dates are written, where that is said too.
    """
    if column.kind == "number":
        return style or number_style(column.values), column.odd_texts
    if column.kind != "text":
        return style or "", ()
    counts = Counter(column.values.tolist())
    del counts[None]
    found = style_of_most(counts, () if style is None else (style,))
    if found is not None and found[0] == UNCLEAR:
        raise DataError(
            f"column {column.name!r}: {min(counts)!r} may have the day or the month first, and no row tells which; "
            "say columns 'day-first' or 'month-first' in place of 'date'"
        )
    return found if found is not None else (style or "", ())
