"""The gradient and the outputs in parts against those of the whole batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom.errors import UsageError
from fathom.optim import gradient_in_parts, outputs_in_parts


@pytest.mark.parametrize("parts", [1, 2, 6])
def test_value_and_gradient_of_the_whole_batch(parts):
    """Oracle: jax.value_and_grad on all rows at once."""
    keys = jax.random.split(jax.random.key(0), 3)
    params = {"w": jax.random.normal(keys[0], (4, 3)), "b": jnp.zeros(3)}
    batch = {"x": jax.random.normal(keys[1], (6, 4)), "y": jax.random.randint(keys[2], (6,), 0, 3)}

    def loss(params, batch, sharpness):
        logits = sharpness * (batch["x"] @ params["w"] + params["b"][None])
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), batch["y"][:, None], 1).mean()

    found = jax.jit(gradient_in_parts(loss, parts))(params, batch, 2.0)
    expected = jax.value_and_grad(loss)(params, batch, 2.0)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7, 100])
def test_outputs_of_every_row_once(most):
    """Oracle: the function on all rows at once; and no pass takes more rows than it may."""
    x, seen = jax.random.normal(jax.random.key(0), (7, 4, 3)), set()

    def function(rows):
        seen.add(rows.shape[0])
        return jnp.tanh(rows).sum(1)

    found = jax.jit(lambda x: outputs_in_parts(function, x, most))(x)
    np.testing.assert_allclose(found, np.tanh(x).sum(1), rtol=1e-5, atol=1e-6)
    assert max(seen) <= most


def test_misuse_is_refused():
    with pytest.raises(UsageError, match="parts=0 is not allowed"):
        gradient_in_parts(jnp.mean, 0)
    with pytest.raises(UsageError, match="parts=4 does not divide a batch of 6 rows"):
        gradient_in_parts(lambda w, x: jnp.mean(w * x), 4)(1.0, jnp.ones(6))
    with pytest.raises(UsageError, match="most=0 is not allowed"):
        outputs_in_parts(jnp.sin, jnp.ones(6), 0)
