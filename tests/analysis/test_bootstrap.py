import numpy as np
import pytest
from scipy.stats import binomtest

from fathom.analysis import interval, paired_differences, resampled, score_interval, scorer, wilson
from fathom.analysis.bootstrap import draws, resamples


def mean_of(values):
    return lambda weights: weights @ values / weights.sum(1)


def test_the_interval_of_a_mean_is_that_of_the_closed_form():
    values = np.random.default_rng(0).exponential(size=800)
    low, high = score_interval(mean_of(values), len(values))
    half = 1.96 * values.std() / np.sqrt(len(values))
    # The quantiles of 1,000 drawings are themselves off by a few percent of the half width.
    assert low == pytest.approx(values.mean() - half, abs=0.12 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.12 * half)


def test_the_interval_of_a_weighted_mean_is_that_of_the_closed_form():
    random = np.random.default_rng(1)
    values, weight = random.normal(size=900), random.exponential(size=900)
    low, high = score_interval(mean_of(values), 900, weight)
    mean = np.average(values, weights=weight)
    # The delta method for a ratio of sums.
    half = 1.96 * np.sqrt(np.square(weight * (values - mean)).sum()) / weight.sum()
    np.testing.assert_allclose([low, high], [mean - half, mean + half], atol=0.12 * half)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Oracle: the share of 200 samples whose interval holds the true mean; its standard error is 1.5 %."""
    random, held = np.random.default_rng(2), 0
    for _ in range(200):
        values = random.normal(1.0, 1.0, 60)
        found = interval(resampled([mean_of(values)], 60, most=300)[0])
        held += found[0] <= 1.0 <= found[1]
    assert 0.89 <= held / 200 <= 0.99


def test_drawings_are_whole_samples_and_the_same_every_time():
    first, again = (np.concatenate(list(draws(50))) for _ in range(2))
    assert first.shape == (1000, 50) and (first.sum(1) == 50).all()
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first, axis=0)) == 1000


def test_many_rows_are_drawn_fewer_times():
    assert [resamples(rows) for rows in (1, 10_000, 100_000, 10_000_000)] == [1000, 1000, 500, 100]


def test_paired_differences_are_those_of_the_rows_differences():
    random = np.random.default_rng(3)
    hard = random.normal(0, 5, 400)  # what both find hard
    ours, theirs = hard + random.normal(0, 0.3, 400), hard + 0.1 + random.normal(0, 0.3, 400)
    ((difference, low, high),) = paired_differences(mean_of(ours), [mean_of(theirs)], 400)
    each = ours - theirs
    half = 1.96 * each.std() / 20
    assert difference == pytest.approx(each.mean())
    np.testing.assert_allclose([low, high], [each.mean() - half, each.mean() + half], atol=0.15 * half)
    assert high < 0  # found, though each mean alone is uncertain by ± 0.5


def test_equal_predictions_do_not_differ():
    found = np.log([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    score = scorer("roc_auc", found, np.array([0, 1, 1]))
    assert paired_differences(score, [score], 3)[0] == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("right", "rows"), [(0, 5), (9, 10), (50, 100), (997, 1000)])
def test_wilson_is_scipys(right, rows):
    expected = binomtest(right, rows).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(wilson(right / rows, rows), (expected.low, expected.high), atol=1e-6)


def test_nothing_finite_has_no_interval():
    assert np.isnan(interval(np.full(10, np.nan))).all()
