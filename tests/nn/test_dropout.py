"""Dropout: expectation and rate within their standard errors; rate 0 costs nothing and changes nothing."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import models, nn
from fathom.errors import UsageError
from fathom.task import Task


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_and_expectation(rate):
    """Oracle: Bernoulli(1 - rate) / (1 - rate), gated at 4 standard errors."""
    count = 200_000
    y, _ = nn.Dropout(rate)(jnp.full(count, 2.0), key=jax.random.key(5))
    kept = np.asarray(y != 0)
    error = np.sqrt(rate * (1 - rate) / count)
    assert abs(kept.mean() - (1 - rate)) < 4 * error
    np.testing.assert_allclose(np.asarray(y)[kept], 2 / (1 - rate), rtol=1e-3)
    assert abs(float(y.mean()) - 2) < 4 * 2 * error / (1 - rate)


def test_traced_rate_zero_leaves_bits_alone_and_python_zero_leaves_the_program():
    x = jax.random.normal(jax.random.key(1), (6, 5))

    def run(rate):
        return nn.Dropout(rate)(x, key=jax.random.key(2))[0]

    assert jnp.array_equal(jax.jit(run)(jnp.asarray(0.0)), x)
    assert "random_bits" in str(jax.make_jaxpr(run)(jnp.asarray(0.0)))
    assert "random_bits" not in str(jax.make_jaxpr(lambda: run(0.0))())
    assert jnp.array_equal(jax.jit(run)(0.5), run(0.5))


def test_rates_under_vmap_and_the_gradient_is_the_mask():
    x, keys = jnp.ones((3, 400)), jax.random.split(jax.random.key(3), 3)
    rates = jnp.array([0.0, 0.5, 0.999])
    dropped = jax.vmap(lambda r, x, k: nn.Dropout(r)(x, key=k)[0])(rates, x, keys)
    share = np.asarray((dropped == 0).mean(1))
    assert share[0] == 0 and 0.4 < share[1] < 0.6 and share[2] > 0.97
    slope = jax.grad(lambda x: nn.Dropout(0.5)(x, key=keys[0])[0].sum())(x[0])
    assert jnp.array_equal(slope, nn.Dropout(0.5)(x[0], key=keys[0])[0])


def test_inference_and_set_dropout_on_a_network():
    task = Task.classification(4, 3)
    model = models.MLP(width=16).build(task, jax.random.key(0))
    x = jnp.ones((7, 4))
    plain, _ = model(x)
    noisy = nn.set_dropout(model, 0.5)
    assert jnp.array_equal(noisy(x, inference=True)[0], plain)
    assert not jnp.array_equal(noisy(x, key=jax.random.key(1))[0], plain)
    assert not jnp.array_equal(noisy(x, key=jax.random.key(1))[0], noisy(x, key=jax.random.key(2))[0])
    traced = eqx.filter_jit(lambda rate: nn.set_dropout(model, rate)(x, key=jax.random.key(1))[0])
    np.testing.assert_allclose(traced(jnp.asarray(0.5)), noisy(x, key=jax.random.key(1))[0], rtol=1e-5)
    assert len(jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))) == 6


def test_misuse_is_refused():
    with pytest.raises(
        UsageError, match=r"dropout rate=1\.0 is not allowed; give a number from 0 to below 1"
    ):
        nn.Dropout(1.0)
    with pytest.raises(UsageError, match="key=None: dropout draws random numbers"):
        nn.Dropout(0.5)(jnp.ones(3))
