"""The scalings against scikit-learn's and closed forms; the whitenings are tested through the encoder."""

import numpy as np
import pytest
from scipy.stats import norm

from fathom.data.scaling import Scaling
from fathom.errors import UsageError


def test_quantile_is_the_normal_score_where_no_value_comes_twice():
    # Oracle: the rank of each value, (rank + 1/2) / rows, through the inverse of the normal distribution.
    values = np.random.default_rng(0).gamma(2.0, size=(400, 2))
    found = Scaling.fit("quantile", values).apply(values)
    rank = values.argsort(axis=0).argsort(axis=0)
    np.testing.assert_allclose(found, norm.ppf((rank + 0.5) / 400), atol=1e-6)


def test_quantile_of_many_rows_is_near_scikit_learn_s():
    from sklearn.preprocessing import QuantileTransformer

    random = np.random.default_rng(1)
    values, new = random.lognormal(size=(20_000, 1)), random.lognormal(size=(500, 1))
    oracle = QuantileTransformer(n_quantiles=1000, output_distribution="normal", subsample=None).fit(values)
    found = Scaling.fit("quantile", values).apply(new)[:, 0]
    expected = oracle.transform(new)[:, 0]
    inside = np.abs(expected) < 2.5
    assert np.abs(found - expected)[inside].max() < 0.05


def test_rare_values_beside_many_twins_have_room():
    # 900 zeros and 100 different gains: √900 = 30 of 130 parts for the zeros, one part for each gain.
    values = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])[:, None]
    places = norm.cdf(Scaling.fit("quantile", values).apply(values)[:, 0])
    np.testing.assert_allclose(places[0], 15 / 130, atol=1e-9)
    np.testing.assert_allclose(places[900:], (30.5 + np.arange(100)) / 130, atol=1e-9)


def test_quantile_beyond_and_between_the_rows():
    fitted = Scaling.fit("quantile", np.array([[0.0], [1.0], [2.0]]))
    found = norm.cdf(fitted.apply(np.array([[-9.0], [0.5], [1.5], [9.0]]))[:, 0])
    np.testing.assert_allclose(found, [1 / 6, 1 / 3, 2 / 3, 5 / 6], atol=1e-9)


def test_robust_against_its_formula():
    values = np.array([[0.0], [1.0], [2.0], [3.0], [1000.0]])
    v = (values - 2.0) / 2.0
    np.testing.assert_allclose(Scaling.fit("robust", values).apply(values), v / np.sqrt(1 + (v / 3) ** 2))
    assert Scaling.fit("robust", values).apply(np.array([[1e12]])).item() == pytest.approx(3.0, rel=1e-6)


def test_robust_where_the_quartiles_are_equal():
    values = np.array([[0.0]] * 9 + [[4.0]])
    assert Scaling.fit("robust", values).scale.item() == 2.0
    assert Scaling.fit("robust", np.zeros((5, 1))).scale.item() == 1.0


@pytest.mark.parametrize("columns", [1, 100, 5000])
def test_quantiles_of_a_column_shrink_with_the_number_of_columns(columns):
    fitted = Scaling.fit("quantile", np.random.default_rng(0).normal(size=(600, columns)))
    assert fitted.knots.shape == (columns, {1: 512, 100: 512, 5000: 32}[columns])
    assert (np.diff(fitted.knots, axis=1) >= 0).all()


def test_columns_of_one_unit_that_never_vary_stay_as_they_are():
    fitted = Scaling.fit("shared", np.full((5, 3), 7.0))
    np.testing.assert_array_equal(fitted.apply(np.full((2, 3), 8.0)), 1.0)


@pytest.mark.parametrize("scaling", ["pca", "zca", "cholesky"])
def test_whitening_that_would_take_minutes_is_refused(scaling):
    with pytest.raises(UsageError, match=r"scaling='\w+' would take minutes for 4097 numeric inputs"):
        Scaling.fit(scaling, np.zeros((2, 4097)))
