"""Initialization: how the first weights are drawn, and what variance that gives them."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..catalogue import Catalogue

Shape = tuple[int, int]
Sizes = tuple[int | Array, int]  # the number of inputs may be traced
_PANEL = 32  # columns of a matrix that are made orthogonal at a time


@dataclasses.dataclass(frozen=True)
class Init:
    """One initialization of a weight matrix [n_in, n_out].

    Attributes:
        name: the word a user types.
        fn: (key, (n_in, n_out), gain) -> float32 weights; the key may be traced. `gain` is a Python number.
        variance: ((n_in, n_out), gain) -> the mean square of a weight; the sizes may be traced.
        uses_gain: whether `gain` matters.
        random: whether the key matters.
        normal: whether every weight is a normal number of that variance, whatever the others are.
        summary: one line for the user.
        reference: where it was proposed.
    """

    name: str
    fn: Callable[[PRNGKeyArray, Shape, float], Float[Array, "n_in n_out"]]
    variance: Callable[[Sizes, float], float | Array]
    uses_gain: bool
    random: bool
    normal: bool
    summary: str
    reference: str


def relu_gain(slope: float = 0.0) -> float:
    """The gain √(2 / (1 + a²)) for a leaky ReLU of slope a below zero.

    Args:
        slope: a; 0 is the ReLU, 1 the identity.

    Returns:
        The gain.

    Example:
        >>> relu_gain(1.0)
        1.0

    Reference: He et al. 2015, "Delving deep into rectifiers".
    """
    return math.sqrt(2 / (1 + slope**2))


def _normal(key: PRNGKeyArray, shape: Shape, variance: float | Array) -> Array:
    return math.sqrt(variance) * jax.random.normal(key, shape, jnp.float32)


def _fan_in_variance(shape: Sizes, gain: float) -> float | Array:
    return 1 / shape[0]


def _glorot_variance(shape: Sizes, gain: float) -> float | Array:
    return 2 / (shape[0] + shape[1])


def _he_variance(shape: Sizes, gain: float) -> float | Array:
    return gain**2 / shape[0]


def _longer(shape: Sizes) -> float | Array:
    """The larger of two sizes, which may be traced."""
    return (shape[0] + shape[1] + abs(shape[0] - shape[1])) / 2


def _orthogonal(key: PRNGKeyArray, shape: Shape, gain: float) -> Array:
    drawn = jax.random.normal(key, (max(shape), min(shape)), jnp.float32)
    # Q of a normal matrix is uniform over the orthogonal ones if R's diagonal is positive (Mezzadri 2007).
    q = _orthonormal(drawn)
    return gain * (q if shape[0] >= shape[1] else q.T)


def _orthonormal(a: Array) -> Array:
    """Q of the decomposition of a tall matrix into Q R with a positive diagonal of R.

    Gram-Schmidt by panels, each done twice, for what the first time leaves is not orthogonal to the last digit. Not
    LAPACK's: on a CPU that takes threads of its own, and two devices that wait for them at once have waited for ever.
    """
    width = min(_PANEL, a.shape[1])
    panels = -(-a.shape[1] // width)
    padded = jnp.pad(a, ((0, 0), (0, panels * width - a.shape[1])))
    times = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)

    def column(place: Any, panel: Array) -> Array:
        one = jax.lax.dynamic_index_in_dim(panel, place, 1)
        before = jnp.where(jnp.arange(width)[None] < place, panel, 0.0)
        one = one - times(before, times(before.T, one))
        length = jnp.sqrt(jnp.square(one).sum())
        unit = one / jnp.where(length > 0, length, 1.0)  # columns of the padding stay 0
        return jax.lax.dynamic_update_slice_in_dim(panel, unit, place, 1)

    def panel(number: Any, q: Array) -> Array:
        mine = jax.lax.dynamic_slice_in_dim(padded, number * width, width, 1)
        for _ in range(2):
            mine = mine - times(q, times(q.T, mine))
            mine = jax.lax.fori_loop(0, width, column, mine)
        return jax.lax.dynamic_update_slice_in_dim(q, mine, number * width, 1)

    return jax.lax.fori_loop(0, panels, panel, jnp.zeros_like(padded))[:, : a.shape[1]]


INITS: Catalogue[Init] = Catalogue("init")

for _record in (
    Init(
        "constant",
        lambda key, shape, gain: jnp.full(shape, 1 / math.sqrt(shape[0]), jnp.float32),
        lambda shape, gain: 1 / shape[0],
        False,
        False,
        False,
        "every weight 1/√n_in: units of a layer stay equal for ever (symmetry)",
        "Rumelhart, Hinton & Williams 1986, on breaking symmetry",
    ),
    Init(
        "fan_in",
        lambda key, shape, gain: _normal(key, shape, _fan_in_variance(shape, gain)),
        _fan_in_variance,
        False,
        True,
        True,
        "normal, variance 1/n_in",
        "LeCun et al. 1998, Efficient BackProp",
    ),
    Init(
        "glorot",
        lambda key, shape, gain: _normal(key, shape, _glorot_variance(shape, gain)),
        _glorot_variance,
        False,
        True,
        True,
        "normal, variance 2/(n_in + n_out)",
        "Glorot & Bengio 2010",
    ),
    Init(
        "he",
        lambda key, shape, gain: _normal(key, shape, _he_variance(shape, gain)),
        _he_variance,
        True,
        True,
        True,
        "normal, variance gain²/n_in; for a leaky ReLU of slope a that is 2/((1 + a²) n_in)",
        "He et al. 2015, Delving deep into rectifiers",
    ),
    Init(
        "orthogonal",
        _orthogonal,
        lambda shape, gain: gain**2 / _longer(shape),
        True,
        True,
        False,
        "uniform over the matrices with orthonormal rows or columns, times the gain",
        "Saxe, McClelland & Ganguli 2014",
    ),
    Init(
        "identity",
        lambda key, shape, gain: jnp.eye(*shape, dtype=jnp.float32),
        lambda shape, gain: 1 / _longer(shape),
        False,
        False,
        False,
        "ones on the diagonal",
        "Le, Jaitly & Hinton 2015",
    ),
    Init(
        "zero",
        lambda key, shape, gain: jnp.zeros(shape, jnp.float32),
        lambda shape, gain: 0.0,
        False,
        False,
        False,
        "every weight 0: right for a convex problem, or for the last layer of a residual branch",
        "De & Smith 2020, SkipInit; Goyal et al. 2017, zero gamma",
    ),
):
    INITS.add(_record)


def draw_weights(
    init: str, key: PRNGKeyArray, shapes: Sequence[Shape], gains: Sequence[float]
) -> list[Float[Array, "n_in n_out"]]:
    """The first weights of several layers.

    Normal ones are cut from one draw, so that a program holds one generator however many layers there are.

    Args:
        init: a name in `INITS`.
        key: the random key; may be traced.
        shapes: (n_in, n_out) of each layer.
        gains: the gain of each.

    Returns:
        The weights, float32.

    Example:
        >>> [w.shape for w in draw_weights("he", jax.random.key(0), [(3, 5), (5, 2)], [1.0, 1.4])]
        [(3, 5), (5, 2)]
    """
    record = INITS[init]
    if not record.normal:
        keys = jax.random.split(key, len(shapes))
        return [record.fn(k, shape, gain) for k, shape, gain in zip(keys, shapes, gains, strict=True)]
    ends = list(itertools.accumulate(math.prod(shape) for shape in shapes))
    parts = jnp.split(jax.random.normal(key, (ends[-1],), jnp.float32), ends[:-1])
    return [
        math.sqrt(record.variance(shape, gain)) * part.reshape(shape)
        for part, shape, gain in zip(parts, shapes, gains, strict=True)
    ]
