"""Prediction: the classes of many rows by one trained 64-128-128-10 network, from raw numbers to class names.

Every side has the same trained weights' shapes, standardizes the raw inputs, and gives the classes; what is reached is
the share of rows that it puts into its own most frequent class, so that no side can leave the work out.
"""

from typing import Any

import numpy as np

from ..harness import Job

RISING = True
SIZES = {f"rows-{rows}": {"rows": rows} for rows in (1, 1_000, 200_000)}


def data(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Digits to train on, and raw rows to predict."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x, y, np.resize(x, (rows, x.shape[1]))


def _job(predict: Any, x: np.ndarray) -> Job:
    repeats = max(1, 2_000 // len(x))  # so that a round of one row is long enough to time

    def run() -> float:
        for _ in range(repeats):
            found = np.asarray(predict(x))
        return np.unique(found, return_counts=True)[1].max() / len(x)

    return Job(run, len(x) * repeats)


def fathom(rows: int) -> Job:
    """A trained study's chosen network."""
    import fathom as fm

    fm.configure()
    x, y, new = data(rows)
    recipe = fm.Recipe(epochs=2, learning_rate=1e-3)
    study = fm.Study((x, y), fm.models.MLP(width=128), recipe, folds=1, scaling="standardize")
    return _job(study.run(baselines=False).best.predict, new)


def scikit_learn(rows: int) -> Job:
    """A pipeline of a scaler and MLPClassifier."""
    import warnings

    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    warnings.simplefilter("ignore")
    x, y, new = data(rows)
    return _job(make_pipeline(StandardScaler(), MLPClassifier((128, 128), max_iter=2)).fit(x, y).predict, new)


def torch(rows: int) -> Job:
    """The eager network under no_grad, both threads."""
    return _torch(rows, compiled=False)


def torch_compiled(rows: int) -> Job:
    """torch.compile of the same."""
    return _torch(rows, compiled=True)


def _torch(rows: int, compiled: bool) -> Job:
    import torch as t

    x, _, new = data(rows)
    center, scale = (t.tensor(a, dtype=t.float32) for a in (x.mean(0), np.maximum(x.std(0), 1e-6)))
    layers = [t.nn.Linear(64, 128), t.nn.ReLU(), t.nn.Linear(128, 128), t.nn.ReLU(), t.nn.Linear(128, 10)]
    network = t.nn.Sequential(*layers)

    def classes(rows: t.Tensor) -> t.Tensor:
        return network((rows - center) / scale).argmax(1)

    forward = t.compile(classes) if compiled else classes

    def predict(x: np.ndarray) -> np.ndarray:
        with t.no_grad():
            return forward(t.as_tensor(x, dtype=t.float32)).numpy()

    return _job(predict, new)


SIDES = {"fathom": fathom, "scikit-learn": scikit_learn, "torch": torch, "torch compiled": torch_compiled}
NEEDS = {"torch": "torch", "torch compiled": "torch"}
