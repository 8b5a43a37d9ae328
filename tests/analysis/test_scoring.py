"""Oracle: the catalogue's own metrics, one set of weights at a time."""

import dataclasses

import numpy as np
import pytest

from fathom.analysis import scorer
from fathom.objectives import METRICS

KINDS = {
    "two classes": (2, "classification"),
    "four classes": (4, "classification"),
    "values": (0, "regression"),
}


def problem(classes, rows=60, seed=0):
    random = np.random.default_rng(seed)
    if not classes:
        target = random.normal(3, 2, rows)
        return target + random.normal(0, 1, rows), target
    logits = random.normal(0, 1, (rows, classes)).round(1)  # ties, for the ranks
    found = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return found, np.where(random.random(rows) < 0.5, logits.argmax(1), random.integers(classes, size=rows))


def score(metric, found, target, offsets=None):
    """Under equal weights."""
    return float(scorer(metric, found, target, offsets)(np.ones((1, len(target))))[0])


def weights_of(rows, seed=1):
    random = np.random.default_rng(seed)
    drawn = random.integers(0, 3, (4, rows)).astype(float)
    drawn[3] = random.exponential(size=rows)
    return drawn


@pytest.mark.parametrize("metric", [record.name for record in METRICS])
@pytest.mark.parametrize("kind", KINDS)
def test_every_metric_of_the_catalogue_under_any_weights(metric, kind):
    classes, of = KINDS[kind]
    if METRICS[metric].kind != of:
        return
    found, target = problem(classes)
    weights = weights_of(len(target))
    kinds = (np.float32, np.int32 if classes else np.float32)
    expected = [
        float(METRICS[metric].fn(found.astype(kinds[0]), target.astype(kinds[1]), w)) for w in weights
    ]
    np.testing.assert_allclose(scorer(metric, found, target)(weights), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("metric", ["f1", "balanced_accuracy", "mcc", "roc_auc", "precision", "recall"])
def test_rows_of_one_class_score_as_the_catalogue_says(metric):
    found, _ = problem(2)
    target = np.ones(len(found), dtype=int)
    expected = float(METRICS[metric].fn(found.astype(np.float32), target.astype(np.int32)))
    np.testing.assert_allclose(score(metric, found, target), expected, rtol=1e-5)


def test_what_weighs_nothing_has_no_score():
    for classes, metric in ((2, "accuracy"), (3, "log_loss"), (0, "rmse"), (0, "r2"), (2, "roc_auc")):
        found, target = problem(classes)
        assert np.isnan(scorer(metric, found, target)(np.zeros((1, len(target))))).all()


def test_offsets_move_only_metrics_of_named_classes():
    found, target = problem(2)
    offsets = np.array([0.0, 30.0])  # every row is named the second class
    assert score("accuracy", found, target, offsets=offsets) == pytest.approx((target == 1).mean())
    assert score("log_loss", found, target, offsets=offsets) == score("log_loss", found, target)


def test_a_metric_that_someone_adds_is_scored_by_its_own_function(monkeypatch):
    own = dataclasses.replace(METRICS["mae"], name="own")
    monkeypatch.setitem(METRICS._records, "own", own)
    found, target = problem(0)
    weights = weights_of(len(target))
    np.testing.assert_allclose(
        scorer("own", found, target)(weights), scorer("mae", found, target)(weights), rtol=1e-5
    )
