"""A member's state as arrays, and back."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom.engine.functions import Functions, Packer
from fathom.engine.population import Population
from fathom.engine.program import device_mesh, programs_for
from fathom.engine.work import LaneKind


class State(eqx.Module):
    weights: list[jax.Array]
    key: jax.Array
    count: jax.Array
    done: jax.Array
    name: str = "static"


def state(seed: int = 0) -> State:
    keys = jax.random.split(jax.random.key(seed), 4)
    shapes = [(3, 5), (), (4,), (20, 30)]
    weights = [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]
    return State(weights, keys[0], jnp.int32(7), jnp.array([True, False]))


@pytest.mark.parametrize(("joined", "arrays"), [(0, 7), (4, 6), (15, 5), (1000, 4)])
def test_small_arrays_are_joined_by_type_and_come_back(joined, arrays):
    """Floats [3, 5], [], [4], [20, 30]; the key's data, uint32 [2]; int32 []; bool [2]."""
    packer, given = Packer(eqx.filter_eval_shape(state), joined), state(3)
    packed = packer.pack(given)
    assert len(packed) == len(packer.avals) == arrays
    assert [(a.shape, a.dtype) for a in packed] == [(a.shape, a.dtype) for a in packer.avals]
    assert packer.numbers == 3 * 5 + 1 + 4 + 600 + 2 + 1 + 2
    assert packer.nbytes == sum(a.nbytes for a in packed)
    for whole in (packed, [np.asarray(a) for a in packed]):
        back = packer.unpack(whole)
        assert back.name == "static"
        assert all(np.array_equal(a, b) for a, b in zip(back.weights, given.weights, strict=True))
        assert (int(back.count), np.asarray(back.done).tolist()) == (7, [True, False])
        assert jax.random.normal(back.key) == jax.random.normal(given.key)


def test_arrays_of_a_population_differ_in_nothing_but_their_layout(monkeypatch):
    """Joined or not, a member learns the same bits."""
    rng = np.random.default_rng(0)
    rows = {"x": rng.normal(size=(96, 6)).astype(np.float32)}
    rows["y"] = np.sin(rows["x"].sum(1))

    def init(key, settings):
        first, second = jax.random.split(key)
        params = {
            "w": jax.random.normal(first, (6, 16)),
            "b": jnp.zeros(16),
            "v": jax.random.normal(second, (16,)),
        }
        return {"params": params, "mean": jax.tree.map(jnp.zeros_like, params), "steps": jnp.int32(0)}

    def step(state, batch, settings):
        def loss(p):
            return jnp.mean((jnp.tanh(batch["x"] @ p["w"] + p["b"][None]) @ p["v"] - batch["y"]) ** 2)

        value, grads = jax.value_and_grad(loss)(state["params"])
        mean = jax.tree.map(lambda m, g: 0.9 * m + g, state["mean"], grads)
        params = jax.tree.map(lambda p, m: p - settings["rate"] * m, state["params"], mean)
        return {"params": params, "mean": mean, "steps": state["steps"] + 1}, {"loss": value}

    def trained():
        population = Population(init, step, None, {"rate": [0.01, 0.03, 1e30], "seed": [0, 1, 2]})
        result = population.run(rows, epochs=3, batch_size=16)
        return [record.status for record in result.records.values()], [result.state(m) for m in range(3)]

    status, joined = trained()
    assert status == ["finished", "finished", "diverged"]
    monkeypatch.setattr("fathom.engine.program.JOINED", 0)
    again, apart = trained()
    assert again == status
    for one, other in zip(joined, apart, strict=True):
        assert int(one["steps"]) == int(other["steps"])
        assert jax.tree.all(jax.tree.map(np.array_equal, one, other))


@pytest.mark.parametrize(("numbers", "effort"), [(299_999, 1), (300_000, 3)])
def test_small_functions_are_compiled_with_less_effort(numbers, effort):
    """Level 1 below 300,000 numbers of state, XLA's own level from there on; members are made at level 1."""
    functions = Functions(
        lambda key, settings: jnp.zeros(numbers), lambda state, batch, settings: state, None
    )
    programs = programs_for(functions, (), LaneKind(1, 1, 1), device_mesh(tuple(jax.devices())))
    assert [p.effort for p in (programs.epoch, programs.window, programs.init)] == [effort, effort, 1]
