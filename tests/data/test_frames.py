import datetime

import numpy as np
import pandas
import pytest

from fathom.data.frames import read_arrays, read_frame
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
        (lambda: read_arrays(np.zeros((3, 2, 2))), DataError, r"x: shape \(3, 2, 2\) is no table"),
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
