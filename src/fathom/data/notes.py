"""What a user should hear of how a column was read."""

from collections import Counter

from .read.columns import Odd, RawColumn, as_texts
from .read.dates import UNCLEAR
from .read.numerals import UNCLEAR_COMMAS, read_number
from .schema import Column
from .texts import MAX_CATEGORIES

_SHOWN = 3  # writings of a note


def column_notes(raw: RawColumn, column: Column, given: bool) -> list[str]:
    """What a user should hear of a column; constants, identifiers and unclear dates are told as suspicions."""
    name = f"column {column.name!r}"
    if column.kind in ("weight", "group", "time", "split"):
        return [f"{name} is no input: {column.reason}"]
    if column.reason:
        told = given or column.kind in ("constant", "identifier") or column.style in (UNCLEAR, UNCLEAR_COMMAS)
        return [] if told else [f"{name} is ignored: {column.reason}"]
    notes = _odd_note(raw, column) if column.odd else []
    if raw.infinite:
        is_one = "is infinite and counts" if raw.infinite == 1 else "are infinite and count"
        notes.append(f"{name}: {raw.infinite:,} of its cells {is_one} as missing")
    if column.kind == "text" and not given:
        notes.append(f"{name} is text: its words are hashed into {column.buckets} inputs")
    if raw.kind == "text" and not given and column.kind in ("categorical", "text"):
        notes += _almost_numbers(raw)
    if column.kind == "categorical" and column.buckets:
        distinct = len(set(as_texts(raw).tolist()) - {None})
        rest = f"the others share {column.buckets} inputs"
        notes.append(
            f"{name}: the {MAX_CATEGORIES} most frequent of its {distinct} values have their own; {rest}"
        )
    return notes


def _odd_note(raw: RawColumn, column: Column) -> list[str]:
    """Which cells of a column of numbers or dates are none."""
    odd = raw.odd if raw.odd is not None else _odd_dates(raw, column)
    if odd is None:
        return []
    said = [
        f"{text!r} in row {row + 1}" if count == 1 else f"{text!r} {count:,} times, first in row {row + 1}"
        for text, (count, row) in list(odd.found.items())[:_SHOWN]
    ]
    more = ", …" if len(odd.found) > _SHOWN else ""
    number = sum(count for count, _ in odd.found.values())
    are = "is none ({}) and counts" if number == 1 else "are none ({}) and count"
    what = "dates" if column.kind == "date" else "numbers"
    return [
        f"column {raw.name!r} is read as {what}; {number:,} of its {odd.filled:,} cells "
        f"{are.format(', '.join(said) + more)} as missing (say 'categorical' to keep every writing)"
    ]


def _odd_dates(raw: RawColumn, column: Column) -> Odd | None:
    if not column.odd or raw.kind != "text":
        return None
    cells = raw.values.tolist()
    counts = Counter(cells)
    found = {text: (counts[text], cells.index(text)) for text in column.odd if counts[text]}
    return Odd(found, len(cells) - counts[None])


def _almost_numbers(raw: RawColumn) -> list[str]:
    counts = Counter(raw.values.tolist())
    filled = len(raw.values) - counts.pop(None, 0)
    if sum(read_number(text) is not None for text, _ in counts.most_common(20)) < min(len(counts), 20) / 2:
        return []
    words = [text for text in counts if read_number(text) is None]
    odd = sum(counts[text] for text in words)
    if odd > 0.1 * filled:
        return []
    shown = ", ".join(repr(text) for text in sorted(words)[:3]) + (", …" if len(words) > 3 else "")
    return [
        f"column {raw.name!r} is read as categories, because {odd} of its {filled} cells are no numbers "
        f"({shown}); empty or correct those to read it as numbers"
    ]
