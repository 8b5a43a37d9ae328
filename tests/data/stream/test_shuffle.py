"""Shuffling on disk. Oracle: the rows themselves, encoded all at once."""

import dataclasses

import numpy as np
import pytest

from fathom.data import Encoder, load
from fathom.data.stream import Shuffling, load_stream
from fathom.data.stream import source as source_module
from fathom.errors import DataError

from .files import TABLE, write

HELD = np.array([0, 1, 17, 2047, 2048, 4999])


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """A cache of its own, and stretches that end within row groups."""
    monkeypatch.setenv("FATHOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(source_module.TableSource.stretches, "__defaults__", (1300,))


def shuffling(path, target="y", left_out=HELD, window_rows=700, **more):
    data = load_stream(path, target, **more)
    encoder = Encoder.fit(
        data.schema,
        data.table,
        np.arange(len(data)),
        target=data.target if data.kind == "regression" else None,
    )
    return Shuffling(data.source, encoder, left_out, data.labeled, window_rows, 5), data


def passes(made, shuffled, number):
    """The rows of one pass in the order of its windows."""
    features, most = made.encoder.features, made.group_rows * made.window_groups
    parts = []
    for window in range(number * made.windows, (number + 1) * made.windows):
        arrays = {
            "x": np.full((most, features), np.nan, np.float32),
            "y": np.zeros(most, shuffled.form.target),
            "weight": np.zeros(most, np.float32),
        }
        shuffled.fill(window, arrays)
        count = shuffled.count(window)
        assert made.windows == 1 or count <= 700 + 8
        assert np.isnan(arrays["x"][count:]).all()
        parts.append({name: array[:count] for name, array in arrays.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def sort(rows):
    joined = np.column_stack([rows["x"], rows["y"], rows["weight"]])
    return joined[np.lexsort(joined.T)]


def test_each_row_once_in_every_pass_in_another_order(tmp_path):
    path = write(tmp_path / "t.parquet")
    made, data = shuffling(path)
    seen = []
    shuffled = made.shuffle(tmp_path / "s", seen.append)
    assert (made.rows, shuffled.rows, made.windows, seen[-1]) == (4994, 4994, 8, 1.0)
    rows = np.setdiff1d(np.arange(5000), HELD)
    expected = {
        "x": made.encoder.encode(data.table.take(rows)),
        "y": data.target[rows],
        "weight": np.ones(4994),
    }
    first, second = passes(made, shuffled, 0), passes(made, shuffled, 1)
    np.testing.assert_array_equal(sort(first), sort(expected))
    np.testing.assert_array_equal(sort(second), sort(expected))
    assert not np.array_equal(first["x"], second["x"])
    half = made.encoder.feature_names.index("half")  # grows along the file
    steps = np.abs(np.diff(first["x"][:, half]))
    assert np.median(steps) > 0.3  # in standard deviations; next to each other they are 0.0007


def test_a_copy_that_is_whole_is_taken_and_another_is_made_anew(tmp_path, monkeypatch):
    path = write(tmp_path / "t.parquet")
    made, _ = shuffling(path)
    before = passes(made, made.shuffle(tmp_path / "s"), 0)
    again = dataclasses.replace(made)
    seen = []
    after = passes(again, again.shuffle(tmp_path / "s", seen.append), 0)
    assert not seen
    np.testing.assert_array_equal(before["x"], after["x"])
    other = dataclasses.replace(made, seed=6)
    shuffled = other.shuffle(tmp_path / "s", seen.append)
    assert seen and not np.array_equal(passes(other, shuffled, 0)["x"], before["x"])
    shuffled.remove()
    assert not (tmp_path / "s").exists()


def test_cut_short_it_is_written_again(tmp_path):
    made, _ = shuffling(write(tmp_path / "t.parquet"))

    def stop(share):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.shuffle(tmp_path / "s", stop)
    cut = passes(made, made.shuffle(tmp_path / "s"), 0)
    np.testing.assert_array_equal(cut["x"], passes(made, made.shuffle(tmp_path / "other"), 0)["x"])


def test_an_input_that_turns_out_to_be_a_number(tmp_path):
    query = "SELECT CASE WHEN range < 2600 THEN 0 ELSE range END AS late, range % 2 AS y FROM range({rows})"
    made, data = shuffling(write(tmp_path / "t.parquet", query=query))
    made = dataclasses.replace(
        made, encoder=Encoder.fit(data.schema, data.table, np.arange(5000), scaling="none")
    )
    rows = passes(made, made.shuffle(tmp_path / "s"), 0)
    assert np.count_nonzero(rows["x"][:, 0] > 1) == 2400 - 1  # all but the one that is left out


def test_rows_without_a_target_are_left_out(tmp_path):
    made, data = shuffling(write(tmp_path / "t.parquet"), "half", left_out=np.array([1, 2]))
    shuffled = made.shuffle(tmp_path / "s")
    assert (data.labeled, shuffled.rows) == (5000 - 385, 5000 - 385 - 2)
    assert "385 rows have no value in 'half' and are left out" in data.notes
    y = passes(made, shuffled, 0)["y"]
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=1e-2)


def test_a_class_that_no_drawn_row_is_of_is_left_out(tmp_path):
    query = TABLE.replace("THEN 'up'", "THEN 'up' WHEN range IN (4001, 4003) THEN 'rare'")
    path = write(tmp_path / "t.parquet", query=query)
    made, data = shuffling(path, resident=2000)
    if "rare" in data.classes:
        pytest.fail("the seed drew the rare class; take another row")
    assert made.shuffle(tmp_path / "s").rows < made.rows


def test_a_cell_that_does_not_fit_is_told_with_its_place(tmp_path):
    path = write(tmp_path / "t.parquet")
    made, _ = shuffling(path)
    other = write(
        tmp_path / "other.parquet", query=TABLE.replace("range % 7 AS seven", "'x' || range AS seven")
    )
    made = dataclasses.replace(made, source=source_module.TableSource([other]))
    with pytest.raises(DataError, match=r"in the rows from 1 on: column 'seven', row 1: 'x2' is no number"):
        made.shuffle(tmp_path / "s")


def test_rows_drawn_are_a_dataset_like_any_other(tmp_path):
    path = write(tmp_path / "t.parquet")
    whole, drawn = load(path, "y", stream=False), load_stream(path, "y", resident=1000)
    assert len(drawn) == 1000 and drawn.labeled == 5000
    assert [c.name for c in drawn.schema.columns] == [c.name for c in whole.schema.columns]
    np.testing.assert_array_equal(drawn.table.numeric, whole.table.numeric[drawn.places])
    np.testing.assert_array_equal(drawn.target, whole.target[drawn.places])
    assert "column 'r' is ignored: it numbers the rows" in drawn.notes
    assert drawn.notes[0].startswith("the file has 5,000 rows and is read in windows; 1,000 of them")
