"""The functions traced here are anyone's: they may rely on what JAX allows by default."""

import jax
import pytest


@pytest.fixture(autouse=True)
def promote_ranks():
    with jax.numpy_rank_promotion("allow"):
        yield
