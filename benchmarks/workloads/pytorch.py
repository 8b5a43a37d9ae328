"""How PyTorch's experts train several networks: one after another, or all as one. Every workload's sides are these.

Both do the same work: AdamW with decay on the matrices alone, clipping at norm 1, a constant rate; after every epoch
each network is judged on held rows, and its best epoch counts.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..harness import Job

CLIP = 1.0


@dataclasses.dataclass(frozen=True)
class Work:
    """The networks that one process trains.

    Attributes:
        rows: inputs and classes to train on, held inputs and classes.
        settings: of each network its number, learning rate and weight decay.
        order: ``order(number, epoch) -> [steps, batch]``, which rows come when.
        make: ``make() -> module`` with first weights drawn.
        epochs: how many.
        pool: what was reached, from the best accuracy of each network.
        folds: of each network, which of the held arrays [folds, rows, ...] judge it; all have the same if None.
        precision: what training multiplies in, "float32" or "bfloat16"; weights and judging are float32 in both.
    """

    rows: Sequence[np.ndarray]
    settings: Sequence[tuple[int, float, float]]
    order: Callable[[int, int], np.ndarray]
    make: Callable[[], Any]
    epochs: int
    pool: Callable[[list[float]], float]
    folds: Sequence[int] | None = None
    precision: str = "float32"

    @property
    def steps(self) -> int:
        """Optimizer steps of all networks."""
        return len(self.settings) * self.epochs * len(self.order(0, 0))


def on_device(*arrays: np.ndarray) -> list[Any]:
    """Arrays as tensors on the device that PyTorch computes on: a GPU if it sees one."""
    import torch

    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")  # products as JAX takes them there
        return [torch.as_tensor(a).cuda() for a in arrays]
    return [torch.as_tensor(a) for a in arrays]


def optimizer_of(model: Any, rate: float, decay: float) -> Any:
    """The fused AdamW, with decay for the matrices alone."""
    import torch

    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def train(model: Any, loss_of: Any, optimizer: Any, batches: Any) -> None:
    """A step for each batch of inputs and classes."""
    from torch import nn

    for x, y in batches:
        optimizer.zero_grad()
        loss_of(x, y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP, foreach=True)
        optimizer.step()


def loss_of(model: Any, compiled: bool = False, precision: str = "float32") -> Any:
    """The cross-entropy of a module's outputs, compiled or not, in PyTorch's own mixed precision or not."""
    import torch

    def losses(x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(x), y)

    def halved(x: Any, y: Any) -> Any:
        with torch.autocast(x.device.type, torch.bfloat16):
            return losses(x, y)

    found = halved if precision == "bfloat16" else losses
    return torch.compile(found) if compiled else found


def accuracy(model: Any, x: Any, y: Any) -> float:
    """The share of rows that a module classifies rightly."""
    import torch

    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def one_by_one(work: Work, compiled: bool = False, threads: int = 1) -> Job:
    """One network after another with the fused optimizer."""
    import torch

    torch.set_num_threads(threads)
    x, y, held, held_y = on_device(*work.rows)
    model = work.make().to(x.device)  # one module whose weights are drawn anew, so that it is compiled once
    losses = loss_of(model, compiled, work.precision)

    def run() -> float:
        reached = []
        for place, (number, rate, decay) in enumerate(work.settings):
            torch.manual_seed(number)
            model.load_state_dict(work.make().state_dict())
            optimizer, best = optimizer_of(model, rate, decay), 0.0
            judged = (
                (held, held_y) if work.folds is None else (held[work.folds[place]], held_y[work.folds[place]])
            )
            for epoch in range(work.epochs):
                (order,) = on_device(work.order(number, epoch))
                train(model, losses, optimizer, ((x[rows], y[rows]) for rows in order))
                best = max(best, accuracy(model, *judged))
            reached.append(best)
        return work.pool(reached)

    return Job(run, work.steps)


def together(
    work: Work,
    compiled: bool = False,
    threads: int = 2,
    forward: Callable[[Any, Any], Any] | None = None,
    start: Callable[[], dict[str, Any]] | None = None,
) -> Job:
    """All networks as one: torch.func.vmap of the gradient, AdamW written out over stacked arrays.

    Args:
        work: the networks.
        compiled: whether the whole step is compiled.
        threads: of PyTorch.
        forward: ``forward(parameters, x)`` of one network; that of the module if None.
        start: first weights, each array [networks, ...]; those of the modules if None.
    """
    import torch
    from torch.func import functional_call, stack_module_state, vmap

    torch.set_num_threads(threads)
    x, y, held, held_y = on_device(*work.rows)
    model = work.make()

    def apply(params: Any, x: Any) -> Any:
        return forward(params, x) if forward else functional_call(model, params, (x,))

    def modules() -> dict[str, Any]:
        made = []
        for number, _, _ in work.settings:
            torch.manual_seed(number)
            made.append(work.make().to(x.device))
        return {name: p.detach().clone() for name, p in stack_module_state(made)[0].items()}

    def right(params: Any, x: Any, y: Any) -> Any:
        return (apply(params, x).argmax(1) == y).float().mean()

    def halved(params: Any, x: Any) -> Any:
        return apply({name: p.bfloat16() for name, p in params.items()}, x.bfloat16()).float()

    step = _step_of(halved if work.precision == "bfloat16" else apply, x, y, work.settings)
    stepped = torch.compile(step, fullgraph=True) if compiled else step
    judged = (held, held_y) if work.folds is None else (held[list(work.folds)], held_y[list(work.folds)])
    judge = vmap(right, in_dims=(0, None, None) if work.folds is None else 0)

    def run() -> float:
        params = start() if start else modules()
        first, second = ({name: torch.zeros_like(p) for name, p in params.items()} for _ in range(2))
        best, done = torch.zeros(len(work.settings), device=x.device), 0
        with torch.no_grad():
            for epoch in range(work.epochs):
                order = np.stack([work.order(number, epoch) for number, _, _ in work.settings], 1)
                counts = done + 1 + np.arange(len(order))
                done += len(order)
                fixes = ((1 - beta**counts).astype(np.float32) for beta in (0.9, 0.999))
                for rows, fix1, fix2 in zip(*on_device(order, *fixes), strict=True):
                    stepped(params, first, second, rows, fix1, fix2)
                best = torch.maximum(best, judge(params, *judged))
        return work.pool(best.tolist())

    return Job(run, work.steps)


def _step_of(apply: Any, x: Any, y: Any, settings: Sequence[tuple[int, float, float]]) -> Any:
    """A step of all networks, in place."""
    import torch
    from torch.func import grad_and_value, vmap

    rates, decays = (torch.tensor([one[column] for one in settings], device=x.device) for column in (1, 2))

    def loss(params: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(apply(params, x), y)

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
            change = (m / fix1) / ((v / fix2).sqrt() + 1e-8)
            if p.ndim > 2:  # a matrix of each network
                change = change + column(decays, p) * p
            p.sub_(column(rates, p) * change)

    return step
