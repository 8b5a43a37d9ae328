"""Resuming. Oracles: the uninterrupted run; the save before the one that a kill cut short."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import fathom
from fathom.engine import Rung, checkpoint
from fathom.engine.checkpoint import Checkpoint, read_arrays, write_arrays
from fathom.errors import RunError

from .worlds import member_bits, net_population, regression

TRAIN, HELD = regression(40), regression(16, seed=8)
RATES = [0.01, 0.02, 1e30, 0.04, 0.3, 0.06]


RUNGS = (Rung(0.5, 4),)


def run(folder=None, rates=RATES, rungs=RUNGS, train=TRAIN, **more):
    population = net_population(learning_rate=rates, seed=[0, 1, 2, 0, 1, 2])
    settings = {"epochs": 8, "batch_size": 16, "lane_width": 2, "patience": 2.0, "rungs": rungs, **more}
    return population.run(train, HELD, checkpoint=folder, save_every=0.0, **settings)


def everything(result):
    kept = [m for m, record in result.records.items() if record.status != "dropped"]
    return repr(result.records), [member_bits(result, m) for m in kept]


@pytest.fixture(scope="module")
def whole():
    result = run()
    assert {record.status for record in result.records.values()} >= {"diverged", "dropped", "finished"}
    return everything(result)


# The process kills itself with SIGKILL at the n-th save, at one of its three stages.
VICTIM = """
import os, signal, sys
from pathlib import Path
from fathom.engine import checkpoint
from engine.test_checkpoint import run
stage, left, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
original = getattr(checkpoint, stage)
def killing(*args):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    original(*args)
setattr(checkpoint, stage, killing)
run(folder)
"""


@pytest.mark.parametrize(("stage", "count"), [("write_whole", 3), ("write_arrays", 9)])
def test_killed_in_the_middle_of_a_save(stage, count, whole, tmp_path):
    source, tests = Path(fathom.__file__).parents[1], Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{tests}"}
    command = [sys.executable, "-c", VICTIM, stage, str(count), str(tmp_path)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    index = json.loads((tmp_path / checkpoint.INDEX).read_text())
    assert 0 < index["record"]["cohorts"][0]["epoch"] < 8
    assert everything(run(tmp_path)) == whole


@pytest.mark.parametrize("saves", [1, 4, 6])
def test_a_save_that_is_cut_short_leaves_the_one_before(saves, whole, tmp_path, monkeypatch):
    written = []

    def fail(path, text):
        if len(written) == saves:
            raise KeyboardInterrupt
        written.append(original(path, text))

    original = checkpoint.write_whole
    monkeypatch.setattr(checkpoint, "write_whole", fail)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    monkeypatch.undo()
    assert json.loads((tmp_path / checkpoint.INDEX).read_text())["generation"] == saves
    assert everything(run(tmp_path)) == whole


def test_a_finished_run_is_read_back_without_training(whole, tmp_path):
    run(tmp_path)
    seen = []
    assert everything(run(tmp_path, callbacks=[seen.append])) == whole
    assert "epoch" not in [event["event"] for event in seen]


@pytest.mark.parametrize(
    "other",
    [
        {"rates": [0.01, 0.02, 0.03]},
        {"rates": [0.01, 0.02, 1e30, 0.04, 0.3, 0.061]},
        {"train": regression(40, seed=9)},
        {"train": regression(41)},
        {"epochs": 9},
        {"lane_width": 1},
        {"rungs": ()},
        {"patience": 3.0},
    ],
)
def test_another_population_is_refused(saved, other):
    rates = other.pop("rates", RATES)
    seed = [0, 1, 2, 0, 1, 2][: len(rates)]
    population = net_population(learning_rate=rates, seed=seed)
    settings = {
        "epochs": 8,
        "batch_size": 16,
        "lane_width": 2,
        "patience": 2.0,
        "rungs": (Rung(0.5, 4),),
        **other,
    }
    train = settings.pop("train", TRAIN)
    with pytest.raises(RunError, match=r"checkpoint=.* holds another population; give an empty folder"):
        population.run(train, HELD, checkpoint=saved, **settings)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    run(folder)
    return folder


@pytest.mark.parametrize("left", [0, 5, 100])
def test_truncated_arrays_are_told(saved, tmp_path, left):
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    victim = next(tmp_path.glob("*.safetensors"))
    victim.write_bytes(victim.read_bytes()[:left])
    with pytest.raises(RunError, match=r"safetensors is damaged \(.*\); start the run anew"):
        run(tmp_path)
    victim.unlink()
    with pytest.raises(RunError, match="is missing; the run is not whole"):
        run(tmp_path)


@pytest.mark.parametrize("part", ["state", "best"])
def test_networks_laid_out_in_another_way_are_told(saved, tmp_path, part):
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    arrays_of = {f: checkpoint.read_arrays(f) for f in tmp_path.glob("*.safetensors")}
    file, arrays = next((f, a) for f, a in arrays_of.items() if any(n.startswith(f"{part}.") for n in a))
    name = next(n for n, a in sorted(arrays.items()) if n.startswith(f"{part}.") and a.ndim == 2)
    checkpoint.write_arrays(file, {**arrays, name: arrays[name][:, :-1]})
    with pytest.raises(RunError, match="saved by a version of Fathom that kept networks in another form"):
        run(tmp_path)


@pytest.mark.parametrize("text", [b"", b'{"generation": 1', b"\xff\xfe\x00", b"[]", b"{}", b"3"])
def test_a_damaged_index_is_told(tmp_path, text):
    (tmp_path / checkpoint.INDEX).write_bytes(text)
    with pytest.raises(RunError, match=r"state.json is damaged \(.*\); start the run anew"):
        run(tmp_path)


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 3)),
        "turned": np.arange(6).reshape(2, 3).T,
        "flags": np.array([True, False]),
        "words": np.array([2**32 - 1], np.uint32),
        "half": np.arange(3).astype(ml_dtypes.bfloat16),
    }
    write_arrays(tmp_path / "a.safetensors", {name: np.asarray(a) for name, a in arrays.items()})
    back = read_arrays(tmp_path / "a.safetensors")
    for name, array in arrays.items():
        assert (back[name].shape, back[name].dtype) == (np.shape(array), array.dtype), name
        np.testing.assert_array_equal(back[name], array)


def test_a_save_replaces_the_last_and_clear_leaves_nothing(tmp_path):
    store = Checkpoint(tmp_path / "new" / "folder")
    assert store.load() is None
    store.save({"n": 1}, {"a": {"x": np.zeros(2)}, "b": {"x": np.ones(2)}})
    store.save({"n": 2}, {"a": {"x": np.full(2, 7.0)}})
    record, groups = store.load()
    assert record == {"n": 2} and list(groups) == ["a"]
    np.testing.assert_array_equal(groups["a"]["x"], [7, 7])
    assert len(list(store.folder.iterdir())) == 2
    (store.folder / "state.json.part").touch()
    store.clear()
    assert not store.folder.exists()
    store.clear()


def test_who_may_read_the_folder_may_read_the_arrays(tmp_path):
    tmp_path.chmod(0o750)
    write_arrays(tmp_path / "a.safetensors", {"a": np.zeros(2)})
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o640
