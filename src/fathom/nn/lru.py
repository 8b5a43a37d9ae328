"""The ring initialization of a linear recurrent unit."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..errors import UsageError


class Ring(NamedTuple):
    """Eigenvalues λ = exp(-exp(log_decay) + i exp(log_phase)) of a diagonal recurrence, and its input gain.

    Attributes:
        log_decay: log of -log |λ|, [size].
        log_phase: log of the angle of λ, [size].
        log_gain: log of √(1 - |λ|²), [size]: with it, white input of variance 1 gives a state of variance 1.
    """

    log_decay: Float[Array, " size"]
    log_phase: Float[Array, " size"]
    log_gain: Float[Array, " size"]


def lru_ring(
    key: PRNGKeyArray, size: int, *, inner: float = 0.0, outer: float = 1.0, max_phase: float = 2 * math.pi
) -> Ring:
    """Eigenvalues spread evenly, by area, over a ring in the complex unit disc.

    |λ|² is uniform on [inner², outer²] and the angle is uniform on [0, max_phase].

    Args:
        key: the random key; may be traced.
        size: how many eigenvalues, 1 or more.
        inner: smallest |λ|.
        outer: largest |λ|, at most 1.
        max_phase: largest angle in radians, above 0.

    Returns:
        The parameters, float32.

    Raises:
        UsageError: if the sizes are not allowed.

    Example:
        >>> ring = lru_ring(jax.random.key(0), 8, inner=0.9, outer=0.99)
        >>> bool((jnp.exp(-jnp.exp(ring.log_decay)) < 0.991).all())
        True

    Reference: Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences".
    """
    if size < 1:
        raise UsageError(f"size={size!r} is not allowed; give a whole number, 1 or more")
    if not 0 <= inner < outer <= 1:
        raise UsageError(f"inner={inner!r}, outer={outer!r}: give 0 <= inner < outer <= 1")
    if not 0 < max_phase <= 2 * math.pi:
        raise UsageError(f"max_phase={max_phase!r} is not allowed; give a number above 0, at most 2π")
    radius_key, phase_key = jax.random.split(key)
    # An exact 0 or 1 would put an infinity into the logarithms.
    tiny = 1e-6
    area = jax.random.uniform(radius_key, (size,), jnp.float32, minval=tiny, maxval=1 - tiny)
    square = inner**2 + area * (outer**2 - inner**2)
    phase = max_phase * jax.random.uniform(phase_key, (size,), jnp.float32, minval=tiny, maxval=1.0)
    return Ring(jnp.log(-0.5 * jnp.log(square)), jnp.log(phase), 0.5 * jnp.log1p(-square))
