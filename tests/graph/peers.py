"""The functions on which Fathom and its peers are measured, with closed forms of what is to be counted.

The same nets are written for PyTorch and for Flax in `tests/golden/make_graph.py`. What is compared are
parameters, each once, and operations of products and convolutions at two a multiply-add: element-wise ones are a
few in a hundred here, and the peers differ on them by choice.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

NUMBERS = ("NHWC", "HWIO", "NHWC")


@dataclass(frozen=True)
class Case:
    """One function: `fn(params, *args)`, its parameters and twice its multiply-adds."""

    fn: Any
    params: Any
    args: tuple
    parameters: int
    operations: int


def _ones(*shape):
    return jnp.full(shape, 0.1)


def mlp():
    def fn(p, x):
        return jnp.tanh(x @ p["a"]["w"] + p["a"]["b"]) @ p["b"]["w"] + p["b"]["b"]

    params = {"a": {"w": _ones(64, 128), "b": _ones(128)}, "b": {"w": _ones(128, 32), "b": _ones(32)}}
    return Case(fn, params, (_ones(8, 64),), 64 * 128 + 128 + 128 * 32 + 32, 2 * 8 * (64 * 128 + 128 * 32))


def shared_weights():
    """One layer used three times."""

    def fn(p, x):
        for _ in range(3):
            x = jnp.tanh(x @ p["a"]["w"])
        return x

    return Case(fn, {"a": {"w": _ones(64, 64)}}, (_ones(8, 64),), 64 * 64, 3 * 2 * 8 * 64 * 64)


def recurrent_scan():
    """Ten steps of a recurrent net."""

    def fn(p, x):
        def step(h, u):
            return jnp.tanh(u @ p["cell"]["w"] + h @ p["cell"]["u"]), None

        return lax.scan(step, jnp.zeros((8, 64)), x)[0]

    params = {"cell": {"w": _ones(32, 64), "u": _ones(64, 64)}}
    return Case(fn, params, (_ones(10, 8, 32),), 96 * 64, 10 * 2 * 8 * 96 * 64)


def remat():
    """Two checkpointed blocks of two layers; what is computed again belongs to the backward pass."""

    def block(p, x):
        return jnp.tanh(jnp.tanh(x @ p["w"]) @ p["u"])

    def fn(p, x):
        for name in ("a", "b"):
            x = jax.checkpoint(block)(p[name], x)
        return x

    params = {name: {"w": _ones(64, 64), "u": _ones(64, 64)} for name in ("a", "b")}
    return Case(fn, params, (_ones(8, 64),), 4 * 64 * 64, 4 * 2 * 8 * 64 * 64)


def attention():
    def fn(p, x):
        q, k, v = ((x @ p[name]["w"]).reshape(2, 16, 4, 16) for name in ("q", "k", "v"))
        weights = jax.nn.softmax(jnp.einsum("bihd,bjhd->bhij", q, k) / 4.0)
        return jnp.einsum("bhij,bjhd->bihd", weights, v).reshape(2, 16, 64) @ p["o"]["w"]

    products = 4 * 2 * 2 * 16 * 64 * 64 + 2 * 2 * 2 * 16 * 16 * 64
    return Case(fn, {n: {"w": _ones(64, 64)} for n in "qkvo"}, (_ones(2, 16, 64),), 4 * 64 * 64, products)


def _convolution(kernel, x, operations, **settings):
    def fn(p, x):
        return lax.conv_general_dilated(x, p["conv"]["w"], dimension_numbers=NUMBERS, **settings)

    weights = _ones(*kernel)
    return Case(fn, {"conv": {"w": weights}}, (_ones(*x),), weights.size, operations)


def convolution():
    return _convolution((3, 3, 8, 16), (2, 10, 10, 8), 2 * 2 * 64 * 9 * 8 * 16,
                        window_strides=(1, 1), padding="VALID")  # fmt: skip


def padded_convolution():
    """Padding is counted, as all but XLA do."""
    return _convolution((3, 3, 8, 16), (2, 8, 8, 8), 2 * 2 * 64 * 9 * 8 * 16,
                        window_strides=(1, 1), padding="SAME")  # fmt: skip


def depthwise_convolution():
    return _convolution((3, 3, 1, 8), (2, 10, 10, 8), 2 * 2 * 64 * 9 * 8,
                        window_strides=(1, 1), padding="VALID", feature_group_count=8)  # fmt: skip


def grouped_convolution():
    return _convolution((3, 3, 4, 16), (2, 10, 10, 8), 2 * 2 * 64 * 9 * 4 * 16,
                        window_strides=(1, 1), padding="VALID", feature_group_count=2)  # fmt: skip


def dilated_convolution():
    return _convolution((3, 3, 8, 16), (2, 12, 12, 8), 2 * 2 * 64 * 9 * 8 * 16,
                        window_strides=(1, 1), padding="VALID", rhs_dilation=(2, 2))  # fmt: skip


def transposed_convolution():
    def fn(p, x):
        return lax.conv_transpose(x, p["conv"]["w"], (2, 2), "VALID", dimension_numbers=NUMBERS)

    return Case(fn, {"conv": {"w": _ones(3, 3, 8, 4)}}, (_ones(2, 8, 8, 8),), 288, 2 * 2 * 64 * 9 * 8 * 4)


def batch_norm():
    def fn(p, x):
        x = lax.conv_general_dilated(x, p["conv"]["w"], (1, 1), "VALID", dimension_numbers=NUMBERS)
        mean, spread = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) * lax.rsqrt(spread + 1e-5) * p["norm"]["scale"] + p["norm"]["shift"]

    params = {"conv": {"w": _ones(3, 3, 8, 16)}, "norm": {"scale": _ones(16), "shift": _ones(16)}}
    return Case(fn, params, (_ones(2, 10, 10, 8),), 9 * 8 * 16 + 32, 2 * 2 * 64 * 9 * 8 * 16)


def embedding():
    """Looking up is no arithmetic."""

    def fn(p, tokens):
        return p["table"]["w"][tokens] @ p["out"]["w"]

    params = {"table": {"w": _ones(500, 16)}, "out": {"w": _ones(16, 32)}}
    tokens = jnp.arange(24).reshape(2, 12)
    return Case(fn, params, (tokens,), 500 * 16 + 16 * 32, 2 * 24 * 16 * 32)


def tied_embedding():
    """One array looks up and, transposed, gives the logits."""

    def fn(p, tokens):
        return p["table"]["w"][tokens] @ p["table"]["w"].T

    tokens = jnp.arange(24).reshape(2, 12)
    return Case(fn, {"table": {"w": _ones(500, 16)}}, (tokens,), 500 * 16, 2 * 24 * 16 * 500)


def cond():
    """The dearer branch is taken."""

    def fn(p, x):
        return lax.cond(x.sum() > 0, lambda x: (x @ p["a"]["w"]) @ p["b"]["w"], lambda x: x @ p["a"]["w"], x)

    params = {name: {"w": _ones(64, 64)} for name in "ab"}
    return Case(fn, params, (_ones(8, 64),), 2 * 64 * 64, 2 * 2 * 8 * 64 * 64)


def while_loop():
    """Seven passes, known only when it runs."""

    def fn(p, x):
        return lax.while_loop(lambda s: s[1] < 7 * x[0, 0] * 10, lambda s: (s[0] @ p["a"]["w"], s[1] + 1.0),
                              (x, 0.0))[0]  # fmt: skip

    return Case(fn, {"a": {"w": _ones(64, 64)}}, (_ones(8, 64),), 64 * 64, 7 * 2 * 8 * 64 * 64)


@jax.custom_vjp
def _product(x, w):
    return x @ w


_product.defvjp(lambda x, w: (x @ w, (x, w)), lambda saved, g: (g @ saved[1].T, saved[0].T @ g))


def custom_rule():
    def fn(p, x):
        return _product(x, p["a"]["w"])

    return Case(fn, {"a": {"w": _ones(64, 64)}}, (_ones(8, 64),), 64 * 64, 2 * 8 * 64 * 64)


CASES = {
    make.__name__: make
    for make in (
        mlp, shared_weights, recurrent_scan, remat, attention, convolution, padded_convolution,
        depthwise_convolution, grouped_convolution, dilated_convolution, transposed_convolution, batch_norm,
        embedding, tied_embedding, cond, while_loop, custom_rule,
    )
}  # fmt: skip


def nan_cases():
    """Functions with a non-finite number, on arguments; the line that makes it ends in `# here`."""

    def forward(x):
        return jnp.log(x - 1).sum()  # here

    def inside_of_jit(x):
        @jax.jit
        def inner(y):
            return jnp.log(y - 1).sum()  # here

        return inner(x)

    def inside_of_a_scan(x):
        def step(c, u):
            return c + jnp.log(u - 1), None  # here

        return lax.scan(step, 0.0, x)[0]

    def inside_of_a_while(x):
        def body(state):
            return jnp.log(state[0]), state[1] + 1  # here

        return lax.while_loop(lambda s: s[1] < 6, body, (20 * x.sum(), 0))[0]

    def one_member(x):
        return jax.vmap(lambda row: jnp.log(row - 1))(x).sum()  # here

    def overflow(x):
        return jnp.exp(100 * x).sum()  # here

    def backward_only(x):
        return jnp.sqrt(x - x).sum()  # here

    def where_trick(x):
        return jnp.where(x > 1, jnp.sqrt(x - 1), 0.0).sum()  # here

    def custom_rule_backward(x):
        @jax.custom_vjp
        def f(x):
            return jnp.sin(x)

        f.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g / (x - 1),))
        return f(x).sum()  # here

    def harmless_mask(x):
        return (jnp.where(x > 1, lax.stop_gradient(jnp.log(x - 1)), 0.0) * x).sum()

    x = jnp.array([2.0, 3.0, 0.5, 1.0])
    ones = jnp.array([2.0, 1.0, 3.0])
    return {
        fn.__name__: (fn, arg)
        for fn, arg in (
            (forward, x), (inside_of_jit, x), (inside_of_a_scan, x), (inside_of_a_while, x), (one_member, x),
            (overflow, x), (backward_only, ones), (where_trick, ones), (custom_rule_backward, ones),
            (harmless_mask, x),
        )
    }  # fmt: skip
