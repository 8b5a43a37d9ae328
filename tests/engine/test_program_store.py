"""Programs on disk: found by what they were made from, equal to new ones, and never in the way."""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fathom as fm
from fathom.catalogue import Catalogue
from fathom.engine import program_store
from fathom.engine.learner import LearnerSpec, functions_for
from fathom.engine.program import Program, device_mesh, put
from fathom.process import STORED
from fathom.task import Task


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(STORED, str(tmp_path / "programs"))
    return tmp_path / "programs"


@pytest.fixture
def rows():
    return put(device_mesh(tuple(jax.devices())), np.arange(8, dtype=np.float32))


def double(described="double"):
    traced = []

    def run(x):
        traced.append(x.shape)
        return {"y": 2 * x}, [x.sum()]

    return Program("double", run, described=described), traced


def test_the_second_program_is_not_traced_and_gives_the_same(rows, folder):
    first, traced = double()
    expected = first(rows)
    assert traced == [(8,)] and len(list(folder.iterdir())) == 1
    second, traced = double()
    found = second(rows)
    assert traced == []
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    assert all(map(np.array_equal, jax.tree.leaves(found), jax.tree.leaves(expected)))
    assert found[0]["y"].sharding == expected[0]["y"].sharding


def test_a_program_that_was_lost_is_stored_again(rows, folder):
    double()[0](rows)  # JAX's cache knows it now
    for path in folder.iterdir():
        path.unlink()
    double()[0](rows)
    found, traced = double()
    assert np.array_equal(found(rows)[0]["y"], 2 * np.arange(8)) and traced == []


def test_what_it_is_found_by(rows, monkeypatch):
    double()[0](rows)
    four, traced = double()
    four(rows[:4])  # another shape
    assert traced == [(4,)]
    other, traced = double("triple")
    other(rows)
    assert traced == [(8,)]
    jax.config.update("jax_default_matmul_precision", "highest")
    program_store._process.cache_clear()
    try:
        another, traced = double()
        another(rows)  # another way to compile
    finally:
        jax.config.update("jax_default_matmul_precision", None)
        program_store._process.cache_clear()
    assert traced == [(8,)]


def test_nothing_is_stored_that_nobody_can_describe(rows, folder, monkeypatch):
    double("")[0](rows)
    assert not folder.exists()
    monkeypatch.delenv(STORED)
    double()[0](rows)
    assert not folder.exists()


def test_a_users_program_is_known_once_it_was_compiled(rows, folder):
    """JAX's cache cannot be asked; but the same equations for the same shapes were compiled before."""

    def program(function):
        made = Program("own", function, noted=True)
        return lambda x: made.is_stored(x, traced=made.equations(x)), made

    known, own = program(lambda x: jnp.sin(x) + 1)
    assert not known(rows) and not own.is_stored(rows)
    own(rows)
    assert known(rows)
    assert [path.stat().st_size for path in folder.iterdir()] == [0]  # noted, not kept
    again, _ = program(lambda y: jnp.sin(y) + 1)
    other, _ = program(lambda x: jnp.sin(x) * 1)
    assert again(rows) and not again(rows[:4]) and not other(rows)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"no program", None])
def test_a_damaged_file_is_made_anew(rows, folder, content):
    expected = double()[0](rows)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    again, traced = double()
    found = again(rows)
    assert traced == [(8,)] and np.array_equal(found[0]["y"], expected[0]["y"])
    assert [p.name for p in folder.iterdir()] == [path.name] and len(path.read_bytes()) > len(content or b"")


def test_a_folder_that_cannot_be_made_stops_nobody(rows, folder):
    folder.write_text("in the way")
    assert double()[0](rows)[1][0] == 28


def test_what_nobody_asked_for_in_a_month_goes(rows, folder):
    double()[0](rows)
    (old,) = folder.iterdir()
    month = time.time() - 31 * 24 * 3600
    os.utime(old, (month, month))
    double("another")[0](rows)
    assert old not in set(folder.iterdir()) and len(list(folder.iterdir())) == 1


def spec(**settings):
    return LearnerSpec(fm.models.MLP(width=4), Task.classification(4, 3), **settings)


def test_only_what_is_fathoms_own_has_a_description():
    own = functions_for(spec()).described
    assert own and own == functions_for(spec()).described
    assert own != functions_for(spec(optimizer="sgd")).described
    assert functions_for(spec(loss=lambda outputs, targets: jnp.zeros(len(targets)))).described == ""
    module = fm.models.FromModule(lambda task, key: eqx.nn.Linear(4, 3, key=key))
    assert functions_for(LearnerSpec(module, Task.classification(4, 3))).described == ""


def test_a_record_of_a_user_ends_descriptions(monkeypatch):
    from fathom.engine.learner import _described

    assert Catalogue.others == set()  # of all that Fathom adds itself
    monkeypatch.setattr(Catalogue, "others", set())
    colors = Catalogue("color")
    colors.add(SimpleNamespace(name="red", fn=jnp.tanh))
    assert _described(spec())
    colors.add(SimpleNamespace(name="mine", fn=lambda x: x))
    assert Catalogue.others == {"color mine"} and _described(spec()) == ""


STUDY = """
import json, sys
import fathom as fm
import equinox as eqx
import jax
fm.configure()
traced = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, seconds, **about: traced.append(about.get("fun_name")) if "trace_duration" in name else None
)
recipe = fm.Recipe(learning_rate=[1e-3, 1e-2], epochs=3)
result = fm.Study("iris", fm.models.MLP(width=8), recipe, folds=2).run(baselines=False)
summary = result.summary()
print(json.dumps([summary["validation"], summary["test"]["metrics"], [str(name) for name in traced]]))
"""


def test_a_study_in_another_process_traces_no_training_and_ends_the_same(tmp_path):
    def run(programs):
        environment = {
            **{k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")},
            "FATHOM_CACHE": str(tmp_path / "cache"),
            STORED: programs,
        }
        done = subprocess.run(
            [sys.executable, "-c", STUDY], env=environment, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    first, second, never = run(str(tmp_path / "p")), run(str(tmp_path / "p")), run("")
    assert first[:2] == second[:2] == never[:2]
    for traced, expected in ((first[2], True), (second[2], False), (never[2], True)):
        for program in ("epoch", "init"):
            assert any(name.startswith(program) for name in traced) == expected
