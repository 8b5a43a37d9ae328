"""What people write with JAX, one small function of each kind: traced, walked, equal to JAX itself."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fathom as fm
from fathom.errors import UsageError

from .functions import clipped_sine, draw, soft
from .zoo import NO_GRADIENT, ZOO, X

# Rounding of half precision depends on what the compiler fuses.
SLACK = {"half_precision": 1e-2}


def near(mine, wanted, slack):
    mine, wanted = np.asarray(mine), np.asarray(wanted)
    scale = float(np.abs(wanted).max(initial=0.0)) or 1.0
    np.testing.assert_allclose(mine, wanted, rtol=slack, atol=slack * scale)


def moved_and_fixed(args, kwargs):
    leaves = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, float) else leaf, [args, kwargs])
    return eqx.partition(leaves, eqx.is_inexact_array)


@pytest.mark.parametrize("name", [name for name in ZOO if name not in NO_GRADIENT])
def test_loss_and_gradient(name):
    """Oracle: jax.value_and_grad of the function."""
    fn, args, kwargs = ZOO[name]()
    moved, fixed = moved_and_fixed(args, kwargs)

    def scalar(moved):
        args, kwargs = eqx.combine(moved, fixed)
        return jax.tree.leaves(fn(*args, **kwargs))[0]

    loss, gradient = jax.jit(jax.value_and_grad(scalar))(moved)
    back = fm.trace(fn, *args, **kwargs).backward()
    near(back.loss, loss, SLACK.get(name, 1e-5))
    mine, wanted = jax.tree.leaves(back.gradient), jax.tree.leaves(gradient)
    for a, b in zip(mine, wanted, strict=True):
        assert a.dtype == b.dtype
        near(a, b, SLACK.get(name, 1e-5))


@pytest.mark.parametrize("name", sorted(NO_GRADIENT))
def test_what_has_no_gradient_is_seen_forward_and_says_why(name):
    """Oracle: the function itself."""
    fn, args, kwargs = ZOO[name]()
    graph = fm.trace(fn, *args, **kwargs)
    near(graph.values[graph.outputs[0]], fn(*args, **kwargs), 1e-5)
    assert all(node.line is not None for node in graph.nodes)
    with pytest.raises(UsageError, match=r"backward through .*zoo.py"):
        graph.backward()
    found = fm.find_nonfinite(fn, *args, **kwargs)
    assert not found.found and "gradient was not looked at" in str(found)
    table = fm.summary({"x": args[0]}, call=lambda tree: fn(tree["x"], *args[1:], **kwargs))
    assert table.activation_bytes is None and "Kept is unknown" in str(table)
    assert fm.trace(fn, *args, **kwargs).statistics(backward=False).forward


@pytest.mark.parametrize("name", ["auxiliary_output", "several_outputs", "unused_and_repeated_outputs"])
def test_results_keep_their_structure(name):
    fn, args, kwargs = ZOO[name]()
    found = fm.trace(fn, *args, **kwargs).statistics(which=("mean",))
    wanted = fn(*args, **kwargs)
    assert jax.tree.structure(found.outputs) == jax.tree.structure(wanted)


def test_two_equal_factors_and_two_different_ones_do_not_share_a_rule():
    """x x and x y are the same primitive on the same shapes. Oracle: jax.grad."""

    def loss(x, y):
        return ((x @ x) * (x @ y) + x * x + x * y).sum()

    x, y = X[:, :4], X[:, 1:]
    back = fm.trace(loss, x, y).backward()
    for a, b in zip(back.gradient, jax.grad(loss, (0, 1))(x, y), strict=True):
        near(a, b, 1e-5)


STEPS = (
    lambda a, b: a @ b,
    lambda a, b: a * b + a,
    lambda a, b: jnp.tanh(a) - b.T,
    lambda a, b: jnp.where(a > b, a, 0.5 * b),
    lambda a, b: jax.nn.softmax(a) * b.mean(),
    lambda a, b: lax.scan(lambda c, row: (jnp.sin(c + row), c * row), a[0], b)[1],
    lambda a, b: lax.cond(a.sum() > b.sum(), jnp.cos, lambda x: x * x, a),
    lambda a, b: jax.checkpoint(lambda x, y: jnp.sin(x @ y))(a, b),
    lambda a, b: clipped_sine(a) + soft(b),
    lambda a, b: jnp.concatenate([a[1:], b[:1]]),
)


@pytest.mark.parametrize("seed", range(8))
def test_random_graphs(seed):
    """A dozen operations drawn at random, each reading two earlier values. Oracle: jax.grad."""
    draws = np.random.default_rng(seed)
    plan = [(STEPS[draws.integers(len(STEPS))], *draws.integers(0, 2 + i, 2)) for i in range(12)]

    def loss(x, y):
        values = [x, y]
        for step, i, j in plan:
            values.append(jnp.tanh(step(values[i], values[j])))
        return sum((value**2).sum() for value in values[-3:])

    args = draw(seed, 3, 3), draw(seed + 99, 3, 3)
    wanted = jax.jit(jax.grad(loss, (0, 1)))(*args)
    for a, b in zip(fm.trace(loss, *args).backward().gradient, wanted, strict=True):
        near(a, b, 1e-5)


def test_haiku_modules_are_its_names():
    fn, args, kwargs = ZOO["haiku_style"]()
    modules = [node.module for node in fm.trace(fn, *args, **kwargs).nodes]
    assert list(dict.fromkeys(modules)) == ["mlp/~/linear_0", "mlp/~/linear_1", ""]
