"""Activations: value, derivative, gains, and where they saturate or die."""

import dataclasses
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import erf
from jaxtyping import Array, Float

from ..catalogue import Catalogue
from .sparsemax import sparsemax

Interval = tuple[float, float]

_INF = math.inf
_LEAK = 0.01
_PRELU_START = 0.25
# The fixed point of mean 0 and variance 1 (Klambauer et al. 2017, equation 14).
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


@dataclasses.dataclass(frozen=True)
class Activation:
    """One activation.

    Attributes:
        name: the word a user types.
        fn: x -> φ(x), same shape; (x, parameter) -> φ(x) where `parameter` is not None.
        derivative: x -> φ'(x), same shape, written out by hand; for one that is not elementwise, the
            Jacobian [..., n, n]. At a kink it is what autodiff gives: the mean of the two slopes.
        gain: He gain 1 / √E[φ(z)²], z ~ N(0, 1): weights of variance gain² / n_in keep the second moment of
            the layer's inputs. None where φ is not elementwise.
        linear_gain: Glorot gain 1 / φ'(0), for the linear regime around zero; None where there is none.
        saturation: the unbounded intervals on which 0 < |φ'(x)| < 0.01 and falls to 0.
        dead_zone: the interval on which φ'(x) = 0 exactly; None where there is none.
        elementwise: whether each output depends on one input only.
        parameter: initial value of the number that the activation learns; None where it learns none.
        reference: where it was proposed.
    """

    name: str
    fn: Callable[..., Array]
    derivative: Callable[..., Array]
    gain: float | None
    linear_gain: float | None
    reference: str
    saturation: tuple[Interval, ...] = ()
    dead_zone: Interval | None = None
    elementwise: bool = True
    parameter: float | None = None


class Activate(eqx.Module):
    """A layer that applies an activation by name, and keeps the number it learns if it learns one.

    Attributes:
        name: a name in `ACTIVATIONS` (static).
        parameter: the learned number, a scalar leaf; None for most.

    Example:
        >>> y, _ = Activate("relu")(jnp.array([[-1.0, 2.0]]))
        >>> y.tolist()
        [[0.0, 2.0]]
    """

    name: str = eqx.field(static=True)
    parameter: Float[Array, ""] | None

    def __init__(self, name: str):
        """Look the activation up.

        Args:
            name: a name in `ACTIVATIONS`.

        Raises:
            UsageError: if there is none of that name.
        """
        start = ACTIVATIONS[name].parameter
        self.name = name
        self.parameter = None if start is None else jnp.asarray(start, jnp.float32)

    def __call__(
        self,
        x: Float[Array, "*shape"],
        *,
        key: Array | None = None,
        state: eqx.nn.State | None = None,
        inference: bool = False,
    ) -> tuple[Float[Array, "*shape"], eqx.nn.State | None]:
        """Apply the activation.

        Args:
            x: numbers of any shape.
            key: not used.
            state: passed through.
            inference: not used.

        Returns:
            Numbers of x's shape, and the state.
        """
        fn = ACTIVATIONS[self.name].fn
        return (fn(x) if self.parameter is None else fn(x, self.parameter)), state


def _step(x: Array) -> Array:
    return jnp.heaviside(x, jnp.asarray(0.5, x.dtype))


def _relu(x: Array) -> Array:
    return jnp.maximum(x, 0)


def _leaky(x: Array, slope: float | Array = _LEAK) -> Array:
    # A sum and not max(x, slope x): right for a learned slope above 1 too.
    return jnp.maximum(x, 0) + slope * jnp.minimum(x, 0)


def _leaky_slope(x: Array, slope: float | Array = _LEAK) -> Array:
    return slope + (1 - slope) * _step(x)


def _prelu(x: Array, slope: float | Array = _PRELU_START) -> Array:
    return _leaky(x, slope)


def _prelu_slope(x: Array, slope: float | Array = _PRELU_START) -> Array:
    return _leaky_slope(x, slope)


def _elu(x: Array) -> Array:
    return jnp.maximum(x, 0) + jnp.expm1(jnp.minimum(x, 0))


def _elu_slope(x: Array) -> Array:
    return jnp.exp(jnp.minimum(x, 0))


def _selu(x: Array) -> Array:
    return _SELU_SCALE * (jnp.maximum(x, 0) + _SELU_ALPHA * jnp.expm1(jnp.minimum(x, 0)))


def _selu_slope(x: Array) -> Array:
    below = _SELU_ALPHA * jnp.exp(jnp.minimum(x, 0))
    return _SELU_SCALE * (_step(x) + (1 - _step(x)) * below)


def _normal_cdf(x: Array) -> Array:
    return (1 + erf(x / math.sqrt(2))) / 2


def _gelu(x: Array) -> Array:
    return x * _normal_cdf(x)


def _gelu_slope(x: Array) -> Array:
    return _normal_cdf(x) + x * jnp.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _silu_slope(x: Array) -> Array:
    share = jax.nn.sigmoid(x)
    return share * (1 + x * (1 - share))


def _tanh_slope(x: Array) -> Array:
    return 1 - jnp.tanh(x) ** 2


def _sigmoid_slope(x: Array) -> Array:
    return jax.nn.sigmoid(x) * jax.nn.sigmoid(-x)


def _softmax(x: Array) -> Array:
    return jax.nn.softmax(x, axis=-1)


def _eye(x: Array) -> Array:
    n = x.shape[-1]
    return jnp.broadcast_to(jnp.eye(n, dtype=x.dtype), (*x.shape, n))


def _softmax_jacobian(x: Array) -> Array:
    p = _softmax(x)
    return p[..., :, None] * (_eye(x) - p[..., None, :])


def _sparsemax_jacobian(x: Array) -> Array:
    inside = (sparsemax(x) > 0).astype(x.dtype)
    size = jnp.sum(inside, axis=-1)[..., None, None]
    return inside[..., :, None] * (_eye(x) - inside[..., None, :] / size)


ACTIVATIONS: Catalogue[Activation] = Catalogue("activation")


def _tail(edge: float) -> tuple[Interval, ...]:
    return ((-_INF, edge),)


def _tails(edge: float) -> tuple[Interval, ...]:
    return ((-_INF, -edge), (edge, _INF))


for _record in (
    Activation("identity", lambda x: x, jnp.ones_like, 1.0, 1.0, "the linear unit"),
    Activation(
        "sign",
        jnp.sign,
        jnp.zeros_like,
        1.0,
        None,
        "McCulloch & Pitts 1943; Rosenblatt 1958",
        dead_zone=(-_INF, _INF),
    ),
    Activation(
        "sigmoid",
        jax.nn.sigmoid,
        _sigmoid_slope,
        1.8462285453386054,
        4.0,
        "Verhulst 1845; Rumelhart, Hinton & Williams 1986",
        saturation=_tails(4.584863339122345),
    ),
    Activation(
        "tanh",
        jnp.tanh,
        _tanh_slope,
        1.5925374197228304,
        1.0,
        "LeCun et al. 1998, Efficient BackProp",
        saturation=_tails(2.993222846126382),
    ),
    Activation(
        "relu",
        _relu,
        _step,
        math.sqrt(2),
        None,
        "Nair & Hinton 2010; Glorot, Bordes & Bengio 2011",
        dead_zone=(-_INF, 0.0),
    ),
    Activation(
        "leaky_relu", _leaky, _leaky_slope, math.sqrt(2 / (1 + _LEAK**2)), None, "Maas, Hannun & Ng 2013"
    ),
    Activation(
        "prelu",
        _prelu,
        _prelu_slope,
        math.sqrt(2 / (1 + _PRELU_START**2)),
        None,
        "He et al. 2015, Delving deep into rectifiers",
        parameter=_PRELU_START,
    ),
    Activation(
        "elu",
        _elu,
        _elu_slope,
        1.2451983007007064,
        1.0,
        "Clevert, Unterthiner & Hochreiter 2016",
        saturation=_tail(math.log(0.01)),
    ),
    Activation(
        "selu",
        _selu,
        _selu_slope,
        1.0,
        None,
        "Klambauer et al. 2017",
        saturation=_tail(math.log(0.01 / (_SELU_SCALE * _SELU_ALPHA))),
    ),
    Activation(
        "softplus",
        jax.nn.softplus,
        jax.nn.sigmoid,
        1.0418668355353018,
        2.0,
        "Dugas et al. 2001",
        saturation=_tail(-4.59511985013459),
    ),
    Activation(
        "gelu",
        _gelu,
        _gelu_slope,
        1.533530441195535,
        2.0,
        "Hendrycks & Gimpel 2016 (the exact form, by the normal distribution function)",
        saturation=_tail(-3.0674272039089003),
    ),
    Activation(
        "silu",
        jax.nn.silu,
        _silu_slope,
        1.676532470331091,
        2.0,
        "Elfwing, Uchibe & Doya 2018; Ramachandran, Zoph & Le 2017",
        saturation=_tail(-6.261388848820464),
    ),
    Activation("softmax", _softmax, _softmax_jacobian, None, None, "Bridle 1990", elementwise=False),
    Activation(
        "sparsemax", sparsemax, _sparsemax_jacobian, None, None, "Martins & Astudillo 2016", elementwise=False
    ),
):
    ACTIVATIONS.add(_record)
