"""What every workload's sides have in common: a job, its rounds, several processes that share one.

A side builds its job in a process of its own and then does it again and again, a round at a time, when it is
told to; so that sides take turns while all their programs stay ready, and no side's start-up is counted in another's
rounds.
"""

import dataclasses
import importlib
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

WORKLOADS = ("mlp", "images", "sequences", "predict")
READY, GO, END = "ready", "go", "end"


@dataclasses.dataclass(frozen=True)
class Job:
    """The work of one side.

    Attributes:
        run: does one round of it from first weights and returns what it reached (accuracy or loss).
        steps: optimizer steps x networks in a round; rows, where nothing is trained.
    """

    run: Callable[[], float]
    steps: int


def workload(name: str) -> Any:
    """The module of a workload: `SIZES`, `SIDES`, `NEEDS` and `RISING`."""
    return importlib.import_module(f"benchmarks.workloads.{name}")


def serve(name: str, size: str, side: str) -> None:
    """Build a side's job, do a round, say so; then a round for every line that comes in."""
    module = workload(name)
    start = time.perf_counter()
    job = module.SIDES[side](**module.SIZES[size])
    _tell(built=time.perf_counter() - start, steps=job.steps, **_round(job))
    for line in sys.stdin:
        if line.strip() == END:
            break
        _tell(**_round(job))


def _round(job: Job) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    reached = job.run()
    return {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - processor,
        "reached": float(reached),
    }


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


def mine(values: Any, part: int, parts: int) -> Any:
    """The share of a process: every `parts`-th of the networks' settings."""
    return values[part::parts]
