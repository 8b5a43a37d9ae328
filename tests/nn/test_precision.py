"""Products in bfloat16: against NumPy on rounded factors, and every layer against itself in float32."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import nn
from fathom.errors import UsageError


def halved(a):
    """Rounded to bfloat16, in double precision."""
    return np.asarray(jnp.asarray(a).astype(jnp.bfloat16), np.float64)


@pytest.mark.parametrize(
    "spec, shapes",
    [
        ("bi,io->bo", ((7, 33), (33, 5))),
        ("bti,io->bto", ((2, 7, 33), (33, 5))),
        ("bhqd,bhkd->bhqk", ((2, 3, 4, 33), (2, 3, 5, 33))),
        ("nbk,nkd->nbd", ((3, 4, 33), (3, 33, 2))),
    ],
)
def test_value_and_gradients(spec, shapes):
    """Oracle: NumPy's sums in double precision, of factors and slopes rounded to bfloat16."""
    keys = jax.random.split(jax.random.key(0), 3)
    a, b = (jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=False))
    g = jax.random.normal(keys[2], jnp.einsum(spec, a, b).shape)
    with nn.products_in("bfloat16"):
        y, pull = jax.vjp(lambda a, b: nn.contract(spec, a, b), a, b)
    da, db = pull(g)
    (first, second), out = spec.split("->")[0].split(","), spec.split("->")[1]
    expected = [
        np.einsum(spec, halved(a), halved(b)),
        np.einsum(f"{out},{second}->{first}", halved(g), halved(b)),
        np.einsum(f"{first},{out}->{second}", halved(a), halved(g)),
    ]
    for ours, theirs in zip((y, da, db), expected, strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert float(jnp.abs(y - jnp.einsum(spec, a, b)).max()) > 1e-3


LAYERS = {
    "linear": (lambda key: nn.Linear(40, 6, key), (300, 40)),
    "patches": (lambda key: nn.Conv2d(3, 8, 3, key, lowering="patches"), (4, 9, 9, 3)),
    "tiled": (lambda key: nn.Conv2d(3, 8, 3, key, lowering="tiled"), (4, 9, 9, 3)),
    "native": (lambda key: nn.Conv2d(3, 8, 3, key, lowering="native"), (4, 9, 9, 3)),
    "lstm": (lambda key: nn.LSTM(6, 16, key, lowering="tiled"), (4, 21, 6)),
    "lstm scan": (lambda key: nn.LSTM(6, 16, key, lowering="scan"), (4, 21, 6)),
    "gru": (lambda key: nn.GRU(6, 16, key, lowering="tiled"), (4, 21, 6)),
    "gru scan": (lambda key: nn.GRU(6, 16, key, lowering="scan"), (4, 21, 6)),
    "attention": (lambda key: nn.MultiHeadAttention(16, 2, key, causal=True), (4, 21, 16)),
    "piecewise": (lambda key: nn.Piecewise(5, key, bins=8, size=4), (30, 5)),
    "periodic": (lambda key: nn.Periodic(5, key, waves=4, size=4), (30, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_stays_near_itself_in_float32(name):
    """Oracle: the layer in float32. A factor is off by 2^-9 at most, so no result by more than a few in a hundred."""
    make, shape = LAYERS[name]
    layer, x = make(jax.random.key(0)), jax.random.normal(jax.random.key(1), shape)

    def told(precision):
        def loss(layer, x):
            y = layer(x)
            y = y[0] if isinstance(y, tuple) else y
            return (y * jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)).sum(), y

        with nn.products_in(precision):
            (_, y), grads = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(layer, x)
        return [y, *jax.tree.leaves(grads)]

    differ = []
    for half, full in zip(told("bfloat16"), told("float32"), strict=True):
        assert half.dtype == jnp.float32
        off = float(jnp.linalg.norm(half - full) / jnp.linalg.norm(full))
        assert off < 0.03, (name, off)
        differ.append(off)
    assert differ[0] > 1e-5


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_the_way_back_is_in_the_precision_of_the_way_forward(kind):
    """Oracle: the same with both ways traced inside."""
    layer, x = kind(6, 16, jax.random.key(0)), jax.random.normal(jax.random.key(1), (4, 21, 6))

    def loss(layer):
        return jnp.square(layer(x)[0]).sum()

    with nn.products_in("bfloat16"):
        inside = jax.grad(loss)(layer)
        _, pull = jax.vjp(loss, layer)
    (outside,) = pull(jnp.float32(1))
    for a, b in zip(jax.tree.leaves(inside), jax.tree.leaves(outside), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_compiled_function_is_compiled_for_each_precision():
    layer, x = nn.Linear(40, 6, jax.random.key(0)), jax.random.normal(jax.random.key(1), (300, 40))
    run = eqx.filter_jit(lambda layer, x: layer(x)[0])
    full = run(layer, x)
    with nn.products_in("bfloat16"):
        half = run(layer, x)
    assert 1e-4 < float(jnp.abs(half - full).max()) < 0.1
    np.testing.assert_array_equal(run(layer, x), full)


def test_an_unknown_precision_is_refused():
    with pytest.raises(UsageError, match=r"'float16'.*float32, bfloat16"):
        nn.products_in("float16")
