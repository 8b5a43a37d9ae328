"""Every lowering of the convolution against XLA's own, and against PyTorch's numbers."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import nn
from fathom.errors import UsageError
from fathom.nn import conv

from .golden import golden, with_weights

OURS = ("patches", "shifted", "tiled")
SHAPES = [
    {"strides": 2, "padding": "same"},
    {"strides": (1, 3), "padding": "valid", "dilation": (2, 1)},
    {"strides": (2, 1), "padding": ((0, 2), (3, 1)), "dilation": 2, "groups": 2},
    {"strides": 1, "padding": (1, 0), "groups": 4, "kernel": (2, 3)},
    {"kernel": (1, 1), "strides": 2, "padding": "valid"},
]


def told(lowering, kernel=(3, 3), **settings):
    """The output, and the gradients of Σ sin y for the weight, the bias and the images."""
    layer = nn.Conv2d(4, 8, kernel, jax.random.key(0), lowering=lowering, **settings)
    x = jax.random.normal(jax.random.key(1), (4, 9, 8, 4))

    def value(layer, x):
        y = layer(x)[0]
        return jnp.sin(y).sum(), y

    (_, y), grads = jax.jit(jax.value_and_grad(value, (0, 1), has_aux=True))(layer, x)
    return [y, grads[0].weight, grads[0].bias, grads[1]]


@pytest.mark.parametrize("settings", SHAPES, ids=str)
def test_every_lowering_is_the_native_one(settings, monkeypatch):
    """Oracle: lax.conv_general_dilated, for values and gradients."""
    monkeypatch.setattr(conv, "_TILE", 3000)  # several tiles of images, or of rows
    native = told("native", **settings)
    for lowering in OURS:
        for ours, theirs in zip(told(lowering, **settings), native, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4, err_msg=lowering)


@pytest.mark.parametrize("tile", [300, 1000, 10**6])
def test_tiles_of_every_size(tile, monkeypatch):
    """Oracle: the native convolution; tiles of one row, of some, of some images, of all."""
    monkeypatch.setattr(conv, "_TILE", tile)
    settings = {"strides": 2, "padding": 1}
    for ours, theirs in zip(told("tiled", **settings), told("native", **settings), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("case", "lowering"), [*itertools.product(range(3), ("auto", "native"))])
def test_golden(case, lowering):
    """Oracle: torch.nn.Conv2d, values and gradients."""
    found = golden("conv")[case]
    layer = nn.Conv2d(4, 8, 3, jax.random.key(0), lowering=lowering, **found.settings)
    found.check(with_weights(layer, found.weights))


def test_what_auto_chooses(monkeypatch):
    """Oracle: the documented rule."""
    x = jnp.ones((2, 8, 8, 4))

    def chosen(weight, groups=1, inference=False):
        return conv._chosen(x, jnp.ones(weight), 64, groups, inference)

    assert chosen((3, 3, 4, 8)) == "patches" and chosen((3, 3, 2, 8), 2) == "patches"
    assert chosen((3, 3, 1, 8), 4) == "shifted" and chosen((3, 3, 1, 8), 4, True) == "shifted"
    assert chosen((3, 3, 8, 8), inference=True) == chosen((3, 3, 4, 64), inference=True) == "native"
    assert (
        chosen((3, 3, 2, 8), 2, inference=True) == "native"
        and chosen((3, 3, 4, 8), inference=True) == "patches"
    )
    monkeypatch.setattr(conv, "_TILED_ABOVE", 2 * 64 * 9 * 4 * 4 - 1)
    assert chosen((3, 3, 4, 8)) == "tiled"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert chosen((3, 3, 4, 8)) == "native"


def test_patches_make_a_matrix_product():
    """Oracle: the jaxpr; a product with four axes is three times as slow on a CPU, forward and backward."""
    layer = nn.Conv2d(4, 8, 3, jax.random.key(0), lowering="patches")
    text = str(jax.make_jaxpr(jax.grad(lambda x: layer(x)[0].sum()))(jnp.ones((2, 6, 6, 4))))
    assert "dot_general" in text and "conv_general" not in text
    assert "([3], [0])" not in text


def test_strict_promotion_state_and_vmap():
    layer = nn.Conv2d(2, 3, (1, 2), jax.random.key(0), use_bias=False)
    assert layer.bias is None
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        x = jax.random.normal(jax.random.key(1), (2, 3, 5, 4, 2))
        y, state = layer(x[0], key=None, state=None, inference=True)
        together = eqx.filter_vmap(lambda x: layer(x)[0])(x)
    assert state is None
    np.testing.assert_allclose(together[0], y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"in_channels": 0}, "in_channels=0 is not allowed"),
        ({"groups": 3}, "groups=3 does not divide 4 input and 6"),
        ({"lowering": "fft"}, "lowering='fft' is not known"),
        ({"kernel_size": (3, 0)}, "kernel_size=.3, 0. is not allowed"),
        ({"strides": 0}, "strides=0 is not allowed"),
        ({"padding": (1, 1, 1)}, "padding=.1, 1, 1. is not allowed"),
        ({"padding": (1, -1)}, "padding=.1, -1. is not allowed"),
    ],
)
def test_misuse_is_refused(changed, said):
    settings = {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "key": jax.random.key(0), **changed}
    with pytest.raises(UsageError, match=said):
        nn.Conv2d(**settings)


def test_wrong_images_are_refused():
    layer = nn.Conv2d(2, 2, 3, jax.random.key(0), padding="valid")
    with pytest.raises(UsageError, match="x has 3 channels"):
        layer(jnp.ones((1, 4, 4, 3)))
    with pytest.raises(UsageError, match="x has 2 x 4 positions"):
        layer(jnp.ones((1, 2, 4, 2)))
