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

    All are taken in one sweep by one reduction: a reduction for each would be compiled together with all that
    computes the array, as often as there are statistics. Sums are of sums of rows, which keeps single precision
    good to about 2 √n ε; half precision is summed in single precision.

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
    x = lax.reshape(x, (x.size // _columns(x.size), _columns(x.size))).astype(wide)
    found: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    if "spread" in which:
        # Squares about one of the entries: those about zero would cancel for numbers far from zero.
        found["pivot"] = x[0, 0]
        parts["apart"] = x - x[0, 0]
        parts["squares apart"] = jnp.square(parts["apart"])
    elif "mean" in which:
        parts["sum"] = x
    if "norm" in which:
        parts["norm"] = jnp.square(x)
    if "zeros" in which:
        parts["zeros"] = (x == 0).astype(wide)
    if "saturated" in which and bounds is None:
        found["saturated"] = jnp.full((), jnp.nan, wide)
    elif "saturated" in which and bounds is not None:
        margin = 0.01 * (bounds[1] - bounds[0])
        parts["saturated"] = ((x < bounds[0] + margin) | (x > bounds[1] - margin)).astype(wide)
    parts.update((name, x) for name in ("smallest", "largest") if name in which)
    if "nonfinite" in which:
        parts["nonfinite"] = (~jnp.isfinite(x)).astype(wide)
    for axis in (1, 0) if parts else ():
        parts = _reduce(parts, axis)
    found.update(parts)
    return jnp.stack([found[name] for name in _raw(which)]) if found else jnp.zeros(0, wide)


def _columns(size: int) -> int:
    """The largest divisor of a size that is not above its root."""
    return next(count for count in range(math.isqrt(size), 0, -1) if size % count == 0)


def _reduce(parts: dict[str, Any], axis: int) -> dict[str, Any]:
    """Sums, the smallest and the largest along an axis, in one sweep."""
    joins = [{"smallest": lax.min, "largest": lax.max}.get(name, lax.add) for name in parts]
    start = [jnp.asarray(_EMPTY.get(name, 0.0), part.dtype) for name, part in parts.items()]

    def join(a: Any, b: Any) -> Any:
        return tuple(one(x, y) for one, x, y in zip(joins, a, b, strict=True))

    return dict(zip(parts, lax.reduce(tuple(parts.values()), tuple(start), join, (axis,)), strict=True))


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
