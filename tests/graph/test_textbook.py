"""The textbook's rules are recognised, and what they state equals the backward walk."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fathom as fm
from fathom.graph import recognise

from .functions import FUNCTIONS, LABELS, draw

X, W, B = draw(0, 4, 5), draw(1, 5, 3), draw(2, 3)
P = jax.nn.softmax(draw(3, 4, 3))
T = jax.nn.one_hot(LABELS, 3)


def last(loss, name, *args):
    graph = fm.trace(loss, *args)
    found = [match for match in recognise(graph) if match.rule.name == name]
    assert found, f"{name} is not among {[match.rule.name for match in recognise(graph)]}"
    back = graph.backward()
    return found[-1], back[found[-1].output], [back[value] for value in found[-1].inputs]


def same(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_affine():
    """Oracle: the closed form, as in all that follow."""
    match, delta, (dx, dw, db) = last(lambda x, w, b: jnp.sin(x @ w + b).sum(), "affine", X, W, B)
    same(dx, delta @ W.T), same(dw, X.T @ delta), same(db.reshape(-1), delta.sum(0))
    assert [value.source.name for value in match.inputs] == ["x", "w", "b"]
    assert "δW = xᵀ δ" in match.rule.backward


def test_relu_sends_nothing_at_zero():
    x = jnp.array([-1.0, 0.0, 2.0])
    _, delta, (dx,) = last(lambda x: (3 * jax.nn.relu(x)).sum(), "ReLU", x)
    same(dx, delta * (x > 0))
    _, delta, (dx,) = last(lambda x: (3 * jnp.maximum(x, 0.0)).sum(), "ReLU as a maximum", x)
    same(dx, delta * jnp.array([0.0, 0.5, 1.0]))
    opened = fm.trace(lambda x: jax.nn.relu(x).sum(), x, open=True)
    assert [match.rule.name for match in recognise(opened)] == ["ReLU"]


@pytest.mark.parametrize(
    ("name", "fn", "slope"),
    [("sigmoid", jax.nn.sigmoid, lambda y: y * (1 - y)), ("tanh", jnp.tanh, lambda y: 1 - y**2)],
)
def test_saturating(name, fn, slope):
    _, delta, (dx,) = last(lambda x: (fn(x) ** 2).sum(), name, X)
    same(dx, delta * slope(fn(X)))


def test_softmax():
    _, delta, (dx,) = last(lambda x: (jax.nn.softmax(x) ** 2).sum(), "softmax", X)
    p = jax.nn.softmax(X)
    same(dx, p * (delta - (p * delta).sum(1, keepdims=True)))


def test_log_softmax():
    _, delta, (dx,) = last(lambda x: (jax.nn.log_softmax(x) ** 2).sum(), "log-softmax", X)
    same(dx, delta - jax.nn.softmax(X) * delta.sum(1, keepdims=True))


def test_cross_entropy():
    _, delta, (dp, _) = last(lambda p, t: -(t * jnp.log(p)).sum(1).mean(), "cross-entropy", P, T)
    same(dp, -delta.mean() * T / P / (1 if delta.ndim else 4))


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: -(T * jax.nn.log_softmax(x)).sum(1).mean(),
        lambda x: optax.softmax_cross_entropy_with_integer_labels(x, LABELS).mean(),
        lambda x: -jnp.take_along_axis(jax.nn.log_softmax(x), LABELS[:, None], 1).mean(),
    ],
)
def test_fused(loss):
    """Whatever way it is written, the logits get (softmax(x) - t) / batch."""
    x = draw(4, 4, 3)
    back = fm.trace(loss, x).backward()
    same(back.gradient[0], (jax.nn.softmax(x) - T) / 4)


def test_fused_is_recognised_as_one():
    for loss in (
        lambda x: -(T * jax.nn.log_softmax(x)).sum(1).mean(),
        lambda x: -jnp.take_along_axis(jax.nn.log_softmax(x), LABELS[:, None], 1).mean(),
    ):
        names = [match.rule.name for match in recognise(fm.trace(loss, draw(4, 4, 3)))]
        assert "softmax and cross-entropy" in names and "log-softmax" not in names


def test_max_and_conditional():
    a, b = draw(5, 6), draw(6, 6)
    _, delta, (da, db) = last(lambda a, b: (jnp.maximum(a, b) ** 2).sum(), "max", a, b)
    same(da, delta * (a > b)), same(db, delta * (b > a))
    _, delta, (dx, dp) = last(lambda x, p: ((x * p) ** 2).sum(), "conditional", a, b)
    same(dx, delta * b), same(dp, delta * a)


def test_squared_error_to_prediction_and_target():
    y, t = draw(7, 4, 3), draw(8, 4, 3)
    _, delta, (dy, dt) = last(lambda y, t: ((y - t) ** 2).mean(), "squared error", y, t)
    same(dy, 2 * delta * (y - t)), same(dt, -2 * delta * (y - t))


def test_in_a_whole_net():
    loss, args = FUNCTIONS["mlp"]()
    names = [match.rule.name for match in recognise(fm.trace(loss, *args))]
    assert names.count("affine") == 3
    assert names[-1] == "softmax and cross-entropy"
