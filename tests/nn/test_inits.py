"""Initializations: variance against the formula, structure, tracing; the ring; unit variance on data."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import models, nn
from fathom.errors import UsageError
from fathom.task import Task

SHAPES = [(1, 1), (300, 40), (40, 300)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("record", list(nn.INITS), ids=lambda r: r.name)
def test_mean_square_is_the_stated_variance(record, shape):
    """Gated at 5 standard errors of the mean square of the weights drawn."""
    gain = nn.relu_gain(0.3)
    weights = np.asarray(record.fn(jax.random.key(8), shape, gain), np.float64)
    assert weights.shape == shape
    squares = weights**2
    if shape == (1, 1) and record.name in ("fan_in", "glorot", "he"):
        assert np.isfinite(weights).all()
        return
    error = squares.std() / np.sqrt(squares.size) if record.random else 0.0
    assert abs(squares.mean() - record.variance(shape, gain)) <= 5 * error + 1e-6


def test_formulas():
    """Oracle: the formulas of the papers, as numbers."""
    assert nn.INITS["fan_in"].variance((50, 30), 2.0) == 1 / 50
    assert nn.INITS["glorot"].variance((50, 30), 2.0) == 2 / 80
    assert nn.INITS["he"].variance((50, 30), nn.relu_gain(0.5)) == pytest.approx(2 / ((1 + 0.25) * 50))


@pytest.mark.parametrize("record", list(nn.INITS), ids=lambda r: r.name)
def test_traced_key_key_use_and_gain_use(record):
    drawn = jax.jit(lambda key: record.fn(key, (6, 4), 2.0))(jax.random.key(1))
    assert drawn.dtype == jnp.float32
    np.testing.assert_allclose(drawn, record.fn(jax.random.key(1), (6, 4), 2.0), atol=1e-6)
    assert record.random != bool(jnp.array_equal(drawn, record.fn(jax.random.key(2), (6, 4), 2.0)))
    ratio = 2.0 if record.uses_gain else 1.0
    np.testing.assert_allclose(drawn, ratio * record.fn(jax.random.key(1), (6, 4), 1.0), atol=1e-6)


@pytest.mark.parametrize("shape", [(9, 9), (9, 4), (4, 9), (1, 1), (70, 64), (200, 200), (100, 33)], ids=str)
def test_orthogonal_is_the_q_of_what_was_drawn(shape):
    """Oracle: LAPACK in double precision, its signs changed so that R's diagonal is positive."""
    w = np.asarray(nn.INITS["orthogonal"].fn(jax.random.key(0), shape, 1.0))
    gram = w.T @ w if shape[0] >= shape[1] else w @ w.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=2e-6)
    drawn = jax.random.normal(jax.random.key(0), (max(shape), min(shape)), jnp.float32)
    q, r = np.linalg.qr(np.asarray(drawn, np.float64))
    q = q * np.sign(np.diagonal(r))
    np.testing.assert_allclose(w, q if shape[0] >= shape[1] else q.T, atol=2e-4)


def test_orthogonal_weights_of_many_are_those_of_each():
    """Oracle: one at a time; lanes of members and the gates of a layer draw theirs together."""
    draw = nn.INITS["orthogonal"].fn
    keys = jax.random.split(jax.random.key(0), 3)
    together = jax.jit(jax.vmap(lambda key: draw(key, (40, 40), 1.0)))(keys)
    for ours, key in zip(together, keys, strict=True):
        np.testing.assert_allclose(ours, draw(key, (40, 40), 1.0), atol=1e-5)


def test_orthogonal_has_no_preferred_sign():
    """Oracle: the trace of a uniform orthogonal matrix has mean 0 and variance 1."""
    keys = jax.random.split(jax.random.key(1), 400)
    traces = np.asarray(jax.vmap(lambda k: jnp.trace(nn.INITS["orthogonal"].fn(k, (5, 5), 1.0)))(keys))
    assert abs(traces.mean()) < 4 * traces.std() / 20
    assert traces.std() == pytest.approx(1, abs=0.2)


def test_ring_against_its_law():
    """Oracle: |λ|² uniform on [r², R²], angle uniform; Kolmogorov–Smirnov at the 0.1 % level."""
    from scipy import stats

    ring = jax.jit(lambda k: nn.lru_ring(k, 4000, inner=0.6, outer=0.9, max_phase=1.0))(jax.random.key(2))
    radius = np.exp(-np.exp(np.asarray(ring.log_decay, np.float64)))
    assert stats.kstest(radius**2, stats.uniform(0.36, 0.81 - 0.36).cdf).pvalue > 1e-3
    assert stats.kstest(np.exp(np.asarray(ring.log_phase)), "uniform").pvalue > 1e-3
    np.testing.assert_allclose(np.exp(ring.log_gain), np.sqrt(1 - radius**2), rtol=1e-4)


def test_ring_up_to_the_unit_circle_is_finite():
    assert all(jnp.isfinite(leaf).all() for leaf in nn.lru_ring(jax.random.key(0), 5000))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size=0 is not allowed"),
        ({"size": 2, "inner": 0.9, "outer": 0.5}, "inner=0.9, outer=0.5: give 0 <= inner < outer <= 1"),
        ({"size": 2, "max_phase": 0.0}, "max_phase=0.0 is not allowed"),
    ],
)
def test_ring_misuse_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        nn.lru_ring(jax.random.key(0), **arguments)


@pytest.mark.parametrize("init", ["constant", "he", "fan_in"])
def test_data_dependent_gives_unit_variance_at_every_layer(init):
    """Oracle: the pre-activations of each layer, computed in NumPy from the new weights."""
    model = models.MLP(width=30, depth=4, activation="tanh", init=init).build(
        Task.classification(12, 5), jax.random.key(0)
    )
    x = 20 * jax.random.normal(jax.random.key(1), (200, 12)) + 3
    scaled = eqx.filter_jit(nn.data_dependent)(model, x)
    assert jax.tree.structure(scaled) == jax.tree.structure(model)
    hidden = np.asarray(x, np.float64)
    for layer in scaled.layers:
        before = hidden @ np.asarray(layer.weight, np.float64)
        assert before.std() == pytest.approx(1, rel=1e-4)
        hidden = np.tanh(before)


def test_data_dependent_leaves_a_silent_layer_alone():
    layer = nn.Linear(3, 2, jax.random.key(0), init="zero")
    assert jnp.array_equal(nn.data_dependent(layer, jnp.ones((4, 3))).weight, layer.weight)


@pytest.mark.parametrize("name", nn.INITS.names())
def test_layers_drawn_together_have_each_their_variance(name):
    shapes, gains = [(300, 200), (200, 400), (400, 3)], [1.0, 1.5, 2.0]
    weights = nn.draw_weights(name, jax.random.key(3), shapes, gains)
    assert [w.shape for w in weights] == shapes
    for weight, shape, gain in zip(weights, shapes, gains, strict=True):
        expected = nn.INITS[name].variance(shape, gain)
        assert float((weight**2).mean()) == pytest.approx(expected, rel=0.15)
    if nn.INITS[name].random:  # no weight serves twice
        first, second = (np.asarray(w).ravel()[:1000] for w in weights[:2])
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_normal_weights_of_many_layers_take_one_generator():
    shapes = [(3, 5), (5, 7), (7, 2)]
    text = str(jax.make_jaxpr(lambda key: nn.draw_weights("he", key, shapes, [1.0] * 3))(jax.random.key(0)))
    assert text.count("random_bits") == 1
