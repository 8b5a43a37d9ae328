"""The product of many rows against NumPy, in both forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import nn


@pytest.mark.parametrize("shape", [(3, 5, 4), (300, 5, 4), (300, 4, 5)], ids=str)
def test_value_and_gradients(shape):
    """Oracle: x W, g Wᵀ and xᵀ g in NumPy, for few and many rows, tall and wide weights."""
    rows, size_in, size_out = shape
    keys = jax.random.split(jax.random.key(0), 3)
    x, w, g = (
        jax.random.normal(k, s)
        for k, s in zip(keys, [(2, rows, size_in), (size_in, size_out), (2, rows, size_out)], strict=True)
    )
    y, pull = jax.vjp(nn.product, x, w)
    dx, dw = pull(g)
    x, w, g = (np.asarray(a, np.float64) for a in (x, w, g))
    np.testing.assert_allclose(y, x @ w, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dx, g @ w.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dw, np.einsum("bri,bro->io", x, g), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("shape", [(300, 5, 4), (300, 4, 5)], ids=str)
def test_forward_derivatives_of_gradients(shape):
    """Oracle: the Hessian of Σ (x W)² / 2 for W is (xᵀ x) ⊗ 1."""
    rows, size_in, size_out = shape
    x = jax.random.normal(jax.random.key(0), (rows, size_in))
    w = jnp.ones((size_in, size_out))
    found = jax.hessian(lambda w: jnp.square(nn.product(x, w)).sum() / 2)(w)
    expected = np.einsum("ik,jl->ijkl", np.asarray(x.T @ x), np.eye(size_out))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
