"""Attention between the places of a sequence, and the block that transformers are made of."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..errors import UsageError
from .activations import Activate
from .dropout import Dropout
from .inits import draw_weights
from .linear import Linear
from .norm import LayerNorm
from .product import contract


class MultiHeadAttention(eqx.Module):
    """Self-attention: every place of a sequence takes a mixture of all, weighted by how well they match it.

    Each head computes softmax(q kᵀ / √d) v from its own queries q, keys k and values v [time, d], d =
    features / heads; the heads' results side by side go through one more affine layer. Queries, keys and
    values of all heads come from one product. 8 · time · features² + 4 · time² · features operations a
    sequence forward, and heads · time² numbers kept for the way back.

    Attributes:
        qkv: the affine layer to queries, keys and values side by side [features, 3 features].
        out: the affine layer after the heads [features, features].
        heads: how many (static).
        causal: whether a place only sees itself and earlier ones (static).

    Example:
        >>> y, _ = MultiHeadAttention(8, 2, jax.random.key(0))(jnp.ones((3, 5, 8)))
        >>> y.shape
        (3, 5, 8)

    Reference: Vaswani et al. 2017, "Attention is all you need".
    """

    qkv: Linear
    out: Linear
    heads: int = eqx.field(static=True)
    causal: bool = eqx.field(static=True)

    def __init__(
        self,
        features: int,
        heads: int,
        key: PRNGKeyArray,
        *,
        causal: bool = False,
        init: str = "fan_in",
        use_bias: bool = True,
    ):
        """Draw the weights.

        Args:
            features: numbers at each place, 1 or more.
            heads: a divisor of `features`.
            key: the random key; may be traced.
            causal: whether a place only sees itself and earlier ones.
            init: a name in `fathom.nn.INITS`.
            use_bias: whether the affine layers have biases.

        Raises:
            UsageError: if an argument is not allowed.
        """
        if heads < 1 or features % heads:
            raise UsageError(f"heads={heads!r} does not divide {features} features; give a divisor")
        sizes = (features, 3 * features), (features, features)
        self.qkv, self.out = _affine(init, key, *sizes, use_bias=use_bias)
        self.heads, self.causal = heads, causal

    def __call__(
        self,
        x: Float[Array, "batch time features"],
        *,
        key: PRNGKeyArray | None = None,
        state: eqx.nn.State | None = None,
        inference: bool = False,
    ) -> tuple[Float[Array, "batch time features"], eqx.nn.State | None]:
        """Apply the layer.

        Args:
            x: [batch, time, features].
            key: not used.
            state: passed through.
            inference: not used.

        Returns:
            [batch, time, features], and the state.
        """
        batch, time, features = x.shape
        size = features // self.heads
        # Scaling the queries is time / size times less work than scaling the matches.
        q, k, v = jnp.split(self.qkv(x)[0], 3, -1)
        q, k, v = (
            a.reshape(batch, time, self.heads, size).swapaxes(1, 2) for a in (q / math.sqrt(size), k, v)
        )
        mixed = _attend(q, k, v, self.causal).swapaxes(1, 2).reshape(batch, time, features)
        return self.out(mixed)[0], state


def _affine(init: str, key: Any, *sizes: tuple[int, int], use_bias: bool = True) -> list[Linear]:
    """Affine layers of these sizes, their weights cut from one draw."""
    layers = [Linear(*size, key, init="zero", use_bias=use_bias) for size in sizes]  # which checks the sizes
    weights = draw_weights(init, key, sizes, [1.0] * len(sizes))
    return [eqx.tree_at(lambda one: one.weight, layer, w) for layer, w in zip(layers, weights, strict=True)]


def _attend(q: Any, k: Any, v: Any, causal: bool) -> Any:
    """softmax(q kᵀ) v for [batch, heads, time, size]."""
    matches = contract("bhqd,bhkd->bhqk", q, k)
    if causal:
        seen = jnp.tril(jnp.ones(matches.shape[2:], bool))[None, None]
        matches = jnp.where(seen, matches, jnp.finfo(matches.dtype).min)
    return contract("bhqk,bhkd->bhqd", jax.nn.softmax(matches, -1), v)


class TransformerBlock(eqx.Module):
    """Attention, then a two-layer network at each place, each on normalized numbers and added to what came in.

    x ← x + attention(norm(x)); x ← x + W₂ φ(W₁ norm(x)). Normalizing before (and not after) keeps the way
    through the sums free, so that deep stacks train without a warm-up.

    Attributes:
        first_norm: before the attention.
        attention: the attention.
        second_norm: before the network.
        up: W₁ [features, hidden].
        activation: φ.
        down: W₂ [hidden, features].
        dropout: what is dropped of either branch before it is added.

    Example:
        >>> y, _ = TransformerBlock(8, 2, jax.random.key(0))(jnp.ones((3, 5, 8)))
        >>> y.shape
        (3, 5, 8)

    Reference: Vaswani et al. 2017; normalization first: Xiong et al. 2020, "On layer normalization in the
    transformer architecture".
    """

    first_norm: LayerNorm
    attention: MultiHeadAttention
    second_norm: LayerNorm
    up: Linear
    activation: Activate
    down: Linear
    dropout: Dropout

    def __init__(
        self,
        features: int,
        heads: int,
        key: PRNGKeyArray,
        *,
        hidden: int | None = None,
        causal: bool = False,
        activation: str = "gelu",
        dropout: float = 0.0,
        init: str = "fan_in",
    ):
        """Draw the weights.

        Args:
            features: numbers at each place, 1 or more.
            heads: a divisor of `features`.
            key: the random key; may be traced.
            hidden: units of the network, 1 or more; four times `features` if None.
            causal: whether a place only sees itself and earlier ones.
            activation: a name in `fathom.nn.ACTIVATIONS`.
            dropout: the share of either branch's numbers that is dropped in training.
            init: a name in `fathom.nn.INITS`.

        Raises:
            UsageError: if an argument is not allowed.
        """
        hidden = 4 * features if hidden is None else hidden
        first, second = jax.random.split(key)
        self.first_norm, self.second_norm = LayerNorm(features), LayerNorm(features)
        self.attention = MultiHeadAttention(features, heads, first, causal=causal, init=init)
        self.up, self.down = _affine(init, second, (features, hidden), (hidden, features))
        self.activation, self.dropout = Activate(activation), Dropout(dropout)

    def __call__(
        self,
        x: Float[Array, "batch time features"],
        *,
        key: PRNGKeyArray | None = None,
        state: eqx.nn.State | None = None,
        inference: bool = False,
    ) -> tuple[Float[Array, "batch time features"], eqx.nn.State | None]:
        """Apply the block.

        Args:
            x: [batch, time, features].
            key: the random key; needed where numbers are dropped.
            state: passed through.
            inference: whether nothing is dropped.

        Returns:
            [batch, time, features], and the state.
        """
        keys = (None, None) if key is None else jax.random.split(key)
        mixed, _ = self.attention(self.first_norm(x)[0])
        x = x + self.dropout(mixed, key=keys[0], inference=inference)[0]
        inside = self.activation(self.up(self.second_norm(x)[0])[0])[0]
        return x + self.dropout(self.down(inside)[0], key=keys[1], inference=inference)[0], state
