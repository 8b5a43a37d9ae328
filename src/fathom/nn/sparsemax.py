"""Sparsemax: the Euclidean projection onto the probability simplex."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def sparsemax(z: Float[Array, "*batch classes"]) -> Float[Array, "*batch classes"]:
    """The probabilities nearest to z: argmin over the simplex of ‖p - z‖².

    p = max(z - τ, 0) with τ = (Σ_{j in S} z_j - 1) / |S|, S the support. The Jacobian is diag(s) - s sᵀ/|S|
    with s the indicator of S. Costs a sort along the last axis.

    Args:
        z: scores; any leading axes.

    Returns:
        Probabilities of z's shape: not negative, sum 1, many exactly 0.

    Example:
        >>> sparsemax(jnp.array([2.0, 1.5, 0.0])).tolist()
        [0.75, 0.25, 0.0]

    Reference: Martins & Astudillo 2016, "From softmax to sparsemax".
    """
    z = z - jax.lax.stop_gradient(jnp.max(z, axis=-1, keepdims=True))
    support = jax.lax.stop_gradient(_support(z))
    size = jnp.sum(support, axis=-1, keepdims=True).astype(z.dtype)
    threshold = (jnp.sum(jnp.where(support, z, 0), axis=-1, keepdims=True) - 1) / size
    # Rounding may put a number on the rim of the support a hair below zero.
    return jnp.where(support, jnp.maximum(z - threshold, 0), 0)


def _support(z: Array) -> Array:
    """Which entries get probability above zero; the largest of each row is 0."""
    descending = -jnp.sort(-z, axis=-1)
    ranks = jnp.arange(1, z.shape[-1] + 1, dtype=z.dtype)
    ranks = jax.lax.expand_dims(ranks, range(z.ndim - 1))
    sums = jnp.cumsum(descending, axis=-1)
    inside = 1 + ranks * descending > sums
    size = jnp.sum(inside, axis=-1, keepdims=True).astype(z.dtype)
    total = jnp.sum(jnp.where(inside, descending, 0), axis=-1, keepdims=True)
    return z > (total - 1) / size
