"""Oracles: scikit-learn's permutation importance and partial dependence of the same model."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import partial_dependence as sk_dependence
from sklearn.inspection import permutation_importance as sk_importance
from sklearn.linear_model import LogisticRegression

from fathom.analysis import (
    partial_dependence,
    permutation_importance,
    places,
    quantile_grid,
    scorer,
)
from fathom.analysis.columns import RawPlace
from fathom.analysis.importance import ROWS
from fathom.data import Column, Schema, Table, load


def table_of(x):
    columns = [RawPlace(f"x{i}", "numeric", i) for i in range(x.shape[1])]
    return Table(x, np.zeros((len(x), 0), np.int32)), columns


@pytest.fixture(scope="module")
def forest():
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 4))
    y = 3 * x[:, 0] + np.square(x[:, 1]) + 0.2 * random.normal(size=600)
    return RandomForestRegressor(20, random_state=0).fit(x[:300], y[:300]), x[300:], y[300:]


def importances(model, x, y, **options):
    table, columns = table_of(x)
    found = permutation_importance(
        lambda t: model.predict(t.numeric),
        table,
        columns,
        lambda p: scorer("mae", p, y),
        rising=False,
        **options,
    )
    return {one.feature: one for one in found}


def test_importance_is_scikit_learns_within_its_own_noise(forest):
    model, x, y = forest
    found = importances(model, x, y)
    expected = sk_importance(model, x, y, scoring="neg_mean_absolute_error", n_repeats=20, random_state=1)
    for place in range(4):
        # Both are means over permutations: the error of each is its deviation over the root of their number.
        error = expected.importances_std[place] * np.sqrt(1 / 5 + 1 / 20)
        assert found[f"x{place}"].mean == pytest.approx(
            expected.importances_mean[place], abs=4 * error + 1e-9
        )
    assert list(found)[:2] == ["x0", "x1"]


def test_a_column_that_nothing_is_read_from_is_worth_exactly_nothing():
    random = np.random.default_rng(1)
    x = random.normal(size=(200, 3))
    y = (x[:, 0] > 0).astype(int)
    model = LogisticRegression().fit(x[:, :2], y)
    table, columns = table_of(x)
    found = permutation_importance(
        lambda t: model.predict_log_proba(t.numeric[:, :2]),
        table,
        columns,
        lambda p: scorer("accuracy", p, y),
        rising=True,
    )
    last = next(one for one in found if one.feature == "x2")
    assert (last.mean, last.low, last.high) == (0.0, 0.0, 0.0)
    assert found[0].feature == "x0" and found[0].low > 0.2


def test_a_constant_column_is_not_asked_about(forest):
    model, x, y = forest
    x = x.copy()
    x[:, 3] = np.nan
    asked = []

    class Model:
        def predict(self, rows):
            asked.append(len(rows))
            return model.predict(np.nan_to_num(rows))

    found = importances(Model(), x, y, repeats=2)
    assert found["x3"].mean == 0 and sum(asked) == 300 * (1 + 3 * 2)
    assert max(asked) <= ROWS


def test_memory_is_bounded_and_changes_nothing(forest):
    model, x, y = forest
    assert importances(model, x, y, most_rows=301) == importances(model, x, y)


def test_rows_of_no_weight_do_not_count(forest):
    model, x, y = forest
    spoiled = y.copy()
    spoiled[:50] = 1000.0
    weight = np.ones(300)
    weight[:50] = 0
    found = importances(model, x, spoiled, weight=weight)
    assert found["x0"].mean == pytest.approx(importances(model, x, y)["x0"].mean, rel=0.2)


def test_intervals_of_importance_hold_that_of_many_more_rows():
    """Oracle: the closed form for y = 2 x0: permuting x0 makes the mean absolute error E|2 (x - x')| = 4 / √π."""
    truth, held = 4 / np.sqrt(np.pi), 0
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=(150, 1))

        class Model:
            def predict(self, rows):
                return 2 * rows[:, 0]

        one = importances(Model(), x, 2 * x[:, 0])["x0"]
        held += one.low <= truth <= one.high
    assert held >= 16


def test_categories_and_texts_move_as_they_are():
    schema = Schema(
        (
            Column("age", "numeric"),
            Column("town", "categorical", ("a", "b")),
            Column("note", "text", buckets=4),
        ),
        Column("y", "target"),
    )
    random = np.random.default_rng(2)
    town, note = (
        random.integers(0, 3, (80, 1)),
        np.array([["up"], ["down"]], object)[random.integers(0, 2, 80)],
    )
    table = Table(random.normal(size=(80, 1)), town.astype(np.int32), note)
    target = town[:, 0] + 10.0 * (note[:, 0] == "up")
    seen = set()

    def predict(rows):
        seen.update(rows.categorical[:, 0].tolist())
        return rows.categorical[:, 0] + 10.0 * (rows.text[:, 0] == "up")

    before = town.copy(), note.copy()
    found = permutation_importance(
        predict, table, places(schema), lambda p: scorer("mae", p, target), rising=False
    )
    assert [one.feature for one in found] == ["note", "town", "age"] and found[2].mean == 0
    assert seen == set(town[:, 0].tolist())
    np.testing.assert_array_equal(table.categorical, before[0])  # the table itself stays as it was
    np.testing.assert_array_equal(table.text, before[1])


@pytest.mark.parametrize("place", [0, 1])
def test_dependence_is_scikit_learns(forest, place):
    model, x, _ = forest
    table, columns = table_of(x)
    expected = sk_dependence(model, x, [place], grid_resolution=9, method="brute")
    grid = expected["grid_values"][0]
    found = partial_dependence(lambda t: model.predict(t.numeric), table, columns[place], grid)
    np.testing.assert_allclose(found, expected["average"][0], rtol=1e-9)


def test_dependence_of_probabilities_is_scikit_learns_class_by_class():
    data = load("iris")
    model = LogisticRegression(max_iter=500).fit(data.table.numeric, data.target)
    expected = sk_dependence(
        model, data.table.numeric, [2], grid_resolution=7, response_method="predict_proba"
    )
    found = partial_dependence(
        lambda t: model.predict_proba(t.numeric),
        data.table,
        places(data.schema)[2],
        expected["grid_values"][0],
        most_rows=400,  # two values at a time
    )
    np.testing.assert_allclose(found.T, expected["average"], rtol=1e-9)


def test_the_grid_follows_the_rows():
    values = np.random.default_rng(0).exponential(size=5000)
    grid = quantile_grid(values, 11)
    np.testing.assert_allclose(grid, np.quantile(values, np.linspace(0.02, 0.98, 11)))
    assert quantile_grid(np.full(4, np.nan)).shape == (0,)
