"""Memory: the largest resident set of the process that trains 64 and 512 networks of 64-128-128-10 for an epoch.

Caches of compiled programs are filled, so that compilers, but for their imports, are not in it. What is trained is
that of `mlp.py`. A network has 26,122 numbers, 104 kB; with AdamW's two moments 313 kB, the least that it takes.

- fathom: one `Study`.
- jax vmap: all networks in one program.
- torch vmap, torch vmap compiled: all networks stacked; two threads.
- torch eager: a module and an optimizer for each network, all of them kept, an epoch of one after another.
"""

from ..harness import Job
from . import mlp
from .pytorch import accuracy, loss_of, on_device, optimizer_of, train

MEASURES, COUNTS, HELD = "memory", "steps", mlp.HELD
SIZES = {f"m{members}": {"width": 128, "members": members, "epochs": 1} for members in (64, 512)}
CHECK = {"members": 4}


def torch_eager(width: int, members: int, epochs: int) -> Job:
    """All networks and their optimizers at once in memory."""
    import torch

    torch.set_num_threads(1)
    x, y, held, held_y = on_device(*mlp.rows()[:4])

    def run() -> float:
        models = [mlp.network(width).to(x.device) for _ in range(members)]
        rules = [
            optimizer_of(model, rate, decay)
            for model, (rate, decay) in zip(models, mlp.settings(members).tolist(), strict=True)
        ]
        best = 0.0
        for epoch in range(epochs):
            for number, (model, rule) in enumerate(zip(models, rules, strict=True)):
                (order,) = on_device(mlp.batches(number, epoch))
                train(model, loss_of(model), rule, ((x[rows], y[rows]) for rows in order))
                best = max(best, accuracy(model, held, held_y))
        return best

    return Job(run, members * epochs * mlp.STEPS)


SIDES = {
    "fathom": mlp.fathom,
    "jax vmap": mlp.jax_vmap,
    "torch vmap": mlp.torch_vmap,
    "torch vmap compiled": mlp.torch_vmap_compiled,
    "torch eager": torch_eager,
}
NEEDS = {side: "torch" for side in SIDES if side.startswith("torch")}
