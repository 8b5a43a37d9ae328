"""Clips against NumPy and Optax; a threshold of infinity leaves every bit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fathom.optim import CLIPS

RNG = np.random.default_rng(0)
GRADS = {"w": RNG.normal(size=(4, 3)).astype(np.float32), "b": RNG.normal(size=3).astype(np.float32)}
PARAMS = {"w": 0.1 * RNG.normal(size=(4, 3)).astype(np.float32), "b": np.zeros(3, np.float32)}


@functools.cache
def program(name):
    return jax.jit(CLIPS[name].apply)


def clip(name, threshold, grads=GRADS):
    return program(name)(grads, PARAMS, threshold)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize("name", CLIPS.names())
def test_infinity_is_off_bit_for_bit(name):
    np.testing.assert_array_equal(flat(clip(name, np.inf)), flat(GRADS))


@pytest.mark.parametrize("name", CLIPS.names())
def test_a_zero_gradient_stays_zero(name):
    zeros = jax.tree.map(np.zeros_like, GRADS)
    for threshold in (1.0, np.inf):
        np.testing.assert_array_equal(flat(clip(name, threshold, zeros)), 0)


@pytest.mark.parametrize("name", CLIPS.names())
def test_thresholds_of_a_population(name):
    # Oracle: one at a time.
    thresholds = jnp.array([0.01, 1.0, jnp.inf])
    got = jax.jit(jax.vmap(lambda t: CLIPS[name].apply(GRADS, PARAMS, t)))(thresholds)
    for i, threshold in enumerate(thresholds):
        np.testing.assert_allclose(
            flat(jax.tree.map(lambda g, i=i: g[i], got)), flat(clip(name, threshold)), rtol=1e-6
        )


@pytest.mark.parametrize("name", CLIPS.names())
def test_packs_says_whether_packing_changes_anything(name):
    packed = program(name)(flat(GRADS), flat(PARAMS), 0.3)
    assert np.allclose(packed, flat(clip(name, 0.3)), rtol=1e-5) == CLIPS[name].packs


@pytest.mark.parametrize("threshold", [0.5, 100.0])
def test_global_norm(threshold):
    # Oracles: g min(1, threshold / |g|) in NumPy, and Optax.
    norm = np.linalg.norm(flat(GRADS))
    np.testing.assert_allclose(
        flat(clip("global_norm", threshold)), flat(GRADS) * min(1, threshold / norm), rtol=1e-5
    )
    theirs = optax.clip_by_global_norm(threshold).update(
        jax.tree.map(jnp.asarray, GRADS), optax.EmptyState()
    )[0]
    np.testing.assert_allclose(flat(clip("global_norm", threshold)), flat(theirs), rtol=1e-5)


def test_global_norm_lets_a_gradient_that_is_not_finite_be_seen():
    grads = {"w": GRADS["w"], "b": np.array([1.0, np.nan, 0.0], np.float32)}
    assert np.isnan(flat(clip("global_norm", 1.0, grads))).all()


def test_value():
    np.testing.assert_array_equal(
        flat(clip("value", 0.4)), np.clip(flat(GRADS), -0.4, 0.4).astype(np.float32)
    )


def test_adaptive():
    # Oracle: per column of a matrix and per vector, in NumPy.
    got = clip("adaptive", 0.1)
    bound = 0.1 * np.maximum(np.linalg.norm(PARAMS["w"], axis=0), 1e-3)
    want = GRADS["w"] * np.minimum(1, bound / np.linalg.norm(GRADS["w"], axis=0))
    np.testing.assert_allclose(got["w"], want, rtol=1e-5)
    np.testing.assert_allclose(got["b"], GRADS["b"] * 1e-4 / np.linalg.norm(GRADS["b"]), rtol=1e-5)
