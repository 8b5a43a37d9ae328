"""The first non-finite number is named: node, line, step, member, operands."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fathom as fm
from fathom.errors import UsageError

from .functions import FUNCTIONS, draw


def line_in(fn, text):
    lines, first = inspect.getsourcelines(fn)
    return first + next(i for i, line in enumerate(lines) if text in line)


@pytest.mark.parametrize("name", ["mlp", "attention", "branches"])
def test_finite_functions_have_none(name):
    """Attention holds -inf in its mask: that reaches no result."""
    loss, args = FUNCTIONS[name]()
    found = fm.find_nonfinite(loss, *args)
    assert not found.found
    assert str(found).startswith("Every result is finite")


def test_forward():
    def loss(x):
        y = jnp.sin(x) - 1
        z = jnp.log(y)  # here
        return (z * 2).sum()

    found = fm.find_nonfinite(loss, jnp.array([1.0, 2.0]))
    assert (found.direction, found.node.primitive, found.count, found.index) == ("forward", "log", 2, (0,))
    assert found.line.number == line_in(loss, "# here")
    assert found.operands[0].largest == pytest.approx(np.sin(2.0) - 1, rel=1e-5)
    assert "Forward, log [2] at" in str(found) and "it reads sub [2] from" in str(found)


def test_the_harmless_one_is_not_blamed_for_the_other():
    def loss(x):
        safe = jnp.where(x > 0, jnp.log(x), 0.0)
        return safe.sum() + jnp.sqrt(x - 5).sum()  # here

    found = fm.find_nonfinite(loss, jnp.array([0.0, 2.0]))
    assert (found.node.primitive, found.line.number) == ("sqrt", line_in(loss, "# here"))
    assert [node.primitive for node in found.harmless] == ["log"]


def test_backward_through_a_where():
    def loss(x):
        return jnp.where(x > 0, jnp.sqrt(x), 0.0).sum()

    found = fm.find_nonfinite(loss, jnp.array([1.0, 0.0, 2.0]))
    assert (found.direction, found.node.primitive, found.index, found.input) == (
        "backward",
        "sqrt",
        (1,),
        "x",
    )
    assert not np.isfinite(jax.grad(loss)(jnp.array([1.0, 0.0, 2.0]))[1]), "oracle: jax.grad"
    assert "Backward, sqrt [3] at" in str(found)


@pytest.mark.parametrize("reverse", [False, True])
def test_inside_of_a_scan_the_step(reverse):
    """Oracle: the step at which the argument of the logarithm is not positive for the first time."""

    def loss(x):
        def step(c, u):
            return c + jnp.log(u), None

        return lax.scan(step, 0.0, x, reverse=reverse)[0]

    found = fm.find_nonfinite(loss, jnp.array([1.0, 2.0, -1.0, 3.0, -2.0, 1.0]))
    assert (found.node.primitive, found.step) == ("log", (4,) if reverse else (2,))
    assert "at step" in str(found)


def test_a_scan_that_overflows_by_itself():
    def loss(x):
        return lax.scan(lambda c, _: (c * c, None), x, length=10)[0].sum()

    found = fm.find_nonfinite(loss, jnp.array([1.0, 100.0]))
    # 100^(2^n) leaves float32 (3.4e38) at n = 5.
    assert (found.node.primitive, found.step, found.index) == ("mul", (4,), (1,))


def test_nested_scans_and_backward_inside_of_one():
    def loss(x):
        def outer(c, u):
            return lax.scan(lambda d, v: (d + jnp.sqrt(jnp.abs(v - u)), None), c, x)[0], None

        return lax.scan(outer, 0.0, jnp.array([9.0, 1.0]))[0]

    found = fm.find_nonfinite(loss, jnp.array([3.0, 1.0]))
    assert (found.direction, found.node.primitive, found.step) == ("backward", "sqrt", (1, 1))


def test_in_a_population_the_member():
    def loss(w, x):
        return jnp.sqrt((w * x).sum())

    w = jnp.array([[1.0], [2.0], [-1.0], [3.0], [-2.0]])
    found = fm.find_nonfinite(loss, w, jnp.ones(1), in_axes=(0, None))
    assert (found.member, found.members, found.node.primitive) == (2, (2, 4), "sqrt")
    assert "in member 2" in str(found)
    assert not fm.find_nonfinite(loss, jnp.abs(w), jnp.ones(1), in_axes=(0, None)).found
    with pytest.raises(UsageError, match=r"in_axes=\(0,\): 2 positional arguments"):
        fm.find_nonfinite(loss, w, jnp.ones(1), in_axes=(0,))


def test_under_the_users_own_vmap_the_entry():
    def loss(w):
        return jax.vmap(lambda w: jnp.log(w).sum())(w).sum()

    found = fm.find_nonfinite(loss, jnp.ones((4, 2)).at[2, 1].set(0.0))
    assert (found.node.primitive, found.index) == ("log", (2, 1))


def test_an_argument_that_is_bad_already():
    found = fm.find_nonfinite(lambda p, x: (p["w"] * x).sum(), {"w": jnp.array([1.0, jnp.nan])}, jnp.ones(2))
    assert (found.direction, found.input, found.index, found.count) == ("input", "p.w", (1,), 1)
    assert "The argument p.w holds 1" in str(found)


def test_in_a_while_the_first_bad_pass_and_in_a_branch():
    def fn(x):
        def body(state):
            c, i = state
            return lax.cond(i < 3, lambda c: c, lambda c: jnp.log(c - 1), c), i + 1

        return lax.while_loop(lambda s: s[1] < 6, body, (x, 0))[0]

    found = fm.find_nonfinite(fn, jnp.ones(2))
    assert (found.direction, found.node.primitive, found.node.parent.kind) == ("forward", "log", "cond")


def test_in_a_while_the_pass_and_what_it_read():
    """Oracle: 20 → 3.00 → 1.10 → 0.09 → −2.38, whose logarithm, the fifth, is not real."""

    def fn(x):
        return lax.while_loop(lambda s: s[1] < 6, lambda s: (jnp.log(s[0]), s[1] + 1), (x, 0))[0]

    found = fm.find_nonfinite(fn, jnp.array([20.0]))
    assert (found.passes, found.node.primitive) == (5, "log")
    assert found.operands[0].largest == pytest.approx(np.log(np.log(np.log(np.log(20)))), rel=1e-4)
    assert "in pass 5 of the while" in str(found)
    members = fm.find_nonfinite(fn, jnp.array([1e9, 20.0]), in_axes=0)
    assert (members.member, members.passes) == (0, 6)


@pytest.mark.parametrize("around", [jax.jit, jax.checkpoint, jax.grad, jax.value_and_grad])
def test_through_transformations_the_line_stays(around):
    def loss(w):
        return jnp.sqrt(w).sum()  # here

    found = fm.find_nonfinite(jax.vmap(around(loss)), jnp.ones((4, 2)).at[2, 1].set(0.0))
    if around in (jax.grad, jax.value_and_grad):
        assert (found.direction, found.index, found.line.number) == (
            "forward",
            (2, 1),
            line_in(loss, "# here"),
        )
    else:
        assert not found.found, "no gradient is asked for: the results are four numbers"


def test_where_infinities_are_meant_the_one_that_makes_nan_of_them():
    def loss(x):
        mask = jnp.where(x > 5, x, -jnp.inf)
        return jax.nn.softmax(mask).sum()  # here

    found = fm.find_nonfinite(loss, jnp.ones(3))
    assert (found.node.primitive, found.line.number) == ("sub", line_in(loss, "# here"))
    assert fm.find_nonfinite(loss, jnp.array([1.0, 6.0])).found is False
    written = fm.find_nonfinite(lambda x: jnp.where(x > 5, x, -jnp.inf).sum(), jnp.ones(3))
    assert "A number written in the function is not finite" in str(written)


def test_a_deep_net_with_a_bad_weight_names_the_layer():
    loss, (net, x) = FUNCTIONS["mlp"]()
    net = jax.tree.map(lambda leaf: leaf * 1e30 if hasattr(leaf, "shape") else leaf, net)
    found = fm.find_nonfinite(loss, net, x)
    assert found.found and found.node.module.startswith("layers[")


def test_integer_results_and_empty_arrays_are_finite():
    assert not fm.find_nonfinite(lambda x: x + 1, jnp.arange(3)).found
    assert not fm.find_nonfinite(lambda x: (x * 2).sum(), draw(0, 0, 3)).found
