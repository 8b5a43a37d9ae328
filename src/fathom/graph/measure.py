"""Statistics of one array, in as few sweeps over it as the compiler allows.

Every array gives one vector of raw sums (`sums`); what is left, divisions and roots, is done for many arrays at once
(`finish`): on a small network the number of small operations costs more than the sweeps.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..errors import one_of

#: Every statistic, with what it is.
STATISTICS = {
    "mean": "the mean",
    "spread": "the standard deviation (of all entries, divided by their number)",
    "norm": "the Euclidean norm; of single precision, 0 below 1e-19 and infinite above 1e19",
    "zeros": "the share of entries that are exactly 0",
    "saturated": "for tanh and sigmoid, the share of entries within 1 % of their range from its ends",
    "smallest": "the smallest entry",
    "largest": "the largest entry",
    "nonfinite": "how many entries are NaN or infinite",
}
_EMPTY = {"smallest": math.inf, "largest": -math.inf}
#: What costs three sweeps.
CHEAP = ("mean", "norm", "nonfinite")


def check_statistics(which: Sequence[str]) -> tuple[str, ...]:
    """Names of statistics, checked.

    Args:
        which: the names.

    Returns:
        The same.

    Raises:
        UsageError: if one is not in `STATISTICS`.
    """
    for name in which:
        if name not in STATISTICS:
            raise one_of("which", name, STATISTICS)
    return tuple(which)


def sums(x: Any, which: Sequence[str], bounds: tuple[float, float] | None = None) -> Any:
    """What the statistics of an array are made of.

    A sum is taken as a dot product, which XLA hands to the processor's fastest loop (on a CPU a third of the time
    of a reduction). Half precision is summed in single precision.

    Args:
        x: an array of floating-point or complex numbers; of complex ones the absolute values are measured.
        which: names in `STATISTICS`.
        bounds: the ends of the range, for "saturated"; NaN stands there where it is None.

    Returns:
        A vector for `finish`.
    """
    if jnp.iscomplexobj(x):
        x = jnp.abs(x)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    if x.size == 0:
        return jnp.array([_EMPTY.get(name, 0.0) for name in _raw(which)], wide)
    flat = lax.reshape(x, (x.size,)).astype(wide)
    ones = jnp.ones_like(flat)

    def dot(a: Any, b: Any) -> Any:
        return lax.dot(a, b, precision=lax.Precision.HIGHEST)

    found: dict[str, Any] = {}
    if "spread" in which:
        # Squares about one of the entries: those about zero would cancel for numbers far from zero.
        found["pivot"] = flat[0]
        apart = flat - flat[0]
        found["apart"], found["squares apart"] = dot(apart, ones), dot(apart, apart)
    elif "mean" in which:
        found["sum"] = dot(flat, ones)
    if "norm" in which:
        found["norm"] = dot(flat, flat)
    if "zeros" in which:
        found["zeros"] = dot((flat == 0).astype(wide), ones)
    if "saturated" in which:
        found["saturated"] = jnp.full((), jnp.nan, wide)
        if bounds is not None:
            margin = 0.01 * (bounds[1] - bounds[0])
            ends = (flat < bounds[0] + margin) | (flat > bounds[1] - margin)
            found["saturated"] = dot(ends.astype(wide), ones)
    if "smallest" in which:
        found["smallest"] = flat.min()
    if "largest" in which:
        found["largest"] = flat.max()
    if "nonfinite" in which:
        found["nonfinite"] = dot((~jnp.isfinite(flat)).astype(wide), ones)
    return jnp.stack([found[name] for name in _raw(which)]) if found else jnp.zeros(0, wide)


def _raw(which: Sequence[str]) -> list[str]:
    """The entries of what `sums` returns."""
    first = ["pivot", "apart", "squares apart"] if "spread" in which else ["sum"] if "mean" in which else []
    later = ("norm", "zeros", "saturated", "smallest", "largest", "nonfinite")
    return [*first, *(name for name in later if name in which)]


def finish(raw: Any, sizes: Any, which: Sequence[str]) -> Any:
    """Statistics out of the sums of many arrays.

    Args:
        raw: sums along the last axis, any axes before.
        sizes: how many entries each array has, an array that broadcasts against the axes before.
        which: the names.

    Returns:
        Like `raw`, with a statistic for each name along the last axis.

    Example:
        >>> x = jnp.array([0.0, 3.0, -3.0, jnp.nan])
        >>> finish(sums(x, ("zeros", "nonfinite")), x.size, ("zeros", "nonfinite")).tolist()
        [0.25, 1.0]
    """
    part = {name: raw[..., i] for i, name in enumerate(_raw(which))}
    sizes = np.maximum(np.asarray(sizes), 1).astype(raw.dtype)
    found = dict(part)
    if "spread" in which:
        offset = part["apart"] / sizes
        found["mean"] = part["pivot"] + offset
        found["spread"] = jnp.sqrt(jnp.maximum(part["squares apart"] / sizes - offset**2, 0))
    elif "mean" in which:
        found["mean"] = part["sum"] / sizes
    if "norm" in which:
        found["norm"] = jnp.sqrt(part["norm"])
    for name in ("zeros", "saturated"):
        if name in which:
            found[name] = part[name] / sizes
    return jnp.stack([found[name] for name in which], axis=-1)


def broadcast(found: dict[str, Any], times: int) -> dict[str, Any]:
    """The statistics of an array that holds every entry of another `times` times.

    Args:
        found: the statistics of the other.
        times: how often.

    Returns:
        The statistics.
    """
    factor = {"norm": math.sqrt(times), "nonfinite": times}
    return {name: value * factor[name] if name in factor else value for name, value in found.items()}


def to_host(tree: Any) -> Any:
    """A tree of device arrays as NumPy arrays, in one transfer."""
    return jax.device_get(tree)
