"""Gradients are judged: right ones pass on every function, planted mistakes are found and named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fathom as fm
from fathom.errors import UsageError

from .functions import FUNCTIONS, draw

X = draw(0, 4)


@pytest.mark.parametrize("name", ["mlp", "lstm", "attention"])
def test_right_gradients_pass_with_slope_two(name):
    loss, args = FUNCTIONS[name]()
    before = jax.config.jax_enable_x64
    check = fm.check_gradients(loss, *args, directions=2)
    assert jax.config.jax_enable_x64 == before
    assert check.ok and check.dtype == "float64", check.verdict
    assert check.disagreement < 1e-10
    for direction in check.directions:
        assert direction.slope == pytest.approx(2, abs=0.2)
        assert direction.rounding_slope == pytest.approx(-1, abs=0.4)
    assert "is right" in str(check)


def wrong_rule(factor):
    @jax.custom_vjp
    def f(x):
        return jnp.sin(x)

    f.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (factor * g * jnp.cos(x),))
    return f


@pytest.mark.parametrize(("factor", "word"), [(-1.0, "sign"), (1.01, "wrong"), (0.0, "wrong")])
def test_a_wrong_custom_rule_is_found_and_named(factor, word):
    rule = wrong_rule(factor)
    check = fm.check_gradients(lambda a, x: rule(x * 2).sum() + (a**2).sum(), X, X)
    assert not check.ok
    assert check.wrong == ("x",)
    assert [node.primitive for node in check.suspects] == ["custom_vjp_call"]
    assert word in check.verdict and "test_gradients.py" in check.verdict
    assert all(abs(direction.slope) < 0.5 or np.isnan(direction.slope) for direction in check.directions)


def test_a_right_custom_rule_passes():
    rule = wrong_rule(1.0)
    check = fm.check_gradients(lambda x: rule(x).sum(), X)
    assert check.ok and check.disagreement is None, "a custom_vjp has no forward mode"


def test_forward_and_reverse_that_disagree():
    @jax.custom_jvp
    def f(x):
        return jnp.sin(x)

    f.defjvps(lambda t, y, x: -t * jnp.cos(x))
    check = fm.check_gradients(lambda x: f(x).sum(), X)
    assert not check.ok and check.suspects[0].primitive == "custom_jvp_call"


def test_a_stop_gradient_in_the_wrong_place():
    def loss(w, x):
        h = jnp.tanh(x * w)
        return (lax.stop_gradient(h) * h).sum()

    check = fm.check_gradients(loss, X, 2 * X)
    assert not check.ok and check.wrong == ("w", "x")
    assert [node.primitive for node in check.suspects] == ["stop_gradient"]
    assert "stop_gradient" in check.verdict


def test_a_stop_gradient_in_the_right_place_is_not_blamed():
    """Softmax subtracts a maximum that it does not differentiate."""
    rule = wrong_rule(1.5)
    check = fm.check_gradients(lambda x: (jax.nn.softmax(x) * rule(x)).sum(), X)
    assert [node.primitive for node in check.suspects] == ["custom_vjp_call"]


def test_linear_constant_and_single_precision_functions():
    assert fm.check_gradients(lambda x: (3 * x).sum(), X).ok
    assert "linear" in fm.check_gradients(lambda x: (3 * x).sum(), X).verdict
    assert fm.check_gradients(lambda x: (x * 0).sum() + 1.0, X).ok
    assert fm.check_gradients(lambda x: jnp.sin(x.astype(jnp.float32)).sum(), X).ok
    assert fm.check_gradients(lambda x: jnp.sin(x).sum(), X, double=False).ok


def test_a_while_loop_is_checked_forward():
    def loss(x):
        return lax.while_loop(lambda s: s[1] < 3, lambda s: (jnp.sin(s[0]), s[1] + 1), (x, 0))[0].sum()

    check = fm.check_gradients(loss, X)
    assert check.ok and check.disagreement is None


def test_the_error_is_drawn(tmp_path):
    """Oracle: by hand. Two decades of error for one of the step, then rounding; a wrong one stays level."""
    right, wrong = (fm.check_gradients(lambda x, f=f: wrong_rule(f)(x).sum(), X) for f in (1.0, 1.5))
    rows = {check.ok: check.draw().splitlines() for check in (right, wrong)}
    first = [
        next((i for i, line in enumerate(rows[True]) if line[7 + 2 * k : 8 + 2 * k] == "o"), 0)
        for k in (1, 5)
    ]
    assert first[1] - first[0] == 4, "two steps a decade: four decades of error for two of the step"
    level = [line for line in rows[False] if line.count("o") > 10]
    assert level and level[0].startswith("1e-00")
    svg = right.draw(tmp_path / "slopes.svg")
    assert (tmp_path / "slopes.svg").read_text() == svg and svg.count('class="error"') == 3


def test_misuse():
    with pytest.raises(UsageError, match="directions=0: give a whole number"):
        fm.check_gradients(lambda x: x.sum(), X, directions=0)
    with pytest.raises(UsageError, match="reduce it to one"):
        fm.check_gradients(jnp.sin, X)
