"""Oracles: scikit-learn's calibration curve, a planted error, and the share of samples whose interval holds it."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from fathom.analysis import calibration, coverage


def draw(rows, seed, power=1.0):
    """Confidence, and outcomes that happen with confidence ** power."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0, 1, rows)
    return confidence, (random.random(rows) < confidence**power).astype(float)


def test_bins_are_scikit_learns():
    confidence, happened = draw(500, 0)
    found = calibration(confidence, happened)
    shares, means = calibration_curve(happened, confidence, n_bins=10)
    np.testing.assert_allclose([b.share for b in found.bins], shares)
    np.testing.assert_allclose([b.confidence for b in found.bins], means)
    assert sum(b.rows for b in found.bins) == 500
    assert all(b.low <= b.confidence <= b.high and b.share_low <= b.share <= b.share_high for b in found.bins)


def test_the_error_is_the_mean_gap_of_the_rows():
    confidence, happened = draw(400, 1, power=3)
    shares, means = calibration_curve(happened, confidence, n_bins=10)
    counts = np.histogram(confidence, np.linspace(0, 1, 11))[0]
    assert calibration(confidence, happened).ece == pytest.approx(
        np.average(np.abs(shares - means), weights=counts)
    )


def test_a_weight_counts_as_so_many_rows():
    confidence, happened = draw(200, 2, power=2)
    weight = np.random.default_rng(3).integers(1, 4, 200).astype(float)
    repeated = [np.repeat(array, weight.astype(int)) for array in (confidence, happened)]
    assert calibration(confidence, happened, weight).ece == pytest.approx(calibration(*repeated).ece)


def test_intervals_hold_the_error_of_endless_rows():
    """Oracle: E|p³ - p| over uniform p, each bin's gap of one sign; of 40 samples the interval misses few."""
    truth, held = 1 / 2 - 1 / 4, 0
    for seed in range(40):
        low, high = calibration(*draw(300, seed, power=3)).ece_interval
        held += low <= truth <= high
    assert held >= 34


def test_a_calibrated_model_is_not_accused():
    """Turned about what was found, the interval of a calibrated model reaches near 0, where percentiles do not."""
    ends = [calibration(*draw(300, seed)) for seed in range(20)]
    assert np.mean([found.ece_interval[0] for found in ends]) < 0.4 * np.mean([found.ece for found in ends])
    assert all(f.ece_interval[0] <= f.ece <= f.ece_interval[1] for f in ends)


def test_certain_predictions_fall_in_the_ends():
    found = calibration(np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    assert found.ece == 0 and [b.rows for b in found.bins] == [1, 2]


def test_coverage_counts_what_is_inside_with_its_weight():
    target = np.array([0.0, 1.0, 2.0, 3.0])
    found = coverage(0.5, target - 1, np.array([1.0, 0.5, 3.0, 2.0]), target, np.array([1.0, 1.0, 2.0, 4.0]))
    assert found.found == pytest.approx(3 / 8) and found.low < 3 / 8 < found.high
