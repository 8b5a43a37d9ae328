"""Layer normalization against its definition and PyTorch's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import nn
from fathom.errors import UsageError

from .golden import golden, with_weights


def test_golden():
    """Oracle: torch.nn.LayerNorm, values and gradients."""
    (found,) = golden("norm")
    found.check(with_weights(nn.LayerNorm(5), found.weights))


def test_every_row_has_mean_0_and_variance_1():
    """Oracle: NumPy's mean and standard deviation; a large offset costs no digits."""
    x = 1000 + jax.random.normal(jax.random.key(0), (3, 4, 64))
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        y, state = nn.LayerNorm(64)(x, key=None, state=None, inference=True)
    np.testing.assert_allclose(np.mean(y, -1), 0, atol=1e-3)
    np.testing.assert_allclose(np.std(y, -1), 1, rtol=1e-3)
    assert state is None


def test_misuse_is_refused():
    with pytest.raises(UsageError, match="features=0 is not allowed"):
        nn.LayerNorm(0)
    with pytest.raises(UsageError, match="epsilon=0 is not allowed"):
        nn.LayerNorm(3, epsilon=0)
    assert jnp.isfinite(nn.LayerNorm(3)(jnp.ones((1, 3)))[0]).all()
