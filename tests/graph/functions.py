"""The functions that the graph is held to: nets of every kind, each with a loss and its arguments."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax


def draw(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def cross_entropy(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()


LABELS = jnp.array([0, 2, 1, 0])


def mlp():
    net = eqx.nn.MLP(5, 3, 7, 2, activation=jax.nn.gelu, key=jax.random.key(0))

    def loss(net, x):
        return cross_entropy(jax.vmap(net)(x), LABELS)

    return loss, (net, draw(1, 4, 5))


def jitted_mlp():
    loss, args = mlp()
    return eqx.filter_jit(loss), args


def plain():
    params = {"w": [draw(0, 5, 6), draw(1, 6, 3)], "b": jnp.ones(6)}

    @jax.jit
    def loss(params, x):
        h = jax.nn.relu(x @ params["w"][0] + params["b"])
        return ((h @ params["w"][1]) ** 2).sum()

    return loss, (params, draw(2, 4, 5))


def batch_norm_cnn():
    params = {
        "conv": draw(0, 3, 3, 2, 4),
        "scale": jnp.ones(4),
        "shift": jnp.zeros(4),
        "depthwise": draw(1, 3, 3, 1, 4),
        "out": draw(2, 4, 3),
    }

    def loss(params, x):
        numbers = ("NHWC", "HWIO", "NHWC")
        x = lax.conv_general_dilated(x, params["conv"], (2, 2), "SAME", dimension_numbers=numbers)
        mean, spread = x.mean((0, 1, 2)), x.var((0, 1, 2))
        x = (x - mean) * lax.rsqrt(spread + 1e-5) * params["scale"] + params["shift"]
        x = lax.conv_general_dilated(
            jax.nn.relu(x),
            params["depthwise"],
            (1, 1),
            "SAME",
            dimension_numbers=numbers,
            feature_group_count=4,
        )
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return cross_entropy(x.mean((1, 2)) @ params["out"], LABELS)

    return loss, (params, draw(3, 4, 8, 8, 2))


def rnn():
    params = {"w": draw(0, 3, 6) / 2, "u": draw(1, 6, 6) / 2}

    def loss(params, x):
        def step(h, u):
            h = jnp.tanh(u @ params["w"] + h @ params["u"])
            return h, h.mean()

        h, means = lax.scan(step, jnp.zeros((4, 6)), x)
        return (h**2).sum() + means.sum()

    return loss, (params, draw(2, 5, 4, 3))


def lstm():
    params = {"w": draw(0, 9, 24) / 3, "out": draw(1, 6, 3)}

    def loss(params, x):
        def step(state, u):
            h, c = state
            i, f, g, o = jnp.split(jnp.concatenate([u, h], axis=1) @ params["w"], 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        (h, _), _ = lax.scan(step, (jnp.zeros((4, 6)), jnp.zeros((4, 6))), x, reverse=True)
        return cross_entropy(h @ params["out"], LABELS)

    return loss, (params, draw(2, 5, 4, 3))


def attention():
    params = {name: draw(i, 6, 6) / 2 for i, name in enumerate("qkvo")}

    def loss(params, x):
        q, k, v = ((x @ params[name]).reshape(2, 4, 2, 3) for name in "qkv")
        score = jnp.einsum("bihd,bjhd->bhij", q, k) / 3**0.5
        score = jnp.where(jnp.tril(jnp.ones((4, 4), bool)), score, -jnp.inf)
        y = jnp.einsum("bhij,bjhd->bihd", jax.nn.softmax(score), v).reshape(2, 4, 6)
        return ((y @ params["o"] + x) ** 3).sum()

    return loss, (params, draw(9, 2, 4, 6))


@jax.custom_vjp
def clipped_sine(x):
    return jnp.sin(x)


clipped_sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (jnp.clip(g, -0.1, 0.1) * jnp.cos(x),))


@jax.custom_jvp
def soft(x):
    return jnp.log1p(jnp.exp(x))


soft.defjvps(lambda t, y, x: t * jax.nn.sigmoid(x))


def branches():
    """Cond inside of scan, nested scans, remat, custom rules, a function of its own, jit in jit."""

    def loss(w, x, scale):
        h = clipped_sine(jax.checkpoint(lambda a: jnp.sin(a @ w) * 2)(x))

        def body(c, u):
            c = lax.cond(c.sum() > u, lambda a: jnp.sin(a) * u, lambda a: a * a, c)
            c, _ = lax.scan(lambda d, _: (soft(d @ w) * scale, None), c, length=2)
            return jax.checkpoint(jax.jit(lambda a: jax.nn.softmax(a @ w) * u))(c), c.sum()

        h, sums = lax.scan(body, h, jnp.arange(3.0))
        h = lax.switch(jnp.int32(2), [jnp.sin, jnp.cos, lambda a: a**2 * scale], h)
        steps = lax.fori_loop(0, 3, lambda i, a: a * w.sum(), scale)
        return (h**2).sum() + sums.sum() + steps

    return loss, (draw(0, 3, 3) / 2, draw(1, 2, 3), 0.7)


def scanned_layers():
    params = {"w": draw(0, 4, 5, 5) / 2, "b": draw(1, 4, 5)}

    def loss(params, x):
        def layer(x, p):
            return jax.nn.relu(x @ p["w"] + p["b"][None]), None

        return (lax.scan(jax.checkpoint(layer), x, params)[0] ** 2).mean()

    return loss, (params, draw(2, 3, 5))


def equinox_batch_norm():
    class Net(eqx.Module):
        conv: eqx.nn.Conv2d
        norm: eqx.nn.BatchNorm
        out: eqx.nn.Linear

        def __call__(self, x, state):
            x = self.conv(x)
            x, state = self.norm(x, state)
            return self.out(jax.nn.relu(x).mean((1, 2))), state

    keys = jax.random.split(jax.random.key(0), 2)
    net, state = eqx.nn.make_with_state(
        lambda: Net(
            eqx.nn.Conv2d(1, 4, 3, key=keys[0]),
            eqx.nn.BatchNorm(4, "batch", mode="batch"),
            eqx.nn.Linear(4, 3, key=keys[1]),
        )
    )()

    def loss(net, x, state):
        call = jax.vmap(net, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        logits, state = call(x, state)
        return cross_entropy(logits, LABELS), state

    return loss, (net, draw(1, 4, 1, 6, 6), state)


def linen():
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.LayerNorm()(nn.relu(nn.Dense(6)(x)))
            return nn.Dense(3)(x)

    net = Net()
    params = net.init(jax.random.key(0), draw(0, 4, 5))
    return (lambda params, x: cross_entropy(net.apply(params, x), LABELS)), (params, draw(1, 4, 5))


def nnx_module():
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(5, 6, rngs=rngs)
            self.second = nnx.Linear(6, 3, rngs=rngs)

        def __call__(self, x):
            return self.second(nnx.relu(self.first(x)))

    definition, state = nnx.split(Net(nnx.Rngs(0)))
    return (lambda state, x: cross_entropy(nnx.merge(definition, state)(x), LABELS)), (state, draw(1, 4, 5))


FUNCTIONS = {
    make.__name__: make
    for make in (
        mlp, jitted_mlp, plain, batch_norm_cnn, rnn, lstm, attention, branches, scanned_layers,
        equinox_batch_norm, linen, nnx_module,
    )
}  # fmt: skip


def reference(loss, args):
    """The loss and JAX's own gradient by every floating-point array, in order."""
    args = [jnp.asarray(arg) if isinstance(arg, float) else arg for arg in args]
    moved, fixed = eqx.partition(args, eqx.is_inexact_array)

    def scalar(moved):
        result = loss(*eqx.combine(moved, fixed))
        return result[0] if isinstance(result, tuple) else result

    value, gradient = jax.value_and_grad(scalar)(moved)
    return value, jax.tree.leaves(gradient)
