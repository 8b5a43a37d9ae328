"""Weights of rows and classes. Oracle: rows written twice, and rows left out."""

import numpy as np
import pytest
from sklearn.utils import compute_class_weight

from .conftest import classifier, regressor

# Every row trains, all in one batch, and nothing is drawn at random but the first weights.
WHOLE = {"folds": 0, "batch_size": 1_000_000, "epochs": 40, "dropout": 0.0}
MODELS = {
    "embedded columns": {},
    "a perceptron": {"model": "mlp", "activation": "tanh", "scaling": "standardize"},
}


def counts(rows):
    """How often each row is written: never, once or twice."""
    return np.random.default_rng(1).integers(0, 3, rows)


def test_a_row_of_weight_two_is_the_row_twice_for_classes(iris):
    x, y = iris
    times = counts(len(x))
    quiet = {**WHOLE, "input_noise": 0.0, "label_smoothing": 0.0}
    weighted = classifier(**quiet).fit(x, y, sample_weight=times)
    repeated = classifier(**quiet).fit(np.repeat(x, times, axis=0), np.repeat(y, times))
    ignored = classifier(**quiet).fit(x, y)
    ours, theirs = weighted.predict_proba(x), repeated.predict_proba(x)
    np.testing.assert_allclose(ours, theirs, atol=2e-4)
    assert np.abs(ours - ignored.predict_proba(x)).max() > 2e-3


@pytest.mark.parametrize("model", MODELS)
def test_a_row_of_weight_two_is_the_row_twice_for_values(line, model):
    x, y = line
    times = counts(len(x))
    quiet = {**WHOLE, **MODELS[model], "input_noise": 0.0}
    weighted = regressor(**quiet).fit(x, y, sample_weight=times).predict(x)
    repeated = regressor(**quiet).fit(np.repeat(x, times, axis=0), np.repeat(y, times)).predict(x)
    ignored = regressor(**quiet).fit(x, y).predict(x)
    np.testing.assert_allclose(weighted, repeated, atol=5e-4)
    assert np.abs(weighted - ignored).max() > 5e-3


def test_a_row_of_weight_zero_is_not_there_in_a_study_with_validation_too(iris):
    x, y = iris
    kept = np.arange(150) % 3 > 0
    ours = classifier().fit(x, y, sample_weight=kept.astype(float)).predict_proba(x)
    np.testing.assert_allclose(
        ours, classifier().fit(x[kept], y[kept], np.ones(100)).predict_proba(x), atol=1e-6
    )


def test_class_weights_are_weights_of_the_rows(iris):
    x, y = iris[0][:130], iris[1][:130]
    of_class = compute_class_weight("balanced", classes=np.arange(3), y=y)
    theirs = classifier().fit(x, y, sample_weight=of_class[y]).predict_proba(x)
    np.testing.assert_array_equal(classifier(class_weight="balanced").fit(x, y).predict_proba(x), theirs)
    named = dict(enumerate(of_class))
    np.testing.assert_array_equal(classifier(class_weight=named).fit(x, y).predict_proba(x), theirs)
    assert np.abs(classifier().fit(x, y).predict_proba(x) - theirs).max() > 1e-3


def test_weights_that_leave_nothing_are_refused(iris):
    with pytest.raises(ValueError, match=r"sample_weight=0 for every row|at least one non-zero number"):
        classifier().fit(*iris, sample_weight=np.zeros(150))


def test_without_held_out_rows_there_is_nothing_to_choose_or_promise(line):
    with pytest.raises(ValueError, match="folds=0 holds no rows out, and there is a choice to make"):
        regressor(folds=0, learning_rate=[0.001, 0.01]).fit(*line)
    with pytest.raises(ValueError, match="the model has no intervals"):
        regressor(**WHOLE).fit(*line).predict_interval(line[0])
