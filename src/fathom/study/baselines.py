"""What a network has to beat: scikit-learn's simple models on the same rows."""

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..data import Dataset
from ..look import format_count
from .inputs import Inputs

# What each model's work is capped to, by counting: the same rows give the same baselines on any machine.
_NEIGHBOR_NUMBERS = 50_000_000_000  # compared: training rows x test rows x inputs
_MOST_NEIGHBOR_ROWS = 20_000
_LINEAR_NUMBERS = 20_000_000_000  # rows x inputs x classes x iterations, or rows x inputs² for a regression
_ITERATIONS, _LEAST_ITERATIONS = 200, 50
_MOST_LINEAR_ROWS = 100_000
_TREE_NUMBERS = 2_500_000_000  # rounds x inputs x classes x rows, a tree itself costing as much as some rows
_TREE_ROWS, _FEW_TREE_ROWS = 2000, 4000
_MOST_TREE_INPUTS = 20_000  # times classes: each round grows a tree for each class
_ROUNDS = 100
_MOST_STREAMED_ROWS = 100_000  # of the rows in memory, where those are themselves a sample
_THREADS_FROM = 1_000_000  # numbers in the training rows
_LEAST_ROWS = 1000


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A fitted baseline.

    Attributes:
        name: what it is called.
        model: scikit-learn's estimator.
        seconds: that fitting took.
        note: how it was kept cheap; empty where it was not.
    """

    name: str
    model: Any
    seconds: float
    note: str = ""


@dataclasses.dataclass(frozen=True)
class _Recipe:
    """How a baseline is made: the unfitted estimator, and on how many of the rows."""

    make: Callable[[], Any]
    rows: int
    note: str = ""


def baseline_models(
    kind: str, rows: int, seed: int, inputs: int = 1, classes: int = 2, judged: int = 1
) -> tuple[dict[str, _Recipe], dict[str, str]]:
    """The baselines for a task, by name, and why others are left out, by name.

    Args:
        kind: "classification" or "regression".
        rows: training rows; a model that would take minutes is fitted on some of them.
        seed: for those that draw random numbers.
        inputs: numbers in a row.
        classes: different ones in the training rows.
        judged: test rows.
    """
    from sklearn import dummy, ensemble, linear_model, neighbors

    left_out: dict[str, str] = {}
    near = min(rows, _MOST_NEIGHBOR_ROWS, max(_LEAST_ROWS, _NEIGHBOR_NUMBERS // max(1, inputs * judged)))
    trees = inputs * (classes if classes > 2 else 1)
    grown, rounds = _boosted(rows, trees)
    tree: dict[str, Any] = {"random_state": seed, "max_iter": rounds}
    few_rounds = "" if rounds == _ROUNDS else f"{rounds} rounds"
    if kind == "classification":
        straight, iterations = _logistic(rows, inputs * (classes if classes > 2 else 1))
        models = {
            "majority": _Recipe(lambda: dummy.DummyClassifier(strategy="prior"), rows),
            "linear": _Recipe(
                lambda: linear_model.LogisticRegression(max_iter=iterations),
                straight,
                "" if iterations == _ITERATIONS else f"at most {iterations} iterations",
            ),
            "nearest_neighbors": _Recipe(lambda: neighbors.KNeighborsClassifier(min(5, near)), near),
            "boosted_trees": _Recipe(
                lambda: ensemble.HistGradientBoostingClassifier(**tree), grown, few_rounds
            ),
        }
    else:
        straight = min(rows, _MOST_LINEAR_ROWS, max(_LEAST_ROWS, _LINEAR_NUMBERS // inputs**2))
        models = {
            "mean": _Recipe(lambda: dummy.DummyRegressor(), rows),
            "linear": _Recipe(lambda: linear_model.Ridge(), straight),
            "nearest_neighbors": _Recipe(lambda: neighbors.KNeighborsRegressor(min(5, near)), near),
            "boosted_trees": _Recipe(
                lambda: ensemble.HistGradientBoostingRegressor(**tree), grown, few_rounds
            ),
        }
    if kind == "classification" and classes < 2:
        del models["linear"]
        left_out["linear"] = "the training rows have one class"
    if trees > _MOST_TREE_INPUTS:
        del models["boosted_trees"]
        left_out["boosted_trees"] = f"{format_count(trees)} inputs times classes would take minutes"
    return models, left_out


def _logistic(rows: int, width: int) -> tuple[int, int]:
    """On how many rows, and for how many iterations at most, a logistic regression is fitted."""
    affordable = _LINEAR_NUMBERS // max(1, width)  # rows x iterations
    straight = min(rows, _MOST_LINEAR_ROWS, max(_LEAST_ROWS, affordable // _LEAST_ITERATIONS))
    return straight, int(np.clip(affordable // straight, _LEAST_ITERATIONS, _ITERATIONS))


def _boosted(rows: int, trees: int) -> tuple[int, int]:
    """On how many rows, and for how many rounds, trees are boosted; `trees` is inputs times classes."""
    affordable = _TREE_NUMBERS // max(1, trees)  # rounds x rows
    rounds = min(_ROUNDS, max(1, affordable // (min(rows, _FEW_TREE_ROWS) + _TREE_ROWS)))
    return min(rows, max(_LEAST_ROWS, affordable // rounds - _TREE_ROWS)), rounds


def fit_baselines(inputs: Inputs, seed: int) -> Iterator[Baseline]:
    """Fit each baseline on the rows in memory but the test rows, inputs encoded as the first fold's.

    Rows count by their weight, but for nearest neighbors, which know no weights. Where a model would take minutes it
    is fitted on rows drawn from a fixed seed, and its note says on how many.

    Where the networks train on rows on disk, the baselines are fitted on at most 100,000 of those in memory.

    Yields:
        Each as it is fitted.
    """
    from sklearn.utils.validation import has_fit_parameter

    dataset = inputs.dataset
    x = inputs.feed.examples["x"][0, : len(inputs.rows)]
    y = dataset.target[inputs.rows]
    weight = inputs.feed.examples["weight"][0, : len(inputs.rows)]
    if inputs.feed.windows is not None and len(y) > _MOST_STREAMED_ROWS:
        chosen = _drawn(len(y), _MOST_STREAMED_ROWS, seed)
        x, y, weight = x[chosen], y[chosen], weight[chosen]
    for name, recipe in _models(inputs, x, y, seed)[0].items():
        start = time.perf_counter()
        few = recipe.rows < len(y)
        rows = _with_each_class(_drawn(len(y), recipe.rows, seed), y, dataset.kind) if few else slice(None)
        with _threads_for(x), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a linear model that stops early is still a baseline
            model = recipe.make()
            weighs = dataset.weight is not None and has_fit_parameter(model, "sample_weight")
            model.fit(x[rows], y[rows], **({"sample_weight": weight[rows]} if weighs else {}))
        sample = f"on {format_count(recipe.rows)} of {format_count(len(y))} rows" if few else ""
        note = ", ".join(word for word in (sample, recipe.note) if word)
        yield Baseline(name, model, time.perf_counter() - start, note)


def _threads_for(x: np.ndarray) -> Any:
    """One thread on small data: more cost more than they bring, and seconds where a core is busy (10 s for 0.04)."""
    return threadpool_limits(1 if x.size < _THREADS_FROM else None)


def missing_baselines(inputs: Inputs) -> dict[str, str]:
    """Why a baseline is left out, by name."""
    return _models(
        inputs, inputs.feed.examples["x"][0, : len(inputs.rows)], inputs.dataset.target[inputs.rows], 0
    )[1]


def _models(
    inputs: Inputs, x: np.ndarray, y: np.ndarray, seed: int
) -> tuple[dict[str, _Recipe], dict[str, str]]:
    kind = inputs.dataset.kind
    classes = len(np.unique(y)) if kind == "classification" else 0
    return baseline_models(kind, len(y), seed, x.shape[1], classes, len(inputs.split.test))


def _drawn(rows: int, most: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _with_each_class(drawn: np.ndarray, y: np.ndarray, kind: str) -> np.ndarray:
    """The rows drawn, and the first row of each class that they lack."""
    if kind == "regression":
        return drawn
    _, firsts = np.unique(y, return_index=True)
    return np.union1d(drawn, firsts)


def baseline_outputs(model: Any, x: np.ndarray, dataset: Dataset) -> np.ndarray:
    """What a fitted baseline predicts: log-probabilities [rows, classes], or values [rows]."""
    with _threads_for(x):
        if dataset.kind == "regression":
            return model.predict(x)
        found = model.predict_proba(x)
    classes = dataset.classes or ()
    probabilities = np.zeros((len(x), len(classes)))
    probabilities[:, np.asarray(model.classes_, dtype=int)] = found
    return np.log(np.clip(probabilities, 1e-12, 1.0))
