"""Where things stand in one box: layers from top to bottom, few crossings, long straight lines.

The method of Sugiyama, Tagawa and Toda (1981) with the linear programs of Gansner, Koutsofios, North and Vo ("A
technique for drawing directed graphs", 1993): each of the three steps below is one function. Both programs have
whole-numbered solutions, and SciPy's HiGHS finds them in milliseconds for hundreds of things.
"""

import dataclasses
import itertools
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from .order import Step, order_layers

#: Between neighbors in a layer: two things, a thing and a line, two lines.
GAPS = (26.0, 18.0, 12.0)
#: Room between layers, and how much of the widest sideways step is added to it, up to a most.
RANK_GAP, SLOPE, MOST_GAP = 30.0, 0.06, 64.0
# How much a step of a line wants to be vertical, by how many of its ends are points: what goes from thing to thing is
# straight, and a line that jumps over several bends round them.
_STRAIGHT = (2.0, 1.0, 8.0)


@dataclasses.dataclass(frozen=True)
class Link:
    """A line from one thing down to another.

    Attributes:
        source: the position of the thing it starts at.
        target: the position of the thing it ends at.
        weight: how much it wants to be short and straight.
        start: where it leaves, right of the middle of the source.
        end: where it arrives, right of the middle of the target.
    """

    source: int
    target: int
    weight: float = 1.0
    start: float = 0.0
    end: float = 0.0


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where things stand. Things come first; then the points where a line passes a layer.

    Attributes:
        x: the middle of each thing and point.
        rank: the layer of each.
        order: each layer from left to right.
        chains: for each link the things and points it leads through.
        sizes: width and height of each.
    """

    x: tuple[float, ...]
    rank: tuple[int, ...]
    order: tuple[tuple[int, ...], ...]
    chains: tuple[tuple[int, ...], ...]
    sizes: tuple[tuple[float, float], ...]

    @property
    def width(self) -> float:
        """From the leftmost edge, which is at 0, to the rightmost."""
        return max((x + w / 2 for x, (w, _) in zip(self.x, self.sizes, strict=True)), default=0.0)


def layout(
    sizes: Sequence[tuple[float, float]],
    links: Sequence[Link],
    first: Sequence[int] = (),
    last: Sequence[int] = (),
    early: Sequence[int] = (),
) -> Layout:
    """Place things so that every link leads downward, straight where it can, round what is in its way.

    Args:
        sizes: width and height of each thing.
        links: without circles.
        first: things that stand alone in the first layer, such as where lines come in; links only leave them.
        last: things that stand alone in the last layer; links only reach them.
        early: things that stand as high as they can, not near what they lead to.

    Returns:
        The layout. The same input gives the same layout.

    Example:
        >>> placed = layout([(40, 20), (40, 20), (40, 20)], [Link(0, 2), Link(1, 2, weight=2)])
        >>> placed.rank, placed.x[1] == placed.x[2]
        ((0, 0, 1), True)
    """
    if not sizes:
        return Layout((), (), (), (), ())
    ranks = _ranks(len(sizes), links, first, last, early)
    rank, chains = _with_points(ranks, links)
    all_sizes = (*((float(w), float(h)) for w, h in sizes), *[(0.0, 0.0)] * (len(rank) - len(sizes)))
    light = {link.source for link in links} - {link.source for link in links if link.weight >= 1}
    order = order_layers(rank, _steps(chains, links), all_sizes, light)
    x = _positions(order, chains, links, all_sizes, len(sizes))
    return Layout(
        tuple(x), tuple(rank), tuple(tuple(row) for row in order), tuple(map(tuple, chains)), all_sizes
    )


def _solve(cost: Any, rows: Any, limits: Any, least: Any) -> Any:
    """The vector x >= least with rows x <= limits that costs least."""
    from scipy.optimize import linprog

    bounds = np.stack([least, np.full(len(cost), np.inf)], axis=1)
    found = linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs-ds")
    if found.x is None:
        raise ArithmeticError(f"layout: {found.message}")
    return found.x


def _sparse(height: int, width: int, *parts: tuple[Any, Any, Any]) -> Any:
    """A sparse matrix out of (rows, columns, numbers)."""
    from scipy.sparse import csr_array

    rows, columns, numbers = (np.concatenate([np.atleast_1d(part[i]) for part in parts]) for i in range(3))
    return csr_array((numbers, (rows, columns)), shape=(height, width))


def _ranks(
    count: int, links: Sequence[Link], first: Sequence[int], last: Sequence[int], early: Sequence[int]
) -> list[int]:
    """Layers that make the links short: min Σ weight · (layers between), each link at least one."""
    ends = {*first, *last}
    inner = [link for link in links if link.source not in ends and link.target not in ends]
    ranks = np.zeros(count)
    if inner:
        weight = np.array([link.weight for link in inner])
        source = np.array([link.source for link in inner])
        target = np.array([link.target for link in inner])
        cost = np.zeros(count)
        np.add.at(cost, target, weight)
        np.add.at(cost, source, -weight)
        cost[list(early)] += weight.sum()
        rows, ones = np.arange(len(inner)), np.ones(len(inner))
        matrix = _sparse(len(inner), count, (rows, source, ones), (rows, target, -ones))
        ranks = np.rint(_solve(cost, matrix, -ones, np.zeros(count)))
    free = [i for i in range(count) if i not in ends]
    lowest = min((ranks[i] for i in free), default=0)
    for i in free:
        ranks[i] += bool(first) - lowest
    bottom = max((ranks[i] for i in free), default=0 if first else -1) + 1
    for i in first:
        ranks[i] = 0
    for i in last:
        ranks[i] = bottom
    return [int(rank) for rank in ranks]


def _with_points(ranks: list[int], links: Sequence[Link]) -> tuple[list[int], list[list[int]]]:
    """A point in each layer that a link passes; links that leave the same place share their points."""
    rank, chains = list(ranks), []
    points: dict[Hashable, int] = {}
    for link in links:
        chain = [link.source]
        for layer in range(ranks[link.source] + 1, ranks[link.target]):
            key = link.source, link.start, layer
            if key not in points:
                points[key] = len(rank)
                rank.append(layer)
            chain.append(points[key])
        chains.append([*chain, link.target])
    return rank, chains


def _steps(chains: list[list[int]], links: Sequence[Link]) -> dict[Step, float]:
    """The steps of all chains from layer to layer, shared ones once: (from, to, start, end) and their weight."""
    steps: dict[Step, float] = {}
    for chain, link in zip(chains, links, strict=True):
        for place, (a, b) in enumerate(itertools.pairwise(chain)):
            start = link.start if place == 0 else 0.0
            end = link.end if place == len(chain) - 2 else 0.0
            key = a, b, start, end
            steps[key] = max(steps.get(key, 0.0), link.weight)
    return steps


def _positions(
    order: list[list[int]], chains: list[list[int]], links: Sequence[Link],
    sizes: Sequence[tuple[float, float]], things: int,
) -> list[float]:  # fmt: skip
    """Middles that keep lines straight: min Σ weight · |sideways step|, neighbors in a layer apart."""
    count = len(sizes)
    steps = list(_steps(chains, links).items())
    pairs = [(a, b) for row in order for a, b in itertools.pairwise(row)]
    # A thing that nothing holds is held loosely by the first one.
    loose = [(0, v, 0.0, 0.0) for v in _unheld(count, [key for key, _ in steps])]
    keys = [key for key, _ in steps] + loose
    if not keys and not pairs:
        return [sizes[0][0] / 2]
    ends = [(key[0] >= things) + (key[1] >= things) for key in keys]
    weights = [w * _STRAIGHT[e] for (_, w), e in zip(steps, ends, strict=False)] + [0.01] * len(loose)
    a, b = np.array([k[0] for k in keys], int), np.array([k[1] for k in keys], int)
    offset = np.array([k[3] - k[2] for k in keys])
    left, right = np.array([p[0] for p in pairs], int), np.array([p[1] for p in pairs], int)
    apart = np.array([_apart(sizes, things, p, q) for p, q in pairs])
    m, k = len(keys), len(pairs)
    r, s, ones = np.arange(m), np.arange(k), np.ones(m)
    matrix = _sparse(
        2 * m + k, count + m,
        (r, a, ones), (r, b, -ones), (r, count + r, -ones),
        (m + r, a, -ones), (m + r, b, ones), (m + r, count + r, -ones),
        (2 * m + s, left, np.ones(k)), (2 * m + s, right, -np.ones(k)),
    )  # fmt: skip
    cost = np.concatenate([np.zeros(count), weights])
    limits = np.concatenate([offset, -offset, -apart])
    least = np.concatenate([[w / 2 for w, _ in sizes], np.zeros(m)])
    x = _solve(cost, matrix, limits, least)[:count]
    x -= min(at - w / 2 for at, (w, _) in zip(x, sizes, strict=True))
    return [round(float(at), 2) for at in x]


def _apart(sizes: Sequence[tuple[float, float]], things: int, a: int, b: int) -> float:
    return (sizes[a][0] + sizes[b][0]) / 2 + GAPS[(a >= things) + (b >= things)]


def _unheld(count: int, keys: Sequence[tuple[int, int, float, float]]) -> list[int]:
    """The first of each part that no step joins to the part of the first thing."""
    root = list(range(count))

    def top(v: int) -> int:
        while root[v] != v:
            root[v] = v = root[root[v]]
        return v

    for a, b, _, _ in keys:
        low, high = sorted((top(a), top(b)))
        root[high] = low
    return [v for v in range(1, count) if top(v) == v]


def stack(placed: Layout) -> tuple[list[float], list[float], list[float]]:
    """Heights: the top and the bottom of each layer, and the top of each thing or point.

    Args:
        placed: a layout.

    Returns:
        Tops and bottoms by layer; tops by thing and point. A thing that nothing leads to stands at the bottom of its
        layer, near what reads it; others in the middle, or at the top of a tall layer.
    """
    steps = [0.0] * len(placed.order)
    fed = set()
    for chain in placed.chains:
        for a, b in itertools.pairwise(chain):
            fed.add(b)
            steps[placed.rank[a]] = max(steps[placed.rank[a]], abs(placed.x[a] - placed.x[b]))
    tops, bottoms, y = [], [], 0.0
    for row, step in zip(placed.order, steps, strict=True):
        height = max((placed.sizes[v][1] for v in row), default=0.0)
        tops.append(y)
        bottoms.append(y + height)
        # Where lines only come in or go out, no arrowhead needs room.
        gap = RANK_GAP if height else RANK_GAP / 4
        y += height + min(gap + SLOPE * step, MOST_GAP)
    if len(tops) > 1 and tops[-1] == bottoms[-1]:
        back = min(0.75 * RANK_GAP, tops[-1] - bottoms[-2])
        tops[-1] = bottoms[-1] = tops[-1] - back
    at = []
    for v, (_, height) in enumerate(placed.sizes):
        top, bottom = tops[placed.rank[v]], bottoms[placed.rank[v]]
        free = bottom - top - height
        share = 1.0 if v not in fed else 0.5 if free < 60 else 0.0
        at.append(top + share * free)
    return tops, bottoms, at
