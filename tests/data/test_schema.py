import json

import numpy as np
import pytest

from fathom.data.infer import infer_kind, infer_schema
from fathom.data.read.frames import array_column
from fathom.data.schema import Schema
from fathom.data.texts import CATEGORY_BUCKETS, MAX_CATEGORIES
from fathom.errors import DataError, UsageError

ROWS = 200


def column(name, values):
    return array_column(name, np.asarray(values))


def goal(values=None):
    return column("y", np.arange(ROWS) % 2 if values is None else values)


def inferred(*columns, **options):
    return infer_schema([*columns, goal()], "y", **options)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"] * 50, "classification"),
        ([True, False] * 50, "classification"),
        (list(range(5)) * 20, "classification"),
        (list(range(20)) * 20, "classification"),
        (list(range(21)) * 100, "regression"),
        (list(range(6)) * 10, "regression"),
        ([0, 1] * 4, "classification"),
        ([0.5, 1.5] * 50, "regression"),
        (np.linspace(0, 1, 100), "regression"),
    ],
)
def test_kind_of_task(values, kind):
    assert infer_kind(column("y", values)) == kind


def test_kind_can_be_asked_for():
    values = list(range(5)) * 20
    assert infer_kind(column("y", values), "regression") == "regression"
    schema, _ = infer_schema([column("x", np.arange(100.0)), column("y", values)], "y", kind="regression")
    assert schema.kind == "regression"
    with pytest.raises(UsageError, match=r"kind='clasification' is not known.*did you mean 'classification'"):
        infer_kind(column("y", values), "clasification")


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        (["a", "b"] * 5, "regression", r"target='y' holds no numbers"),
        (["a"] * 10, None, r"target='y' has one value only \(a\)"),
        ([1.5] * 10, None, r"target='y' has the same value in every row"),
        ([f"name {i}" for i in range(10)], None, r"10 classes in 10 rows"),
        (np.arange(10).astype("datetime64[D]"), None, r"target='y' holds dates"),
    ],
)
def test_a_target_that_cannot_be_predicted_is_refused(target, kind, message):
    with pytest.raises(DataError, match=message):
        infer_schema([column("x", np.arange(10.0)), column("y", target)], "y", kind=kind)


def test_kinds_of_columns():
    random = np.random.default_rng(0)
    schema, notes = inferred(
        column("size", random.normal(size=ROWS)),
        column("color", random.choice(["red", "blue"], ROWS)),
        column("on", random.choice(["True", "FALSE"], ROWS)),
        column("off", random.choice([True, False], ROWS)),
        column("day", np.datetime64("2020-01-01") + np.arange(ROWS)),
        column("same", np.ones(ROWS)),
        column("blank", [None] * ROWS),
        column("word", [f"w{i}" for i in range(ROWS)]),
        column("sentence", [f"u{i} v{i} w{i}" for i in range(ROWS)]),
        column("words", [f"one {i} two" for i in range(ROWS)]),
        column("user_id", random.permutation(ROWS)),
        column("count", np.arange(ROWS)),
        column("nested", np.zeros(ROWS, dtype=complex)),
    )
    assert {c.name: c.kind for c in schema.columns} == {
        "size": "numeric", "color": "categorical", "on": "boolean", "off": "boolean", "day": "date", "words": "text",
    }  # fmt: skip
    assert {c.name: c.kind for c in schema.ignored} == {
        "same": "constant", "blank": "constant", "word": "identifier", "sentence": "text",
        "user_id": "identifier", "count": "identifier", "nested": "text",
    }  # fmt: skip
    # Constants and identifiers are told as suspicions.
    assert notes == (
        "column 'sentence' is ignored: 200 different values in 200 rows (text whose words do not repeat)",
        "column 'words' is text: its words are hashed into 64 inputs",
        "column 'nested' is ignored: its values are of type complex128",
    )
    assert all(c.reason for c in schema.ignored)
    assert [c.name for c in schema.categorical] == ["color"]
    assert [c.name for c in schema.numeric] == ["size", "on", "off", "day"]


@pytest.mark.parametrize(
    "name", ["id", "ID", "user_id", "userId", "customerID", "Unnamed: 0", "index", "row number"]
)
def test_names_of_identifiers(name):
    values = np.random.default_rng(0).permutation(ROWS) * 3
    schema, _ = inferred(column(name, values), column("x", np.random.default_rng(1).normal(size=ROWS)))
    assert [c.kind for c in schema.ignored] == ["identifier"]


@pytest.mark.parametrize("name", ["paid", "humid", "grid", "avoid", "width"])
def test_names_that_only_end_like_identifiers(name):
    values = np.random.default_rng(0).permutation(ROWS) * 3
    schema, _ = inferred(column(name, values), column("x", np.random.default_rng(1).normal(size=ROWS)))
    assert not schema.ignored


def test_positions_are_kept_where_asked():
    schema, notes = inferred(column("x0", np.zeros(ROWS)), column("x1", np.arange(ROWS)), keep_all=True)
    assert [c.name for c in schema.columns] == ["x0", "x1"]
    assert not notes


def test_most_frequent_categories_are_kept():
    values = [f"c{i % 300:03d}" for i in range(3000)] + ["c299"] * 3
    target = np.arange(3003) % 2
    schema, notes = infer_schema([column("c", values), column("y", target)], "y")
    categories = schema.columns[0].categories
    assert categories is not None
    assert len(categories) == MAX_CATEGORIES
    assert "c299" in categories
    assert "c200" not in categories
    assert list(categories) == sorted(categories)
    assert schema.columns[0].buckets == CATEGORY_BUCKETS
    assert schema.columns[0].slots == MAX_CATEGORIES + CATEGORY_BUCKETS + 1
    assert notes == (
        "column 'c': the 200 most frequent of its 300 values have their own; the others share 16 inputs",
    )


def test_classes_of_numbers_are_in_numeric_order():
    schema, _ = infer_schema([column("x", np.arange(440.0) % 7), column("y", list(range(11)) * 40)], "y")
    assert schema.target.categories == tuple(str(i) for i in range(11))


def test_nothing_left_to_predict_from():
    with pytest.raises(DataError, match=r"target='y': no usable column is left.*'x': it has one value"):
        inferred(column("x", np.ones(ROWS)))


def test_schema_survives_json():
    schema, _ = inferred(column('ä "q"', ["a,b", "c\n"] * (ROWS // 2)), column("s", np.ones(ROWS)))
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


@pytest.mark.parametrize("largest", [1e-20, 1e16, 1e300])
def test_a_quantity_beyond_single_precision_is_refused(largest):
    with pytest.raises(DataError, match=r"target='y' goes from 0 to .*must spread over 1e-15 to 1e\+15"):
        infer_schema([column("x", np.arange(ROWS) % 7), goal(np.linspace(0, largest, ROWS))], "y")


def test_the_reasons_of_many_useless_columns_are_a_few():
    with pytest.raises(DataError, match=r"'x2': it has one value only; and so on for 97 more$"):
        inferred(*[column(f"x{place}", np.ones(ROWS)) for place in range(100)])
