import numpy as np
import pytest

from fathom.data import SCALINGS, Column, Encoder, Schema, Table, load
from fathom.errors import DataError, UsageError

ROWS = 400
TARGET = Column("y", "target", ("a", "b"))


def numeric_schema(count, **options):
    return Schema(tuple(Column(f"x{i}", "numeric", **options) for i in range(count)), TARGET)


def only_numbers(values):
    return Table(values, np.empty((len(values), 0), dtype=object))


def correlated(columns=5):
    random = np.random.default_rng(3)
    mixing = random.normal(size=(columns, columns))
    return random.normal(size=(ROWS, columns)) @ mixing * [1, 1e3, 1e-3, 5, 1] + [0, 10, 1, -7, 1e3]


@pytest.fixture
def mixed():
    random = np.random.default_rng(0)
    schema = Schema(
        (
            Column("size", "numeric", has_missing=True),
            Column("color", "categorical", ("blue", "red")),
            Column("on", "boolean"),
            Column("day", "date"),
        ),
        TARGET,
    )
    numeric = np.stack(
        [random.normal(size=ROWS), random.integers(0, 2, ROWS), 18_000.0 + np.arange(ROWS)], axis=1
    )
    numeric[::7, 0] = np.nan
    return schema, Table(numeric, random.integers(0, 2, (ROWS, 1), dtype=np.int32))


def test_inputs_and_their_names(mixed):
    schema, table = mixed
    encoder = Encoder.fit(schema, table, np.arange(ROWS), scaling="none")
    assert encoder.feature_names == (
        "size", "day (days)", "day (month)", "day (weekday)", "on", "size is missing",
        "color=blue", "color=red", "color=(other)", "color=(missing)",
    )  # fmt: skip
    inputs = encoder.encode(table)
    assert inputs.dtype == np.float32
    assert inputs.shape == (ROWS, encoder.features)
    present = table.numeric[:, 0][~np.isnan(table.numeric[:, 0])]
    np.testing.assert_allclose(inputs[::7, 0], np.median(present), rtol=1e-6)
    np.testing.assert_array_equal(inputs[:, 5], np.isnan(table.numeric[:, 0]))
    np.testing.assert_array_equal(inputs[:, 4], table.numeric[:, 1])
    np.testing.assert_array_equal(inputs[:, 7], table.categorical[:, 0] == 1)
    np.testing.assert_array_equal(inputs[:, 6:].sum(axis=1), 1)


def test_date_parts():
    # Oracle: Python's calendar.
    import datetime

    days = np.array([-400.0, 0.0, 59.0, 18_321.75])
    schema = Schema((Column("day", "date"),), TARGET)
    table = only_numbers(days[:, None])
    inputs = Encoder.fit(schema, table, np.arange(4), scaling="none").encode(table)
    dates = [datetime.date(1970, 1, 1) + datetime.timedelta(days=int(np.floor(day))) for day in days]
    assert inputs[:, 0].tolist() == days.tolist()
    assert inputs[:, 1].tolist() == [date.month for date in dates]
    assert inputs[:, 2].tolist() == [date.weekday() for date in dates]


def test_standardize_matches_numpy():
    values = correlated()
    rows = np.arange(0, ROWS, 2)
    inputs = Encoder.fit(numeric_schema(5), only_numbers(values), rows).encode(only_numbers(values))
    expected = (values - values[rows].mean(axis=0)) / values[rows].std(axis=0)
    np.testing.assert_allclose(inputs, expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("scaling", ["pca", "zca", "cholesky"])
def test_whitening_gives_the_identity(scaling):
    # Oracle: the covariance as NumPy computes it.
    values = correlated()
    rows = np.arange(100, 300)
    encoder = Encoder.fit(numeric_schema(5), only_numbers(values), rows, scaling=scaling)
    inputs = encoder.encode(only_numbers(values))[rows].astype(np.float64)
    np.testing.assert_allclose(np.cov(inputs.T, bias=True), np.eye(5), atol=1e-4)
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-4)


def test_each_whitening_has_its_own_form():
    values = correlated()

    def fit(scaling):
        return Encoder.fit(numeric_schema(5), only_numbers(values), np.arange(ROWS), scaling=scaling)

    zca, cholesky, pca = (fit(name).scaling.rotation for name in ("zca", "cholesky", "pca"))
    np.testing.assert_allclose(zca, zca.T, atol=1e-8)
    np.testing.assert_allclose(cholesky, np.tril(cholesky), atol=1e-10)
    unrotated = pca @ pca.T
    np.testing.assert_allclose(unrotated, np.diag(np.diag(unrotated)), atol=1e-6 * unrotated.max())
    assert (np.diff(np.diag(unrotated)) > 0).all()
    assert fit("pca").feature_names[:2] == ("pc1", "pc2")


@pytest.mark.parametrize("scaling", SCALINGS)
def test_constant_and_dependent_columns_stay_small(scaling):
    random = np.random.default_rng(0)
    values = random.normal(size=(ROWS, 4))
    values[:, 1] = 3.0
    values[:, 3] = values[:, 0] - 2 * values[:, 2]
    encoder = Encoder.fit(numeric_schema(4), only_numbers(values), np.arange(ROWS), scaling=scaling)
    assert scaling == "quantile" or encoder.scaling.scale[1] == 1.0
    inputs = encoder.encode(only_numbers(values))
    assert np.isfinite(inputs).all()
    assert np.abs(inputs).max() < 10


@pytest.mark.parametrize("scaling", SCALINGS)
def test_only_the_training_rows_are_looked_at(scaling, mixed):
    # A planted leak: whatever the other rows hold, nothing that was fitted may move.
    schema, table = mixed
    rows = np.arange(0, ROWS, 3)
    others = np.setdiff1d(np.arange(ROWS), rows)
    spoiled = Table(table.numeric.copy(), table.categorical.copy())
    spoiled.numeric[others] = 12_345.0
    spoiled.categorical[others] = 2
    target = np.random.default_rng(1).normal(size=ROWS)
    leaked = target.copy()
    leaked[others] = 1e9
    clean = Encoder.fit(schema, table, rows, scaling=scaling, target=target)
    dirty = Encoder.fit(schema, spoiled, rows, scaling=scaling, target=leaked)
    for name, array in clean.arrays().items():
        np.testing.assert_array_equal(array, dirty.arrays()[name], err_msg=name)
    assert clean.feature_names == dirty.feature_names


def test_every_fold_has_arrays_of_one_shape(mixed):
    schema, table = mixed
    table.numeric[:50, 0] = np.nan
    shapes = [
        {
            name: array.shape
            for name, array in Encoder.fit(schema, table, rows, scaling="zca").arrays().items()
        }
        for rows in (np.arange(50), np.arange(100, 101), np.arange(ROWS))
    ]
    assert shapes[0] == shapes[1] == shapes[2]


def test_a_slot_without_training_rows_is_what_it_may_be(mixed):
    # Oracle: the shares of the training rows; blue and red were seen, "(other)" and missing were not.
    schema, table = mixed
    encoder = Encoder.fit(schema, table, np.arange(ROWS))
    red = float((table.categorical[:, 0] == 1).mean())
    codes = np.array([[2], [3], [1]], dtype=np.int32)
    inputs = encoder.encode(Table(table.numeric[:3], codes))
    np.testing.assert_allclose(inputs[:, 6:], [[1 - red, red, 0, 0]] * 2 + [[0, 1, 0, 0]], rtol=1e-6)


def test_missing_cells_have_a_slot_of_their_own_once_seen(mixed):
    schema, table = mixed
    table.categorical[:20] = 3
    inputs = Encoder.fit(schema, table, np.arange(ROWS)).encode(table)
    np.testing.assert_array_equal(inputs[:20, 6:], [[0, 0, 0, 1]] * 20)


def test_words_are_counted():
    schema = Schema((Column("said", "text", buckets=8),), TARGET)
    texts = np.array([["yes yes no"], [None]], dtype=object)
    table = Table(np.zeros((2, 0)), np.zeros((2, 0), dtype=np.int32), texts)
    inputs = Encoder.fit(schema, table, np.arange(2)).encode(table)
    assert sorted(inputs[0][inputs[0] > 0]) == pytest.approx(np.log([2, 3]))
    assert not inputs[1].any()


def test_missing_where_training_had_none():
    values = np.random.default_rng(0).normal(size=(50, 2))
    encoder = Encoder.fit(numeric_schema(2), only_numbers(values), np.arange(50))
    inputs = encoder.encode(only_numbers(np.full((1, 2), np.nan)))
    np.testing.assert_allclose(
        inputs[0], (np.median(values, axis=0) - values.mean(0)) / values.std(0), rtol=1e-4
    )


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("value", [1e300, -1e300, 1e-300])
def test_huge_values_stay_finite(scaling, value):
    values = np.random.default_rng(0).normal(size=(50, 2))
    values[3, 0] = value
    encoder = Encoder.fit(numeric_schema(2), only_numbers(values), np.arange(50), scaling=scaling)
    assert np.isfinite(encoder.encode(only_numbers(values))).all()
    encoder = Encoder.fit(numeric_schema(2), only_numbers(values), np.arange(10, 50), scaling=scaling)
    assert np.isfinite(encoder.encode(only_numbers(values))).all()


def test_regression_target_there_and_back():
    data = load("diabetes")
    rows = np.arange(300)
    encoder = Encoder.fit(data.schema, data.table, rows, target=data.target)
    trained = encoder.encode_target(data.target)
    assert trained.dtype == np.float32
    np.testing.assert_allclose([trained[rows].mean(), trained[rows].std()], [0, 1], atol=1e-5)
    np.testing.assert_allclose(encoder.decode_target(trained), data.target, rtol=1e-5)
    plain = Encoder.fit(load("iris").schema, load("iris").table, np.arange(150))
    assert (plain.target_center, plain.target_scale) == (0.0, 1.0)
    assert plain.encode_target(load("iris").target).dtype == np.int32


@pytest.mark.parametrize("scaling", SCALINGS)
def test_arrays_store_an_encoder(scaling, mixed):
    schema, table = mixed
    encoder = Encoder.fit(schema, table, np.arange(200), scaling=scaling)
    again = Encoder.from_arrays(Schema.from_dict(schema.to_dict()), encoder.arrays(), scaling)
    np.testing.assert_array_equal(encoder.encode(table), again.encode(table))
    with pytest.raises(DataError, match=r"the stored encoder lacks scale;"):
        Encoder.from_arrays(
            schema, {k: v for k, v in encoder.arrays().items() if k != "scaling.scale"}, scaling
        )


def test_categories_alone():
    schema = Schema((Column("c", "categorical", ("a", "b")),), TARGET)
    table = Table(np.zeros((2, 0)), np.array([[0], [1]], dtype=np.int32))
    for scaling in SCALINGS:
        inputs = Encoder.fit(schema, table, np.arange(2), scaling=scaling).encode(table)
        np.testing.assert_array_equal(inputs, [[1, 0, 0, 0], [0, 1, 0, 0]])


def test_misuse():
    values = only_numbers(np.zeros((3, 1)))
    with pytest.raises(UsageError, match=r"scaling='standard' is not known.*did you mean 'standardize'"):
        Encoder.fit(numeric_schema(1), values, np.arange(3), scaling="standard")
    with pytest.raises(DataError, match=r"at least one training row"):
        Encoder.fit(numeric_schema(1), values, np.arange(0))
