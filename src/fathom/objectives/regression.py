"""Losses for regression, each with its gradient."""

import math

import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from ..errors import UsageError
from .shapes import columns

Number = float | Float[Array, ""]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
# The smallest variance that a Gaussian head may claim: below it exp(-log variance) overflows in float32.
_LOG_SMALLEST_VARIANCE = math.log(1e-6)


def squared(outputs: Array, targets: Array) -> Float[Array, " batch"]:
    """Squared error (y - t)², the mean over an example's outputs (no factor 1/2).

    Args:
        outputs: predictions y, [batch, k] or [batch].
        targets: t, in the shape of outputs; [batch] fits [batch, 1].

    Returns:
        The loss of each example, in squared units of the target; its gradient is 2 (y - t) / k.

    Raises:
        UsageError: if the shapes do not fit.

    Example:
        >>> squared(jnp.array([[3.0]]), jnp.array([1.0])).tolist()
        [4.0]
    """
    y, t = columns(outputs, targets)
    return jnp.mean((y - t) ** 2, axis=-1)


def squared_gradient(outputs: Array, targets: Array) -> Array:
    """The gradient of `squared` for the outputs: 2 (y - t) / k.

    Args:
        outputs: predictions y, [batch, k] or [batch].
        targets: t.

    Returns:
        In the shape of outputs.
    """
    y, t = columns(outputs, targets)
    return (2 * (y - t) / y.shape[-1]).reshape(outputs.shape)


def absolute(outputs: Array, targets: Array) -> Float[Array, " batch"]:
    """Absolute error |y - t|, the mean over an example's outputs.

    Args:
        outputs: predictions y, [batch, k] or [batch].
        targets: t, in the shape of outputs.

    Returns:
        The loss of each example, in units of the target; its gradient is sign(y - t) / k.

    Raises:
        UsageError: if the shapes do not fit.
    """
    y, t = columns(outputs, targets)
    return jnp.mean(jnp.abs(y - t), axis=-1)


def absolute_gradient(outputs: Array, targets: Array) -> Array:
    """The gradient of `absolute` for the outputs: sign(y - t) / k.

    Args:
        outputs: predictions y, [batch, k] or [batch].
        targets: t.

    Returns:
        In the shape of outputs.
    """
    y, t = columns(outputs, targets)
    return (jnp.sign(y - t) / y.shape[-1]).reshape(outputs.shape)


def huber(outputs: Array, targets: Array, *, delta: Number = 1.0) -> Float[Array, " batch"]:
    """Huber loss: r²/2 for |r| <= δ, else δ (|r| - δ/2), r = y - t; the mean over an example's outputs.

    Args:
        outputs: predictions y, [batch, k] or [batch].
        targets: t, in the shape of outputs.
        delta: δ > 0 in units of the target; may be traced.

    Returns:
        The loss of each example; its gradient is clip(r, -δ, δ) / k.

    Raises:
        UsageError: if the shapes do not fit.

    Reference: Huber 1964, "Robust estimation of a location parameter".
    """
    y, t = columns(outputs, targets)
    size = jnp.abs(y - t)
    near = jnp.minimum(size, delta)
    return jnp.mean(near * (size - near / 2), axis=-1)


def huber_gradient(outputs: Array, targets: Array, *, delta: Number = 1.0) -> Array:
    """The gradient of `huber` for the outputs: clip(y - t, -δ, δ) / k.

    Args:
        outputs: predictions y, [batch, k] or [batch].
        targets: t.
        delta: δ.

    Returns:
        In the shape of outputs.
    """
    y, t = columns(outputs, targets)
    return (jnp.clip(y - t, -delta, delta) / y.shape[-1]).reshape(outputs.shape)


def _mean_and_log_variance(outputs: Array, targets: Array) -> tuple[Array, Array, Array]:
    if outputs.ndim != 2 or outputs.shape[-1] % 2:
        raise UsageError(
            f"outputs.shape={tuple(outputs.shape)} is not allowed; "
            "give [batch, 2 k]: k means, then k log variances"
        )
    half = outputs.shape[-1] // 2
    mean, t = columns(outputs[:, :half], targets)
    return mean, outputs[:, half:], t


def mean_of_gaussian(outputs: Array) -> Array:
    """The means, out of the outputs that `gaussian_nll` is given.

    Args:
        outputs: [rows, 2 k].

    Returns:
        [rows, k].
    """
    return outputs[:, : outputs.shape[-1] // 2]


def gaussian_nll(outputs: Array, targets: Array) -> Float[Array, " batch"]:
    """Gaussian -log density (s + (y - t)² exp(-s) + log 2π) / 2, the mean over an example's targets.

    Args:
        outputs: [batch, 2 k]: k means y, then k log variances s. s counts as log 1e-6 where it is below.
        targets: t [batch, k], or [batch] for k = 1.

    Returns:
        The loss of each example, in nats, the constant included.

    Raises:
        UsageError: if the shapes do not fit.

    Reference: Nix & Weigend 1994, "Estimating the mean and variance of the target probability distribution".
    """
    mean, log_variance, t = _mean_and_log_variance(outputs, targets)
    log_variance = jnp.maximum(log_variance, _LOG_SMALLEST_VARIANCE)
    return jnp.mean((log_variance + (mean - t) ** 2 * jnp.exp(-log_variance)) / 2 + _HALF_LOG_TWO_PI, axis=-1)


def gaussian_nll_gradient(outputs: Array, targets: Array) -> Array:
    """The gradient of `gaussian_nll`: (y - t) exp(-s) / k for y, (1 - (y - t)² exp(-s)) / 2k for s.

    Args:
        outputs: [batch, 2 k]: k means y, then k log variances s.
        targets: t.

    Returns:
        [batch, 2 k]; 0 for an s below log 1e-6.
    """
    mean, log_variance, t = _mean_and_log_variance(outputs, targets)
    precision = jnp.exp(-jnp.maximum(log_variance, _LOG_SMALLEST_VARIANCE))
    for_variance = jnp.where(log_variance > _LOG_SMALLEST_VARIANCE, (1 - (mean - t) ** 2 * precision) / 2, 0)
    return jnp.concatenate([(mean - t) * precision, for_variance], axis=-1) / t.shape[-1]


def poisson_nll(outputs: Array, targets: Array) -> Float[Array, " batch"]:
    """Poisson negative log-likelihood exp(z) - t z + log t!, the mean over an example's outputs.

    Args:
        outputs: log rates z, [batch, k] or [batch].
        targets: counts t, 0 or more, in the shape of outputs.

    Returns:
        The loss of each example, in nats, the constant included; its gradient is (exp(z) - t) / k.

    Raises:
        UsageError: if the shapes do not fit.

    Reference: Nelder & Wedderburn 1972, "Generalized linear models".
    """
    z, t = columns(outputs, targets)
    return jnp.mean(jnp.exp(z) - t * z + gammaln(t + 1), axis=-1)


def poisson_nll_gradient(outputs: Array, targets: Array) -> Array:
    """The gradient of `poisson_nll` for the outputs: (exp(z) - t) / k.

    Args:
        outputs: log rates z, [batch, k] or [batch].
        targets: counts t.

    Returns:
        In the shape of outputs.
    """
    z, t = columns(outputs, targets)
    return ((jnp.exp(z) - t) / z.shape[-1]).reshape(outputs.shape)
