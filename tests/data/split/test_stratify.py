"""Oracles: the definition (within one row of the share, for every stratum and part), and scikit-learn's splitters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from fathom.data.split.stratify import deal

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def strata_of(sizes, seed):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


def table_of(strata, part, parts):
    """Rows of each stratum in each part, [parts, strata]."""
    return np.stack([np.bincount(strata[part == p], minlength=strata.max() + 1) for p in range(parts)])


@given(SIZES, st.floats(0.01, 0.99), st.integers(0, 99))
def test_a_part_has_its_share_of_each_stratum_to_within_a_row(sizes, share, seed):
    strata = strata_of([2, *sizes], seed)
    count = min(max(1, round(len(strata) * share)), len(strata) - 1)
    exact = count / len(strata)
    part = deal(strata, [exact, 1 - exact], np.random.default_rng(seed))
    found = table_of(strata, part, 2)
    assert found[0].sum() == count
    assert (np.abs(found[0] - exact * np.bincount(strata)) < 1).all()


@given(SIZES, st.integers(2, 7), st.integers(0, 99))
def test_equal_parts_differ_by_at_most_a_row(sizes, parts, seed):
    strata = strata_of([parts, *sizes], seed)
    part = deal(strata, [1 / parts] * parts, np.random.default_rng(seed))
    found = table_of(strata, part, parts)
    assert np.ptp(found, axis=0).max() <= 1 and np.ptp(found.sum(axis=1)) <= 1


@given(st.lists(st.integers(1, 12), min_size=8, max_size=60), st.integers(2, 5), st.integers(0, 99))
def test_units_stay_whole_and_no_part_is_empty(sizes, parts, seed):
    units = np.repeat(np.arange(len(sizes)), sizes)
    strata = np.random.default_rng(seed).integers(0, 3, len(units))
    part = deal(strata, [1 / parts] * parts, np.random.default_rng(seed), units=units)
    assert all(len(set(part[units == unit])) == 1 for unit in range(len(sizes)))
    assert set(part) == set(range(parts))
    filled = np.bincount(part)
    assert filled.max() - filled.min() <= 2 * max(sizes) + 3


@pytest.mark.parametrize("least", [[1, 1], [1, 2], [2, 1]])
def test_each_part_gets_as_many_units_as_it_must(least):
    for sizes in ([50, 50, 50], [98, 1, 1], [1, 1, 98]):
        units = np.repeat(np.arange(3), sizes)
        part = deal(np.zeros(len(units), int), [0.2, 0.8], np.random.default_rng(0), units=units, least=least)
        assert [len(set(units[part == p])) for p in range(2)] >= least


def test_groups_are_balanced_at_least_as_well_as_by_scikit_learn():
    ours, theirs = [], []
    for seed in range(20):
        draw = np.random.default_rng(seed)
        sizes = draw.geometric(0.05, draw.integers(8, 60))
        units = np.repeat(np.arange(len(sizes)), sizes)
        strata = (draw.random(len(units)) < draw.beta(0.5, 1.5, len(sizes))[units]).astype(int)
        other = np.zeros(len(units), int)
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(units, strata, units)
        for fold, (_, held) in enumerate(folds):
            other[held] = fold
        mine = deal(strata, [0.2] * 5, np.random.default_rng(seed), units=units)
        wanted = np.bincount(strata, minlength=2) / 5
        for part, found in ((mine, ours), (other, theirs)):
            found.append((np.square(table_of(strata, part, 5) - wanted) / np.maximum(wanted, 0.2)).sum())
    assert np.median(ours) < np.median(theirs)
