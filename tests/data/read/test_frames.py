import datetime
import decimal

import numpy as np
import pandas
import pytest
from scipy.sparse import csr_array

from fathom.data.read.frames import image_shape, read_arrays, read_frame
from fathom.errors import DataError, UsageError


def by_name(columns):
    return {column.name: column for column in columns}


def test_pandas_columns():
    frame = pandas.DataFrame(
        {
            "whole": pandas.array([1, None, 3], dtype="Int64"),
            "real": np.array([0.5, np.nan, 2.0], dtype=np.float32),
            "on": [True, False, True],
            "maybe": pandas.array([True, None, False], dtype="boolean"),
            "word": ["a", None, "?"],
            "numbers": ["1", "?", "2.5"],
            "code": pandas.Categorical([1, 2, 1]),
            "day": pandas.to_datetime(["1970-01-02", None, "1970-01-04"]),
            "zoned": pandas.to_datetime(["1970-01-02T06:00+06:00"] * 3, utc=True),
            "mixed": ["x", 1.5, None],
        }
    )
    columns = by_name(read_frame(frame))
    assert {name: column.kind for name, column in columns.items()} == {
        "whole": "number", "real": "number", "on": "boolean", "maybe": "boolean", "word": "text",
        "numbers": "number", "code": "text", "day": "date", "zoned": "date", "mixed": "text",
    }  # fmt: skip
    np.testing.assert_array_equal(columns["whole"].values, [1, np.nan, 3])
    np.testing.assert_array_equal(columns["maybe"].values, [1, np.nan, 0])
    assert columns["word"].values.tolist() == ["a", None, None]
    np.testing.assert_array_equal(columns["numbers"].values, [1, np.nan, 2.5])
    assert columns["code"].values.tolist() == ["1", "2", "1"]
    np.testing.assert_array_equal(columns["day"].values, [1, np.nan, 3])
    np.testing.assert_array_equal(columns["zoned"].values, [1, 1, 1])
    assert columns["mixed"].values.tolist() == ["x", "1.5", None]


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_other_frames(library):
    module = pytest.importorskip(library)
    cells = {
        "n": [1, None, 3],
        "t": ["a", "b", None],
        "b": [True, None, False],
        "d": [datetime.date(1970, 1, 2)] * 3,
    }
    frame = module.DataFrame(cells) if library == "polars" else module.table(cells)
    columns = by_name(read_frame(frame))
    assert [column.kind for column in columns.values()] == ["number", "text", "boolean", "date"]
    np.testing.assert_array_equal(columns["n"].values, [1, np.nan, 3])
    assert columns["t"].values.tolist() == ["a", "b", None]
    np.testing.assert_array_equal(columns["b"].values, [1, np.nan, 0])
    assert columns["d"].values.tolist() == [1, 1, 1]


def test_a_record_batch_is_read_as_its_table():
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"n": [1.5, None, 3], "t": ["a", None, "b"]})
    whole, batch = read_frame(table), read_frame(table.to_batches()[0])
    assert [(c.name, c.kind) for c in batch] == [(c.name, c.kind) for c in whole]
    np.testing.assert_array_equal(batch[0].values, [1.5, np.nan, 3])
    assert [c.name for c in read_arrays(table.to_batches()[0], [0, 1, 0])] == ["n", "t", "y"]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_an_index_made_a_column_is_passed_over(library):
    module = pytest.importorskip(library)
    cells = {"a": [1, 2], "__index_level_0__": [5, 7], "__index_level_1__": [8, 9], "__index_level__": [3, 4]}
    frame = module.table(cells) if library == "pyarrow" else module.DataFrame(cells)
    assert [column.name for column in read_frame(frame)] == ["a", "__index_level__"]


def test_mapping_and_numbered_columns():
    assert [c.name for c in read_frame({"a": [1, 2], "b": ["x", "y"]})] == ["a", "b"]
    assert [c.name for c in read_frame(pandas.DataFrame(np.zeros((2, 2))))] == ["0", "1"]


def test_arrays():
    columns = read_arrays(np.arange(6.0).reshape(3, 2), ["a", "b", "a"])
    assert [(c.name, c.kind) for c in columns] == [("x0", "number"), ("x1", "number"), ("y", "text")]
    assert columns[1].values.tolist() == [1, 3, 5]
    assert [c.name for c in read_arrays(np.arange(3.0), np.ones((3, 1)))] == ["x0", "y"]
    assert [c.name for c in read_arrays(pandas.DataFrame({"a": [1, 2]}), [0, 1])] == ["a", "y"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: read_arrays(np.zeros((3, 2)), np.zeros(4)),
            DataError,
            r"y: shape \(4,\) does not fit 3 rows",
        ),
        (
            lambda: read_arrays(np.zeros((3, 2, 2, 2, 2))),
            DataError,
            r"x: shape \(3, 2, 2, 2, 2\) is no table",
        ),
        (lambda: read_arrays([[1, 2], [3]]), DataError, r"x is no array"),
        (
            lambda: read_arrays(csr_array((10**6, 10**4))),
            DataError,
            r"sparse matrix .* 74.5 GiB; at most 2 GiB",
        ),
        (
            lambda: read_frame(
                pandas.DataFrame([[1, 2]], columns=pandas.MultiIndex.from_tuples([("a", "b")] * 2))
            ),
            DataError,
            r"have 2 levels; give each one name",
        ),
        (lambda: read_arrays(np.zeros((0, 2))), DataError, r"is no table"),
        (lambda: read_arrays(pandas.DataFrame({"y": [1]}), [1]), DataError, r"x has a column named 'y'"),
        (lambda: read_frame({"a": [1], "b": [1, 2]}), DataError, r"differ in length"),
        (lambda: read_frame(pandas.DataFrame({"a": []})), DataError, r"data frame is empty"),
        (
            lambda: read_frame(pandas.DataFrame([[1, 2]], columns=["a", "a"])),
            DataError,
            r"data frame|more than once",
        ),
        (lambda: read_frame(object()), UsageError, r"source of type 'object' is no data"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_infinities_count_as_missing():
    for source in ({"a": [1.0, np.inf]}, pandas.DataFrame({"a": [1.0, -np.inf]})):
        assert np.isnan(read_frame(source)[0].values).tolist() == [False, True]


def test_spans_decimals_and_zones():
    # Oracle: a day is 86,400 seconds; 06:00 at +06:00 is midnight in UTC.
    day = pandas.Timestamp("1970-01-03T06:00", tz="Asia/Dhaka")
    frame = pandas.DataFrame(
        {
            "span": pandas.to_timedelta(["1 days", None, "90s"]),
            "time": [datetime.time(1, 0, 30), None, datetime.time(0, 0, 1)],
            "price": [decimal.Decimal("1.25"), None, decimal.Decimal("3")],
            "zoned": [day, pandas.NaT, day],
            "small": pandas.array([1, None, 300], dtype="Int16"),
        },
        index=["p", "q", "r"],
    )
    found = by_name(read_frame(frame))
    np.testing.assert_array_equal(found["span"].values, [86400, np.nan, 90])
    np.testing.assert_array_equal(found["price"].values, [1.25, np.nan, 3])
    np.testing.assert_array_equal(found["zoned"].values, [2, np.nan, 2])
    np.testing.assert_array_equal(found["small"].values, [1, np.nan, 300])
    assert [found[name].kind for name in ("span", "price", "zoned", "small")] == [
        "number",
        "number",
        "date",
        "number",
    ]
    assert "p" not in found
    array = read_frame({"span": np.array([90, "NaT"], dtype="timedelta64[s]")})[0]
    np.testing.assert_array_equal(array.values, [90, np.nan])


def test_images_keep_their_type_and_place():
    # Oracle: NumPy's own indexing.
    x = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    columns = by_name(read_arrays(x))
    assert columns["pixel_2_1_0"].values.dtype == np.uint8
    assert all(
        (columns[f"pixel_{r}_{c}_{k}"].values == x[:, r, c, k]).all() for r, c, k in np.ndindex(3, 4, 3)
    )
    grey = x[..., 0]
    assert read_arrays(grey)[5].name == "pixel_1_1"
    np.testing.assert_array_equal(read_arrays(grey)[5].values, grey[:, 1, 1])
    tall = np.zeros((2, 3, 8, 6))
    assert [c.name for c in read_arrays(tall)] == [c.name for c in read_arrays(np.moveaxis(tall, 1, -1))]
    assert image_shape(tall.shape) == (8, 6, 3)


def test_sparse_matrices_are_written_out():
    dense = np.array([[0.0, 2.0], [3.0, 0.0]])
    columns = read_arrays(csr_array(dense), [0, 1])
    np.testing.assert_array_equal([column.values for column in columns[:2]], dense.T)


def test_a_name_that_comes_twice_is_refused():
    with pytest.raises(DataError, match=r"column 'a' occurs more than once in the data frame"):
        read_frame(pandas.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]))
