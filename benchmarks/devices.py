"""What more devices and more processes bring and cost: the same study on each, in turn, a process a side.

"grid" is 64 networks 64-128-128-10 on digits, 10 epochs of batches of 32, whose members the devices divide. "large" is
one network 64-1024-1024-2, 3 epochs of 16 batches of 1,024, which the devices divide where a side says so.
Two processes meet through jax.distributed on this machine and talk through Gloo. Sides with "a core each" are held
to one core a process (one core in all where there is one process), as if each were a machine of one core.

    python -m benchmarks.devices --repeats 3
"""

import argparse
import dataclasses
import hashlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "devices.json"


@dataclasses.dataclass(frozen=True)
class Side:
    """How a study is run: processes, devices in each (None for a library without `configure`), what they divide."""

    devices: int | None
    processes: int = 1
    shard: str = "members"
    core_each: bool = False


SIDES = {
    "grid": {
        "library without configure()": Side(None),
        "1 device": Side(1),
        "2 devices": Side(2),
        "4 devices": Side(4),
        "8 devices": Side(8),
        "2 processes of 1 device": Side(1, 2),
        "1 process, one core": Side(1, core_each=True),
        "2 processes, a core each": Side(1, 2, core_each=True),
    },
    "large": {
        "1 device": Side(1),
        "2 devices, shared batches": Side(2, shard="batch"),
        "2 processes, shared batches": Side(1, 2, shard="batch"),
        "1 process, one core": Side(1, core_each=True),
        "2 processes, a core each, shared batches": Side(1, 2, shard="batch", core_each=True),
    },
}


def grid_study():
    import fathom as fm

    recipe = fm.Recipe(
        learning_rate=fm.log_grid(1e-4, 1e-1, 8),
        weight_decay=fm.log_grid(1e-4, 1e-1, 8),
        epochs=10,
        batch_size=32,
    )
    return fm.Study(
        "digits", fm.models.MLP(width=128, depth=2), recipe, folds=1, scaling="standardize", rungs=()
    )


def large_study():
    import numpy as np

    import fathom as fm

    random = np.random.default_rng(0)
    x = random.normal(size=(21_000, 64)).astype(np.float32)
    y = np.where((x @ random.normal(size=(64, 8)) > 0).sum(1) > 4, "yes", "no")
    recipe = fm.Recipe(learning_rate=1e-3, epochs=3, batch_size=1024)
    return fm.Study(fm.load((x, y)), fm.models.MLP(width=1024, depth=2), recipe, folds=1, rungs=(), test=0.02)


STUDIES = {"grid": grid_study, "large": large_study}


def run_side(work: str, side: Side, process: int, port: int) -> dict:
    """One process of a side: its seconds, and a digest of what became of every member."""
    import fathom as fm

    if side.core_each:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[process]})
    if side.processes > 1:
        fm.configure(coordinator=f"127.0.0.1:{port}", processes=side.processes, process=process)
    elif side.devices is not None:
        fm.configure()
    result = STUDIES[work]().run(baselines=False, shard=side.shard)
    seconds, rows = result.summary()["seconds"], result.table()
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:12]
    best = max(rows, key=lambda row: row["best_score"])
    return {
        "train": seconds["train"],
        "compile": seconds["compile"],
        "score": best["best_score"],
        "loss": best["best_loss"],
        "digest": digest,
    }


def measure(work: str, name: str, cache: str) -> dict:
    """A side from start to exit, and what process 0 measured."""
    side = SIDES[work][name]
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port = opened.getsockname()[1]
    flags = f"--xla_force_host_platform_device_count={side.devices} --xla_cpu_multi_thread_eigen=false"
    environment = {**os.environ, "FATHOM_CACHE": cache, "JAX_PLATFORMS": "cpu"}
    environment |= {} if side.devices is None else {"XLA_FLAGS": flags}
    start = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.devices", "--port", str(port), "--one", work, name]
    processes = [
        subprocess.Popen(
            [*command, str(process)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for process in range(side.processes)
    ]
    try:
        said = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    if any(process.returncode for process in processes):
        raise SystemExit(f"{work}, {name}: {said[0][1].decode()}")
    seconds = time.perf_counter() - start
    return {"work": work, "side": name, "seconds": seconds, **json.loads(said[0][0].splitlines()[-1])}


def table(found: list[dict], work: str) -> dict[str, dict]:
    """The medians of a work's sides, printed."""
    rows, first = {}, None
    print(f"\n{work:42}{'train s':>9}{'min':>8}{'whole s':>9}{'score':>8}  same bits as 1 device")
    for name in SIDES[work]:
        mine = [entry for entry in found if (entry["work"], entry["side"]) == (work, name)]
        if not mine:
            continue
        train = [entry["train"] for entry in mine]
        row = {
            "train": statistics.median(train),
            "train_min": min(train),
            "seconds": statistics.median(entry["seconds"] for entry in mine),
            "score": mine[0]["score"],
            "digest": sorted({entry["digest"] for entry in mine}),
        }
        rows[name] = row
        first = row["digest"] if name == "1 device" else first
        same = "yes" if first == row["digest"] else "no"
        print(
            f"{name:42}{row['train']:9.2f}{row['train_min']:8.2f}{row['seconds']:9.2f}{row['score']:8.4f}  {same}"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", nargs="*", choices=SIDES, default=list(SIDES))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        work, name, process = given.one
        print(json.dumps(run_side(work, SIDES[work][name], int(process), given.port)))
        return
    turns = [(work, name) for work in given.work for name in SIDES[work]]
    with tempfile.TemporaryDirectory() as cache:
        for turn in turns:  # so that what is timed finds its programs
            measure(*turn, cache)
        found = [measure(*turn, cache) for _ in range(given.repeats) for turn in turns]
    kept = json.loads(given.out.read_text())["runs"] if given.out.exists() else []
    found = [entry for entry in kept if entry["work"] not in given.work] + found
    record = {
        "when": time.strftime("%Y-%m-%d"),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "medians": {work: table(found, work) for work in SIDES},
        "runs": found,
    }
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
