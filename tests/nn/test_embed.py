"""The embeddings of numbers against loops over columns and bins."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from fathom.nn import Periodic, Piecewise


def test_piecewise_against_a_loop():
    layer = Piecewise(3, jax.random.key(0), bins=5, size=4)
    x = np.asarray(jax.random.normal(jax.random.key(1), (6, 3)))
    weight, bias = np.asarray(layer.weight), np.asarray(layer.bias).reshape(3, 4)
    expected = np.zeros((6, 3, 4))
    for row in range(6):
        for column in range(3):
            total = bias[column].astype(np.float64)
            for k in range(5):
                total = total + np.clip(5 * norm.cdf(x[row, column]) - k, 0, 1) * weight[column, k]
            expected[row, column] = np.maximum(total, 0)
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected.reshape(6, 12), rtol=1e-5, atol=1e-6)


def test_piecewise_is_linear_within_a_bin_and_bends_between():
    layer = Piecewise(1, jax.random.key(2), bins=4, size=1)
    places = np.linspace(0.26, 0.49, 9)
    weight = np.asarray(layer.weight)[0, :, 0]
    raw = weight[0] + weight[1] * (4 * places - 1) + np.asarray(layer.bias)[0]
    x = jnp.asarray(norm.ppf(places)[:, None], jnp.float32)
    np.testing.assert_allclose(np.asarray(layer(x))[:, 0], np.maximum(raw, 0), atol=1e-5)


def test_periodic_against_its_formula():
    layer = Periodic(2, jax.random.key(0), waves=3, size=4)
    x = np.asarray(jax.random.normal(jax.random.key(1), (5, 2)))
    angle = 2 * np.pi * x[:, :, None] * np.asarray(layer.frequency)
    waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=2)
    mixed = np.stack([waves[:, j] @ np.asarray(layer.weight)[j] for j in range(2)], axis=1)
    expected = np.maximum(mixed.reshape(5, 8) + np.asarray(layer.bias), 0)
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-4, atol=1e-5)


def test_each_column_reads_only_itself():
    for layer in (
        Piecewise(3, jax.random.key(0), bins=6, size=2),
        Periodic(3, jax.random.key(0), waves=3, size=2),
    ):
        slope = jax.jacobian(lambda x, layer=layer: layer(x[None])[0])(jnp.array([0.1, -0.2, 0.3]))
        blocks = np.asarray(slope).reshape(3, 2, 3)
        for column in range(3):
            others = [j for j in range(3) if j != column]
            assert not blocks[column][:, others].any()
