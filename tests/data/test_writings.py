"""How numbers are written, from training to new data. Oracle: the numbers that were written, and pandas."""

import json

import numpy as np
import pandas as pd
import pytest

from fathom.data import load
from fathom.data.dataset import build_table
from fathom.data.infer import infer_columns
from fathom.data.load import read_new
from fathom.data.profile import profile
from fathom.data.read.columns import Writing, clean_text, read_texts
from fathom.data.read.tables import read_file
from fathom.data.schema import Schema
from fathom.data.stream.load import load_stream
from fathom.data.stream.source import TableSource
from fathom.errors import DataError, UsageError

ROWS = 400
NUMBERS = np.round(np.random.default_rng(0).uniform(100, 5000, ROWS), 1)
LABELS = np.where(np.arange(ROWS) % 3 == 0, "high", "low")


def german(value, digits=1):
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def table(path, columns, delimiter=";"):
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join(delimiter.join(map(str, row)) for row in [columns, *rows]) + "\n")
    return path


def kept(schema):
    """A schema as a model saves it and reads it back."""
    return Schema.from_dict(json.loads(json.dumps(schema.to_dict())))


@pytest.fixture
def trained(tmp_path):
    path = table(tmp_path / "train.csv", {"menge": map(german, NUMBERS), "y": LABELS})
    return load(path, "y")


def test_cells_are_read_as_in_training_whatever_else_the_file_holds(trained, tmp_path):
    np.testing.assert_array_equal(trained.table.numeric[:, 0], NUMBERS)
    schema = kept(trained.schema)
    assert schema.columns[0].style == "comma"
    for cells, numbers in (
        (["1.234"], [1234.0]),
        (["1.234", "999,5"], [1234.0, 999.5]),
        (["1.234,0"], [1234.0]),
        (["7", "-", ""], [7.0, np.nan, np.nan]),
    ):
        path = table(tmp_path / "new.csv", {"menge": cells, "z": cells})
        np.testing.assert_array_equal(read_new(path, schema).table.numeric[:, 0], numbers)
        frame = pd.DataFrame({"menge": cells})
        np.testing.assert_array_equal(read_new(frame, schema).table.numeric[:, 0], numbers)
        np.testing.assert_array_equal(
            read_new([[cell] for cell in cells], schema).table.numeric[:, 0], numbers
        )
    with pytest.raises(DataError, match=r"'menge', row 2: '1.5' is no number with a decimal comma"):
        read_new(table(tmp_path / "new.csv", {"menge": ["1.234", "1.5"], "z": "ab"}), schema)


def test_given_files_warm_starts_and_streams_read_as_in_training(trained, tmp_path):
    new = table(tmp_path / "new.csv", {"menge": ["1.234", "2.500"] * 20, "y": ["high", "low"] * 20})
    expected = [1234.0, 2500.0] * 20
    joined = load(tmp_path / "train.csv", "y", test=new)
    assert joined.table.numeric[ROWS:, 0].tolist() == expected
    assert load(new, "y", like=kept(trained.schema)).table.numeric[:, 0].tolist() == expected
    streamed = load_stream(new, "y", like=kept(trained.schema))
    assert streamed.table.numeric[:, 0].tolist() == expected
    assert streamed.source.read(0, 40)[0].values.tolist() == expected
    bare = tmp_path / "bare.csv"
    bare.write_text(
        "\n".join(f"{german(number)};{label}" for number, label in zip(NUMBERS, LABELS, strict=True))
    )
    assert load(bare, "column1", test=new).table.numeric[ROWS:, 0].tolist() == expected


def test_a_point_learned_is_no_thousand(tmp_path):
    schema = load(table(tmp_path / "t.csv", {"x": NUMBERS, "y": LABELS}), "y").schema
    assert schema.columns[0].style == "plain"
    new = table(tmp_path / "new.csv", {"x": ["1.234"], "z": ["999,5"]})
    assert read_new(new, schema).table.numeric.tolist() == [[1.234]]
    with pytest.raises(DataError, match=r"row 1: '999,5' is no number with a decimal point"):
        read_new(table(tmp_path / "new.csv", {"x": ["999,5"], "z": ["1"]}), schema)


def test_an_old_schema_is_read_and_infers_anew(trained):
    written = trained.schema.to_dict()
    for column in (*written["columns"], written["target"]):
        del column["style"], column["odd"]
    old = Schema.from_dict(written)
    assert old.columns[0].style == ""
    assert read_new({"menge": ["1.234,5"]}, old).table.numeric.tolist() == [[1234.5]]


def test_whole_numbers_beside_decimal_commas(tmp_path):
    whole = [german(number, 0) for number in NUMBERS]
    path = table(tmp_path / "t.csv", {"n": whole, "price": map(german, NUMBERS), "y": LABELS})
    data = load(path, "y")
    frame = pd.read_csv(path, sep=";", decimal=",", thousands=".")
    np.testing.assert_array_equal(data.table.numeric, frame[["n", "price"]])
    assert not [s for s in data.suspicions if s.what == "decimal point"]


def test_points_in_a_table_with_decimal_commas_and_decimal_points(tmp_path):
    whole = [german(number, 0) for number in NUMBERS]
    cells = {
        "price": map(german, NUMBERS),
        "share": [f"{n / 1e5:.4f}" for n in NUMBERS],
        "n": whole,
        "y": LABELS,
    }
    cells["power"] = [f"{n:.3e}" for n in NUMBERS]
    data = load(table(tmp_path / "t.csv", cells), "y")
    styles = {column.name: column.style for column in data.schema.columns}
    assert styles == {"price": "comma", "share": "plain", "n": "unclear", "power": "plain"}
    assert [s.columns for s in data.suspicions if s.what == "decimal point"] == [("n",)]
    expected = [[n.round(2), round(n / 1e5, 4), float(german(n, 0)), float(f"{n:.3e}")] for n in NUMBERS]
    np.testing.assert_allclose(data.table.numeric, expected)


def test_points_that_nothing_decides_are_suspected_and_can_be_said(tmp_path):
    whole = [german(number, 0) for number in NUMBERS]
    path = table(tmp_path / "t.csv", {"n": whole, "z": np.arange(ROWS) % 7, "y": LABELS})
    plain = load(path, "y")
    found = [s for s in plain.suspicions if s.what == "decimal point"]
    assert [s.columns for s in found] == [("n",)]
    assert "--columns n=decimal-comma; if not, --columns n=decimal-point" in str(found[0])
    np.testing.assert_array_equal(plain.table.numeric[:, 0], [float(cell) for cell in whole])
    said = load(path, "y", columns={"n": "decimal-comma"})
    np.testing.assert_array_equal(said.table.numeric[:, 0], NUMBERS.round())
    assert said.schema.columns[0].style == "comma"
    point = load(path, "y", columns={"n": "decimal-point"})
    np.testing.assert_array_equal(point.table.numeric, plain.table.numeric)
    for data in (said, point):
        assert not [s for s in data.suspicions if s.what == "decimal point"]
    with pytest.raises(UsageError, match=r"decimal-comma"):
        load(path, "y", columns={"n": "german"})
    with pytest.raises(DataError, match=r"column 'n', row 1: '0.5' is no number with a decimal comma"):
        load(
            table(tmp_path / "t.csv", {"n": ["0.5"] * 9, "y": LABELS[:9]}),
            "y",
            columns={"n": "decimal-comma"},
        )


@pytest.mark.parametrize(
    ("odd", "places"),
    [("n.v.", [77]), ("-", range(0, ROWS, 20)), ("unknown", range(0, ROWS, 2)), ("…", range(60, 80))],
)
def test_a_few_cells_that_are_no_numbers_are_missing_and_named(tmp_path, odd, places):
    cells = [odd if row in places else f"{number}" for row, number in enumerate(NUMBERS)]
    oracle = np.asarray(pd.to_numeric(pd.Series(cells), errors="coerce"))
    path = table(tmp_path / "t.csv", {"x": cells, "z": np.arange(ROWS) % 7, "y": LABELS}, ",")
    frame = pd.DataFrame({"x": cells, "z": np.arange(ROWS) % 7, "y": LABELS})
    for data in (
        load(path, "y"),
        load(frame, "y"),
        load_stream(path, "y"),
        load(path, "y", columns={"x": "numeric"}),
    ):
        np.testing.assert_array_equal(data.table.numeric[:, 0], oracle)
        schema = kept(data.schema)
        assert (schema.columns[0].kind, schema.columns[0].odd, schema.columns[0].has_missing) == (
            "numeric",
            (odd,),
            True,
        )
        note = next(note for note in data.notes if "read as numbers" in note)
        number = len(places)
        assert (
            f"column 'x' is read as numbers; {number} of its 400 cells {'is' if number == 1 else 'are'} none"
            in note
        )
        assert f"row {places[0] + 1}" in note
        new = {"x": [odd, "1.5", "-"], "z": [1, 2, 3]}
        for source in (new, table(tmp_path / "n.csv", new)):
            np.testing.assert_array_equal(read_new(source, schema).table.numeric[:, 0], [np.nan, 1.5, np.nan])
        new["x"][1] = "oops"
        with pytest.raises(DataError, match=r"column 'x', row 2: 'oops' is no number"):
            read_new(table(tmp_path / "n.csv", new), schema)
    kept_words = load(path, "y", columns={"x": "categorical"}).schema.columns[0]
    assert odd in (kept_words.categories or ()) or kept_words.buckets


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1.5"] * 19 + ["2.5"] * 19 + ["-"], "number"),
        (["1.5"] * 9 + ["2.5"] * 9 + ["-"], "text"),  # too few numbers
        (["1"] * 30 + ["none"] * 30, "text"),  # one number alone is a category
        ([*map(str, range(90)), *["a"] * 10], "text"),  # every tenth
        ([*map(str, range(1000)), *"abcdefghijk"], "text"),  # eleven writings are codes
        (["red", "-", "none"] * 20, "text"),
        (["-"] * 50, "text"),
    ],
)
def test_files_and_frames_agree_on_what_is_numbers(tmp_path, cells, kind):
    path = table(tmp_path / "t.csv", {"x": cells, "z": range(len(cells))}, ",")
    read, other = read_file(path)[0], read_texts("x", clean_text(cells))
    assert read.kind == other.kind == kind
    assert (read.style, read.odd) == (other.style, other.odd)
    assert TableSource([path]).read(0, 1)[0].kind == kind
    assert read_file(path, {"x": Writing("text")})[0].kind == "text"


WRITTEN = {
    "$6,997.67": 6997.67, "6997.67 €": 6997.67, "-$5.25": -5.25, "$-5.25": -5.25, "(9,572.5)": -9572.5,
    "\u22123.5": -3.5, "1 234.5": 1234.5, "£.5": 0.5, "2e3": 2000.0,
}  # fmt: skip


def test_currencies_parentheses_and_a_typesetters_minus(tmp_path):
    cells = list(WRITTEN) * 3
    path = table(tmp_path / "t.csv", {"x": cells, "z": range(len(cells))})
    for column in (read_file(path)[0], read_texts("x", clean_text(cells))):
        assert (column.kind, column.style) == ("number", "point")
        assert column.values.tolist() == list(WRITTEN.values()) * 3


@pytest.mark.parametrize(
    ("cells", "style", "numbers"),
    [
        (["70.0%", "5 %"], "point %", [70.0, 5.0]),
        (["70,5%", "-5%"], "comma %", [70.5, -5.0]),
        (["70%", "0.7"], None, None),
        (["$5", "red"], None, None),
        (["--5", "$$5"], None, None),
    ],
)
def test_percents_are_numbers_if_each_has_its_sign(tmp_path, cells, style, numbers):
    path = table(tmp_path / "t.csv", {"x": cells, "z": [1, 2]})
    for column in (read_file(path)[0], read_texts("x", clean_text(cells))):
        assert column.kind == ("text" if style is None else "number")
        if style is not None:
            assert (column.style, column.values.tolist()) == (style, numbers)


def test_what_looks_like_numbers_but_is_none_is_told(tmp_path):
    columns = {
        "weight": [f"{number} kg" for number in NUMBERS],
        "half": [f"{number}" if row % 5 else f"k{row}" for row, number in enumerate(NUMBERS)],
        "z": np.arange(ROWS) % 7,
        "y": LABELS,
    }
    told = " ".join(load(table(tmp_path / "t.csv", columns), "y").notes)
    assert "column 'weight' is ignored: its cells are numbers followed by a word" in told
    assert "column 'half' is ignored: 80 of its 400 cells are no numbers" in told


def test_dates_with_slips_and_dates_that_nothing_decides(tmp_path):
    days = np.datetime64("2010-01-01") + 9 * np.arange(ROWS)
    cells = ["2020-02-30" if row == 9 else str(day) for row, day in enumerate(days)]
    unclear = [f"{row % 12 + 1}/{row % 11 + 1}/{1980 + row // 12}" for row in range(ROWS)]
    path = table(tmp_path / "t.csv", {"d": cells, "when": unclear, "y": LABELS}, ",")
    data = load(path, "y")
    oracle = (days - np.datetime64("1970-01-01")).astype(float)
    oracle[9] = np.nan
    np.testing.assert_array_equal(data.table.numeric[:, 0], oracle)
    assert any(
        "read as dates; 1 of its 400 cells is none ('2020-02-30' in row 10)" in note for note in data.notes
    )
    shown = profile(read_file(path), {c.name: c for c in infer_columns(read_file(path))[0]})
    assert shown[0]["values"] == f"{days[0]} to {days[-1]}"
    schema = kept(data.schema)
    np.testing.assert_array_equal(
        read_new({"d": ["2020-02-30", "-", "1970-01-02"]}, schema).table.numeric[:, 0], [np.nan, np.nan, 1.0]
    )
    with pytest.raises(DataError, match=r"row 1: '2021-02-30' is no date"):
        read_new({"d": ["2021-02-30"]}, schema)
    found = next(s for s in data.suspicions if s.what == "day or month")
    assert found.columns == ("when",)
    assert "--columns when=day-first or --columns when=month-first" in str(found)
    said = load(path, "y", columns={"when": "day-first"})
    assert said.schema.columns[1].style == "day first"


def test_a_stream_knows_the_slips_of_rows_that_are_not_drawn(tmp_path):
    days = np.datetime64("2010-01-01") + 3 * np.arange(2000)
    columns = {"d": days.astype(str).tolist(), "x": list(np.arange(2000) / 8), "y": ["a", "b"] * 1000}
    columns["d"][7] = "2020-02-30"
    columns["x"][9] = "n.v."
    path = table(tmp_path / "t.csv", columns, ",")
    data = load_stream(path, "y", resident=100)
    assert not {7, 9} & set(data.places.tolist())
    assert [column.odd for column in data.schema.columns] == [("2020-02-30",), ("n.v.",)]
    assert all(column.has_missing for column in data.schema.columns)
    assert "column 'd': cells of the file that are no dates ('2020-02-30') count as missing" in data.notes
    assert any("1 of its 2,000 cells is none ('n.v.' in row 10)" in note for note in data.notes)
    read = {column.name: column for column in data.source.read(0, 2000)}
    found = build_table(read, data.schema).numeric
    assert np.argwhere(np.isnan(found)).tolist() == [[7, 0], [9, 1]]


def test_a_target_keeps_its_words_and_its_writing(tmp_path):
    numbers = [german(number, 0) for number in NUMBERS]
    path = table(tmp_path / "t.csv", {"x": map(german, NUMBERS), "y": numbers})
    data = load(path, "y")
    np.testing.assert_array_equal(data.target, NUMBERS.round())
    assert read_new({"x": ["1,5"], "y": ["1.234"]}, kept(data.schema)).target.tolist() == [1234.0]  # pyright: ignore
    words = ["-" if row % 2 else "1" for row in range(ROWS)]
    assert load(table(tmp_path / "t.csv", {"x": NUMBERS, "y": words}), "y").classes == ("-", "1")


def test_keys_in_another_order_are_suspected():
    keys = 5000 + np.random.default_rng(1).permutation(ROWS)
    data = load({"key": keys, "x": NUMBERS, "y": LABELS}, "y")
    found = [s for s in data.suspicions if s.what == "shuffled numbers"]
    assert [s.columns for s in found] == [("key",)]
    keys[0] = 9999
    data = load({"key": keys, "x": NUMBERS, "y": LABELS}, "y")
    assert not [s for s in data.suspicions if s.what == "shuffled numbers"]


@pytest.mark.parametrize("repeated", [False, True])
def test_commas_that_nothing_decides_are_suspected_and_can_be_said(tmp_path, repeated):
    cells = [f"{row % (6 if repeated else 60) + 1},{row % 3}50" for row in range(60)]
    path = table(tmp_path / "t.csv", {"n": cells, "z": np.arange(60) % 7, "y": LABELS[:60]})
    data = load(path, "y")
    found = next(s for s in data.suspicions if s.what == "decimal comma")
    assert found.columns == ("n",)
    assert str(found).endswith("say --columns n=decimal-comma or --columns n=decimal-point")
    assert [column.kind for column in data.schema.columns] == (
        ["categorical", "numeric"] if repeated else ["numeric"]
    )
    assert read_new({"n": ["1,050"], "z": [3]}, kept(data.schema)).table.numeric.tolist() == [[3.0]]
    with pytest.raises(DataError, match=r"say what its comma is: 'decimal-comma' or 'decimal-point'"):
        load(path, "y", columns={"n": "numeric"})
    for word, point in (("decimal-comma", "."), ("decimal-point", "")):
        said = load(path, "y", columns={"n": word})
        expected = [float(cell.replace(",", point)) for cell in cells]
        assert said.table.numeric[:, 0].tolist() == expected
        assert not [s for s in said.suspicions if s.what == "decimal comma"]
    asked = load(path, "y", columns={"n": "categorical"})
    assert not [s for s in asked.suspicions if s.what == "decimal comma"]


def test_how_the_targets_numbers_are_written_can_be_said(tmp_path):
    cells = [f"{row + 1},{row % 3}50" for row in range(60)]
    path = table(tmp_path / "t.csv", {"y": cells, "z": np.arange(60) % 7})
    with pytest.raises(DataError, match=r"60 classes .* say --columns y=decimal-comma or decimal-point"):
        load(path, "y", columns={"z": "categorical"})
    for word, point in (("decimal-comma", "."), ("decimal-point", "")):
        data = load(path, "y", columns={"y": word})
        assert data.kind == "regression"
        assert data.target.tolist() == [float(cell.replace(",", point)) for cell in cells]
        new = read_new(table(tmp_path / "new.csv", {"y": cells[:2], "z": [1, 2]}), kept(data.schema))
        assert new.target is not None
        assert new.target.tolist() == data.target[:2].tolist()
    few = table(tmp_path / "few.csv", {"y": [f"{row % 2 + 1},050" for row in range(60)], "z": np.arange(60)})
    data = load(few, "y", columns={"z": "numeric"})
    assert data.classes == ("1,050", "2,050")
    assert [s.columns for s in data.suspicions if s.what == "decimal comma"] == [("y",)]
    assert read_new(few, kept(data.schema)).target.tolist() == [0, 1] * 30
    with pytest.raises(DataError, match=r"row 1: 'a' is no number with a decimal comma"):
        load(
            table(tmp_path / "t.csv", {"y": ["a", *cells[1:]], "z": [1] * 60}),
            "y",
            columns={"y": "decimal-comma"},
        )
    with pytest.raises(UsageError, match=r"columns: 'y' is the target; use kind=… .*'decimal-comma'"):
        load(path, "y", columns={"y": "date"})


def test_points_of_new_data_that_nothing_decides_are_noted(tmp_path):
    whole = load({"n": np.round(NUMBERS), "z": np.arange(ROWS) % 7, "y": LABELS}, "y").schema
    cells = {"n": [german(number, 0) for number in NUMBERS], "z": np.arange(ROWS)}
    notes = read_new(table(tmp_path / "new.csv", cells), whole).notes
    assert notes == (
        "points are read as decimal ones (1.234 as a little over 1), in the column n; "
        "if they hold thousands apart, write the numbers without them",
    )
    plain = load({"n": NUMBERS, "z": np.arange(ROWS) % 7, "y": LABELS}, "y").schema
    assert read_new(table(tmp_path / "plain.csv", {"n": NUMBERS, "z": np.arange(ROWS)}), plain).notes == ()


def test_a_selection_keeps_how_its_file_is_written(tmp_path):
    path = table(tmp_path / "train.csv", {"menge": map(german, NUMBERS), "y": LABELS})
    schema = kept(load(path, "y", sql="SELECT menge, y FROM data WHERE menge > 1000").schema)
    assert schema.columns[0].style == "comma"
    new = table(tmp_path / "n.csv", {"menge": ["1.234"], "z": ["1"]})
    assert read_new(new, schema).table.numeric.tolist() == [[1234.0]]
