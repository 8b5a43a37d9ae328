"""Convolution over images, lowered to what the machine does fastest."""

import functools
import math
from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from .. import native
from ..errors import UsageError
from .direct import convolve as convolve_directly
from .inits import INITS
from .product import in_half, product, rounded

Pair = tuple[int, int]
Padding = Literal["same", "valid"] | int | Sequence[int | Sequence[int]]
LOWERINGS = ("auto", "direct", "native", "patches", "shifted", "tiled")
#: ``with in_native_code(True)``: what is traced now trains or judges members on a CPU, where "auto" may be native code.
in_native_code = jax.make_user_context(default_value=False)
_TILED_ABOVE = 8 * 2**20  # bytes of patches
_TILE = 2**20  # bytes: as many patches as stay in a core's cache
_FEW = (4, 32)  # channels in and out, up to which XLA's convolution is slow forward too
_LAYOUT = ("NHWC", "HWIO", "NHWC")


class Conv2d(eqx.Module):
    """Convolution of images [batch, height, width, channels] with learned kernels, plus a bias.

    y[b, i, j, o] = Σ_{p, q, c} x[b, s i + d p, s j + d q, c] W[p, q, c, o] + b[o] for stride s and dilation
    d, over the padded image (a correlation, as everywhere in the field). 2 · out positions · kernel · in /
    groups · out operations an image. With groups, output channels of one group see only the input channels of
    the same one; groups = in channels is a depthwise convolution.

    The same sum can be written in several ways, and `lowering` chooses one; values and gradients are equal
    but for rounding:

    - "native": XLA's own convolution. On a GPU it calls the card's library. On a CPU it is fast forward, but its
      gradients fall back to a slow loop where they are within a compiled one, as in training (92 against 6 ms a
      step of a small network, one core).
    - "patches": the patches that the kernel sees are copied into a matrix [positions, kernel · in], and one
      2-D product does the rest.
    - "shifted": one product with each of the kernel's places, over the shifted image: for depthwise
      convolutions elementwise, in one pass (47 ms against 467 by patches and 3,523 natively to train with 32
      images of 28 x 28 x 64).
    - "tiled": patches of a tile of the positions at a time, made again on the way back, so that they stay in
      cache and never fill the memory (82 against 123 ms for 8 images of 56 x 56 x 64).
    - "direct": native code in C++, on a CPU, where `fathom.configure()` was called and there is a compiler: sums are
      kept in registers and taken straight from the images, at the speed of a large matrix product, and nothing is
      copied but one image's rows between their zeros. In float32, of one group; it knows every derivative, but none of
      what draws or exports a computation.
    - "auto": on a CPU "shifted" where each channel is convolved alone, else "direct" where a study or a population
      trains and judges its members (but for kernels of 1 x 1, which are a product), else "native" in inference but
      for few channels (from 1 to 16 native 43 microseconds an image, patches 20; from 16 to 32 26 and 36), "tiled"
      where the patches would take more than 8 MB (at 3.6 MB patches at once are 20 % faster, at 14 MB 12 % slower),
      "patches" else; "native" elsewhere.

    Attributes:
        weight: W [kernel height, kernel width, in channels / groups, out channels].
        bias: b [out channels], or None.
        strides: steps between output positions, (down, across) (static).
        padding: "same", "valid", or pairs of zeros put before and after, (down, across) (static).
        dilation: distance of the kernel's places, (down, across) (static).
        groups: groups of channels (static).
        lowering: how it is computed (static).

    Example:
        >>> layer = Conv2d(1, 2, 3, jax.random.key(0), strides=2, padding=1)
        >>> layer(jnp.ones((4, 28, 28, 1)))[0].shape
        (4, 14, 14, 2)

    Reference: LeCun et al. 1989; the product over patches: Chellapilla, Puri & Simard 2006.
    """

    weight: Float[Array, "kh kw in out"]
    bias: Float[Array, " out"] | None
    strides: Pair = eqx.field(static=True)
    padding: Literal["same", "valid"] | tuple[Pair, Pair] = eqx.field(static=True)
    dilation: Pair = eqx.field(static=True)
    groups: int = eqx.field(static=True)
    lowering: str = eqx.field(static=True)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        key: PRNGKeyArray,
        *,
        strides: int | Sequence[int] = 1,
        padding: Padding = "same",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        init: str = "he",
        gain: float = math.sqrt(2),
        use_bias: bool = True,
        lowering: str = "auto",
    ):
        """Draw the kernels.

        Args:
            in_channels: channels that come in, 1 or more.
            out_channels: channels that go out, 1 or more.
            kernel_size: height and width of the kernel, one number for both.
            key: the random key; may be traced.
            strides: 1 or more, one number for both directions.
            padding: "same" (as many positions come out as go in, over the stride), "valid" (none), a number,
                one for each direction, or (before, after) for each.
            dilation: 1 or more, one number for both directions.
            groups: a divisor of both channel counts.
            init: a name in `fathom.nn.INITS`; the inputs of a neuron are kernel · in / groups.
            gain: as for `Linear`; that of the ReLU if not given.
            use_bias: whether there is a bias, which starts at zero.
            lowering: a name in `LOWERINGS`.

        Raises:
            UsageError: if an argument is not allowed.
        """
        for name, size in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            if size < 1:
                raise UsageError(f"{name}={size!r} is not allowed; give a whole number, 1 or more")
        if in_channels % groups or out_channels % groups:
            raise UsageError(
                f"groups={groups!r} does not divide {in_channels} input and {out_channels} output channels; "
                "give a divisor of both"
            )
        if lowering not in LOWERINGS:
            raise UsageError(f"lowering={lowering!r} is not known; give one of {', '.join(LOWERINGS)}")
        height, width = _pair("kernel_size", kernel_size)
        shape = (height, width, in_channels // groups, out_channels)
        self.weight = INITS[init].fn(key, (math.prod(shape[:3]), out_channels), gain).reshape(shape)
        self.bias = jnp.zeros(out_channels, jnp.float32) if use_bias else None
        self.strides, self.dilation = _pair("strides", strides), _pair("dilation", dilation)
        self.padding, self.groups, self.lowering = _padding(padding), groups, lowering
        if self.suits_native_code:
            native.start(native.CONVOLUTION)

    @property
    def suits_native_code(self) -> bool:
        """Whether native code convolves where members are trained on a CPU in float32."""
        auto = self.groups == 1 and math.prod(self.weight.shape[:2]) > 1
        return self.lowering == "direct" or (self.lowering == "auto" and auto)

    def __call__(
        self,
        x: Float[Array, "batch height width in"],
        *,
        key: PRNGKeyArray | None = None,
        state: eqx.nn.State | None = None,
        inference: bool = False,
    ) -> tuple[Float[Array, "batch up across out"], eqx.nn.State | None]:
        """Apply the layer.

        Args:
            x: images [batch, height, width, channels].
            key: not used.
            state: passed through.
            inference: whether no gradient is wanted; with "auto" a reason to choose another lowering.

        Returns:
            Images [batch, up, across, out], and the state.

        Raises:
            UsageError: if the images have other channels than the layer, or are smaller than the kernel.
        """
        y = convolve(
            x, self.weight, self.strides, self.padding, self.dilation, self.groups, self.lowering, inference
        )
        if self.bias is not None:
            y = y + jax.lax.expand_dims(self.bias, (0, 1, 2))
        return y, state


def convolve(
    x: Float[Array, "batch height width in"],
    weight: Float[Array, "kh kw group out"],
    strides: Pair,
    padding: Literal["same", "valid"] | tuple[Pair, Pair],
    dilation: Pair,
    groups: int,
    lowering: str,
    inference: bool = False,
) -> Float[Array, "batch up across out"]:
    """The convolution of `Conv2d` without its bias; the arguments are its attributes and its call's."""
    channels = weight.shape[2] * groups
    if x.shape[3] != channels:
        raise UsageError(f"x has {x.shape[3]} channels; give images [batch, height, width, {channels}]")
    spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[:2], dilation, strict=True)]
    pads = [_zeros(padding, i, *p) for i, p in enumerate(zip(x.shape[1:3], spans, strides, strict=True))]
    rows = zip(x.shape[1:3], pads, spans, strides, strict=True)
    up, across = ((size + sum(pad) - span) // stride + 1 for size, pad, span, stride in rows)
    if up < 1 or across < 1:
        raise UsageError(
            f"x has {x.shape[1]} x {x.shape[2]} positions; give as many as the kernel spans, {spans[0]} x {spans[1]}, "
            "or pad"
        )
    if lowering == "auto":
        lowering = _chosen(x, weight, up * across, groups, inference)
    if lowering == "direct":
        if misfit := _no_direct(x, weight, groups):
            raise UsageError(f"lowering='direct' cannot be used: {misfit}; give 'auto'")
        return convolve_directly(x, weight, strides, (pads[0], pads[1]), dilation)
    if lowering == "native":
        image, kernels = (rounded(x), rounded(weight)) if in_half() else (x, weight)
        return lax.conv_general_dilated(
            image,
            kernels,
            strides,
            pads,
            rhs_dilation=dilation,
            dimension_numbers=_LAYOUT,
            feature_group_count=groups,
        ).astype(x.dtype)
    padded = jnp.pad(x, ((0, 0), *pads, (0, 0))) if any(map(any, pads)) else x
    run = {"patches": _patches, "shifted": _shifted, "tiled": _tiled}[lowering]
    return run(padded, weight, (up, across), strides, dilation, groups)


def _chosen(x, weight, positions: int, groups: int, inference: bool) -> str:
    """The fastest lowering for this shape on the devices that JAX uses."""
    if jax.default_backend() != "cpu":
        return "native"
    if weight.shape[2] == 1 and groups > 1:
        return "shifted"
    area = weight.shape[0] * weight.shape[1]
    if in_native_code.value and area > 1 and not _no_direct(x, weight, groups):
        return "direct"
    few = groups == 1 and weight.shape[2] <= _FEW[0] and weight.shape[3] <= _FEW[1]
    if inference and not few:
        return "native"
    size = x.shape[0] * positions * area * x.shape[3] * x.dtype.itemsize
    return "tiled" if size > _TILED_ABOVE else "patches"


def _no_direct(x, weight, groups: int) -> str:
    """Why native code cannot convolve these; "" if it can."""
    if groups > 1:
        return f"groups={groups}, and native code knows one group alone"
    if in_half() or not x.dtype == weight.dtype == jnp.float32:
        return "native code convolves in float32 alone"
    if jax.default_backend() != "cpu":
        return f"native code runs on a CPU, and JAX uses {jax.default_backend()!r}"
    return "" if native.ready(native.CONVOLUTION) else native.why_not()


def _places(x, weight, out: Pair, strides: Pair, dilation: Pair) -> list:
    """For each place of the kernel the part of the padded image that it meets, [batch, up, across, in]."""
    found = []
    for p in range(weight.shape[0]):
        for q in range(weight.shape[1]):
            start = (0, p * dilation[0], q * dilation[1], 0)
            reach = [s + (n - 1) * step + 1 for s, n, step in zip(start[1:3], out, strides, strict=True)]
            found.append(lax.slice(x, start, (x.shape[0], *reach, x.shape[3]), (1, *strides, 1)))
    return found


def _patches(x, weight, out: Pair, strides: Pair, dilation: Pair, groups: int):
    """One product over the patches; with groups one for each."""
    kh, kw, part, channels = weight.shape
    places = _places(x, weight, out, strides, dilation)
    results = []
    # Never one product with four axes: XLA's is three times as slow there as on a matrix (21.8 against 7.9 ms).
    for inputs, kernels in zip(range(groups), jnp.split(weight, groups, 3), strict=True):
        mine = [place[..., inputs * part : (inputs + 1) * part] for place in places] if groups > 1 else places
        matrix = jnp.concatenate(mine, 3) if len(mine) > 1 else mine[0]
        results.append(product(matrix.reshape(-1, kh * kw * part), kernels.reshape(-1, channels // groups)))
    joined = jnp.concatenate(results, 1) if groups > 1 else results[0]
    return joined.reshape(x.shape[0], *out, channels)


def _shifted(x, weight, out: Pair, strides: Pair, dilation: Pair, groups: int):
    """The sum over the kernel's places of the shifted image times that place's weights."""
    kh, kw, part, channels = weight.shape
    total = jnp.zeros((x.shape[0], *out, channels), x.dtype)
    for place, kernel in zip(
        _places(x, weight, out, strides, dilation), weight.reshape(kh * kw, part, channels), strict=True
    ):
        if part == 1:  # each channel alone: elementwise
            spread = jnp.repeat(place, channels // groups, 3) if channels > groups else place
            total = total + spread * jax.lax.expand_dims(kernel, (0, 1))
        else:
            total = total + _patches(place, kernel[None, None], out, (1, 1), (1, 1), groups)
    return total


def _tiled(x, weight, out: Pair, strides: Pair, dilation: Pair, groups: int):
    """Patches of a tile at a time: some rows of some images, as many as stay in cache, made again on the way back."""
    kh, kw, _, channels = weight.shape
    row = out[1] * kh * kw * x.shape[3] * x.dtype.itemsize
    rows = _largest_divisor(out[0], _TILE // row)
    images = _largest_divisor(x.shape[0], _TILE // (row * out[0])) if rows == out[0] else 1
    reach = (rows - 1) * strides[0] + (kh - 1) * dilation[0] + 1
    starts = range(0, out[0] * strides[0], rows * strides[0])
    strips = jnp.stack([lax.slice_in_dim(x, start, start + reach, axis=1) for start in starts], 1)
    tiles = strips.reshape(-1, images, len(starts), *strips.shape[2:]).swapaxes(1, 2)
    tiles = tiles.reshape(-1, images, *strips.shape[2:])  # [tiles, images, rows, width, in]
    one = functools.partial(
        _patches, weight=weight, out=(rows, out[1]), strides=strides, dilation=dilation, groups=groups
    )
    y = lax.map(jax.checkpoint(lambda tile: one(tile)), tiles)
    y = y.reshape(-1, len(starts), images, rows, out[1], channels).swapaxes(1, 2)
    return y.reshape(x.shape[0], *out, channels)


def _largest_divisor(size: int, limit: int) -> int:
    """The largest divisor of a size that is no larger than a limit; 1 at least."""
    return max(d for d in range(1, size + 1) if size % d == 0 and (d <= limit or d == 1))


def _zeros(padding, axis: int, size: int, span: int, stride: int) -> Pair:
    """Zeros before and after, along one axis."""
    if padding == "valid":
        return (0, 0)
    if padding == "same":
        total = max(0, (-(-size // stride) - 1) * stride + span - size)
        return (total // 2, total - total // 2)
    return padding[axis]


def _pair(name: str, value: int | Sequence[int]) -> Pair:
    """One number for both directions, or one for each, all 1 or more."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or any(not isinstance(v, int) or isinstance(v, bool) or v < 1 for v in pair):
        raise UsageError(f"{name}={value!r} is not allowed; give a whole number, 1 or more, or two")
    return pair


def _padding(value: Padding) -> Literal["same", "valid"] | tuple[Pair, Pair]:
    """What was asked for as "same", "valid", or zeros (before, after) in each direction."""
    if value == "same":
        return "same"
    if value == "valid":
        return "valid"
    each = (value, value) if isinstance(value, int) else () if isinstance(value, str) else tuple(value)
    pads = [(v, v) if isinstance(v, int) else tuple(v) for v in each]
    if [len(pad) for pad in pads] != [2, 2] or any(zeros < 0 for pad in pads for zeros in pad):
        raise UsageError(
            f"padding={value!r} is not allowed; give 'same', 'valid', a number of zeros, one for each direction, "
            "or (before, after) for each"
        )
    (top, bottom), (left, right) = pads
    return (top, bottom), (left, right)
