"""What every workload's sides have in common: a job, its rounds, several processes that share one.

A side builds its job in a process of its own and then does it again and again, a round at a time, when it is
told to; so that sides take turns while all their programs stay ready, and no side's start-up is counted in another's
rounds.

A workload is a module of `benchmarks.workloads` with

- SIZES: by name, what its sides are called with; CHECK: the most of it that shows that a side runs.
- SIDES: by name, ``side(**size) -> Job``; "fathom" is one. NEEDS: the packages that a side needs, as words.
- HELD: rows that what is reached was counted on, which says how far apart it may be.
- MEASURES: "rounds" (cold and warm start, then rounds in turn), "starts" (several cold and warm starts, no rounds) or
  "memory" (the largest resident set). COUNTS: what `Job.steps` counts, "steps" or "rows".
- operations(**size): optional, multiplications and additions of a round's products.
- left_out(size): optional, sides that are not measured there. prepare(**size): optional, what is done before the sides.
"""

import dataclasses
import importlib
import json
import multiprocessing
import re
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

WORKLOADS = ("mlp", "images", "sequences", "folds", "predict", "start", "memory", "stream")
READY, GO, END = "ready", "go", "end"


@dataclasses.dataclass(frozen=True)
class Job:
    """The work of one side.

    Attributes:
        run: does one round of it from first weights and returns what it reached, an accuracy.
        steps: optimizer steps x networks in a round; or rows, x networks where they are trained on.
    """

    run: Callable[[], float]
    steps: int


def workload(name: str) -> Any:
    """The module of a workload."""
    return importlib.import_module(f"benchmarks.workloads.{name}")


def smallest(module: Any, size: str) -> dict[str, Any]:
    """The least of a size that shows that a side runs."""
    asked = module.SIZES[size]
    return asked | {key: min(value, asked[key]) for key, value in module.CHECK.items() if key in asked}


def serve(name: str, size: str, side: str, check: bool) -> None:
    """Build a side's job, do a round, say so; then a round for every line that comes in."""
    module = workload(name)
    job = module.SIDES[side](**(smallest(module, size) if check else module.SIZES[size]))
    _tell(steps=job.steps, **_round(job))
    for line in sys.stdin:
        if line.strip() == END:
            break
        _tell(**_round(job))


def _round(job: Job) -> dict[str, float]:
    start = time.perf_counter()
    reached = job.run()
    return {"seconds": time.perf_counter() - start, "reached": float(reached), "peak": peak_bytes()}


def peak_bytes() -> int:
    """The largest resident set that this process has had."""
    status = Path("/proc/self/status")
    # Linux counts in ru_maxrss what the process was before it became this program.
    found = re.search(r"VmHWM:\s*(\d+)", status.read_text()) if status.exists() else None
    if found:
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _tell(**values: Any) -> None:
    print(READY + json.dumps(values), flush=True)


def in_processes(side: Callable[..., Job], count: int, best: Callable[..., float], **size: Any) -> Job:
    """A job whose networks several processes share, each one thread: what an expert does with a loop.

    Args:
        side: called in each process with `part` and `parts` beside the size.
        count: processes.
        best: what the parts reached together, from what each did.
        size: the workload's size.
    """
    context = multiprocessing.get_context("spawn")
    pipes = []
    for part in range(count):
        ours, theirs = context.Pipe()
        child = context.Process(target=_share, args=(theirs, side, {**size, "part": part, "parts": count}))
        child.daemon = True
        child.start()
        theirs.close()  # so that a child that fails ends the wait
        pipes.append(ours)
    steps = sum(pipe.recv() for pipe in pipes)

    def run() -> float:
        for pipe in pipes:
            pipe.send(GO)
        return best(pipe.recv() for pipe in pipes)

    return Job(run, steps)


def _share(pipe: Any, side: Callable[..., Job], size: Mapping[str, Any]) -> None:
    job = side(**size)
    pipe.send(job.steps)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(job.run())


def of_an_epoch(products: tuple[float, float], steps: int, held: int, batch: int = 32) -> float:
    """Operations of the products of a network's epoch: forward, both gradients, and judging.

    Args:
        products: multiplications for a row, forward: of what takes the inputs, whose gradient nobody needs, and of all
            that comes after.
        steps: of an epoch.
        held: rows that judge it.
        batch: rows of a step.
    """
    first, others = products
    return 2 * (steps * batch * (2 * first + 3 * others) + held * (first + others))


def mine(values: Any, part: int, parts: int) -> Any:
    """The share of a process: every `parts`-th of the networks' settings."""
    return values[part::parts]
