"""Files of predictions: three formats of one truth, written whole, whatever the size of the data."""

import csv
import json

import duckdb
import numpy as np
import pytest
from PIL import Image

import fathom as fm
from fathom.cli.predictions import write_file
from fathom.data.stream import batches
from fathom.errors import DataError


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A run on a small table, and new data of 700 rows with a column too many, in another order."""
    folder = tmp_path_factory.mktemp("predictions")
    random = np.random.default_rng(5)
    x, y = random.normal(size=700), random.normal(size=700)
    kind = np.where(x > 0, "A", "a")
    with (folder / "old.csv").open("w") as file:
        file.writelines(
            ["x,y,kind\n", *(f"{a:.4f},{b:.4f},{c}\n" for a, b, c in zip(x, y, kind, strict=True))]
        )
    with (folder / "new.csv").open("w") as file:
        rows = zip(y, x, kind, strict=True)
        file.writelines(["y,more,x,kind\n", *(f"{b:.4f},9,{a:.4f},{c}\n" for b, a, c in rows)])
    recipe = fm.Recipe(learning_rate=[0.01, 0.1], epochs=3)
    study = fm.Study(fm.load(folder / "old.csv", "kind"), fm.models.Linear(), recipe, folds=2)
    return folder, study.run(folder / "run", baselines=False)


@pytest.fixture
def streamed(monkeypatch):
    """Every file is too large for memory, and a batch has 256 rows."""
    monkeypatch.setattr(batches, "fits_memory", lambda source, most: False)
    monkeypatch.setattr("fathom.study.predictor.STRETCH", 256)


def read(path):
    if path.suffix == ".parquet":
        found = duckdb.sql(f"FROM '{path}'")
        return dict(zip(found.columns, zip(*found.fetchall(), strict=True), strict=True))
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file)) if path.suffix == ".csv" else list(map(json.loads, file))
    return {name: [line[name] for line in lines] for name in lines[0]}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_file_holds_the_frame(fitted, fathom, tmp_path, streamed, suffix):
    folder, result = fitted
    out = tmp_path / f"found.{suffix}"
    ended = fathom("predict", str(folder / "run"), str(folder / "new.csv"), "--out", str(out))
    assert ended.code == 0, ended.err
    assert "note: 1 column is passed over, unknown to the model: more\n" in ended.err
    expected, found = result.ensemble.frame(folder / "old.csv"), read(out)
    assert len(found) == len(expected)
    for (name, column), values in zip(expected.items(), found.values(), strict=True):
        if name == "prediction":
            assert list(values) == column.tolist()
        else:
            np.testing.assert_allclose(np.array(values, float), column, rtol=1e-5, atol=1e-9)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "cache"] == [out.name]


def test_names_that_differ_only_in_case_are_told_apart(fitted, fathom, tmp_path):
    folder, _ = fitted
    for suffix in ("csv", "parquet"):
        fathom(
            "predict", str(folder / "run"), str(folder / "new.csv"), "--out", str(tmp_path / f"p.{suffix}")
        )
    assert list(read(tmp_path / "p.csv"))[:3] == ["prediction", "probability A", "probability a"]
    assert list(read(tmp_path / "p.parquet"))[:3] == ["prediction", "probability A", "probability a_1"]


def test_batches_give_what_the_whole_file_gives(fitted, streamed, monkeypatch):
    folder, result = fitted
    seen = [len(new.table) for new, _ in result.ensemble.batches(folder / "new.csv")]
    assert seen == [256, 256, 188]
    found = result.ensemble.frame(folder / "new.csv")
    scores = result.ensemble.evaluate(folder / "new.csv")
    monkeypatch.undo()
    expected = result.ensemble.frame(folder / "old.csv")
    for name in expected:
        if name != "prediction":
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-7)
    assert scores == pytest.approx(result.ensemble.evaluate(folder / "old.csv"), rel=1e-5)


def test_a_bad_cell_is_named_by_its_row_in_the_file(fitted, fathom, streamed, tmp_path):
    folder, result = fitted
    lines = (folder / "old.csv").read_text().splitlines()
    lines[601] = "0.1,oops,A"
    (tmp_path / "bad.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="column 'y', row 601: 'oops' is no number"):
        result.ensemble.predict(tmp_path / "bad.csv")
    out = tmp_path / "found.csv"
    ended = fathom("predict", str(folder / "run"), str(tmp_path / "bad.csv"), "--out", str(out))
    assert ended.code == 3 and "row 601" in ended.err
    assert not out.exists() and not list(tmp_path.glob(".found*"))


def test_a_missing_column_is_named(fitted, fathom, streamed, tmp_path):
    folder, _ = fitted
    (tmp_path / "less.csv").write_text("x,z\n1,2\n")
    ended = fathom("predict", str(folder / "run"), str(tmp_path / "less.csv"))
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("error: the column is missing that the model reads: y")


def test_rows_without_an_answer_are_left_out_of_an_evaluation(fitted, fathom, streamed, tmp_path):
    folder, result = fitted
    lines = (folder / "old.csv").read_text().splitlines()
    kept = lines[:601]
    blank = [line.rpartition(",")[0] + "," for line in lines[601:]]
    (tmp_path / "holes.csv").write_text("\n".join([*kept, *blank]))
    (tmp_path / "kept.csv").write_text("\n".join(kept))
    shown = json.loads(fathom("evaluate", str(folder / "run"), str(tmp_path / "holes.csv"), "--json").out)
    assert (shown["rows"], shown["left_out"]) == (600, 100)
    assert shown["metrics"] == pytest.approx(result.ensemble.evaluate(tmp_path / "kept.csv"), rel=1e-5)
    ended = fathom("evaluate", str(folder / "run"), str(tmp_path / "holes.csv"))
    assert "100 rows have no value in 'kind', and 600 were judged." in ended.err


def test_the_data_itself_is_not_written_over(fitted, fathom):
    folder, _ = fitted
    before = (folder / "new.csv").read_text()
    ended = fathom("predict", str(folder / "run"), str(folder / "new.csv"), "--out", str(folder / "new.csv"))
    assert ended.code == 2 and "is the data itself" in ended.err
    assert (folder / "new.csv").read_text() == before
    assert "is no plain file" in fathom("predict", "run", "iris", "--out", "/dev/null").err


def test_an_infinite_end_is_null_in_json_lines(tmp_path):
    columns = {"prediction": np.array([1.5]), "lower": np.array([-np.inf]), "upper": np.array([2e9])}
    assert write_file(tmp_path / "p.jsonl", iter([columns])) == 1
    assert json.loads((tmp_path / "p.jsonl").read_text()) == {"prediction": 1.5, "lower": None, "upper": 2e9}


def test_a_reader_never_sees_half_a_file(tmp_path):
    (tmp_path / "p.csv").write_text("before")

    def breaks():
        yield {"prediction": np.array([1.0])}
        assert (tmp_path / "p.csv").read_text() == "before"
        raise DataError("the rest is damaged")

    with pytest.raises(DataError):
        write_file(tmp_path / "p.csv", breaks())
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]
    assert (tmp_path / "p.csv").read_text() == "before"


@pytest.mark.parametrize(
    ("center", "spread"), [(1e9, 1.0), (0.0, 1e-9), (3e5, 2e5), (-5e-4, 1e-7), (7e12, 1e-3)]
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_number_has_six_digits_of_itself_and_of_the_spread(tmp_path, center, spread, suffix):
    # Oracle: the error of half a unit of the sixth digit, but for what a double itself cannot tell.
    values = center + spread * np.append(np.random.default_rng(0).normal(size=500), [0.0, 0.999999999])
    write_file(tmp_path / f"p.{suffix}", iter([{"prediction": values}]), spread)
    found = np.array(read(tmp_path / f"p.{suffix}")["prediction"], float)
    far = np.abs(found - values)
    assert (far <= np.maximum(0.5e-5 * spread, 4 * np.spacing(np.abs(values)))).all()
    assert (far <= 0.5e-5 * np.abs(values)).all()


def test_no_digits_beyond_those(tmp_path):
    columns = {"prediction": np.array([123456.789, 0.000123456789, -1.5e9, 0.0, np.nan])}
    for spread, expected in [
        (2e5, ["123457", "0.000123457", "-1500000000", "0", "nan"]),
        (1.0, ["123456.789", "0.000123457", "-1500000000", "0", "nan"]),
        (None, ["123457", "0.000123457", "-1.5e+09", "0", "nan"]),
    ]:
        write_file(tmp_path / "p.csv", iter([columns]), spread)
        assert read(tmp_path / "p.csv")["prediction"] == expected


def test_a_target_far_from_zero_keeps_its_differences(fathom, tmp_path):
    x = np.linspace(-1, 1, 200)
    (tmp_path / "far.csv").write_text("x,y\n" + "".join(f"{a:.4f},{1e9 + a:.4f}\n" for a in x))
    study = fm.Study(fm.load(tmp_path / "far.csv", "y"), fm.models.Linear(), fm.Recipe(epochs=30), folds=1)
    result = study.run(tmp_path / "run", baselines=False)
    ended = fathom("predict", str(tmp_path / "run"), str(tmp_path / "far.csv"))
    found = [float(row["prediction"]) for row in csv.DictReader(ended.out.splitlines())]
    expected = result.ensemble.predict(tmp_path / "far.csv")
    assert len(set(np.round(expected, 4))) > 100
    np.testing.assert_allclose(np.array(found) - 1e9, expected - 1e9, atol=1e-5)


def test_predictions_of_images_name_their_files(fathom, tmp_path):
    # Oracle: the one gray value of each image, dark or light.
    random = np.random.default_rng(0)
    for place in range(40):
        name, value = ("dark", 20) if place % 2 else ("light", 220)
        save(tmp_path / "old" / name / f"{place}.png", value + random.integers(-9, 9, (3, 4)))
    study = fm.Study(
        fm.load(tmp_path / "old"), fm.models.Linear(), fm.Recipe(learning_rate=0.1, epochs=30), folds=1
    )
    result = study.run(tmp_path / "run", baselines=False)
    values = {"b.png": 20, "a/c.png": 220, "z.png": 25, "a/a b.png": 215}
    for name, value in values.items():
        save(tmp_path / "new" / name, np.full((3, 4), value))
    (tmp_path / "new" / "broken.png").write_bytes(b"\x89PNG nothing")
    ended = fathom("predict", str(tmp_path / "run"), str(tmp_path / "new"))
    rows = {row["file"]: row["prediction"] for row in csv.DictReader(ended.out.splitlines())}
    assert rows == {name: "dark" if value < 100 else "light" for name, value in values.items()}
    assert list(rows) == ["b.png", "z.png", "a/a b.png", "a/c.png"]
    assert "note: 1 image cannot be read and is left out: broken.png\n" in ended.err
    assert result.ensemble.frame(tmp_path / "new")["file"].tolist() == list(rows)
    one = fathom("predict", str(tmp_path / "run"), str(tmp_path / "new" / "z.png"), "--json")
    assert json.loads(one.out)["columns"]["file"] == ["z.png"]


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
