"""Dealing rows to parts so that each part holds every stratum in proportion."""

from collections.abc import Sequence

import numpy as np


def deal(
    strata: np.ndarray,
    shares: Sequence[float],
    draw: np.random.Generator,
    *,
    units: np.ndarray | None = None,
    least: Sequence[int] | None = None,
) -> np.ndarray:
    """Deal rows to parts, at random but for the proportions.

    Rows on their own are dealt exactly: a part's number of rows of a stratum is its share of them rounded down or
    up (Hamilton's method of the largest remainders; ties are drawn). Units of several rows are placed whole before
    them, the largest first, each where it brings the parts nearest to their shares in the sense of chi-squared.

    Args:
        strata: int [rows], the stratum of each row.
        shares: what each part gets; they add up to 1.
        draw: what decides.
        units: int [rows]; rows of one number stay together. Each row is its own unit if None.
        least: how many units each part must get; there must be as many. 1 each if None.

    Returns:
        int64 [rows]: the part of each row. Cost: O(rows log rows) and O(parts x strata of the unit) for each
        unit of several rows.

    Example:
        >>> parts = deal(np.array([0] * 10 + [1] * 5), [0.2, 0.8], np.random.default_rng(0))
        >>> np.bincount(parts[:10]).tolist(), np.bincount(parts[10:]).tolist()
        ([2, 8], [1, 4])
    """
    _, strata = np.unique(strata, return_inverse=True)
    weights = np.asarray(shares, dtype=np.float64)
    wanted_units = np.asarray(least if least is not None else np.ones(len(weights)), dtype=np.int64)
    part = np.full(len(strata), -1)
    held = np.zeros(len(weights), dtype=np.int64)
    if units is not None:
        _, units, sizes = np.unique(units, return_inverse=True, return_counts=True)
        together = sizes[units] > 1
        places, held = _place(strata, units, sizes, weights, wanted_units, draw)
        part[together] = places[units[together]]
    alone = draw.permutation(np.flatnonzero(part < 0))
    count = strata.max(initial=0) + 1
    placed = np.stack([np.bincount(strata[part == p], minlength=count) for p in range(len(weights))])
    singles = np.bincount(strata[alone], minlength=count)
    short = np.maximum(wanted_units - held, 0)
    takes = _quotas(singles, placed, weights, short, draw)
    alone = alone[np.argsort(strata[alone], kind="stable")]
    mine = strata[alone]
    rank = np.arange(len(alone)) - (np.cumsum(singles) - singles)[mine]
    part[alone] = sum(rank >= bound[mine] for bound in np.cumsum(takes, axis=0)[:-1])
    return part


def _place(
    strata: np.ndarray,
    units: np.ndarray,
    sizes: np.ndarray,
    shares: np.ndarray,
    least: np.ndarray,
    draw: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The part of each unit of several rows, -1 for the others; and how many units each part got."""
    count = strata.max(initial=0) + 1
    pairs, rows = np.unique(units * count + strata, return_counts=True)
    starts = np.searchsorted(pairs, np.arange(len(sizes) + 1) * count)
    wanted = shares[:, None] * np.bincount(strata, minlength=count)
    room, goal = np.zeros(wanted.shape), shares * len(strata)
    filled, held = np.zeros(len(shares)), np.zeros(len(shares), dtype=np.int64)
    order = draw.permutation(np.flatnonzero(sizes > 1))
    order = order[np.argsort(-sizes[order], kind="stable")]
    places = np.full(len(sizes), -1)
    for done, unit in enumerate(order):
        mine = slice(starts[unit], starts[unit + 1])
        kinds, number, size = pairs[mine] % count, rows[mine], sizes[unit]
        off = room[:, kinds] - wanted[:, kinds]
        cost = ((2 * off + number) * number / wanted[:, kinds]).sum(axis=1)
        cost += (2 * (filled - goal) + size) * size / goal
        short = np.maximum(least - held, 0)
        if len(sizes) - done <= short.sum():  # the last units go where a part would be left without
            cost[short == 0] = np.inf
        best = int(cost.argmin())
        places[unit] = best
        room[best, kinds] += number
        filled[best] += size
        held[best] += 1
    return places, held


def _quotas(
    singles: np.ndarray, placed: np.ndarray, shares: np.ndarray, short: np.ndarray, draw: np.random.Generator
) -> np.ndarray:
    """How many of the rows on their own each part takes, [parts, strata].

    Part after part takes its share of what it and the later ones divide, which keeps equal shares within a row.
    """
    takes, left = np.zeros_like(placed), singles.copy()
    for p in range(len(shares) - 1):
        share = shares[p] / shares[p:].sum()
        rows = left + placed[p:].sum(axis=0)
        most = max(int(left.sum() - short[p + 1 :].sum()), 0)
        total = round(float(rows.sum() * share)) - int(placed[p].sum())
        total = min(max(total, int(short[p])), most)
        need = np.clip(rows * share - placed[p], 0, left)
        takes[p] = _rounded(need, total, left, draw)
        left = left - takes[p]
    takes[-1] = left
    return takes


def _rounded(need: np.ndarray, total: int, most: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Whole numbers near `need`, each at most `most`, that add up to `total`, by the largest remainders."""
    if need.sum() > 0 and abs(need.sum() - total) >= 1:  # units already there take too much or too little
        need = np.minimum(need * (total / need.sum()), most)
    whole = np.floor(need + 1e-9).astype(np.int64)
    order = draw.permutation(len(need))
    order = order[np.argsort(-np.round(need - whole, 9)[order], kind="stable")]
    while (more := total - int(whole.sum())) > 0:
        whole[order[whole[order] < most[order]][:more]] += 1
    return whole
