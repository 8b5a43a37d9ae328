"""The raw columns of a table, one at a time: what is permuted, and what is set to a value."""

import dataclasses
from typing import Any

import numpy as np

from ..data import Schema, Table


@dataclasses.dataclass(frozen=True)
class RawPlace:
    """Where the cells of a column are.

    Attributes:
        name: the column's.
        block: "numeric", "categorical" or "text", the table's array.
        place: its column in that array.
    """

    name: str
    block: str
    place: int

    def cells(self, table: Table) -> np.ndarray:
        """The column's cells [rows]."""
        return getattr(table, self.block)[:, self.place]

    def constant(self, table: Table) -> bool:
        """Whether all cells are alike, a missing one like another."""
        cells = self.cells(table)
        if self.block == "numeric":
            return bool(((cells == cells[:1]) | (np.isnan(cells) & np.isnan(cells[:1]))).all())
        return bool((cells == cells[:1]).all())


def places(schema: Schema) -> list[RawPlace]:
    """Every input column, in the schema's order.

    Example:
        >>> from fathom.data import load
        >>> [column.block for column in places(load("iris").schema)]
        ['numeric', 'numeric', 'numeric', 'numeric']
    """
    blocks = {"numeric": schema.numeric, "categorical": schema.categorical, "text": schema.text}
    found = {c.name: RawPlace(c.name, block, i) for block, cs in blocks.items() for i, c in enumerate(cs)}
    return [found[column.name] for column in schema.columns]


def repeated(table: Table, times: int) -> Table:
    """The table so many times under itself, on arrays of its own."""
    return table.take(np.tile(np.arange(len(table)), times))


def put(table: Table, column: RawPlace, rows: slice, cells: Any) -> None:
    """Write cells into some rows of a column, in place."""
    getattr(table, column.block)[rows, column.place] = cells
