"""The affine layer against its closed-form gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import nn
from fathom.errors import UsageError


@pytest.mark.parametrize(("batch", "n_in", "n_out"), [(1, 1, 1), (1, 3, 2), (5, 4, 3)])
def test_value_and_gradients_in_closed_form(batch, n_in, n_out):
    """Oracle: dL/dx = g Wᵀ, dL/dW = xᵀ g, dL/db = Σ g, in NumPy."""
    keys = jax.random.split(jax.random.key(3), 4)
    layer = nn.Linear(n_in, n_out, keys[0])
    layer = jax.tree.map(lambda leaf: leaf + 0.3, layer)
    x, g = jax.random.normal(keys[1], (batch, n_in)), jax.random.normal(keys[2], (batch, n_out))
    y, pull = jax.vjp(lambda layer, x: layer(x)[0], layer, x)
    for_layer, for_x = pull(g)
    x, g, w, b = (np.asarray(a, np.float64) for a in (x, g, layer.weight, layer.bias))
    np.testing.assert_allclose(y, x @ w + b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(for_x, g @ w.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(for_layer.weight, x.T @ g, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(for_layer.bias, g.sum(0), rtol=1e-5, atol=1e-6)


def test_strict_promotion_leading_axes_and_state():
    layer = nn.Linear(3, 2, jax.random.key(0))
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        y, state = layer(jnp.ones((4, 5, 3)), key=None, state=None, inference=True)
    assert y.shape == (4, 5, 2) and state is None
    assert nn.Linear(3, 2, jax.random.key(0), use_bias=False).bias is None


def test_misuse_is_refused():
    with pytest.raises(UsageError, match="in_features=0 is not allowed"):
        nn.Linear(0, 2, jax.random.key(0))
    with pytest.raises(UsageError, match=r"init='hee' is not known.*did you mean 'he'"):
        nn.Linear(2, 2, jax.random.key(0), init="hee")
