"""Clipping: bounds on the gradient before the learning rule sees it.

A threshold of infinity is off, bit for bit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from ..catalogue import Catalogue
from .decay import Scalar


@dataclass(frozen=True)
class Clip:
    """A way to clip.

    Attributes:
        name: the word a user types.
        apply: ``apply(grads, params, threshold)`` gives the clipped gradients; the threshold may be traced.
        packs: whether the result is the same when all parameters are packed into one vector.
        summary: one line for the user.
        reference: where it comes from.
    """

    name: str
    apply: Callable[[PyTree, PyTree, Scalar], PyTree]
    packs: bool
    summary: str
    reference: str


def clip_by_global_norm(grads: PyTree, params: PyTree, threshold: Scalar) -> PyTree:
    r"""Shorten the gradient, taken as one vector, to at most the threshold: :math:`g \min(1, \mu/\|g\|)`.

    One multiplication an element, and nothing divided by zero for a zero gradient; otherwise
    `optax.clip_by_global_norm`.

    Args:
        grads: the gradients.
        params: not used.
        threshold: the largest norm, in the units of the gradient.

    Returns:
        The clipped gradients.

    Example:
        >>> clip_by_global_norm([jnp.array([3.0, 4.0])], None, 1.0)[0].round(6).tolist() == [
        ...     jnp.float32(0.6), jnp.float32(0.8)]
        True

    References:
        Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.
    """
    scale = jnp.minimum(1.0, threshold / optax.tree.norm(grads))
    return jax.tree.map(lambda g: g * scale.astype(g.dtype), grads)


def clip_by_value(grads: PyTree, params: PyTree, threshold: Scalar) -> PyTree:
    """Bound every element of the gradient to [-threshold, threshold].

    Args:
        grads: the gradients.
        params: not used.
        threshold: the largest absolute value.

    Returns:
        The clipped gradients.
    """
    return jax.tree.map(lambda g: jnp.clip(g, -threshold, threshold), grads)


def clip_adaptively(grads: PyTree, params: PyTree, threshold: Scalar) -> PyTree:
    r"""Bound each unit's gradient by its weights: :math:`\|g_i\| \le \mu \max(\|w_i\|, 10^{-3})`.

    A unit is a column of a matrix ``[inputs, units]``, a kernel's last axis, or a whole vector, as in
    `optax.adaptive_grad_clip`.

    Args:
        grads: the gradients.
        params: the parameters, of the shapes the network has.
        threshold: the largest ratio of the two norms.

    Returns:
        The clipped gradients.

    References:
        Brock et al., "High-performance large-scale image recognition without normalization", 2021.
    """
    rule = optax.adaptive_grad_clip(threshold)
    return rule.update(grads, optax.EmptyState(), params)[0]


def _keep(grads: PyTree, params: PyTree, threshold: Scalar) -> PyTree:
    return grads


CLIPS: Catalogue[Clip] = Catalogue("clip_by")
CLIPS.add(Clip("none", _keep, True, "no clipping", "none"))
CLIPS.add(
    Clip("global_norm", clip_by_global_norm, True, "the whole gradient to a length", "Pascanu et al. 2013")
)
CLIPS.add(Clip("value", clip_by_value, True, "each element to an interval", "Mikolov 2012"))
CLIPS.add(
    Clip("adaptive", clip_adaptively, False, "each unit by the size of its weights", "Brock et al. 2021")
)
