"""Initialization: how the first weights are drawn, and what variance that gives them."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..catalogue import Catalogue

Shape = tuple[int, int]
Sizes = tuple[int | Array, int]  # the number of inputs may be traced


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
    tall = (max(shape), min(shape))
    q, r = jnp.linalg.qr(jax.random.normal(key, tall, jnp.float32))
    # Without the signs of R's diagonal, Q is not uniform over the orthogonal matrices (Mezzadri 2007).
    q = q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0).astype(q.dtype)[None, :]
    return gain * (q if shape[0] >= shape[1] else q.T)


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
