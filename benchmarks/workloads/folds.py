"""K-fold x grid: 5 folds x (4 learning rates x 3 weight decays) of 64-64-64-10 on digits, 20 epochs of batches of 32.

What is reached is the best setting's mean validation accuracy over the folds. All sides have the same 1,437 rows in
stratified folds and fit the scaling on each fold's training rows; Fathom draws its own folds, and its study also makes
an ensemble of the chosen networks and predicts the other 360 rows. Fathom and PyTorch judge after every epoch and count
a network's best one; scikit-learn judges at the end, as it does.

- fathom: one `Study(folds=5)`.
- scikit-learn: GridSearchCV over a pipeline of StandardScaler and MLPClassifier, two jobs, no refit.
- torch eager: one network after another, the fused AdamW, a process a core.
- torch vmap compiled in 2: 30 networks as one in each of two processes of one thread.
"""

import functools
from typing import Any

import numpy as np

from ..harness import Job, in_processes, mine, of_an_epoch
from .pytorch import CLIP, Work, one_by_one, together

FOLDS, BATCH, WIDTH = 5, 32, 64
RATES, DECAYS = (3e-4, 1e-3, 3e-3, 1e-2), (1e-4, 1e-2, 1e-1)
TRAINED = 1149  # rows that every fold trains on; some have one more
STEPS = -(-TRAINED // BATCH)
MEASURES, COUNTS, HELD = "rounds", "steps", 1437
SIZES = {"f5-g12-e20": {"epochs": 20}}
CHECK = {"epochs": 1}


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Raw rows to search on, and those kept for the end."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x, test, y, test_y = train_test_split(x, y, test_size=360, random_state=0, stratify=y)
    return x, y, test, test_y


def fathom(epochs: int) -> Job:
    """One study."""
    import fathom as fm

    fm.configure()
    x, y, test, test_y = rows()
    data = fm.load((x, y), test=(test, test_y), kind="classification")
    recipe = fm.Recipe(
        learning_rate=list(RATES),
        weight_decay=list(DECAYS),
        epochs=epochs,
        batch_size=BATCH,
        schedule="constant",
        clip=CLIP,
    )

    def run() -> float:
        model = fm.models.MLP(width=WIDTH)
        study = fm.Study(data, model, recipe, folds=FOLDS, scaling="standardize", rungs=())
        return study.run(baselines=False).summary()["validation"]["score"]

    return Job(run, _networks() * epochs * STEPS)


def operations(epochs: int) -> float:
    """Of a round's products, those of judging too."""
    return _networks() * epochs * of_an_epoch((64 * WIDTH, WIDTH * WIDTH + 10 * WIDTH), STEPS, 288)


def _networks() -> int:
    return FOLDS * len(RATES) * len(DECAYS)


def _folds() -> Any:
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(FOLDS, shuffle=True, random_state=0)


def scikit_learn(epochs: int) -> Job:
    """The grid search."""
    import warnings

    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    warnings.simplefilter("ignore")
    x, y, *_ = rows()
    # The number of epochs is the same for all: no stopping before.
    network = MLPClassifier(
        (WIDTH, WIDTH), batch_size=BATCH, max_iter=epochs, tol=0.0, n_iter_no_change=epochs, random_state=0
    )
    grid = {"mlpclassifier__learning_rate_init": RATES, "mlpclassifier__alpha": DECAYS}
    pipeline = make_pipeline(StandardScaler(), network)

    def run() -> float:
        return GridSearchCV(pipeline, grid, cv=_folds(), n_jobs=2, refit=False).fit(x, y).best_score_

    return Job(run, _networks() * epochs * STEPS)


def _scaled() -> list[np.ndarray]:
    """Each fold's training rows one after another, as it scales them, and its held rows [folds, rows, ...]."""
    x, y, *_ = rows()
    parts = []
    for train, held in _folds().split(x, y):
        center, scale = x[train].mean(0), x[train].std(0)
        scale[scale == 0] = 1
        train, held = train[:TRAINED], np.resize(held, 288)  # a fold of 287 rows counts one of them twice
        scaled = ((x - center) / scale).astype(np.float32)
        parts.append((scaled[train], y[train], scaled[held], y[held]))
    x, y, held, held_y = zip(*parts, strict=True)
    return [np.concatenate(x), np.concatenate(y), np.stack(held), np.stack(held_y)]


def _order(number: int, epoch: int) -> np.ndarray:
    """The rows of a network's fold, in an order of its own."""
    fold = number // (len(RATES) * len(DECAYS))
    order = np.random.default_rng([number, epoch]).permutation(TRAINED) + fold * TRAINED
    return np.resize(order, STEPS * BATCH).reshape(STEPS, BATCH)


def _network() -> Any:
    from .mlp import network

    return network(WIDTH)


def _best_setting(reached: list[float]) -> float:
    """The best mean over the folds; a process has every fold of its settings."""
    return float(np.reshape(reached, (FOLDS, -1)).mean(0).max())


def _torch_work(epochs: int, part: int, parts: int) -> Work:
    grid = [(rate, decay) for _ in range(FOLDS) for rate in RATES for decay in DECAYS]
    share = mine([(number, *setting) for number, setting in enumerate(grid)], part, parts)
    folds = [number // (len(grid) // FOLDS) for number, _, _ in share]
    return Work(_scaled(), share, _order, _network, epochs, _best_setting, folds)


def _loop(epochs: int, part: int, parts: int) -> Job:
    return one_by_one(_torch_work(epochs, part, parts))


def _vmap(epochs: int, part: int, parts: int) -> Job:
    return together(_torch_work(epochs, part, parts), compiled=True, threads=1)


SIDES = {
    "fathom": fathom,
    "scikit-learn": scikit_learn,
    "torch eager": functools.partial(in_processes, _loop, 2, max),
    "torch vmap compiled in 2": functools.partial(in_processes, _vmap, 2, max),
}
NEEDS = {side: "torch" for side in SIDES if side.startswith("torch")}
