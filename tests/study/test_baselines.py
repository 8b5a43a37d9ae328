import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_info

from fathom.data import load, make_split
from fathom.study import baselines
from fathom.study.baselines import baseline_models, baseline_outputs, fit_baselines
from fathom.study.inputs import Inputs

ALL = {
    "classification": {"majority", "linear", "nearest_neighbors", "boosted_trees"},
    "regression": {"mean", "linear", "nearest_neighbors", "boosted_trees"},
}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("rows", [3, 1000, 1_000_000])
def test_all_four_are_there_however_many_the_rows(kind, rows):
    models, left_out = baseline_models(kind, rows, 0, inputs=50, judged=rows // 4)
    assert set(models) == ALL[kind] and not left_out
    assert all(1 <= recipe.rows <= rows for recipe in models.values())
    if rows == 1000:
        assert all(recipe.rows == rows and not recipe.note for recipe in models.values())


def test_work_is_capped_by_rows_iterations_and_rounds():
    """As many rows, inputs and classes as MNIST has."""
    models, _ = baseline_models("classification", 60_000, 0, inputs=784, classes=10, judged=10_000)
    assert models["majority"].rows == 60_000
    assert models["nearest_neighbors"].rows == 50_000_000_000 // (784 * 10_000)
    straight = models["linear"]
    assert 784 * 10 * straight.rows * straight.make().max_iter <= 2e10
    assert straight.rows < 60_000 and straight.note == "at most 50 iterations"
    trees = models["boosted_trees"]
    assert 784 * 10 * trees.make().max_iter * (trees.rows + 2000) <= 2.5e9
    assert trees.rows >= 4000 and trees.note == f"{trees.make().max_iter} rounds"


def test_what_would_take_minutes_all_the_same_is_left_out_with_the_reason():
    models, left_out = baseline_models("regression", 1000, 0, inputs=20_001)
    assert set(models) == ALL["regression"] - {"boosted_trees"}
    assert "would take minutes" in left_out["boosted_trees"]
    assert "boosted_trees" in baseline_models("classification", 1000, 0, inputs=20_000, classes=2)[0]
    assert "boosted_trees" not in baseline_models("classification", 1000, 0, inputs=201, classes=100)[0]


def test_one_class_in_the_training_rows_has_no_linear_model():
    models, left_out = baseline_models("classification", 3, 0, classes=1)
    assert set(models) == ALL["classification"] - {"linear"} and "one class" in left_out["linear"]


def test_a_sample_has_every_class_and_its_note_says_how_large_it_is(monkeypatch):
    monkeypatch.setattr(baselines, "_MOST_NEIGHBOR_ROWS", 40)
    data = load("iris")
    rare = dataclasses.replace(data, target=np.where(np.arange(150) == 7, 2, np.minimum(data.target, 1)))
    inputs = Inputs.of(rare, make_split(data, test=0.0))
    found = {one.name: one for one in fit_baselines(inputs, 0)}
    assert found["nearest_neighbors"].note == "on 40 of 150 rows" and found["linear"].note == ""
    assert found["nearest_neighbors"].model.classes_.tolist() == [0, 1, 2]
    again = next(one for one in fit_baselines(inputs, 0) if one.name == "nearest_neighbors")
    x = inputs.feed.examples["x"][0]
    np.testing.assert_array_equal(
        again.model.predict_proba(x), found["nearest_neighbors"].model.predict_proba(x)
    )


def test_three_rows_have_baselines():
    data = load({"a": [1.0, 2.0, 4.0, 3.0], "y": ["no", "no", "yes", "yes"]}, "y")
    inputs = Inputs.of(data, make_split(data, test=0.0, validation=0.3))
    for one in fit_baselines(inputs, 0):
        assert np.isfinite(baseline_outputs(one.model, inputs.feed.examples["x"][0], data)).all()


@pytest.mark.parametrize(
    ("name", "model"), [("iris", LogisticRegression(max_iter=200)), ("diabetes", Ridge())]
)
def test_the_linear_baseline_is_scikit_learns_on_all_rows_but_the_test_rows(name, model):
    dataset = load(name)
    inputs = Inputs.of(dataset, make_split(dataset, folds=2))
    found = next(one.model for one in fit_baselines(inputs, 0) if one.name == "linear")
    x = inputs.encoders[0].encode(dataset.table)
    model.fit(x[inputs.rows], dataset.target[inputs.rows])
    outputs = baseline_outputs(found, x, dataset)
    expected = model.predict(x) if name == "diabetes" else np.log(model.predict_proba(x))
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-4)


def test_a_class_that_no_training_row_has_gets_next_to_no_chance():
    dataset = load("iris")
    known = dataclasses.replace(dataset, target=np.minimum(dataset.target, 1))
    x = dataset.table.numeric
    model = LogisticRegression(max_iter=500).fit(x, known.target)
    outputs = baseline_outputs(model, x, dataset)
    assert outputs.shape == (150, 3) and (outputs[:, 2] == np.log(1e-12)).all()


@pytest.mark.parametrize(("rows", "limited"), [(20, True), (baselines._THREADS_FROM // 2, False)])
def test_few_rows_are_predicted_on_one_thread(rows, limited):
    """Trees that wait for a thread on a busy core took ten seconds for 360 rows."""
    usual = threads()

    class Noting:
        def predict(self, x):
            self.threads = threads()
            return np.zeros(len(x))

    model = Noting()
    baseline_outputs(model, np.zeros((rows, 2)), load("diabetes"))
    assert model.threads == ([1] * len(usual) if limited else usual)


def threads():
    """How many threads each library of the process takes."""
    return [library["num_threads"] for library in threadpool_info()]
