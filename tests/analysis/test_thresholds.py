"""Oracles: scikit-learn's confusion matrix, precision, recall, F1 and balanced accuracy at each threshold."""

import numpy as np
import pytest
from sklearn import metrics

from fathom.analysis import confusion, cost_curve, threshold_curve


@pytest.fixture
def rare():
    """A class that one row in twenty has, probabilities that rank well, and weights."""
    random = np.random.default_rng(0)
    target = (random.random(600) < 0.05).astype(int)
    probability = 1 / (1 + np.exp(-(3 * target - 2.5 + random.normal(size=600))))
    return probability, target, random.exponential(size=600)


@pytest.mark.parametrize("weighted", [False, True])
def test_confusion_is_scikit_learns(weighted):
    random = np.random.default_rng(1)
    named, target, weight = random.integers(0, 4, 90), random.integers(0, 3, 90), random.random(90)
    given = weight if weighted else None
    expected = metrics.confusion_matrix(target, named, labels=range(4), sample_weight=given)
    np.testing.assert_allclose(confusion(named, target, 4, given), expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_curve_is_scikit_learns_at_every_threshold(rare, weighted):
    probability, target, weight = rare
    weight = weight if weighted else None
    curve = threshold_curve(probability, target, weight, also=(0.5, 0.123))
    assert {0.5, 0.123} <= {one.threshold for one in curve}
    assert sorted(one.threshold for one in curve) == [one.threshold for one in curve]
    options = {"sample_weight": weight, "zero_division": 0}
    for one in curve:
        named = (probability >= one.threshold).astype(int)
        assert one.precision == pytest.approx(metrics.precision_score(target, named, **options))
        assert one.recall == pytest.approx(metrics.recall_score(target, named, **options))
        assert one.f1 == pytest.approx(metrics.f1_score(target, named, **options))
        assert one.flagged == pytest.approx(np.average(named, weights=weight))
        expected = metrics.balanced_accuracy_score(target, named, sample_weight=weight)
        assert one.balanced_accuracy == pytest.approx(expected)


def test_the_curve_is_fine_where_the_class_is(rare):
    probability, target, _ = rare
    recalls = [one.recall for one in threshold_curve(probability, target)]
    assert np.max(np.abs(np.diff(recalls))) < 0.1


def test_costs_are_those_of_every_threshold_tried(rare):
    probability, target, weight = rare
    for one in cost_curve(probability, target, 0.5, weight):
        tried = np.concatenate([[0.0], np.unique(probability) + 1e-9])
        missed = [np.average((probability < cut) & (target == 1), weights=weight) for cut in tried]
        alarms = [np.average((probability >= cut) & (target == 0), weights=weight) for cut in tried]
        costs = one.ratio * np.array(missed) + alarms
        assert one.cost == pytest.approx(costs.min()) and one.cost <= one.default_cost + 1e-12
        at = one.ratio * np.average((probability < one.threshold) & (target == 1), weights=weight)
        at += np.average((probability >= one.threshold) & (target == 0), weights=weight)
        assert at == pytest.approx(one.cost)


def test_calibrated_probabilities_want_the_threshold_that_theory_names():
    """Oracle: 1 / (1 + ratio) (Elkan 2001)."""
    random = np.random.default_rng(4)
    probability = random.uniform(0, 1, 50_000)
    target = (random.random(50_000) < probability).astype(int)
    for one in cost_curve(probability, target, 0.5, ratios=(0.25, 1.0, 4.0)):
        assert one.threshold == pytest.approx(1 / (1 + one.ratio), abs=0.04)


@pytest.mark.parametrize("target", [np.zeros(5, int), np.ones(5, int)])
def test_one_class_has_no_curve(target):
    probability = np.linspace(0.1, 0.9, 5)
    assert threshold_curve(probability, target) == [] == cost_curve(probability, target, 0.5)
