"""Linear models: their optimum against scikit-learn's, their features against scikit-learn's."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.preprocessing import PolynomialFeatures

from fathom import models, objectives
from fathom.errors import UsageError
from fathom.task import Task


def _minimize(model, loss, steps=60):
    solver = optax.lbfgs()
    value_and_gradient = optax.value_and_grad_from_state(loss)

    @jax.jit
    def run(params):
        def step(carry, _):
            params, state = carry
            value, gradient = value_and_gradient(params, state=state)
            updates, state = solver.update(gradient, state, params, value=value, grad=gradient, value_fn=loss)
            return (optax.apply_updates(params, updates), state), value

        return jax.lax.scan(step, (params, solver.init(params)), None, length=steps)[0][0]

    return run(model)


def _trained(architecture, task, x, t, l2=0.0):
    params, static = eqx.partition(architecture.build(task, jax.random.key(0)), eqx.is_inexact_array)
    loss_fn = objectives.loss_of(task).fn

    def loss(params):
        y, _ = eqx.combine(params, static)(x)
        return jnp.mean(loss_fn(y, t)) + l2 * objectives.PENALTIES["l2"].fn(params)

    return eqx.combine(_minimize(params, loss), static)


@pytest.mark.parametrize("classes", [2, 3])
def test_softmax_regression_has_scikit_learn_s_optimum(classes):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4)).astype(np.float32)
    t = np.argmax(x @ rng.normal(size=(4, classes)) + rng.gumbel(size=(120, classes)), axis=1)
    l2 = 0.02
    model = _trained(models.Linear(), Task.classification(4, classes), jnp.asarray(x), jnp.asarray(t), l2)
    # Two softmax columns share a margin w as ±w/2, which halves the penalty of one sigmoid column.
    strength = 1 / (l2 * len(x)) * (2 if classes == 2 else 1)
    expected = LogisticRegression(C=strength, tol=1e-8, max_iter=1000).fit(x, t).predict_proba(x)
    np.testing.assert_allclose(jax.nn.softmax(model(jnp.asarray(x))[0]), expected, atol=2e-3)


def test_ridge_and_polynomial_regression_have_scikit_learn_s_optimum():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 3)).astype(np.float32)
    t = x @ [1.0, -2.0, 0.5] + x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=80) + 3
    task, l2 = Task.regression(3), 0.3
    model = _trained(models.Linear(), task, jnp.asarray(x), jnp.asarray(t, jnp.float32), l2)
    # Mean of (y - t)² + l2/2 · w²  =  (sum of squares + alpha · w²) / rows.
    ridge = Ridge(alpha=l2 * 80 / 2).fit(x, t)
    np.testing.assert_allclose(model.layer.weight[:, 0], ridge.coef_, atol=1e-3)
    np.testing.assert_allclose(model.layer.bias[0], ridge.intercept_, atol=1e-3)
    cubic = _trained(models.Linear(degree=2, cross=True), task, jnp.asarray(x), jnp.asarray(t, jnp.float32))
    features = PolynomialFeatures(2, include_bias=False).fit_transform(x)
    expected = LinearRegression().fit(features, t).predict(features)
    np.testing.assert_allclose(cubic(jnp.asarray(x))[0][:, 0], expected, atol=5e-3)


@pytest.mark.parametrize(
    ("features", "degree", "cross"), [(1, 1, True), (1, 4, False), (4, 2, True), (3, 3, True)]
)
def test_features_against_scikit_learn(features, degree, cross):
    x = np.random.default_rng(2).normal(size=(5, features))
    ours = np.asarray(models.polynomial(jnp.asarray(x, jnp.float32), degree, cross=cross))
    theirs = [x**power for power in range(1, degree + 1)]
    if cross and features > 1:
        both = PolynomialFeatures(2, interaction_only=True, include_bias=False).fit_transform(x)
        theirs.append(both[:, features:])
    np.testing.assert_allclose(ours, np.concatenate(theirs, axis=1), rtol=1e-5, atol=1e-6)


def test_too_many_products_are_refused():
    with pytest.raises(UsageError, match="cross=True: 784 features make 307720 polynomial features"):
        models.Linear(cross=True).build(Task.regression(784), jax.random.key(0))
    with pytest.raises(UsageError, match="cross=1 is not allowed; give True or False"):
        models.Linear(cross=1)
