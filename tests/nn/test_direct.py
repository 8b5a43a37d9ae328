"""Convolutions in native code. Oracle: XLA's own, for values and derivatives."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import native, nn
from fathom.errors import UsageError
from fathom.nn.conv import convolve, in_native_code

COMPILER = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler"),
    pytest.mark.usefixtures("native_code"),
]
# images, kernel [height, width, in, out], strides, zeros, dilation
CASES = [
    ((2, 28, 28, 1), (3, 3, 1, 16), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    ((2, 28, 28, 16), (3, 3, 16, 32), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    ((3, 14, 14, 32), (3, 3, 32, 64), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    ((1, 6, 61, 24), (3, 3, 24, 48), (1, 1), ((1, 1), (1, 1)), (1, 1)),  # rows longer than a tile
    ((2, 9, 11, 3), (5, 3, 3, 10), (1, 2), ((0, 3), (2, 1)), (1, 1)),  # channels that fill no vector
    ((1, 13, 7, 5), (3, 3, 5, 7), (2, 1), ((2, 2), (2, 2)), (2, 2)),
    ((2, 8, 8, 4), (1, 1, 4, 20), (2, 2), ((0, 0), (0, 0)), (1, 1)),  # positions that no output meets
    ((1, 5, 40, 17), (2, 2, 17, 33), (3, 3), ((0, 0), (0, 0)), (1, 1)),
    ((1, 3, 3, 8), (3, 3, 8, 8), (1, 1), ((3, 3), (3, 3)), (1, 1)),  # outputs that meet zeros alone
    ((1, 2, 2, 2), (4, 4, 2, 3), (1, 1), ((1, 2), (2, 1)), (1, 1)),  # a kernel larger than the image
    ((1, 7, 1, 3), (3, 1, 3, 4), (1, 4), ((1, 1), (0, 0)), (2, 3)),
]


def drawn(number):
    """A case at random that leaves at least one position."""
    draw = np.random.default_rng(number)
    while True:
        size, kernel = draw.integers(1, 18, 2), draw.integers(1, 5, 2)
        strides, dilation = draw.integers(1, 4, 2), draw.integers(1, 4, 2)
        pads = draw.integers(0, 4, (2, 2))
        channels = draw.choice([1, 2, 3, 8, 15, 16, 17, 32, 64, 65], 2)
        if (size + pads.sum(1) >= (kernel - 1) * dilation + 1).all():
            break
    images, weight = (draw.integers(1, 4), *size, channels[0]), (*kernel, *channels)
    found = (images, weight, strides, [tuple(p) for p in pads], dilation)
    return tuple(tuple(int(n) if np.ndim(n) == 0 else tuple(map(int, n)) for n in part) for part in found)


def numbers(*shapes):
    draw = np.random.default_rng(5)
    return [jnp.asarray(draw.normal(size=shape), jnp.float32) for shape in shapes]


def both(case, function):
    """What `function` makes of the convolution and its two arguments: by native code, and by XLA."""
    images, weight, strides, pads, dilation = case
    given = numbers(images, weight)
    found = []
    for lowering in ("direct", "native"):

        def run(x, w, lowering=lowering):
            return convolve(x, w, strides, pads, dilation, 1, lowering)

        found.append(jax.tree.leaves(jax.jit(lambda x, w, run=run: function(run, x, w))(*given)))
    return zip(*found, strict=True)


def check(case, function):
    for ours, theirs in both(case, function):
        scale = float(jnp.abs(theirs).max()) or 1.0
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * scale, err_msg=str(case))


def slopes(run, x, w):
    """The output, and what a wave of it says of both arguments."""
    y, back = jax.vjp(run, x, w)
    return y, back(jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients_are_those_of_xla(case):
    check(case, slopes)


@pytest.mark.parametrize("start", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(12, 60, 12))])
def test_drawn_at_random(start):
    for number in range(start, start + 12):
        check(drawn(number), slopes)


def test_a_gradient_over_many_positions_keeps_its_digits():
    """Oracle: sums in float64. XLA's own gradient of the kernel is off by ten times as much here."""
    images, weight = (16, 40, 40, 16), (3, 3, 16, 32)
    x, w, slope = numbers(images, weight, (*images[:3], 32))
    x, slope = x + 1, slope + 0.3  # so that the sums grow
    ours = jax.vjp(lambda w: convolve(x, w, (1, 1), "same", (1, 1), 1, "direct"), w)[1](slope)[0]
    wide = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    right = np.asarray(slope, np.float64)
    exact = np.array(
        [
            [np.einsum("nijc,nijo->co", wide[:, p : p + 40, q : q + 40], right) for q in range(3)]
            for p in range(3)
        ]
    )
    np.testing.assert_allclose(ours, exact, rtol=0, atol=2e-6 * np.abs(exact).max())


def test_derivatives_of_every_order_and_direction():
    def energy(run, x, w):
        return jnp.sin(run(x, w)).sum()

    for argument in (0, 1):

        def twice(run, x, w, argument=argument):
            slope = jax.grad(lambda x, w: energy(run, x, w), argument)
            return jax.jvp(slope, (x, w), (x, w))[1], jax.grad(
                lambda x, w: jnp.sin(slope(x, w)).sum(), (0, 1)
            )(x, w)

        check(CASES[4], twice)
        check(CASES[6], twice)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (3, 2)])
def test_under_vmap_each_member_is_itself(axes):
    x, w = numbers((2, 6, 6, 3), (3, 3, 3, 4))
    members = [
        jnp.stack([a, 2 * a, -a], axis) if axis is not None else a
        for a, axis in zip((x, w), axes, strict=True)
    ]

    def run(x, w):
        return slopes(lambda x, w: convolve(x, w, (1, 1), "same", (1, 1), 1, "direct"), x, w)

    together = jax.vmap(run, axes)(*members)
    for place in range(3):
        mine = [
            a if axis is None else jnp.take(a, place, axis) for a, axis in zip(members, axes, strict=True)
        ]
        for ours, theirs in zip(jax.tree.leaves(together), jax.tree.leaves(run(*mine)), strict=True):
            np.testing.assert_array_equal(ours[place], theirs)


def test_a_layer_for_one_image_under_vmap_is_one_call():
    x, w = numbers((3, 6, 6, 3), (3, 3, 3, 4))

    def energy(w, x):
        return jnp.sin(
            jax.vmap(lambda x: convolve(x[None], w, (1, 1), "same", (1, 1), 1, "direct")[0])(x)
        ).sum()

    def whole(w, x):
        return jnp.sin(convolve(x, w, (1, 1), "same", (1, 1), 1, "native")).sum()

    told = str(jax.make_jaxpr(jax.grad(energy, (0, 1)))(w, x))
    assert "scan" not in told and told.count("_directly[") == 3
    for ours, theirs in zip(jax.grad(energy, (0, 1))(w, x), jax.grad(whole, (0, 1))(w, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_same_images_the_same_bits_whatever_is_beside_them():
    x, w = numbers((5, 12, 12, 16), (3, 3, 16, 32))
    all_of_them = convolve(x, w, (1, 1), "same", (1, 1), 1, "direct")
    one = convolve(x[3:4], w, (1, 1), "same", (1, 1), 1, "direct")
    np.testing.assert_array_equal(all_of_them[3:4], one)


def test_auto_takes_it_only_where_members_are_trained():
    layer = nn.Conv2d(2, 4, 3, jax.random.key(0))
    x = jnp.ones((2, 8, 8, 2))

    def told():
        return str(jax.make_jaxpr(lambda x: layer(x)[0])(x))

    assert "convolve_directly" not in told()
    with in_native_code(True):
        assert "convolve_directly" in told()
        with nn.products_in("bfloat16"):
            assert "convolve_directly" not in told()
        layer = nn.Conv2d(2, 4, 3, jax.random.key(0), groups=2)
        assert "convolve_directly" not in told()


def test_what_it_cannot_is_refused(monkeypatch):
    x, w = numbers((1, 4, 4, 2), (3, 3, 1, 2))
    with pytest.raises(UsageError, match=r"lowering='direct' cannot be used: groups=2.*give 'auto'"):
        convolve(x, w, (1, 1), "same", (1, 1), 2, "direct")
    layer = nn.Conv2d(2, 4, 3, jax.random.key(0), lowering="direct")
    with nn.products_in("bfloat16"), pytest.raises(UsageError, match="in float32 alone"):
        layer(x)
    monkeypatch.setattr(native, "ready", lambda library: False)
    with pytest.raises(UsageError, match=r"cannot be used: .*(compiler|built|configure)"):
        layer(x)
