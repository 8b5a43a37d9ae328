"""Data-dependent initialization: unit variance layer by layer, measured on a batch."""

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from .linear import Linear

Model = TypeVar("Model")

_SMALLEST = 1e-6


def _scaled(layer: Linear, scale: Array) -> Linear:
    return eqx.tree_at(lambda node: node.weight, layer, layer.weight * scale)


class _Probe(eqx.Module):
    """Stands in for one `Linear`: scales what it gives to unit variance and notes the factor."""

    layer: Linear
    index: int = eqx.field(static=True)
    scales: dict[int, Array] = eqx.field(static=True)

    def __call__(self, x: Array, *, key=None, state=None, inference: bool = False) -> tuple[Array, Any]:
        if self.index not in self.scales:
            deviation = jnp.std(x @ self.layer.weight)
            self.scales[self.index] = jnp.where(deviation > _SMALLEST, 1 / deviation, 1.0)
        return _scaled(self.layer, self.scales[self.index])(x, key=key, state=state, inference=inference)


def data_dependent(
    model: Model, x: Array, *, key: PRNGKeyArray | None = None, state: eqx.nn.State | None = None
) -> Model:
    """The model with the weights of every `Linear` scaled so that x W has variance 1 over the batch.

    Variance is over examples and units together. The layers are scaled in the order in which the forward pass
    meets them, each on what the layers before it, already scaled, give: one forward pass. Biases are kept. A
    layer whose outputs are all alike (zero weights) is left as it is, and so is one that is never met.

    Args:
        model: a batch-first module, or any pytree that is called like one.
        x: a batch [batch, ...]; more than one example.
        key: the random key for the forward pass, if it needs one.
        state: the state for the forward pass, if it has one.

    Returns:
        The model with other weights. May be called under jit, with the model's layers outside any scan.

    Example:
        >>> layer = Linear(50, 50, jax.random.key(0))
        >>> x = 7 * jax.random.normal(jax.random.key(1), (64, 50))
        >>> y, _ = data_dependent(layer, x)(x)
        >>> round(float(y.std()), 4)
        1.0

    Reference: Mishkin & Matas 2016, "All you need is a good init" (LSUV, without its orthogonal start).
    """

    def is_linear(node: object) -> bool:
        return isinstance(node, Linear)

    scales: dict[int, Array] = {}
    leaves, structure = jax.tree.flatten(model, is_leaf=is_linear)
    probed = [_Probe(leaf, i, scales) if is_linear(leaf) else leaf for i, leaf in enumerate(leaves)]
    jax.tree.unflatten(structure, probed)(x, key=key, state=state, inference=True)
    for i, scale in scales.items():
        leaves[i] = _scaled(leaves[i], scale)
    return jax.tree.unflatten(structure, leaves)
