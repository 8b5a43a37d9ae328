"""A user's own module: per example, batch-first, with state, with a key, and every way to get it wrong."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import models, nn
from fathom.errors import UsageError
from fathom.task import Task

TASK = Task.classification(4, 3)
X = jax.random.normal(jax.random.key(9), (6, 4))


class Normed(eqx.Module):
    """Per example, with batch normalization, dropout and a key."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self, key, rate=0.5):
        first, last = jax.random.split(key)
        self.first = eqx.nn.Linear(4, 8, key=first)
        self.norm = eqx.nn.BatchNorm(8, axis_name="batch", mode="batch")
        self.dropout = eqx.nn.Dropout(rate)
        self.last = eqx.nn.Linear(8, 3, key=last)

    def __call__(self, x, state, key=None):
        x, state = self.norm(self.first(x), state)
        return self.last(self.dropout(jax.nn.relu(x), key=key)), state


class Batched(eqx.Module):
    """Batch-first, in Fathom's own convention."""

    layer: nn.Linear

    def __call__(self, x, *, key=None, state=None, inference=False):
        return self.layer(x, key=key, state=state, inference=inference)


class Told(eqx.Module):
    """Per example, gives 1 where it is told that this is inference."""

    def __call__(self, x, *, inference):
        return jnp.full(3, float(inference))


def test_per_example_module_is_its_own_vmap():
    def build(task, key):
        return eqx.nn.MLP(task.size, task.outputs, 8, 2, key=key)

    model = models.FromModule(build).build(TASK, jax.random.key(0))
    y, state = eqx.filter_jit(model)(X, key=jax.random.key(1))
    np.testing.assert_allclose(y, jax.vmap(build(TASK, jax.random.key(0)))(X), rtol=1e-5)
    assert state is None and model(X[:1])[0].shape == (1, 3)


def test_batch_first_module_is_called_as_it_is():
    architecture = models.FromModule(lambda key: Batched(nn.Linear(4, 3, key)), batched=True, name="mine")
    model = architecture.build(TASK, jax.random.key(0))
    np.testing.assert_allclose(model(X)[0], nn.Linear(4, 3, jax.random.key(0))(X)[0])
    assert architecture.name == "mine" and architecture.to_dict()["name"] == "mine"


def test_batch_normalization_with_state_and_dropout_key():
    """Oracle: normalization by the batch's mean and variance in NumPy; running statistics move by them."""
    architecture = models.FromModule(eqx.nn.make_with_state(Normed))
    model, state = eqx.filter_jit(architecture.initialize)(TASK, jax.random.key(0))
    run = eqx.filter_jit(lambda m, x, s, k: m(x, state=s, key=k))
    y, after = run(model, X, state, jax.random.key(1))
    assert y.shape == (6, 3)
    other, _ = run(model, X, state, jax.random.key(2))
    assert not jnp.allclose(y, other)
    before, now = jax.tree.leaves(state), jax.tree.leaves(after)
    assert any(not jnp.array_equal(a, b) for a, b in zip(before, now, strict=True))

    steady = models.FromModule(lambda key: eqx.nn.make_with_state(Normed)(key, rate=0.0))
    model, state = steady.initialize(TASK, jax.random.key(0))
    y, after = model(X, state=state, key=jax.random.key(1))
    inner = model.module
    hidden = np.asarray(jax.vmap(inner.first)(X), np.float64)
    scaled = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5)
    expected = np.maximum(scaled, 0) @ np.asarray(inner.last.weight).T + np.asarray(inner.last.bias)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4)


def test_inference_uses_the_state_and_draws_nothing():
    model, state = models.FromModule(eqx.nn.make_with_state(Normed)).initialize(TASK, jax.random.key(0))
    for seed in range(3):
        _, state = model(X, state=state, key=jax.random.key(seed))
    together, _ = model(X, state=state, inference=True)
    alone, after = model(X[:1], state=state, inference=True)
    np.testing.assert_allclose(alone[0], together[0], rtol=1e-5)
    assert all(
        jnp.array_equal(a, b) for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True)
    )


def test_a_population_of_stateful_modules():
    architecture = models.FromModule(eqx.nn.make_with_state(Normed))
    keys = jax.random.split(jax.random.key(0), 3)
    many, states = eqx.filter_vmap(lambda key: architecture.initialize(TASK, key))(keys)
    y, _ = eqx.filter_vmap(lambda m, s, k: m(X, state=s, key=k))(many, states, keys)
    alone, state = architecture.initialize(TASK, keys[1])
    np.testing.assert_allclose(y[1], alone(X, state=state, key=keys[1])[0], rtol=1e-3, atol=1e-5)


def test_inference_is_passed_where_it_is_named():
    model = models.FromModule(lambda key: Told()).build(TASK, jax.random.key(0))
    assert float(model(X)[0].sum()) == 0 and float(model(X, inference=True)[0].sum()) == 18


@pytest.mark.parametrize(
    "factory",
    [
        lambda task, key: eqx.nn.MLP(4, 3, 2, 1, key=key),
        lambda key: eqx.nn.MLP(4, 3, 2, 1, key=key),
        lambda t, k: eqx.nn.MLP(t.size, 3, 2, 1, key=k),
        lambda k: eqx.nn.MLP(4, 3, 2, 1, key=k),
        lambda *, key, width=2: eqx.nn.MLP(4, 3, width, 1, key=key),
        lambda key, task: eqx.nn.MLP(task.size, 3, 2, 1, key=key),
    ],
)
def test_factories_of_every_signature(factory):
    assert models.FromModule(factory).build(TASK, jax.random.key(0))(X)[0].shape == (6, 3)


def test_one_number_per_example_becomes_a_column():
    task = Task.regression(4)
    model = models.FromModule(lambda key: eqx.nn.MLP(4, "scalar", 2, 1, key=key)).build(
        task, jax.random.key(0)
    )
    assert model(X)[0].shape == (6, 1)


def test_misuse_is_refused_at_construction():
    with pytest.raises(UsageError, match="factory=Told: give a function"):
        models.FromModule(Told())
    with pytest.raises(UsageError, match="factory=int: give a function"):
        models.FromModule(3)
    with pytest.raises(
        UsageError, match=r"factory takes \(a, b, c\), which is not allowed; give a function of"
    ):
        models.FromModule(lambda a, b, c: None)


def test_misuse_is_refused_at_building_and_calling():
    key = jax.random.key(0)
    with pytest.raises(UsageError, match=r"factory gave a int; it must give an eqx\.Module"):
        models.FromModule(lambda key: 3).build(TASK, key)
    wrong = models.FromModule(lambda key: eqx.nn.MLP(4, 2, 2, 1, key=key)).build(TASK, key)
    with pytest.raises(UsageError, match=r"output shape=\(2,\): for one example the task expects \(3,\)"):
        wrong(X)
    with pytest.raises(
        UsageError, match="state=None: the module keeps state; give the one that `initialize`"
    ):
        models.FromModule(eqx.nn.make_with_state(Normed)).build(TASK, key)(X)
    with pytest.raises(UsageError, match="was built from your own module, which a file does not hold"):
        models.from_dict(models.FromModule(lambda key: Told()).to_dict())
