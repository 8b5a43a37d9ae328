"""Reading in stretches. Oracle: the whole file, read at once."""

import os

import numpy as np
import pytest

from fathom.data import read_new
from fathom.data.read.tables import read_file, read_files
from fathom.data.stream import TableSource, batches, fits_memory, new_batches, source
from fathom.data.stream import load as stream_load
from fathom.data.stream.source import scratch_folder
from fathom.errors import DataError

from .files import write


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FATHOM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "streams"


def same(left, right):
    assert [(c.name, c.kind, c.reason) for c in left] == [(c.name, c.kind, c.reason) for c in right]
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
def test_stretches_joined_are_the_file(name, tmp_path):
    path = write(tmp_path / name)
    table, whole = TableSource([path]), read_file(path)
    assert (table.rows, list(table.names)) == (5000, [c.name for c in whole])
    for start, stop in table.stretches(1700):
        same(table.read(start, stop), [c.take(np.arange(start, stop)) for c in whole])
    rows = np.array([3, 4, 2047, 2048, 4999])
    same(table.pick(rows), [c.take(rows) for c in whole])
    same(table.read(0, 9, {"y", "r"}), [c.take(np.arange(9)) for c in whole if c.name in ("r", "y")])


def test_rows_stay_in_order_whatever_the_threads_do(tmp_path):
    path = write(tmp_path / "t.parquet", 60_000)
    for columns in (read_file(path), TableSource([path]).read(0, 60_000)):
        np.testing.assert_array_equal(columns[0].values, np.arange(60_000))


def test_row_groups_too_large_are_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "_LARGEST_GROUP", 2000)
    path = write(tmp_path / "t.parquet")
    same(TableSource([path]).read(2500, 2600), [c.take(np.arange(2500, 2600)) for c in read_file(path)])


def test_several_parquet_files_are_one_table(tmp_path):
    paths = [write(tmp_path / f"{name}.parquet", 3000) for name in "ab"]
    table = TableSource(paths)
    whole = read_files(paths)
    assert (table.rows, table.name) == (6000, tmp_path.name)
    same(table.read(2900, 3100), [c.take(np.arange(2900, 3100)) for c in whole])


def test_a_draw_is_of_different_rows_in_order(tmp_path):
    table = TableSource([write(tmp_path / "t.parquet")])
    rows = table.draw(1000)
    assert len(set(rows.tolist())) == 1000 and (np.diff(rows) > 0).all() and rows.max() < 5000
    np.testing.assert_array_equal(rows, table.draw(1000))
    np.testing.assert_array_equal(table.draw(9000), np.arange(5000))


def test_filled_cells_are_counted(tmp_path):
    counts = TableSource([write(tmp_path / "t.parquet")]).filled()
    assert (counts["r"], counts["gaps"], counts["half"]) == (5000, 5000 - 455, 5000 - 385)
    assert "nested" not in counts


def test_scratch_is_removed_also_that_of_a_process_that_died(tmp_path, cache):
    table = TableSource([write(tmp_path / "t.csv")])
    assert len(list(cache.iterdir())) == 1
    del table
    assert not list(cache.iterdir())
    (cache / "999999999-left").mkdir()
    scratch_folder()
    assert [p.name.partition("-")[0] for p in cache.iterdir()] == [str(os.getpid())]


@pytest.mark.parametrize(
    ("name", "content", "said"), [("t.parquet", b"no", "cannot be read"), ("t.csv", b"a,b\n", "no rows")]
)
def test_what_is_no_table_is_told(name, content, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        TableSource([tmp_path / name])


def test_what_fits_into_memory(tmp_path, monkeypatch):
    table, packed = write(tmp_path / "a[1].parquet"), write(tmp_path / "t.csv")
    np.savez(tmp_path / "arrays.npz", x=np.zeros((9, 9)))
    assert all(fits_memory(source) for source in (table, packed, "iris", {"a": [1]}, tmp_path / "arrays.npz"))
    monkeypatch.setattr(stream_load, "_memory", lambda: 1_000_000)
    assert [fits_memory(s) for s in (table, packed, "iris", tmp_path / "arrays.npz")] == [
        False,
        False,
        True,
        True,
    ]
    with pytest.raises(DataError, match="is neither a file nor a dataset"):
        fits_memory(tmp_path / "none.csv")
    assert TableSource([table]).rows == 5000


def test_batches_are_the_file(tmp_path, monkeypatch):
    import fathom as fm

    path = write(tmp_path / "t.parquet")
    schema = fm.load(path, "y").schema
    whole = read_new(path, schema)
    monkeypatch.setattr(batches, "fits_memory", lambda source, most: False)
    found = list(new_batches(path, schema, 1500))
    assert [len(one.table) for one in found] == [1500, 1500, 1500, 500]
    for name in ("numeric", "categorical", "text"):
        joined = np.concatenate([getattr(one.table, name) for one in found])
        np.testing.assert_array_equal(joined, getattr(whole.table, name))
    np.testing.assert_array_equal(np.concatenate([one.target for one in found]), whole.target)
    assert [one.target for one in new_batches(path, schema, 4000, with_target=False)] == [None, None]
