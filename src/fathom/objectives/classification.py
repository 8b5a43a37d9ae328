"""Losses for classification, from logits, each with its gradient."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..nn import sparsemax
from .shapes import columns, distributions, is_index

Number = float | Float[Array, ""]


def _is_zero(number: Number) -> bool:
    return isinstance(number, (int, float)) and number == 0


def cross_entropy(
    outputs: Array,
    targets: Array,
    *,
    label_smoothing: Number = 0.0,
) -> Float[Array, " batch"]:
    """Cross-entropy -Σ_k t_k log softmax(z)_k, fused with the softmax.

    With smoothing ε the target t becomes (1 - ε) t + ε / classes. The gradient is softmax(z) Σt - t for the
    outputs z, and -log softmax(z) for probability targets (through the smoothing, times 1 - ε).

    Args:
        outputs: logits z.
        targets: class indices, or probabilities.
        label_smoothing: ε, 0 <= ε <= 1; may be traced.

    Returns:
        The loss of each example, in nats, 0 or more; finite for any finite logits.

    Raises:
        UsageError: if the shapes do not fit.

    Example:
        >>> round(float(cross_entropy(jnp.zeros((1, 2)), jnp.array([0]))[0]), 4)
        0.6931

    Reference: Bridle 1990; Szegedy et al. 2016 (smoothing; its ε / classes is the convention here).
    """
    z, t = distributions(outputs, targets)
    log_p = jax.nn.log_softmax(z, axis=-1)
    products = t * log_p
    if is_index(targets):
        # Keeps 0 · (-inf) out where a class is masked by an infinite logit; it would cut the gradient to t.
        products = jnp.where(t > 0, products, 0)
    loss = -jnp.sum(products, axis=-1)
    if _is_zero(label_smoothing):
        return loss
    return (1 - label_smoothing) * loss - label_smoothing * jnp.mean(log_p, axis=-1)


def cross_entropy_gradient(outputs: Array, targets: Array, *, label_smoothing: Number = 0.0) -> Array:
    """The gradient of `cross_entropy` for the outputs: softmax(z) - t, with t smoothed (and summing to 1).

    Args:
        outputs: logits z [batch, classes].
        targets: class indices [batch], or probabilities [batch, classes].
        label_smoothing: ε.

    Returns:
        [batch, classes].
    """
    z, t = distributions(outputs, targets)
    t = (1 - label_smoothing) * t + label_smoothing / z.shape[-1]
    return jax.nn.softmax(z, axis=-1) * jnp.sum(t, axis=-1, keepdims=True) - t


def cross_entropy_target_gradient(outputs: Array, targets: Array) -> Array:
    """The gradient of `cross_entropy` for probability targets: -log softmax(z).

    Args:
        outputs: logits z [batch, classes].
        targets: probabilities [batch, classes].

    Returns:
        [batch, classes].
    """
    return -jax.nn.log_softmax(outputs, axis=-1)


def _smoothed(t: Array, label_smoothing: Number) -> Array:
    return t if _is_zero(label_smoothing) else (1 - label_smoothing) * t + label_smoothing / 2


def binary_cross_entropy(
    outputs: Array, targets: Array, *, label_smoothing: Number = 0.0
) -> Float[Array, " batch"]:
    """Cross-entropy softplus(z) - t z of independent yes-or-no answers, fused with the sigmoid.

    With smoothing ε the target t becomes (1 - ε) t + ε / 2. The gradient is (σ(z) - t) / k for the outputs z,
    and -z / k for the targets.

    Args:
        outputs: logits z, [batch, k] or [batch].
        targets: 0, 1 or a probability, in the shape of outputs; [batch] fits [batch, 1].
        label_smoothing: ε, 0 <= ε <= 1; may be traced.

    Returns:
        The loss of each example, the mean over its k answers, in nats; finite for any finite logits.

    Raises:
        UsageError: if the shapes do not fit.

    Example:
        >>> binary_cross_entropy(jnp.array([1e4, -1e4]), jnp.array([1, 1])).tolist()
        [0.0, 10000.0]
    """
    z, t = columns(outputs, targets)
    t = _smoothed(t, label_smoothing)
    # Two non-negative terms: softplus(z) - t z would lose all its digits at large z.
    loss = t * jax.nn.softplus(-z) + (1 - t) * jax.nn.softplus(z)
    return jnp.mean(loss, axis=-1)


def binary_cross_entropy_gradient(outputs: Array, targets: Array, *, label_smoothing: Number = 0.0) -> Array:
    """The gradient of `binary_cross_entropy` for the outputs: (σ(z) - t) / k.

    Args:
        outputs: logits z, [batch, k] or [batch].
        targets: in the shape of outputs.
        label_smoothing: ε.

    Returns:
        In the shape of outputs.
    """
    z, t = columns(outputs, targets)
    return ((jax.nn.sigmoid(z) - _smoothed(t, label_smoothing)) / z.shape[-1]).reshape(outputs.shape)


def binary_cross_entropy_target_gradient(outputs: Array, targets: Array) -> Array:
    """The gradient of `binary_cross_entropy` for the targets: -z / k.

    Args:
        outputs: logits z, [batch, k] or [batch].
        targets: in the shape of outputs.

    Returns:
        In the shape of targets.
    """
    z, _ = columns(outputs, targets)
    return (-z / z.shape[-1]).reshape(targets.shape)


def two_columns(outputs: Array) -> Array:
    """The logits [rows, 2] that say the same as one logit per row.

    Args:
        outputs: logits [rows, 1] or [rows].

    Returns:
        [rows, 2]: 0, and the logit.
    """
    z = outputs.reshape(outputs.shape[0], 1)
    return jnp.concatenate([jnp.zeros_like(z), z], axis=1)


# 1 - p of a class that is certain, in place of 0: keeps the gradient of (1 - p)**gamma finite for gamma < 1.
_SMALLEST_DOUBT = 1e-12


def _true_log_probability(outputs: Array, targets: Array) -> tuple[Array, Array]:
    z, t = distributions(outputs, targets)
    log_p = jnp.sum(jnp.where(t > 0, jax.nn.log_softmax(z, axis=-1), 0), axis=-1)
    return log_p, jnp.maximum(-jnp.expm1(log_p), _SMALLEST_DOUBT)


def focal(outputs: Array, targets: Array, *, gamma: Number = 2.0) -> Float[Array, " batch"]:
    """Focal loss -(1 - p)^γ log p, p the softmax probability of the true class.

    Args:
        outputs: logits [batch, classes].
        targets: class indices.
        gamma: γ >= 0; 0 is cross-entropy; may be traced.

    Returns:
        The loss of each example.

    Raises:
        UsageError: if the shapes do not fit.

    Reference: Lin et al. 2017, "Focal loss for dense object detection" (without its class weights).
    """
    log_p, doubt = _true_log_probability(outputs, targets)
    return -(doubt**gamma) * log_p


def focal_gradient(outputs: Array, targets: Array, *, gamma: Number = 2.0) -> Array:
    """The gradient of `focal` for the outputs: ((1-p)^γ - γ p (1-p)^(γ-1) log p) (softmax(z) - t).

    Args:
        outputs: logits [batch, classes].
        targets: class indices.
        gamma: γ.

    Returns:
        [batch, classes].
    """
    log_p, doubt = _true_log_probability(outputs, targets)
    factor = doubt**gamma - gamma * jnp.exp(log_p) * doubt ** (gamma - 1) * log_p
    return factor[:, None] * cross_entropy_gradient(outputs, targets)


def margin(outputs: Array, targets: Array) -> Float[Array, " batch"]:
    """How far the true class is ahead of the best other: z_y - max_{j≠y} z_j.

    Args:
        outputs: scores [batch, classes]; [batch, 1] or [batch] is one score for "class 1", whose margin is
            the score times ±1.
        targets: class indices.

    Returns:
        [batch]; positive where the answer is right.

    Raises:
        UsageError: if the shapes do not fit.
    """
    if outputs.ndim == 1 or outputs.shape[-1] == 1:
        z, t = columns(outputs, targets)
        return ((2 * t - 1) * z)[:, 0]
    z, t = distributions(outputs, targets)
    others = jnp.max(jnp.where(t > 0, -jnp.inf, z), axis=-1)
    return jnp.sum(jnp.where(t > 0, z, 0), axis=-1) - others


def _margin_gradient(outputs: Array, targets: Array) -> Array:
    if outputs.ndim == 1 or outputs.shape[-1] == 1:
        z, t = columns(outputs, targets)
        return (2 * t - 1).reshape(outputs.shape)
    z, t = distributions(outputs, targets)
    rest = jnp.where(t > 0, -jnp.inf, z)
    best = (rest == jnp.max(rest, axis=-1, keepdims=True)).astype(z.dtype)
    return t - best / jnp.sum(best, axis=-1, keepdims=True)


def _shaped(factor: Array, gradient: Array) -> Array:
    return factor.reshape(factor.shape + (1,) * (gradient.ndim - 1)) * gradient


def hinge(outputs: Array, targets: Array) -> Float[Array, " batch"]:
    """Hinge loss max(0, 1 - margin), with the multi-class margin z_y - max_{j≠y} z_j.

    Args:
        outputs: scores, as for `margin`.
        targets: class indices.

    Returns:
        The loss of each example.

    Raises:
        UsageError: if the shapes do not fit.

    Reference: Crammer & Singer 2001. Implementations disagree: others sum over the wrong classes (Weston &
    Watkins 1999).
    """
    return jnp.maximum(1 - margin(outputs, targets), 0)


def hinge_gradient(outputs: Array, targets: Array) -> Array:
    """The gradient of `hinge` for the outputs: -d margin where the margin is below 1, else 0 (half at 1).

    Args:
        outputs: scores, as for `margin`.
        targets: class indices.

    Returns:
        In the shape of outputs.
    """
    short = jnp.heaviside(1 - margin(outputs, targets), jnp.asarray(0.5, outputs.dtype))
    return -_shaped(short, _margin_gradient(outputs, targets))


def perceptron(outputs: Array, targets: Array) -> Float[Array, " batch"]:
    """Perceptron loss max(0, -margin): a step on it is Rosenblatt's rule.

    Args:
        outputs: scores, as for `margin`.
        targets: class indices.

    Returns:
        The loss of each example.

    Raises:
        UsageError: if the shapes do not fit.

    Reference: Rosenblatt 1958; Collins 2002 (several classes).
    """
    return jnp.maximum(-margin(outputs, targets), 0)


def perceptron_gradient(outputs: Array, targets: Array) -> Array:
    """The gradient of `perceptron` for the outputs: -d margin where the answer is wrong, else 0 (half at 0).

    Args:
        outputs: scores, as for `margin`.
        targets: class indices.

    Returns:
        In the shape of outputs.
    """
    wrong = jnp.heaviside(-margin(outputs, targets), jnp.asarray(0.5, outputs.dtype))
    return -_shaped(wrong, _margin_gradient(outputs, targets))


def zero_one(outputs: Array, targets: Array) -> Float[Array, " batch"]:
    """Zero-one loss: 1 where the largest output is not the true class's (a tie goes to the first), else 0.

    Args:
        outputs: scores, as for `margin`.
        targets: class indices.

    Returns:
        The loss of each example; its gradient is 0.

    Raises:
        UsageError: if the shapes do not fit.
    """
    z = two_columns(outputs) if outputs.ndim == 1 or outputs.shape[-1] == 1 else outputs
    _, t = distributions(z, targets)
    return (jnp.argmax(z, axis=-1) != jnp.argmax(t, axis=-1)).astype(outputs.dtype)


def zero_one_gradient(outputs: Array, targets: Array) -> Array:
    """The gradient of `zero_one` for the outputs: 0.

    Args:
        outputs: scores, as for `margin`.
        targets: class indices.

    Returns:
        Zeros in the shape of outputs.
    """
    return jnp.zeros_like(outputs)


def sparsemax_loss(outputs: Array, targets: Array) -> Float[Array, " batch"]:
    """Sparsemax loss z·(p - t) - ‖p‖²/2 + ‖t‖²/2 with p = sparsemax(z); 0 exactly when p = t.

    Args:
        outputs: scores z [batch, classes].
        targets: class indices [batch], or probabilities [batch, classes].

    Returns:
        The loss of each example, 0 or more; its gradient is p - t.

    Raises:
        UsageError: if the shapes do not fit.

    Reference: Martins & Astudillo 2016; Blondel, Martins & Niculae 2020 (as a Fenchel-Young loss).
    """
    z, t = distributions(outputs, targets)
    # p and t sum to the same, so a shift changes nothing but the rounding.
    z = z - jax.lax.stop_gradient(jnp.max(z, axis=-1, keepdims=True))
    p = sparsemax(z)
    return jnp.sum(z * (p - t) + (t**2 - p**2) / 2, axis=-1)


def sparsemax_gradient(outputs: Array, targets: Array) -> Array:
    """The gradient of `sparsemax_loss` for the outputs: sparsemax(z) - t.

    Args:
        outputs: scores z [batch, classes].
        targets: class indices [batch], or probabilities [batch, classes].

    Returns:
        [batch, classes].
    """
    z, t = distributions(outputs, targets)
    return sparsemax(z) - t
