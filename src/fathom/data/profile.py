"""What the columns of a table hold, in a few words each, for a person to look at."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .read.columns import RawColumn, as_numbers, as_texts
from .schema import ROLES, Column

_SHOWN = 4  # categories
_TOLD_SHARE = 0.02  # of the cells, of the most frequent value
_LENGTH = 24  # characters of a category
_STYLES = {
    "plain": "",
    "unclear": "",
    "unclear commas": "",
    "comma": "decimal comma",
    "comma %": "decimal comma",
    "point": "",
    "point %": "",
}


def profile(columns: Sequence[RawColumn], schema: Mapping[str, Column]) -> list[dict[str, Any]]:
    """What each column holds.

    Args:
        columns: the raw columns.
        schema: what each is, by name.

    Returns:
        For each column: `name`; `kind`; `missing`, the share of its cells without a value; `distinct`, how many
        different values there are; `values`, its range or its most frequent values; `note`.

    Example:
        >>> profile([RawColumn("x", "number", np.array([1.0, 2.0, 2.0, np.nan]))], {"x": Column("x", "numeric")})
        [{'name': 'x', 'kind': 'numeric', 'missing': 0.25, 'distinct': 2, 'values': '1 to 2', 'note': ''}]
    """
    return [_describe(column, schema[column.name]) for column in columns]


def _describe(raw: RawColumn, column: Column) -> dict[str, Any]:
    missing = raw.missing()
    present = raw.values[~missing]
    counts = Counter(present.tolist()) if raw.kind == "text" else None
    return {
        "name": raw.name,
        "kind": column.kind,
        "missing": 1.0 if raw.kind == "unsupported" else float(missing.mean()),
        "distinct": len(counts) if counts is not None else len(np.unique(present)),
        "values": _values(raw.take(~missing), column, counts) if len(present) else "",
        "note": _note(column),
    }


def _values(raw: RawColumn, column: Column, counts: Counter | None) -> str:
    """The range of numbers and dates, the most frequent of other values; no cell is missing."""
    if column.kind == "date":
        days = as_numbers(raw, "date", column.style, column.odd)
        return _dates(days[~np.isnan(days)], column.style)
    if raw.kind == "date":
        return _dates(raw.values, "")
    if raw.kind == "number" and column.categories is None:
        low, high = _number(raw.values.min()), _number(raw.values.max())
        return low if low == high else f"{low} to {high}"
    counts = counts if counts is not None else Counter(as_texts(raw).tolist())
    total = counts.total()
    if len(counts) > 1 and counts.most_common(1)[0][1] < _TOLD_SHARE * total:  # an example says more
        return f"such as {_short(next(iter(counts)), 2 * _LENGTH)}"
    shown = [f"{_short(text)} {count / total:.0%}" for text, count in counts.most_common(_SHOWN)]
    return ", ".join(shown) + (", …" if len(counts) > _SHOWN else "")


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e12 else f"{value:.6g}"


def _short(text: str, length: int = _LENGTH) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def _dates(days: np.ndarray, style: str) -> str:
    unit = "m" if style == "time" or (days != np.floor(days)).any() else "D"
    moments = (
        (np.array([days.min(), days.max()]) * 86_400).astype("datetime64[s]").astype(f"datetime64[{unit}]")
    )
    first, last = (str(moment).replace("T", " ") for moment in moments)
    return f"{first[-5:]} to {last[-5:]}" if style == "time" else f"{first} to {last}"


def _note(column: Column) -> str:
    if column.kind in ROLES:
        return "no input"
    if column.reason:
        return (
            "left out"
            if column.kind in ("constant", "identifier", "ignore")
            else f"left out: {column.reason}"
        )
    if column.kind == "text":
        return f"{column.buckets} hashed inputs"
    if column.kind == "categorical" and column.buckets:
        return f"{len(column.categories or ())} inputs, {column.buckets} for the rest"
    return _STYLES.get(column.style, column.style)
