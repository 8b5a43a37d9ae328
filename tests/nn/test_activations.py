"""Every activation: derivative, gains, saturation and dead zone, walked over the catalogue."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from fathom import nn

ELEMENTWISE = [r for r in nn.ACTIVATIONS if r.elementwise]
VECTOR = [r for r in nn.ACTIVATIONS if not r.elementwise]


def _id(record):
    return record.name


@pytest.mark.parametrize("record", ELEMENTWISE, ids=_id)
def test_derivative_against_autodiff_and_finite_differences(record):
    x = jnp.concatenate([jnp.linspace(-9, 9, 181), jnp.array([0.0, 1e4, -1e4])])
    slope = record.derivative(x)
    assert slope.shape == x.shape and record.fn(x).shape == x.shape and record.fn(x).dtype == x.dtype
    np.testing.assert_allclose(slope, jax.vmap(jax.grad(record.fn))(x), rtol=1e-5, atol=1e-6)
    smooth = x[jnp.abs(x) > 0.05]
    smooth = smooth[jnp.abs(smooth) < 10]
    step = 1e-2
    slopes = (record.fn(smooth + step) - record.fn(smooth - step)) / (2 * step)
    np.testing.assert_allclose(record.derivative(smooth), slopes, atol=2e-3)


@pytest.mark.parametrize("record", ELEMENTWISE, ids=_id)
def test_he_gain_by_quadrature_and_by_monte_carlo(record):
    """Oracles: Gauss-Legendre quadrature of E[φ²], and a sample gated at 4 of its own standard errors."""

    def integrand(z):
        return np.asarray(record.fn(jnp.asarray(z, jnp.float32)), np.float64) ** 2 * stats.norm.pdf(z)

    moment = sum(integrate.fixed_quad(integrand, *ends, n=20)[0] for ends in ((-8, 0), (0, 8)))
    assert record.gain == pytest.approx(moment**-0.5, rel=2e-4)
    squares = np.asarray(record.fn(jax.random.normal(jax.random.key(11), (100_000,))), np.float64) ** 2
    error = squares.std() / np.sqrt(len(squares))
    assert abs(squares.mean() - record.gain**-2) < 4 * error + 1e-6


@pytest.mark.parametrize("record", ELEMENTWISE, ids=_id)
def test_glorot_gain_is_the_slope_at_zero(record):
    if record.linear_gain is not None:
        assert record.linear_gain == pytest.approx(1 / float(record.derivative(jnp.float32(0))), rel=1e-6)


@pytest.mark.parametrize("record", ELEMENTWISE, ids=_id)
def test_saturation_and_dead_zone(record):
    """Oracle: a scan of the derivative's size at depths into each interval."""

    def size(x):
        return abs(float(record.derivative(jnp.float32(x))))

    for low, high in record.saturation:
        edge, outward = (high, -1) if low == -np.inf else (low, 1)
        assert size(edge) == pytest.approx(0.01, rel=1e-3)
        assert size(edge - outward * 1e-2) > 0.01
        assert all(size(edge + outward * d) < 0.01 for d in (0.01, 0.3, 1, 3, 30))
    if record.dead_zone is not None:
        low, high = (np.clip(end, -50, 50) for end in record.dead_zone)
        assert not record.derivative(jnp.linspace(low, high - 1e-6, 101)).any()
    if not record.saturation and record.dead_zone is None:
        assert size(-30) >= 0.0099 and size(30) >= 0.01


@pytest.mark.parametrize("record", VECTOR, ids=_id)
def test_probabilities_and_jacobian(record):
    x = 1.5 * jax.random.normal(jax.random.key(2), (40, 6))
    p = record.fn(x)
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-5)
    assert (p >= 0).all()
    np.testing.assert_allclose(record.derivative(x), jax.vmap(jax.jacobian(record.fn))(x), atol=1e-6)
    assert jnp.isfinite(record.fn(jnp.array([1e4, -1e4, 0.0]))).all()


def test_sparsemax_against_a_slow_projection():
    """Oracle: bisection on the threshold of the projection onto the simplex, in NumPy."""
    for scale in (0.1, 1.0, 10.0):
        for z in scale * np.random.default_rng(4).normal(size=(20, 5)):
            low, high = z.min() - 2, z.max()
            for _ in range(200):
                middle = (low + high) / 2
                low, high = (middle, high) if np.maximum(z - middle, 0).sum() > 1 else (low, middle)
            got = nn.sparsemax(jnp.asarray(z, jnp.float32))
            np.testing.assert_allclose(got, np.maximum(z - low, 0), atol=1e-5)


def test_sparsemax_of_ties_and_edges():
    np.testing.assert_allclose(nn.sparsemax(jnp.zeros(4)), 0.25)
    np.testing.assert_allclose(nn.sparsemax(jnp.array([[3.0]])), [[1.0]])
    np.testing.assert_allclose(nn.sparsemax(jnp.array([1e4, 1e4, -1e4])), [0.5, 0.5, 0])


@pytest.mark.parametrize("record", list(nn.ACTIVATIONS), ids=_id)
def test_layer_is_called_like_every_layer(record):
    layer = nn.Activate(record.name)
    x = jnp.linspace(-2, 2, 12).reshape(3, 4)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        y, state = layer(x, key=None, state=None, inference=True)
    assert state is None
    np.testing.assert_allclose(y, record.fn(x), rtol=1e-6)
    learned = jax.tree.leaves(layer)
    assert len(learned) == (record.parameter is not None)


def test_prelu_learns_its_slope():
    layer, x = nn.Activate("prelu"), jnp.array([-2.0, 3.0])
    slope = jax.grad(lambda layer: layer(x)[0].sum())(layer)
    assert float(slope.parameter) == -2.0
