"""Two processes that meet through jax.distributed on this machine, each with one device.

Oracle: one process with two devices (this one), bit for bit; for what is refused, the sentence.
"""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fathom as fm
from broken_off import Killed, killed_at
from fathom import native
from fathom.engine import hosts
from fathom.errors import RunError
from study.conftest import small_grid

from . import test_shared_batches, test_windows
from .test_checkpoint import everything, run

RUNGS = [fm.Rung(0.25, 3)]
JOIN = """
import json, sys, time
import fathom as fm
port, process, *folders = sys.argv[1:]
process = int(process)
fm.configure(coordinator=f"127.0.0.1:{port}", processes=2, process=process)
"""
# A study; a population in which members diverge, are dropped and run out of patience; the resumption of a study that
# one process began; rows in windows; batches that the devices share; then process 1 fails.
TOGETHER = """
from fathom.engine import hosts
from fathom.errors import RunError
from engine import test_shared_batches, test_windows
from engine.test_checkpoint import everything, run
from engine.test_processes import RUNGS, digest, member_numbers
from study.conftest import small_grid

result = small_grid(rungs=RUNGS).run(folders[0], baselines=False)
population = run()
state = population.state(3) if process else None  # one process may ask alone
resumed = fm.resume(folders[1])
windows = test_windows.train(test_windows.streamed_feed(3), test_windows.specs())
shared = test_shared_batches.run("batch")
found = {
    "devices": len(hosts.devices()),
    "numbers": member_numbers(result),
    "resumed": member_numbers(resumed),
    "population": digest(everything(population)),
    "windows": digest(test_windows.everything(windows)),
    "shared": shared.scores.tolist()[:2],
    "folder": result.run is not None,
}
print(json.dumps(found), flush=True)
if process == 1:
    raise ValueError("process 1 has had enough")
try:
    hosts.meet()
except RunError as error:
    sys.exit(str(error))
"""
NATIVE = """
from engine.test_processes import member_numbers, native_study

study = native_study()
assert all(cohort.fused for cohort in study.plan().cohorts)
print(json.dumps(member_numbers(study.run(folders[0], baselines=False))))
"""
# Slow enough to be killed on the way; it says how far it is.
SLOW = """
from engine.test_processes import RUNGS
from study.conftest import small_grid

def slowly(event):
    if event["event"] == "epoch":
        print(event["epoch"], flush=True)
        time.sleep(0.05)

small_grid(rungs=RUNGS).run(folders[0], callbacks=[slowly], save_every=0, baselines=False)
"""


def member_numbers(result):
    """What a result says but for its times, its folder and the memory that was free."""
    left_out = ("seconds", "made", "run", "answer", "baselines", "plan")
    summary = {name: value for name, value in result.summary().items() if name not in left_out}
    return json.loads(json.dumps([summary, result.table()]))


def native_study():
    """Members that native code trains, noise, dropout and a rung among what it does; an odd number of them."""
    recipe = fm.Recipe(
        epochs=4, learning_rate=[1e-3, 1e-2, 3e-2], dropout=0.1, input_noise=0.1, label_smoothing=0.1
    )
    return fm.Study("iris", fm.models.MLP(width=16), recipe, folds=3, rungs=[fm.Rung(0.5, 2)])


def digest(found):
    return hashlib.sha256(repr(found).encode()).hexdigest()


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def environment(**variables):
    tests = Path(__file__).parents[1]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(fm.__file__).parents[1]), str(tests)]),
        "FATHOM_NATIVE": "",  # as in this process, which has not built it
        "XLA_FLAGS": "--xla_force_host_platform_device_count=1 --xla_cpu_multi_thread_eigen=false",
        **variables,
    }


def start(command, **variables):
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_two(code, *folders):
    port = free_port()
    return [start(["-c", JOIN + code, port, process, *folders]) for process in (0, 1)]


def finish(processes):
    """What each process wrote and ended with; none outlives the test."""
    try:
        return [(*process.communicate(timeout=300), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The small grid with a rung, run by one process and never stopped."""
    return small_grid(rungs=RUNGS).run(tmp_path_factory.mktemp("runs") / "whole", baselines=False)


@pytest.fixture(scope="module")
def together(whole, tmp_path_factory):
    """What two processes do; and the folders that they wrote."""
    folders = [tmp_path_factory.mktemp("runs") / name for name in ("new", "resumed")]
    with pytest.raises(Killed):
        small_grid(rungs=RUNGS).run(
            folders[1], callbacks=[killed_at("epoch", 4)], save_every=0, baselines=False
        )
    return finish(start_two(TOGETHER, *folders)), folders


def assert_same_files(run, whole):
    for name in ("members.jsonl", "model/model.json", "model/weights.safetensors"):
        assert (run / name).read_bytes() == (whole.run.path / name).read_bytes(), name


def test_a_study_is_that_of_one_process(together, whole):
    (first, second), (folder, _) = together
    assert_same_files(folder, whole)
    told = [json.loads(out) for out, _, _ in (first, second)]
    assert [one["devices"] for one in told] == [2, 2]
    assert told[0]["numbers"] == told[1]["numbers"] == member_numbers(whole)
    assert [one["folder"] for one in told] == [True, False]


def test_a_run_of_one_process_goes_on_on_two(together, whole):
    (first, second), (_, folder) = together
    assert_same_files(folder, whole)
    assert not (folder / "state").exists()
    expected = member_numbers(whole)
    assert json.loads(first[0])["resumed"] == json.loads(second[0])["resumed"] == expected


def test_a_population_is_that_of_one_process(together):
    expected = digest(everything(run()))
    assert [json.loads(out)["population"] for out, _, _ in together[0]] == [expected] * 2


def test_windows_of_rows_are_those_of_one_process(together):
    expected = digest(
        test_windows.everything(test_windows.train(test_windows.streamed_feed(3), test_windows.specs()))
    )
    assert [json.loads(out)["windows"] for out, _, _ in together[0]] == [expected] * 2


def test_batches_are_shared_by_the_devices_of_both(together):
    expected = test_shared_batches.run("members").scores[:2]
    for out, _, _ in together[0]:
        np.testing.assert_allclose(json.loads(out)["shared"], expected, rtol=1e-5)


@pytest.mark.usefixtures("native_code")
def test_native_code_trains_the_same_on_two_processes(tmp_path):
    whole = native_study().run(tmp_path / "whole", baselines=False)
    assert all(cohort.fused for cohort in native_study().plan().cohorts)
    built = {native.FOLDER: os.environ[native.FOLDER]}
    port = free_port()
    ended = finish(
        [start(["-c", JOIN + NATIVE, port, process, tmp_path / "two"], **built) for process in (0, 1)]
    )
    assert [code for *_, code in ended] == [0, 0], ended
    assert [json.loads(out) for out, *_ in ended] == [member_numbers(whole)] * 2
    assert_same_files(tmp_path / "two", whole)


def test_where_a_process_fails_the_other_ends_and_says_so(together):
    (_, first_said, first_code), (_, second_said, second_code) = together[0]
    assert "process 1 has had enough" in second_said and second_code == 1
    assert "process=0 lost another process; see what that one said" in first_said and first_code == 1


def test_killed_on_two_processes_it_goes_on_on_one(whole, tmp_path):
    folder = tmp_path / "run"
    processes = start_two(SLOW, folder)
    try:
        for line in processes[0].stdout:
            if line == "2\n":
                break
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
    assert [code for *_, code in finish(processes)] == [-signal.SIGKILL] * 2
    assert json.loads((folder / "state" / "state.json").read_text())["generation"] > 1
    resumed = fm.resume(folder)
    assert_same_files(folder, whole)
    assert member_numbers(resumed) == member_numbers(whole)


def test_a_folder_that_is_not_empty_is_refused_by_both_at_once(tmp_path):
    (tmp_path / "mine.txt").touch()
    command = [
        "-c",
        "from fathom.cli.main import main; main()",
        "fit",
        "iris",
        "--out",
        tmp_path,
        "--coordinator",
        f"127.0.0.1:{free_port()}",
    ]
    ended = finish([start(command, FATHOM_PROCESSES="2", FATHOM_PROCESS=str(process)) for process in (0, 1)])
    for out, said, code in ended:
        assert (out, code) == ("", RunError.exit_code)
        assert said.splitlines()[-1].startswith(
            f"error: folder={str(tmp_path)!r} is not empty; give a new one"
        )
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_alone_everything_is_here():
    assert hosts.alone() and hosts.first() and len(hosts.devices()) == 2
    assert hosts.agree(1 / 3, 2.0) == (1 / 3, 2.0)
    np.testing.assert_array_equal(hosts.each(1.0, 2.0), [[1.0, 2.0]])
    with pytest.raises(ZeroDivisionError):
        hosts.on_first(lambda: 1 / 0)
    before = hosts.now()
    hosts.meet()
    hosts.check_same(3, Path("here"))
    assert hosts.now() >= before
