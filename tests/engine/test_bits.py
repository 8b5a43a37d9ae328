"""What a member's bits depend on: its settings, its seed and its lane kind, nothing else.

Oracle: the member itself, trained alone.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fathom
from broken_off import Killed, killed_at
from fathom.engine import Rung

from .worlds import member_bits, net_population, regression

TRAIN, HELD = regression(40), regression(16, seed=8)
RUN = {"epochs": 5, "batch_size": 16}
RATES = np.geomspace(0.003, 0.05, 40)
SEEDS = np.arange(40) % 7
WIDTHS = (1, 4, 8)
WATCHED = (0, 5, 17, 39)


def run(members, width, **more):
    population = net_population(learning_rate=RATES[members], seed=SEEDS[members])
    return population.run(TRAIN, HELD, **{**RUN, **more}, lane_width=width)


@pytest.fixture(scope="module", params=WIDTHS)
def width(request):
    return request.param


@pytest.fixture(scope="module")
def alone(width):
    return {m: member_bits(run([m], width), 0) for m in WATCHED}


def test_among_forty_others(width, alone):
    among = run(np.arange(40), width)
    assert {m: member_bits(among, m) for m in WATCHED} == alone


def test_in_another_order(width, alone):
    order = np.random.default_rng(0).permutation(40)
    shuffled = run(order, width)
    where = {int(m): place for place, m in enumerate(order)}
    assert {m: member_bits(shuffled, where[m]) for m in WATCHED} == alone


def test_after_others_were_dropped(width, alone):
    result = run(np.arange(40), width, rungs=[Rung(0.4, 12), Rung(0.8, 3)])
    left = [m for m, record in result.records.items() if record.status == "finished"]
    assert len(left) == 3
    for member in left:
        assert member_bits(result, member) == alone.get(member, member_bits(run([member], width), 0))


def test_measuring_changes_nothing(width, alone):
    seen = []
    result = run(np.arange(40), width, callbacks=[seen.append])
    assert {m: member_bits(result, m) for m in WATCHED} == alone
    assert [event["epoch"] for event in seen] == list(range(5))
    np.testing.assert_array_equal(seen[0]["report"].members, np.arange(40))


@pytest.mark.parametrize("killed_after", [1, 3])
def test_after_a_resume(width, alone, tmp_path, killed_after):
    members = np.array(WATCHED)
    rungs = [Rung(0.4, 3)]
    whole = run(members, width, rungs=rungs)
    with pytest.raises(Killed):
        run(
            members,
            width,
            rungs=rungs,
            checkpoint=tmp_path,
            save_every=0,
            callbacks=[killed_at("epoch", killed_after + 1)],
        )
    resumed = run(members, width, rungs=rungs, checkpoint=tmp_path, save_every=0)
    assert repr(resumed.records) == repr(whole.records)
    left = [m for m, record in whole.records.items() if record.status == "finished"]
    assert len(left) == 3
    for place in left:
        assert member_bits(resumed, place) == member_bits(whole, place) == alone[WATCHED[place]]


ON_DEVICES = """
import json, jax, numpy as np
from engine.test_bits import run, member_bits
found = {}
for width in (1, 4):
    result = run(np.arange(6), width)
    found[width] = [[part.hex() for part in member_bits(result, member)[0]] for member in range(6)]
print(json.dumps([jax.device_count(), found]))
"""


def start_on(devices):
    source, tests = Path(fathom.__file__).parents[1], Path(__file__).parents[1]
    flags = f"--xla_force_host_platform_device_count={devices} --xla_cpu_multi_thread_eigen=false"
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": f"{source}{os.pathsep}{tests}"}
    return subprocess.Popen([sys.executable, "-c", ON_DEVICES], env=environment, stdout=subprocess.PIPE)


@pytest.mark.parametrize("counts", [(1, 2), pytest.param((1, 2, 4, 8), marks=pytest.mark.slow)])
def test_however_many_devices(counts):
    said = [process.communicate()[0] for process in [start_on(devices) for devices in counts]]
    seen, found = zip(*map(json.loads, said), strict=True)
    assert seen == counts
    assert all(one == found[0] for one in found)
