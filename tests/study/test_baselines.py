import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from fathom.data import load, make_split
from fathom.study.baselines import baseline_models, baseline_outputs, fit_baselines
from fathom.study.inputs import Inputs


def test_slow_baselines_are_left_out_of_large_data():
    assert "nearest_neighbors" in baseline_models("classification", 20_000, 0)
    assert "nearest_neighbors" not in baseline_models("regression", 20_001, 0)
    assert set(baseline_models("regression", 1_000_000, 0)) == {"mean", "boosted_trees"}
    assert "boosted_trees" not in baseline_models("regression", 1000, 0, inputs=20_001)
    assert "boosted_trees" not in baseline_models("classification", 48_000, 0, inputs=784, classes=10)
    assert "boosted_trees" not in baseline_models("classification", 1000, 0, inputs=201, classes=100)
    assert "boosted_trees" in baseline_models("classification", 1000, 0, inputs=20_000, classes=2)


def test_one_class_in_the_training_rows_has_no_linear_model():
    assert set(baseline_models("classification", 3, 0, classes=1)) == {
        "majority",
        "nearest_neighbors",
        "boosted_trees",
    }


def test_three_rows_have_baselines():
    data = load({"a": [1.0, 2.0, 4.0, 3.0], "y": ["no", "no", "yes", "yes"]}, "y")
    inputs = Inputs.of(data, make_split(data, test=0.0, validation=0.3))
    for _, model, _ in fit_baselines(inputs, 0):
        assert np.isfinite(baseline_outputs(model, inputs.feed.examples["x"][0], data)).all()


@pytest.mark.parametrize(
    ("name", "model"), [("iris", LogisticRegression(max_iter=200)), ("diabetes", Ridge())]
)
def test_the_linear_baseline_is_scikit_learns_on_all_rows_but_the_test_rows(name, model):
    dataset = load(name)
    inputs = Inputs.of(dataset, make_split(dataset, folds=2))
    found = next(fitted for label, fitted, _ in fit_baselines(inputs, 0) if label == "linear")
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
