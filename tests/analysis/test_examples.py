"""Oracles: planted wrong labels and values, which must be found and little else."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from fathom.analysis import hardest, label_errors, losses, outlying


@pytest.fixture(scope="module")
def flipped():
    """Digits, every thirtieth label wrong, and what a model says of rows that it was not trained on."""
    x, y = load_digits(return_X_y=True)
    random, given = np.random.default_rng(0), y.copy()
    wrong = random.choice(len(y), len(y) // 30, replace=False)
    given[wrong] = (y[wrong] + random.integers(1, 10, len(wrong))) % 10
    model = LogisticRegression(max_iter=1000)
    return cross_val_predict(model, x / 16, given, cv=3, method="predict_proba"), given, y, wrong


def test_planted_flips_are_found_and_come_first(flipped):
    probability, given, y, wrong = flipped
    found = label_errors(probability, given)
    rows = [one.row for one in found]
    assert len(set(rows) & set(wrong)) >= 0.8 * len(wrong)
    assert len(set(rows[:20]) & set(wrong)) >= 18
    right = [one for one in found if one.row in wrong]
    assert np.mean([one.suggested == y[one.row] for one in right]) > 0.95
    assert [one.score for one in found] == sorted(one.score for one in found)


def test_right_labels_are_hardly_accused(flipped):
    probability, given, _, wrong = flipped
    found = label_errors(probability, given)
    assert len([one for one in found if one.row not in wrong]) < 0.03 * len(given)


def test_the_thresholds_are_the_mean_self_confidences():
    # Class 0's mean self-confidence is 0.7, class 1's 0.8: the last row reaches neither.
    probability = np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9], [0.3, 0.7], [0.35, 0.65]])
    assert label_errors(probability, np.array([0, 0, 1, 1, 0])) == []
    probability[4] = [0.1, 0.9]
    assert [(one.row, one.suggested) for one in label_errors(probability, np.array([0, 0, 1, 1, 0]))] == [
        (4, 1)
    ]


def test_a_class_without_rows_is_never_suggested():
    probability = np.array([[0.2, 0.1, 0.7], [0.1, 0.2, 0.7]])
    assert label_errors(probability, np.array([0, 1])) == []


def test_planted_values_are_found_among_heavy_tails():
    random = np.random.default_rng(1)
    value = random.normal(size=500)
    target = value + random.laplace(0, 0.5, 500)
    wrong = [7, 70, 300]
    target[wrong] += [15, -12, 20]
    found = outlying(value, target)
    assert [one.row for one in found[:3]] == [300, 7, 70] and len(found) <= 3 + 5
    assert found[2].score < -6 and found[0].suggested == value[300]


def test_residuals_all_alike_accuse_no_row():
    assert outlying(np.arange(5.0), np.arange(5.0)) == []


def test_the_hardest_are_those_of_the_largest_loss():
    probability = np.array([[0.9, 0.1], [0.2, 0.8], [0.0, 1.0], [0.2, 0.8]])
    loss = losses(probability, np.array([0, 0, 0, 0]))
    assert hardest(loss, 3).tolist() == [2, 1, 3] and np.isfinite(loss).all()
    np.testing.assert_allclose(losses(np.array([1.0, 5.0]), np.array([2.0, 3.0])), [1.0, 2.0])
