"""The gradient of every tapped parameter is the sum of outer products of its taps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fathom as fm
from fathom.graph import find_taps, tapped

from .functions import FUNCTIONS, draw

WEIGHTS = {
    "mlp": 3,
    "plain": 2,
    "batch_norm_cnn": 3,
    "rnn": 2,
    "lstm": 2,
    "attention": 4,
    "scanned_layers": 1,
    "equinox_batch_norm": 2,
    "linen": 2,
    "nnx_module": 2,
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_sum_of_outer_products_is_the_gradient(name):
    """Oracle: the gradient itself, held to jax.grad in test_backward."""
    loss, args = FUNCTIONS[name]()
    graph = fm.trace(loss, *args)
    taps = find_taps(graph)
    back = graph.backward()
    leaves = graph.concrete()

    @jax.jit
    def pairs_of(leaves):
        given = graph.signature.fill(leaves)
        return tapped(graph)(*given)[2]

    sums = {}
    for tap, (a, delta) in zip(taps, pairs_of(leaves), strict=True):
        part = tap.gradient(a, delta)
        assert a.shape[-1] == tap.size_in and delta.shape[-1] == tap.size_out
        sums[tap.weight] = sums.get(tap.weight, 0) + part
    assert len(sums) == WEIGHTS[name], [tap.name for tap in taps]
    for weight, total in sums.items():
        np.testing.assert_allclose(
            total, back[weight], rtol=1e-4, atol=1e-5 * float(jnp.abs(back[weight]).max())
        )


def test_layout_is_batch_first():
    loss, args = FUNCTIONS["batch_norm_cnn"]()
    graph = fm.trace(loss, *args)
    pairs = tapped(graph)(*args)[2]
    shapes = {tap.name: (a.shape, d.shape) for tap, (a, d) in zip(find_taps(graph), pairs, strict=True)}
    assert shapes["params.conv"] == ((4, 4, 4, 18), (4, 4, 4, 4))
    assert shapes["params.depthwise"] == ((4, 4, 4, 4, 9), (4, 4, 4, 4, 1)), "four groups of one channel"
    assert shapes["params.out"] == ((4, 4), (4, 3))


def test_scans_put_their_steps_first():
    loss, args = FUNCTIONS["rnn"]()
    graph = fm.trace(loss, *args)
    pairs = tapped(graph)(*args)[2]
    assert [(a.shape, d.shape) for a, d in pairs] == [((5, 4, 3), (5, 4, 6)), ((5, 4, 6), (5, 4, 6))]


def test_shared_weights_have_a_tap_for_each_use():
    w, x = draw(0, 3, 3), draw(1, 2, 3)
    graph = fm.trace(lambda w, x: (jnp.tanh(x @ w) @ w.T).sum(), w, x)
    taps = find_taps(graph)
    assert [tap.name for tap in taps] == ["w", "w"]
    pairs = tapped(graph)(w, x)[2]
    total = sum(tap.gradient(*pair) for tap, pair in zip(taps, pairs, strict=True))
    np.testing.assert_allclose(total, graph.backward()[graph.inputs[0]], rtol=1e-5)


def test_weights_of_more_axes_and_reversed_scans_over_layers():
    params = draw(0, 3, 4, 2, 2) / 2
    x = draw(1, 5, 4)

    def loss(params, x):
        def layer(x, p):
            return jnp.tanh(jnp.einsum("bi,ijk->bjk", x, p).reshape(5, 4)), None

        return (lax.scan(layer, x, params, reverse=True)[0] ** 2).sum()

    graph = fm.trace(loss, params, x)
    (tap,) = find_taps(graph)
    assert tap.is_stacked and (tap.size_in, tap.size_out) == (4, 4)
    ((a, delta),) = tapped(graph)(params, x)[2]
    np.testing.assert_allclose(tap.gradient(a, delta), jax.grad(loss)(params, x), rtol=1e-4, atol=1e-6)


def test_strided_dilated_convolution_in_channels_first_layout():
    k, x = draw(0, 6, 2, 3, 2), draw(1, 2, 4, 9, 8)

    def loss(k, x):
        y = lax.conv_general_dilated(
            x, k, (2, 1), [(1, 2), (0, 1)], rhs_dilation=(2, 1), feature_group_count=2
        )
        return (jnp.sin(y) ** 2).sum()

    graph = fm.trace(loss, k, x)
    (tap,) = find_taps(graph)
    ((a, delta),) = tapped(graph)(k, x)[2]
    np.testing.assert_allclose(tap.gradient(a, delta), jax.grad(loss)(k, x), rtol=1e-4, atol=1e-4)


def test_data_by_data_is_no_tap():
    loss, args = FUNCTIONS["attention"]()
    graph = fm.trace(loss, *args)
    assert {tap.name for tap in find_taps(graph)} == {"params.q", "params.k", "params.v", "params.o"}
