"""The network for tables: what it embeds, what it leaves as it is."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import models
from fathom.errors import UsageError
from fathom.task import Task

TASK = dataclasses.replace(Task.classification(6, 3), continuous=4)


@pytest.mark.parametrize("embedding", ["piecewise", "periodic", "none"])
def test_inputs_of_the_perceptron(embedding):
    model = models.Tabular(width=5, size=3, embedding=embedding).build(TASK, jax.random.key(0))
    extra = 0 if embedding == "none" else 4 * 3
    assert model.perceptron.layers[0].weight.shape == (6 + extra, 5)
    assert len(model.perceptron.layers) == 4
    y, state = model(jnp.ones((7, 6)))
    assert y.shape == (7, 3)
    assert state is None


def test_the_forward_pass_is_embedding_beside_examples():
    model = models.Tabular(width=5, size=3).build(TASK, jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (7, 6))
    joined = jnp.concatenate([model.embedding(x[:, :4]), x], axis=1)
    np.testing.assert_allclose(model(x)[0], model.perceptron(joined)[0], rtol=1e-6)


def test_without_continuous_numbers_it_is_a_perceptron():
    task = dataclasses.replace(TASK, continuous=0)
    model = models.Tabular(width=5).build(task, jax.random.key(0))
    assert model.embedding is None
    assert model(jnp.ones((2, 6)))[0].shape == (2, 3)


def test_every_number_is_embedded_where_the_task_does_not_say():
    model = models.Tabular(width=5, size=2).build(Task.regression(6), jax.random.key(0))
    assert model.embedding.weight.shape == (6, 48, 2)


@pytest.mark.parametrize(("columns", "size"), [(512, 16), (1000, 8), (8192, 1), (9000, 0)])
def test_wide_tables_get_smaller_embeddings(columns, size):
    build = models.Tabular(width=2, depth=0).build
    model = eqx.filter_eval_shape(build, Task.regression(columns), jax.random.key(0))
    assert (model.embedding.weight.shape[2] if model.embedding is not None else 0) == size


def test_a_fixed_curve_is_learned_that_a_linear_model_cannot():
    """Oracle: least squares on the embedding fits a step exactly where the step is a bin's edge."""
    model = models.Tabular(width=2, depth=0, bins=4, size=8).build(Task.regression(1), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (400, 1))
    target = np.asarray(jax.scipy.stats.norm.cdf(x[:, 0]) > 0.5, np.float64)
    inputs = np.asarray(jnp.concatenate([model.embedding(x), x, jnp.ones_like(x)], axis=1), np.float64)
    line = np.asarray(jnp.concatenate([x, jnp.ones_like(x)], axis=1), np.float64)

    def error(a):
        return np.mean((a @ np.linalg.lstsq(a, target, rcond=None)[0] - target) ** 2)

    assert error(inputs) < 0.6 * error(line)


def test_unknown_embedding():
    with pytest.raises(UsageError, match=r"embedding='fourier'"):
        models.Tabular(embedding="fourier")
