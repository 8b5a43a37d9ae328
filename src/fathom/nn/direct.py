"""Convolutions straight from the images, in native code: three products of two arrays each, one another's derivatives.

Each is linear in both of its arguments, so the gradients of one are the other two, and derivatives of any order and
either direction follow. Under `jax.vmap` one member follows another; where only the images differ, they are one call.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from .. import native

Pair = tuple[int, int]


def convolve(x: Any, weight: Any, strides: Pair, pads: tuple[Pair, Pair], dilation: Pair) -> Any:
    """The convolution of images by native code, which is to be ready; whoever asks has seen to that.

    Args:
        x: images, float32 [count, height, width, in].
        weight: W, float32 [kernel height, kernel width, in, out].
        strides: steps between output positions, (down, across).
        pads: zeros before and after, (down, across).
        dilation: distance of the kernel's places, (down, across).

    Returns:
        Images [count, up, across, out], 2 · count · up · across · kernel · in · out operations.
    """
    return _forward.bind(x, weight, strides=strides, pads=pads, dilation=dilation)


def _sizes(image: Any, kernel: Any, strides: Pair, pads: tuple[Pair, Pair], dilation: Pair) -> Pair:
    """Height and width of the result."""
    up, across = (
        (size + sum(pad) - (k - 1) * d - 1) // step + 1
        for size, pad, k, d, step in zip(image, pads, kernel, dilation, strides, strict=True)
    )
    return up, across


def _result(x: Any, weight: Any, *, strides: Pair, pads: tuple[Pair, Pair], dilation: Pair) -> Any:
    return x.shape[0], *_sizes(x.shape[1:3], weight.shape[:2], strides, pads, dilation), weight.shape[3]


def _image(slope: Any, weight: Any, *, size: Pair, **how: Any) -> Any:
    return slope.shape[0], *size, weight.shape[2]


def _kernel(x: Any, slope: Any, *, size: Pair, **how: Any) -> Any:
    return *size, x.shape[3], slope.shape[3]


def _primitive(name: str, target: str, shape: Any) -> Primitive:
    """One of the three: how its result is shaped, and what computes it."""
    made = Primitive(name)

    def run(a: Any, b: Any, *, strides: Pair, pads: tuple[Pair, Pair], dilation: Pair, **size: Any) -> Any:
        dims = shape(a, b, strides=strides, pads=pads, dilation=dilation, **size)
        geometry = np.array([*strides, pads[0][0], pads[1][0], *dilation], np.int32)
        return jax.ffi.ffi_call(target, jax.ShapeDtypeStruct(dims, jnp.float32))(geometry, a, b)

    def batch(arrays: Any, axes: Any, **how: Any) -> Any:
        a, b = (x if axis is None else jnp.moveaxis(x, axis, 0) for x, axis in zip(arrays, axes, strict=True))
        if axes[1] is None and shape is not _kernel:  # images of many, one kernel: they are more images
            y = made.bind(a.reshape(-1, *a.shape[2:]), b, **how)
            return y.reshape(*a.shape[:2], *y.shape[1:]), 0
        if axes[0] is None:
            return jax.lax.map(lambda b: made.bind(a, b, **how), b), 0
        if axes[1] is None:
            return jax.lax.map(lambda a: made.bind(a, b, **how), a), 0
        return jax.lax.map(lambda both: made.bind(*both, **how), (a, b)), 0

    made.def_impl(jax.jit(run, static_argnames=("strides", "pads", "dilation", "size")))
    made.def_abstract_eval(lambda a, b, **how: a.update(shape=shape(a, b, **how), weak_type=False))
    mlir.register_lowering(made, mlir.lower_fun(run, multiple_results=False), platform="cpu")
    batching.primitive_batchers[made] = batch
    return made


_forward = _primitive("convolve_directly", native.CONVOLUTION.targets[0], _result)
_backward = _primitive("convolve_image_directly", native.CONVOLUTION.targets[1], _image)
_weights = _primitive("convolve_weight_directly", native.CONVOLUTION.targets[2], _kernel)


def _shape(array: Any, axes: slice) -> Pair:
    height, width = array.aval.shape[axes]
    return height, width


# In the terms of one sum Σ x W y over all positions and places: each product is its slope for the third.
ad.defbilinear(
    _forward,
    lambda y, x, w, **how: _backward.bind(y, w, size=_shape(x, slice(1, 3)), **how),
    lambda y, x, w, **how: _weights.bind(x, y, size=_shape(w, slice(0, 2)), **how),
)
ad.defbilinear(
    _backward,
    lambda x, y, w, size, **how: _forward.bind(x, w, **how),
    lambda x, y, w, size, **how: _weights.bind(x, y, size=_shape(w, slice(0, 2)), **how),
)
ad.defbilinear(
    _weights,
    lambda w, x, y, size, **how: _backward.bind(y, w, size=_shape(x, slice(1, 3)), **how),
    lambda w, x, y, size, **how: _forward.bind(x, w, **how),
)
