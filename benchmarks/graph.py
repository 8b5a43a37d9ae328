"""What watching a training step costs: statistics of every node beside the plain step, interleaved.

    python -m benchmarks.graph [--only small mlp cnn transformer] [--seconds 4]

Each net trains with Adam. Its plain step (`jax.value_and_grad`) and the same step with `fathom.graph.watch` in
place of it take turns, a batch each, and the median of the ratios is kept: with the norm, mean and non-finite count of
every node forward and backward; with all eight statistics; and for a population of four members under `jax.vmap`.
"every 50" is what the eight cost at every fiftieth step. Results are kept in results/graph.json.
"""

import argparse
import itertools
import json
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import optax

import fathom as fm
from fathom.graph import CHEAP, STATISTICS, watch

RESULTS = Path(__file__).parent / "results" / "graph.json"
MEMBERS = 4


def draw(seed: int, *shape: int):
    return jax.random.normal(jax.random.key(seed), shape) / shape[0] ** 0.5


def cross_entropy(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()


def small():
    """64-128-128-10, batch 128: a step so short that every further operation shows."""
    return perceptron(64, 128, 128, 10)


def mlp():
    """784-256-256-10, batch 128."""
    return perceptron(784, 256, 256, 10)


def perceptron(*sizes: int):
    params = [{"w": draw(i, a, b), "b": jnp.zeros(b)} for i, (a, b) in enumerate(itertools.pairwise(sizes))]

    def loss(params, x, y):
        for layer in params[:-1]:
            x = jax.nn.relu(x @ layer["w"] + layer["b"])
        return cross_entropy(x @ params[-1]["w"] + params[-1]["b"], y)

    return loss, params, draw(9, 128, sizes[0]) * 11, jnp.arange(128) % 10


def cnn():
    """28x28, 16 and 32 channels with batch norm, batch 64."""
    params = {
        "conv": [{"w": draw(0, 3, 3, 1, 16), "scale": jnp.ones(16), "shift": jnp.zeros(16)},
                 {"w": draw(1, 3, 3, 16, 32) / 4, "scale": jnp.ones(32), "shift": jnp.zeros(32)}],
        "out": draw(2, 32, 10),
    }  # fmt: skip

    def loss(params, x, y):
        for layer in params["conv"]:
            x = jax.lax.conv_general_dilated(
                x, layer["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = (x - x.mean((0, 1, 2))) * jax.lax.rsqrt(x.var((0, 1, 2)) + 1e-5)
            x = jax.nn.relu(x * layer["scale"] + layer["shift"])
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return cross_entropy(x.mean((1, 2)) @ params["out"], y)

    return loss, params, draw(9, 64, 28, 28, 1) * 8, jnp.arange(64) % 10


def transformer():
    """Two layers, width 128, 4 heads, 64 tokens, batch 16, pre-norm, GELU."""
    layers = [
        {"qkv": draw(4 * i, 128, 384), "o": draw(4 * i + 1, 128, 128), "up": draw(4 * i + 2, 128, 512),
         "down": draw(4 * i + 3, 512, 128), "norm": jnp.ones((2, 128))}
        for i in range(2)
    ]  # fmt: skip
    params = {"table": draw(20, 64, 128), "layers": layers}

    def norm(x, scale):
        centered = x - x.mean(-1, keepdims=True)
        return centered * jax.lax.rsqrt((centered**2).mean(-1, keepdims=True) + 1e-5) * scale

    def loss(params, tokens, y):
        x = params["table"][tokens]
        for p in params["layers"]:
            q, k, v = jnp.split(norm(x, p["norm"][0]) @ p["qkv"], 3, -1)
            q, k, v = (a.reshape(16, 64, 4, 32) for a in (q, k, v))
            score = jnp.einsum("bihd,bjhd->bhij", q, k) / 32**0.5
            score = jnp.where(jnp.tril(jnp.ones((64, 64), bool)), score, -jnp.inf)
            mixed = jnp.einsum("bhij,bjhd->bihd", jax.nn.softmax(score), v)
            x = x + mixed.reshape(16, 64, 128) @ p["o"]
            x = x + jax.nn.gelu(norm(x, p["norm"][1]) @ p["up"]) @ p["down"]
        return cross_entropy((x @ params["table"].T).reshape(-1, 64), y)

    tokens = jax.random.randint(jax.random.key(8), (16, 64), 0, 64)
    return loss, params, tokens, jnp.roll(tokens, -1, 1).reshape(-1)


NETS = {"small": small, "mlp": mlp, "cnn": cnn, "transformer": transformer}


def steps(net: str) -> tuple[dict, fm.graph.Graph]:
    """The compiled steps by name, with arguments and seconds of compiling; and the graph of the loss."""
    loss, params, x, y = NETS[net]()
    rule = optax.adam(1e-3)
    graph = fm.trace(loss, params, x, y)

    def plain(params, state, x, y):
        value, gradient = jax.value_and_grad(loss)(params, x, y)
        updates, state = rule.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    def watched(which):
        run = watch(graph, which, wrt=0)

        def step(params, state, x, y):
            value, gradient, records = run(params, x, y)
            updates, state = rule.update(gradient[0], state)
            return optax.apply_updates(params, updates), state, value, records

        return step

    def population(step):
        return jax.vmap(step, (0, 0, None, None))

    args = (params, rule.init(params), x, y)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf] * MEMBERS), args[:2])
    found = {}
    for name, step, given in (
        ("plain", plain, args),
        ("no statistics", watched(()), args),
        ("norm, mean, non-finite", watched(CHEAP), args),
        ("all eight", watched(tuple(STATISTICS)), args),
        ("population, plain", population(plain), (*many, x, y)),
        ("population, all eight", population(watched(tuple(STATISTICS))), (*many, x, y)),
    ):
        # Of the processor: other work on the machine does not count.
        start = time.process_time()
        compiled = jax.jit(step).lower(*given).compile()
        found[name] = (compiled, given, time.process_time() - start)
    return found, graph


def measure(net: str, seconds: float) -> dict:
    """One net's steps in turn, several times over."""
    found, graph = steps(net)
    times = {name: [] for name in found}
    for compiled, args, _ in found.values():
        jax.block_until_ready(compiled(*args))
    end = time.perf_counter() + seconds * len(found)
    while time.perf_counter() < end or len(times["plain"]) < 5:
        for name, (compiled, args, _) in found.items():
            # The step before left its own data in the caches: each is timed the second time in a row.
            jax.block_until_ready(compiled(*args))
            start = time.perf_counter()
            jax.block_until_ready(compiled(*args))
            times[name].append(time.perf_counter() - start)

    def ratio(name, base):
        return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))

    ratios = {
        name: ratio(name, "population, plain" if name.startswith("population") else "plain")
        for name in found
        if not name.endswith("plain")
    }
    return {
        "nodes": len(graph.nodes),
        "milliseconds": {name: round(1e3 * statistics.median(t), 3) for name, t in times.items()},
        "ratio": {name: round(value, 2) for name, value in ratios.items()},
        "every 50": round((49 + ratios["all eight"]) / 50 - 1, 3),
        "compile seconds": {name: round(t, 1) for name, (_, _, t) in found.items()},
        "rounds": len(times["plain"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--seconds", type=float, default=4.0, help="for each step of each net")
    options = parser.parse_args()
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for net in options.only:
        kept[net] = measure(net, options.seconds) | {
            "jax": version("jax"), "device": str(jax.devices()[0]), "machine": platform.machine(),
        }  # fmt: skip
        print(net, json.dumps(kept[net], indent=1), flush=True)
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
