"""Fused steps: native code against the learner's own step, one batch after another."""

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fathom as fm
from broken_off import Killed, killed_at
from fathom import native
from fathom.engine import fused
from fathom.engine.learner import LearnerSpec, functions_for
from fathom.models import MLP
from fathom.objectives import LOSSES
from fathom.task import Task

COMPILER = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
SETTINGS = {
    "learning_rate": 0.01,
    "weight_decay": 0.1,
    "momentum": 0.9,
    "beta2": 0.99,
    "clip": 1.0,
    "warmup": 0.1,
    "floor": 0.1,
    "label_smoothing": 0.0,
    "dropout": 0.0,
    "init_scale": 1.0,
    "target_scale": 1.0,
    "total_steps": 20.0,
}
pytestmark = pytest.mark.usefixtures("native_code")
CLASSES, NUMBERS = Task.classification(7, 3), Task.regression(7)


def world(task, rows=40, folds=1, weighted=False):
    """Examples of every fold, as a study's feed has them."""
    draw = np.random.default_rng(3)
    x = draw.normal(size=(folds, rows, task.size)).astype(np.float32)
    classes = task.kind == "classification"
    y = draw.integers(0, 3, (1, rows)) if classes else draw.normal(size=(1, rows))
    weight = draw.integers(0, 3, (1, rows)) if weighted else np.ones((1, rows))
    found = {"x": x, "y": y.astype(np.int32 if classes else np.float32), "weight": weight.astype(np.float32)}
    if weighted:
        found["loss_weight"] = (weight * draw.uniform(0.5, 2, (1, rows))).astype(np.float32)
    return jax.tree.map(jnp.asarray, found)


def both(spec, settings, examples, rows, fold=0, count=None):
    """The state and the losses after the steps: native code's, and those of `step` on each batch."""
    functions = functions_for(spec)
    settings = {name: jnp.float32(value) for name, value in settings.items()}
    state = functions.init(jax.random.key(5, impl="threefry2x32"), settings)
    count = len(rows) if count is None else count
    which = (jnp.int32(fold), jnp.asarray(rows), jnp.int32(count))
    native_state, losses = jax.jit(lambda s: functions.steps(s, examples, *which, settings))(state)
    step = jax.jit(lambda s, batch: functions.step(s, batch, settings))
    expected, told = state, []
    for batch in rows[:count]:
        taken = jax.tree.map(lambda a, b=batch: a[min(fold, a.shape[0] - 1), b], examples)
        expected, metrics = step(expected, taken)
        told.append(float(metrics["loss"]))
    return native_state, np.asarray(losses), expected, np.array(told)


def same(ours, theirs, tolerance=2e-5):
    ours, theirs = (jax.tree.leaves(jax.tree.map(np.asarray, {**s, "key": None})) for s in (ours, theirs))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            a, b, rtol=tolerance, atol=tolerance * max(1e-3, float(np.abs(b).max(initial=0)))
        )


ROWS = np.random.default_rng(0).integers(0, 40, (6, 13)).astype(np.int32)
CASES = {
    "classes": (CLASSES, MLP(width=16), {}, {}),
    "numbers": (NUMBERS, MLP(width=33, depth=3), {}, {}),
    "affine": (CLASSES, MLP(width=5, depth=0), {}, {}),
    "one unit": (NUMBERS, MLP(width=1, depth=1), {}, {}),
    "wide": (CLASSES, MLP(width=130, depth=1), {}, {}),
    "no clip": (CLASSES, MLP(width=20), {"clip_by": "none"}, {}),
    "clip off": (CLASSES, MLP(width=20), {}, {"clip": np.inf}),
    "tight clip": (CLASSES, MLP(width=20), {}, {"clip": 1e-3}),
    "constant decay": (CLASSES, MLP(width=20), {"decay": "constant", "schedule": "cosine"}, {}),
    "smooth": (CLASSES, MLP(width=20), {"active": frozenset({"label_smoothing"})}, {"label_smoothing": 0.2}),
    "dropout": (CLASSES, MLP(width=21, depth=3), {"active": frozenset({"dropout"})}, {"dropout": 0.37}),
    "dropout, numbers": (NUMBERS, MLP(width=48), {"active": frozenset({"dropout"})}, {"dropout": 0.5}),
    "noise": (CLASSES, MLP(width=20), {"active": frozenset({"input_noise"})}, {"input_noise": 0.3}),
    "noise, numbers": (
        NUMBERS,
        MLP(width=12, depth=1),
        {"active": frozenset({"input_noise", "dropout"})},
        {"input_noise": 1.5, "dropout": 0.1},
    ),
    "dropout of none": (CLASSES, MLP(width=21), {"active": frozenset({"dropout"})}, {"dropout": 0.0}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_steps_are_those_of_the_learner(name):
    task, model, words, numbers = CASES[name]
    spec = LearnerSpec(model, task, **words)
    assert not fused.misfit(spec)
    ours, losses, theirs, told = both(spec, {**SETTINGS, **numbers}, world(task), ROWS)
    np.testing.assert_allclose(losses, told, rtol=2e-5, atol=1e-6)
    same(ours, theirs)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 32, 50])
def test_every_size_of_batch(rows):
    batches = np.random.default_rng(1).integers(0, 40, (3, rows)).astype(np.int32)
    ours, losses, theirs, told = both(LearnerSpec(MLP(width=19), CLASSES), SETTINGS, world(CLASSES), batches)
    np.testing.assert_allclose(losses, told, rtol=2e-5)
    same(ours, theirs)


@pytest.mark.parametrize("task", [CLASSES, NUMBERS], ids=["classes", "numbers"])
def test_weights_folds_and_fewer_steps_than_there_is_room_for(task):
    spec = LearnerSpec(MLP(width=16), task)
    examples = world(task, folds=3, weighted=True)
    ours, losses, theirs, told = both(spec, SETTINGS, examples, ROWS, fold=2, count=4)
    np.testing.assert_allclose(losses[:4], told, rtol=2e-5)
    assert losses[4:].tolist() == [0, 0] and int(ours["step"]) == 4
    same(ours, theirs)


def test_a_member_in_a_lane_is_the_member_alone_bit_for_bit():
    spec, examples = (
        LearnerSpec(MLP(width=20), CLASSES, active=frozenset({"dropout"})),
        world(CLASSES, folds=2),
    )
    functions = functions_for(spec)
    rates = jnp.float32([0.001, 0.02, 0.3, 0.05])
    settings = {n: jnp.full(4, v, jnp.float32) for n, v in SETTINGS.items()} | {"learning_rate": rates}
    settings["dropout"] = jnp.float32([0.0, 0.5, 0.2, 0.0])
    folds, orders = jnp.int32([0, 1, 1, 0]), jnp.asarray(np.stack([ROWS, ROWS[::-1], ROWS, ROWS + 1 - 1]))

    def run(key, settings, fold, rows):
        state = functions.init(key, settings)
        state, losses = functions.steps(state, examples, fold, rows, jnp.int32(6), settings)
        return functions.keep(state)["params"], losses

    keys = jax.vmap(lambda seed: jax.random.key(seed, impl="threefry2x32"))(jnp.arange(4))
    together = jax.jit(jax.vmap(run))(keys, settings, folds, orders)
    for i in range(4):
        member = jax.tree.map(lambda a, i=i: a[i], (settings, folds, orders))
        alone = jax.jit(run)(keys[i], *member)
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b)[i])


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "sgd"},
        {"clip_by": "value"},
        {"schedule": "plateau"},
        {"active": frozenset({"l2"})},
        {"blanks": True},
        {"precision": "bfloat16"},
        {"loss": LOSSES["squared"].fn},
        {"architecture": MLP(width=8, activation="tanh")},
        {"architecture": fm.models.Linear()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_native_code_does_not_know_is_left_to_the_learner(change):
    spec = LearnerSpec(**{"architecture": MLP(width=8), "task": CLASSES, **change})
    assert functions_for(spec).steps is None


def study(**more):
    recipe = fm.Recipe(learning_rate=[1e-3, 1e-2, 1e6], dropout=[0.0, 0.3], epochs=3, batch_size=32)
    return fm.Study("iris", MLP(width=[8, 40]), recipe, folds=2, rungs=(), **more)


def test_a_study_of_fused_members_is_that_of_single_steps(monkeypatch):
    ours = study()
    assert all(cohort.fused for cohort in ours.plan().cohorts) and "native" in str(ours.plan())
    found = ours.run(baselines=False).table()
    monkeypatch.setattr(native, "ready", lambda library: False)
    plain = study()
    assert not any(cohort.fused for cohort in plain.plan().cohorts)
    expected = {row["member"]: row for row in plain.run(baselines=False).table()}
    assert {row["status"] for row in found} == {"finished", "diverged"}
    for row in found:
        other = expected[row["member"]]
        assert (row["status"], row["diverged_step"], row["epochs"]) == tuple(
            other[name] for name in ("status", "diverged_step", "epochs")
        )
        if row["status"] == "finished":
            np.testing.assert_allclose(row["best_loss"], other["best_loss"], rtol=1e-3)
            np.testing.assert_allclose(row["last_loss"], other["last_loss"], rtol=1e-3)


def members(folder: Path) -> str:
    return (folder / "members.jsonl").read_text()


def test_a_run_resumes_bit_for_bit_and_goes_on_where_native_code_is_gone(tmp_path, monkeypatch):
    study().run(tmp_path / "whole", baselines=False)
    for name in ("same", "without"):
        with pytest.raises(Killed):
            study().run(tmp_path / name, baselines=False, callbacks=[killed_at("epoch", 2)], save_every=0)
    fm.resume(tmp_path / "same")
    assert members(tmp_path / "same") == members(tmp_path / "whole")
    monkeypatch.setattr(native, "ready", lambda library: False)
    fm.resume(tmp_path / "without")
    assert members(tmp_path / "without").count("\n") == members(tmp_path / "whole").count("\n")
