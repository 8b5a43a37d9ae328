"""A grid of 8 learning rates x 8 weight decays on digits: Fathom, a PyTorch loop, a scikit-learn loop.

Every side trains 64-128-128-10 for 20 epochs of batches of 32 on the same rows, judges by validation accuracy
after every epoch, and reports the test accuracy of the best. Each is a process of its own, timed from start to
exit, in turn (A B C A B C ...). Fathom is run with a compilation cache that is empty ("cold") and filled ("warm").

    python -m benchmarks.grid --repeats 3
"""

import argparse
import functools
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RATES, DECAYS, EPOCHS, BATCH, WIDTH = 8, 8, 20, 32, 128
RESULTS = Path(__file__).parent / "results"


def write_rows(path: Path) -> None:
    """Write the division of the rows that Fathom makes, for every side to read."""
    import numpy as np

    import fathom as fm

    split = fm.Study("digits", folds=1).split
    np.savez(path, train=split.train[0], validation=split.validation[0], test=split.test)


def grids():
    """The learning rates and the weight decays."""
    import numpy as np

    return np.geomspace(1e-4, 1e-1, RATES), np.geomspace(1e-4, 1e-1, DECAYS)


def standardized(path: str):
    """The inputs, scaled on the training rows, the targets, and the rows of each part."""
    import numpy as np
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    parts = np.load(path)
    train, validation, test = (parts[name] for name in ("train", "validation", "test"))
    center, scale = x[train].mean(0), x[train].std(0)
    scale[scale == 0] = 1
    return ((x - center) / scale).astype(np.float32), y, train, validation, test


def run_fathom(path: str) -> dict:
    """The whole grid as one study; it opens and divides the data itself, into the same rows."""
    import fathom as fm

    fm.configure()
    recipe = fm.Recipe(
        learning_rate=fm.log_grid(1e-4, 1e-1, RATES),
        weight_decay=fm.log_grid(1e-4, 1e-1, DECAYS),
        epochs=EPOCHS,
        batch_size=BATCH,
    )
    model = fm.models.MLP(width=WIDTH, depth=2)
    study = fm.Study("digits", model, recipe, folds=1, scaling="standardize", rungs=())
    summary = study.run(baselines=False).summary()
    return {"validation": summary["validation"]["score"], "test": summary["test"]["score"]}


def run_torch(path: str, fused: bool = True) -> dict:
    """One network after another, eager, with the fused optimizer or with the one that PyTorch takes if told nothing."""
    import math

    import torch

    torch.set_num_threads(1)
    x, y, train, validation, test = standardized(path)
    inputs, targets = torch.tensor(x), torch.tensor(y)
    parts = [torch.tensor(part) for part in (train, validation, test)]
    (tx, ty), (vx, vy), (ex, ey) = [(inputs[part], targets[part]) for part in parts]
    steps = -(-len(ty) // BATCH)
    total, warmup = EPOCHS * steps, 0.05 * EPOCHS * steps
    best = {"validation": 0.0, "test": 0.0}
    rates, decays = grids()
    for rate in rates:
        for decay in decays:
            torch.manual_seed(0)
            layers = [
                torch.nn.Linear(64, WIDTH),
                torch.nn.ReLU(),
                torch.nn.Linear(WIDTH, WIDTH),
                torch.nn.ReLU(),
            ]
            model = torch.nn.Sequential(*layers, torch.nn.Linear(WIDTH, 10))
            optimizer = torch.optim.AdamW(
                model.parameters(), lr=float(rate), weight_decay=float(decay), fused=fused
            )
            loss_of, step = torch.nn.CrossEntropyLoss(), 0
            for _ in range(EPOCHS):
                order = torch.randperm(len(ty))
                for start in range(0, len(ty), BATCH):
                    share = (step - warmup) / (total - warmup)
                    factor = step / warmup if step < warmup else 0.1 + 0.45 * (1 + math.cos(math.pi * share))
                    for group in optimizer.param_groups:
                        group["lr"] = float(rate) * factor
                    batch = order[start : start + BATCH]
                    optimizer.zero_grad(set_to_none=True)
                    loss_of(model(tx[batch]), ty[batch]).backward()
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
                    step += 1
                with torch.no_grad():
                    score = (model(vx).argmax(1) == vy).float().mean().item()
                if score > best["validation"]:
                    with torch.no_grad():
                        best = {
                            "validation": score,
                            "test": (model(ex).argmax(1) == ey).float().mean().item(),
                        }
    return best


def run_sklearn(path: str) -> dict:
    """One MLPClassifier after another; its penalty is L2 in the loss, its rate constant."""
    import warnings

    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")
    x, y, train, validation, test = standardized(path)
    best = {"validation": 0.0, "test": 0.0}
    rates, decays = grids()
    for rate in rates:
        for decay in decays:
            model = MLPClassifier(
                (WIDTH, WIDTH), learning_rate_init=rate, alpha=decay, batch_size=BATCH, max_iter=EPOCHS, random_state=0,
                tol=0.0, n_iter_no_change=EPOCHS,
            )  # fmt: skip
            model.fit(x[train], y[train])
            score = model.score(x[validation], y[validation])
            if score > best["validation"]:
                best = {"validation": score, "test": model.score(x[test], y[test])}
    return best


SIDES = {
    "fathom cold": run_fathom,
    "fathom warm": run_fathom,
    "torch": run_torch,
    "torch unfused": functools.partial(run_torch, fused=False),
    "sklearn": run_sklearn,
}
NEEDS = {"torch": "torch", "torch unfused": "torch"}


def measure(side: str, cache: str, rows: Path) -> dict:
    """One process of one side: its seconds from start to exit, and what it printed."""
    with tempfile.TemporaryDirectory() as empty:
        environment = {**os.environ, "FATHOM_CACHE": empty if side == "fathom cold" else cache}
        start = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.grid", "--side", side, "--rows", str(rows)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return {"side": side, "seconds": time.perf_counter() - start, **json.loads(done.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=SIDES, default=list(SIDES))
    args = parser.parse_args()
    if args.side:
        print(json.dumps(SIDES[args.side](args.rows)))
        return
    sides = [side for side in args.only if importlib.util.find_spec(NEEDS.get(side, "fathom")) is not None]
    for side in set(args.only) - set(sides):
        print(f"skipped: {side} ({NEEDS[side]} is not installed)")
    with tempfile.TemporaryDirectory() as cache:
        rows = Path(cache) / "rows.npz"
        write_rows(rows)
        if "fathom warm" in sides:
            measure("fathom warm", cache, rows)
        found = [measure(side, cache, rows) for _ in range(args.repeats) for side in sides]
    medians = {}
    print(f"{'side':14}{'median s':>10}{'min s':>9}{'validation':>12}{'test':>8}")
    for side in sides:
        mine = [entry for entry in found if entry["side"] == side]
        seconds = [entry["seconds"] for entry in mine]
        medians[side] = statistics.median(seconds)
        scores = [statistics.median(entry[part] for entry in mine) for part in ("validation", "test")]
        print(f"{side:14}{medians[side]:10.2f}{min(seconds):9.2f}{scores[0]:12.4f}{scores[1]:8.4f}")
    ours = [side for side in medians if side.startswith("fathom")]
    ratios = {f"{p} / {o}": medians[p] / medians[o] for p in medians if p not in ours for o in ours}
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.1f}x")
    cores = len(os.sched_getaffinity(0))
    machine = {"machine": platform.machine(), "cores": cores, "python": platform.python_version()}
    if set(sides) == set(SIDES):
        RESULTS.mkdir(exist_ok=True)
        record = {
            "when": time.strftime("%Y-%m-%d"),
            **machine,
            "runs": found,
            "medians": medians,
            "ratios": ratios,
        }
        (RESULTS / "grid.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
