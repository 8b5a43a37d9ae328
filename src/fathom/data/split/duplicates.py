"""Copies: rows of a table whose cells are all equal."""

import numpy as np

from ..dataset import Table

_BLOCK = 16  # columns digested at a time; rows found unique by then are left alone
_CHUNK = 1 << 18  # rows digested at a time
_MISSING = 0x9E3779B97F4A7C15  # what stands for a missing cell


def twins(table: Table) -> np.ndarray:
    """For each row, the number of the first row with the same cells; a missing cell equals a missing cell.

    Cells are compared by a digest of 64 bits, so that a million rows are mistaken for copies with a chance of
    about 3e-8. Cost: O(rows x columns) at most; columns are read only until every row is known to be unique.

    Args:
        table: the table; the target is no part of it.

    Returns:
        int64 [rows].

    Example:
        >>> cells = np.array([[1.0, np.nan], [2.0, 3.0], [1.0, np.nan]])
        >>> twins(Table(cells, np.zeros((3, 0), dtype=np.int32))).tolist()
        [0, 1, 0]
    """
    digests, rows = np.zeros(len(table), dtype=np.uint64), np.arange(len(table))
    for cells in _blocks(table):
        if not len(rows):
            break
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            digests[some] = _digested(digests[some], cells[some])
        _, same, count = np.unique(digests[rows], return_inverse=True, return_counts=True)
        rows = rows[count[same] > 1]
    found = np.arange(len(table))
    if len(rows):
        _, first, same = np.unique(digests[rows], return_index=True, return_inverse=True)
        found[rows] = rows[first[same]]
    return found


def digests(table: Table) -> np.ndarray:
    """A digest of each row's cells, uint64 [rows]: equal for equal cells, within one process."""
    found = np.zeros(len(table), dtype=np.uint64)
    for cells in _blocks(table):
        found = _digested(found, cells)
    return found


def _digested(digests: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Digests of rows [rows] with some more of their cells [rows, columns]."""
    for bits in _bits(cells).T:
        digests = _mixed(digests ^ bits)
    return digests


def _blocks(table: Table):
    for cells in (table.numeric, table.categorical, table.text):
        for start in range(0, cells.shape[1], _BLOCK):
            yield cells[:, start : start + _BLOCK]


def _bits(cells: np.ndarray) -> np.ndarray:
    """uint64 [rows, columns]: equal for equal cells."""
    if cells.dtype == object:
        flat = (_MISSING if cell is None else hash(cell) & (2**64 - 1) for cell in cells.flat)
        return np.fromiter(flat, np.uint64, cells.size).reshape(cells.shape)
    if cells.dtype.kind == "f":
        numbers = cells.astype(np.float64) + 0.0  # -0.0 and 0.0 are the same number
        return np.where(np.isnan(numbers), np.uint64(_MISSING), numbers.view(np.uint64))
    return cells.astype(np.uint64)


def _mixed(digests: np.ndarray) -> np.ndarray:
    """Numbers whose every bit depends on every bit before (the finalizer of SplitMix64).

    Reference: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
    """
    digests = (digests + np.uint64(_MISSING)).astype(np.uint64)
    digests = (digests ^ (digests >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    digests = (digests ^ (digests >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return digests ^ (digests >> np.uint64(31))
