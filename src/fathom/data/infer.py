"""Inference of the schema: what each column is, from its cells and its name, or as the user says."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import DataError, UsageError, one_of
from .notes import column_notes
from .read.columns import RawColumn, as_numbers, as_texts, number_text
from .read.dates import days_of_numbers
from .read.numerals import UNCLEAR_COMMAS, read_number, unclear_commas
from .roles import DECIMALS
from .schema import Column, Schema
from .texts import WORD_BUCKETS, categorical, date, given_style, infer_text

#: A whole-number target with more classes than this, or than this share of the rows, is a quantity.
MAX_NUMBER_CLASSES = 20
MAX_NUMBER_CLASS_SHARE = 0.05

#: Of two classes that are words, one that fewer than this share of the rows have is the positive one.
RARE_CLASS_SHARE = 0.2

#: Half the distance from the smallest to the largest value of a quantity to predict.
LEAST_SPREAD, MOST_SPREAD = 1e-15, 1e15

_ID_NAME = re.compile(r"(id|.*[_\s.-]id|index|row|row[_\s]?(id|number|no|num)|unnamed.*)", re.IGNORECASE)
_ID_CAMEL = re.compile(r".*[a-z](Id|ID)")
_DATE_NAME = re.compile(r"(.*[^a-z])?(date|day|dt)([^a-z].*)?|.*[a-z](Date|Day)([^a-z].*)?")
#: Pairs of words of which the second is the positive one, however rare the first is.
_ANSWERS = ("no yes", "n y", "false true", "f t", "off on", "negative positive", "neg pos")
_ROLE_REASONS = {
    "weight": "it is the weight of each row",
    "group": "it is the group of each row",
    "time": "it is the time of each row",
    "split": "it says which part each row is for",
    "ignore": "it is ignored as asked",
}


def infer_schema(
    columns: Sequence[RawColumn],
    target: str,
    *,
    kind: str | None = None,
    positive: str | None = None,
    keep_all: bool = False,
    given: Mapping[str, str] | None = None,
    rows: np.ndarray | None = None,
) -> tuple[Schema, tuple[str, ...]]:
    """The schema of a table whose target has no missing cell.

    Args:
        columns: every column of the table, the target among them.
        target: the name of the column to predict.
        kind: "classification" or "regression"; inferred from the target where None.
        positive: which of two classes is the positive one, as `fathom.load` takes it.
        keep_all: keep constant and identifier-like number columns (for unnamed feature vectors and images,
            whose inputs are positions).
        given: what some columns are, by name, as `roles.read_columns` returns it.
        rows: the rows that may be looked at for the inputs (not the test rows), bool [rows]; all if None.

    Returns:
        The schema, and notes: one sentence for each thing a user should hear.

    Raises:
        DataError: if nothing is left to predict from, or the target cannot be predicted as asked.
        UsageError: if `kind` is not a known word.
    """
    goal = next(column for column in columns if column.name == target)
    given, style = given or {}, goal.style
    if target in given:
        style = DECIMALS[given[target]]
        as_numbers(goal, "numeric", style)  # refuses a cell that is not written so
    chosen = infer_kind(goal, kind)
    classes = _classes(goal) if chosen == "classification" else None
    if positive is not None or (classes is not None and len(classes) == 2):
        classes = _positive_last(goal, classes, positive)
    if chosen == "regression":
        _check_spread(goal)
    if goal.kind == "text" and unclear_commas(classes or ()):
        style = UNCLEAR_COMMAS
    alike = _alike(classes or ())
    features = [column for column in columns if column.name != target]
    if rows is not None:
        features = [column.take(rows) for column in features]
    inferred, notes = infer_columns(features, keep_all=keep_all, given=given)
    used = tuple(column for column in inferred if not column.reason)
    ignored = tuple(column for column in inferred if column.reason)
    if not used:
        why = "; ".join(f"{column.name!r}: {column.reason}" for column in ignored[:3])
        why += f"; and so on for {len(ignored) - 3} more" if len(ignored) > 3 else ""
        raise DataError(f"target={target!r}: no usable column is left to predict from; {why or 'add one'}")
    return Schema(used, Column(target, "target", classes, style=style), ignored), (*alike, *notes)


def _alike(classes: Sequence[str]) -> list[str]:
    """A note where classes differ in upper and lower case alone."""
    written: dict[str, list[str]] = {}
    for name in classes:
        written.setdefault(" ".join(name.casefold().split()), []).append(name)
    pairs = [names for names in written.values() if len(names) > 1]
    if not pairs:
        return []
    shown = "; ".join(", ".join(map(repr, names)) for names in pairs[:3]) + ("; …" if len(pairs) > 3 else "")
    return [
        f"classes differ in upper and lower case or blanks alone ({shown}) and are kept apart; "
        "if they are the same, write them alike"
    ]


def infer_columns(
    features: Sequence[RawColumn], *, keep_all: bool = False, given: Mapping[str, str] | None = None
) -> tuple[list[Column], list[str]]:
    """What each column but the target is, and notes; arguments as for `infer_schema`."""
    given = given or {}
    inferred, notes = [], []
    for raw in features:
        if raw.name in given:
            column = _as_given(raw, given[raw.name])
        else:
            column = _infer_column(raw, len(features), keep_all)
        inferred.append(column)
        notes += column_notes(raw, column, raw.name in given)
    return inferred, notes


def infer_kind(goal: RawColumn, kind: str | None = None) -> str:
    """The kind of task that a target column asks for.

    Text and booleans are classes. Numbers are classes if all are whole and there are two different ones, or
    at most 20 that are at most 5 % as many as the rows; else they are a quantity.

    Args:
        goal: the target column, without missing cells.
        kind: what the user asked for, or None.

    Returns:
        "classification" or "regression"; where it is doubtful, `Dataset.suspicions` says so.

    Raises:
        DataError: if the column cannot be predicted so.
        UsageError: if `kind` is not a known word.
    """
    if kind is not None and kind not in ("classification", "regression"):
        raise one_of("kind", kind, ("classification", "regression"))
    if goal.kind in ("date", "unsupported"):
        said = f"cannot be predicted, since {goal.reason}" if goal.reason else "holds dates"
        raise DataError(f"target={goal.name!r} {said}; choose a column of numbers or of classes")
    if goal.kind != "number":
        if kind == "regression":
            odd = _first_word(goal)
            raise DataError(
                f"target={goal.name!r} holds {'not only' if odd else 'no'} numbers{odd}; "
                "use kind='classification' or another column"
            )
        return "classification"
    if kind is not None:
        return kind
    distinct = np.unique(goal.values)
    whole = bool((distinct == np.round(distinct)).all())
    few = len(distinct) <= MAX_NUMBER_CLASSES and len(distinct) <= MAX_NUMBER_CLASS_SHARE * len(goal.values)
    return "classification" if whole and (few or len(distinct) == 2) else "regression"


def _check_spread(goal: RawColumn) -> None:
    """Refuse a quantity that does not vary, or whose squared errors single precision cannot hold."""
    low, high = float(goal.values.min()), float(goal.values.max())
    if low == high:
        raise DataError(f"target={goal.name!r} has the same value in every row; choose a column that varies")
    if not LEAST_SPREAD <= high / 2 - low / 2 <= MOST_SPREAD:
        raise DataError(
            f"target={goal.name!r} goes from {low:g} to {high:g}, and a quantity must spread over {LEAST_SPREAD:g} "
            f"to {MOST_SPREAD:g}: write it in another unit, take its logarithm, or correct its outliers"
        )


def _first_word(goal: RawColumn) -> str:
    """Where a text column that is numbers but for some cells stops being one."""
    if goal.kind != "text":
        return ""
    if unclear_commas(set(goal.values.tolist())):
        asked = f"say --columns {shlex.quote(f'{goal.name}=decimal-comma')} or decimal-point"
        return f" (the comma of {goal.values[0]!r} may be decimal or hold thousands apart: {asked})"
    numbers = {text: read_number(text) is not None for text in set(goal.values.tolist())}
    if sum(numbers.values()) < len(numbers) / 2:
        return ""
    row = next(row for row, text in enumerate(goal.values) if not numbers[text])
    return f" (row {row + 1}: {goal.values[row]!r} is no number)"


def _classes(goal: RawColumn) -> tuple[str, ...]:
    classes: tuple[str, ...]
    if goal.kind == "number":
        classes = tuple(number_text(value) for value in np.unique(goal.values))
    else:
        classes = tuple(sorted(set(as_texts(goal).tolist())))
    if len(classes) < 2:
        raise DataError(
            f"target={goal.name!r} has one value only ({', '.join(classes)}); choose a column that varies"
        )
    if len(classes) > max(2, len(goal.values) / 2):
        raise DataError(
            f"target={goal.name!r} has {len(classes)} classes in {len(goal.values)} rows{_first_word(goal)}; "
            "a class needs at least two rows on average: choose another column"
        )
    return classes


def _positive_last(goal: RawColumn, classes: tuple[str, ...] | None, positive: str | None) -> tuple[str, ...]:
    """Two classes with the positive one, whose F1, precision and recall are counted, at the end."""
    if classes is None or len(classes) != 2:
        held = "a quantity" if classes is None else f"{len(classes)} classes"
        raise UsageError(
            f"positive={positive!r} is for two classes; {goal.name!r} holds {held}, so leave it out"
        )
    if positive is None:
        if goal.kind != "text" or " ".join(classes).lower() in _ANSWERS:
            return classes
        positive = classes[int((goal.values == classes[1]).mean() > 1 - RARE_CLASS_SHARE) ^ 1]
    if positive not in classes:
        raise one_of("positive", positive, classes)
    return (classes[0] if positive == classes[1] else classes[1], positive)


def _as_given(column: RawColumn, kind: str) -> Column:
    """The column as the user says it is; a cell that does not fit is an error."""
    if kind in _ROLE_REASONS:
        return Column(column.name, kind, reason=_ROLE_REASONS[kind], style=column.style, odd=column.odd_texts)
    missing = column.missing()
    if column.kind == "unsupported":
        raise DataError(f"column {column.name!r} cannot be used as {kind}: {column.reason}")
    if missing.all():
        return Column(column.name, "constant", has_missing=True, reason="it has no value in any row")
    has_missing = bool(missing.any())
    kind, _, number = kind.partition(":")
    if kind == "categorical":
        return categorical(column.name, Counter(as_texts(column)[~missing].tolist()), has_missing)
    if kind == "text":
        return Column(column.name, "text", None, has_missing, buckets=int(number or WORD_BUCKETS))
    if kind in ("numeric", "boolean", *DECIMALS):
        kind, style = ("numeric", DECIMALS[kind]) if kind in DECIMALS else (kind, column.style)
        as_numbers(column, kind, style)
        return Column(column.name, kind, has_missing=has_missing, style=style, odd=column.odd_texts)
    style, odd = given_style(column, {"day-first": "day first", "month-first": "month first"}.get(kind))
    return date(column, style, has_missing, odd)


def _infer_column(column: RawColumn, features: int, keep_all: bool) -> Column:
    missing = column.missing()
    if column.kind == "unsupported":
        return Column(column.name, "text", reason=column.reason)
    if missing.all():
        return Column(column.name, "constant", has_missing=True, reason="it has no value in any row")
    if column.kind == "text":
        return infer_text(column, bool(missing.any()))
    present = column.values[~missing]
    has_missing = len(present) < len(missing)
    if not keep_all:
        if _same(present):
            # A column whose cells are one value or missing says something only by being missing.
            return Column(column.name, "constant", has_missing=has_missing, reason="it has one value only")
        if column.kind == "number" and features > 1 and _is_identifier(column.name, column.values):
            return Column(column.name, "identifier", reason="it numbers the rows (an identifier)")
        if column.kind == "number" and _DATE_NAME.fullmatch(column.name.strip()) and _is_packed(present):
            return date(column, "yyyymmdd", has_missing)
    if column.kind == "date":
        return date(column, "", has_missing)
    kind = {"number": "numeric"}.get(column.kind, column.kind)
    return Column(column.name, kind, has_missing=has_missing, style=column.style, odd=column.odd_texts)


def _same(values: np.ndarray) -> bool:
    return bool(values.min() == values.max())


def _is_packed(present: np.ndarray) -> bool:
    """Whether every number is a date written as 20240131."""
    return bool((present > 18_000_000).all()) and days_of_numbers(present, "yyyymmdd") is not None


def is_named_identifier(name: str) -> bool:
    """Whether a name is that of an identifier: id, user_id, userId, index, row number, …."""
    return bool(_ID_NAME.fullmatch(name) or _ID_CAMEL.fullmatch(name))


def _is_identifier(name: str, values: np.ndarray) -> bool:
    if np.isnan(values).any() or not (values == np.round(values)).all():
        return False
    named = is_named_identifier(name)
    numbered = len(values) >= 20 and values[0] in (0.0, 1.0) and bool((np.diff(values) == 1).all())
    return numbered or (named and len(np.unique(values)) == len(values))
