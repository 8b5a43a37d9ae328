"""Suspicions that given test rows are from elsewhere than the rows trained on."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...look import format_share
from ..dataset import Dataset
from .suspicion import SAMPLE_ROWS, Suspicion, sample

_LEVEL = 0.01  # chance that any column is suspected where none drifts
_SMALLEST = 0.1  # distance of two distributions that matters, from 0 to 1
_CELLS = 1_000_000  # looked at; fewer rows where there are many columns
_NAMES = {1: "validation", 2: "test"}


def drift(dataset: Dataset) -> Iterator[Suspicion]:
    """Columns whose values are spread otherwise in the given validation or test rows."""
    for name, here, there in _given(dataset):
        yield from _moved(dataset, here, there, name)


def new_categories(dataset: Dataset) -> Iterator[Suspicion]:
    """Columns with categories that only the given validation or test rows have."""
    for name, _, there in _given(dataset):
        yield from _new_categories(dataset, there, name)


def _given(dataset: Dataset) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The parts that are given, each with its name, the rows of the others, and its own."""
    if dataset.part is None:
        return
    most = int(np.clip(_CELLS // len(dataset.schema.columns), 1000, SAMPLE_ROWS))
    here = sample(np.flatnonzero(dataset.part < 1), most)
    for number, name in _NAMES.items():
        there = sample(np.flatnonzero(dataset.part == number), most)
        if len(there) >= 20 and len(here) >= 20:
            yield name, here, there


def _moved(dataset: Dataset, here: np.ndarray, there: np.ndarray, name: str) -> Iterator[Suspicion]:
    schema, table = dataset.schema, dataset.table
    distances: dict[str, float] = {}
    level = _LEVEL / (len(schema.columns) + 1)
    blocks = [(c.name, table.numeric[:, place], True) for place, c in enumerate(schema.numeric)]
    blocks += [(c.name, table.categorical[:, place], False) for place, c in enumerate(schema.categorical)]
    blocks.append((schema.target.name, dataset.target, dataset.classes is None))
    for column, cells, ordered in blocks:
        distance, chance = (_ordered if ordered else _unordered)(cells[here], cells[there])
        if distance >= _SMALLEST and chance < level:
            distances[column] = distance
    if distances:
        names = tuple(sorted(distances, key=lambda column: -distances[column]))
        shown = ", ".join(f"{column!r} by {format_share(distances[column])}" for column in names[:5])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        yield Suspicion(
            "drift",
            names,
            f"the {name} rows are spread otherwise than the others in {len(names)} of {len(blocks)} columns: "
            f"{shown}{more} (share of the rows that would have to move)",
            f"scores on the {name} rows then say how well the model carries over, not how well it learned; "
            "see what changed between the files",
            {"distances": distances, "rows": [len(here), len(there)]},
        )


def _new_categories(dataset: Dataset, there: np.ndarray, name: str) -> Iterator[Suspicion]:
    shares = {}
    for place, column in enumerate(dataset.schema.categorical):
        if not column.buckets:
            share = float((dataset.table.categorical[there, place] == len(column.categories or ())).mean())
            if share >= 0.01:
                shares[column.name] = share
    if dataset.classes is not None:
        assert dataset.part is not None
        seen = np.unique(dataset.target[dataset.part < 1])
        share = float((~np.isin(dataset.target[there], seen)).mean())
        if share > 0:
            shares[dataset.schema.target.name] = share
    if shares:
        shown = ", ".join(
            f"{column!r} in {format_share(share)}" for column, share in list(shares.items())[:5]
        )
        yield Suspicion(
            "new categories",
            tuple(shares),
            f"the {name} rows hold categories that no other row has: {shown} of them",
            "check that both files write them in the same way",
            {"shares": shares},
        )


def _ordered(here: np.ndarray, there: np.ndarray) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance with its p-value; missing cells count as the smallest."""
    from scipy.stats import ks_2samp

    low = min(np.nanmin(here, initial=0.0), np.nanmin(there, initial=0.0)) - 1.0
    found: Any = ks_2samp(
        np.where(np.isnan(here), low, here), np.where(np.isnan(there), low, there), method="asymp"
    )
    return float(found.statistic), float(found.pvalue)


def _unordered(here: np.ndarray, there: np.ndarray) -> tuple[float, float]:
    """Total variation with the p-value of the chi-square test of homogeneity."""
    from scipy.stats import chi2_contingency

    slots = int(max(here.max(), there.max())) + 1
    counts = np.stack([np.bincount(here, minlength=slots), np.bincount(there, minlength=slots)])
    counts = counts[:, counts.sum(axis=0) > 0]
    if counts.shape[1] < 2:
        return 0.0, 1.0
    shares = counts / counts.sum(axis=1, keepdims=True)
    test: Any = chi2_contingency(counts)
    return float(np.abs(shares[0] - shares[1]).sum() / 2), float(test[1])
