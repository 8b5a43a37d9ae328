"""Weights of rows and classes. Oracles: rows written twice; scikit-learn's sample_weight; the rows' own frequencies."""

import dataclasses

import jax
import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.utils import compute_class_weight

import fathom as fm
from fathom.data import make_split
from fathom.errors import DataError, UsageError
from fathom.models import MLP
from fathom.study.inputs import Inputs
from fathom.study.weights import class_weights, effective_rows, parse_class_weight

from .conftest import small_regression


def weighted(dataset, weight):
    return dataclasses.replace(dataset, weight=np.asarray(weight, float))


def rare(rows, seed, share=0.1):
    """Two overlapping clouds, the second rare."""
    draw = np.random.default_rng(seed)
    y = (draw.random(rows) < share).astype(int)
    return draw.normal(size=(rows, 4)) + 1.1 * y[:, None] * np.array([1, 1, 0, 0]), y


def rare_study(seed, **more):
    recipe = fm.Recipe(learning_rate=0.01, epochs=15)
    data = fm.load(rare(1200, seed), kind="classification")
    return fm.Study(data, MLP(width=8, depth=1), recipe, folds=3, split_seed=seed, **more)


@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_a_row_of_weight_two_trains_like_the_row_twice(name):
    """Whole batches without noise, encoded alike: the same networks but for rounding."""
    plain = fm.load(name)
    rows = np.arange(len(plain))
    split = dataclasses.replace(make_split(plain, folds=2, test=0.0))
    weight = np.where(rows % 3 == 0, 2.0, 1.0)
    twice = np.concatenate([rows, rows[::3]])
    doubled = dataclasses.replace(plain, table=plain.table.take(twice), target=plain.target[twice])
    again = [
        tuple(np.flatnonzero(np.isin(twice, part)) for part in parts)
        for parts in (split.train, split.validation)
    ]
    both = dataclasses.replace(split, train=again[0], validation=again[1])
    found = []
    for data, division in ((weighted(plain, weight), split), (doubled, both)):
        recipe = fm.Recipe(learning_rate=0.01, epochs=5, batch_size=1000, optimizer="sgd")
        study = fm.Study(data, MLP(width=6, depth=1), recipe, folds=2, test=0.0)
        study.split = division
        study.inputs = Inputs.of(data, division)
        # What is fitted to the rows (means, spreads) counts each once: take one for both.
        encoders = found[0].study.inputs.encoders if found else study.inputs.encoders
        study.inputs = encoded_by(study.inputs, encoders)
        found.append(study.run(baselines=False))
    one, other = found
    assert one.summary()["validation"]["score"] == pytest.approx(
        other.summary()["validation"]["score"], rel=1e-4
    )
    for mine, theirs in zip(one.ensemble.parts, other.ensemble.parts, strict=True):
        for a, b in zip(jax.tree.leaves(mine.kept), jax.tree.leaves(theirs.kept), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)
    assert one.ensemble.temperatures == pytest.approx(other.ensemble.temperatures, rel=1e-2)


def encoded_by(inputs, encoders):
    """The same rows, encoded by others."""
    table, examples = inputs.dataset.table.take(inputs.rows), dict(inputs.feed.examples)
    blank = [np.zeros_like(encoder.encode(table)[:1]) for encoder in encoders]
    cells = zip(encoders, blank, strict=True)
    examples["x"] = np.stack([np.concatenate([encoder.encode(table), none]) for encoder, none in cells])
    if inputs.dataset.kind == "regression":
        target = inputs.dataset.target[inputs.rows]
        examples["y"] = np.stack([np.append(e.encode_target(target), 0).astype(np.float32) for e in encoders])
    return dataclasses.replace(
        inputs, encoders=encoders, feed=dataclasses.replace(inputs.feed, examples=examples)
    )


def test_weights_are_brought_to_mean_one_and_a_row_of_weight_zero_is_not_there():
    plain = fm.load("diabetes")
    weight = np.where(np.arange(len(plain)) % 4 == 0, 0.0, 250.0)
    inputs = Inputs.of(weighted(plain, weight), make_split(plain, folds=3))
    seen = inputs.feed.examples["weight"][0]
    assert seen[:-1].mean() == pytest.approx(1.0) and seen[-1] == 0
    assert (weight[inputs.rows] > 0).all()


def test_scores_are_scikit_learns_weighted_ones():
    weight = np.random.default_rng(0).uniform(0.1, 5, 442)
    result = small_regression(data=weighted(fm.load("diabetes"), weight)).run()
    rows = result.study.split.test
    truth = result.study.dataset.target[rows]
    found = result.ensemble.predict(result.study.dataset.table.numeric[rows])
    metrics, w = result.summary()["test"]["ensemble_metrics"], {"sample_weight": weight[rows]}
    assert metrics["rmse"] == pytest.approx(sk.root_mean_squared_error(truth, found, **w), rel=1e-4)
    assert metrics["mae"] == pytest.approx(sk.mean_absolute_error(truth, found, **w), rel=1e-4)
    assert metrics["r2"] == pytest.approx(sk.r2_score(truth, found, **w), rel=1e-3)
    rows = result.study.split.validation[0]
    held = result.best.predict(result.study.dataset.table.numeric[rows])
    score = sk.root_mean_squared_error(result.study.dataset.target[rows], held, sample_weight=weight[rows])
    assert result.summary()["validation"]["score"] == pytest.approx(score, rel=1e-4)
    assert result.summary()["test"]["effective_rows"] < result.summary()["test"]["rows"]


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_none_is_refused(bad):
    weight = np.ones(150)
    weight[7] = bad
    with pytest.raises(DataError, match="in row 8: a row's weight is a number, 0 or more"):
        fm.Study(weighted(fm.load("iris"), weight))


def test_weights_of_nothing_but_zero_are_refused():
    with pytest.raises(DataError, match="all training rows weigh 0"):
        fm.Study(weighted(fm.load("iris"), np.zeros(150)))


def test_rows_of_equal_weight_count_in_full():
    assert effective_rows(None, 12) == 12
    assert effective_rows(np.full(12, 3.0), 12) == 12
    assert effective_rows(np.array([1.0, 0, 0]), 3) == 1


def test_balanced_weights_are_scikit_learns():
    target = np.random.default_rng(0).choice(3, 200, p=[0.7, 0.2, 0.1])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=target)
    np.testing.assert_allclose(class_weights("balanced", list("abc"), target, np.ones(200)), expected)


def test_named_weights_keep_their_proportions_and_the_mean():
    target = np.array([0, 0, 0, 1])
    found = class_weights({"b": 5}, ["a", "b"], target, np.ones(4))
    assert found[1] / found[0] == pytest.approx(5) and found[target].mean() == pytest.approx(1)
    np.testing.assert_allclose(found, class_weights("b=5", ["a", "b"], target, np.ones(4)))
    assert parse_class_weight("a=1, b = 2.5") == {"a": 1.0, "b": 2.5}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("balance", "class_weight='balance' is not allowed; give 'balanced', or a number for each class"),
        ("b=x", "class_weight='b=x' is not allowed"),
        ({"c": 1}, "class_weight class='c' is not known; use one of: a, b"),
        ({"b": 0}, "class_weight=b: 0 is not allowed; give a number above 0"),
    ],
)
def test_class_weights_that_are_none_are_refused(given, said):
    with pytest.raises(UsageError, match=said):
        class_weights(given, ["a", "b"], np.array([0, 1]), np.ones(2))


def test_a_regression_has_no_classes_to_weigh():
    with pytest.raises(UsageError, match="class_weight is for classification"):
        fm.Study("diabetes", class_weight="balanced")


def test_probabilities_are_calibrated_in_spite_of_class_weights():
    """In every tenth of the fresh rows by probability, as many are of the class as the probability says."""
    x, y = rare(8000, 99)
    study = rare_study(0, class_weight="balanced")
    model = study.run(baselines=False).ensemble
    assert study.task.metric == "balanced_accuracy"
    chances = model.predict_proba(x)[:, 1]
    assert chances.mean() == pytest.approx(y.mean(), abs=0.03)
    for part in np.array_split(np.argsort(chances), 5):
        assert chances[part].mean() == pytest.approx(y[part].mean(), abs=0.06)
    raw = dataclasses.replace(model, shift=()).predict_proba(x)[:, 1]
    assert raw.mean() > 2.5 * y.mean()  # what the weighted loss alone would say
    loaded = fm.Study.from_settings({**study.to_settings(), "data": "iris", "target": None, "kind": None})
    assert loaded.class_weight == "balanced"


def test_a_tuned_line_scores_higher_on_fresh_rows():
    x, y = rare(6000, 98)
    names = np.array(["0", "1"])
    gains = []
    for seed in range(3):
        model = rare_study(seed, metric="f1").run(baselines=False).ensemble
        plain = model.with_threshold(0.5)
        found = [sk.f1_score(y, (m.predict(x) == names[1]).astype(int)) for m in (model, plain)]
        gains.append(found[0] - found[1])
        assert model.threshold is not None and 0.1 < model.threshold < 0.5
    assert np.mean(gains) > 0.03


def test_the_line_is_not_fitted_on_test_rows_and_is_kept(tmp_path):
    study = rare_study(0, metric="f1")
    result = study.run(tmp_path / "run", baselines=False)
    target = study.dataset.target.copy()
    target[study.split.test] = 1 - target[study.split.test]
    spoiled = dataclasses.replace(study.dataset, target=target)
    other = fm.Study(spoiled, study.architectures, study.recipe, folds=3, metric="f1")
    other.split, other.inputs = study.split, dataclasses.replace(study.inputs, dataset=spoiled)
    again = other.run(baselines=False)
    assert again.ensemble.threshold == result.ensemble.threshold == fm.load_model(tmp_path / "run").threshold
    x, rows = study.dataset.table.numeric, study.split.test
    f1 = sk.f1_score(study.dataset.target[rows], result.ensemble.predict(x[rows]) == "1")
    assert result.summary()["test"]["ensemble_metrics"]["f1"] == pytest.approx(f1, rel=1e-5)
    assert result.summary()["decision"]["threshold"] == pytest.approx(result.ensemble.threshold, rel=1e-6)
    with pytest.raises(UsageError, match="threshold=2 is not allowed; give a probability between 0 and 1"):
        result.ensemble.with_threshold(2)


def test_f1_is_about_the_rare_word(tmp_path):
    """Oracle: scikit-learn's F1 with the class named. "ok" comes after "fraud" by the alphabet."""
    x, y = rare(600, 3)
    table = {**{f"x{i}": column for i, column in enumerate(x.T)}, "y": np.where(y == 1, "fraud", "ok")}
    settings = {
        "metric": "f1",
        "folds": 2,
        "model": {"name": "mlp", "width": 16},
        "recipe": {"learning_rate": 3e-3, "epochs": 8},
    }

    def f1_of(more, name):
        data = fm.load(table, "y", **more)
        result = fm.Study.from_settings(settings, data=data).run(tmp_path / name, baselines=False)
        model = fm.load_model(tmp_path / name)
        rows = result.study.split.test
        named = model.predict({key: values[rows] for key, values in table.items() if key != "y"})
        truth = table["y"][rows]
        positive = data.classes[1]
        assert result.summary()["test"]["ensemble_metrics"]["f1"] == pytest.approx(
            sk.f1_score(truth, named, pos_label=positive), rel=1e-5
        )
        return positive

    assert f1_of({}, "rare") == "fraud"
    assert f1_of({"positive": "ok"}, "common") == "ok"
