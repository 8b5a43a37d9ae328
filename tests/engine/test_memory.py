"""Memory. Oracles: the peak that Linux notes of real processes, XLA's own account, sums by hand."""

import dataclasses
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fathom as fm
from fathom.engine import memory as memory_module
from fathom.engine.cohort import Cohort
from fathom.engine.device_feed import DeviceFeed
from fathom.engine.feed import aligned, copied_bytes, joined
from fathom.engine.liveness import count_equations, live_bytes
from fathom.engine.memory import Memory, host_memory, plan_memory, process_memory
from fathom.engine.rungs import Rung
from fathom.engine.training import Training
from fathom.errors import UsageError

_PROCESS = """
import sys
from pathlib import Path
import jax, jax.numpy as jnp
import fathom as fm

def held(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024

fm.configure()
jax.jit(lambda x: x + 1)(jnp.zeros(3)).block_until_ready()
idle = held("VmRSS")
rates = fm.log_grid(1e-4, 1e-2, int(sys.argv[2]))
recipe = fm.Recipe(learning_rate=rates, epochs=1)
study = fm.Study("digits", fm.models.MLP(width=int(sys.argv[1]), depth=2), recipe, folds=1, rungs=())
forecast = study.plan().memory.total
study.run(sys.argv[3], baselines=False, save_every=0)
print([idle, forecast, held("VmHWM")])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_forecast_is_within_a_fifth_of_what_a_process_takes(tmp_path):
    """Cold and warm: with its programs to compile, and with them on disk. Of the total, and of the growth."""
    for state in ("cold", "warm"):
        command = [sys.executable, "-c", _PROCESS, "512", "24", str(tmp_path / state)]
        variables = {"FATHOM_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, capture_output=True, text=True, env=variables)
        assert done.returncode == 0, done.stderr
        idle, forecast, measured = json.loads(done.stdout.splitlines()[-1])
        assert forecast == pytest.approx(measured, rel=0.2), state
        assert forecast - idle == pytest.approx(measured - idle, rel=0.2), state


def small_grid():
    """Iris, two architectures, two learning rates, two seeds, two folds: 16 members in two programs."""
    recipe = fm.Recipe(learning_rate=[0.003, 0.03], epochs=4)
    return fm.Study("iris", [fm.models.MLP(width=8, depth=1), fm.models.Linear()], recipe, seeds=2, folds=2)


def epoch_of(study):
    """An epoch's program compiled, what it was traced to, and the bytes of a block on a device."""
    cohorts, members = study.cohorts(study.resolve(None))
    devices = jax.local_devices()
    cohort = Cohort(study.specs(cohorts, members)[0], DeviceFeed(study.inputs.feed, devices), devices)
    cohort.start()
    arguments = cohort._arguments(cohort._blocks[0], *cohort._orders())
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(arguments[0])) // len(devices)
    program = cohort.programs.epoch
    return program.compiled(*arguments), program.equations(*arguments), held


def test_what_a_step_holds_is_what_xla_sets_aside():
    compiled, traced, held = epoch_of(small_grid())
    assert live_bytes(traced) - held == pytest.approx(compiled.memory_analysis().temp_size_in_bytes, rel=0.5)


def live(function, *args):
    return live_bytes(jax.make_jaxpr(function)(*args).jaxpr)


A = jnp.ones((16, 16))  # 1024 bytes


@pytest.mark.parametrize(
    ("function", "arrays"),
    [
        (lambda a: a @ a, 1),
        (lambda a: jnp.tanh(a @ a) + 1, 1),  # in passing, and in place
        (lambda a: (a @ a) @ a, 2),
        (lambda a: jnp.sin(a @ a) @ a + (a @ a), 2),
        (lambda a: ((a @ a) @ a) @ a, 2),  # the first is gone by the third
        (lambda a: jax.lax.fori_loop(0, 5, lambda i, b: b @ a, a @ a), 2),
        (lambda a: jax.lax.scan(lambda b, _: (jnp.sin(b), b), a @ a, None, 4)[1], 4 + 2),
        (lambda a: jax.lax.cond(a[0, 0] > 0, lambda: (a @ a) @ a, lambda: a @ a), 3),
        (lambda a: jax.nn.relu(a @ a), 1),  # a call is opened
        (lambda a: a.reshape(4, 64).reshape(64, 4), 0),
    ],
)
def test_live_bytes_by_hand(function, arrays):
    assert live(function, A) == pytest.approx(1024 * arrays, abs=64)


def test_a_loop_counts_once():
    assert (
        count_equations(jax.make_jaxpr(lambda x: jax.lax.fori_loop(0, 9, lambda i, y: y * 2, x))(1.0).jaxpr)
        == 3
    )


def test_parts_add_up_and_are_said():
    memory = Memory(process=10**8, programs=2 * 10**8, members=3 * 10**8, block=10**8)
    assert memory.total == 6 * 10**8
    said = str(memory).replace("\u202f", " ")
    assert said == "600 MB: process 100 MB, programs 200 MB, members 300 MB"
    away = dataclasses.replace(memory, away=True, shared=False)
    assert (away.on_devices, away.on_host) == (10**8, 6 * 10**8)
    assert "wait on the host" in str(away)


def specs_of(study):
    cohorts, members = study.cohorts(study.resolve(None))
    return study.specs(cohorts, members), study.inputs.feed


def test_what_cannot_fit_is_refused_in_one_sentence(monkeypatch):
    specs, feed = specs_of(small_grid())
    monkeypatch.setattr(memory_module, "process_memory", lambda: 10**8)
    monkeypatch.setattr(memory_module, "host_memory", lambda: 10**8)
    with pytest.raises(UsageError, match=r"memory=.* is needed and 80.MB is allowed .*; give fewer rows"):
        plan_memory(specs, feed, jax.local_devices())


class Card:
    """A device with memory of its own."""

    platform = "gpu"


def test_members_wait_on_the_host_where_the_devices_cannot_hold_all(monkeypatch):
    specs, feed = specs_of(small_grid())
    asked = Memory(members=900, block=100, working=10, rows=20, shared=False)
    monkeypatch.setattr(memory_module, "forecast", lambda *args, **options: asked)
    held = {}
    monkeypatch.setattr(memory_module, "device_memory", lambda device: held["bytes"])
    for size, away in ((2000, False), (500, True)):
        held["bytes"] = size
        assert plan_memory(specs, feed, [Card()]).away is away
    held["bytes"] = 100
    with pytest.raises(UsageError, match="train fewer members"):
        plan_memory(specs, feed, [Card()])


@pytest.mark.parametrize("rungs", [(), "some"])
def test_waiting_on_the_host_changes_nothing(rungs):
    specs, feed = specs_of(small_grid())
    groups = {member: member for spec in specs for member in spec.members}
    asked = (Rung(0.5, 3),) if rungs else ()
    found = []
    for away in (False, True):
        training = Training(specs, feed, groups, rungs=asked, away=away, patience=dict.fromkeys(groups, 2))
        records = training.run()
        kept = training.kept([m for m, r in records.items() if r.status != "dropped"])
        found.append((records, jax.tree.leaves(jax.tree.map(np.asarray, kept))))
    (first, weights), (second, others) = found
    assert str(first) == str(second)
    for ours, theirs in zip(weights, others, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_is_aligned_is_read_in_place():
    array = aligned((7, 33), np.float32)
    array[:] = 1
    placed = jax.device_put(array, jax.local_devices()[0])
    assert placed.unsafe_buffer_pointer() == array.ctypes.data
    assert copied_bytes({"x": array}) == 0
    raw = np.zeros(65, np.uint8)
    assert copied_bytes(raw[1 - raw.ctypes.data % 2 :]) in (64, 65)
    np.testing.assert_array_equal(joined([np.arange(3), np.arange(2)]), [0, 1, 2, 0, 1])


def test_a_machine_and_a_process_have_memory():
    assert 10**7 < process_memory() < host_memory()
