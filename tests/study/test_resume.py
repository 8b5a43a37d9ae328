import json
import signal

import numpy as np
import pytest

import fathom as fm
from fathom.errors import RunError, UsageError
from fathom.models import MLP, Linear

from .conftest import in_a_process_of_its_own, small_grid, small_regression
from .test_run import assert_same_bits, numbers

#: The small grid in a process of its own, which kills itself in the middle of training.
KILLED = """
import os, signal, sys
from tests.study.conftest import small_grid
import fathom as fm

seen = []

def kill(event):
    if event["event"] == "epoch":
        seen.append(event)
        if len(seen) == 6:
            os.kill(os.getpid(), signal.SIGKILL)

small_grid(rungs=[fm.Rung(0.25, 3)]).run(sys.argv[1], callbacks=[kill], save_every=0, baselines=False)
"""


class Stopped(Exception):
    pass


def stop_at(count):
    """A callback that breaks off when the epoch of this number, over all cohorts, has been told."""
    seen = []

    def callback(event):
        seen.extend([event] * (event["event"] == "epoch"))
        if len(seen) == count:
            raise Stopped

    return callback


def broken_off(study, folder, count, save_every):
    with pytest.raises(Stopped):
        study.run(folder, callbacks=[stop_at(count)], save_every=save_every, baselines=False)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The small grid with a rung, never stopped."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return small_grid(rungs=[fm.Rung(0.25, 3)]).run(folder, baselines=False)


def assert_same_run(resumed, whole):
    mine, theirs = numbers(resumed), numbers(whole)
    # A resumed run fits the baselines that the first was told to leave out, and its sentence names them.
    for name in ("answer", "baselines"):
        mine.pop(name), theirs.pop(name)
    assert mine == theirs
    assert_same_bits(resumed, whole)
    files = [(result.run.path / "members.jsonl").read_text().splitlines() for result in (resumed, whole)]
    assert files[0] == files[1]


def test_a_killed_run_goes_on_to_the_same_numbers(whole, tmp_path):
    folder = tmp_path / "run"
    ended = in_a_process_of_its_own(KILLED, folder, cwd=tmp_path)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not (folder / "result.json").exists() and (folder / "state").is_dir()
    with pytest.raises(RunError, match=r"is not finished; go on with: fathom resume"):
        fm.load_run(folder)
    resumed = fm.resume(folder)
    assert_same_run(resumed, whole)
    assert not (folder / "state").exists() or not list((folder / "state").iterdir())


@pytest.mark.parametrize(("count", "save_every"), [(1, 0), (2, 0), (3, 0), (8, 0), (5, 1e9)])
def test_wherever_a_run_breaks_off_it_goes_on_to_the_same_numbers(whole, tmp_path, count, save_every):
    study = small_grid(rungs=[fm.Rung(0.25, 3)])
    assert_same_run(fm.resume(broken_off(study, tmp_path / "run", count, save_every)), whole)


def test_a_run_may_break_off_more_than_once(whole, tmp_path):
    folder = broken_off(small_grid(rungs=[fm.Rung(0.25, 3)]), tmp_path / "run", 3, 0)
    with pytest.raises(Stopped):
        fm.resume(folder, [stop_at(2)], save_every=0)
    assert_same_run(fm.resume(folder), whole)


def test_a_finished_run_is_read_and_not_trained(whole):
    events = []
    again = fm.resume(whole.run.path, [events.append])
    assert events == [] and again.summary() == whole.summary()


def test_changed_data_is_refused(tmp_path):
    table = tmp_path / "data.csv"
    draw = np.random.default_rng(0)
    rows = ["a,b,y", *(f"{a:.3f},{b:.3f},{a - b:.3f}" for a, b in draw.normal(size=(60, 2)))]
    table.write_text("\n".join(rows))
    study = fm.Study(fm.load(table, target="y"), MLP(width=4, depth=1), fm.Recipe(epochs=3), folds=1)
    study.source = str(table)
    folder = broken_off(study, tmp_path / "run", 1, 0)
    rows[7] = rows[7].replace(rows[7].split(",")[0], "99.0")
    table.write_text("\n".join(rows))
    with pytest.raises(RunError, match="its data has changed since it began; start it anew"):
        fm.resume(folder)


def test_data_in_memory_is_asked_for_again(tmp_path):
    study = small_regression()
    folder = broken_off(
        fm.Study(study.dataset, study.architectures, study.recipe, folds=1), tmp_path / "run", 1, 0
    )
    with pytest.raises(
        RunError, match=r"was started on data in memory; give it again: resume\(folder, data=...\)"
    ):
        fm.resume(folder)
    assert fm.resume(folder, data=study.dataset).summary()["task"] == "regression"


def test_a_loss_of_ones_own_is_asked_for_again(tmp_path):
    def absolute(outputs, targets):
        return abs(outputs[:, 0] - targets)

    study = small_regression(loss=absolute)
    expected = study.run(tmp_path / "whole", baselines=False)
    folder = broken_off(study, tmp_path / "run", 2, 0)
    with pytest.raises(UsageError, match="is a function, which a file does not hold"):
        fm.resume(folder)
    assert_same_bits(fm.resume(folder, loss=absolute), expected)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"holds no study.toml"):
        fm.resume(tmp_path)


def test_a_run_stopped_before_its_plan_starts_from_its_settings(tmp_path, whole):
    folder = tmp_path / "run"

    def stop(event):
        if event["event"] == "data":
            raise Stopped

    with pytest.raises(Stopped):
        small_grid(rungs=[fm.Rung(0.25, 3)]).run(folder, callbacks=[stop], baselines=False)
    assert not (folder / "plan.json").exists()
    assert_same_run(fm.resume(folder), whole)


def test_a_budget_that_was_not_resolved_yet_is_resolved_on_resuming(tmp_path):
    folder = tmp_path / "run"

    def stop(event):
        if event["event"] == "data":
            raise Stopped

    with pytest.raises(Stopped):
        small_grid().run(folder, "3 epochs", callbacks=[stop], baselines=False)
    assert 'budget = "3 epochs"' in (folder / "study.toml").read_text()
    fm.resume(folder)
    record = json.loads((folder / "plan.json").read_text())
    assert {cohort["epochs"] for cohort in record["cohorts"]} == {3}
    assert "budget" not in (folder / "study.toml").read_text()


def test_a_damaged_record_is_named(tmp_path):
    folder = broken_off(small_grid(), tmp_path / "run", 1, 0)
    (folder / "plan.json").write_text("{")
    with pytest.raises(RunError, match=r"plan.json is damaged"):
        fm.resume(folder)


def test_the_plan_fixes_the_lanes_of_a_resumed_run(tmp_path):
    folder = broken_off(fm.Study("iris", Linear(), fm.Recipe(epochs=3), folds=2), tmp_path / "run", 1, 0)
    record = json.loads((folder / "plan.json").read_text())
    assert record["data_fingerprint"] and record["cohorts"][0]["lane_width"] == 1
    assert fm.resume(folder).summary()["members"] == 2
