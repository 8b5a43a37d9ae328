"""Conformal intervals. Oracles: the definition of the quantile; coverage on fresh rows."""

import numpy as np
import pytest

import fathom as fm
from fathom.errors import UsageError
from fathom.models import MLP
from fathom.study.intervals import Intervals


def test_the_radius_is_the_finite_sample_quantile():
    size = np.random.default_rng(0).exponential(size=57)
    kept = Intervals.fit(size, np.zeros(57))
    for coverage in (0.5, 0.8, 0.9, 0.95):
        place = int(np.ceil(58 * coverage))
        assert kept.radius(coverage) == np.sort(size)[place - 1]


def test_too_few_rows_promise_no_more_than_they_can():
    kept = Intervals.fit(np.array([1.0, -2.0, 3.0]), np.zeros(3))
    assert kept.radius(0.75) == 3.0 and kept.most == 0.75
    lower, upper = kept.around(np.zeros(2), None, 0.9)
    assert np.isneginf(lower).all() and np.isposinf(upper).all()


def test_equal_weights_change_nothing_and_a_heavy_row_is_its_size():
    errors = np.random.default_rng(1).normal(size=40)
    plain, same = (Intervals.fit(errors, np.zeros(40), None, w) for w in (None, np.full(40, 7.0)))
    np.testing.assert_allclose(plain.shares, same.shares)
    heavy = np.where(np.arange(40) == np.abs(errors).argmax(), 39.0, 1.0)  # half of all weight
    assert Intervals.fit(errors, np.zeros(40), None, heavy).radius(0.6) == np.abs(errors).max()


def test_many_residuals_are_thinned_to_wider_intervals_and_hardly():
    errors = np.random.default_rng(2).normal(size=30_000)
    kept = Intervals.fit(errors, np.zeros(30_000))
    assert len(kept.residuals) == 1001
    for coverage in (0.5, 0.9, 0.99):
        exact = np.quantile(np.abs(errors), coverage, method="inverted_cdf")
        assert exact <= kept.radius(coverage) <= exact * 1.02


@pytest.mark.parametrize("by", ["", "spread", "prediction"])
def test_over_many_samples_coverage_is_what_was_asked_for(by):
    """2000 rows of each of 40 draws; with a local scale only where errors grow with something."""
    found, chosen = [], []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        spread, prediction = draw.uniform(0.2, 3, 2400), draw.uniform(1, 4, 2400)
        size = {"": 1.0, "spread": spread, "prediction": prediction}[by]
        errors = draw.normal(size=2400) * size
        kept = Intervals.fit(errors[:400], prediction[:400], spread[:400])
        lower, upper = kept.around(prediction[400:], spread[400:])
        truth = prediction[400:] + errors[400:]
        found.append(np.mean((lower <= truth) & (truth <= upper)))
        chosen.append(kept.by)
    assert np.mean(found) == pytest.approx(0.9, abs=0.01)
    assert chosen.count(by) >= 30


@pytest.mark.parametrize("coverage", [0, 1, 90, -0.1, True])
def test_a_coverage_is_a_share(coverage):
    with pytest.raises(UsageError, match=r"give a share between 0 and 1, such as 0\.9"):
        Intervals.fit(np.ones(3), np.zeros(3)).radius(coverage)


def drawn(rows, seed, growing):
    draw = np.random.default_rng(seed)
    x = draw.uniform(-2, 2, (rows, 3))
    noise = draw.normal(size=rows) * (np.abs(x[:, 0]) if growing else 0.5)
    return x, np.sin(x[:, 0]) + 0.5 * x[:, 1] + noise


@pytest.mark.parametrize("growing", [False, True], ids=["even", "growing"])
@pytest.mark.parametrize(("rows", "folds"), [(800, 4), (2500, 1)])
def test_a_study_covers_fresh_rows(growing, rows, folds):
    found, alone = [], []
    for seed in range(5):
        recipe = fm.Recipe(learning_rate=[0.003, 0.01], epochs=12)
        data = fm.load(drawn(rows, seed, growing))
        model = fm.Study(data, MLP(width=16, depth=1), recipe, folds=folds, split_seed=seed).run(
            baselines=False
        )
        x, y = drawn(4000, 1000 + seed, growing)
        for predictor, shares in ((model.ensemble, found), (model.best, alone)):
            lower, upper = predictor.interval(x)
            shares.append(np.mean((lower <= y) & (y <= upper)))
    assert 0.88 <= np.mean(found) <= 0.92
    assert 0.88 <= np.mean(alone) <= 0.92
