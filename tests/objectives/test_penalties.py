"""Every penalty against NumPy, SciPy or a closed form; its gradient against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fathom.objectives import PENALTIES

W = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
V = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
B = np.full(3, 10.0, np.float32)
PARAMS = {"layers": [{"w": jnp.asarray(W), "b": jnp.asarray(B)}, {"w": jnp.asarray(V)}], "name": None, "n": 3}
ALL = np.concatenate([W.ravel(), V.ravel()]).astype(np.float64)


def _orthogonality(w):
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    return ((gram - np.eye(len(gram))) ** 2).sum()


ORACLES = {
    "l1": np.abs(ALL).sum(),
    "l2": (ALL**2).sum() / 2,
    "lp": (np.abs(ALL) ** 1.5).sum(),
    "elastic": (np.abs(ALL).sum() + (ALL**2).sum() / 2) / 2,
    "spectral": sum(np.linalg.svd(w)[1][0] ** 2 / 2 for w in (W, V)),
    "orthogonality": _orthogonality(W) + _orthogonality(V),
    "gaussian_prior": -stats.norm(0, 1).logpdf(ALL).sum(),
    "laplace_prior": -stats.laplace(0, 1).logpdf(ALL).sum(),
}
PLAIN = [r for r in PENALTIES if r.needs == "params"]


def test_every_penalty_of_parameters_has_an_oracle():
    assert set(ORACLES) == {record.name for record in PLAIN}


@pytest.mark.parametrize("record", PLAIN, ids=lambda r: r.name)
def test_value_leaves_biases_out(record):
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        value = record.fn(PARAMS)
    assert value.shape == () and float(value) == pytest.approx(ORACLES[record.name], rel=1e-4)


@pytest.mark.parametrize("record", PLAIN, ids=lambda r: r.name)
def test_gradient_against_finite_differences_and_traced_settings(record):
    settings = {name: jnp.float32(0.8) for name in record.settings}
    slope = jax.jit(jax.grad(lambda w, s: record.fn(w, **s)))(jnp.asarray(W), settings)
    direction = np.random.default_rng(2).normal(size=W.shape).astype(np.float32)
    step = 1e-3
    ends = [float(record.fn(jnp.asarray(W + s * step * direction), **settings)) for s in (1, -1)]
    scale = float(np.linalg.norm(slope) * np.linalg.norm(direction))
    assert float((slope * direction).sum()) == pytest.approx(
        (ends[0] - ends[1]) / (2 * step), abs=5e-3 * scale
    )
    assert jnp.isfinite(jax.grad(lambda w: record.fn(w, **settings))(jnp.zeros((3, 2)))).all()


def test_biases_are_included_where_asked():
    assert float(PENALTIES["l1"].fn(PARAMS, biases=True)) == pytest.approx(ORACLES["l1"] + 30, rel=1e-5)


def test_priors_are_l2_and_l1_to_within_a_constant():
    """The MAP view: the gradient of -log prior is the gradient of the penalty over the scale."""
    w = jnp.asarray(W)
    for prior, penalty, power in (("gaussian_prior", "l2", 2), ("laplace_prior", "l1", 1)):
        slope = jax.grad(lambda w, p=prior: PENALTIES[p].fn(w, scale=0.5))(w)
        expected = jax.grad(PENALTIES[penalty].fn)(w) / 0.5**power
        np.testing.assert_allclose(slope, expected, rtol=1e-5)


def test_gradient_norm_and_its_own_gradient_in_closed_form():
    """Oracle: for loss wᵀAw/2 + b·w the gradient is Aw + b, and the penalty's 2 A (Aw + b)."""
    a = np.array([[2.0, 0.5], [0.5, 1.0]], np.float32)
    b, w = np.array([1.0, -1.0], np.float32), jnp.array([0.3, -0.7])

    def penalty(w):
        return PENALTIES["gradient_norm"].fn(lambda w: w @ a @ w / 2 + b @ w, w)

    gradient = a @ np.asarray(w) + b
    assert float(penalty(w)) == pytest.approx((gradient**2).sum(), rel=1e-5)
    np.testing.assert_allclose(jax.grad(penalty)(w), 2 * a @ gradient, rtol=1e-5)


def test_omega_against_a_slow_loop():
    """Oracle: the Jacobian diag(1 - h'²) W of a tanh cell, step by step in NumPy."""
    rng = np.random.default_rng(3)
    w, u = rng.normal(size=(4, 4)) / 2, rng.normal(size=(4, 2))
    inputs, errors = rng.normal(size=(6, 2)), rng.normal(size=(6, 4))
    errors[2] = 0
    state, states, expected = np.zeros(4), [], 0.0
    for step_input, error in zip(inputs, errors, strict=True):
        states.append(state)
        state = np.tanh(w @ state + u @ step_input)
        if error.any():
            jacobian = (1 - state**2)[:, None] * w
            expected += (np.linalg.norm(error @ jacobian) / np.linalg.norm(error) - 1) ** 2
    arrays = [jnp.asarray(a, jnp.float32) for a in (w, u, np.array(states), inputs, errors)]

    def penalty(w):
        return PENALTIES["omega"].fn(lambda h, x: jnp.tanh(w @ h + arrays[1] @ x), *arrays[2:])

    assert float(penalty(arrays[0])) == pytest.approx(expected, rel=1e-4)
    slope = jax.jit(jax.grad(penalty))(arrays[0])
    step = 1e-3 * np.eye(4, dtype=np.float32)
    change = (penalty(arrays[0] + step) - penalty(arrays[0] - step)) / 2e-3
    assert float(jnp.trace(slope)) == pytest.approx(
        float(change), abs=2e-3 * float(jnp.linalg.norm(slope)) + 2e-3
    )
    assert jnp.isfinite(jax.grad(penalty)(jnp.zeros((4, 4)))).all()


def test_omega_is_zero_for_an_orthogonal_linear_cell():
    q = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0].astype(np.float32)
    value = PENALTIES["omega"].fn(lambda h, x: q @ h, jnp.ones((4, 3)), jnp.zeros((4, 1)), jnp.ones((4, 3)))
    assert float(value) == pytest.approx(0, abs=1e-9)
