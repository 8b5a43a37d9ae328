import dataclasses
import json
import math

import numpy as np
import pytest

from fathom.data import Table, load
from fathom.errors import RunError
from fathom.study.run_folder import RunFolder, Stream, clean, fingerprint


def test_a_stream_is_cut_back_to_what_a_save_vouches_for(tmp_path):
    path = tmp_path / "members.jsonl"
    first = Stream(path)
    first.write(event="epoch", number=1)
    size = first.checkpoint()["stream_bytes"]
    first.write(event="epoch", number=2)
    first.close()
    second = Stream(path, size)
    second.write(event="epoch", number=3)
    second.close()
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [1, 3]


def test_a_stream_without_a_file_keeps_nothing():
    stream = Stream(None)
    stream.write(event="epoch")
    assert stream.checkpoint() == {"stream_bytes": 0}
    stream.close()


def test_what_json_cannot_say_becomes_null():
    values = {"a": math.nan, "b": (np.float32(0.1), np.int64(3), np.bool_(True)), 3: [math.inf, "x", None]}
    assert clean(values) == {"a": None, "b": [0.1, 3, True], "3": [None, "x", None]}
    assert json.dumps(clean(values), allow_nan=False)


def test_a_fingerprint_sees_every_cell_that_is_used():
    data = load("iris")
    cells, target = data.table.numeric.copy(), data.target.copy()
    cells[7, 2] += 1e-9
    target[0] = 2
    words = np.full((150, 1), "x", dtype=object)
    others = [
        dataclasses.replace(data, table=Table(cells, data.table.categorical)),
        dataclasses.replace(data, target=target),
        dataclasses.replace(data, table=Table(data.table.numeric, words)),
    ]
    assert fingerprint(data) == fingerprint(load("iris"))
    assert len({fingerprint(data), *map(fingerprint, others)}) == 4


def test_a_missing_cell_is_not_an_empty_one():
    data = load("iris")
    empty, missing = np.full((150, 1), "", dtype=object), np.full((150, 1), None, dtype=object)
    one, other = (dataclasses.replace(data, table=Table(data.table.numeric, c)) for c in (empty, missing))
    assert fingerprint(one) != fingerprint(other)


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "study.toml").write_text("data = ")
    run = RunFolder.open(tmp_path)
    with pytest.raises(RunError, match=r"study.toml is damaged .* mend it or start the run anew"):
        run.read_study()
    (tmp_path / "members.jsonl").write_text('{"event": "member"}\n{"eve')
    with pytest.raises(RunError, match=r"members.jsonl is damaged"):
        run.read_members()
    with pytest.raises(RunError, match=r"is not finished; go on with: fathom resume"):
        run.read_result()
    assert run.read_plan() is None


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        RunFolder.create(tmp_path / "file" / "run")
