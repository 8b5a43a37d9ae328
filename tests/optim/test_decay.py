"""Weight decay: closed forms, the mask, and the two readings of a schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom.errors import UsageError
from fathom.optim import RULES, decoupled_decay, gradient_decay, matrix_mask, update_rule

PARAMS = {"w": jnp.array([[2.0, -1.0]]), "b": jnp.array([3.0])}
ZEROS = jax.tree.map(jnp.zeros_like, PARAMS)
DECOUPLED = [rule.name for rule in RULES if rule.decay == "decoupled"]


def apply(rule, updates=ZEROS):
    return rule.update(updates, rule.init(PARAMS), PARAMS)[0]


def test_masks_of_numbers_arrays_and_none():
    for mask in ({"w": 1.0, "b": 0.5}, {"w": jnp.ones((1, 2)), "b": jnp.array([0.5])}):
        got = apply(decoupled_decay(0.1, mask))
        np.testing.assert_allclose(got["w"], [[-0.2, 0.1]], rtol=1e-6)
        np.testing.assert_allclose(got["b"], [-0.15], rtol=1e-6)
    np.testing.assert_allclose(apply(decoupled_decay(0.1))["b"], [-0.3], rtol=1e-6)
    assert matrix_mask(PARAMS) == {"w": 1.0, "b": 0.0}


def test_decay_in_the_gradient_is_the_gradient_of_the_l2_penalty():
    # Oracle: automatic differentiation of the penalty.
    want = jax.grad(lambda p: 0.5 * 0.1 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(p)))(PARAMS)
    got = apply(gradient_decay(0.1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, want)


@pytest.mark.parametrize(
    "name", [n for n in DECOUPLED if n != "prodigy" and RULES[n].evaluation_params is None]
)
@pytest.mark.parametrize("decay", ["scheduled", "constant"])
def test_decoupled_decay_is_apart_from_the_rule(name, decay):
    # Oracle: -lr * direction - rate * decay * mask * params, the direction measured without decay.
    numbers = {"learning_rate": 0.2, "weight_decay": 0.3, "clip": jnp.inf, "momentum": 0.9, "beta2": 0.99}
    mask = matrix_mask(PARAMS)

    def step(numbers):
        rule = update_rule(name, "none", numbers, mask, decay=decay)
        return jax.jit(lambda p: rule.update(p, rule.init(p), p, learning_rate=0.05)[0])(PARAMS)

    rate = {"scheduled": 0.05, "constant": 0.2}[decay]
    with_decay, without = step(numbers), step({**numbers, "weight_decay": 0.0})
    np.testing.assert_allclose(with_decay["w"] - without["w"], -rate * 0.3 * PARAMS["w"], rtol=1e-4)
    np.testing.assert_array_equal(with_decay["b"], without["b"])


@pytest.mark.parametrize("decay", ["scheduled", "constant"])
def test_schedule_free_decays_the_fast_sequence_at_the_averaged_point(decay):
    # Oracle: z' = z - rate * decay * y for a gradient of zero, and y' = x' = z' after the first step.
    numbers = {"learning_rate": 0.2, "weight_decay": 0.3, "clip": jnp.inf, "momentum": 0.9}
    rule = update_rule("schedule_free_sgd", "none", numbers, matrix_mask(PARAMS), decay=decay)
    updates, _ = rule.update(ZEROS, rule.init(PARAMS), PARAMS, learning_rate=0.1)
    rate = {"scheduled": 0.1, "constant": 0.2}[decay]
    np.testing.assert_allclose(updates["w"], -rate * 0.3 * PARAMS["w"], rtol=1e-4)
    np.testing.assert_allclose(updates["b"], 0.0, atol=1e-6)


def test_prodigy_decays_as_optax_has_it():
    # Oracle: optax.contrib.prodigy with its own weight decay.
    from optax import contrib

    theirs = contrib.prodigy(0.5, betas=(0.9, 0.99), weight_decay=0.3)
    ours = RULES["prodigy"].build(0.5, momentum=0.9, beta2=0.99, weight_decay=0.3)
    grads = jax.tree.map(lambda p: 0.1 * p + 1.0, PARAMS)
    got, want = (
        jax.jit(lambda g, p, r=r: r.update(g, r.init(p), p)[0])(grads, PARAMS) for r in (ours, theirs)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, want)


def test_an_unknown_decay_is_an_early_error():
    with pytest.raises(UsageError, match=r"decay='cosine' is not known; use one of: scheduled, constant"):
        update_rule("sgd", "none", {}, decay="cosine")
