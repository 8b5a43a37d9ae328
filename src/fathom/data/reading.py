"""One table out of a source and the files given for validation and test, before a schema is known."""

import dataclasses
import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, UsageError
from .dataset import writings
from .read.columns import RawColumn, Writing, as_numbers, as_texts, unsupported
from .read.open import open_source
from .read.sources import SOURCES
from .roles import asked_writings, read_columns, row_parts
from .schema import Schema

_UNNAMED = re.compile(r"column\d+|x\d+")
_AS_TEXT = ("categorical", "text", "ignore", "group", "split")


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read.

    Attributes:
        name: what it is called in reports.
        columns: the raw columns; rows without a target are left out.
        target: the column to predict; None where none was asked for.
        given: what some columns are, by name, as the user said it.
        kind: the kind of task that a bundled source sets; None for others.
        positions: whether the columns are positions and not names.
        shape: how the inputs of one example are arranged, where they are an image; () otherwise.
        part: int8 [rows]: 0 training, 1 validation, 2 test, -1 left to chance; None where nothing says it.
        notes: one sentence for each thing a user should hear.
    """

    name: str
    columns: list[RawColumn]
    target: str | None
    given: dict[str, str]
    kind: str | None = None
    positions: bool = False
    shape: tuple[int, ...] = ()
    part: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def read_source(
    source: Any,
    target: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    sql: str | None = None,
    test: Any = None,
    validation: Any = None,
    target_needed: bool = True,
    like: Schema | None = None,
) -> Reading:
    """Read a source, and the files given for validation and test, as one table.

    Args:
        source: as for `load`, as are the others.
        target: the column to predict.
        columns: what some columns are.
        sql: a SELECT over the file.
        test: a source of the test rows.
        validation: a source of the validation rows.
        target_needed: whether to refuse a source without a target.
        like: the schema that the columns are read under.

    Returns:
        What was read.
    """
    known = asked_writings(columns, target) if like is None else writings(like)
    opened = open_source(source, known, sql)
    names = [column.name for column in opened.columns]
    chosen = _check_target(target, opened.target, names, target_needed)
    given = read_columns(columns, names, chosen)
    record = SOURCES[source] if isinstance(source, str) and source in SOURCES else None
    reading = Reading(
        opened.name,
        list(opened.columns),
        chosen,
        given,
        record.kind if record is not None and record.target == chosen else None,
        opened.positions,
        opened.shape,
        opened.part,
        opened.notes,
    )
    split = next((name for name, word in given.items() if word == "split"), None)
    files = {"validation": validation, "test": test}
    files = {role: file for role, file in files.items() if file is not None}
    if files and (split is not None or reading.part is not None):
        says = f"column {split!r}" if split is not None else "the source itself"
        raise UsageError(f"{' and '.join(files)}: {says} says already which rows are for what; leave one out")
    if split is not None:
        part = row_parts(next(column for column in reading.columns if column.name == split))
        reading = dataclasses.replace(reading, part=part)
    if files:
        reading = _join(reading, files)
    return reading if chosen is None else _drop_unlabeled(reading, chosen)


def listing(names: Sequence[str], most: int = 40) -> str:
    """Names with commas between them, the first ones of many."""
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _check_target(target: str | None, own: str | None, names: list[str], needed: bool) -> str | None:
    chosen = target if target is not None else own
    if chosen is None:
        if not needed:
            return None
        raise UsageError(
            "target is not given; name the column to predict with --target (target=… in Python), "
            f"one of: {listing(names)}"
        )
    if chosen not in names:
        close = difflib.get_close_matches(chosen, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"target={chosen!r} is no column; the columns are: {listing(names)}{hint}")
    return chosen


def _drop_unlabeled(reading: Reading, target: str) -> Reading:
    goal = next(column for column in reading.columns if column.name == target)
    if goal.kind == "unsupported":
        return reading
    missing = goal.missing()
    count = int(missing.sum())
    if count == 0:
        return reading
    if count == len(missing):
        value = "finite value" if goal.infinite else "value"
        raise DataError(f"target={target!r} has no {value} in any row; choose another column")
    part = reading.part
    for number, name in ((1, "validation"), (2, "test")):
        if part is not None and (part == number).any() and missing[part == number].all():
            raise DataError(
                f"target={target!r} has no value in any {name} row; give rows whose answer is known"
            )
    noun = "row has" if count == 1 else "rows have"
    infinite = f" ({goal.infinite} infinite)" if goal.infinite else ""
    note = f"{count} {noun} no value in {target!r}{infinite} and {'is' if count == 1 else 'are'} left out"
    return dataclasses.replace(
        reading,
        columns=[column.take(~missing) for column in reading.columns],
        part=None if part is None else part[~missing],
        notes=(*reading.notes, note),
    )


def _join(reading: Reading, files: Mapping[str, Any]) -> Reading:
    """The rows of the files under those of the source, with the part that each is for."""
    names = [column.name for column in reading.columns]
    stacks = [[column] for column in reading.columns]
    # With both files given, every row of the source is for training.
    parts = [np.full(len(reading.columns[0].values), 0 if len(files) == 2 else -1, dtype=np.int8)]
    notes = list(reading.notes)
    for role, file in files.items():
        known = {column.name: _like(column) for column in reading.columns}
        opened = open_source(file, known)
        theirs = [column.name for column in opened.columns]
        if theirs != names and len(theirs) == len(names) and (_all_unnamed(names) or _all_unnamed(theirs)):
            opened = open_source(file, dict(zip(theirs, known.values(), strict=True)))  # known by position
        columns, more = _aligned(names, opened.columns, role)
        notes += [*opened.notes, *more]
        for stack, column in zip(stacks, columns, strict=True):
            if column.name == reading.target and stack[0].kind == "text":
                if column.kind == "text":
                    column, more = match_labels(
                        column, set(stack[0].values.tolist()) - {None}, f"{role} file"
                    )
                    notes += more
                _check_labels(stack[0], column, role)
            stack.append(_of_one_kind(stack, column, reading.given.get(column.name, ""), role))
        parts.append(np.full(len(columns[0].values), {"validation": 1, "test": 2}[role], dtype=np.int8))
    return dataclasses.replace(
        reading, columns=[_stacked(stack) for stack in stacks], part=np.concatenate(parts), notes=tuple(notes)
    )


def _like(own: RawColumn) -> Writing:
    """How the cells of a given file's column are read: as the source's."""
    if own.kind == "text":
        return Writing("text", "plain")
    return Writing("number", own.style, own.odd_texts)


def _aligned(
    names: Sequence[str], columns: Sequence[RawColumn], role: str
) -> tuple[list[RawColumn], list[str]]:
    """The columns of a given file in the order of the source's, by name or, without names, by position."""
    by_name = {column.name: column for column in columns}
    absent = [name for name in names if name not in by_name]
    unnamed = _all_unnamed(names) or _all_unnamed(by_name)
    if unnamed and len(columns) == len(names):
        return [dataclasses.replace(c, name=n) for n, c in zip(names, columns, strict=True)], []
    if unnamed:
        raise DataError(
            f"{role} file: it has {len(columns)} columns without names, the source {len(names)}; give as many"
        )
    if absent:
        close = difflib.get_close_matches(absent[0], list(by_name), n=1)
        hint = f"; did you mean its column {close[0]!r} for {absent[0]!r}?" if close else ""
        noun = "column" if len(absent) == 1 else "columns"
        raise DataError(f"{role} file: it lacks the {noun} {listing(absent)} of the source{hint}")
    extra = [name for name in by_name if name not in names]
    noun = "column is" if len(extra) == 1 else "columns are"
    notes = [f"{role} file: {len(extra)} {noun} passed over: {listing(extra, 10)}"] if extra else []
    return [by_name[name] for name in names], notes


def _all_unnamed(names: Iterable[str]) -> bool:
    return all(_UNNAMED.fullmatch(name) for name in names)


def match_labels(column: RawColumn, known: Collection[str], where: str) -> tuple[RawColumn, tuple[str, ...]]:
    """A column of labels with those that differ from a known one only by case, blanks or a last point as that.

    Args:
        column: the labels, of kind "text".
        known: how they should be written.
        where: where they are from, for the note.

    Returns:
        The column, and a note where a label was rewritten.
    """
    plain: dict[str, list[str]] = {}
    for label in known:
        plain.setdefault(_plain_label(label), []).append(label)
    others = sorted(set(column.values.tolist()) - {None, *known})
    found = {label: plain.get(_plain_label(label), []) for label in others}
    renamed = {label: same[0] for label, same in found.items() if len(same) == 1}
    if not renamed:
        return column, ()
    written = np.empty(len(column.values), dtype=object)
    written[:] = [renamed.get(text, text) for text in column.values]
    shown = ", ".join(f"{label!r} is {same!r}" for label, same in list(renamed.items())[:3])
    more = ", …" if len(renamed) > 3 else ""
    return dataclasses.replace(column, values=written), (
        f"{where}: labels that are written otherwise are matched: {shown}{more}",
    )


def _check_labels(own: RawColumn, column: RawColumn, role: str) -> None:
    known, theirs = (set(as_texts(labels).tolist()) - {None} for labels in (own, column))
    if theirs and not theirs & known:
        raise DataError(
            f"{role} file: none of its labels in {own.name!r} ({listing(sorted(theirs), 5)}) is one of the "
            f"source's ({listing(sorted(known), 5)}); write them as there"
        )


def _plain_label(label: str) -> str:
    return re.sub(r"\s+", " ", label).strip(" .").casefold()


def _of_one_kind(stack: list[RawColumn], column: RawColumn, word: str, role: str) -> RawColumn:
    """A column of a given file as the kind of the source's; the source's may turn into text for it."""
    own = stack[0]
    if own.kind == column.kind:
        return column
    if own.kind == "unsupported":
        return unsupported(own.name, len(column.values), own.reason)
    if column.kind == "unsupported":
        raise DataError(f"{role} file: column {column.name!r} cannot be read: {column.reason}")
    if own.missing().all():
        empty = None if column.kind == "text" else np.nan
        stack[:] = [
            RawColumn(c.name, column.kind, np.full_like(column.values, empty, shape=len(c.values)))
            for c in stack
        ]
        return column
    if own.kind == "text" or word.split(":")[0] in _AS_TEXT:
        stack[:] = [RawColumn(c.name, "text", as_texts(c)) for c in stack]
        return RawColumn(column.name, "text", as_texts(column))
    kind = {"number": "numeric"}.get(own.kind, own.kind)
    try:
        known = _like(own)
        return RawColumn(column.name, own.kind, as_numbers(column, kind, known.style, known.odd))
    except DataError as error:
        raise DataError(f"{role} file: {error}") from None


def _stacked(stack: list[RawColumn]) -> RawColumn:
    first = stack[0]
    return dataclasses.replace(first, values=np.concatenate([column.values for column in stack]))
