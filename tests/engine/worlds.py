"""Small problems for the tests of the engine, and slow references that train them one step at a time."""

import jax
import jax.numpy as jnp
import numpy as np

from fathom.engine import Population
from fathom.engine.feed import Feed, epoch_order
from fathom.engine.functions import run_step

ROWS, FEATURES = 40, 3


def regression(rows=ROWS, seed=7):
    """Rows of a linear target with noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, FEATURES)).astype(np.float32)
    y = (x @ np.array([1.0, -2.0, 0.5]) + 0.3 + 0.1 * random.normal(size=rows)).astype(np.float32)
    return {"x": x, "y": y}


def net_init(key, settings):
    """A net of one hidden layer with momentum, its own random key and a count of steps."""
    first, second, noise = jax.random.split(key, 3)
    params = {
        "w1": jax.random.normal(first, (FEATURES, 8)),
        "b1": jnp.zeros(8),
        "w2": jax.random.normal(second, (8, 1)) / 3,
    }
    return {
        "params": params,
        "momentum": jax.tree.map(jnp.zeros_like, params),
        "key": noise,
        "step": jnp.int32(0),
    }


def net_loss(params, batch, noise):
    hidden = jnp.tanh(batch["x"] @ params["w1"] + params["b1"][None] + noise)
    return jnp.mean(((hidden @ params["w2"])[:, 0] - batch["y"]) ** 2)


def net_step(state, batch, settings):
    key = jax.random.fold_in(state["key"], state["step"])
    noise = settings["noise"] * (jax.random.uniform(key, (batch["x"].shape[0], 8)) - 0.5)
    loss, grads = jax.value_and_grad(net_loss)(state["params"], batch, noise)
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, state["momentum"], grads)
    params = jax.tree.map(lambda p, m: p - settings["learning_rate"] * m, state["params"], momentum)
    return {**state, "params": params, "momentum": momentum, "step": state["step"] + 1}, {"loss": loss}


def net_evaluate(state, split):
    return {"loss": net_loss(state["params"], split, 0.0)}


def net_population(**settings):
    """The net at each setting; every test that uses it with the same lanes shares one compiled program."""
    return Population(net_init, net_step, net_evaluate, {"noise": 0.05, **settings})


def loop(functions, feed, seed, settings, epochs, batch_size, fold=0):
    """The slow reference: one member in a plain loop. Yields (epoch, step, state, loss) after each step."""
    settings = {name: jnp.float32(value) for name, value in settings.items()}
    state = functions.init(jax.random.key(np.uint32(seed)), settings)
    step = jax.jit(lambda state, batch: run_step(functions, state, batch, settings))
    steps, rows = feed.steps(batch_size), feed.batch_rows(batch_size)
    for epoch in range(epochs):
        order = epoch_order(feed, seed, fold, epoch, steps * rows).reshape(steps, rows)
        for index in range(steps):
            chosen = order[index]
            batch = jax.tree.map(lambda a, rows=chosen: a[min(fold, len(a) - 1), rows], feed.examples)
            state, metrics = step(state, batch)
            yield epoch, epoch * steps + index, state, float(metrics.get("loss", 0.0))


def bits(tree):
    """The bytes of every array of a tree, to be compared exactly."""
    leaves = jax.tree.leaves(tree)
    plain = [jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a for a in leaves]
    return [np.asarray(a).tobytes() for a in plain]


def member_bits(result, member):
    """All that a member ends with: its kept state, its last state, its record."""
    slot = result._training.slot(member)
    return bits(slot["best"]) + bits(slot["state"]), repr(result.records[member])


__all__ = ["FEATURES", "ROWS", "Feed", "bits", "loop", "member_bits", "net_population", "regression"]
