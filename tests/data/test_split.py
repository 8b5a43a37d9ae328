import numpy as np
import pytest

from fathom.data import load, make_split
from fathom.errors import DataError, UsageError


def table(labels, kind=None):
    return load({"x": np.random.default_rng(0).normal(size=len(labels)), "y": labels}, "y", kind=kind)


@pytest.mark.parametrize("folds", [1, 3, 5])
@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_parts_are_disjoint_and_whole(name, folds):
    data = load(name)
    split = make_split(data, folds=folds)
    assert split.folds == folds
    for train, validation in zip(split.train, split.validation, strict=True):
        together = np.concatenate([split.test, train, validation])
        assert sorted(together.tolist()) == list(range(len(data)))
        assert all(
            part.dtype == np.int64 and (np.diff(part) > 0).all() for part in (split.test, train, validation)
        )
    if folds > 1:
        held = np.concatenate(split.validation)
        assert len(np.unique(held)) == len(held) == len(data) - len(split.test)


def test_shares_are_of_all_rows():
    split = make_split(load("iris"), test=0.2, validation=0.1)
    assert (len(split.test), len(split.validation[0]), len(split.train[0])) == (30, 15, 105)


def test_classes_keep_their_proportions():
    labels = np.array(["a"] * 700 + ["b"] * 200 + ["c"] * 100)
    data = table(labels)
    for split in (make_split(data), make_split(data, folds=4)):
        for part in (split.test, *split.train, *split.validation):
            shares = np.bincount(data.target[part], minlength=3) / len(part)
            np.testing.assert_allclose(shares, [0.7, 0.2, 0.1], atol=1.5 / len(part))
        assert split.notes == ()


def test_the_seed_decides():
    data = load("iris")
    first, same, other = (make_split(data, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.test, same.test)
    np.testing.assert_array_equal(first.train[0], same.train[0])
    assert not np.array_equal(first.test, other.test)


def test_no_test_rows():
    split = make_split(load("iris"), test=0, folds=3)
    assert len(split.test) == 0
    assert sum(map(len, split.validation)) == 150


def test_too_small_a_class_is_said_aloud():
    data = table(np.array(["a"] * 40 + ["b"] * 9 + ["c"]))
    assert any("without regard to classes" in note for note in make_split(data).notes)
    split = make_split(table(np.array(["a"] * 40 + ["b"] * 4)), folds=5)
    assert any("the folds are drawn without regard" in note for note in split.notes)


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
        ({"folds": 0}, r"folds=0 is not allowed"),
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
