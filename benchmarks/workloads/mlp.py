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

from ..harness import Job, in_processes, mine

BATCH, CLIP, TRAINED = 32, 1.0, 1077
STEPS = -(-TRAINED // BATCH)
RISING = True
SIZES: dict[str, dict[str, int]] = {
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
    """Learning rates and weight decays, [members, 2]: a grid as square as it can be."""
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


def fathom(width: int, members: int, epochs: int) -> Job:
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


def _network(width: int) -> Any:
    from torch import nn

    net = nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return net


def torch_loop(width: int, members: int, epochs: int, compiled: bool, part: int = 0, parts: int = 1) -> Job:
    """One network after another with the fused optimizer."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    x, y, held, held_y = [torch.as_tensor(a) for a in rows()[:4]]
    grid = list(enumerate(settings(members).tolist()))
    forward = _network(width)  # one module whose weights are drawn anew, so that it is compiled once

    def losses(x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(forward(x), y)

    loss_of = torch.compile(losses) if compiled else losses

    def run() -> float:
        best = 0.0
        for member, (rate, decay) in mine(grid, part, parts):
            torch.manual_seed(member)
            forward.load_state_dict(_network(width).state_dict())
            groups = [
                {"params": [p for p in forward.parameters() if p.ndim > 1], "weight_decay": decay},
                {"params": [p for p in forward.parameters() if p.ndim == 1], "weight_decay": 0.0},
            ]
            optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)
            for epoch in range(epochs):
                for rows in torch.as_tensor(batches(member, epoch)):
                    optimizer.zero_grad()
                    loss_of(x[rows], y[rows]).backward()
                    nn.utils.clip_grad_norm_(forward.parameters(), CLIP, foreach=True)
                    optimizer.step()
                with torch.no_grad():
                    best = max(best, (forward(held).argmax(1) == held_y).float().mean().item())
        return best

    return Job(run, len(mine(grid, part, parts)) * epochs * STEPS)


def torch_eager(width: int, members: int, epochs: int, part: int = 0, parts: int = 1) -> Job:
    return torch_loop(width, members, epochs, False, part, parts)


def torch_compiled(width: int, members: int, epochs: int, part: int = 0, parts: int = 1) -> Job:
    return torch_loop(width, members, epochs, True, part, parts)


def torch_vmap(
    width: int,
    members: int,
    epochs: int,
    compiled: bool = False,
    threads: int = 2,
    part: int = 0,
    parts: int = 1,
) -> Job:
    """All networks as one: torch.func.vmap of the gradient, the rule written out over stacked arrays."""
    import torch
    from torch.func import grad_and_value, vmap

    torch.set_num_threads(threads)
    x, y, held, held_y = [torch.as_tensor(a) for a in rows()[:4]]
    grid = torch.as_tensor(mine(settings(members), part, parts))
    numbers, count = list(range(members))[part::parts], len(grid)

    def forward(params: Any, x: Any) -> Any:
        h = torch.relu(torch.addmm(params["b0"], x, params["w0"]))
        h = torch.relu(torch.addmm(params["b1"], h, params["w1"]))
        return torch.addmm(params["b2"], h, params["w2"])

    def loss(params: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(forward(params, x), y)

    def column(values: Any, like: Any) -> Any:
        return values.reshape(-1, *[1] * (like.ndim - 1))

    def step(params: Any, first: Any, second: Any, rows: Any, fix1: Any, fix2: Any) -> None:
        grads, _ = vmap(grad_and_value(loss))(params, x[rows], y[rows])
        norm = sum(g.flatten(1).square().sum(1) for g in grads.values()).sqrt()
        scale = CLIP / norm.clamp_min(CLIP)
        for name, p in params.items():
            g = grads[name] * column(scale, p)
            m, v = first[name], second[name]
            m.lerp_(g, 0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            decay = column(grid[:, 1], p) if name[0] == "w" else 0.0
            change = (m / fix1) / ((v / fix2).sqrt() + 1e-8) + decay * p
            p.sub_(column(grid[:, 0], p) * change)

    stepped = torch.compile(step, fullgraph=True) if compiled else step
    judge = vmap(lambda params: (forward(params, held).argmax(1) == held_y).float().mean())

    def run() -> float:
        start = first_weights(width, members)
        params = {
            name: torch.as_tensor(np.ascontiguousarray(mine(a, part, parts))) for name, a in start.items()
        }
        first = {name: torch.zeros_like(p) for name, p in params.items()}
        second = {name: torch.zeros_like(p) for name, p in params.items()}
        best, done = 0.0, 0
        with torch.no_grad():
            for epoch in range(epochs):
                order = torch.as_tensor(np.stack([batches(member, epoch) for member in numbers], 1))
                for rows in order:
                    done += 1
                    fix1, fix2 = torch.tensor(1 - 0.9**done), torch.tensor(1 - 0.999**done)
                    stepped(params, first, second, rows, fix1, fix2)
                best = max(best, judge(params).max().item())
        return best

    return Job(run, count * epochs * STEPS)


def torch_vmap_compiled(**size: Any) -> Job:
    return torch_vmap(**size, compiled=True)


def _vmap_part(part: int, parts: int, **size: Any) -> Job:
    return torch_vmap(**size, threads=1, part=part, parts=parts)


def _shared(side: Any) -> Any:
    return lambda **size: in_processes(side, 2, max, **size)


def scikit_learn(width: int, members: int, epochs: int) -> Job:
    """MLPClassifier for each network, two at a time."""
    from joblib import Parallel, delayed

    x, y, held, held_y = rows()[:4]
    grid = settings(members)
    pool = Parallel(n_jobs=2)

    def run() -> float:
        return max(pool(delayed(_scikit_one)(width, epochs, s, x, y, held, held_y) for s in enumerate(grid)))

    return Job(run, members * epochs * STEPS)


def _scikit_one(width: int, epochs: int, setting: Any, x: Any, y: Any, held: Any, held_y: Any) -> float:
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


def left_out(size: str) -> tuple[str, ...]:
    """Sides that train one network at a time, where a round would take them minutes."""
    asked = SIZES[size]
    steps = asked["members"] * asked["epochs"] * STEPS
    slow = steps > 20_000 or asked["width"] > 256
    one_by_one = ("jax loop", "torch compiled", "torch eager", "scikit-learn") if slow else ()
    return (*one_by_one, *(("keras",) if asked["members"] > 8 else ()))
