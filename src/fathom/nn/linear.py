"""The affine layer."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ..errors import UsageError
from .inits import INITS
from .product import product


class Linear(eqx.Module):
    """The affine layer y = x W + b; each column of W is one neuron <w, x> + b.

    With g = dL/dy [batch, out], the gradients are dL/dx = g Wᵀ, dL/dW = xᵀ g and dL/db = Σ_batch g.
    W is kept [in, out], so that a batch is one 2-D product: 2 · batch · in · out operations forward, twice
    that backward. The bias starts at zero.

    Attributes:
        weight: W [in, out].
        bias: b [out], or None.

    Example:
        >>> layer = Linear(3, 2, jax.random.key(0), init="identity")
        >>> y, _ = layer(jnp.array([[1.0, 2.0, 3.0]]))
        >>> y.tolist()
        [[1.0, 2.0]]
    """

    weight: Float[Array, "in out"]
    bias: Float[Array, " out"] | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        key: PRNGKeyArray,
        *,
        init: str = "fan_in",
        gain: float = 1.0,
        use_bias: bool = True,
        weight: Float[Array, "in out"] | None = None,
    ):
        """Draw the weights.

        Args:
            in_features: numbers per example that come in, 1 or more.
            out_features: numbers per example that go out, 1 or more.
            key: the random key; may be traced.
            init: a name in `fathom.nn.INITS`.
            gain: what the initialization multiplies the standard deviation by, where it uses a gain
                (`Activation.gain` of the activation before the layer).
            use_bias: whether there is a bias.
            weight: W itself, in place of a draw.

        Raises:
            UsageError: if a size is below 1 or `init` is unknown.
        """
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if size < 1:
                raise UsageError(f"{name}={size!r} is not allowed; give a whole number, 1 or more")
        self.weight = INITS[init].fn(key, (in_features, out_features), gain) if weight is None else weight
        self.bias = jnp.zeros(out_features, jnp.float32) if use_bias else None

    def without_blanks(self, real: Bool[Array, " in"], init: str, gain: float = 1.0) -> "Linear":
        """The layer as it would have been drawn had only some of its inputs been there.

        The weights of the other inputs are 0, and stay 0 where these are always 0; those of the real ones have
        the variance that the initialization gives a layer of as many inputs.

        Args:
            real: which inputs are there, one at least.
            init: how the weights were drawn.
            gain: with which gain.
        """
        record, (count, outputs) = INITS[init], self.weight.shape
        scale = jnp.ones((), self.weight.dtype)
        if record.random:
            fewer = record.variance((real.sum(), outputs), gain)
            scale = jnp.sqrt(fewer / record.variance((count, outputs), gain)).astype(self.weight.dtype)
        weight = jnp.where(real[:, None], self.weight * scale, jnp.zeros((), self.weight.dtype))
        return eqx.tree_at(lambda layer: layer.weight, self, weight)

    def __call__(
        self,
        x: Float[Array, "*batch in"],
        *,
        key: PRNGKeyArray | None = None,
        state: eqx.nn.State | None = None,
        inference: bool = False,
    ) -> tuple[Float[Array, "*batch out"], eqx.nn.State | None]:
        """Apply the layer.

        Args:
            x: [batch, in]; more leading axes are allowed.
            key: not used.
            state: passed through.
            inference: not used.

        Returns:
            y [batch, out], and the state.
        """
        y = product(x, self.weight)
        if self.bias is not None:
            # Axes are added by hand because strict rank promotion refuses [batch, out] + [out].
            y = y + jax.lax.expand_dims(self.bias, range(y.ndim - 1))
        return y, state
