"""The multi-layer perceptron against NumPy; the deep linear network against a product of matrices."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import models, nn
from fathom.errors import UsageError
from fathom.settings import expand
from fathom.task import Task

TASK = Task.classification(6, 3)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_forward_against_numpy(depth):
    model = models.MLP(width=5, depth=depth).build(TASK, jax.random.key(0))
    x = np.asarray(jax.random.normal(jax.random.key(1), (4, 6)))
    hidden = x
    for layer in model.layers[:-1]:
        hidden = np.maximum(hidden @ np.asarray(layer.weight) + np.asarray(layer.bias), 0)
    last = model.layers[-1]
    expected = hidden @ np.asarray(last.weight) + np.asarray(last.bias)
    assert len(model.layers) == depth + 1
    np.testing.assert_allclose(model(jnp.asarray(x))[0], expected, rtol=1e-5, atol=1e-5)


def test_the_program_is_matrix_products_and_no_random_bits():
    model = models.MLP(width=5, depth=2).build(TASK, jax.random.key(0))
    program = str(jax.make_jaxpr(lambda x: model(x, key=jax.random.key(1))[0])(jnp.ones((4, 6))))
    assert program.count("dot_general") == 3 and "random_bits" not in program


def test_deep_linear_is_the_product_of_its_matrices():
    model = models.DeepLinear(width=5, depth=3).build(TASK, jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (4, 6))
    product = np.linalg.multi_dot([np.asarray(layer.weight) for layer in model.layers])
    np.testing.assert_allclose(model(x)[0], np.asarray(x) @ product, rtol=1e-4, atol=1e-5)


def test_constant_start_keeps_units_equal_under_training():
    """The symmetry that random weights break: equal units get equal gradients."""
    model = models.MLP(width=4, depth=2, activation="tanh", init="constant").build(TASK, jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (9, 6))
    slope = eqx.filter_grad(lambda m: (m(x)[0][:, 0] ** 2).sum())(model)
    np.testing.assert_allclose(slope.layers[0].weight, slope.layers[0].weight[:, :1].repeat(4, 1), rtol=1e-5)
    assert jnp.abs(slope.layers[0].weight).max() > 0


@pytest.mark.parametrize("activation", [r.name for r in nn.ACTIVATIONS if r.elementwise])
def test_he_with_the_activation_s_gain_keeps_the_second_moment(activation):
    """Oracle: E[y²] = gain² · E[φ(z)²] = 1 at every layer, within the spread of a network 400 wide."""
    task = Task.regression(400, 400)
    model = models.MLP(width=400, depth=6, activation=activation).build(task, jax.random.key(0))
    y, _ = model(jax.random.normal(jax.random.key(1), (50, 400)))
    assert 0.6 < float(jnp.mean(y**2)) < 1.6


def test_sweeps_expand():
    points = expand(models.MLP(width=[8, 16], depth=[1, 2]))
    assert [(p.width, p.depth) for p in points] == [(8, 1), (8, 2), (16, 1), (16, 2)]
    assert models.MLP(width=[8, 16]).to_dict()["width"] == [8, 16]
    assert models.from_dict({"name": "mlp", "width": [8, 16]}).to_dict()["width"] == [8, 16]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width=0 is not allowed; give a number from 1"),
        ({"width": 8.5}, r"width=8\.5 is not allowed; give a whole number"),
        ({"width": [8, True]}, "width=True is not allowed"),
        ({"depth": -1}, "depth=-1 is not allowed"),
        ({"activation": "softmax"}, "activation='softmax' is not known"),
        ({"init": "kaiming"}, "init='kaiming' is not known; use one of: constant"),
    ],
)
def test_misuse_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        models.MLP(**arguments)


def test_dropout_needs_a_key():
    model = nn.set_dropout(models.MLP().build(TASK, jax.random.key(0)), 0.5)
    with pytest.raises(UsageError, match="key=None: dropout draws random numbers"):
        model(jnp.ones((2, 6)))
