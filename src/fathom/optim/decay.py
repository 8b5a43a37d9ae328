"""Decoupled weight decay: parameters shrink on their own, not through the gradient."""

from typing import Any

import jax
import optax
from jaxtyping import Array, Float, PyTree

Scalar = float | Float[Array, ""]


def decoupled_decay(strength: Scalar, mask: PyTree = None) -> optax.GradientTransformation:
    r"""Add the decay :math:`-\text{strength} \cdot m \odot \theta` to updates that are scaled already.

    With ``strength = learning_rate * weight_decay`` this is AdamW as PyTorch and Optax have it. With the rate
    of the moment, the decay shrinks with the schedule; with the peak rate, it does not. (Loshchilov and
    Hutter multiply by the schedule only, not by the learning rate.)

    Args:
        strength: what a parameter loses in this step, as a share of itself; may be traced.
        mask: multipliers like the parameters, each leaf an array or a number (0 keeps a leaf from decaying);
            None decays every leaf alike. A leaf that is a Python 0 or 1 costs nothing.

    Returns:
        A stateless transformation, which needs ``params``.

    Example:
        >>> import jax.numpy as jnp
        >>> rule = decoupled_decay(0.1, {"w": 1.0, "b": 0.0})
        >>> params = {"w": jnp.array([2.0]), "b": jnp.array([2.0])}
        >>> updates, _ = rule.update(jax.tree.map(jnp.zeros_like, params), rule.init(params), params)
        >>> updates["w"].tolist() == [jnp.float32(-0.2)], updates["b"].tolist()
        (True, [0.0])

    References:
        Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """
    return optax.stateless(lambda updates, params: _add(updates, params, -strength, mask))


def gradient_decay(weight_decay: Scalar, mask: PyTree = None) -> optax.GradientTransformation:
    r"""Add :math:`\text{weight\_decay} \cdot m \odot \theta` to the gradients: the gradient of an L2 penalty.

    Args:
        weight_decay: twice the weight of the penalty :math:`\|\theta\|^2`; may be traced.
        mask: as in `decoupled_decay`.

    Returns:
        A stateless transformation, which needs ``params``.
    """
    return optax.stateless(lambda updates, params: _add(updates, params, weight_decay, mask))


def matrix_mask(params: PyTree) -> PyTree:
    """The usual mask: weights (two axes or more) decay, biases and gains do not.

    Args:
        params: the parameters, as the network has them (not packed).

    Returns:
        A tree like `params` of the numbers 1.0 and 0.0.

    Example:
        >>> import jax.numpy as jnp
        >>> matrix_mask({"w": jnp.ones((2, 3)), "b": jnp.ones(3)})
        {'b': 0.0, 'w': 1.0}
    """
    return jax.tree.map(lambda leaf: 1.0 if leaf.ndim >= 2 else 0.0, params)


def _add(updates: PyTree, params: PyTree, factor: Scalar, mask: PyTree) -> PyTree:
    if isinstance(factor, (int, float)) and factor == 0:
        return updates
    if mask is None:
        return jax.tree.map(lambda u, p: u + factor * p, updates, params)

    def leaf(update: Any, param: Any, share: Any) -> Any:
        if isinstance(share, (int, float)) and share == 0:
            return update
        if isinstance(share, (int, float)) and share == 1:
            return update + factor * param
        return update + factor * share * param

    return jax.tree.map(leaf, updates, params, mask)
