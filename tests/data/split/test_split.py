"""Oracles: the definition of a division, and for proportions the share of each class to within one row."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom.data import load, make_split
from fathom.errors import DataError, UsageError


def table(labels, kind=None, **fields):
    labels = np.asarray(labels)
    data = load({"x": np.random.default_rng(0).normal(size=len(labels)), "y": labels}, "y", kind=kind)
    return dataclasses.replace(data, **fields)


def assert_divides(split, rows):
    """Each fold's three parts are the rows, each row once, in order."""
    for train, validation in zip(split.train, split.validation, strict=True):
        parts = (split.test, train, validation)
        assert sorted(np.concatenate(parts).tolist()) == list(range(rows))
        assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)


def arrays_of(split):
    return (split.test, *split.train, *split.validation)


def assert_same(one, other):
    for mine, theirs in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@given(st.lists(st.integers(3, 40), min_size=2, max_size=6), st.integers(1, 5), st.integers(0, 99))
def test_every_part_has_its_share_of_each_class_to_within_a_row(sizes, folds, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    data = table([f"c{label}" for label in labels])
    split = make_split(data, folds=folds, seed=seed)
    assert split.folds == folds
    assert_divides(split, len(data))
    count = np.bincount(data.target)
    share = len(split.test) / len(data)
    assert len(split.test) == round(0.2 * len(data))
    assert (np.abs(np.bincount(data.target[split.test], minlength=len(count)) - share * count) < 1).all()
    rest = count - np.bincount(data.target[split.test], minlength=len(count))
    for validation in split.validation:
        wanted = rest * (len(validation) / rest.sum() if folds == 1 else 1 / folds)
        assert (np.abs(np.bincount(data.target[validation], minlength=len(count)) - wanted) < 1).all()
    if folds > 1:
        held = np.concatenate(split.validation)
        assert len(np.unique(held)) == len(held) == len(data) - len(split.test)


def test_shares_are_of_all_rows():
    split = make_split(load("iris"), test=0.2, validation=0.1)
    assert (len(split.test), len(split.validation[0]), len(split.train[0])) == (30, 15, 105)


def test_a_regression_target_is_stratified_by_its_quantiles():
    data = load("diabetes")
    split = make_split(data, folds=5)
    assert_divides(split, len(data))
    edges = np.quantile(data.target, [0.25, 0.5, 0.75])
    for part in (split.test, *split.validation):
        shares = np.bincount(np.searchsorted(edges, data.target[part]), minlength=4) / len(part)
        np.testing.assert_allclose(shares, 0.25, atol=0.05)
        assert data.target[part].mean() == pytest.approx(data.target.mean(), rel=0.05)


def test_the_seed_decides():
    data = load("iris")
    first, same, other = (make_split(data, seed=seed) for seed in (1, 1, 2))
    assert_same(first, same)
    assert not np.array_equal(first.test, other.test)
    assert not np.array_equal(first.train[0], other.train[0])
    np.testing.assert_array_equal(first.test, make_split(data, seed=1, folds=5).test)


def test_no_test_rows():
    split = make_split(load("iris"), test=0, folds=3)
    assert len(split.test) == 0
    assert sum(map(len, split.validation)) == 150


def test_a_class_that_is_not_everywhere_is_said_aloud():
    split = make_split(table(["a"] * 40 + ["b"] * 9 + ["c"]))
    assert "the class is not in every part of the split: 'c' (1 row)" in split.notes
    assert 49 in split.train[0]  # what is judged by has been seen
    assert make_split(table(["a"] * 40 + ["b"] * 9)).notes == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": 1.0}, r"test=1.0 is not allowed"),
        ({"test": -0.1}, r"test=-0.1"),
        (
            {"test": 0.5, "validation": 0.5},
            r"validation=0.5 is not allowed; give a share above 0 and below 0.5",
        ),
        ({"validation": 0}, r"validation=0 is not allowed"),
        ({"folds": -1}, r"folds=-1 is not allowed"),
        ({"folds": 2.0}, r"folds=2.0 is not allowed"),
        ({"seed": -1}, r"seed=-1 is not allowed"),
    ],
)
def test_misuse(options, message):
    with pytest.raises(UsageError, match=message):
        make_split(load("iris"), **options)


def test_too_few_rows():
    with pytest.raises(DataError, match=r"rows=4: too few for test=0.2 and folds=5"):
        make_split(table(np.array([0.1, 0.2, 0.3, 0.4])), folds=5)


@pytest.mark.parametrize("rows", [4, 5, 6, 10])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_tiny_tables(rows, kind):
    data = table(np.arange(rows) % 2, kind)
    split = make_split(data)
    assert min(len(split.test), len(split.train[0]), len(split.validation[0])) >= 1


# What the dataset says itself.


def test_given_parts_are_kept():
    part = np.array([0] * 50 + [1] * 20 + [2] * 30 + [-1] * 10, np.int8)
    split = make_split(table(np.arange(110) % 2, part=part))
    assert_divides(split, 110)
    assert split.test.tolist() == list(range(70, 100)) and split.validation[0].tolist() == list(range(50, 70))


@pytest.mark.parametrize("folds", [1, 4])
def test_given_test_rows_leave_the_validation_rows_to_chance(folds):
    part = np.array([2] * 30 + [0] * 100, np.int8)
    split = make_split(table(np.arange(130) % 2, part=part), folds=folds)
    assert_divides(split, 130)
    assert split.test.tolist() == list(range(30))
    assert [len(rows) for rows in split.validation] == ([20] if folds == 1 else [25] * 4)


def test_given_validation_rows_leave_the_test_rows_to_chance():
    part = np.array([1] * 30 + [-1] * 70, np.int8)
    data = table(np.arange(100) % 2, part=part)
    split = make_split(data)
    assert_divides(split, 100)
    assert split.validation[0].tolist() == list(range(30)) and len(split.test) == 14
    mostly = np.array([1] * 90 + [-1] * 10, np.int8)
    assert len(make_split(table(np.arange(100) % 2, part=mostly)).test) == 2
    with pytest.raises(UsageError, match=r"folds=5: the validation rows are given.*use folds=1"):
        make_split(data, folds=5)


def test_nothing_left_to_train_on():
    with pytest.raises(DataError, match="leave rows to train on"):
        make_split(table(np.arange(20) % 2, part=np.array([1] * 10 + [2] * 10, np.int8)))


@pytest.mark.parametrize("folds", [1, 3])
def test_a_group_is_on_one_side(folds):
    draw = np.random.default_rng(0)
    group = draw.integers(0, 30, 400)
    data = table(draw.integers(0, 2, 400), group=group)
    split = make_split(data, folds=folds)
    assert_divides(split, 400)
    for train, validation in zip(split.train, split.validation, strict=True):
        sides = [set(group[part].tolist()) for part in (split.test, train, validation)]
        assert sum(map(len, sides)) == len(set().union(*sides))
    assert len(split.test) == pytest.approx(80, abs=8)
    assert data.target[split.test].mean() == pytest.approx(data.target.mean(), abs=0.1)


def test_few_groups():
    data = table(np.arange(60) % 2, group=np.arange(60) // 20)
    split = make_split(data)
    assert sorted(map(len, (split.test, split.train[0], split.validation[0]))) == [20, 20, 20]
    assert "the test rows are 33% of all, since groups are kept whole" in split.notes
    with pytest.raises(
        DataError, match=r"groups=3: too few for test=0.2 and folds=5; give more groups or fewer"
    ):
        make_split(data, folds=5)


def test_groups_that_given_parts_cut_are_said_aloud():
    part = np.array([2] * 10 + [0] * 50, np.int8)
    data = table(np.arange(60) % 2, group=np.arange(60) // 4, part=part)
    assert any("1 groups have rows on both sides" in note for note in make_split(data).notes)


@pytest.mark.parametrize("folds", [1, 4])
def test_the_future_is_never_trained_on(folds):
    time = np.random.default_rng(0).permutation(100) // 2.0  # two rows at each point of time
    split = make_split(table(np.arange(100) % 2, time=time), folds=folds)
    assert len(split.test) == 20 and time[split.test].min() > np.delete(time, split.test).max()
    for train, validation in zip(split.train, split.validation, strict=True):
        assert time[train].max() < time[validation].min()
    assert [len(rows) for rows in split.validation] == ([20] if folds == 1 else [16] * 4)
    assert [len(rows) for rows in split.train] == ([60] if folds == 1 else [16, 32, 48, 64])
    held = np.concatenate(split.validation)
    assert len(np.unique(held)) == len(held)
    assert any("divided by time" in note for note in split.notes)


def test_rows_of_one_time_stay_together():
    time = np.repeat(np.arange(5.0), [30, 10, 30, 10, 20])
    split = make_split(table(np.arange(100) % 2, time=time))
    assert (set(time[split.test]), set(time[split.validation[0]])) == ({4.0}, {3.0})
    with pytest.raises(DataError, match="different times=2: too few"):
        make_split(table(np.arange(100) % 2, time=np.arange(100) // 50.0))


def test_rows_without_a_time_are_the_earliest():
    time = np.arange(50.0)
    time[40:] = np.nan
    split = make_split(table(np.arange(50) % 2, time=time))
    assert set(range(40, 50)) <= set(split.train[0].tolist())
    assert "10 rows have no time and count as the earliest" in split.notes


def test_time_and_groups_contradict_each_other():
    data = table(np.arange(40) % 2, time=np.arange(40.0), group=np.arange(40) // 4)
    with pytest.raises(UsageError, match="time and groups: the rows can be divided by one of them"):
        make_split(data)
    with pytest.raises(UsageError, match="time and keep_duplicates_together=True"):
        make_split(dataclasses.replace(data, group=None), duplicates=True)


def copied(rows=60, more=40, **fields):
    """Distinct rows, and after them copies of some."""
    draw = np.random.default_rng(0)
    cells = draw.normal(size=(rows, 2))
    cells[0, 0] = np.nan
    source = np.append(np.arange(rows), draw.integers(0, rows, more))
    columns = {"a": cells[source, 0], "b": cells[source, 1], "y": np.arange(rows + more) % 2}
    return dataclasses.replace(load(columns, "y"), **fields), source


@pytest.mark.parametrize("folds", [1, 3])
def test_copies_are_kept_on_one_side_where_asked_for(folds):
    data, source = copied()
    apart, split = make_split(data, folds=folds), make_split(data, folds=folds, duplicates=True)
    assert_divides(split, 100)
    for train, validation in zip(split.train, split.validation, strict=True):
        sides = [set(source[part].tolist()) for part in (split.test, train, validation)]
        assert sum(map(len, sides)) == len(set().union(*sides))
    twinned = np.isin(source, np.flatnonzero(np.bincount(source) > 1))
    parted = np.isin(source[apart.test], np.delete(source, apart.test)).sum()
    assert parted > 0
    (note,) = apart.notes
    assert note.startswith(
        f"{twinned.sum()} rows have a twin with the same cells, and {parted} of the test rows"
    )
    assert "--keep-duplicates-together" in note
    assert split.notes == (
        f"{twinned.sum()} rows have a twin with the same cells; twins are kept on one side of each division",
    )


def test_copies_chain_groups():
    group = np.append(np.arange(60) // 2, 30 + np.arange(40))
    data, source = copied(group=group)
    split = make_split(data, duplicates=True)
    assert_divides(split, 100)
    for key in (source, group):
        sides = [set(key[part].tolist()) for part in (split.test, split.train[0], split.validation[0])]
        assert sum(map(len, sides)) == len(set().union(*sides))
