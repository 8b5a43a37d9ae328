"""Prediction: the classes of many rows by one trained 64-128-128-10 network, from raw numbers to class names.

Every side standardizes the raw inputs and gives the classes. Scikit-learn and PyTorch have the same weights, trained by
scikit-learn; Fathom trains its own, on the same rows for as many epochs. What is reached is the share of the predicted
rows that are right; most are rows trained on, again and again, so it says that the work was done and nothing else.
"""

import functools
from typing import Any

import numpy as np

from ..harness import Job
from .pytorch import on_device

MEASURES, COUNTS = "rounds", "rows"
HELD = 1797
SIZES = {f"rows-{rows}": {"rows": rows} for rows in (1, 1_000, 200_000)}
CHECK: dict[str, int] = {}
_TRAINED, _VALIDATION = 1200, 1500  # rows before the first train, before the second validate


def data(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Digits to train on, and raw rows to predict with their classes."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x, y, np.resize(x, (rows, x.shape[1])), np.resize(y, rows)


def _job(predict: Any, x: np.ndarray, y: np.ndarray) -> Job:
    repeats = max(1, 2_000 // len(x))  # so that a round of one row is long enough to time

    def run() -> float:
        for _ in range(repeats):
            found = np.asarray(predict(x))
        return (found.astype(y.dtype) == y).mean()

    return Job(run, len(x) * repeats)


def fathom(rows: int) -> Job:
    """A trained study's chosen network."""
    import fathom as fm

    fm.configure()
    x, y, new, truth = data(rows)
    recipe = fm.Recipe(epochs=20, learning_rate=1e-3)
    trained, judged, test = (
        (x[rows], y[rows]) for rows in np.split(np.arange(len(x)), [_TRAINED, _VALIDATION])
    )
    dataset = fm.load(trained, validation=judged, test=test)
    study = fm.Study(dataset, fm.models.MLP(width=128), recipe, folds=1, scaling="standardize")
    return _job(study.run(baselines=False).best.predict, new, truth)


def _trained(x: np.ndarray, y: np.ndarray) -> Any:
    """A pipeline of a scaler and MLPClassifier."""
    import warnings

    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    warnings.simplefilter("ignore")
    network = MLPClassifier((128, 128), max_iter=20, batch_size=32, random_state=0)
    return make_pipeline(StandardScaler(), network).fit(x[:_TRAINED], y[:_TRAINED])


def scikit_learn(rows: int) -> Job:
    """The pipeline's own `predict`."""
    x, y, new, truth = data(rows)
    return _job(_trained(x, y).predict, new, truth)


def torch(rows: int, compiled: bool = False) -> Job:
    """The network under inference_mode, both threads, compiled or not."""
    import torch as t

    x, y, new, truth = data(rows)
    scaler, trained = _trained(x, y)
    center, scale = on_device(*(a.astype(np.float32) for a in (scaler.mean_, scaler.scale_)))
    layers = [t.nn.Linear(64, 128), t.nn.ReLU(), t.nn.Linear(128, 128), t.nn.ReLU(), t.nn.Linear(128, 10)]
    network = t.nn.Sequential(*layers)
    with t.no_grad():
        for layer, weight, bias in zip(layers[::2], trained.coefs_, trained.intercepts_, strict=True):
            layer.weight.copy_(t.tensor(weight.T))
            layer.bias.copy_(t.tensor(bias))
    network.to(center.device)

    def classes(rows: t.Tensor) -> t.Tensor:
        return network((rows - center) / scale).argmax(1)

    forward = t.compile(classes) if compiled else classes

    def predict(x: np.ndarray) -> np.ndarray:
        with t.inference_mode():
            return forward(t.as_tensor(x, dtype=t.float32).to(center.device)).cpu().numpy()

    return _job(predict, new, truth)


SIDES = {
    "fathom": fathom,
    "scikit-learn": scikit_learn,
    "torch": torch,
    "torch compiled": functools.partial(torch, compiled=True),
}
NEEDS = {"torch": "torch", "torch compiled": "torch"}
