"""One batch shared by the devices. Oracle: the same members, each on one device."""

import jax
import numpy as np
import pytest

import fathom as fm
from broken_off import Killed, killed_at
from fathom.errors import RunError, UsageError
from fathom.optim import gradient_in_parts, outputs_in_parts

from .worlds import net_population, regression

TRAIN, HELD = regression(40), regression(16, seed=8)
RUN = {"epochs": 6, "batch_size": 16}


def run(shard, held=HELD, **more):
    population = net_population(learning_rate=[0.01, 0.03, 1e30], seed=[0, 1, 2])
    return population.run(TRAIN, held, shard=shard, **{**RUN, **more})


# Validation rows that the devices can divide, and some that they cannot.
@pytest.mark.parametrize("rows", [16, 15])
def test_numbers_agree_within_rounding(rows):
    held = regression(rows, seed=8)
    one, shared = run("members", held), run("batch", held)
    for member in (0, 1):
        for ours, theirs in zip(
            *(jax.tree.leaves(r.state(member)["params"]) for r in (shared, one)), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        for name in ("score", "best_score", "last_loss"):
            mine, others = (getattr(r.records[member], name) for r in (shared, one))
            np.testing.assert_allclose(mine, others, rtol=1e-5)
        assert shared.records[member].best_epoch == one.records[member].best_epoch
    assert [record.status for record in shared.records.values()] == ["finished", "finished", "diverged"]
    assert shared.records[2].diverged_step == one.records[2].diverged_step


def test_each_device_takes_its_rows_of_a_batch():
    seen = []

    def step(w, batch, settings):
        # Told while the program runs: what each device was given.
        jax.debug.inspect_array_sharding(batch["x"], callback=seen.append)
        return w - settings["learning_rate"] * batch["x"].mean(0), {"loss": (w * w).sum()}

    population = fm.Population(lambda key, settings: jax.numpy.zeros(3), step, None, {"learning_rate": [0.1]})
    population.run(TRAIN, shard="batch", **RUN)
    assert {sharding.shard_shape((16, 3)) for sharding in seen} == {(8, 3)}


@pytest.mark.parametrize(("parts", "own"), [(1, 8), (2, 8), (4, 4), (16, 1)])
def test_gradients_and_outputs_in_parts_are_of_each_devices_rows(parts, own):
    """16 rows of a batch and 16 held ones are 8 for each device, in parts as large as without sharing."""
    seen = {"loss": set(), "held": set()}

    def init(key, settings):
        return jax.numpy.full(3, 0.5)

    def loss(w, batch):
        seen["loss"].add(batch["x"].shape[0])
        return ((batch["x"] @ w - batch["y"]) ** 2).mean()

    def step(w, batch, settings):
        value, slope = gradient_in_parts(loss, parts)(w, batch)
        return w - settings["learning_rate"] * slope, {"loss": value}

    def evaluate(w, split):
        def values(x):
            seen["held"].add(x.shape[0])
            return w[None] * x  # `w` is a number of the program, not of the function

        return {"loss": ((outputs_in_parts(values, split["x"], 4).sum(1) - split["y"]) ** 2).mean()}

    found = {}
    for shard in ("members", "batch"):
        for rows in seen.values():
            rows.clear()
        population = fm.Population(init, step, evaluate, {"learning_rate": [0.01, 0.05]}, score="loss")
        found[shard] = population.run(TRAIN, HELD, shard=shard, **RUN)
    assert seen == {"loss": {own}, "held": {4}}
    for member in (0, 1):
        ours, theirs = (found[shard].state(member) for shard in ("batch", "members"))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
        ours, theirs = (found[shard].records[member].best_score for shard in ("batch", "members"))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_function_that_jax_has_traced_before_is_traced_anew():
    """The step's own `jax.jit` keeps what it traced; where batches are shared it must not, and afterwards not that."""
    seen = []

    def loss(w, x):
        seen.append(x.shape[0])
        return ((x @ w) ** 2).mean()

    gradient = jax.jit(gradient_in_parts(loss, 1))

    def step(w, batch, settings):
        value, slope = gradient(w, batch["x"])
        return w - settings["learning_rate"] * slope, {"loss": value}

    def trained(shard):
        population = fm.Population(
            lambda key, settings: jax.numpy.ones(3), step, None, {"learning_rate": [0.01]}
        )
        seen.clear()
        return population.run(TRAIN, shard=shard, **RUN).state(0), set(seen)

    (one, rows), (shared, own), (again, _) = (trained(shard) for shard in ("members", "batch", "members"))
    assert (rows, own) == ({16}, {8})
    np.testing.assert_allclose(shared, one, rtol=1e-5)
    np.testing.assert_array_equal(again, one)


def test_a_killed_run_goes_on(tmp_path):
    expected = run("batch")
    with pytest.raises(Killed):
        run("batch", callbacks=[killed_at("epoch", 4)], checkpoint=tmp_path, save_every=0)
    with pytest.raises(RunError, match="holds another population"):
        run("members", checkpoint=tmp_path)
    assert repr(run("batch", checkpoint=tmp_path).records) == repr(expected.records)


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(UsageError, match="batch_size=15 cannot be shared by 2 devices; give a multiple of 2"):
        run("batch", batch_size=15)
    with pytest.raises(UsageError, match="shard='batches' is not known; use one of: members, batch"):
        run("batches")


def test_a_study_shares_its_batches(tmp_path):
    recipe = fm.Recipe(learning_rate=0.01, epochs=3)
    study = fm.Study("diabetes", fm.models.MLP(width=8, depth=1), recipe, folds=1)
    one, shared = (study.run(shard=shard, baselines=False).summary() for shard in ("members", "batch"))
    np.testing.assert_allclose(shared["test"]["score"], one["test"]["score"], rtol=1e-4)
    with pytest.raises(Killed):
        study.run(tmp_path / "run", shard="batch", callbacks=[killed_at("plan", 1)])
    assert 'shard = "batch"' in (tmp_path / "run" / "study.toml").read_text()
