"""Dropout, whose rate is a number in the program and not a part of it."""

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..errors import UsageError

_LEVELS = 1 << 16

Model = TypeVar("Model")


class Dropout(eqx.Module):
    """Inverted dropout: each number is zeroed with probability `rate`, the others grow by 1 / (1 - rate).

    The expectation of the output is the input. The rate is rounded to a multiple of 2**-16, because sixteen
    random bits a number are drawn, and the growth uses the rounded rate, so that the expectation is exact.
    With `rate` the Python number 0 the layer is left out of the program; with an array (which may be traced)
    it is always in, and a rate of 0 leaves the numbers as they are, bit for bit.

    Attributes:
        rate: probability of zeroing, 0 <= rate < 1: a Python number or a scalar array. An array is a leaf of
            the pytree: put it in with `set_dropout` after the trainable leaves have been taken out.

    Example:
        >>> y, _ = Dropout(0.5)(jnp.ones((1, 4)), inference=True)
        >>> y.tolist()
        [[1.0, 1.0, 1.0, 1.0]]

    Reference: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """

    rate: float | Float[Array, ""] = 0.0

    def __check_init__(self):
        if isinstance(self.rate, (int, float)) and not 0 <= self.rate < 1:
            raise UsageError(f"dropout rate={self.rate!r} is not allowed; give a number from 0 to below 1")

    @property
    def is_off(self) -> bool:
        """Whether the rate is the Python number 0, so that the layer costs nothing."""
        return isinstance(self.rate, (int, float)) and self.rate == 0

    def __call__(
        self,
        x: Float[Array, "*shape"],
        *,
        key: PRNGKeyArray | None = None,
        state: eqx.nn.State | None = None,
        inference: bool = False,
    ) -> tuple[Float[Array, "*shape"], eqx.nn.State | None]:
        """Drop at random.

        Args:
            x: numbers of any shape.
            key: the random key; needed unless `inference` or the rate is the Python number 0.
            state: passed through.
            inference: a Python bool; True leaves x as it is.

        Returns:
            Numbers of x's shape and dtype, and the state.

        Raises:
            UsageError: if a key is needed and none is given.
        """
        if inference or self.is_off:
            return x, state
        if key is None:
            raise UsageError("key=None: dropout draws random numbers; give a key, or inference=True")
        threshold = jnp.round(jnp.asarray(self.rate, jnp.float32) * _LEVELS)
        threshold = jnp.clip(threshold, 0, _LEVELS - 1)
        kept = jax.random.bits(key, x.shape, jnp.uint16) >= threshold.astype(jnp.uint16)
        growth = (_LEVELS / (_LEVELS - threshold)).astype(x.dtype)
        return jnp.where(kept, x * growth, jnp.zeros((), x.dtype)), state


def set_dropout(model: Model, rate: float | Float[Array, ""]) -> Model:
    """The model with the rate of every `Dropout` in it replaced.

    Args:
        model: any pytree.
        rate: the new rate, which may be traced; the Python number 0 leaves dropout out of the program.

    Returns:
        The model; every other leaf is the same object.

    Raises:
        UsageError: if `rate` is a Python number outside 0 <= rate < 1.

    Example:
        >>> set_dropout((Dropout(0.1), 3), 0.5)
        (Dropout(rate=0.5), 3)
    """

    def is_dropout(node: object) -> bool:
        return isinstance(node, Dropout)

    return jax.tree.map(lambda node: Dropout(rate) if is_dropout(node) else node, model, is_leaf=is_dropout)
