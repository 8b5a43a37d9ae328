"""Statistics of every node in one pass: equal to NumPy on the values themselves, under vmap and scan too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fathom as fm
from fathom.errors import UsageError
from fathom.graph import CHEAP, STATISTICS, watch
from fathom.graph.measure import finish, sums

from .functions import FUNCTIONS, draw, reference


def by_numpy(x, axes=None):
    x = np.asarray(x, np.float64)
    axes = tuple(range(x.ndim)) if axes is None else axes
    return {
        "mean": x.mean(axes),
        "spread": x.std(axes),
        "norm": np.sqrt((x**2).sum(axes)),
        "zeros": (x == 0).mean(axes),
        "smallest": x.min(axes),
        "largest": x.max(axes),
        "nonfinite": (~np.isfinite(x)).sum(axes),
    }


@pytest.mark.parametrize("name", ["mlp", "batch_norm_cnn", "lstm", "attention", "branches", "scanned_layers"])
def test_equal_to_numpy_on_the_values(name):
    """Oracle: NumPy on `graph.values` and `graph.backward()`, whose arrays are held to JAX elsewhere."""
    loss, args = FUNCTIONS[name]()
    graph = fm.trace(loss, *args)
    back = graph.backward()
    found = graph.statistics()
    rows = list(found)
    assert len(rows) > 0.5 * sum(node.outputs[0].is_inexact for node in graph.nodes)
    for row in rows:
        steps = len(row.node.loops)
        for numbers, arrays in ((row.forward, graph.values), (row.backward, back)):
            if numbers is None:
                continue
            array = np.asarray(arrays[row.node])
            with np.errstate(invalid="ignore"):
                wanted = by_numpy(array, tuple(range(steps, array.ndim)))
            if row.node.primitive == "sub":
                # A number minus itself is exactly 0 or not, as the compiler fused it.
                del wanted["zeros"]
            for key, value in wanted.items():
                largest = np.abs(array[np.isfinite(array)]).max(initial=0)
                slack = 1e-5 * max(largest, 1e-2) * (array.size**0.5 if key == "norm" else 1)
                # A branch that was not taken has no statistics; its values are kept as zeros.
                value = np.where(np.isnan(numbers["zeros"]), numbers[key], value)
                np.testing.assert_allclose(
                    numbers[key], value, rtol=2e-4, atol=slack, err_msg=f"{row.node} {key}"
                )


def test_every_inexact_node_that_depends_on_an_argument_has_a_row():
    loss, args = FUNCTIONS["mlp"]()
    graph = fm.trace(loss, *args)
    found = graph.statistics()
    for node in graph.nodes:
        if node.outputs[0].is_inexact and node.is_dependent and node.inputs[0].node is not None:
            assert found.of(node).forward is not None, node


def test_gradient_and_result_come_along():
    """Oracle: jax.value_and_grad."""
    loss, args = FUNCTIONS["plain"]()
    value, gradient = reference(loss, args)
    result, found, _ = jax.jit(watch(fm.trace(loss, *args), CHEAP))(*args)
    np.testing.assert_allclose(result, value, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(found), gradient, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_under_vmap_one_row_for_each_member():
    """Oracle: each member alone."""
    loss, (params, x) = FUNCTIONS["rnn"]()
    run = watch(fm.trace(loss, params, x))
    members = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf, -leaf]), params)
    _, _, together = jax.jit(jax.vmap(run, (0, None)))(members, x)
    for i in range(3):
        _, _, alone = jax.jit(run)(jax.tree.map(lambda leaf, i=i: leaf[i], members), x)
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=2e-4, atol=1e-6)


def test_saturation_and_zeros():
    """Oracle: by hand."""
    x = jnp.array([-9.0, -1.0, 0.0, 0.5, 9.0])
    graph = fm.trace(lambda x: (jnp.tanh(x) + jax.nn.sigmoid(x)).sum(), x)
    rows = {row.node.primitive: row.forward for row in graph.statistics()}
    assert rows["tanh"]["saturated"] == pytest.approx(0.4)
    assert rows["logistic"]["saturated"] == pytest.approx(0.4)
    assert rows["tanh"]["zeros"] == pytest.approx(0.2)
    assert "saturated" not in rows["add"]


def measure(x, which):
    return dict(zip(which, np.asarray(finish(sums(x, which), x.size, which)), strict=True))


def test_the_spread_of_numbers_far_from_zero():
    x = 1e4 + draw(0, 1000)
    np.testing.assert_allclose(measure(x, ("spread",))["spread"], np.asarray(x, np.float64).std(), rtol=1e-2)


def test_nonfinite_half_precision_complex_and_empty():
    assert measure(jnp.array([jnp.nan, jnp.inf, 1.0]), ("nonfinite",))["nonfinite"] == 2
    half = measure(jnp.full(4096, 0.1, jnp.bfloat16), ("mean", "norm"))
    assert sums(jnp.zeros(2, jnp.bfloat16), ("mean",)).dtype == jnp.float32
    np.testing.assert_allclose(half["norm"], 6.4, rtol=5e-3)
    assert measure(jnp.array([3 + 4j]), ("largest",))["largest"] == 5
    assert measure(jnp.zeros((0, 3)), tuple(STATISTICS))["mean"] == 0


def test_none_and_one_that_is_forward_only():
    """Saturation has no δ; no statistics leave the gradient alone."""
    loss, args = FUNCTIONS["plain"]()
    graph = fm.trace(loss, *args)
    assert graph.statistics(()).forward == {}
    assert graph.statistics(("saturated",)).backward == {}


def test_counts_beyond_what_single_precision_sums_one_by_one():
    """Oracle: closed form. 3/4 of 2²⁵ entries are 0; adding ones to a float32 one by one stops at 2²⁴."""
    found = measure(jnp.zeros(2**25).at[::4].set(1.0), ("mean", "zeros"))
    assert (found["mean"], found["zeros"]) == (0.25, 0.75)


def test_misuse():
    loss, args = FUNCTIONS["plain"]()
    graph = fm.trace(loss, *args)
    with pytest.raises(UsageError, match="which='median' is not known"):
        watch(graph, ("median",))
    run = watch(graph)
    with pytest.raises(UsageError, match=r"x=\[3, 5\]: it was traced as \[4, 5\]"):
        run(args[0], jnp.ones((3, 5)))
    with pytest.raises(UsageError, match="call it as it was traced"):
        run(args[0])
