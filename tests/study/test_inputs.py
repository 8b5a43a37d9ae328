import dataclasses

import numpy as np
import pytest

from fathom.data import Table, load, make_split
from fathom.errors import DataError
from fathom.study import inputs as of_study
from fathom.study.inputs import Inputs


@pytest.fixture(scope="module")
def wine():
    dataset = load("wine")
    return dataset, make_split(dataset, folds=5)


def place_of(inputs, rows):
    return np.searchsorted(inputs.rows, rows)


def test_each_fold_is_encoded_by_its_own_training_rows(wine):
    dataset, split = wine
    inputs = Inputs.of(dataset, split)
    for fold, rows in enumerate(split.train):
        seen = inputs.feed.examples["x"][fold, place_of(inputs, rows)]
        np.testing.assert_allclose(seen.mean(0), 0.0, atol=1e-5)
        np.testing.assert_allclose(seen.std(0), 1.0, atol=1e-4)
    assert not np.allclose(inputs.encoders[0].scaling.center, inputs.encoders[1].scaling.center)


@pytest.mark.parametrize("scaling", ["standardize", "zca"])
def test_a_planted_leak_stays_in_the_folds_that_train_on_it(wine, scaling):
    """Cells of fold 2's validation rows are spoiled: what fold 2 trains on keeps its bits, others change."""
    dataset, split = wine
    cells = dataset.table.numeric.copy()
    cells[split.validation[2]] *= 1000.0
    spoiled = dataclasses.replace(dataset, table=Table(cells, dataset.table.categorical))
    clean, other = Inputs.of(dataset, split, scaling), Inputs.of(spoiled, split, scaling)
    for fold in range(5):
        rows = place_of(clean, split.train[fold])
        same = np.array_equal(clean.feed.examples["x"][fold, rows], other.feed.examples["x"][fold, rows])
        assert same == (fold == 2)


def test_test_rows_are_not_among_what_the_engine_reads(wine):
    dataset, split = wine
    inputs = Inputs.of(dataset, split)
    assert not np.isin(split.test, inputs.rows).any()
    assert inputs.feed.examples["x"].shape[:2] == (5, len(dataset) - len(split.test) + 1)


def test_shorter_folds_are_filled_with_a_row_that_weighs_nothing(wine):
    dataset, split = wine
    inputs = Inputs.of(dataset, split)
    feed = inputs.feed
    for fold in range(5):
        for parts, rows in ((feed.train, split.train[fold]), (feed.validation, split.validation[fold])):
            kept = parts[fold][parts[fold] != feed.blank]
            np.testing.assert_array_equal(inputs.rows[kept], rows)
    assert feed.examples["weight"][0, feed.blank] == 0 and feed.examples["weight"].sum() == len(inputs.rows)
    assert (feed.examples["x"][:, feed.blank] == 0).all()


def test_regression_targets_are_standardized_by_fold():
    dataset = load("diabetes")
    split = make_split(dataset, folds=3)
    inputs = Inputs.of(dataset, split)
    for fold, rows in enumerate(split.train):
        seen = inputs.feed.examples["y"][fold, place_of(inputs, rows)]
        assert seen.mean() == pytest.approx(0, abs=1e-5) and seen.std() == pytest.approx(1, abs=1e-4)
        assert inputs.scales[fold] == pytest.approx(dataset.target[rows].std())


def test_inputs_that_would_fill_the_memory_are_refused_before_they_are_made(wine, monkeypatch):
    dataset, split = wine
    rows = len(split.train[0]) + len(split.validation[0])
    needed = 4 * 13 * rows * 5 * 3  # float32, three times while they are laid out
    monkeypatch.setattr(of_study, "device_memory", lambda device: needed / 0.6 * 1.01)
    Inputs.of(dataset, split)
    monkeypatch.setattr(of_study, "device_memory", lambda device: needed / 0.6 * 0.99)
    with pytest.raises(
        DataError, match=r"13 inputs of \d+ rows in 5 folds need .* GB are allowed; leave out"
    ):
        Inputs.of(dataset, split)
