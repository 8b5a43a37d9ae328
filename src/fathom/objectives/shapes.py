"""Bringing outputs and targets into one shape: the one place that knows how each loss is fed."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..errors import UsageError


def columns(outputs: Any, targets: Any) -> tuple[Any, Any]:
    """Outputs and targets as [batch, k] each, in the outputs' dtype.

    Args:
        outputs: [batch, k] or [batch], of JAX or of NumPy.
        targets: [batch, k] or [batch].

    Returns:
        Both as [batch, k].

    Raises:
        UsageError: if the shapes differ.
    """
    z = outputs if outputs.ndim > 1 else outputs[:, None]
    t = targets if targets.ndim > 1 else targets[:, None]
    if z.shape != t.shape:
        raise UsageError(
            f"targets.shape={tuple(targets.shape)} does not fit outputs.shape={tuple(outputs.shape)}; "
            "give one target an output"
        )
    return z, t.astype(z.dtype)


def distributions(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Logits and target probabilities as [batch, classes] each.

    Args:
        outputs: logits [batch, classes].
        targets: class indices [batch] of an integer dtype, or probabilities [batch, classes].

    Returns:
        Both as [batch, classes].

    Raises:
        UsageError: if the shapes do not fit.
    """
    if outputs.ndim != 2:
        raise UsageError(f"outputs.shape={tuple(outputs.shape)} is not allowed; give logits [batch, classes]")
    if is_index(targets):
        if targets.shape != outputs.shape[:1]:
            raise UsageError(
                f"targets.shape={tuple(targets.shape)} does not fit outputs.shape={tuple(outputs.shape)}; "
                "give one class index an example"
            )
        hot = targets[:, None] == jnp.arange(outputs.shape[1], dtype=targets.dtype)[None, :]
        return outputs, hot.astype(outputs.dtype)
    return columns(outputs, targets)


def is_index(targets: Array) -> bool:
    """Whether targets are class indices (an integer or boolean dtype) and not probabilities."""
    return targets.dtype == jnp.bool_ or jnp.issubdtype(targets.dtype, jnp.integer)
