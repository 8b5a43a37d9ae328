"""What a user says of columns: kinds, and the roles that a column has for its row."""

import numpy as np
import pytest

from fathom.data import load, read_new
from fathom.data.schema import Schema
from fathom.errors import DataError, UsageError

ROWS = 120


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    return {
        "x": random.normal(size=ROWS),
        "zip": random.choice([1067, 80331, 10115], ROWS),
        "when": [f"{1 + row % 12}/{1 + row % 9}/2024" for row in range(ROWS)],
        "w": random.uniform(size=ROWS),
        "who": [("ann", "bob", None)[number] for number in random.integers(0, 3, ROWS)],
        "part": ["Train", "val", "test", None] * (ROWS // 4),
        "said": [f"the weather {row} is fine" for row in range(ROWS)],
        "y": np.arange(ROWS) % 2,
    }


def test_kinds_are_as_said(table):
    said = {"zip": "categorical", "when": "day-first", "x": "ignore", "said": "text:8", "part": "ignore"}
    schema = load(table, "y", columns=said).schema
    kinds = {column.name: column.kind for column in (*schema.columns, *schema.ignored)}
    assert kinds == {
        "x": "ignore", "zip": "categorical", "when": "date", "w": "numeric", "who": "categorical",
        "part": "ignore", "said": "text",
    }  # fmt: skip
    by_name = {column.name: column for column in schema.columns}
    assert by_name["zip"].categories == ("10115", "1067", "80331")
    assert by_name["said"].buckets == 8
    assert by_name["when"].style == "day first"
    assert Schema.from_dict(schema.to_dict()) == schema


def test_roles_are_no_inputs_and_are_not_needed_to_predict(table):
    roles = {"w": "weight", "who": "group", "when": "month-first", "part": "split"}
    data = load(table, "y", columns=roles)
    np.testing.assert_array_equal(data.weight, table["w"])
    assert data.part is not None
    assert data.part[:4].tolist() == [0, 1, 2, -1]
    assert data.group is not None
    named = np.array([who is not None for who in table["who"]])
    assert len(np.unique(data.group[named])) == 2
    assert len(np.unique(data.group[~named])) == (~named).sum()
    assert not {"w", "who", "part"} & {column.name for column in data.schema.columns}
    new = {name: values[:5] for name, values in table.items() if name not in ("w", "who", "part", "y")}
    read = read_new(new, data.schema)
    assert (len(read.table), read.weight, read.notes) == (5, None, ())
    weighted = read_new({**new, "w": np.ones(5), "y": [0, 1, 0, 1, 0]}, data.schema)
    assert weighted.weight is not None
    assert weighted.weight.tolist() == [1] * 5


def test_time_is_a_number_or_a_date(table):
    dates = np.datetime64("2024-01-01") + np.arange(ROWS)
    for values, first in ((np.arange(5, 5 + ROWS), 5.0), (dates.astype(str), 19723.0), (dates, 19723.0)):
        data = load({**table, "t": values}, "y", columns={"t": "time"})
        assert data.time is not None
        assert data.time[0] == first
    with pytest.raises(DataError, match=r"column 'who' is no time"):
        load(table, "y", columns={"who": "time"})


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        (
            {"zap": "text"},
            UsageError,
            r"columns: 'zap' is no column; the columns are: x, zip.*did you mean 'zip'\?",
        ),
        ({"a": "text", "b": "text"}, UsageError, r"columns: 'a', 'b' are no columns"),
        (
            {"zip": "categoric"},
            UsageError,
            r"columns: zip='categoric' is not known; .*did you mean 'categorical'",
        ),
        ({"x": "text:0"}, UsageError, r"x='text:0' is not known"),
        ({"y": "numeric"}, UsageError, r"columns: 'y' is the target; use kind="),
        ({"x": "weight", "w": "weight"}, UsageError, r"'x' and 'w' both are 'weight'"),
        ({"x": "weight"}, DataError, r"column 'x', row \d+: the weight is -.*from 0 up"),
        ({"who": "split"}, DataError, r"'(ann|bob)' is no part; write train, validation or test"),
        ({"said": "numeric"}, DataError, r"column 'said', row 1: 'the weather 0 is fine' is no number"),
        ({"when": "date"}, DataError, r"may have the day or the month first.*'day-first' or 'month-first'"),
        ({"said": "date"}, DataError, r"is no date"),
        ({"zip": "boolean"}, DataError, r"numbers other than 0 and 1"),
    ],
)
def test_refusals(table, columns, error, message):
    with pytest.raises(error, match=message) as caught:
        load(table, "y", columns=columns)
    assert "\n" not in str(caught.value)


def test_words_for_true_and_false_are_read_where_said(table):
    yes = ["Yes", "no"] * (ROWS // 2)
    data = load({"x": table["x"], "ok": yes, "y": table["y"]}, "y", columns={"ok": "boolean"})
    assert data.table.numeric[:4, 1].tolist() == [1, 0, 1, 0]


def test_unix_time_only_where_said(table):
    seconds = 1_700_000_000.0 + 3600 * np.arange(ROWS)
    source = {"at": seconds, "x": table["x"], "y": table["y"]}
    assert load(source, "y").schema.columns[0].kind == "numeric"
    data = load(source, "y", columns={"at": "date"})
    assert (data.schema.columns[0].kind, data.schema.columns[0].style) == ("date", "unix s")
    np.testing.assert_allclose(data.table.numeric[:, 0], seconds / 86400)
    np.testing.assert_allclose(
        read_new({"at": seconds[:2], "x": [0, 0]}, data.schema).table.numeric[:, 0], seconds[:2] / 86400
    )


def test_packed_dates_by_their_name(table):
    days = [20240101 + row % 28 for row in range(ROWS)]
    source = {"order_date": days, "amount": days, "x": table["x"], "y": table["y"]}
    kinds = [column.kind for column in load(source, "y").schema.columns]
    assert kinds == ["date", "numeric", "numeric"]


def test_parts_of_a_date_are_those_that_vary(table):
    moments = [f"2024-03-{1 + row % 28:02d} {row % 24:02d}:30" for row in range(ROWS)]
    source = {
        "moment": moments,
        "month": [f"2024-{1 + row % 12:02d}" for row in range(ROWS)],
        "clock": [f"{row % 24}:15" for row in range(ROWS)],
        "y": table["y"],
    }
    parts = {column.name: column.parts for column in load(source, "y").schema.columns}
    assert parts == {"moment": ("days", "weekday", "hour"), "month": ("days", "month"), "clock": ("hour",)}
