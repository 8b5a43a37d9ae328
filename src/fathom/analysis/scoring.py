"""A metric of fixed predictions as a function of how much each row counts: what resampling needs, fast.

Every metric here is a function of a few weighted sums over the rows, or of one sort of them; a thousand sets of
weights then cost a matrix product and not a thousand scorings.
"""

from collections.abc import Callable

import numpy as np

from ..objectives import METRICS, log_softmax

Weights = np.ndarray  # [sets, rows]
Scorer = Callable[[Weights], np.ndarray]

_CELLS = 1 << 22  # numbers that one step holds


def scorer(metric: str, found: np.ndarray, target: np.ndarray, offsets: np.ndarray | None = None) -> Scorer:
    """The score of predictions for any weights of the rows.

    Args:
        metric: one of `fathom.objectives.METRICS`.
        found: log-probabilities [rows, classes], or values [rows].
        target: class numbers, or values [rows].
        offsets: what is added to the log-probabilities [classes] where a metric judges which class was named.

    Returns:
        A function from weights [sets, rows], float64, to scores [sets]; NaN where a set weighs nothing.

    Example:
        >>> found = np.log([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]])
        >>> score = scorer("accuracy", found, np.array([0, 1, 1]))
        >>> score(np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])).round(3)
        array([0.667, 0.5  ])
    """
    record = METRICS[metric]
    if record.decides:
        named = (found if offsets is None else found + offsets).argmax(1)
        return _of_counts(COUNTED[metric], named, target, found.shape[1])
    if metric == "roc_auc":
        return _area(found, target)
    if metric in _ROW_LOSSES:
        sums = _ROW_LOSSES[metric](found, target)
        finish = np.sqrt if metric == "rmse" else lambda mean: mean
        return lambda weights: finish(_mean(weights, sums))
    if metric == "r2":
        return _explained(found, target)
    return _any(record, found, target)


def _mean(weights: Weights, values: np.ndarray) -> np.ndarray:
    """Weighted means [sets] of the rows' values, or [sets, k] of [rows, k]."""
    total = weights.sum(1)
    total = np.where(total > 0, total, np.nan)
    return weights @ values / (total if values.ndim == 1 else total[:, None])


def _log_loss(found: np.ndarray, target: np.ndarray) -> np.ndarray:
    return -log_softmax(found)[np.arange(len(target)), target]


def _brier(found: np.ndarray, target: np.ndarray) -> np.ndarray:
    error = np.square(np.exp(log_softmax(found)) - (target[:, None] == np.arange(found.shape[1])))
    return error[:, 1] if found.shape[1] == 2 else error.sum(1)


_ROW_LOSSES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "log_loss": _log_loss,
    "brier": _brier,
    "rmse": lambda found, target: np.square(found - target),
    "mae": lambda found, target: np.abs(found - target),
}


def _explained(found: np.ndarray, target: np.ndarray) -> Scorer:
    """R²: from the weighted means of the error's square, the target and its square."""
    centered = target - target.mean()
    sums = np.stack([np.square(found - target), centered, np.square(centered)], axis=1)

    def run(weights: Weights) -> np.ndarray:
        error, mean, square = _mean(weights, sums).T
        spread = square - np.square(mean)
        constant = spread <= 1e-12 * square
        share = 1 - error / np.where(constant, 1, spread)
        return np.where(constant, np.where(error > 0, np.where(np.isnan(error), np.nan, 0.0), 1.0), share)

    return run


def _of_counts(finish, named: np.ndarray, target: np.ndarray, classes: int) -> Scorer:
    """A metric of how much weight was answered rightly, answered, and there, [sets, classes] each."""
    cell = named * classes + target
    order = np.argsort(cell, kind="stable")
    cells, starts = np.unique(cell[order], return_index=True)
    answer, truth = cells // classes, cells % classes

    def run(weights: Weights) -> np.ndarray:
        tally = np.add.reduceat(weights[:, order], starts, axis=1)  # [sets, cells]
        right, answered, there = np.zeros((3, len(weights), classes))
        for column, (a, t) in enumerate(zip(answer, truth, strict=True)):
            answered[:, a] += tally[:, column]
            there[:, t] += tally[:, column]
            if a == t:
                right[:, a] += tally[:, column]
        return np.where(there.sum(1) > 0, finish(right, answered, there), np.nan)

    return run


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return part / np.where(whole > 0, whole, 1)


def _one_or_mean(scores: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The score of class 1 for two classes, else the mean over the classes that are seen."""
    if scores.shape[1] == 2:
        return scores[:, 1]
    return _share(np.where(seen, scores, 0).sum(1), seen.sum(1))


def _accuracy(right: np.ndarray, answered: np.ndarray, there: np.ndarray) -> np.ndarray:
    return _share(right.sum(1), there.sum(1))


def _balanced_accuracy(right: np.ndarray, answered: np.ndarray, there: np.ndarray) -> np.ndarray:
    return _share(_share(right, there).sum(1), (there > 0).sum(1))


def _f1(right: np.ndarray, answered: np.ndarray, there: np.ndarray) -> np.ndarray:
    return _one_or_mean(_share(2 * right, answered + there), answered + there > 0)


def _precision(right: np.ndarray, answered: np.ndarray, there: np.ndarray) -> np.ndarray:
    return _one_or_mean(_share(right, answered), answered + there > 0)


def _recall(right: np.ndarray, answered: np.ndarray, there: np.ndarray) -> np.ndarray:
    return _one_or_mean(_share(right, there), answered + there > 0)


def _mcc(right: np.ndarray, answered: np.ndarray, there: np.ndarray) -> np.ndarray:
    right, answered, there = (part / _total(there) for part in (right, answered, there))
    only_answered, only_there = answered - right, there - right
    neither = 1 - right - only_answered - only_there
    together = (right * neither - only_answered * only_there).sum(1)
    alone = (answered * (1 - answered)).sum(1) * (there * (1 - there)).sum(1)
    return np.where(alone > 1e-18, together / np.sqrt(np.where(alone > 1e-18, alone, 1)), 0.0)


def _total(there: np.ndarray) -> np.ndarray:
    total = there.sum(1, keepdims=True)
    return np.where(total > 0, total, 1)


#: Metrics of the weight by class that is answered rightly, that is answered, and that there is: each a function
#: of arrays that broadcast to [sets, classes], giving [sets].
COUNTED: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
    "mcc": _mcc,
}


def _area(found: np.ndarray, target: np.ndarray) -> Scorer:
    """The area under the ROC curve, ties counted half; of several classes the mean, one against the rest."""
    classes = found.shape[1]
    if classes == 2:
        ranks = [((found[:, 1] - found[:, 0]).astype(np.float32), 1)]
    else:
        ranks = list(zip(log_softmax(found).astype(np.float32).T, range(classes), strict=True))
    sorted_rows = [_ordered(values, target == of) for values, of in ranks]

    def run(weights: Weights) -> np.ndarray:
        step = max(1, _CELLS // weights.shape[1])
        parts = [weights[start : start + step] for start in range(0, len(weights), step)]
        areas = np.concatenate([np.stack([_wins(w, *r) for r in sorted_rows], axis=1) for w in parts])
        there = ~np.isnan(areas)
        return np.where(there.any(1), _share(np.where(there, areas, 0).sum(1), there.sum(1)), np.nan)

    return run


def _ordered(values: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order of the rows, where each run of equal values starts in it, and which are true, in order."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    return order, starts, true[order]


def _wins(weights: Weights, order: np.ndarray, starts: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The weighted share of pairs in which a true row outranks another [sets]."""
    ranked = weights[:, order]
    positive = np.add.reduceat(ranked * true, starts, axis=1)
    negative = np.add.reduceat(ranked * ~true, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(1) * negative.sum(1)
    return np.where(pairs > 0, (positive * below).sum(1) / np.where(pairs > 0, pairs, 1), np.nan)


def _any(record, found: np.ndarray, target: np.ndarray) -> Scorer:
    """A metric that someone added to the catalogue, scored once for each set of weights."""
    import jax

    kind = np.int32 if found.ndim == 2 else np.float32
    program = jax.jit(jax.vmap(lambda f, t, w: record.fn(f, t, w), in_axes=(None, None, 0)))
    return lambda weights: np.asarray(
        program(found.astype(np.float32), target.astype(kind), weights.astype(np.float32)), float
    )
