"""Training on a Parquet file that stays on disk: 400 MB, 24 numbers and a class in each of 2.07 million rows.

A round is the whole job: open the file, find means and deviations, train 24-64-64-2 in batches of 512 by AdamW for
some passes over all rows but those held, judge. No side holds more than about 300,000 rows at a time, so the same
program trains on a file of any size (`benchmarks/stream.py` does, on 10 GB). Counted are training rows x networks a
second of the whole job.

- fathom: one `Study` on `load(stream=True)`: 300,000 rows drawn at random judge, the others are shuffled on disk once.
- torch DataLoader: a worker reads the file by DuckDB, permutes 262,144 rows at a time and hands them over; the main
  process takes batches of them and a step of every network on each, eager, with the fused AdamW. It needs pandas
  (DuckDB hands windows over as its frames; as Arrow's with pyarrow). The rows of this file are in random order.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..harness import Job
from .pytorch import accuracy, loss_of, on_device, optimizer_of, train

NUMBERS, ROWS, BATCH, WINDOW, TESTED = 24, 2_070_000, 512, 1 << 18, 60_000
MEASURES, COUNTS, HELD = "rounds", "rows", TESTED
SIZES = {
    "mb400-m1-e1": {"rows": ROWS, "members": 1, "epochs": 1},
    "mb400-m8-e2": {"rows": ROWS, "members": 8, "epochs": 2},
}
CHECK = {"rows": 400_000, "members": 2, "epochs": 1}
_NAMES = [f"n{number}" for number in range(NUMBERS)]


def _path(rows: int) -> Path:
    return Path(tempfile.gettempdir()) / "fathom-benchmarks" / f"rows-{rows}.parquet"


def prepare(rows: int, members: int, epochs: int) -> None:
    """Write the file, if it is not there: numbers that hardly compress, a class that a network can learn."""
    import duckdb

    path = _path(rows)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = [f"hash(range * 64 + {i}) / 9223372036854775808.0 - 1 AS {name}" for i, name in enumerate(_NAMES)]
    table = f"SELECT {', '.join(drawn)} FROM range({rows})"
    signal = "sin(3 * n0) + 2 * n1 * n2 + 0.5 * n3 + 0.3 * n4 > 0"
    query = f"SELECT *, CASE WHEN {signal} THEN 'yes' ELSE 'no' END AS y FROM ({table})"
    with duckdb.connect(config={"memory_limit": "2GB"}) as connection:
        connection.execute(f"COPY ({query}) TO '{path}.new' (FORMAT parquet)")
    Path(f"{path}.new").rename(path)


def rates(members: int) -> list[float]:
    """The learning rate of each network."""
    return np.geomspace(1e-3, 1e-2, members).tolist() if members > 1 else [3e-3]


def fathom(rows: int, members: int, epochs: int) -> Job:
    """One study; its training rows are all but those that it holds to choose and to test."""
    import fathom as fm

    fm.configure()
    recipe = fm.Recipe(
        learning_rate=rates(members),
        weight_decay=1e-3,
        epochs=epochs,
        batch_size=BATCH,
        schedule="constant",
        clip=1.0,
    )

    def study() -> Any:
        data = fm.load(_path(rows), "y", stream=True)
        return fm.Study(data, fm.models.MLP(width=64), recipe, folds=1, rungs=(), test=0.2)

    def run() -> float:
        return study().run(baselines=False).summary()["test"]["score"]

    return Job(run, study().streaming.rows * members * epochs)


def torch_loader(rows: int, members: int, epochs: int) -> Job:
    """Eager steps on windows that a worker of a DataLoader reads."""
    import torch
    from torch.utils.data import DataLoader, IterableDataset

    torch.set_num_threads(1)
    path = _path(rows)

    class Windows(IterableDataset):
        """The training rows, a permuted window at a time."""

        def __iter__(self) -> Iterator[Any]:
            order = np.random.default_rng(int(torch.initial_seed() % 2**63))
            for x, y in _windows(path, f"file_row_number >= {TESTED}"):
                shuffled = order.permutation(len(y))
                yield torch.as_tensor(x[shuffled]), torch.as_tensor(y[shuffled])

    def run() -> float:
        center, scale = on_device(*_moments(path))
        held, held_y = on_device(*next(_windows(path, f"file_row_number < {TESTED}")))
        held = (held - center) / scale
        models = [_network().to(held.device) for _ in range(members)]
        rules = [optimizer_of(model, rate, 1e-3) for model, rate in zip(models, rates(members), strict=True)]
        losses = [loss_of(model) for model in models]
        for _ in range(epochs):
            for x, y in DataLoader(Windows(), batch_size=None, num_workers=1):
                x, y = x.to(held.device), y.to(held.device)
                x = (x - center) / scale
                for part in zip(x.split(BATCH), y.split(BATCH), strict=True):
                    for model, rule, loss in zip(models, rules, losses, strict=True):
                        train(model, loss, rule, [part])
        return max(accuracy(model, held, held_y) for model in models)

    return Job(run, (rows - TESTED) * members * epochs)


def _windows(path: Path, where: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs and classes of the rows that a condition holds for, WINDOW at a time, in the order of the file."""
    import duckdb

    columns = ", ".join(f"{name}::FLOAT AS {name}" for name in _NAMES)
    with duckdb.connect(config={"memory_limit": "768MB", "threads": 1}) as connection:
        source = f"read_parquet('{path}', file_row_number=true)"
        found = connection.execute(f"SELECT {columns}, (y = 'yes')::BIGINT AS y FROM {source} WHERE {where}")
        while len(frame := found.fetch_df_chunk(WINDOW // 2048)):
            yield frame[_NAMES].to_numpy(), frame["y"].to_numpy()


def _moments(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations of the training rows' inputs."""
    import duckdb

    asked = [f"{of}({name})" for of in ("avg", "stddev_pop") for name in _NAMES]
    with duckdb.connect(config={"memory_limit": "768MB"}) as connection:
        source = f"read_parquet('{path}', file_row_number=true) WHERE file_row_number >= {TESTED}"
        row = connection.execute(f"SELECT {', '.join(asked)} FROM {source}").fetchone()
    center, scale = np.asarray(row, np.float32).reshape(2, -1)
    return center, scale


def _network() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(NUMBERS, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))


SIDES = {"fathom": fathom, "torch DataLoader": torch_loader}
NEEDS = {"torch DataLoader": "torch pandas"}
