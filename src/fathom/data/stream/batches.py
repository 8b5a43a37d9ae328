"""New data of any size, a batch of rows at a time."""

from collections.abc import Iterator
from pathlib import Path

from ..read.open import Opened, table_files
from ..schema import Schema
from .source import STRETCH, TableSource


def read_batches(source: str | Path, schema: Schema, rows: int = STRETCH) -> Iterator[Opened]:
    """Read new data for a trained model in batches of rows.

    Args:
        source: a path to a table, or to Parquet files, as for `load`.
        schema: what the model reads.
        rows: rows of a batch.

    Yields:
        Sources that `read_table` and `Predictor` take, in the order of the file.

    Raises:
        DataError: if the file cannot be read as a table.
    """
    expected = (*(column.name for column in schema.columns), schema.target.name)
    table = TableSource(table_files(source), expected)
    for start, stop in table.stretches(rows):
        yield Opened(table.name, table.read(start, stop))
