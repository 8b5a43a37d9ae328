"""Packing. Oracle: unpacking what was packed, and the same rule on the arrays themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fathom.engine.packing import Packing


def tree(*shapes, dtype=np.float32):
    random = np.random.default_rng(0)
    return {f"a{i}": jnp.asarray(random.normal(size=shape), dtype) for i, shape in enumerate(shapes)}


SMALL = tree((3, 4), (4,), (), (2, 2, 2))
LARGE = tree((100, 60), (60,), (60, 10), (10,))


@pytest.mark.parametrize(
    ("params", "elementwise", "names"),
    [
        (SMALL, True, ["small"]),
        (LARGE, True, ["0000", "small"]),  # a large matrix is left alone
        (LARGE, False, ["0000", "0001", "0002", "0003"]),
        (tree((5,)), True, ["0000"]),
        ({"a": jnp.zeros(3), "b": jnp.zeros(3, jnp.bfloat16)}, True, ["0000", "0001"]),
    ],
)
def test_what_is_packed_comes_back(params, elementwise, names):
    packing = Packing.of(params, elementwise)
    packed = packing.pack(params)
    assert sorted(packed) == names
    back = packing.unpack(packed)
    assert jax.tree.structure(back) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_a_mask_of_numbers_is_spread_over_its_arrays():
    packing = Packing.of(SMALL, True)
    mask = packing.pack({"a0": 1.0, "a1": 0.0, "a2": 0.0, "a3": 1.0})
    np.testing.assert_array_equal(mask["small"], [1.0] * 12 + [0.0] * 5 + [1.0] * 8)


@pytest.mark.parametrize("params", [SMALL, LARGE])
def test_a_rule_does_the_same_to_the_packed(params):
    rule, packing = optax.adamw(0.1), Packing.of(params, True)
    grads = jax.tree.map(lambda p: jnp.sin(3 * p), params)
    plain, _ = rule.update(grads, rule.init(params), params)
    packed = packing.pack(params)
    inside, _ = rule.update(packing.pack(grads), rule.init(packed), packed)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), packing.unpack(inside), plain)
