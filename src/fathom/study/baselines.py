"""What a network has to beat: scikit-learn's simple models on the same rows."""

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..data import Dataset
from .inputs import Inputs

_MOST_NEIGHBOR_ROWS = 20_000
_MOST_LINEAR_ROWS = 100_000
_MOST_TREE_NUMBERS = 100_000_000  # in the training rows, times classes
_MOST_TREE_INPUTS = 20_000  # times classes: each round grows a tree for each class
_MOST_STREAMED_ROWS = 100_000  # of the rows in memory, where those are themselves a sample
_THREADS_FROM = 1_000_000  # numbers in the training rows


def baseline_models(
    kind: str, rows: int, seed: int, inputs: int = 1, classes: int = 2
) -> dict[str, Callable[[], Any]]:
    """The baselines for a task, by name, each as a function that makes the unfitted estimator.

    Args:
        kind: "classification" or "regression".
        rows: training rows; every model is left out where it would take minutes.
        seed: for those that draw random numbers.
        inputs: numbers in a row.
        classes: different ones in the training rows.
    """
    from sklearn import dummy, ensemble, linear_model, neighbors

    if kind == "classification":
        models: dict[str, Callable[[], Any]] = {
            "majority": lambda: dummy.DummyClassifier(strategy="prior"),
            "linear": lambda: linear_model.LogisticRegression(max_iter=200),
            "nearest_neighbors": lambda: neighbors.KNeighborsClassifier(min(5, rows)),
            "boosted_trees": lambda: ensemble.HistGradientBoostingClassifier(random_state=seed, max_iter=100),
        }
    else:
        models = {
            "mean": lambda: dummy.DummyRegressor(),
            "linear": lambda: linear_model.Ridge(),
            "nearest_neighbors": lambda: neighbors.KNeighborsRegressor(min(5, rows)),
            "boosted_trees": lambda: ensemble.HistGradientBoostingRegressor(random_state=seed, max_iter=100),
        }
    if rows > _MOST_NEIGHBOR_ROWS:
        del models["nearest_neighbors"]
    if rows > _MOST_LINEAR_ROWS or (kind == "classification" and classes < 2):
        del models["linear"]
    trees = inputs * (classes if classes > 2 else 1)
    if trees > _MOST_TREE_INPUTS or trees * rows > _MOST_TREE_NUMBERS:
        del models["boosted_trees"]
    return models


def fit_baselines(inputs: Inputs, seed: int) -> Iterator[tuple[str, Any, float]]:
    """Fit each baseline on all rows in memory but the test rows, inputs encoded as the first fold's.

    Rows count by their weight, but for nearest neighbors, which know no weights.

    Where the networks train on rows on disk, the baselines are fitted on at most 100,000 of those in memory.

    Yields:
        Name, fitted estimator, seconds.
    """
    from sklearn.utils.validation import has_fit_parameter

    dataset = inputs.dataset
    x = inputs.feed.examples["x"][0, :-1]
    y = dataset.target[inputs.rows]
    weight = inputs.feed.examples["weight"][0, :-1]
    if inputs.feed.windows is not None and len(y) > _MOST_STREAMED_ROWS:
        chosen = np.random.default_rng(seed).choice(len(y), _MOST_STREAMED_ROWS, replace=False)
        x, y, weight = x[chosen], y[chosen], weight[chosen]
    classes = len(np.unique(y)) if dataset.kind == "classification" else 0
    for name, make in baseline_models(dataset.kind, len(y), seed, x.shape[1], classes).items():
        start = time.perf_counter()
        # On small data the trees' threads cost more than they bring, most of all where cores are shared.
        threads = 1 if x.size < _THREADS_FROM else None
        with threadpool_limits(threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a linear model that stops early is still a baseline
            model = make()
            weighs = dataset.weight is not None and has_fit_parameter(model, "sample_weight")
            model.fit(x, y, **({"sample_weight": weight} if weighs else {}))
        yield name, model, time.perf_counter() - start


def baseline_outputs(model: Any, x: np.ndarray, dataset: Dataset) -> np.ndarray:
    """What a fitted baseline predicts: log-probabilities [rows, classes], or values [rows]."""
    if dataset.kind == "regression":
        return model.predict(x)
    classes = dataset.classes or ()
    probabilities = np.zeros((len(x), len(classes)))
    probabilities[:, np.asarray(model.classes_, dtype=int)] = model.predict_proba(x)
    return np.log(np.clip(probabilities, 1e-12, 1.0))
