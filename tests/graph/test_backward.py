"""The backward walk equals `jax.grad`, and its costs equal closed forms."""

import math
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fathom as fm
from fathom.errors import UsageError

from .functions import FUNCTIONS, branches, draw, plain, reference

OPENINGS = [None, True, False, 1, ("jit", "scan")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_jax_grad(name):
    """Oracle: jax.value_and_grad."""
    loss, args = FUNCTIONS[name]()
    value, gradient = reference(loss, args)
    back = fm.trace(loss, *args).backward()
    np.testing.assert_allclose(back.loss, value, rtol=1e-5)
    mine = jax.tree.leaves(back.gradient)
    assert len(mine) == len(gradient)
    # A bias in front of batch norm has gradient 0: what is left there is rounding of the other numbers.
    largest = max(float(jnp.abs(b).max()) for b in gradient)
    for a, b in zip(mine, gradient, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(float(jnp.abs(b).max()), 1e-2 * largest))


@pytest.mark.parametrize("opened", OPENINGS, ids=str)
def test_equals_jax_grad_however_opened(opened):
    """Oracle: jax.value_and_grad."""
    loss, args = branches()
    _, gradient = reference(loss, args)
    for a, b in zip(
        jax.tree.leaves(fm.trace(loss, *args, open=opened).backward().gradient), gradient, strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_float64():
    """Oracle: jax.value_and_grad, to 1e-12 in double precision; a process of its own has it switched on."""
    code = """
import jax; jax.config.update("jax_enable_x64", True)
import numpy as np, fathom as fm
from graph.functions import FUNCTIONS, reference
for name in ("mlp", "batch_norm_cnn", "lstm", "attention", "branches"):
    loss, args = FUNCTIONS[name]()
    _, gradient = reference(loss, args)
    for a, b in zip(jax.tree.leaves(fm.trace(loss, *args).backward().gradient), gradient, strict=True):
        assert a.dtype == "float64"
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.abs(b).max())
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_every_delta_equals_the_gradient_by_a_perturbation():
    """Oracle: jax.grad by an array of zeros that is added at the place."""
    w1, w2, x = draw(0, 5, 6), draw(1, 6, 3), draw(2, 4, 5)

    def loss(w1, w2, x, at_hidden=0.0, at_out=0.0):
        h = jnp.tanh(x @ w1 + at_hidden)
        return ((h @ w2 + at_out) ** 2).sum()

    graph = fm.trace(lambda w1, w2, x: loss(w1, w2, x), w1, w2, x)
    back = graph.backward(wrt=(0, 1))
    dots = [node for node in graph.nodes if node.primitive == "dot_general"]
    zeros = jnp.zeros((4, 6)), jnp.zeros((4, 3))
    wanted = jax.grad(loss, (3, 4))(w1, w2, x, *zeros)
    for node, delta in zip(dots, wanted, strict=True):
        np.testing.assert_allclose(back[node], delta, rtol=1e-5)
    assert back[graph.inputs[2]] is None, "the data was not asked for"
    assert back.gradient[2] is None


def test_deltas_inside_of_a_scan_have_its_steps_as_first_axis():
    """Oracle: jax.grad by zeros added at each step."""
    w, x = draw(0, 3, 3) / 2, draw(1, 5, 3)

    def loss(w, x, zeros):
        h, _ = lax.scan(lambda h, u: (jnp.tanh(h @ w + u[0] + u[1]), None), jnp.zeros(3), (x, zeros))
        return (h**2).sum()

    zeros = jnp.zeros((5, 3))
    graph = fm.trace(loss, w, x, zeros)
    back = graph.backward()
    last_add = [node for node in graph.nodes if node.primitive == "add"][-1]
    np.testing.assert_allclose(back[last_add], jax.grad(loss, 2)(w, x, zeros), rtol=1e-5, atol=1e-7)
    assert graph.values[last_add].shape == (5, 3)


def test_a_while_loop_is_refused_with_its_line_and_the_way_out():
    def loss(x):
        return lax.while_loop(lambda s: s[1] < 3, lambda s: (s[0] * 2, s[1] + 1), (x, 0))[0].sum()

    graph = fm.trace(loss, jnp.ones(3))
    assert graph.values.passes(graph.nodes[0]) == 3
    with pytest.raises(UsageError, match=r"test_backward.*not known beforehand.*use jax.lax.scan"):
        graph.backward()
    blocked = fm.trace(lambda x: loss(lax.stop_gradient(x)) + x.sum(), jnp.ones(3)).backward()
    np.testing.assert_array_equal(blocked.gradient[0], np.ones(3))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"output": 1}, r"output=1: .* has 1 outputs"),
        ({"wrt": 5}, r"wrt=5: .* traced with 2 arguments"),
        ({"wrt": ()}, r"wrt=\(\): no floating-point array"),
    ],
)
def test_misuse(argument, message):
    loss, args = plain()
    with pytest.raises(UsageError, match=message):
        fm.trace(loss, *args).backward(**argument)


def test_a_loss_that_is_no_scalar_is_refused():
    with pytest.raises(UsageError, match=r"returns float32\[3\] there; .* reduce it"):
        fm.trace(jnp.sin, jnp.ones(3)).backward()


def test_shapes_alone_are_enough_to_plan_but_have_no_values():
    shape = jax.ShapeDtypeStruct((3, 3), jnp.float32)
    graph = fm.trace(lambda x: (x @ x).sum(), shape)
    assert sum(graph.plan().operations.values()) > 0
    with pytest.raises(UsageError, match="traced with shapes"):
        graph.backward()


def chain(length, size, arrays=True):
    shape = jax.ShapeDtypeStruct((size, size), jnp.float32)
    weights = [draw(i, size, size) if arrays else shape for i in range(length)]

    def loss(weights, x):
        for w in weights:
            x = x @ w
        return x.sum()

    return fm.trace(loss, weights, draw(9, size, size) if arrays else shape)


def test_reuse_makes_a_chain_linear_in_its_length():
    """Oracle: closed form. A [D, D] product costs 2 D³, its rule two of them; without reuse L (L + 1) / 2 ways."""
    size = 16
    for length in (2, 4, 8):
        cost = chain(length, size).backward(wrt=0).cost
        # The first product has one rule only, since the data was not asked for.
        assert cost.backward == pytest.approx((2 * length - 1) * 2 * size**3, rel=0.1)
        ways = sum(2 * (length - i) - (i == 0) for i in range(length))
        assert cost.without_reuse == pytest.approx(ways * 2 * size**3, rel=0.1)
        assert cost.forward_mode == 2 * cost.forward * length * size**2
    assert 1.5 < chain(8, size).backward().cost.ratio < 2.1


def test_the_exponents_of_length_and_width_can_be_read_off():
    """Oracle: O(L D³) with reuse, O(L² D³) without, O(L² D⁵) one number of the gradient at a time."""
    sizes = [(length, width) for length in (8, 16, 32) for width in (32, 64)]
    costs = [chain(length, width, arrays=False).cost(wrt=0) for length, width in sizes]

    def exponents(counts):
        logs = np.log([[length, width, np.e] for length, width in sizes])
        return np.linalg.lstsq(logs, np.log(counts), rcond=None)[0][:2]

    np.testing.assert_allclose(exponents([c.backward for c in costs]), (1, 3), atol=0.1)
    np.testing.assert_allclose(exponents([c.without_reuse for c in costs]), (2, 3), atol=0.15)
    np.testing.assert_allclose(exponents([c.forward_mode for c in costs]), (2, 5), atol=0.1)


def test_what_is_stored_is_never_more_than_jax_stores(capsys):
    """Oracle: JAX's own residuals, as `print_saved_residuals` lists them, arguments and constants left out."""
    from jax.ad_checkpoint import print_saved_residuals

    from .zoo import ZOO

    sizes = {"f32": 4, "f64": 8, "bool": 1, "i32": 4, "i8": 1}
    policies = {name: ZOO[name] for name in ("policy_of_checkpoint", "checkpoint_by_name")}
    for name, make in {**FUNCTIONS, **policies}.items():
        if name in ("mlp", "jitted_mlp", "equinox_batch_norm", "nnx_module", "branches"):
            continue
        loss, args, *_ = make()
        print_saved_residuals(loss, *args)
        kinds = re.findall(r"^(\w+)\[([\d,]*)\] (?!from)", capsys.readouterr().out, re.M)
        wanted = sum(sizes[kind] * math.prod(map(int, filter(None, dims.split(",")))) for kind, dims in kinds)
        graph = fm.trace(loss, *args)
        given = {value.id for value in graph.inputs} | set(graph.constants)
        kept = [value for value in graph.plan().stored.values() if value.id not in given]
        mine = sum(value.nbytes_all_steps for value in kept)
        assert mine <= wanted, name
        if name in policies:
            assert mine == wanted, name


def test_stored_values_are_what_the_rules_read():
    """Oracle: by hand. tanh's rule reads its output, a product's rule its inputs, a sum's nothing."""
    w1, w2, x = draw(0, 5, 6), draw(1, 6, 3), draw(2, 4, 5)
    graph = fm.trace(lambda w1, w2, x: (jnp.tanh(x @ w1) @ w2).sum(), w1, w2, x)
    back = graph.backward()
    assert [value.node.primitive for value in back.stored] == ["tanh"]
    assert back.stored_bytes == 4 * 6 * 4


def test_remat_stores_its_inputs_only_and_counts_the_repetition():
    x = draw(0, 8)

    def block(a):
        return jnp.sin(jnp.sin(jnp.sin(a)))

    plain_way = fm.trace(lambda x: block(x * 2).sum(), x).backward()
    saving = fm.trace(lambda x: jax.checkpoint(block)(x * 2).sum(), x).backward()
    assert (plain_way.stored_bytes, saving.stored_bytes) == (3 * 32, 32)
    # The third sine's own rule reads what the second gives: two are computed again.
    assert (plain_way.cost.recomputed, saving.cost.recomputed) == (0, 16)
    np.testing.assert_allclose(saving.gradient[0], plain_way.gradient[0], rtol=1e-6)


def test_a_value_with_several_readers_is_reused():
    graph = fm.trace(lambda x: (jnp.sin(x) * jnp.cos(x) + x).sum(), jnp.ones(3))
    (reuse,) = graph.backward().reused
    assert (reuse.value.name, reuse.readers) == ("x", 3)
