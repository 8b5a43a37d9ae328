"""What Fathom's peers count on the functions of `tests/graph/peers.py`.

Run it twice, from the folder `tests`: with an interpreter that has PyTorch, torchinfo, fvcore and torchviz
(and graphviz's Python package), and with one that has JAX and Flax: ``python -m golden.make_graph``. Each
writes its columns into graph.json beside itself; the tests read that file and need none of the peers.
"""

import json
import re
from importlib.metadata import version
from pathlib import Path

PATH = Path(__file__).with_suffix("").with_name("graph.json")


def with_torch() -> dict:
    """Columns of torchinfo, fvcore, torch's own counter and torchviz."""
    import torch
    import torchinfo
    import torchviz
    from fvcore.nn import FlopCountAnalysis, parameter_count
    from torch import nn
    from torch.utils.checkpoint import checkpoint
    from torch.utils.flop_counter import FlopCounterMode

    def dense(a, b, bias=False):
        return nn.Linear(a, b, bias=bias)

    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = dense(64, 64)

        def forward(self, x):
            for _ in range(3):
                x = torch.tanh(self.a(x))
            return x

    class Remat(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = (
                nn.Sequential(dense(64, 64), nn.Tanh(), dense(64, 64), nn.Tanh()) for _ in range(2)
            )

        def forward(self, x):
            for block in (self.a, self.b):
                x = checkpoint(block, x, use_reentrant=False)
            return x

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(64, 4, bias=False, batch_first=True)

        def forward(self, x):
            return self.inner(x, x, x, need_weights=False)[0]

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.RNN(32, 64, bias=False)

        def forward(self, x):
            return self.cell(x)[1]

    class Embedding(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.out = nn.Embedding(500, 16), dense(16, 32)

        def forward(self, tokens):
            return self.out(self.table(tokens))

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.out = nn.Embedding(500, 16), dense(16, 500)
            self.out.weight = self.table.weight

        def forward(self, tokens):
            return self.out(self.table(tokens))

    class Cond(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = dense(64, 64), dense(64, 64)

        def forward(self, x):
            return self.b(self.a(x)) if x.sum() > 0 else self.a(x)

    class While(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = dense(64, 64)

        def forward(self, x):
            limit, count = 70 * float(x[0, 0]), 0
            while count < limit - 1e-3:
                x, count = self.a(x), count + 1
            return x

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(context, x, w):
            context.save_for_backward(x, w)
            return x @ w

        @staticmethod
        def backward(context, g):
            x, w = context.saved_tensors
            return g @ w.T, x.T @ g

    class Custom(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.full((64, 64), 0.1))

        def forward(self, x):
            return Product.apply(x, self.w)

    def convolution(channels, out, x, **settings):
        return nn.Conv2d(channels, out, 3, bias=False, **settings), torch.full(x, 0.1)

    x = torch.full((8, 64), 0.1)
    cases = {
        "mlp": (nn.Sequential(dense(64, 128, True), nn.Tanh(), dense(128, 32, True)), x),
        "shared_weights": (Shared(), x),
        "recurrent_scan": (Last(), torch.full((10, 8, 32), 0.1)),
        "remat": (Remat(), x),
        "attention": (Attention(), torch.full((2, 16, 64), 0.1)),
        "convolution": convolution(8, 16, (2, 8, 10, 10)),
        "padded_convolution": convolution(8, 16, (2, 8, 8, 8), padding=1),
        "depthwise_convolution": convolution(8, 8, (2, 8, 10, 10), groups=8),
        "grouped_convolution": convolution(8, 16, (2, 8, 10, 10), groups=2),
        "dilated_convolution": convolution(8, 16, (2, 8, 12, 12), dilation=2),
        "transposed_convolution": (
            nn.ConvTranspose2d(8, 4, 3, stride=2, bias=False),
            torch.full((2, 8, 8, 8), 0.1),
        ),
        "batch_norm": (
            nn.Sequential(nn.Conv2d(8, 16, 3, bias=False), nn.BatchNorm2d(16)),
            torch.full((2, 8, 10, 10), 0.1),
        ),
        "embedding": (Embedding(), torch.arange(24).reshape(2, 12)),
        "tied_embedding": (Tied(), torch.arange(24).reshape(2, 12)),
        "cond": (Cond(), x),
        "while_loop": (While(), x),
        "custom_rule": (Custom(), x),
    }
    found = {name: {} for name in ("torchinfo", "fvcore", "torch's counter", "torchviz")}
    for name, (net, inputs) in cases.items():
        table = torchinfo.summary(net, input_data=[inputs], verbose=0, mode="train")
        found["torchinfo"][name] = {"parameters": table.total_params, "operations": 2 * table.total_mult_adds}
        analysis = (
            FlopCountAnalysis(net, inputs).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        )
        found["fvcore"][name] = {
            "parameters": parameter_count(net)[""], "operations": 2 * int(analysis.total()),
        }  # fmt: skip
        with FlopCounterMode(display=False) as counter:
            net(inputs)
        found["torch's counter"][name] = {"operations": counter.get_total_flops()}
        dot = torchviz.make_dot(net(inputs).sum(), params=dict(net.named_parameters())).source
        found["torchviz"][name] = {
            "nodes": len(re.findall(r"^\s*\d+ \[label", dot, re.M)),
            "lines": ".py" in dot,
        }
    packages = {
        "torchinfo": "torchinfo",
        "fvcore": "fvcore",
        "torch's counter": "torch",
        "torchviz": "torchviz",
    }
    return {name: {"version": version(packages[name]), "cases": cases} for name, cases in found.items()}


def with_jax() -> dict:
    """Columns of XLA's cost analysis and of Flax's tabulate."""
    import jax
    import jax.numpy as jnp
    from flax import linen as nn
    from flax.linen.summary import _get_module_table

    from graph.peers import CASES, _product

    def dense(n, bias=False, name=None):
        return nn.Dense(n, use_bias=bias, name=name)

    class Net(nn.Module):
        case: str

        @nn.compact
        def __call__(self, x):
            return getattr(self, self.case)(x)

        def mlp(self, x):
            return dense(32, True)(jnp.tanh(dense(128, True)(x)))

        def shared_weights(self, x):
            layer = dense(64)
            for _ in range(3):
                x = jnp.tanh(layer(x))
            return x

        def recurrent_scan(self, x):
            class Cell(nn.Module):
                @nn.compact
                def __call__(self, h, u):
                    return jnp.tanh(dense(64)(u) + dense(64)(h)), None

            scan = nn.scan(Cell, variable_broadcast="params", split_rngs={"params": False})
            return scan()(jnp.zeros((8, 64)), x)[0]

        def remat(self, x):
            class Block(nn.Module):
                @nn.compact
                def __call__(self, x):
                    return jnp.tanh(dense(64)(jnp.tanh(dense(64)(x))))

            for _ in range(2):
                x = nn.remat(Block)()(x)
            return x

        def attention(self, x):
            return nn.MultiHeadDotProductAttention(4, use_bias=False)(x)

        def embedding(self, tokens):
            return dense(32)(nn.Embed(500, 16)(tokens))

        def tied_embedding(self, tokens):
            table = nn.Embed(500, 16)
            return table.attend(table(tokens))

        def convolution(self, x, n=16, **settings):
            return nn.Conv(n, (3, 3), use_bias=False, **{"padding": "VALID", **settings})(x)

        def padded_convolution(self, x):
            return self.convolution(x, padding="SAME")

        def depthwise_convolution(self, x):
            return self.convolution(x, 8, feature_group_count=8)

        def grouped_convolution(self, x):
            return self.convolution(x, feature_group_count=2)

        def dilated_convolution(self, x):
            return self.convolution(x, kernel_dilation=2)

        def transposed_convolution(self, x):
            return nn.ConvTranspose(4, (3, 3), (2, 2), padding="VALID", use_bias=False)(x)

        def batch_norm(self, x):
            return nn.BatchNorm(use_running_average=False)(self.convolution(x))

        def cond(self, x):
            a, b = dense(64, name="a"), dense(64, name="b")
            if self.is_initializing():
                return b(a(x))
            return nn.cond(x.sum() > 0, lambda m, x: b(a(x)), lambda m, x: a(x), self, x)

        def while_loop(self, x):
            layer, limit = dense(64, name="a"), 70 * x[0, 0]
            if self.is_initializing():
                return layer(x)

            def body(module, state):
                return layer(state[0]), state[1] + 1.0

            return nn.while_loop(
                lambda m, s: s[1] < limit, body, self, (x, 0.0), broadcast_variables="params"
            )[0]

        def custom_rule(self, x):
            return _product(x, self.param("w", nn.initializers.ones, (64, 64)))

    found = {"XLA": {}, "Flax tabulate": {}}
    for name, make in CASES.items():
        case = make()
        analysis = jax.jit(case.fn).lower(case.params, *case.args).compile().cost_analysis()
        found["XLA"][name] = {"operations": int(analysis["flops"])}
        try:
            table = _get_module_table(Net(name), depth=None, show_repeated=False, compute_flops=True,
                                      compute_vjp_flops=False)  # fmt: skip
            rows = table(jax.random.key(0), *case.args)
            leaves = [
                leaf for row in rows for leaf in jax.tree.leaves(row.counted_variables.get("params", {}))
            ]
            found["Flax tabulate"][name] = {
                "parameters": sum(leaf.size for leaf in leaves), "operations": int(rows[0].flops),
            }  # fmt: skip
        except Exception as error:  # what it cannot do is what is measured
            found["Flax tabulate"][name] = {"error": f"{type(error).__name__}: {error}"[:120]}
    return {
        "XLA": {"version": version("jaxlib"), "cases": found["XLA"]},
        "Flax tabulate": {"version": version("flax"), "cases": found["Flax tabulate"]},
    }


def nan_finders() -> dict:
    """Whether jax.debug_nans (with debug_infs) and checkify speak of a non-finite number, and name its line."""
    import inspect
    import traceback

    import jax
    from jax.experimental import checkify

    from graph.peers import nan_cases

    def told(fn, run):
        lines, first = inspect.getsourcelines(fn)
        here = [first + i for i, line in enumerate(lines) if "# here" in line]
        try:
            run()
        except Exception as error:  # what it says is what is measured
            text = "".join(traceback.format_exception(error))
            return {
                "raised": True,
                "line": any(f"peers.py:{n}" in text or f"line {n}, in" in text for n in here),
            }
        return {"raised": False, "line": False}

    def debug_nans(fn, x):
        with jax.debug_nans(True), jax.debug_infs(True):
            jax.jit(jax.value_and_grad(fn))(x) if fn.__name__ != "inside_of_a_while" else jax.jit(fn)(x)

    def checked(fn, x):
        gradient = fn if fn.__name__ == "inside_of_a_while" else jax.value_and_grad(fn)
        error, _ = checkify.checkify(gradient, errors=checkify.float_checks)(x)
        error.throw()

    found = {"jax.debug_nans": {}, "checkify": {}}
    for name, (fn, x) in nan_cases().items():
        found["jax.debug_nans"][name] = told(fn, lambda fn=fn, x=x: debug_nans(fn, x))
        found["checkify"][name] = told(fn, lambda fn=fn, x=x: checked(fn, x))
    return {tool: {"version": version("jax"), "cases": cases} for tool, cases in found.items()}


if __name__ == "__main__":
    try:
        import torch as _torch  # noqa: F401

        columns = with_torch()
    except ImportError:
        columns = with_jax() | nan_finders()
    before = json.loads(PATH.read_text()) if PATH.exists() else {}
    PATH.write_text(json.dumps(before | columns, indent=1) + "\n")
