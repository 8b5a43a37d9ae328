"""Perceptrons 64-W-W-10 on digits at many learning rates and weight decays.

Every side trains the same networks on the same rows in batches of 32: AdamW, clipping at norm 1, a constant rate, He's
first weights. After every epoch each network is judged on the validation rows; the best accuracy is what is reached.
Where networks are trained together each has its own order of the rows; a single one its own too.

- fathom: one `Study`, with all that a study does beside (choosing, an ensemble, the test rows).
- jax loop: one jitted step, called from Python for each batch of each network.
- jax vmap: an epoch of all networks as one program, as a user of JAX would write it: vmap over a scan over batches.
- torch eager: the fused AdamW, one process a core with one thread.
- torch vmap: torch.func.vmap over stacked networks; torch vmap compiled: the whole step in torch.compile;
  both with two threads in one process, and "in 2" with a process a core.
- torch compiled: torch.compile of one network's step, a process a core.
- scikit-learn: MLPClassifier in joblib's processes. It judges by its own rule, without clipping.
- keras: Keras 3 on JAX, `fit` for each network.
"""

import functools
from typing import Any

import numpy as np

from ..harness import Job, in_processes, mine, of_an_epoch
from .pytorch import CLIP, Work, on_device, one_by_one, together

BATCH, TRAINED = 32, 1077
STEPS = -(-TRAINED // BATCH)
MEASURES, COUNTS = "rounds", "steps"
HELD = 360
CHECK = {"width": 16, "members": 4, "epochs": 1}
SIZES: dict[str, dict[str, Any]] = {
    f"w{width}-m{members}-e{epochs}": {"width": width, "members": members, "epochs": epochs}
    for width, members, epochs in [
        (16, 64, 20),
        (32, 64, 20),
        (64, 64, 20),
        (128, 64, 20),
        (256, 8, 20),
        (512, 8, 20),
        (1024, 2, 4),
        (32, 64, 1),
        (128, 64, 1),
        (32, 1, 20),
        (128, 1, 20),
        (32, 8, 20),
        (128, 8, 20),
        (32, 256, 20),
        (128, 256, 4),
    ]
}
SIZES["w512-m8-e20-bf16"] = SIZES["w512-m8-e20"] | {"precision": "bfloat16"}


def rows() -> list[np.ndarray]:
    """Inputs, standardized on the training rows, and classes: training, validation, test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x, test, y, test_y = train_test_split(x, y, test_size=360, random_state=0, stratify=y)
    x, held, y, held_y = train_test_split(x, y, test_size=360, random_state=0, stratify=y)
    center, scale = x.mean(0), x.std(0)
    scale[scale == 0] = 1
    parts = ((x, y), (held, held_y), (test, test_y))
    return [a for x, y in parts for a in (((x - center) / scale).astype(np.float32), y)]


def settings(members: int) -> np.ndarray:
    """Learning rates and weight decays, [members, 2]: a grid as square as it can be, or its middle alone."""
    if members == 1:
        return np.array([[3e-3, 3e-3]], np.float32)
    across = 2 ** ((members.bit_length() - 1) // 2)
    rates, decays = np.geomspace(3e-4, 3e-2, members // across), np.geomspace(1e-4, 1e-1, across)
    return np.array([(rate, decay) for rate in rates for decay in decays], np.float32)


def batches(seed: int, epoch: int) -> np.ndarray:
    """Which row comes when in an epoch, [STEPS, BATCH]; the last batch is filled from the epoch's start."""
    order = np.random.default_rng([seed, epoch]).permutation(TRAINED)
    return np.resize(order, STEPS * BATCH).reshape(STEPS, BATCH)


def first_weights(width: int, count: int) -> dict[str, np.ndarray]:
    """He's first weights of `count` networks, "w0" [count, in, out] and "b0" [count, out] to "w2" and "b2"."""
    draw, found = np.random.default_rng(0), {}
    for layer, (i, o) in enumerate([(64, width), (width, width), (width, 10)]):
        found[f"w{layer}"] = (draw.standard_normal((count, i, o)) * (2 / i) ** 0.5).astype(np.float32)
        found[f"b{layer}"] = np.zeros((count, o), np.float32)
    return found


def fathom(width: int, members: int, epochs: int, precision: str = "float32") -> Job:
    """One study."""
    import fathom as fm

    fm.configure()
    x, y, held, held_y, test, test_y = rows()
    data = fm.load((x, y), validation=(held, held_y), test=(test, test_y), kind="classification")
    model, grid = fm.models.MLP(width=width), settings(members)
    recipe = fm.Recipe(
        learning_rate=np.unique(grid[:, 0]).tolist(),
        weight_decay=np.unique(grid[:, 1]).tolist(),
        epochs=epochs,
        batch_size=BATCH,
        schedule="constant",
        clip=CLIP,
        precision=precision,
    )

    def run() -> float:
        study = fm.Study(data, model, recipe, folds=1, scaling="none", rungs=())
        return study.run(baselines=False).summary()["validation"]["score"]

    return Job(run, members * epochs * STEPS)


def _loss(params: Any, x: Any, y: Any) -> Any:
    import jax
    import jax.numpy as jnp

    h = jax.nn.relu(x @ params["w0"] + params["b0"])
    h = jax.nn.relu(h @ params["w1"] + params["b1"])
    logits = h @ params["w2"] + params["b2"]
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean(), logits


def _jax_step(state: Any, x: Any, y: Any, rate: Any, decay: Any) -> Any:
    """One step of one network, with optax as its documentation shows it."""
    import jax
    import optax

    params, moments = state
    grads, _ = jax.grad(_loss, has_aux=True)(params, x, y)
    updates, moments = _jax_rule(rate, decay).update(grads, moments, params)
    return optax.apply_updates(params, updates), moments


def _jax_rule(rate: Any, decay: Any) -> Any:
    import optax

    matrices = {f"{kind}{layer}": kind == "w" for kind in "wb" for layer in range(3)}
    return optax.chain(optax.clip_by_global_norm(CLIP), optax.adamw(rate, weight_decay=decay, mask=matrices))


def _jax_start(width: int, count: int) -> Any:
    """First states of `count` networks."""
    import jax
    import jax.numpy as jnp

    params = jax.tree.map(jnp.asarray, first_weights(width, count))
    return params, jax.vmap(_jax_rule(1e-3, 0.0).init)(params)


def jax_loop(width: int, members: int, epochs: int) -> Job:
    """A jitted step, dispatched for each batch of each network."""
    import jax
    import jax.numpy as jnp

    x, y, held, held_y, *_ = map(jnp.asarray, rows())
    grid = settings(members)
    step = jax.jit(lambda s, rows, rate, decay: _jax_step(s, x[rows], y[rows], rate, decay), donate_argnums=0)
    judge = jax.jit(lambda params: (_loss(params, held, held_y)[1].argmax(1) == held_y).mean())

    def run() -> float:
        start, best = _jax_start(width, members), 0.0
        for member, (rate, decay) in enumerate(grid):
            state = jax.tree.map(lambda a, m=member: a[m], start)
            for epoch in range(epochs):
                for part in batches(member, epoch):
                    state = step(state, part, rate, decay)
                best = max(best, float(judge(state[0])))
        return best

    return Job(run, members * epochs * STEPS)


def jax_vmap(width: int, members: int, epochs: int) -> Job:
    """An epoch of all networks as one program: vmap over a scan."""
    import jax
    import jax.numpy as jnp

    x, y, held, held_y, *_ = map(jnp.asarray, rows())
    grid = jnp.asarray(settings(members))

    def epoch(state: Any, order: Any, setting: Any) -> Any:
        def step(state: Any, rows: Any) -> Any:
            return _jax_step(state, x[rows], y[rows], setting[0], setting[1]), None

        state, _ = jax.lax.scan(step, state, order)
        return state, (_loss(state[0], held, held_y)[1].argmax(1) == held_y).mean()

    program = jax.jit(jax.vmap(epoch), donate_argnums=0)

    def run() -> float:
        state, best = _jax_start(width, members), 0.0
        for number in range(epochs):
            order = np.stack([batches(member, number) for member in range(members)])
            state, scores = program(state, order, grid)
            best = max(best, float(scores.max()))
        return best

    return Job(run, members * epochs * STEPS)


def operations(width: int, members: int, epochs: int, **_: Any) -> float:
    """Of a round's products, those of judging too."""
    return members * epochs * of_an_epoch((64 * width, width * width + 10 * width), STEPS, HELD)


def network(width: int) -> Any:
    from torch import nn

    net = nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return net


def _torch_work(
    width: int, members: int, epochs: int, part: int, parts: int, precision: str = "float32"
) -> Work:
    grid = [(number, *setting) for number, setting in enumerate(settings(members).tolist())]
    make = functools.partial(network, width)
    return Work(rows()[:4], mine(grid, part, parts), batches, make, epochs, max, precision=precision)


def torch_eager(part: int = 0, parts: int = 1, **size: Any) -> Job:
    return one_by_one(_torch_work(part=part, parts=parts, **size))


def torch_compiled(width: int, members: int, epochs: int, part: int = 0, parts: int = 1) -> Job:
    return one_by_one(_torch_work(width, members, epochs, part, parts), compiled=True)


def torch_vmap(
    width: int,
    members: int,
    epochs: int,
    compiled: bool = False,
    threads: int = 2,
    part: int = 0,
    parts: int = 1,
    precision: str = "float32",
) -> Job:
    """All networks as one; weights [in, out], so that a layer is one fused product and sum."""
    import torch

    def forward(params: Any, x: Any) -> Any:
        h = torch.relu(torch.addmm(params["b0"], x, params["w0"]))
        h = torch.relu(torch.addmm(params["b1"], h, params["w1"]))
        return torch.addmm(params["b2"], h, params["w2"])

    def start() -> dict[str, Any]:
        drawn = first_weights(width, members)
        share = on_device(*(mine(a, part, parts).copy() for a in drawn.values()))
        return dict(zip(drawn, share, strict=True))

    work = _torch_work(width, members, epochs, part, parts, precision)
    return together(work, compiled, threads, forward, start)


def torch_vmap_compiled(**size: Any) -> Job:
    return torch_vmap(**size, compiled=True)


def _vmap_part(part: int, parts: int, **size: Any) -> Job:
    return torch_vmap(**size, threads=1, part=part, parts=parts)


def _shared(side: Any) -> Any:
    return lambda members, **size: in_processes(side, min(2, members), max, members=members, **size)


def scikit_learn(width: int, members: int, epochs: int) -> Job:
    """MLPClassifier for each network, two at a time."""
    from joblib import Parallel, delayed

    x, y, held, held_y = rows()[:4]
    grid = settings(members)
    pool = Parallel(n_jobs=2)

    def run() -> float:
        return max(pool(delayed(scikit_one)(width, epochs, s, x, y, held, held_y) for s in enumerate(grid)))

    return Job(run, members * epochs * STEPS)


def scikit_one(width: int, epochs: int, setting: Any, x: Any, y: Any, held: Any, held_y: Any) -> float:
    import warnings

    from sklearn.neural_network import MLPClassifier

    seed, (rate, decay) = setting
    model = MLPClassifier(
        (width, width),
        alpha=decay,
        learning_rate_init=rate,
        batch_size=BATCH,
        max_iter=epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        best = 0.0
        for _ in range(epochs):
            model.partial_fit(x, y, classes=np.arange(10))
            best = max(best, model.score(held, held_y))
    return best


def keras(width: int, members: int, epochs: int) -> Job:
    """Keras 3 on JAX: `fit` for each network."""
    import os

    os.environ["KERAS_BACKEND"] = "jax"
    import keras as k

    x, y, held, held_y = rows()[:4]
    grid = settings(members)

    def run() -> float:
        best = 0.0
        for seed, (rate, decay) in enumerate(grid):
            k.utils.set_random_seed(seed)
            layers = [k.layers.Dense(width, "relu", kernel_initializer="he_normal") for _ in range(2)]
            net = k.Sequential([k.Input((64,)), *layers, k.layers.Dense(10)])
            rule = k.optimizers.AdamW(float(rate), weight_decay=float(decay), global_clipnorm=CLIP)
            loss = k.losses.SparseCategoricalCrossentropy(from_logits=True)
            net.compile(rule, loss, metrics=["accuracy"], jit_compile=True)
            told = net.fit(
                x, y, BATCH, epochs, verbose=0, validation_data=(held, held_y), validation_batch_size=512
            )
            best = max(best, *told.history["val_accuracy"])
        return best

    return Job(run, members * epochs * STEPS)


SIDES = {
    "fathom": fathom,
    "jax vmap": jax_vmap,
    "jax loop": jax_loop,
    "torch vmap compiled": torch_vmap_compiled,
    "torch vmap compiled in 2": _shared(functools.partial(_vmap_part, compiled=True)),
    "torch vmap": torch_vmap,
    "torch compiled": _shared(torch_compiled),
    "torch eager": _shared(torch_eager),
    "scikit-learn": scikit_learn,
    "keras": keras,
}
NEEDS = {side: side.split()[0] for side in SIDES if side.startswith(("torch", "keras"))} | {
    "scikit-learn": "joblib"
}


_ALL_AS_ONE = ("jax vmap", "torch vmap", "torch vmap compiled", "torch vmap compiled in 2")


def left_out(size: str) -> tuple[str, ...]:
    """Sides with nothing to do, those that would take minutes, and those that another one of their kind is ahead of."""
    width, members, epochs = (SIZES[size][name] for name in ("width", "members", "epochs"))
    if members == 1:
        return _ALL_AS_ONE
    if "precision" in SIZES[size]:
        return tuple(
            side for side in SIDES if side not in ("fathom", "torch eager", "torch vmap compiled in 2")
        )
    out = ["keras", "torch compiled"]  # the one compiles for every network, of the other start-up is a minute
    whole, named = members * epochs * STEPS > 20_000, width in (32, 128) and members == 64
    if whole or width > 128:
        out.append("jax loop")
    if (whole and not named) or width > 512:
        out += ["torch eager", "scikit-learn"]
    if width in (256, 512):
        out.append("scikit-learn")
    if not named or epochs == 1 or width > 32:
        out.append("torch vmap")  # compiled it is faster
    if (not named or epochs == 1) and width < 512:
        out.append("torch vmap compiled")  # in two processes it is faster
    return tuple(out)
