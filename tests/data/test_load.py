import os
from pathlib import Path

import numpy as np
import pandas
import pytest

from fathom.data import Column, Encoder, Schema, load, make_split, read_new, read_table
from fathom.errors import DataError, UsageError


@pytest.fixture
def flowers(tmp_path):
    random = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "id": np.arange(100),
            "length": random.normal(size=100).round(3),
            "color": random.choice(["red", "blue", "green"], 100),
            "tall": random.choice(["true", "false"], 100),
            "species": np.where(np.arange(100) % 3 == 0, "rose", "lily"),
        }
    )
    path = tmp_path / "flowers.csv"
    frame.to_csv(path, index=False)
    return path, frame


def test_a_file(flowers):
    data = load(flowers[0], "species")
    assert (data.name, len(data), data.kind, data.classes) == (
        "flowers",
        100,
        "classification",
        ("lily", "rose"),
    )
    assert [c.name for c in data.schema.columns] == ["length", "color", "tall"]
    assert data.notes == ()
    assert [(c.name, c.kind) for c in data.schema.ignored] == [("id", "identifier")]
    assert data.target.dtype == np.int32
    np.testing.assert_array_equal(data.target, flowers[1]["species"] == "rose")
    np.testing.assert_array_equal(data.table.numeric[:, 0], flowers[1]["length"])
    np.testing.assert_array_equal(data.table.numeric[:, 1], flowers[1]["tall"] == "true")
    colors = np.array(["blue", "green", "red"])  # the order of the categories
    assert colors[data.table.categorical[:, 0]].tolist() == flowers[1]["color"].tolist()


def test_file_frame_and_mapping_agree(flowers):
    path, frame = flowers
    first = load(str(path), target="species")
    for source in (frame, frame.to_dict("list")):
        other = load(source, "species")
        assert other.schema == first.schema
        np.testing.assert_array_equal(other.table.numeric, first.table.numeric)
        np.testing.assert_array_equal(other.target, first.target)


def test_the_positive_one_of_two_classes():
    def classes(rare, common, share, **more):
        labels = [rare] * round(100 * share) + [common] * round(100 * (1 - share))
        return load({"x": list(range(100)), "y": labels}, "y", **more).classes

    assert classes("fraud", "ok", 0.05) == ("ok", "fraud")  # f1 is about the rare one
    assert classes("fraud", "ok", 0.3) == ("fraud", "ok")
    assert classes("no", "yes", 0.05) == ("no", "yes")  # yes is positive, however common
    assert classes(0, 1, 0.05) == ("0", "1")
    assert classes("fraud", "ok", 0.05, positive="ok") == ("fraud", "ok")
    assert classes(0, 1, 0.05, positive="0") == ("1", "0")
    with pytest.raises(UsageError, match="positive='frod' is not known; use one of: fraud, ok"):
        classes("fraud", "ok", 0.3, positive="frod")
    with pytest.raises(UsageError, match="positive='a' is for two classes; 'species' holds 3 classes"):
        load("iris", positive="a")


def test_rows_without_a_target_are_left_out(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,0.5\n2,NA\n3,1.5\n4,inf\n5,2.5\n")
    data = load(path, "y")
    assert data.target.tolist() == [0.5, 1.5, 2.5]
    assert data.table.numeric[:, 0].tolist() == [1, 3, 5]
    assert data.notes == ("2 rows have no value in 'y' (1 infinite) and are left out",)


def test_a_dataset_is_passed_through():
    data = load("iris")
    assert load(data) is data


def test_bundled_with_another_target():
    data = load("iris", "petal width (cm)")
    assert data.kind == "regression"
    assert "species" in [c.name for c in data.schema.categorical]


def test_arrays_keep_every_column():
    x = np.stack([np.ones(40), np.arange(40), np.random.default_rng(0).normal(size=40)], axis=1)
    data = load((x, np.arange(40) % 2))
    assert [c.name for c in data.schema.columns] == ["x0", "x1", "x2"]
    table, target = read_table((x[:5], np.zeros(5)), data.schema)
    np.testing.assert_array_equal(table.numeric, x[:5])
    assert target is not None
    assert target.tolist() == [0] * 5
    table, target = read_table(x[:5], data.schema)
    assert target is None


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.uint8])
@pytest.mark.parametrize("used", [(0, 1, 2, 3), (3, 1)])
def test_an_array_of_numbers_reads_as_its_columns_do(kind, used):
    """A plain array is read at once, a mapping column by column: the same table and the same notes."""
    x = (100 * np.random.default_rng(0).uniform(size=(50, 5))).astype(kind)
    if kind in (np.float64, np.float32):
        x[3, 1], x[4, 3] = np.nan, np.inf
    columns = {f"x{place}": x[:, place] for place in range(5)}
    schema = Schema(tuple(Column(f"x{place}", "numeric") for place in used), Column("y", "target"))
    whole, apart = read_new(x, schema), read_new(columns, schema)
    np.testing.assert_array_equal(whole.table.numeric, apart.table.numeric)
    assert (whole.notes, whole.target, whole.weight) == (apart.notes, None, None)
    assert whole.notes[0].startswith(f"{5 - len(used)} column")
    named = Schema(tuple(Column(name, "numeric") for name in "abcde"), Column("y", "target"))
    by_place = read_new(x, named)
    np.testing.assert_array_equal(by_place.table.numeric, np.where(np.isinf(x), np.nan, x))
    infinite = ("infinite cells count as missing, in the column d",) if x.dtype.kind == "f" else ()
    assert by_place.notes == infinite
    # What names the target, or asks for more than numbers, is not read at once.
    goal = Schema(schema.columns, Column("x4", "target"))
    np.testing.assert_array_equal(read_new(x, goal).target, x[:, 4])
    flags = Schema((Column("x0", "boolean"),), Column("y", "target"))
    with pytest.raises(DataError, match="holds numbers other than 0 and 1"):
        read_new(x, flags)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda path: load(path),
            UsageError,
            r"target is not given; .* --target .*: id, length, color, tall, species",
        ),
        (
            lambda path: load(path, "speces"),
            UsageError,
            r"target='speces' is no column; .*; did you mean 'species'\?",
        ),
        (
            lambda path: load("digts"),
            DataError,
            r"source='digts' is neither a file nor .*; did you mean 'digits'\?",
        ),
        (
            lambda path: load(path.parent / "flower.csv"),
            DataError,
            r"neither a file.*did you mean '.*flowers.csv'\?",
        ),
        (lambda path: load(path.parent), DataError, r"is a folder"),
        (lambda path: load(path, "species", kind="ranking"), UsageError, r"kind='ranking' is not known"),
        (lambda path: load((1, 2, 3)), UsageError, r"source is a tuple of 3"),
        (lambda path: load(3.5), UsageError, r"source of type 'float' is no data"),
        (
            lambda path: load({"a": [1, 2], "b": [None, None]}, "b"),
            DataError,
            r"target='b' has no value in any row",
        ),
    ],
)
def test_refusals(call, error, message, flowers):
    with pytest.raises(error, match=message) as caught:
        call(flowers[0])
    assert "\n" not in str(caught.value)


def test_new_data_in_any_order_with_more_columns(flowers, tmp_path):
    path, frame = flowers
    data = load(path, "species")
    new = frame.iloc[:7][["tall", "species", "color", "length"]].assign(more=1)
    new.to_csv(tmp_path / "new.csv", index=False)
    for source in (tmp_path / "new.csv", new):
        table, target = read_table(source, data.schema)
        np.testing.assert_array_equal(table.numeric, data.table.numeric[:7])
        assert table.categorical.tolist() == data.table.categorical[:7].tolist()
        assert target is not None
        np.testing.assert_array_equal(target, data.target[:7])
    assert read_table(new, data.schema, with_target=False)[1] is None
    assert read_table(new.drop(columns="species"), data.schema)[1] is None
    assert read_table(new.assign(species=None), data.schema)[1] is None


def test_missing_columns_are_named_together(flowers):
    data = load(flowers[0], "species")
    with pytest.raises(DataError, match=r"the columns are missing that the model reads: length, color$"):
        read_table(flowers[1].drop(columns=["length", "color"]), data.schema)
    with pytest.raises(DataError, match=r"missing.*: color; did you mean the column 'colour' for 'color'\?"):
        read_table(flowers[1].rename(columns={"color": "colour"}), data.schema)


def test_new_data_without_its_header(flowers, tmp_path):
    data = load(flowers[0], "species")
    flowers[1].to_csv(tmp_path / "bare.csv", index=False, header=False)
    with pytest.raises(DataError, match=r"is its header line missing\?"):
        read_table(tmp_path / "bare.csv", data.schema)


def test_new_values_and_wrong_ones(flowers):
    path, frame = flowers
    data = load(path, "species")
    table, _ = read_table(frame.assign(color="mauve", length=None).head(3), data.schema)
    assert np.isnan(table.numeric[:, 0]).all()
    encoder = Encoder.fit(data.schema, data.table, np.arange(100))
    assert table.categorical.tolist() == [[3], [3], [3]]
    assert read_table(frame.assign(color=None).head(2), data.schema)[0].categorical.tolist() == [[4], [4]]
    assert np.isfinite(encoder.encode(table)).all()
    with pytest.raises(DataError, match=r"column 'length', row 1: 'long' is no number"):
        read_table(frame.assign(length="long"), data.schema)
    with pytest.raises(
        DataError, match=r"row 1: 'roses' is none of the classes learned.*did you mean 'rose'"
    ):
        read_table(frame.assign(species="roses"), data.schema)
    with pytest.raises(DataError, match=r"x has 2 columns; the model reads 3: length, color, tall"):
        read_table(np.zeros((3, 2)), data.schema)


def test_a_single_missing_label_is_marked(flowers):
    path, frame = flowers
    data = load(path, "species")
    _, target = read_table(frame.assign(species=["rose", None, *["lily"] * 98]), data.schema)
    assert target is not None
    assert target[:3].tolist() == [1, -1, 0]


def test_class_labels_written_as_numbers(tmp_path):
    data = load({"x": np.arange(60.0) % 7, "y": np.arange(60) % 3}, "y", kind="classification")
    assert data.classes == ("0", "1", "2")
    _, target = read_table({"x": [1, 2], "y": ["2.0", "0"]}, data.schema)
    assert target is not None
    assert target.tolist() == [2, 0]


FOLDER = os.environ.get("FATHOM_DATA", "")
REAL = {
    # file: (target, rows, kind, kinds of columns, outputs)
    "adult/adult-train.csv.gz": ("column14", 32561, "classification", {"numeric": 6, "categorical": 8}, 2),
    "penguins/penguins.csv": ("species", 344, "classification", {"numeric": 5, "categorical": 2}, 3),
    "california_housing/housing.csv.gz": (
        "median_house_value",
        20640,
        "regression",
        {"numeric": 8, "categorical": 1},
        1,
    ),
    "wine_quality/winequality-red.csv": ("column11", 1599, "classification", {"numeric": 11}, 6),
    "auto_mpg/mpg.csv": ("mpg", 398, "regression", {"text": 1, "numeric": 6, "categorical": 1}, 1),
    "credit_g/credit.csv": ("default", 1000, "classification", {"numeric": 7, "categorical": 13}, 2),
    "spambase/spam.data.gz": ("column57", 4601, "classification", {"numeric": 57}, 2),
}


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_files(name):
    path = Path(FOLDER) / name
    if not FOLDER or not path.is_file():
        pytest.skip(f"{name} is not in the folder FATHOM_DATA={FOLDER!r}")
    target, rows, kind, kinds, outputs = REAL[name]
    data = load(path, target)
    found = [column.kind for column in data.schema.columns]
    assert (len(data), data.kind, {word: found.count(word) for word in sorted(set(found), reverse=True)}) == (
        rows, kind, kinds,
    )  # fmt: skip
    assert len(data.classes or [0]) == outputs
    split = make_split(data)
    inputs = Encoder.fit(data.schema, data.table, split.train[0]).encode(data.table)
    assert np.isfinite(inputs).all()


@pytest.mark.data
def test_real_missing_values_and_labels():
    folder = Path(FOLDER) / "adult"
    if not FOLDER or not folder.is_dir():
        pytest.skip(f"adult is not in the folder FATHOM_DATA={FOLDER!r}")
    data = load(folder / "adult-train.csv.gz", "column14")
    assert [c.name for c in data.schema.columns if c.has_missing] == ["column1", "column6", "column13"]
    # The labels of the test part end in a full stop.
    new = read_new(folder / "adult-test.csv.gz", data.schema)
    assert new.notes == (
        "target 'column14': labels that are written otherwise are matched: '<=50K.' is '<=50K', '>50K.' is '>50K'",
    )
    assert new.target is not None
    assert np.bincount(new.target).tolist() == [12435, 3846]
    assert len(new.table) == 16281


def test_infinite_cells_are_said_to_be_so(tmp_path):
    lines = [f"{'inf' if row == 3 else row / 7},{'-inf' if row in (5, 6) else row / 3}" for row in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    values = [[float(cell) for cell in line.split(",")] for line in lines]
    for source in (tmp_path / "t.csv", dict(zip("xy", np.transpose(values), strict=True))):
        notes = load(source, "y").notes
        assert "2 rows have no value in 'y' (2 infinite) and are left out" in notes
        assert "column 'x': 1 of its cells is infinite and counts as missing" in notes
    schema = load({"x": np.arange(60.0) / 7, "z": np.arange(60.0) % 7, "y": np.arange(60.0) / 3}, "y").schema
    (tmp_path / "new.csv").write_text("x,z\ninf,1\n2,-inf\n3,3\n")
    rows = np.array([[np.inf, 1], [2, -np.inf], [3, 3]])
    for source in (tmp_path / "new.csv", dict(zip("xz", rows.T, strict=True)), rows):
        new = read_new(source, schema)
        assert new.notes == ("infinite cells count as missing, in the columns x, z",)
        assert np.isnan(new.table.numeric).tolist() == [[True, False], [False, True], [False, False]]
    assert read_new(np.array([[1.0, -np.inf]]), schema).notes == (
        "infinite cells count as missing, in the column z",
    )
    assert read_new(rows[2:], schema).notes == ()
    with pytest.raises(DataError, match=r"target='y' has no finite value"):
        load({"x": [1, 2, 3], "y": [np.inf] * 3}, "y")


def test_names_and_classes_that_differ_in_case():
    table = {"age": np.arange(60) / 7, "y": ["Yes", "yes", "No", "no"] * 15}
    data = load(table, "y")
    assert any(
        "classes differ in upper and lower case" in note and "'No', 'no'" in note for note in data.notes
    )
    with pytest.raises(DataError, match=r"upper and lower case count: the data has 'AGE' for 'age'$"):
        read_table({"AGE": [1.0]}, data.schema)


def test_an_empty_source_is_refused():
    for source in ("", " "):
        with pytest.raises((UsageError, DataError), match=r"source"):
            load(source, "y")
    with pytest.raises(UsageError, match=r"source is an empty text"):
        load("", "y")
