"""Open any source of data, and read new data for a model that exists."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, UsageError
from .dataset import Dataset, Table, build_table, build_target, writing_of, writings
from .infer import infer_schema
from .read.columns import RawColumn, Writing
from .read.frames import read_arrays
from .read.open import Opened, open_source
from .reading import Reading, listing, match_labels, read_source
from .roles import row_groups, row_times, row_weights
from .schema import Schema


@dataclass(frozen=True, eq=False)
class NewData:
    """New data read under the schema of a trained model.

    Attributes:
        table: the cells of the columns that the model reads.
        target: [rows] class index (-1 = missing) or number (NaN = missing); None where the data has none.
        weight: float64 [rows], where the model was trained with row weights and the data has them; or None.
        notes: one sentence for each thing a user should hear.
        files: [rows], the file of each row, where each has one of its own (an image); or None.
    """

    table: Table
    target: np.ndarray | None
    weight: np.ndarray | None
    notes: tuple[str, ...]
    files: np.ndarray | None = None

    @property
    def names(self) -> dict[str, np.ndarray]:
        """What tells the rows apart, as columns beside predictions: "file" of images, else nothing."""
        return {} if self.files is None else {"file": self.files}


def load(
    source: Any,
    target: str | None = None,
    *,
    kind: str | None = None,
    positive: str | None = None,
    columns: Mapping[str, str] | None = None,
    sql: str | None = None,
    test: Any = None,
    validation: Any = None,
    like: Schema | None = None,
    stream: bool | None = None,
) -> Dataset:
    """Open a source of data and infer its schema.

    Args:
        source: a bundled name (`SOURCES`); a path to CSV, TSV, Parquet or JSON lines, text also as .gz; a
            data frame; a mapping of columns; or an (x, y) pair of arrays, [rows, features] and [rows].
        target: the column to predict; needed for a file or a data frame.
        kind: "classification" or "regression"; inferred from the target where None.
        positive: which of two classes is the positive one, whose F1, precision and recall are counted. If None, of two
            words the one that fewer than a fifth of the rows have, else the second in order; of numbers the larger.
        columns: what some columns are, by name: "numeric" ("decimal-comma" or "decimal-point" where no cell
            tells), "boolean", "categorical", "date" ("day-first" or "month-first" where no row tells), "text"
            ("text:256" for so many inputs) or "ignore"; or a role in place of an input: "weight" (how much the row
            counts), "group" (its rows stay on one side of a split), "time" (the latest rows are the test), "split"
            (train, validation or test).
        sql: a SELECT over the file, whose table is called `data` or by the file's stem.
        test: a source of the test rows, with the columns of `source` in any order.
        validation: a source of the validation rows.
        like: the schema of a trained model to read the data under, in place of inferring one.
        stream: whether to leave the rows in the file and hold only some of them in memory; if None, a file is
            streamed that would take over a quarter of the machine's memory.

    Returns:
        The dataset; rows without a target are left out, and its notes say what else a user should hear. The
        schema is inferred without the test rows.

    Raises:
        DataError: if the source cannot be read or cannot be learned from.
        UsageError: if `target` is missing or no column, or `kind` or a word of `columns` is not known.

    Example:
        >>> data = load("iris")
        >>> len(data), data.kind, data.classes
        (150, 'classification', ('setosa', 'versicolor', 'virginica'))
        >>> table = {"age": [20, 31, 45, 52], "times": [1, 2, 1, 1], "sick": ["no", "yes", "no", "yes"]}
        >>> load(table, "sick", columns={"times": "weight"}).weight.tolist()
        [1.0, 2.0, 1.0, 1.0]
    """
    if isinstance(source, Dataset):
        return source
    if like is not None:
        target, kind = target or like.target.name, like.kind
    from .stream import fits_memory, load_stream

    whole = sql is None and test is None and validation is None
    if stream or (stream is None and whole and not fits_memory(source)):
        if not whole:
            raise UsageError("stream=True is for one file alone; leave out sql, test and validation files")
        return load_stream(source, target, kind=kind, positive=positive, columns=columns, like=like)
    reading = read_source(
        source, target, columns=columns, sql=sql, test=test, validation=validation, like=like
    )
    try:
        return build_dataset(reading, kind, like, positive)
    except DataError as error:
        if like is None:
            raise
        todo = "leave those rows out or complete the columns, or train anew without that run"
        raise DataError(f"{error}; the data is read as an earlier run read its own: {todo}") from None


def build_dataset(
    reading: Reading, kind: str | None = None, like: Schema | None = None, positive: str | None = None
) -> Dataset:
    """The dataset that was read.

    Args:
        reading: what was read, with a target.
        kind: the kind of task; inferred where None.
        like: the schema to read it under; inferred where None.
        positive: the positive one of two classes, as for `load`.
    """
    assert reading.target is not None
    kind = kind or reading.kind
    notes: tuple[str, ...] = ()
    if like is None:
        schema, notes = infer_schema(
            reading.columns,
            reading.target,
            kind=kind,
            positive=positive,
            keep_all=reading.positions,
            given=reading.given,
            rows=None if reading.part is None else reading.part != 2,
        )
    else:
        schema = like
        given = [column.name for column in reading.columns]
        check_present(given, schema)
        notes = passed_over(given, schema)
    by_name = {column.name: column for column in reading.columns}
    roles = {}
    for role, read in {"weight": row_weights, "group": row_groups, "time": row_times}.items():
        column = schema.role(role)
        roles[role] = read(by_name[column.name]) if column is not None and column.name in by_name else None
    return Dataset(
        reading.name,
        schema,
        build_table(by_name, schema),
        schema.kind,
        build_target(by_name[reading.target], schema),
        schema.target.categories,
        (*reading.notes, *notes),
        **roles,
        part=reading.part,
        shape=reading.shape,
        asked=kind,
    )


def read_new(source: Any, schema: Schema, *, with_target: bool = True) -> NewData:
    """Read new data under the schema of a trained model.

    Columns are matched by name, in any order; others are passed over, with a note. An array without names is
    matched by position. Columns that had a role in training (group, time, split) are not needed.

    Args:
        source: as for `load`; or an array [rows, features] alone.
        schema: what the model reads.
        with_target: also read the target and the weights, where the source has them.

    Returns:
        The table, and the target: None where the source has no such column or no value in it; a single
        missing value is -1 (class index) or NaN (number).

    Raises:
        DataError: if a column is missing (all of them are named) or a cell cannot be read as in training.
    """
    if (numbers := _read_numbers(source, schema)) is not None:
        return numbers
    opened = _read_new(source, schema)
    by_name = {column.name: column for column in opened.columns}
    check_present(list(by_name), schema)
    infinite = [column.name for column in schema.columns if by_name[column.name].infinite]
    told = (*_infinite(infinite), *_unclear(by_name, schema))
    notes = (*opened.notes, *passed_over(list(by_name), schema), *told)
    target = weight = None
    goal, weights = by_name.get(schema.target.name), schema.role("weight")
    if with_target and goal is not None and not goal.missing().all():
        if goal.kind == "text" and schema.target.categories is not None:
            goal, more = match_labels(goal, schema.target.categories, f"target {goal.name!r}")
            notes = (*notes, *more)
        target = build_target(goal, schema)
    if with_target and weights is not None and weights.name in by_name:
        weight = row_weights(by_name[weights.name])
    return NewData(build_table(by_name, schema), target, weight, notes, opened.files)


def read_table(source: Any, schema: Schema, *, with_target: bool = True) -> tuple[Table, np.ndarray | None]:
    """The table and the target of new data, as `read_new` reads them."""
    new = read_new(source, schema, with_target=with_target)
    return new.table, new.target


def _read_numbers(source: Any, schema: Schema) -> NewData | None:
    """What `read_new` reads from a plain array for a model of numbers, all columns at once; None for anything else."""
    if type(source) is not np.ndarray or source.dtype.kind not in "iuf":
        return None
    if source.ndim != 2 or 0 in source.shape or any(column.kind != "numeric" for column in schema.columns):
        return None
    names = [column.name for column in schema.columns]
    given = [f"x{place}" for place in range(source.shape[1])]
    beside = (schema.target, schema.role("weight"))
    if any(column is not None and column.name in given for column in beside):
        return None
    notes = ()
    if _named(given, names):
        notes, places = passed_over(given, schema), {name: place for place, name in enumerate(given)}
        source = source if names == given else source[:, [places[name] for name in names]]
    numbers = source.astype(np.float64)
    infinite = np.isinf(numbers)
    if infinite.any():
        numbers[infinite] = np.nan
        notes = (*notes, *_infinite([names[place] for place in np.flatnonzero(infinite.any(axis=0))]))
    table = Table(numbers, np.empty((len(source), 0), dtype=np.int32))
    return NewData(table, None, None, notes)


def _read_new(source: Any, schema: Schema) -> Opened:
    names = [column.name for column in schema.columns]
    if isinstance(source, tuple) and len(source) == 2:
        columns = read_arrays(*source, _by_place(schema))
        goal = dataclasses.replace(columns[-1], name=schema.target.name)
        inputs = _by_position(columns[:-1], names) if columns[0].name == "x0" else columns[:-1]
        return Opened("arrays", [*inputs, goal])
    if isinstance(source, list) or (
        hasattr(source, "__array__") and hasattr(source, "ndim") and not hasattr(source, "columns")
    ):
        return Opened("array", _by_position(read_arrays(source, known=_by_place(schema)), names))
    return open_source(source, writings(schema))


def _by_place(schema: Schema) -> dict[str, Writing]:
    """What is known of the cells of arrays, whose columns have names or are called by place: x0 and so on."""
    places = {f"x{place}": writing_of(column) for place, column in enumerate(schema.columns)}
    return {**places, **writings(schema)}


def _by_position(columns: list[RawColumn], names: list[str]) -> list[RawColumn]:
    if _named([column.name for column in columns], names):
        return columns
    return [dataclasses.replace(column, name=name) for name, column in zip(names, columns, strict=True)]


def _named(given: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the columns of an array are found by name and not by position; refuses what is neither."""
    if set(names) <= set(given):
        return True
    if len(given) != len(names):
        raise DataError(f"x has {len(given)} columns; the model reads {len(names)}: {listing(names)}")
    return False


def passed_over(given: Sequence[str], schema: Schema) -> tuple[str, ...]:
    """What a user should hear about columns that the model has never seen; `given` are the names that there are."""
    known = {column.name for column in (*schema.columns, *schema.ignored, schema.target)}
    extra = [name for name in given if name not in known]
    noun = "column is" if len(extra) == 1 else "columns are"
    return (f"{len(extra)} {noun} passed over, unknown to the model: {listing(extra, 10)}",) if extra else ()


def _infinite(names: Sequence[str]) -> tuple[str, ...]:
    """What a user should hear of infinite cells; without a count, which would differ from batch to batch."""
    noun = "the column" if len(names) == 1 else "the columns"
    return (f"infinite cells count as missing, in {noun} {listing(names, 10)}",) if names else ()


def _unclear(columns: Mapping[str, RawColumn], schema: Schema) -> tuple[str, ...]:
    """What a user should hear where neither training nor the new data tells what points are."""
    names = [c.name for c in schema.numeric if c.style == "" and columns[c.name].style == "unclear"]
    noun = "the column" if len(names) == 1 else "the columns"
    said = f"points are read as decimal ones (1.234 as a little over 1), in {noun} {listing(names, 10)}; "
    return (said + "if they hold thousands apart, write the numbers without them",) if names else ()


def check_present(given: Sequence[str], schema: Schema) -> None:
    """Refuse data without a column that a model reads; `given` are the names that it has."""
    there = set(given)
    absent = [column.name for column in schema.columns if column.name not in there]
    if not absent:
        return
    noun = "column is" if len(absent) == 1 else "columns are"
    hint = ""
    cases = {name.strip().casefold(): name for name in given}
    if all(name.strip().casefold() in cases for name in absent):
        written = ", ".join(f"{cases[name.strip().casefold()]!r} for {name!r}" for name in absent[:3])
        hint = f"; upper and lower case count: the data has {written}{', …' if len(absent) > 3 else ''}"
    elif len(absent) == len(schema.columns):
        hint = f"; it has: {listing(given)} (is its header line missing?)"
    elif close := difflib.get_close_matches(absent[0], given, n=1):
        hint = f"; did you mean the column {close[0]!r} for {absent[0]!r}?"
    raise DataError(f"the {noun} missing that the model reads: {listing(absent)}{hint}")
