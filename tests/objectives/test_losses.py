"""Every loss: golden torch numbers, stated gradients against autodiff and finite differences, extremes."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom.errors import UsageError
from fathom.nn import sparsemax
from fathom.objectives import LOSSES, loss_of, outputs_for
from fathom.task import Task

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "losses.json").read_text())
SETTINGS = {"label_smoothing": 0.2, "gamma": 1.5, "delta": 0.7}
every_loss = pytest.mark.parametrize("record", list(LOSSES), ids=lambda r: r.name)


def _example(record, batch=5, count=2, seed=0):
    """Outputs and targets away from the kinks, for `count` classes or targets."""
    keys = jax.random.split(jax.random.key(seed), 2)
    z = 2 * jax.random.normal(keys[0], (batch, outputs_for(record.name, count)))
    if record.kind == "classification":
        return z, jax.random.randint(keys[1], (batch,), 0, count)
    t = jax.random.normal(keys[1], (batch, count))
    return z, jnp.round(jnp.abs(3 * t)) if record.name == "poisson_nll" else t


def _settings(record):
    return {name: jnp.float32(SETTINGS[name]) for name in record.settings}


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: f"{c['loss']}{c['settings'] or ''}")
def test_value_and_gradient_against_torch(case):
    record = LOSSES[case["loss"]]
    z, t = jnp.asarray(case["outputs"], jnp.float32), np.asarray(case["targets"])
    t = jnp.asarray(t, jnp.int32 if t.dtype.kind == "i" else jnp.float32)
    np.testing.assert_allclose(record.fn(z, t, **case["settings"]), case["value"], rtol=2e-5, atol=1e-6)
    gradient = record.gradient(z, t, **case["settings"])
    np.testing.assert_allclose(gradient, case["gradient"], rtol=1e-4, atol=2e-6)


@every_loss
def test_conformance_one_loss_an_example_traced_settings_stated_gradient(record):
    @jax.jit
    def run(z, t, settings):
        gradients = jax.grad(lambda z: record.fn(z, t, **settings).sum())(z)
        return record.fn(z, t, **settings), record.gradient(z, t, **settings), gradients

    count = 2 if record.single_output else 3
    z, t = _example(record, 5, count)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        loss, gradient, autodiff = run(z, t, _settings(record))
        alone, _, _ = run(z[-1:], t[-1:], _settings(record))
    assert loss.shape == (5,) and loss.dtype == jnp.float32 and gradient.shape == z.shape
    np.testing.assert_allclose(gradient, autodiff, rtol=1e-4, atol=2e-6)
    assert record.differentiable == bool(np.any(np.asarray(gradient) != 0))
    assert record.predict(z).shape == (5, count)
    np.testing.assert_allclose(alone, loss[-1:], rtol=1e-5, atol=1e-6)


@every_loss
def test_gradient_against_finite_differences(record):
    """Two classes, or two targets; every direction of the outputs at once."""
    z, t = _example(record, seed=3)
    step = 1e-2 * np.eye(z.shape[1], dtype=np.float32)[:, None, :]
    ends = jnp.asarray(np.concatenate([np.asarray(z) + step, np.asarray(z) - step]))
    losses = np.asarray(jax.jit(jax.vmap(lambda z: record.fn(z, t)))(ends))
    up, down = np.split(losses, 2)
    gradient = jax.jit(record.gradient)(z, t)
    np.testing.assert_allclose(gradient, (up - down).T / 2e-2, rtol=1e-2, atol=5e-3)


@every_loss
def test_population_axis(record):
    z, t = _example(record)
    many = jax.jit(jax.vmap(lambda z, s: record.fn(z, t, **s)))(
        jnp.stack([z, 2 * z]), {name: jnp.stack([v, v / 2]) for name, v in _settings(record).items()}
    )
    np.testing.assert_allclose(many[0], record.fn(z, t, **_settings(record)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "hinge", "perceptron", "sparsemax", "zero_one"])
def test_huge_logits_stay_finite(name):
    z = jnp.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0]])
    settings = {"label_smoothing": jnp.float32(0.1)} if name == "cross_entropy" else {}
    run = jax.jit(jax.value_and_grad(lambda z, t: LOSSES[name].fn(z, t, **settings).sum()))
    for t in (jnp.array([0, 0, 0]), jnp.array([1, 2, 2])):
        value, gradient = run(z, t)
        assert np.isfinite(value) and np.isfinite(gradient).all()


def test_known_values_at_the_extremes():
    cross_entropy, binary = LOSSES["cross_entropy"].fn, LOSSES["binary_cross_entropy"].fn
    z = jnp.array([[1e4, -1e4], [1e4, -1e4]])
    np.testing.assert_allclose(cross_entropy(z, jnp.array([0, 1])), [0, 2e4])
    z, t = jnp.array([1e4, 1e4, -1e4, -1e4]), jnp.array([1, 0, 1, 0])
    np.testing.assert_allclose(binary(z, t), [0, 1e4, 1e4, 0])
    np.testing.assert_allclose(jax.grad(lambda z: binary(z, t).sum())(z), [0, 1, -1, 0])
    masked = jnp.array([[0.0, 0.0, -jnp.inf]])
    np.testing.assert_allclose(cross_entropy(masked, jnp.array([0])), jnp.log(2.0), rtol=1e-6)
    variance = jnp.array([[1.0, -1e4], [1.0, 1e4]])
    assert jnp.isfinite(LOSSES["gaussian_nll"].fn(variance, jnp.array([1.5, 1.5]))).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_at_certainty_has_a_finite_gradient(gamma):
    z, t = jnp.array([[200.0, 0.0], [0.0, 0.0]]), jnp.array([0, 0])
    slope = jax.grad(lambda z, g: LOSSES["focal"].fn(z, t, gamma=g).sum())(z, jnp.float32(gamma))
    assert jnp.isfinite(slope).all()
    if gamma == 0:
        np.testing.assert_allclose(
            LOSSES["focal"].fn(z, t, gamma=0.0), LOSSES["cross_entropy"].fn(z, t), atol=1e-6
        )


@pytest.mark.parametrize("record", [r for r in LOSSES if r.takes_distributions], ids=lambda r: r.name)
def test_probability_targets(record):
    """Oracle: a one-hot target is the class index; the gradient for the target is what is stated."""
    binary = record.single_output
    z, t = _example(record, count=2)
    hot = t[:, None].astype(jnp.float32) if binary else jax.nn.one_hot(t, z.shape[1])
    np.testing.assert_allclose(record.fn(z, hot), record.fn(z, t), rtol=1e-5, atol=1e-6)
    if record.target_gradient is not None:
        slope = jax.grad(lambda t: record.fn(z, t).sum())(hot)
        np.testing.assert_allclose(record.target_gradient(z, hot), slope, rtol=1e-5, atol=1e-5)


def test_cross_entropy_gradients_in_closed_form():
    """Oracle: softmax(z) - y and -log p, written out in NumPy."""
    z, t = _example(LOSSES["cross_entropy"], count=4)
    e = np.exp(np.asarray(z, np.float64))
    p = e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(LOSSES["cross_entropy"].gradient(z, t), p - np.eye(4)[t], atol=1e-6)
    stated = LOSSES["cross_entropy"].target_gradient(z, jax.nn.one_hot(t, 4))
    np.testing.assert_allclose(stated, -np.log(p), rtol=1e-5, atol=1e-5)


def test_sparsemax_loss_is_zero_exactly_where_the_projection_is_the_target():
    z, t = jnp.array([[3.0, 1.0, 0.0], [1.2, 1.0, 0.0]]), jnp.array([0, 0])
    loss = LOSSES["sparsemax"].fn(z, t)
    assert loss[0] == 0 and loss[1] > 0
    # Martins & Astudillo 2016, equation 22: -z_y + Σ_S (z_j² - τ²)/2 + 1/2.
    p = np.asarray(sparsemax(z[1]), np.float64)
    inside, scores = p > 0, np.asarray(z[1], np.float64)
    tau = (scores[inside].sum() - 1) / inside.sum()
    assert float(loss[1]) == pytest.approx(
        -scores[0] + ((scores**2 - tau**2) / 2)[inside].sum() + 0.5, rel=1e-5
    )


def test_one_score_for_two_classes_in_the_margin_losses():
    """Oracle: the two-column margin of the logits (0, z) is the same."""
    z, t = jnp.array([1.5, -0.3, 0.2, -2.0]), jnp.array([1, 1, 0, 0])
    columns = jnp.stack([jnp.zeros(4), z], axis=1)
    for name in ("hinge", "perceptron", "zero_one"):
        for shaped in (z, z[:, None]):
            np.testing.assert_allclose(LOSSES[name].fn(shaped, t), LOSSES[name].fn(columns, t), rtol=1e-6)
            assert LOSSES[name].gradient(shaped, t).shape == shaped.shape


def test_predictions_are_what_metrics_take():
    bce = LOSSES["binary_cross_entropy"]
    np.testing.assert_allclose(jax.nn.softmax(bce.predict(jnp.array([[0.4]])))[0, 1], jax.nn.sigmoid(0.4))
    np.testing.assert_allclose(LOSSES["poisson_nll"].predict(jnp.array([[0.0]])), [[1.0]])
    np.testing.assert_allclose(LOSSES["gaussian_nll"].predict(jnp.array([[3.0, -1.0]])), [[3.0]])


@pytest.mark.parametrize(
    ("name", "z", "t", "message"),
    [
        ("cross_entropy", (3,), (3,), r"outputs\.shape=\(3,\) is not allowed; give logits"),
        ("cross_entropy", (3, 2), (4,), r"targets\.shape=\(4,\) does not fit outputs\.shape=\(3, 2\)"),
        (
            "squared",
            (3, 2),
            (3,),
            r"targets\.shape=\(3,\) does not fit outputs\.shape=\(3, 2\); give one target",
        ),
        ("gaussian_nll", (3, 1), (3,), r"outputs\.shape=\(3, 1\) is not allowed; give \[batch, 2 k\]"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(name, z, t, message):
    dtype = jnp.int32 if name == "cross_entropy" else jnp.float32
    with pytest.raises(UsageError, match=message):
        LOSSES[name].fn(jnp.zeros(z), jnp.zeros(t, dtype))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task.regression(2, loss="cross_entropy"), "loss='cross_entropy' is not known; use one of: squared"),
        (
            Task.classification(2, 2, loss="binary_cross_entropy"),
            "outputs=2 does not fit.*give 1 and two classes",
        ),
        (
            Task.classification(2, 2, outputs=1),
            "outputs=1 does not fit loss='cross_entropy' with 2 classes; give 2",
        ),
        (Task.regression(2, 3, loss="gaussian_nll"), "outputs=3 does not fit.*give 2 a target"),
    ],
)
def test_tasks_that_do_not_fit_their_loss_are_refused(task, message):
    with pytest.raises(UsageError, match=message):
        loss_of(task)


def test_outputs_for():
    assert [outputs_for(n, 2) for n in ("cross_entropy", "binary_cross_entropy", "gaussian_nll")] == [2, 1, 4]
    with pytest.raises(UsageError, match="is for two classes and there are 3; use cross_entropy"):
        outputs_for("binary_cross_entropy", 3)
