"""Metrics: what a prediction is worth. Every one weighs rows, and a row of weight 0 is not there."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..errors import UsageError
from .shapes import columns

# Shapes are checked by hand below: misuse is a UsageError, with or without a run-time type checker.
Weight = Array | None


def _weights(outputs: Array, weight: Weight) -> Array:
    dtype = outputs.dtype
    return jnp.ones(outputs.shape[0], dtype) if weight is None else jnp.asarray(weight).astype(dtype)


def _mean(values: Array, weight: Array) -> Array:
    """Weighted mean over the rows; a row of weight 0 does not count even if its value is NaN."""
    rows = jax.lax.expand_dims(weight, range(1, values.ndim))
    return jnp.sum(jnp.where(rows > 0, rows * values, 0), axis=0) / jnp.sum(weight)


def _tally(mask: Array, weight: Array) -> Array:
    """Weight of the rows that are marked, for each class [classes]."""
    return jnp.sum(jnp.where(mask, weight[:, None], 0), axis=0)


def _classes(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """One-hot predictions and targets; a row whose outputs hold a NaN predicts no class."""
    if outputs.ndim != 2 or outputs.shape[1] < 2 or targets.shape != outputs.shape[:1]:
        raise UsageError(
            f"outputs.shape={tuple(outputs.shape)}, targets.shape={tuple(targets.shape)}: "
            "give logits [rows, classes] for two classes or more, and a class index for each row"
        )
    index = jnp.arange(outputs.shape[1], dtype=jnp.int32)[None, :]
    answered = ~jnp.any(jnp.isnan(outputs), axis=1, keepdims=True)
    predicted = (jnp.argmax(outputs, axis=1).astype(jnp.int32)[:, None] == index) & answered
    return predicted, targets.astype(jnp.int32)[:, None] == index


def accuracy(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
        >>> float(accuracy(jnp.array([[2.0, 1.0], [0.0, 3.0]]), jnp.array([0, 0])))
        0.5
    """
    predicted, true = _classes(outputs, targets)
    return _mean(jnp.any(predicted & true, axis=1).astype(outputs.dtype), _weights(outputs, weight))


def balanced_accuracy(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
    return _mean(right / jnp.where(total > 0, total, 1), (total > 0).astype(w.dtype))


def f1(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
    return _one_or_mean(2 * right / jnp.where(both > 0, both, 1), both > 0, w)


def precision(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
    return _one_or_mean(right / jnp.where(answers > 0, answers, 1), answers + truths > 0, w)


def recall(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
    return _one_or_mean(right / jnp.where(truths > 0, truths, 1), answers + truths > 0, w)


def _one_or_mean(scores: Array, seen: Array, weight: Array) -> Array:
    """The score of class 1 for two classes, else the mean over the classes that are seen."""
    if len(scores) == 2:
        return jnp.where(jnp.sum(weight) > 0, scores[1], jnp.nan)
    return _mean(scores, seen.astype(weight.dtype))


def mcc(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
    share = w / jnp.sum(w)
    # Products of the four cells of each class: c·s - Σ p·t of the textbook loses its digits where a class is rare.
    both, neither = _tally(predicted & true, share), _tally(~predicted & ~true, share)
    only_predicted, only_true = _tally(predicted & ~true, share), _tally(~predicted & true, share)
    together = jnp.sum(both * neither - only_predicted * only_true)
    answers = jnp.sum((both + only_predicted) * (neither + only_true))
    truths = jnp.sum((both + only_true) * (neither + only_predicted))
    alone = answers * truths
    score = jnp.where(alone > 0, together / jnp.sqrt(jnp.where(alone > 0, alone, 1)), 0)
    return jnp.where(jnp.sum(w) > 0, score, jnp.nan)


def log_loss(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
    log_p = jax.nn.log_softmax(outputs, axis=1)
    return _mean(-jnp.sum(jnp.where(true, log_p, 0), axis=1), _weights(outputs, weight))


def brier(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
    error = (jax.nn.softmax(outputs, axis=1) - true.astype(outputs.dtype)) ** 2
    per_row = error[:, 1] if outputs.shape[1] == 2 else jnp.sum(error, axis=1)
    return _mean(per_row, _weights(outputs, weight))


def _area(score: Array, true: Array, weight: Array) -> Array:
    """Weighted P(score of a true row > score of another) + P(equal) / 2; NaN if either kind is absent."""
    # A row of no weight may hold a NaN, which would sort among the others.
    score = jnp.where(weight > 0, score, 0)
    order = jnp.argsort(score)
    score, positive, negative = score[order], (weight * true)[order], (weight * (1 - true))[order]
    up_to = jnp.cumsum(negative)
    changes = score[1:] != score[:-1]
    edge = jnp.ones(1, bool)
    first, last = jnp.concatenate([edge, changes]), jnp.concatenate([changes, edge])
    # Sums of weights only grow, so a running maximum carries the value at a tie's first row on.
    below = jax.lax.cummax(jnp.where(first, up_to - negative, 0))
    below_or_equal = jax.lax.cummin(jnp.where(last, up_to, jnp.inf), reverse=True)
    wins = jnp.sum(positive * (below + below_or_equal) / 2)
    return jnp.where(jnp.any(jnp.isnan(score)), jnp.nan, wins / (jnp.sum(positive) * jnp.sum(negative)))


def roc_auc(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
        return _area(outputs[:, 1] - outputs[:, 0], true[:, 1].astype(w.dtype), w)
    scores = jax.nn.log_softmax(outputs, axis=1)
    areas = jax.vmap(_area, in_axes=(1, 1, None))(scores, true.astype(w.dtype), w)
    total = _tally(true, w)
    has_area = (total > 0) & (total < jnp.sum(w))
    return _mean(areas, has_area.astype(w.dtype))


def rmse(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
    return jnp.mean(jnp.sqrt(_mean((y - t) ** 2, _weights(y, weight))))


def mae(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
    return jnp.mean(_mean(jnp.abs(y - t), _weights(y, weight)))


def r2(outputs: Array, targets: Array, weight: Weight = None) -> Float[Array, ""]:
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
    w = _weights(y, weight)
    error = _mean((y - t) ** 2, w)
    spread = _mean((t - _mean(t, w)[None, :]) ** 2, w)
    constant = jnp.where(error == 0, 1.0, jnp.where(jnp.isnan(error), jnp.nan, 0.0))
    return jnp.mean(jnp.where(spread == 0, constant, 1 - error / jnp.where(spread == 0, 1, spread)))
