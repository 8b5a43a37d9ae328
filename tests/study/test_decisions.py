"""Lines between classes. Oracles: every line tried by hand with scikit-learn's metrics; fresh rows."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn import metrics as sk

from fathom.study.decisions import TUNED, _fit, decision_offsets, offsets_of, threshold_of

SCORES = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "f1": lambda t, p, **w: sk.f1_score(t, p, average="binary" if t.max() < 2 else "macro", **w),
    "mcc": sk.matthews_corrcoef,
}


def rare(rows, seed, share=0.08, classes=2):
    """Calibrated log-probabilities of a problem whose first class is common, and its classes."""
    draw = np.random.default_rng(seed)
    prior = np.array([1 - share * (classes - 1)] + [share] * (classes - 1))
    logits = np.log(prior) + draw.normal(size=(rows, classes)) * 1.2
    chances = log_softmax(logits, axis=1)
    return chances, (np.cumsum(np.exp(chances), 1) < draw.random((rows, 1))).sum(1)


def truth_of(targets, weight, classes=2):
    return weight[:, None] * (targets[:, None] == np.arange(classes))


@pytest.mark.parametrize("metric", sorted(TUNED))
@pytest.mark.parametrize("weighted", [False, True])
def test_the_sweep_finds_the_best_of_all_lines(metric, weighted):
    chances, targets = rare(60, 3, 0.3)
    chances = np.round(chances, 1)  # with ties
    weight = np.random.default_rng(0).uniform(0.2, 3, 60) if weighted else np.ones(60)
    lead = np.sort(chances[:, 1] - chances[:, 0])
    lines = [lead[0] - 1, *((lead[1:] + lead[:-1]) / 2), lead[-1] + 1]
    score = SCORES[metric]
    every = [
        score(targets, (chances[:, 1] - chances[:, 0] > line).astype(int), sample_weight=weight)
        for line in lines
    ]
    offsets = _fit(TUNED[metric], chances, truth_of(targets, weight))
    found = score(targets, (chances + offsets).argmax(1), sample_weight=weight)
    assert found == pytest.approx(max(every))


@pytest.mark.parametrize("metric", ["f1", "balanced_accuracy", "mcc"])
@pytest.mark.parametrize("classes", [2, 4])
def test_on_fresh_rows_a_tuned_line_scores_higher(metric, classes):
    gains = []
    for seed in range(8):
        offsets = decision_offsets(metric, *rare(600, seed, classes=classes))
        chances, targets = rare(4000, 100 + seed, classes=classes)
        score = SCORES[metric]
        gains.append(score(targets, (chances + offsets).argmax(1)) - score(targets, chances.argmax(1)))
    assert np.mean(gains) > 3 * np.std(gains, ddof=1) / np.sqrt(len(gains)) > 0


def fresh_f1(offsets, bias=0.0):
    chances, truth = rare(20_000, 999)
    return SCORES["f1"](truth, (chances + offsets + [0, bias]).argmax(1))


def test_a_small_sample_does_not_fool_it():
    """250 rows: on fresh rows the one best line on them is worse, in the mean and at its worst."""
    smooth, sharp = [], []
    for seed in range(15):
        chances, targets = rare(250, seed)
        smooth.append(fresh_f1(decision_offsets("f1", chances, targets)))
        sharp.append(fresh_f1(_fit(TUNED["f1"], chances, truth_of(targets, np.ones(250)))))
    assert np.mean(smooth) > np.mean(sharp)
    assert min(smooth) > min(sharp)


def test_probabilities_that_are_off_are_not_taken_at_their_word():
    chances, targets = rare(3000, 0)
    honest = fresh_f1(decision_offsets("f1", chances, targets))
    found = decision_offsets("f1", log_softmax(chances + np.array([0, 2]), axis=1), targets)
    assert fresh_f1(found, bias=2) == pytest.approx(honest, abs=0.01)


def test_accuracy_keeps_the_middle_unless_the_gain_is_beyond_noise():
    kept = [not decision_offsets("accuracy", *rare(300, seed, 0.4)).any() for seed in range(20)]
    assert sum(kept) >= 14  # calibrated: nothing to gain but noise
    chances, targets = rare(2000, 0, 0.4)
    offsets = decision_offsets("accuracy", log_softmax(chances + np.array([1.5, 0]), axis=1), targets)
    assert offsets[1] == pytest.approx(1.5, abs=0.7)


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "brier", "precision", "recall", "rmse"])
def test_other_metrics_draw_no_line(metric):
    assert not decision_offsets(metric, *rare(200, 0)).any()


def test_a_single_class_draws_no_line():
    chances, _ = rare(50, 0)
    assert not decision_offsets("f1", chances, np.zeros(50, int)).any()


def test_a_weight_of_two_is_the_row_twice():
    chances, targets = rare(40, 1, 0.3)
    weight = np.where(np.arange(40) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(40), weight.astype(int))
    for metric, score in TUNED.items():
        once = _fit(score, chances, truth_of(targets, weight))
        again = _fit(score, chances[twice], truth_of(targets[twice], np.ones(len(twice))))
        np.testing.assert_allclose(once, again, err_msg=metric)


@pytest.mark.parametrize("threshold", [0.01, 0.3, 0.5, 0.9])
def test_a_threshold_is_a_pair_of_offsets(threshold):
    offsets = np.array(offsets_of(threshold))
    assert threshold_of(offsets) == pytest.approx(threshold)
    chances = np.log([[1 - p, p] for p in (threshold - 1e-6, threshold + 1e-6)])
    np.testing.assert_array_equal((chances + offsets).argmax(1), [0, 1])
