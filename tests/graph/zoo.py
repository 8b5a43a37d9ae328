"""Functions of the wider world: what people write with JAX, one small example of each kind.

Each entry of `ZOO` makes (function, arguments, keyword arguments). `DIFFERENTIABLE` are those with a gradient.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .functions import LABELS, cross_entropy, draw

X = draw(7, 4, 5)
SQUARE = draw(8, 4, 4)
ZOO = {}
NO_GRADIENT = set()


def entry(make=None, *, gradient=True):
    """List a function here; `gradient` says whether it has one."""
    if make is None:
        return partial(entry, gradient=gradient)
    ZOO[make.__name__] = make
    if not gradient:
        NO_GRADIENT.add(make.__name__)
    return make


@entry
def keyword_arguments():
    def loss(params, *, x, scale=2.0, power=2):
        return ((params["w"] * x * scale) ** power).sum()

    return loss, ({"w": X},), {"power": 3, "scale": 0.5, "x": X + 1}


@entry
def leaves_that_are_no_arrays():
    def loss(params, x):
        h = x @ params["w"]
        return (getattr(jnp, params["activation"])(h) * params["scale"]).sum() + len(params["names"])

    params = {"w": X.T, "activation": "tanh", "scale": 0.5, "names": ("a", "b"), "nothing": None}
    return loss, (params, X), {}


@entry
def integer_inputs():
    def loss(table, tokens):
        return cross_entropy(table[tokens].mean(1) @ table.T, jnp.array([0, 1, 2])) + tokens.max()

    return loss, (draw(0, 6, 4), jnp.array([[0, 1], [2, 2], [5, 0]])), {}


@entry
def random_key():
    def loss(w, key):
        key, sub = jax.random.split(key)
        keep = jax.random.bernoulli(key, 0.7, w.shape)
        noise = jax.random.normal(sub, w.shape)
        return (jnp.where(keep, w / 0.7, 0.0) + 0.1 * noise * w).sum()

    return loss, (X, jax.random.key(3)), {}


@entry
def legacy_random_key():
    return (lambda w, key: (w * jax.random.uniform(key, w.shape)).sum()), (X, jax.random.PRNGKey(3)), {}


class Outputs(NamedTuple):
    loss: jax.Array
    logits: jax.Array
    count: int


@entry
def several_outputs():
    def loss(w, x):
        logits = x @ w
        return Outputs((logits**2).mean(), logits, 3)

    return loss, (X.T, X), {}


@entry
def auxiliary_output():
    def loss(w, x):
        y = jnp.tanh(x @ w)
        return y.sum(), {"y": y, "name": "word", "is_small": y < 0.1}

    return loss, (X.T, X), {}


@entry
def jitted_with_static_arguments():
    @partial(jax.jit, static_argnames="power")
    def loss(x, power=2):
        return (x**power).sum()

    return loss, (X,), {"power": 4}


@entry
def a_method():
    class Net:
        def __init__(self):
            self.bias = jnp.ones(4)

        def loss(self, w, x):
            return jnp.sin(x @ w + self.bias).sum()

    return Net().loss, (X.T, X), {}


@entry
def a_partial():
    return partial(lambda w, x, k: ((x @ w) * k).sum(), X.T, k=2.0), (X,), {}


@entry
def a_gradient_inside():
    """A meta-learning step: the loss after one step of gradient descent."""

    def loss(w, x):
        def inner(w):
            return jnp.square(jnp.tanh(x @ w)).mean()

        return inner(w - 0.1 * jax.grad(inner)(w))

    return loss, (X.T, X), {}


@entry
def hessian_vector_product():
    def loss(w, v):
        def f(w):
            return jnp.tanh(w @ w.T).sum()

        return jnp.vdot(jax.jvp(jax.grad(f), (w,), (v,))[1], v)

    return loss, (X, X + 1), {}


@entry
def vmapped():
    return (lambda w, x: jax.vmap(lambda row: jnp.tanh(row @ w).sum())(x).sum()), (X.T, X), {}


@entry
def vmapped_with_a_named_axis():
    def loss(x):
        return jax.vmap(lambda row: (row / lax.psum(row, "rows")) ** 2, axis_name="rows")(x).sum()

    return loss, (X + 5,), {}


@entry
def policy_of_checkpoint():
    def block(w, x):
        return jnp.sin(jnp.tanh(x @ w) @ w.T)

    def loss(w, x):
        keep = jax.checkpoint_policies.dots_saveable
        return jax.checkpoint(block, policy=keep)(w, jax.checkpoint(block, prevent_cse=False)(w, x)).sum()

    return loss, (X.T, X), {}


@entry
def checkpoint_by_name():
    from jax.ad_checkpoint import checkpoint_name

    def block(x):
        return jnp.sin(checkpoint_name(jnp.sin(x), "inner"))

    policy = jax.checkpoint_policies.save_only_these_names("inner")
    return (lambda x: jax.checkpoint(block, policy=policy)(x).sum()), (X,), {}


@entry
def custom_jvp_with_settings():
    @partial(jax.custom_jvp, nondiff_argnums=(1,))
    def power(x, n):
        return x**n

    power.defjvp(lambda n, primals, tangents: (power(*primals, n), n * primals[0] ** (n - 1) * tangents[0]))
    return (lambda x: jax.vmap(lambda row: power(row, 3).sum())(x).sum()), (X,), {}


@entry
def custom_vjp_of_trees():
    @jax.custom_vjp
    def f(tree, n):
        return {"out": jnp.sin(tree["a"]) * tree["b"] * n}

    f.defvjp(
        lambda tree, n: (f(tree, n), (tree, n)),
        lambda saved, g: (
            {
                "a": jnp.cos(saved[0]["a"]) * saved[0]["b"] * saved[1] * g["out"],
                "b": jnp.sin(saved[0]["a"]) * saved[1] * g["out"],
            },
            None,
        ),
    )
    return (lambda a, b: (f({"a": a, "b": b}, 3)["out"] ** 2).sum()), (X, X + 1), {}


@entry
def root_by_implicit_differentiation():
    def loss(a):
        root = lax.custom_root(
            lambda x: x**3 - a, jnp.ones_like(a),
            lambda f, x: lax.fori_loop(0, 30, lambda i, x: x - f(x) / (3 * x**2), x),
            lambda g, y: y / g(jnp.ones_like(y)),
        )  # fmt: skip
        return (root**2).sum()

    return loss, (jnp.array([2.0, 5.0]),), {}


@entry
def conjugate_gradients():
    matrix = SQUARE @ SQUARE.T + 4 * jnp.eye(4)

    def loss(b, shift):
        solve = jax.scipy.sparse.linalg.cg(lambda v: matrix @ v + shift * v, b, maxiter=20)[0]
        return (solve**2).sum()

    return loss, (X[:, 0], jnp.float32(0.5)), {}


@entry(gradient=False)
def while_loop():
    def fn(x):
        return lax.while_loop(lambda s: jnp.linalg.norm(s) < 100, lambda s: s * 1.5 + jnp.sin(s), x).sum()

    return fn, (X,), {}


@entry
def while_loop_beside_the_loss():
    def loss(x):
        trips = lax.while_loop(lambda s: s[0] < 100, lambda s: (s[0] * 2, s[1] + 1), (x.sum() ** 2 + 1, 0))[1]
        return (x**2).sum() * trips

    return loss, (X,), {}


@entry
def associative_scan():
    def loss(a, b):
        def combine(left, right):
            return left[0] * right[0], right[0] * left[1] + right[1]

        return (lax.associative_scan(combine, (jax.nn.sigmoid(a), b))[1] ** 2).sum()

    return loss, (X, X + 1), {}


@entry
def mapped():
    return (lambda x: lax.map(lambda row: jnp.tanh(row).sum() ** 2, x, batch_size=2).sum()), (X,), {}


@entry
def scan_with_unrolling_and_integers():
    def loss(w, tokens):
        def step(carry, token):
            h, count = carry
            return (jnp.tanh(h + w[token]), count + 1), (h.sum(), token)

        (h, count), (sums, _) = lax.scan(step, (jnp.zeros(5), 0), tokens, unroll=2)
        return (h**2).sum() / count + sums.sum()

    return loss, (X, jnp.array([0, 3, 3, 1, 2])), {}


@entry
def sorting():
    def loss(x):
        y = jnp.sort(x, axis=1) * jnp.arange(5.0)
        values, places = lax.top_k(x, 2)
        return y.sum() + (values**2).sum() + x[jnp.arange(4), jnp.argmax(x, 1)].sum() + places.sum()

    return loss, (X,), {}


@entry
def gather_and_scatter():
    def loss(x, i):
        y = jnp.zeros((6, 5)).at[i].add(x).at[0].mul(2.0).at[1].set(x[0]).at[2].max(x[1])
        return (jnp.take_along_axis(y, jnp.array([[0], [1], [2], [3], [4], [0]]), 1) ** 2).sum() + y.sum()

    return loss, (X, jnp.array([0, 2, 2, 5])), {}


@entry
def running_sums():
    def loss(x):
        return (jnp.cumsum(x, 1) * jnp.cumprod(x, 0)).sum() + jnp.logaddexp.accumulate(x, axis=1).sum()

    return loss, (X,), {}


@entry
def fourier():
    def loss(x, h):
        y = jnp.fft.irfft(jnp.fft.rfft(x, 8) * jnp.fft.rfft(h, 8), 8)
        return (y**2).sum() + jnp.abs(jnp.fft.fft2(x)).sum()

    return loss, (X, X[0]), {}


@entry
def complex_numbers():
    def loss(re, im):
        z = lax.complex(re, im)
        return jnp.abs(jnp.exp(z) * z.conj()).sum() + (z @ z.T).real.sum()

    return loss, (X, X + 1), {}


@entry
def decompositions():
    def loss(a):
        spd = a @ a.T + jnp.eye(4)
        lower = jnp.linalg.cholesky(spd)
        w, v = jnp.linalg.eigh(spd)
        solved = jax.scipy.linalg.solve_triangular(lower, a, lower=True)
        return solved.sum() + (w * v[0]).sum() ** 2 + jnp.linalg.slogdet(spd)[1]

    return loss, (SQUARE,), {}


@entry
def more_decompositions():
    def loss(a):
        u, s, vt = jnp.linalg.svd(a, full_matrices=False)
        q, r = jnp.linalg.qr(a.T)
        low = (u[:, :2] * s[:2]) @ vt[:2]
        return (low**3).sum() + (jnp.abs(r) ** 2).sum() + (q[0] ** 2).sum() + jnp.linalg.inv(a[:, :4]).sum()

    return loss, (X,), {}


@entry
def matrix_functions():
    def loss(a):
        return jax.scipy.linalg.expm(a / 4).sum() + jnp.linalg.solve(a + 3 * jnp.eye(4), a).sum()

    return loss, (SQUARE,), {}


@entry
def special_functions():
    def loss(x):
        y = jnp.abs(x) + 0.5
        z = lax.lgamma(y) + lax.digamma(y) + lax.erf(x) + jax.scipy.special.i0e(x)
        return (
            z + lax.betainc(2.0 + 0 * lax.stop_gradient(x), 3.0 + 0 * lax.stop_gradient(x), jax.nn.sigmoid(x))
        ).sum()

    return loss, (X,), {}


@entry
def transposed_and_dilated_convolutions():
    numbers = ("NHWC", "HWIO", "NHWC")

    def loss(up, wide, grouped, x):
        y = lax.conv_transpose(x, up, (2, 2), "SAME", dimension_numbers=numbers)
        z = lax.conv_general_dilated(y, wide, (1, 1), "SAME", rhs_dilation=(2, 2), dimension_numbers=numbers)
        return (lax.conv_general_dilated(z, grouped, (2, 2), "VALID", dimension_numbers=numbers,
                                         feature_group_count=2) ** 2).mean()  # fmt: skip

    return loss, (draw(0, 3, 3, 2, 4), draw(1, 3, 3, 4, 4), draw(2, 3, 3, 2, 6), draw(3, 2, 5, 5, 2)), {}


@entry
def pooling():
    def loss(x):
        mean = lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "SAME") / 4
        return (mean * lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")).sum()

    return loss, (draw(3, 2, 5, 5, 2),), {}


@entry
def interpolation():
    return (lambda x: (jax.image.resize(x, (8, 8), "cubic") ** 2).sum()), (SQUARE,), {}


@entry
def jaxs_own_attention():
    def loss(q, k, v):
        return (jax.nn.dot_product_attention(q, k, v, is_causal=True) ** 2).sum()

    return loss, tuple(draw(i, 2, 4, 2, 3) for i in range(3)), {}


@entry
def half_precision():
    def loss(w, x):
        y = x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)
        return jax.nn.gelu(y).astype(jnp.float32).sum()

    return loss, (X.T, X), {}


@entry
def sharded_by_a_mesh():
    def loss(w, x):
        mesh = jax.make_mesh((2,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
        spec = jax.sharding.PartitionSpec
        part = jax.shard_map(
            lambda w, x: lax.psum(jnp.tanh(x @ w).sum(), "rows"), mesh=mesh,
            in_specs=(spec(), spec("rows")), out_specs=spec(),
        )  # fmt: skip
        return part(w, x) ** 2

    return loss, (X.T, X), {}


@entry
def pmapped():
    def loss(w, x):
        return jax.pmap(lambda x: jnp.tanh(x @ w).sum())(x.reshape(2, 2, 5)).sum()

    return loss, (X.T, X), {}


@entry(gradient=False)
def a_callback():
    def fn(x):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(lambda a: np.sin(a), shape, x, vmap_method="sequential").sum()

    return fn, (X,), {}


@entry(gradient=False)
def pallas_kernel():
    from jax.experimental import pallas as pl

    def double(x_ref, out_ref):
        out_ref[...] = 2 * x_ref[...]

    def fn(x):
        call = pl.pallas_call(double, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)
        return call(x).sum()

    return fn, (X,), {}


@entry
def print_inside():
    def loss(x):
        jax.debug.callback(lambda total: None, x.sum())
        return (x**2).sum()

    return loss, (X,), {}


@entry
def empty_and_scalar_arrays():
    def loss(x, empty, number):
        return (x * number).sum() + empty.sum() + jnp.concatenate([x[:, 0], empty]).sum()

    return loss, (X, jnp.zeros(0), jnp.float32(2.0)), {}


@entry
def unused_and_repeated_outputs():
    def loss(x, unused):
        return (x**2).sum(), x, x, unused

    return loss, (X, SQUARE), {}


@entry
def haiku_style():
    """Init and apply over a dictionary of `module/name`, as Haiku writes them."""

    def init(key, x):
        shapes = {"mlp/~/linear_0": (5, 6), "mlp/~/linear_1": (6, 3)}
        keys = jax.random.split(key, 2)
        return {
            name: {"w": jax.random.normal(k, shape) / 2, "b": jnp.zeros(shape[1])}
            for (name, shape), k in zip(shapes.items(), keys, strict=True)
        }

    def apply(params, rng, x):
        for i in range(2):
            layer = params[f"mlp/~/linear_{i}"]
            x = x @ layer["w"] + layer["b"]
            x = jax.nn.relu(x) if i == 0 else x
        return x

    params = init(jax.random.key(0), X)
    return (lambda params, rng, x: cross_entropy(apply(params, rng, x), LABELS)), (params, None, X), {}


@entry
def optax_step():
    import optax

    rule = optax.adam(1e-2)

    def loss(w, x):
        def f(w):
            return jnp.square(x @ w).mean()

        updates, _ = rule.update(jax.grad(f)(w), rule.init(w), w)
        return f(optax.apply_updates(w, updates))

    return loss, (X.T, X), {}


@entry
def mixture_of_experts():
    def loss(params, x):
        gates = jax.nn.softmax(x @ params["gate"])
        best = jnp.argmax(gates, 1)
        hidden = jax.nn.silu(jnp.einsum("bi,bio->bo", x, params["experts"][best]))
        return (hidden * jnp.take_along_axis(gates, best[:, None], 1)).sum()

    return loss, ({"gate": draw(0, 5, 3), "experts": draw(1, 3, 5, 2)}, X), {}
