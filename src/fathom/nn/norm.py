"""Normalization over the features of each example."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..errors import UsageError


class LayerNorm(eqx.Module):
    """Each row of features brought to mean 0 and variance 1, then scaled and shifted by learned numbers.

    y = γ (x - μ) / √(σ² + ε) + β, where μ and σ² are the mean and the variance of the row's own features, so
    that an example's output does not depend on its batch. About 8 operations a number.

    Attributes:
        weight: γ [features], first 1.
        bias: β [features], first 0.
        epsilon: ε (static).

    Example:
        >>> y, _ = LayerNorm(2)(jnp.array([[1.0, 3.0]]))
        >>> y.round(3).tolist()
        [[-1.0, 1.0]]

    Reference: Ba, Kiros & Hinton 2016, "Layer normalization".
    """

    weight: Float[Array, " features"]
    bias: Float[Array, " features"]
    epsilon: float = eqx.field(static=True)

    def __init__(self, features: int, epsilon: float = 1e-5):
        """Scale 1 and shift 0.

        Args:
            features: numbers in a row, 1 or more.
            epsilon: added to the variance, above 0.

        Raises:
            UsageError: if an argument is not allowed.
        """
        if features < 1:
            raise UsageError(f"features={features!r} is not allowed; give a whole number, 1 or more")
        if not epsilon > 0:
            raise UsageError(f"epsilon={epsilon!r} is not allowed; give a number above 0")
        self.weight, self.bias = jnp.ones(features, jnp.float32), jnp.zeros(features, jnp.float32)
        self.epsilon = epsilon

    def __call__(
        self,
        x: Float[Array, "*batch features"],
        *,
        key: PRNGKeyArray | None = None,
        state: eqx.nn.State | None = None,
        inference: bool = False,
    ) -> tuple[Float[Array, "*batch features"], eqx.nn.State | None]:
        """Apply the layer.

        Args:
            x: [batch, ..., features].
            key: not used.
            state: passed through.
            inference: not used.

        Returns:
            Numbers of x's shape, and the state.
        """
        centered = x - x.mean(-1, keepdims=True)
        # The variance of what is centered, and not the mean square less the squared mean, which loses digits.
        scale = jax.lax.rsqrt(jnp.square(centered).mean(-1, keepdims=True) + self.epsilon)
        lead = range(x.ndim - 1)
        weight, bias = (jax.lax.expand_dims(a, lead) for a in (self.weight, self.bias))
        return centered * scale * weight + bias, state
