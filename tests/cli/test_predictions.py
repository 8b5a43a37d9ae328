"""Files of predictions: three formats of one truth, written whole, whatever the size of the data."""

import csv
import json

import duckdb
import numpy as np
import pytest

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
