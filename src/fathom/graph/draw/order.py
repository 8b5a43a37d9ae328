"""The order of the things in each layer of a drawing, so that few lines cross."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

_SWEEPS = 12
_MOST_TRIED = 2000  # things and points for which a second order to start from is tried
_MOST_TRANSPOSED = 60  # neighbors are only exchanged in layers of at most this many

#: A line from one layer to the next: from, to, where it leaves and where it arrives, both right of the middle.
Step = tuple[int, int, float, float]


def order_layers(
    rank: list[int], steps: Iterable[Step], sizes: Sequence[tuple[float, float]], light: set[int]
) -> list[list[int]]:
    """The order in each layer with few crossings: weighted medians up and down, then neighbors exchanged.

    Args:
        rank: the layer of each thing and point.
        steps: the steps of all lines from layer to layer: from, to, where they leave and where they arrive, both right
            of the middle.
        sizes: width and height of each thing and point.
        light: things whose lines are light.

    Returns:
        The layers from left to right.
    """
    above: list[list[tuple[int, float]]] = [[] for _ in rank]
    below: list[list[tuple[int, float]]] = [[] for _ in rank]
    for a, b, start, end in steps:
        # Where a line leaves a wide thing counts for the order, too.
        above[b].append((a, start / (sizes[a][0] + 1)))
        below[a].append((b, end / (sizes[b][0] + 1)))
    best, fewest = [], -1
    for start in _first_orders(rank, below, light):
        order: list[list[int]] = [[] for _ in range(max(rank) + 1)]
        for vertex in start:
            order[rank[vertex]].append(vertex)
        found, crossings = _fewer_crossings(order, above, below)
        if fewest < 0 or crossings < fewest:
            best, fewest = found, crossings
    return best


def _fewer_crossings(
    order: list[list[int]], above: list[list[tuple[int, float]]], below: list[list[tuple[int, float]]]
) -> tuple[list[list[int]], int]:
    """The best of a few sweeps down and up, and its crossings."""
    best, fewest = [list(row) for row in order], _crossings(order, below)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        rows = range(1, len(order)) if down else range(len(order) - 2, -1, -1)
        for row in rows:
            _sort_row(order, row, row - 1 if down else row + 1, above if down else below)
        _transpose(order, above, below)
        found = _crossings(order, below)
        if found < fewest:
            best, fewest = [list(row) for row in order], found
    return best, fewest


def _first_orders(
    rank: list[int], below: list[list[tuple[int, float]]], light: set[int]
) -> Iterator[list[int]]:
    """Orders to start from: light things at both sides of a layer where they are few, and as they are given.

    A point comes when the line that leads to it does.
    """
    fed = {target for row in below for target, _ in row}
    starts = sorted(range(len(rank)), key=lambda v: (v in fed, v))
    beside: dict[int, list[int]] = {}
    for v in starts:
        if v in light and v not in fed:
            beside.setdefault(rank[v], []).append(v)
    left = [row[0] for row in beside.values() if len(row) <= 2]
    right = [row[1] for row in beside.values() if len(row) == 2]
    if left:
        yield _in_depth([v for v in starts if v not in {*left, *right}] + right, below, left)
    if not left or len(rank) <= _MOST_TRIED:
        yield _in_depth(starts, below, [])


def _in_depth(
    starts: Sequence[int], below: list[list[tuple[int, float]]], before: Sequence[int]
) -> list[int]:
    """Everything that can be reached, each thing followed by what it leads to; `before` comes first, alone."""
    found = list(before)
    seen = set(before)
    for start in (*starts, *(target for v in before for target, _ in below[v])):
        waiting = [start]
        while waiting:
            vertex = waiting.pop()
            if vertex not in seen:
                seen.add(vertex)
                found.append(vertex)
                waiting += [target for target, _ in reversed(below[vertex])]
    return found


def _places(row: Sequence[int]) -> dict[int, int]:
    return {vertex: place for place, vertex in enumerate(row)}


def _sort_row(order: list[list[int]], row: int, fixed: int, near: list[list[tuple[int, float]]]) -> None:
    """Sort a layer by the medians of the neighbors in the fixed one; what has none keeps its place."""
    at = _places(order[fixed])
    keys: dict[int, float] = {}
    for vertex in order[row]:
        places = sorted(at[other] + offset for other, offset in near[vertex])
        if places:
            middle = len(places) // 2
            keys[vertex] = places[middle] if len(places) % 2 else (places[middle - 1] + places[middle]) / 2
    movable = iter(sorted((v for v in order[row] if v in keys), key=keys.__getitem__))
    order[row] = [next(movable) if vertex in keys else vertex for vertex in order[row]]


def _transpose(
    order: list[list[int]], above: list[list[tuple[int, float]]], below: list[list[tuple[int, float]]]
) -> None:
    """Exchange neighbors in a layer where that takes crossings away."""
    for place, row in enumerate(order):
        if not 1 < len(row) <= _MOST_TRANSPOSED:
            continue
        sides = []
        for other, near in ((place - 1, above), (place + 1, below)):
            if 0 <= other < len(order):
                at = _places(order[other])
                sides.append({v: [at[u] + offset for u, offset in near[v]] for v in row})
        improved = True
        while improved:
            improved = False
            for i in range(len(row) - 1):
                a, b = row[i], row[i + 1]
                if sum(_inversions(side[a], side[b]) - _inversions(side[b], side[a]) for side in sides) > 0:
                    row[i], row[i + 1] = b, a
                    improved = True


def _inversions(left: list[float], right: list[float]) -> int:
    """How often a line of the left thing ends right of one of the right thing."""
    return sum(x > y for x in left for y in right)


def _crossings(order: list[list[int]], below: list[list[tuple[int, float]]]) -> int:
    """How many pairs of lines cross between neighboring layers."""
    total = 0
    for row, under in itertools.pairwise(order):
        at = _places(under)
        ends = [at[other] + offset for v in row for other, offset in sorted(
            below[v], key=lambda pair: at[pair[0]] + pair[1])]  # fmt: skip
        levels = {end: i + 1 for i, end in enumerate(sorted(set(ends)))}
        tree = [0] * (len(levels) + 1)
        for seen, end in enumerate(ends):
            level, smaller = levels[end], 0
            while level:
                smaller += tree[level]
                level &= level - 1
            total += seen - smaller
            level = levels[end]
            while level < len(tree):
                tree[level] += 1
                level += level & -level
    return total
