"""Every metric against scikit-learn: weights, padding, ties, absent classes, edge sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as sk

from fathom.errors import UsageError
from fathom.objectives import METRICS, metric_of
from fathom.task import Task


def _auc(t, z, w):
    p = softmax(z, axis=1)
    if z.shape[1] == 2:
        return sk.roc_auc_score(t, z[:, 1] - z[:, 0], sample_weight=w)
    present = [k for k in range(z.shape[1]) if 0 < (t == k).sum() < len(t)]
    return np.mean([sk.roc_auc_score(t == k, p[:, k], sample_weight=w) for k in present])


def _brier(t, z, w):
    if z.shape[1] == 2:
        return sk.brier_score_loss(t, softmax(z, axis=1)[:, 1], sample_weight=w, pos_label=1)
    return sk.brier_score_loss(t, softmax(z, axis=1), sample_weight=w, labels=range(z.shape[1]))


def _balanced(t, z, w):
    present = np.unique(t)
    return sk.recall_score(t, z.argmax(1), labels=present, average="macro", sample_weight=w, zero_division=0)


def _of_class(score):
    def oracle(t, z, w):
        average = "binary" if z.shape[1] == 2 else "macro"
        return score(t, z.argmax(1), average=average, sample_weight=w, zero_division=0)

    return oracle


ORACLES = {
    "accuracy": lambda t, z, w: sk.accuracy_score(t, z.argmax(1), sample_weight=w),
    "balanced_accuracy": _balanced,
    "log_loss": lambda t, z, w: sk.log_loss(t, softmax(z, axis=1), sample_weight=w, labels=range(z.shape[1])),
    "f1": _of_class(sk.f1_score),
    "mcc": lambda t, z, w: sk.matthews_corrcoef(t, z.argmax(1), sample_weight=w),
    "precision": _of_class(sk.precision_score),
    "recall": _of_class(sk.recall_score),
    "roc_auc": _auc,
    "brier": _brier,
    "rmse": lambda t, z, w: sk.root_mean_squared_error(t, z, sample_weight=w),
    "mae": lambda t, z, w: sk.mean_absolute_error(t, z, sample_weight=w),
    "r2": lambda t, z, w: sk.r2_score(t, z, sample_weight=w),
}
CLASSIFICATION = [r for r in METRICS if r.kind == "classification"]
REGRESSION = [r for r in METRICS if r.kind == "regression"]
every_metric = pytest.mark.parametrize("record", list(METRICS), ids=lambda r: r.name)


def _example(record, rows=40, count=2, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, count)).astype(np.float32)
    if count == 2:
        # Multiples of 1/8: many ties, and differences that are exact in single precision.
        z = np.round(8 * z) / 8
    if record.kind == "classification":
        return z, rng.integers(0, count, rows), rng.uniform(0.1, 2, rows)
    return z, z + rng.normal(size=z.shape), rng.uniform(0.1, 2, rows)


def _targets(record, t):
    return jnp.asarray(t, jnp.int32 if record.kind == "classification" else jnp.float32)


def test_every_metric_has_an_oracle():
    assert set(ORACLES) == set(METRICS.names())


@every_metric
@pytest.mark.parametrize("count", [2, 4])
def test_against_scikit_learn_with_and_without_weights(record, count):
    run = jax.jit(record.fn)
    for seed in range(3):
        z, t, w = _example(record, count=count, seed=seed)
        args = jnp.asarray(z, jnp.float32), _targets(record, t)
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            plain, weighted = run(*args), run(*args, jnp.asarray(w, jnp.float32))
        assert plain.shape == () and plain.dtype == jnp.float32
        assert float(plain) == pytest.approx(ORACLES[record.name](t, z, None), rel=2e-5, abs=1e-6)
        assert float(weighted) == pytest.approx(ORACLES[record.name](t, z, w), rel=2e-5, abs=1e-6)


@every_metric
@pytest.mark.parametrize("count", [2, 4])
def test_numpy_arrays_give_the_same_in_double_precision(record, count):
    z, t, w = _example(record, count=count)
    z = z.astype(float)
    assert float(record.fn(z, t)) == pytest.approx(ORACLES[record.name](t, z, None), rel=1e-12)
    got = record.fn(np.concatenate([z, z[:1] * np.nan]), np.concatenate([t, t[:1]]), np.append(w, 0.0))
    assert isinstance(got, np.floating)
    assert float(got) == pytest.approx(ORACLES[record.name](t, z, w), rel=1e-12)


@every_metric
def test_rows_of_weight_zero_are_not_there_even_if_not_finite(record):
    z, t, w = _example(record, count=3)
    padded = np.concatenate([z, np.full((3, 3), np.nan), np.full((2, 3), np.inf)])
    targets = np.concatenate([t, np.zeros((5, *t.shape[1:]), t.dtype)])
    weights = np.concatenate([w, np.zeros(5)])
    got = jax.jit(record.fn)(
        jnp.asarray(padded, jnp.float32), _targets(record, targets), jnp.asarray(weights, jnp.float32)
    )
    assert float(got) == pytest.approx(ORACLES[record.name](t, z, w), rel=2e-5)


@every_metric
def test_no_weight_at_all_is_nan_and_one_row_is_no_crash(record):
    z, t, _ = _example(record, rows=1)
    z, t = jnp.asarray(z, jnp.float32), _targets(record, t)
    assert jnp.isnan(record.fn(z, t, jnp.zeros(1)))
    if record.name != "roc_auc":
        assert jnp.isfinite(record.fn(z, t))


@every_metric
def test_under_vmap_over_members(record):
    z, t, w = _example(record, count=3)
    t, w = _targets(record, t), jnp.asarray(w, jnp.float32)
    members = jnp.asarray(np.stack([z, -z, z[::-1]]), jnp.float32)
    many = jax.jit(jax.vmap(record.fn, in_axes=(0, None, None)))(members, t, w)
    run = jax.jit(record.fn)
    np.testing.assert_allclose(many, [run(m, t, w) for m in members], rtol=1e-5)


@every_metric
def test_a_better_prediction_scores_better(record):
    z, t, _ = _example(record, count=3)
    right = 5.0 * np.eye(3)[t] if record.kind == "classification" else t
    good, bad = (float(record.fn(jnp.asarray(o, jnp.float32), _targets(record, t))) for o in (right, z))
    assert (good > bad) == record.greater_is_better


@pytest.mark.parametrize("record", CLASSIFICATION, ids=lambda r: r.name)
def test_absent_class(record):
    z, t, w = _example(record, count=4)
    t = np.where(t == 2, 0, t)
    got = jax.jit(record.fn)(jnp.asarray(z, jnp.float32), _targets(record, t), jnp.asarray(w, jnp.float32))
    assert float(got) == pytest.approx(ORACLES[record.name](t, z, w), rel=2e-5)


@pytest.mark.parametrize("record", REGRESSION, ids=lambda r: r.name)
def test_one_output_in_every_shape(record):
    z, t, w = _example(record, count=1)
    expected = ORACLES[record.name](t, z, w)
    for outputs in (z, z[:, 0]):
        for targets in (t, t[:, 0]):
            got = jax.jit(record.fn)(
                jnp.asarray(outputs, jnp.float32), _targets(record, targets), jnp.asarray(w, jnp.float32)
            )
            assert float(got) == pytest.approx(expected, rel=2e-5)


def test_area_of_extremes():
    area = METRICS["roc_auc"].fn
    t = jnp.array([0, 1, 0, 1])
    assert float(area(jnp.zeros((4, 2)), t)) == 0.5
    assert float(area(jnp.array([[1.0, 0], [0, 1], [1, 0], [0, 1]]), t)) == 1.0
    assert float(area(jnp.array([[0.0, 1], [1, 0], [0, 1], [1, 0]]), t)) == 0.0
    assert jnp.isnan(area(jnp.zeros((4, 2)), jnp.ones(4, jnp.int32)))
    assert jnp.isnan(area(jnp.array([[0.0, jnp.nan], [1, 0], [0, 1], [1, 0]]), t))


@every_metric
def test_the_line_between_classes_changes_what_decides_and_nothing_else(record):
    if record.kind == "regression":
        assert not record.decides
        return
    z, t, _ = _example(record, rows=200, count=2)
    probabilities = jax.nn.log_softmax(jnp.asarray(z, jnp.float32))
    sharper = record.fn(3 * probabilities, _targets(record, t))  # the same answers, other probabilities
    ranks = record.name == "roc_auc"
    same = float(sharper) == pytest.approx(float(record.fn(probabilities, _targets(record, t))))
    assert same == (record.decides or ranks)


def test_correlation_of_a_rare_class_keeps_its_digits():
    t = np.zeros(200_000, np.int32)
    t[:20] = 1
    z = np.zeros((len(t), 2), np.float32)
    z[:, 1] = -1
    z[5:30, 1] = 1
    expected = sk.matthews_corrcoef(t, z.argmax(1))
    assert float(METRICS["mcc"].fn(jnp.asarray(z), jnp.asarray(t))) == pytest.approx(expected, rel=1e-4)


def test_diverged_outputs_are_no_right_answers():
    broken, t = jnp.full((3, 2), jnp.nan), jnp.zeros(3, jnp.int32)
    assert float(METRICS["accuracy"].fn(broken, t)) == 0
    for name in ("log_loss", "brier", "roc_auc"):
        assert jnp.isnan(METRICS[name].fn(broken, t))


def test_constant_targets_in_r2():
    r2, t = METRICS["r2"].fn, jnp.full(4, 2.0)
    assert float(r2(t, t)) == 1 and float(r2(t + 1, t)) == 0


def test_misuse_is_refused():
    with pytest.raises(UsageError, match=r"outputs\.shape=\(3,\).*give logits \[rows, classes\]"):
        METRICS["accuracy"].fn(jnp.zeros(3), jnp.zeros(3, jnp.int32))
    with pytest.raises(UsageError, match=r"metric='acuracy' is not known.*did you mean 'accuracy'"):
        metric_of(Task.classification(2, 2, metric="acuracy"))
    with pytest.raises(UsageError, match="metric='rmse' is not known; use one of: accuracy"):
        metric_of(Task.classification(2, 2, metric="rmse"))
