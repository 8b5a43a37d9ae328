"""The estimators among scikit-learn's tools. Oracles: scikit-learn's own results on the same predictions."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fathom as fm
from fathom.errors import UsageError
from fathom.models import MLP
from fathom.sklearn import PopulationClassifier, PopulationRegressor

from .conftest import classifier, regressor

NAMES = np.array(["setosa", "versicolor", "virginica"])


def frame(rows=120):
    """A table whose color and missing cells say the class, and whose numbers say nothing."""
    draw = np.random.default_rng(0)
    color = draw.choice(["red", "green", "blue"], rows)
    size = np.where(draw.random(rows) < 0.2, np.nan, draw.normal(size=rows))
    table = pd.DataFrame({"size": size, "color": pd.Categorical(color), "noise": draw.normal(size=rows)})
    return table, np.where((color == "red") | np.isnan(size), "yes", "no")


def test_classes_keep_their_names_and_order(fitted, iris):
    x, y = iris
    assert fitted.classes_.tolist() == NAMES.tolist()
    assert set(fitted.predict(x)) <= set(NAMES)
    assert fitted.score(x, NAMES[y]) == accuracy_score(NAMES[y], fitted.predict(x)) > 0.9
    assert fitted.n_features_in_ == 4 and 1 <= fitted.n_iter_ <= 30


def test_what_a_classifier_says_agrees_with_itself(fitted, iris):
    x, _ = iris
    chances = fitted.predict_proba(x)
    np.testing.assert_allclose(chances.sum(1), 1)
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(x)), chances)
    np.testing.assert_array_equal(fitted.decision_function(x), fitted.predict_log_proba(x))
    np.testing.assert_array_equal(fitted.predict(x), fitted.classes_[chances.argmax(1)])


def test_of_two_classes_the_sign_decides(iris):
    x, y = iris[0][50:], iris[1][50:]
    two = classifier(epochs=20).fit(x, y)
    found, chances = two.decision_function(x), two.predict_proba(x)
    np.testing.assert_allclose(found, np.log(chances[:, 1] / chances[:, 0]), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(two.predict(x), np.where(found > 0, 2, 1))


def test_a_row_is_answered_the_same_alone(fitted, iris):
    x, _ = iris
    alone = np.concatenate([fitted.predict_log_proba(x[i : i + 1]) for i in range(5)])
    np.testing.assert_array_equal(alone, fitted.predict_log_proba(x)[:5])


def test_a_tuned_threshold_moves_what_is_named_and_not_the_probabilities():
    draw = np.random.default_rng(3)
    x = draw.normal(size=(400, 3))
    y = (x[:, 0] + draw.normal(size=400) > 1.8).astype(int)
    plain = classifier(metric="f1", epochs=15).fit(x, y)
    tuned = clone(plain).set_params(tune_threshold=True).fit(x, y)
    np.testing.assert_array_equal(plain.predict_proba(x), tuned.predict_proba(x))
    np.testing.assert_array_equal(plain.predict(x), (plain.predict_proba(x)[:, 1] > 0.5).astype(int))
    threshold = tuned.result_.ensemble.threshold
    assert threshold < 0.5 and tuned.predict(x).sum() > plain.predict(x).sum()
    np.testing.assert_array_equal(tuned.predict(x), (tuned.predict_proba(x)[:, 1] > threshold).astype(int))


def test_values_are_predicted_with_intervals(fitted_line, line):
    x, y = line
    found = fitted_line.predict(x)
    assert fitted_line.score(x, y) == r2_score(y, found) > 0.8
    low, high = fitted_line.predict_interval(x, coverage=0.8)
    assert (low <= found).all() and (found <= high).all()
    wider = fitted_line.predict_interval(x, coverage=0.9)
    assert (wider[1] - wider[0] > high - low).all()
    with pytest.raises(ValueError, match="coverage=2 is not allowed"):
        fitted_line.predict_interval(x, coverage=2)


def test_the_result_of_the_study_is_there(fitted):
    table = fitted.result_.table()
    assert len(table) == 2 * 5 and len({row["seed"] for row in table}) == 2
    assert {row["fold"] for row in table} == set(range(5)) and {row["learning_rate"] for row in table} == {
        0.01
    }
    assert [row["best_score"] for row in table] == sorted((row["best_score"] for row in table), reverse=True)
    assert fitted.chosen_settings_["width"] == 16
    assert fitted.result_.summary()["data"]["classes"] == NAMES.tolist()


def test_one_network_or_the_average_of_several(fitted, iris):
    x, _ = iris
    one = pickle.loads(pickle.dumps(fitted)).set_params(ensemble=False)
    np.testing.assert_array_equal(one.predict_proba(x), fitted.result_.best.predict_proba(x))
    assert len(fitted.result_.ensemble.parts) > 1
    assert np.abs(one.predict_proba(x) - fitted.predict_proba(x)).max() > 0


def test_a_pickle_predicts_the_same_without_the_data(fitted, iris):
    x, _ = iris
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(x), fitted.predict_proba(x))
    assert again.result_.study is None and again.result_.table() == fitted.result_.table()
    assert not hasattr(clone(again), "result_") and clone(again).get_params() == fitted.get_params()


def test_a_state_repeats_a_fit_and_another_does_not(iris):
    x, y = iris
    first, again, other = (classifier(random_state=s).fit(x, y).predict_log_proba(x) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_in_a_pipeline_and_in_cross_validation(iris):
    x, y = iris
    scores = cross_val_score(make_pipeline(StandardScaler(), classifier(epochs=20)), x, y, cv=3)
    assert scores.shape == (3,) and scores.min() > 0.85


def test_a_grid_search_finds_the_setting_that_learns(iris):
    x, y = iris
    search = GridSearchCV(classifier(), {"learning_rate": [1e-6, 0.03]}, cv=2).fit(x, y)
    assert search.best_params_ == {"learning_rate": 0.03} and search.score(x, y) > 0.9
    assert search.best_estimator_.chosen_settings_["learning_rate"] == 0.03


def test_a_list_is_searched_within_one_fit(iris):
    x, y = iris
    found = classifier(learning_rate=[1e-6, 0.03]).fit(x, y)
    assert found.result_.summary()["members"] == 2 * 5 and found.chosen_settings_["learning_rate"] == 0.03
    ranged = classifier(learning_rate=fm.log_range(1e-3, 1e-1), samples=3).fit(x, y)
    assert len({row["learning_rate"] for row in ranged.result_.table()}) == 3


def test_settings_may_be_numbers_of_numpy(iris):
    given = {
        "learning_rate": np.float32(0.01),
        "width": np.int64(16),
        "epochs": np.int32(8),
        "folds": np.int64(5),
    }
    plain = {name: value.item() for name, value in given.items()}
    found, same = (
        classifier(**settings).fit(*iris).predict_log_proba(iris[0]) for settings in (given, plain)
    )
    np.testing.assert_array_equal(found, same)
    searched = classifier(learning_rate=np.array([1e-6, 0.03])).fit(*iris)
    assert searched.chosen_settings_["learning_rate"] == 0.03


def test_a_transformed_target(line):
    x, y = line
    found = TransformedTargetRegressor(regressor(epochs=60), func=np.arcsinh, inverse_func=np.sinh).fit(x, y)
    assert found.score(x, y) > 0.7


def test_output_of_a_transformer_before_it_may_be_a_frame(iris):
    x, y = iris
    steps = make_pipeline(StandardScaler(), classifier()).set_output(transform="pandas")
    steps.fit(pd.DataFrame(x, columns=list("abcd")), y)
    assert steps[-1].feature_names_in_.tolist() == list("abcd")


def test_weights_are_routed_to_the_fit(iris):
    x, y = iris
    weight = np.where(y == 2, 1e-3, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = classifier(epochs=20).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        steps = make_pipeline(scaler, asked).fit(x, y, sample_weight=weight)
        plain = make_pipeline(scaler, clone(asked)).fit(x, y).predict_proba(x)
    assert steps.predict_proba(x)[y == 2, 2].mean() < plain[y == 2, 2].mean() - 0.2


def test_columns_of_a_frame_are_known_by_name_and_kind():
    table, y = frame()
    found = classifier(epochs=30, width=32).fit(table, pd.Series(y, name="bought"))
    assert found.feature_names_in_.tolist() == ["size", "color", "noise"]
    assert found.score(table, y) > 0.9
    assert found.result_.summary()["target"] == "bought"
    kinds = {column.name: column.kind for column in found.result_.ensemble.schema.columns}
    assert kinds == {"size": "numeric", "color": "categorical", "noise": "numeric"}
    with pytest.raises(ValueError, match="feature names should match"):
        found.predict(table[["color", "size", "noise"]])
    unseen = table.assign(color="violet")
    assert np.isfinite(found.predict_proba(unseen)).all()


def test_numbers_may_be_declared_categories():
    table = pd.DataFrame({"code": np.tile([10, 20, 30, 40], 30), "noise": np.arange(120) % 7})
    found = classifier(columns={"code": "categorical"}).fit(table, table["code"].isin([10, 30]).to_numpy())
    assert found.result_.ensemble.schema.columns[0].kind == "categorical"
    with pytest.raises(UsageError, match=r"columns: 'cod' is no column; .*did you mean 'code'"):
        classifier(columns={"cod": "categorical"}).fit(table, table["code"] > 20)


def test_a_sparse_matrix_is_the_dense_one(iris):
    x, y = iris
    x = np.where(x > 3, x, 0)
    for kind in (sparse.csr_array, sparse.csc_matrix):
        found = classifier().fit(kind(x), y)
        np.testing.assert_array_equal(found.predict_proba(kind(x)), classifier().fit(x, y).predict_proba(x))


def test_a_sparse_matrix_that_would_fill_the_memory_is_refused():
    wide = sparse.csr_array((3, 200_000_000))
    with pytest.raises(ValueError, match=r"sparse matrix whose dense form takes 4\.5 GiB; at most 2 GiB"):
        classifier().fit(wide, [0, 1, 0])


def test_a_table_of_many_rows_has_no_room_and_works_all_the_same():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(5200, 2)).astype(np.float32)
    y = x[:, 0] - x[:, 1]
    found = regressor(epochs=2, batch_size=512).fit(x, y)
    assert found.result_.ensemble.encoders[0].room == (0, 0)
    assert found.score(x, y) > 0.5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"width": 0}, "width=0 is not allowed"),
        ({"learning_rate": "fast"}, "learning_rate='fast' is not allowed"),
        ({"model": "mpl"}, "model='mpl' is not known; .*did you mean 'mlp'"),
        ({"model": 3}, "model=3 is no architecture; give 'auto'"),
        ({"model": "linear"}, "width=16: the model 'linear' has no width; leave it out"),
        ({"metric": "rmse"}, "metric='rmse' is not for classification"),
        ({"folds": -1}, "folds=-1 is not allowed; give 0"),
        ({"seeds": 0}, "seeds=0 is not allowed"),
        ({"recipe": {"learning_rate": 0.1}}, "recipe='learning_rate' is given as a parameter too"),
        ({"recipe": {"momentun": 0.1}}, "recipe field='momentun' is not known; .*did you mean 'momentum'"),
        ({"budget": "a minute"}, "budget='a minute' is not allowed"),
    ],
)
def test_a_parameter_that_is_not_allowed_is_refused_before_training(iris, compiled, settings, said):
    with pytest.raises(UsageError, match=said):
        classifier(**settings).fit(*iris)
    assert compiled.count == 0


def test_targets_of_several_columns_are_refused(iris):
    x, y = iris
    with pytest.raises(ValueError, match="y should be a 1d array"):
        classifier().fit(x, np.stack([y, y], axis=1))
    with pytest.raises(ValueError, match="y should be a 1d array"):
        regressor().fit(x, np.stack([y, y], axis=1))
    assert not PopulationRegressor().__sklearn_tags__().target_tags.multi_output


def test_one_class_is_refused_in_words():
    with pytest.raises(ValueError, match=r"y has one class only \('a'\)"):
        classifier().fit(np.zeros((4, 1)), list("aaaa"))


def test_an_architecture_of_the_library_or_several(iris):
    x, y = iris
    found = PopulationClassifier([MLP(width=8, depth=1), MLP(width=4, depth=1)], epochs=2, samples=1).fit(
        x, y
    )
    assert {row["width"] for row in found.result_.table()} == {8, 4}


def test_verbose_says_what_is_done(iris, capsys):
    classifier(verbose=1).fit(*iris)
    said = capsys.readouterr().out
    assert "5 members (1 candidate" in said.replace("candidates", "candidate") and "done in" in said
    classifier().fit(*iris)
    assert capsys.readouterr().out == ""


def test_a_budget_of_members(iris):
    x, y = iris
    found = classifier(learning_rate=fm.log_range(1e-3, 1e-1), samples=None, budget="20 members").fit(x, y)
    assert found.result_.summary()["members"] == 20


def test_rows_that_were_held_back_are_predicted(iris):
    train, test, known, answers = train_test_split(*iris, random_state=0, stratify=iris[1])
    assert classifier(epochs=30).fit(train, known).score(test, answers) > 0.9
