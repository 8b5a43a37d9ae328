"""How much a score depends on a column: what is lost when the column is permuted among the rows."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..data import Table
from .bootstrap import draws
from .columns import RawPlace, put, repeated
from .scoring import Scorer

Predict = Callable[[Table], np.ndarray]  # [rows, ...]

SEED = 0
REPEATS = 5
_RESAMPLES = 100  # which know the deviation to 7 %
_Z = 1.96
ROWS = 1 << 15  # that one call predicts, so that memory is bounded


@dataclasses.dataclass(frozen=True)
class Importance:
    """What permuting a column costs.

    Attributes:
        feature: the column's name.
        mean: how much worse the score gets, the mean over the repeats; 0 for a column that nothing is read from.
        low: lower end of the 95 % interval over the rows.
        high: its upper end.
        repeats: how often it was permuted.
    """

    feature: str
    mean: float
    low: float
    high: float
    repeats: int


def permutation_importance(
    predict: Predict,
    table: Table,
    columns: Sequence[RawPlace],
    score: Callable[[np.ndarray], Scorer],
    *,
    rising: bool,
    weight: np.ndarray | None = None,
    repeats: int = REPEATS,
    most_rows: int = ROWS,
) -> list[Importance]:
    """How much worse predictions get when a column's cells are dealt to other rows.

    The cells are raw: a category, a missing cell or a text moves as a whole. Columns that say the same share their
    importance: permuting one leaves the other. The interval is ± 1.96 times the deviation of the importance when
    rows are drawn again, as those that are judged and as those that lend their cells.

    Args:
        predict: predictions [rows, ...] of a table.
        table: the rows, which the model was not trained on.
        columns: those to permute.
        score: from predictions [rows, ...] to their `Scorer`.
        rising: whether a larger score is better.
        weight: weight of each row; None for all alike.
        repeats: permutations of each column, the same for every column.
        most_rows: that one call predicts, if it is more than the table has.

    Returns:
        One for each column, the most important first. Cost: repeats x columns passes over the rows, less the
        columns that are constant.

    References:
        Breiman, "Random forests", 2001; Fisher, Rudin and Dominici, "All models are wrong, but many are useful",
        2019.
    """
    rows, sign = len(table), 1 if rising else -1
    random = np.random.default_rng(SEED)
    orders = [random.permutation(rows) for _ in range(repeats)]
    counts = np.ones(rows) if weight is None else np.asarray(weight, float)
    # The first line is the rows as they are; in the others they are drawn again.
    drawn = np.concatenate([np.ones((1, rows)), *draws(rows, most=_RESAMPLES)])
    # A permuted row is made of two, itself and the one whose cell it got: it is there as often as both are.
    sets = [drawn * drawn[:, order] * counts for order in orders]
    base = score(predict(table))
    bases = [base(weights) for weights in sets]
    found = [Importance(c.name, 0.0, 0.0, 0.0, repeats) for c in columns if c.constant(table)]
    moving = [column for column in columns if not column.constant(table)]
    permuted = _permuted(predict, table, moving, orders, most_rows)
    for column in moving:
        each = [sign * (b - score(next(permuted))(w)) for b, w in zip(bases, sets, strict=True)]
        drops = np.mean(each, axis=0)
        sure = drops[1:][np.isfinite(drops[1:])]
        mean, half = float(drops[0]), _Z * float(sure.std()) if len(sure) else np.nan
        found.append(Importance(column.name, mean, mean - half, mean + half, repeats))
    return sorted(found, key=lambda one: -one.mean)


def _permuted(
    predict: Predict,
    table: Table,
    columns: Sequence[RawPlace],
    orders: Sequence[np.ndarray],
    most_rows: int,
) -> Iterator[np.ndarray]:
    """The predictions of each permuted copy, column by column; many copies are predicted at once."""
    rows = len(table)
    tasks = [(column, order) for column in columns for order in orders]
    at_once = max(1, most_rows // rows)
    for start in range(0, len(tasks), at_once):
        batch = tasks[start : start + at_once]
        copies = repeated(table, len(batch))
        for index, (column, order) in enumerate(batch):
            put(copies, column, slice(index * rows, (index + 1) * rows), column.cells(table)[order])
        found = predict(copies)
        yield from found.reshape(len(batch), rows, *found.shape[1:])
