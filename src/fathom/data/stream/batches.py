"""New data of any size, a batch of rows at a time."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..dataset import writings
from ..load import NewData, check_present, passed_over, read_new
from ..read.columns import RawColumn
from ..read.open import Opened, table_files
from ..schema import Schema
from .load import fits_memory
from .source import STRETCH, TableSource

_WHOLE = 1e9  # bytes that a table may take which is read at once


def new_batches(
    source: Any, schema: Schema, rows: int = STRETCH, *, with_target: bool = True
) -> Iterator[NewData]:
    """New data for a trained model in batches of rows, whatever its size, in its order.

    Args:
        source: as for `read_new`; only a file of a table is read a batch at a time, and only if it is large.
        schema: what the model reads.
        rows: rows of a batch.
        with_target: also read the target and the weights, where the source has them.

    Yields:
        Batches, at least one; each note comes once.

    Raises:
        DataError: as `read_new`; the number of a row is that in the source.
    """
    if fits_memory(source, _WHOLE):
        whole = read_new(source, schema, with_target=with_target)
        for start in range(0, max(len(whole.table), 1), rows):
            yield _rows_of(whole, start, start + rows)
        return
    inputs, answers = list(schema.columns), (schema.target, schema.role("weight"))
    read = (*inputs, *answers) if with_target else inputs
    wanted = {column.name for column in read if column is not None}
    table = TableSource(table_files(source), writings(schema))
    check_present(table.names, schema)
    notes = set(passed_over(table.names, schema))
    told: set[str] = set()
    for start, stop in table.stretches(rows):
        # Columns that the model does not read would cost as much as those that it does.
        columns = [_numbered(column, start) for column in table.read(start, stop, wanted)]
        new = read_new(Opened(table.name, columns), schema, with_target=with_target)
        notes.update(new.notes)
        yield dataclasses.replace(new, notes=tuple(sorted(notes - told)))
        told |= notes


def _numbered(column: RawColumn, first: int) -> RawColumn:
    return dataclasses.replace(column, first=first)


def _rows_of(whole: NewData, start: int, stop: int) -> NewData:
    rows = slice(start, stop)

    def cut(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[rows]

    notes = whole.notes if start == 0 else ()
    table = whole.table.take(rows)
    return NewData(table, cut(whole.target), cut(whole.weight), notes, cut(whole.files))
