"""The process settings: pure where they can be, and in a process of their own where JAX must read them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fathom import process
from fathom.errors import UsageError

SOURCE = str(Path(process.__file__).parents[1])

PROBE = """
import json, sys
{before}
from fathom.process import configure
settings = configure()
import jax
events = []
jax.monitoring.register_event_listener(lambda name, **_: events.append(name))
jax.block_until_ready(jax.jit(lambda x: x @ x + 3.0)(jax.numpy.ones((5, 5))))
hits = [name for name in events if name.endswith("cache_hits")]
print(json.dumps({{"devices": len(jax.devices()), "hits": len(hits), "cache": str(settings.cache)}}))
"""


def run(tmp_path, before="", **variables):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_", "FATHOM_"))}
    environment = {
        **kept,
        "PYTHONPATH": SOURCE,
        "FATHOM_CACHE": str(tmp_path),
        "JAX_PLATFORMS": "cpu",
        **variables,
    }
    command = [sys.executable, "-c", PROBE.format(before=before)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("before", ["", "import jax"])
def test_a_second_process_reads_the_first_ones_programs_in_silence(tmp_path, before):
    first, second = run(tmp_path, before), run(tmp_path, before)
    assert (first.stderr, second.stderr) == ("", "")
    cold, warm = json.loads(first.stdout), json.loads(second.stdout)
    assert cold["devices"] == warm["devices"] == process.usable_cores()
    assert warm["hits"] > cold["hits"]
    assert warm["cache"].startswith(str(tmp_path))


@pytest.mark.skipif(process.usable_cores() == 1, reason="JAX's own device is all there is to arrange")
def test_after_the_first_computation_it_is_refused(tmp_path):
    late = run(tmp_path, "import jax; jax.numpy.ones(3).block_until_ready()")
    assert "UsageError: fathom.configure() came after JAX's first computation" in late.stderr


def test_a_second_call_changes_nothing(tmp_path):
    """A notebook's first cell is run again."""
    again = "import fathom as fm; fm.configure(); import jax; jax.numpy.ones(3).block_until_ready()"
    for before in (again, f"import jax; {again}"):
        found = run(tmp_path, before)
        assert found.stderr == ""
        assert json.loads(found.stdout)["devices"] == process.usable_cores()


def test_what_the_user_set_wins(tmp_path):
    mine = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=3 --xla_cpu_multi_thread_eigen=true",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "mine"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "9",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "9",
    }
    settings = process.arrange(mine)
    assert (settings.devices, settings.cache, settings.variables) == (3, tmp_path / "mine", {})


def test_flags_are_added_to_those_that_are_there(tmp_path):
    settings = process.arrange({"XLA_FLAGS": "--xla_dump_to=/x", "FATHOM_CACHE": str(tmp_path)})
    flags = settings.variables["XLA_FLAGS"].split()
    assert flags[0] == "--xla_dump_to=/x"
    assert flags[1:] == [
        f"--xla_force_host_platform_device_count={process.usable_cores()}",
        "--xla_cpu_multi_thread_eigen=false",
    ]


def test_the_cache_folder_follows_the_environment(tmp_path):
    root = process.cache_root
    assert root({"FATHOM_CACHE": str(tmp_path), "XDG_CACHE_HOME": "/elsewhere"}) == tmp_path
    assert root({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "fathom"
    assert root({}).name == "fathom"


def test_a_place_that_cannot_be_written_means_no_cache(tmp_path):
    file = tmp_path / "file"
    file.touch()
    settings = process.arrange({"FATHOM_CACHE": str(file)})
    assert settings.cache is None
    assert "JAX_COMPILATION_CACHE_DIR" not in settings.variables


@pytest.mark.parametrize(("written", "cores"), [("max 100000", 8), ("150000 100000", 2), ("1000 100000", 1)])
def test_a_container_counts_as_many_cores_as_its_share(tmp_path, monkeypatch, written, cores):
    quota = tmp_path / "cpu.max"
    quota.write_text(written)
    monkeypatch.setattr(process, "_QUOTA", quota)
    monkeypatch.setattr(process.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert process.usable_cores() == cores


def test_another_processor_has_another_key(tmp_path, monkeypatch):
    keys = set()
    for flags in ("flags : sse avx2", "flags : sse avx2 avx512f"):
        info = tmp_path / flags
        info.write_text(f"processor : 0\n{flags}\n\nprocessor : 1\n{flags}\n")
        monkeypatch.setattr(process, "_PROCESSOR", info)
        keys.add(process.processor_key())
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"processes": 2}, "processes=2 is given without coordinator"),
        ({"process": 0}, "process=0 is given without coordinator"),
        (
            {"coordinator": "here", "processes": 2, "process": 0},
            "coordinator='here' is no address; give HOST:PORT",
        ),
        ({"coordinator": "here:1"}, "processes=None is not allowed; say how many there are"),
        ({"coordinator": "here:1", "processes": 0, "process": 0}, "processes=0 is not allowed"),
        (
            {"coordinator": "here:1", "processes": 2},
            "process=None is not allowed; say which one this is, 0 to 1",
        ),
        ({"coordinator": "here:1", "processes": 2, "process": 2}, "process=2 is not allowed"),
        ({"coordinator": "auto", "processes": 2}, "process=None is not allowed"),
    ],
)
def test_half_of_a_meeting_is_refused_before_anything_is_arranged(given, said, monkeypatch):
    monkeypatch.setattr(process, "arrange", lambda environment: pytest.fail("arranged"))
    with pytest.raises(UsageError, match=said):
        process.configure(**given)


def test_no_cluster_is_refused(tmp_path):
    code = "from fathom.process import configure; configure(coordinator='auto')"
    environment = {**os.environ, "PYTHONPATH": SOURCE, "FATHOM_CACHE": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert "UsageError: coordinator='auto': the processes did not meet" in ended.stderr
