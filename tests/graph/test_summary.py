"""The table of a model: closed forms, XLA's own counts where they are right, and what others count twice."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jax import lax

import fathom as fm
from fathom.errors import UsageError

from .functions import draw


def test_an_equinox_mlp():
    """Oracle: closed forms."""
    net = eqx.nn.MLP(5, 3, 7, 2, key=jax.random.key(0))
    table = fm.summary(net, draw(0, 4, 5), call=lambda net, x: jax.vmap(net)(x))
    assert [layer.name for layer in table.layers] == ["layers[0]", "layers[1]", "layers[2]"]
    assert [layer.parameters for layer in table.layers] == [5 * 7 + 7, 7 * 7 + 7, 7 * 3 + 3]
    # A product 2 m k n, the bias m n, ReLU m n.
    assert [layer.operations for layer in table.layers] == [
        4 * 7 * (10 + 2),
        4 * 7 * (14 + 2),
        4 * 3 * (14 + 1),
    ]
    assert [layer.shape for layer in table.layers] == [(4, 7), (4, 7), (4, 3)]
    assert table.parameters == sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(net, eqx.is_array)))
    text = str(table)
    assert "layers[0]" in text and "total" in text and max(map(len, text.splitlines())) <= 100


def test_fathoms_own_model_is_called_directly():
    net = fm.models.MLP(width=8).build(fm.Task.classification(4, 3), jax.random.key(0))
    table = fm.summary(net, jnp.ones((16, 4)), inference=True)
    assert table.name == "Perceptron"
    assert table.parameters == 4 * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3
    assert [layer.name for layer in table.layers][:2] == ["layers[0]", "layers[1]"]


def test_shared_weights_count_once_and_their_operations_twice():
    params = {"a": {"w": draw(0, 6, 6)}, "b": {"w": draw(1, 6, 6)}}

    def call(params, x):
        x = jnp.tanh(x @ params["a"]["w"])
        return jnp.tanh(x @ params["b"]["w"]) @ params["a"]["w"].T

    table = fm.summary(params, draw(2, 4, 6), call=call)
    assert table.parameters == 72
    assert sum(layer.parameters for layer in table.layers) == 72
    assert table.operations == 3 * 2 * 4 * 36 + 2 * 24


def test_a_scan_over_layers_counts_every_step_and_each_parameter_once():
    """Oracle: the same layers written out."""
    params = {"w": draw(0, 5, 6, 6)}

    def looped(params, x):
        return lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, params["w"])[0]

    def unrolled(params, x):
        for i in range(5):
            x = jnp.tanh(x @ params["w"][i])
        return x

    a, b = (fm.summary(params, draw(1, 4, 6), call=call) for call in (looped, unrolled))
    assert a.operations == b.operations == 5 * (2 * 4 * 36 + 24)
    assert a.parameters == b.parameters == 180


def test_remat_keeps_its_inputs_only():
    def block(w, x):
        return jnp.tanh(jnp.tanh(x @ w) @ w)

    w, x = {"w": draw(0, 6, 6)}, draw(1, 4, 6)
    plain = fm.summary(w, x, call=lambda w, x: block(w["w"], block(w["w"], x)))
    saving = fm.summary(
        w, x, call=lambda w, x: jax.checkpoint(block)(w["w"], jax.checkpoint(block)(w["w"], x))
    )
    assert plain.activation_bytes == 4 * 96
    assert saving.activation_bytes == 96
    assert plain.operations == saving.operations


def test_operations_equal_the_compilers_where_it_is_right():
    """Oracle: XLA's cost analysis, which counts products right (and a scan's body once, which is wrong)."""
    a, k, x = draw(0, 32, 64), draw(1, 64, 48), draw(2, 2, 3, 16, 16)
    kernel = draw(3, 5, 3, 3, 3)
    for fn, args in (
        (lambda k, a: a @ k, (k, a)),
        (lambda k, x: lax.conv(x, k, (1, 1), "VALID"), (kernel, x)),
    ):
        analysis = jax.jit(fn).lower(*args).compile().cost_analysis()
        assert fm.trace(fn, *args).operations == pytest.approx(analysis["flops"], rel=0.01)


def test_flax_and_shapes_instead_of_arrays():
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(nn.relu(nn.Dense(7)(x)))

    net = Net()
    x = jax.ShapeDtypeStruct((4, 5), jnp.float32)
    params = jax.eval_shape(net.init, jax.random.key(0), x)
    table = fm.summary(params, x, call=net.apply)
    assert {layer.name: layer.parameters for layer in table.layers if layer.parameters} == {
        "Net.Dense_1": 42,
        "Net.Dense_0": 24,
    }


def test_unused_parameters_are_said():
    table = fm.summary({"a": jnp.ones(3), "b": jnp.ones(5)}, jnp.ones(3), call=lambda p, x: p["a"] * x)
    assert table.unused == 5
    assert "5 parameters do not reach the result" in str(table)


def test_misuse():
    with pytest.raises(UsageError, match=r"model=dict: it cannot be called; give call="):
        fm.summary({"w": jnp.ones(3)}, jnp.ones(3))
    with pytest.raises(UsageError, match="holds no floating-point array"):
        fm.summary(jnp.argmax, jnp.ones(3))
