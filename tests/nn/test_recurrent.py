"""LSTM and GRU against a walk step by step in NumPy, their plain scan, and PyTorch's numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import nn
from fathom.errors import UsageError

from .golden import golden, with_weights

KINDS = {"lstm": nn.LSTM, "gru": nn.GRU}


def logistic(z):
    return 1 / (1 + np.exp(-z))


def walk_lstm(layer, x):
    w, u, b = (np.asarray(a, np.float64) for a in (layer.input_weight, layer.recurrent_weight, layer.bias))
    h = c = np.zeros((x.shape[0], u.shape[0]))
    every = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ w + h @ u + b, 4, axis=1)
        c = logistic(f) * c + logistic(i) * np.tanh(g)
        h = logistic(o) * np.tanh(c)
        every.append(h)
    return np.stack(every, 1)


def walk_gru(layer, x):
    w, u, b = (np.asarray(a, np.float64) for a in (layer.input_weight, layer.recurrent_weight, layer.bias))
    h = np.zeros((x.shape[0], u.shape[0]))
    every = []
    for t in range(x.shape[1]):
        (r, z, n), (hr, hz, hn) = np.split(x[:, t] @ w + b, 3, axis=1), np.split(h @ u, 3, axis=1)
        r, z = logistic(r + hr), logistic(z + hz)
        n = np.tanh(n + r * (hn + np.asarray(layer.recurrent_bias)))
        h = (1 - z) * n + z * h
        every.append(h)
    return np.stack(every, 1)


def made(kind, lowering="auto", **more):
    layer = KINDS[kind](3, 5, jax.random.key(0), lowering=lowering, **more)
    keys = iter(jax.random.split(jax.random.key(1), 8))
    return jax.tree.map(lambda w: w + 0.3 * jax.random.normal(next(keys), w.shape), layer)


@pytest.mark.parametrize("lowering", ["tiled", "scan"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_step_by_step(kind, lowering):
    """Oracle: NumPy, one step after another, in double precision; 21 steps are no whole number of tiles."""
    layer = made(kind, lowering)
    x = jax.random.normal(jax.random.key(2), (4, 21, 3))
    walk = {"lstm": walk_lstm, "gru": walk_gru}[kind]
    y = eqx.filter_jit(lambda x: layer(x)[0])(x)
    np.testing.assert_allclose(y, walk(layer, np.asarray(x, np.float64)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("time", [1, 17, 32])
@pytest.mark.parametrize("kind", KINDS)
def test_tiles_differentiate_as_the_plain_scan(kind, time):
    """Oracle: JAX's own derivative of the plain scan, for every weight and the input."""
    x = jax.random.normal(jax.random.key(2), (3, time, 3))

    def told(lowering):
        value = jax.value_and_grad(lambda layer, x: jnp.sin(3 * layer(x)[0]).sum(), (0, 1))
        return jax.tree.leaves(jax.jit(value)(made(kind, lowering), x))

    for ours, theirs in zip(told("tiled"), told("scan"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_golden(kind, case):
    """Oracle: torch.nn.LSTM and torch.nn.GRU, values and gradients."""
    found = golden(kind)[case]
    found.check(with_weights(KINDS[kind](3, 4, jax.random.key(0)), found.weights))


@pytest.mark.parametrize("kind", KINDS)
def test_members_together_are_members_alone(kind):
    """Oracle: one layer at a time; a lane of members runs the same layer under vmap."""
    keys = jax.random.split(jax.random.key(0), 2)
    layers = jax.vmap(lambda key: KINDS[kind](3, 4, key))(keys)
    x = jax.random.normal(jax.random.key(2), (3, 20, 3))
    grads = jax.grad(lambda layer: jnp.square(layer(x)[0]).sum())
    together = jax.jit(jax.vmap(grads))(layers)
    alone = jax.jit(grads)(jax.tree.map(lambda w: w[1], layers))
    for ours, theirs in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours[1], theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_plain_scan_is_differentiated_forward(kind):
    """Oracle: a central difference."""
    layer = made(kind, "scan")
    x = jax.random.normal(jax.random.key(2), (2, 4, 3))
    _, slope = jax.jvp(lambda x: layer(x)[0].sum(), (x,), (jnp.ones_like(x),))
    up, down = (layer(x + e)[0].sum() for e in (1e-2, -1e-2))
    assert float(slope) == pytest.approx(float(up - down) / 2e-2, rel=2e-3)


def test_first_weights():
    """Oracle: every gate's recurrent weights are orthogonal; the forget gate remembers."""
    layer = nn.LSTM(3, 4, jax.random.key(0))
    for gate in jnp.split(layer.recurrent_weight, 4, 1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(4), atol=1e-5)
    assert layer.bias.tolist() == [0] * 4 + [1] * 4 + [0] * 8


@pytest.mark.parametrize("kind", KINDS)
def test_strict_promotion_state_and_nothing(kind):
    layer = made(kind)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        y, state = layer(jnp.ones((2, 20, 3)), key=None, state=None, inference=True)
        jax.grad(lambda layer: layer(jnp.ones((2, 20, 3)))[0].sum())(layer)
        assert layer(jnp.ones((2, 0, 3)))[0].shape == (2, 0, 5)
    assert y.shape == (2, 20, 5) and state is None


def test_misuse_is_refused():
    with pytest.raises(UsageError, match="hidden_features=0 is not allowed"):
        nn.LSTM(3, 0, jax.random.key(0))
    with pytest.raises(UsageError, match="lowering='fast' is not known"):
        nn.GRU(3, 2, jax.random.key(0), lowering="fast")
