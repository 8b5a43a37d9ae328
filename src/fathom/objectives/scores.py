"""Metrics: what a prediction is worth. Every one weighs rows, and a row of weight 0 is not there.

Each works on JAX arrays, inside a compiled program, and on NumPy arrays, where there is nothing to compile.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from ..errors import UsageError
from .shapes import columns

# Shapes are checked by hand below: misuse is a UsageError, with or without a run-time type checker.
Array = Any  # jax.Array or np.ndarray
Weight = Any
Score = Float[jax.Array, ""] | np.floating


def _library(array: Array) -> Any:
    """`jax.numpy` or `numpy`: whichever the array belongs to."""
    return array.__array_namespace__()


def _weights(outputs: Array, weight: Weight) -> Array:
    xp = _library(outputs)
    return xp.ones(outputs.shape[0], outputs.dtype) if weight is None else xp.asarray(weight, outputs.dtype)


def _mean(values: Array, weight: Array) -> Any:
    """Weighted mean over the rows; a row of weight 0 does not count even if its value is NaN."""
    xp = _library(values)
    rows = weight.reshape(weight.shape + (1,) * (values.ndim - 1))
    total, sums = weight.sum(), xp.where(rows > 0, rows * values, 0).sum(axis=0)
    return xp.where(total > 0, sums / xp.where(total > 0, total, 1), xp.nan)[()]


def _if_any(weight: Array, score: Any) -> Any:
    """The score; NaN if every weight is 0."""
    xp = _library(weight)
    return xp.where(weight.sum() > 0, score, xp.asarray(xp.nan, weight.dtype))[()]


def _tally(mask: Array, weight: Array) -> Array:
    """Weight of the rows that are marked, for each class [classes]."""
    return _library(weight).where(mask, weight[:, None], 0).sum(axis=0)


def log_softmax(outputs: Array) -> Array:
    """Log-probabilities from logits [..., classes], of NumPy (without SciPy, which is slow to import) or of JAX."""
    xp = _library(outputs)
    shifted = outputs - outputs.max(axis=-1, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=-1, keepdims=True))


def _classes(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """One-hot predictions and targets; a row whose outputs hold a NaN predicts no class."""
    if outputs.ndim != 2 or outputs.shape[1] < 2 or targets.shape != outputs.shape[:1]:
        raise UsageError(
            f"outputs.shape={tuple(outputs.shape)}, targets.shape={tuple(targets.shape)}: "
            "give logits [rows, classes] for two classes or more, and a class index for each row"
        )
    xp = _library(outputs)
    index = xp.arange(outputs.shape[1], dtype=xp.int32)[None, :]
    answered = ~xp.isnan(outputs).any(axis=1, keepdims=True)
    predicted = (outputs.argmax(axis=1).astype(xp.int32)[:, None] == index) & answered
    return predicted, targets.astype(xp.int32)[:, None] == index


def accuracy(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """Share of the rows whose largest output is the true class's (a tie goes to the first).

    Args:
        outputs: logits or any scores.
        targets: class indices.
        weight: weight of each row; None weighs all alike.

    Returns:
        0 to 1; NaN if every weight is 0.

    Raises:
        UsageError: if the shapes do not fit.

    Example:
        >>> float(accuracy(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0])))
        0.5
    """
    predicted, true = _classes(outputs, targets)
    return _mean((predicted & true).any(axis=1).astype(outputs.dtype), _weights(outputs, weight))


def balanced_accuracy(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """Mean recall of the classes that are present.

    Args:
        outputs: logits or any scores [rows, classes].
        targets: class indices.
        weight: weight of each row; None weighs all alike.

    Returns:
        0 to 1; NaN if every weight is 0.

    Raises:
        UsageError: if the shapes do not fit.
    """
    predicted, true = _classes(outputs, targets)
    w = _weights(outputs, weight)
    right, total = _tally(predicted & true, w), _tally(true, w)
    return _mean(_ratio(right, total), (total > 0).astype(w.dtype))


def f1(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """F1 = 2 TP / (2 TP + FP + FN): of class 1 for two classes, else the mean over the classes.

    Args:
        outputs: logits or any scores [rows, classes].
        targets: class indices.
        weight: weight of each row; None weighs all alike.

    Returns:
        0 to 1; 0 for two classes without a true or predicted class 1. The mean is over the classes in
        the targets or the predictions. NaN if every weight is 0.

    Raises:
        UsageError: if the shapes do not fit.
    """
    predicted, true = _classes(outputs, targets)
    w = _weights(outputs, weight)
    right = _tally(predicted & true, w)
    both = _tally(predicted, w) + _tally(true, w)
    return _one_or_mean(_ratio(2 * right, both), both > 0, w)


def precision(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """Precision TP / (TP + FP): of class 1 for two classes, else the mean over the classes.

    Args:
        outputs: logits or any scores [rows, classes].
        targets: class indices.
        weight: weight of each row; None weighs all alike.

    Returns:
        0 to 1; a class that is never predicted has precision 0. The mean is over the classes in the targets
        or the predictions. NaN if every weight is 0.

    Raises:
        UsageError: if the shapes do not fit.
    """
    predicted, true = _classes(outputs, targets)
    w = _weights(outputs, weight)
    right, answers, truths = _tally(predicted & true, w), _tally(predicted, w), _tally(true, w)
    return _one_or_mean(_ratio(right, answers), answers + truths > 0, w)


def recall(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """Recall TP / (TP + FN): of class 1 for two classes, else the mean over the classes.

    Args:
        outputs: logits or any scores [rows, classes].
        targets: class indices.
        weight: weight of each row; None weighs all alike.

    Returns:
        0 to 1; a class that is only predicted has recall 0. The mean is over the classes in the targets or
        the predictions. NaN if every weight is 0.

    Raises:
        UsageError: if the shapes do not fit.
    """
    predicted, true = _classes(outputs, targets)
    w = _weights(outputs, weight)
    right, answers, truths = _tally(predicted & true, w), _tally(predicted, w), _tally(true, w)
    return _one_or_mean(_ratio(right, truths), answers + truths > 0, w)


def _ratio(part: Array, whole: Array) -> Array:
    """Part by whole, 0 where there is no whole."""
    return part / _library(whole).where(whole > 0, whole, 1)


def _one_or_mean(scores: Array, seen: Array, weight: Array) -> Any:
    """The score of class 1 for two classes, else the mean over the classes that are seen."""
    if len(scores) == 2:
        return _if_any(weight, scores[1])
    return _mean(scores, seen.astype(weight.dtype))


def mcc(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """Matthews correlation of answers and truths, for any number of classes.

    Args:
        outputs: logits or any scores [rows, classes].
        targets: class indices.
        weight: weight of each row; None weighs all alike.

    Returns:
        -1 to 1; 0 is as good as chance, and what one class alone, predicted or true, comes to. NaN if every
        weight is 0.

    Raises:
        UsageError: if the shapes do not fit.

    Reference: Matthews 1975; Gorodkin 2004 (several classes).
    """
    predicted, true = _classes(outputs, targets)
    w = _weights(outputs, weight)
    xp = _library(w)
    share = _ratio(w, w.sum())
    # Products of the four cells of each class: c·s - Σ p·t of the textbook loses its digits where a class is rare.
    both, neither = _tally(predicted & true, share), _tally(~predicted & ~true, share)
    only_predicted, only_true = _tally(predicted & ~true, share), _tally(~predicted & true, share)
    together = (both * neither - only_predicted * only_true).sum()
    answers = ((both + only_predicted) * (neither + only_true)).sum()
    truths = ((both + only_true) * (neither + only_predicted)).sum()
    alone = answers * truths
    return _if_any(w, xp.where(alone > 0, together / xp.sqrt(xp.where(alone > 0, alone, 1)), 0))


def log_loss(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """Mean of -log softmax(outputs) at the true class, in nats.

    Args:
        outputs: logits [rows, classes].
        targets: class indices.
        weight: weight of each row; None weighs all alike.

    Returns:
        0 or more; NaN if every weight is 0.

    Raises:
        UsageError: if the shapes do not fit.
    """
    _, true = _classes(outputs, targets)
    log_p = log_softmax(outputs)
    return _mean(-_library(outputs).where(true, log_p, 0).sum(axis=1), _weights(outputs, weight))


def brier(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """Brier score: mean of (p - t)², of class 1 for two classes, else summed over the classes.

    Args:
        outputs: logits [rows, classes].
        targets: class indices.
        weight: weight of each row; None weighs all alike.

    Returns:
        0 to 1 for two classes, 0 to 2 for more; NaN if every weight is 0.

    Raises:
        UsageError: if the shapes do not fit.

    Reference: Brier 1950; the halving for two classes is scikit-learn's `scale_by_half="auto"`.
    """
    _, true = _classes(outputs, targets)
    error = (_library(outputs).exp(log_softmax(outputs)) - true.astype(outputs.dtype)) ** 2
    per_row = error[:, 1] if outputs.shape[1] == 2 else error.sum(axis=1)
    return _mean(per_row, _weights(outputs, weight))


def _running_max(array: Array) -> Array:
    """The largest so far, down each column."""
    if isinstance(array, np.ndarray):
        return np.maximum.accumulate(array, axis=0)
    return jax.lax.cummax(array, axis=0)


def _area(score: Array, true: Array, weight: Array) -> Array:
    """Weighted P(score of a true row > score of another) + P(equal) / 2, of each column of [rows, k].

    NaN where either kind is absent.
    """
    xp, weight = _library(score), weight[:, None]
    # A row of no weight may hold a NaN, which would sort among the others.
    score = xp.where(weight > 0, score, 0)
    order = xp.argsort(score, axis=0, stable=True)
    score, positive, negative = (
        xp.take_along_axis(a, order, axis=0) for a in (score, weight * true, weight * (1 - true))
    )
    up_to = xp.cumsum(negative, axis=0)
    changes = score[1:] != score[:-1]
    edge = xp.ones((1, score.shape[1]), bool)
    first, last = xp.concatenate([edge, changes]), xp.concatenate([changes, edge])
    # Sums of weights only grow, so a running maximum carries the value at a tie's first row on.
    below = _running_max(xp.where(first, up_to - negative, 0))
    below_or_equal = -_running_max(xp.where(last, -up_to, -xp.inf)[::-1])[::-1]
    wins = (positive * (below + below_or_equal) / 2).sum(axis=0)
    pairs = positive.sum(axis=0) * negative.sum(axis=0)
    return xp.where(xp.isnan(score).any(axis=0) | (pairs == 0), xp.nan, _ratio(wins, pairs))


def roc_auc(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """Area under the ROC curve; for more than two classes the mean over one-against-the-rest areas.

    Ties count half. Costs a sort for each class.

    Args:
        outputs: logits [rows, classes].
        targets: class indices.
        weight: weight of each row; None weighs all alike.

    Returns:
        0 to 1. A class without rows, or with all rows, has no area and is left out of the mean; NaN if none
        is left, if a row that counts holds a NaN, or if every weight is 0.

    Raises:
        UsageError: if the shapes do not fit.

    Reference: Hand & Till 2001; the mean is scikit-learn's multi_class="ovr", average="macro".
    """
    _, true = _classes(outputs, targets)
    w = _weights(outputs, weight)
    if outputs.shape[1] == 2:
        return _area((outputs[:, 1] - outputs[:, 0])[:, None], true[:, 1:].astype(w.dtype), w)[0]
    areas, total = _area(log_softmax(outputs), true.astype(w.dtype), w), _tally(true, w)
    return _mean(areas, ((total > 0) & (total < w.sum())).astype(w.dtype))


def rmse(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """Root of the mean squared error, the mean over the outputs, in units of the target.

    Args:
        outputs: predictions [rows, k] or [rows].
        targets: in the shape of outputs; [rows] fits [rows, 1].
        weight: weight of each row; None weighs all alike.

    Returns:
        0 or more; NaN if every weight is 0.

    Raises:
        UsageError: if the shapes do not fit.
    """
    y, t = columns(outputs, targets)
    return _library(y).sqrt(_mean((y - t) ** 2, _weights(y, weight))).mean()


def mae(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """Mean absolute error, the mean over the outputs, in units of the target.

    Args:
        outputs: predictions [rows, k] or [rows].
        targets: in the shape of outputs; [rows] fits [rows, 1].
        weight: weight of each row; None weighs all alike.

    Returns:
        0 or more; NaN if every weight is 0.

    Raises:
        UsageError: if the shapes do not fit.
    """
    y, t = columns(outputs, targets)
    return _mean(abs(y - t), _weights(y, weight)).mean()


def r2(outputs: Array, targets: Array, weight: Weight = None) -> Score:
    """Coefficient of determination 1 - Σ(y - t)² / Σ(t - mean t)², the mean over the outputs.

    Args:
        outputs: predictions [rows, k] or [rows].
        targets: in the shape of outputs; [rows] fits [rows, 1].
        weight: weight of each row; None weighs all alike.

    Returns:
        At most 1; 0 is as good as the mean. For targets all alike it is 1 if every prediction is exact,
        else 0. NaN if every weight is 0.

    Raises:
        UsageError: if the shapes do not fit.
    """
    y, t = columns(outputs, targets)
    xp, w = _library(y), _weights(y, weight)
    error = _mean((y - t) ** 2, w)
    spread = _mean((t - _mean(t, w)[None, :]) ** 2, w)
    constant = xp.where(error == 0, 1.0, xp.where(xp.isnan(error), xp.nan, 0.0))
    return xp.where(spread == 0, constant, 1 - error / xp.where(spread == 0, 1, spread)).mean()
