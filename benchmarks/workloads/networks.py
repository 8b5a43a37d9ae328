"""The sides that networks of any shape share: images and sequences train with them.

All do the same work: as many epochs of as many batches of 32, AdamW with decay on the matrices, clipping at
norm 1, a constant rate, float32, first weights of the same distribution; after every epoch each network is
judged on the held rows. What is reached is the best epoch's accuracy, a mean over the networks. Every network
has a rate, first weights and an order of the rows of its own.
"""

import dataclasses
import functools
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from ..harness import Job, in_processes, mine, of_an_epoch
from .pytorch import CLIP, Work, one_by_one, together

BATCH, DECAY = 32, 1e-2
HALF = ("fathom", "torch eager", "torch compiled")  # sides with a precision of their own


@dataclasses.dataclass(frozen=True)
class Network:
    """One kind of network and its rows, for every side.

    Attributes:
        rows: inputs and classes to train on, and held inputs and classes; whole batches to train on.
        torch_rows: the same as PyTorch has them.
        fathom: ``fathom(key) -> module`` of Fathom's layers as they come.
        plain: the same with the lowerings that JAX itself would give.
        torch: ``torch() -> module`` with first weights drawn.
        products: multiplications of a row forward, of what takes the inputs and of what comes after.
        parts: parts that Fathom takes a batch in on a CPU, and the held rows as many at a time.
        precision: what training multiplies in, "float32" or "bfloat16".
    """

    rows: Callable[[], list[np.ndarray]]
    torch_rows: Callable[[], list[np.ndarray]]
    fathom: Callable[[Any], Any]
    plain: Callable[[Any], Any]
    torch: Callable[[], Any]
    products: tuple[float, float]
    parts: int = 1
    precision: str = "float32"


def rates(members: int) -> list[float]:
    """The learning rate of each network."""
    return np.geomspace(5e-4, 3e-3, members).tolist() if members > 1 else [2e-3]


def batches(seed: int, epoch: int, count: int) -> np.ndarray:
    """Which row comes when in an epoch, [steps, batch]."""
    return np.random.default_rng([seed, epoch]).permutation(count).reshape(-1, BATCH)


def digits(trained: int, held: int, shape: tuple[int, ...], size: int) -> list[np.ndarray]:
    """Scikit-learn's digits drawn larger, size x size, each laid out in a shape; both parts with all classes."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x, y, train_size=trained, test_size=held, random_state=0, stratify=y)
    x, held_x, y, held_y = parts

    def drawn(images: np.ndarray) -> np.ndarray:
        larger = zoom(images.reshape(-1, 8, 8), (1, size / 8, size / 8), order=1)
        return ((larger - 5) / 6).astype(np.float32).reshape(-1, *shape)

    return [drawn(x), y, drawn(held_x), held_y]


def _cross_entropy(logits: Any, y: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()


def _rule(rate: Any) -> Any:
    import jax
    import optax

    def matrices(params: Any) -> Any:
        return jax.tree.map(lambda p: p.ndim > 1, params)

    return optax.chain(optax.clip_by_global_norm(CLIP), optax.adamw(rate, weight_decay=DECAY, mask=matrices))


def _functions(make: Callable[[Any], Any], parts: int, precision: str = "float32") -> tuple[Any, Any, Any]:
    """`init`, `step` and `evaluate` of a network that `make` builds."""
    import equinox as eqx
    import jax
    import optax

    from fathom.nn import products_in
    from fathom.optim import gradient_in_parts, outputs_in_parts

    fixed = eqx.filter(eqx.filter_eval_shape(make, jax.random.key(0)), eqx.is_array, inverse=True)
    fixed = jax.tree.map(lambda leaf: None if hasattr(leaf, "shape") else leaf, fixed)

    def forward(params: Any, x: Any, inference: bool = False) -> Any:
        return eqx.combine(params, fixed)(x, inference)

    gradient = gradient_in_parts(lambda p, batch: _cross_entropy(forward(p, batch["x"]), batch["y"]), parts)

    def init(key: Any, settings: Any) -> Any:
        params = eqx.filter(make(key), eqx.is_array)
        return params, _rule(settings["rate"]).init(params)

    def step(state: Any, batch: Any, settings: Any) -> Any:
        params, moments = state
        with products_in(precision):
            loss, grads = gradient(params, batch)
        updates, moments = _rule(settings["rate"]).update(grads, moments, params)
        return (optax.apply_updates(params, updates), moments), {"loss": loss}

    def evaluate(state: Any, split: Any) -> Any:
        # Part by part as well: a core's cache holds no activations of all held rows.
        logits = outputs_in_parts(lambda x: forward(state[0], x, True), split["x"], BATCH // parts)
        right = (logits.argmax(1) == split["y"]).astype("float32").mean()
        return {"accuracy": right, "loss": _cross_entropy(logits, split["y"])}

    return init, step, evaluate


def fathom(network: Network, members: int, epochs: int) -> Job:
    """One population; a network alone has each batch shared by the devices."""
    import fathom as fm

    fm.configure()
    import jax

    parts = network.parts if jax.default_backend() == "cpu" else 1  # parts are made for a core's cache
    functions = _functions(network.fathom, parts, network.precision)
    x, y, held, held_y = network.rows()
    train, validation = {"x": x, "y": y.astype(np.int32)}, {"x": held, "y": held_y.astype(np.int32)}
    settings = {"rate": rates(members), "seed": list(range(members))}

    shard = "members" if members > 1 else "batch"

    def run() -> float:
        population = fm.Population(*functions, settings, score="accuracy", greater_is_better=True)
        result = population.run(train, validation, epochs=epochs, batch_size=BATCH, shard=shard)
        return float(result.scores.mean())

    return Job(run, members * epochs * (len(y) // BATCH))


def jax_loop(network: Network, members: int, epochs: int) -> Job:
    """A jitted step that takes its state over, dispatched for each batch of each network."""
    import jax
    import jax.numpy as jnp

    init, step, evaluate = _functions(network.plain, 1)
    x, y, held, held_y = map(jnp.asarray, network.rows())

    def one(state: Any, rows: Any, rate: Any) -> Any:
        return step(state, {"x": x[rows], "y": y[rows]}, {"rate": rate})[0]

    stepped, made = jax.jit(one, donate_argnums=0), jax.jit(lambda key: init(key, {"rate": 0.0}))
    judge = jax.jit(lambda state: evaluate(state, {"x": held, "y": held_y})["accuracy"])

    def run() -> float:
        reached = []
        for member, rate in enumerate(rates(members)):
            state, best = made(jax.random.key(member)), 0.0
            for epoch in range(epochs):
                for rows in batches(member, epoch, len(y)):
                    state = stepped(state, rows, rate)
                best = max(best, float(judge(state)))
            reached.append(best)
        return statistics.fmean(reached)

    return Job(run, members * epochs * (len(y) // BATCH))


def _torch_work(network: Network, members: int, epochs: int, part: int, parts: int) -> Work:
    rows = network.torch_rows()
    share = mine([(number, rate, DECAY) for number, rate in enumerate(rates(members))], part, parts)
    order = functools.partial(batches, count=len(rows[1]))
    return Work(rows, share, order, network.torch, epochs, statistics.fmean, precision=network.precision)


def torch_loop(
    network: Network,
    members: int,
    epochs: int,
    compiled: bool = False,
    threads: int = 1,
    part: int = 0,
    parts: int = 1,
) -> Job:
    """One network after another with the fused optimizer."""
    return one_by_one(_torch_work(network, members, epochs, part, parts), compiled, threads)


def torch_vmap(
    network: Network,
    members: int,
    epochs: int,
    compiled: bool = False,
    threads: int = 2,
    part: int = 0,
    parts: int = 1,
) -> Job:
    """All networks as one."""
    return together(_torch_work(network, members, epochs, part, parts), compiled, threads)


def operations(networks: dict[str, Network], kind: str, members: int, epochs: int, **_: Any) -> float:
    """Of a round's products, those of judging too."""
    trained, held = (len(y) for y in networks[kind].rows()[1::2])
    return members * epochs * of_an_epoch(networks[kind].products, trained // BATCH, held)


def _of(side: Any, networks: dict[str, Network], kind: str, precision: str = "float32", **size: Any) -> Job:
    return side(dataclasses.replace(networks[kind], precision=precision), **size)


def _one_a_core(side: Any, networks: dict[str, Network], kind: str, members: int, **size: Any) -> Job:
    """A process a core with one thread each, where there are networks for two."""
    asked = functools.partial(_of, side, networks, threads=1)
    return in_processes(asked, min(2, members), statistics.fmean, kind=kind, members=members, **size)


def sides(networks: dict[str, Network]) -> dict[str, Callable[..., Job]]:
    """Every side for some kinds of networks; each is called with a size's arguments."""
    compiled, together = (
        functools.partial(torch_loop, compiled=True),
        functools.partial(torch_vmap, compiled=True),
    )
    plain = {
        "fathom": fathom,
        "jax loop": jax_loop,
        "torch 2 threads": functools.partial(torch_loop, threads=2),
        "torch vmap": torch_vmap,
        "torch vmap compiled": together,
        "torch compiled 2 threads": functools.partial(torch_loop, compiled=True, threads=2),
    }
    shared = {"torch eager": torch_loop, "torch compiled": compiled, "torch vmap in 2": torch_vmap}
    return {
        **{name: functools.partial(_of, side, networks) for name, side in plain.items()},
        **{name: functools.partial(_one_a_core, side, networks) for name, side in shared.items()},
    }
