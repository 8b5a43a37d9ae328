"""What is predicted, in the mean, along the values of one column."""

from collections.abc import Callable

import numpy as np

from ..data import Table
from .columns import RawPlace, put, repeated

Predict = Callable[[Table], np.ndarray]  # [rows, ...]

POINTS = 20
_ENDS = (0.02, 0.98)  # quantiles between which the grid lies: beyond them there is little to go by
ROWS = 1 << 15  # that one call predicts, so that memory is bounded


def quantile_grid(values: np.ndarray, points: int = POINTS) -> np.ndarray:
    """Where along a numeric column to look: quantiles of its cells, each once; all values if they are few.

    Args:
        values: its cells, NaN where one is missing.
        points: how many quantiles.

    Returns:
        float64 [at most `points`], ascending.

    Example:
        >>> quantile_grid(np.array([1.0, 2.0, 2.0, 3.0, np.nan]))
        array([1., 2., 3.])
    """
    present = values[~np.isnan(values)]
    different = np.unique(present)
    if len(different) <= points:
        return different
    return np.unique(np.quantile(present, np.linspace(*_ENDS, points)))


def partial_dependence(
    predict: Predict, table: Table, column: RawPlace, grid: np.ndarray, most_rows: int = ROWS
) -> np.ndarray:
    """The mean prediction when every row has the same value in a column.

    The other cells stay as they are, so rows may arise that no data has: where columns go together,
    this is what the model says and not what happens.

    Args:
        predict: predictions [rows, ...] of a table.
        table: the rows.
        column: the column.
        grid: its values in turn, as the table holds them (NaN for a missing number).
        most_rows: that one call predicts, if it is more than the table has.

    Returns:
        [grid, ...]. Cost: one pass over the rows for each value.

    References:
        Friedman, "Greedy function approximation: a gradient boosting machine", 2001.
    """
    rows, means = len(table), []
    at_once = max(1, most_rows // rows)
    for start in range(0, len(grid), at_once):
        values = grid[start : start + at_once]
        copies = repeated(table, len(values))
        put(copies, column, slice(None), np.repeat(values, rows))
        found = predict(copies)
        means.append(found.reshape(len(values), rows, *found.shape[1:]).mean(1))
    return np.concatenate(means)
