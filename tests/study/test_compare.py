"""Runs compared on shared test rows; the oracles are scikit-learn, SciPy and the runs' own results."""

import json
import shutil

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score

import fathom as fm
from fathom.errors import RunError, UsageError
from fathom.models import Linear
from fathom.study.compare import _shared, mcnemar
from fathom.study.evidence import FOLDER, Evidence


def run(folder, data="iris", rate=0.1, **more):
    recipe = fm.Recipe(learning_rate=[rate], epochs=4)
    return fm.Study(data, Linear(), recipe, folds=2, **more).run(folder, baselines=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A good run, a poor one, one with another division of the rows, and a regression."""
    folder = tmp_path_factory.mktemp("compare")
    made = {
        "good": run(folder / "good"),
        "poor": run(folder / "poor", rate=1e-6),  # it stays where it starts, at one class for all
        "other": run(folder / "other", split_seed=5),
        "values": run(folder / "values", data="diabetes"),
        "values2": run(folder / "values2", data="diabetes", rate=0.01),
    }
    return folder, made


def test_the_difference_is_that_of_the_scores_and_mcnemar_is_scipys(runs):
    folder, made = runs
    found = fm.compare(folder / "good", folder / "poor")
    first, second = found.runs
    assert found.metric == "accuracy" and found.rows == first.rows == 30
    for one, name in ((first, "good"), (second, "poor")):
        assert one.score == pytest.approx(made[name].summary()["test"]["ensemble_score"])
        assert one.seconds == made[name].summary()["seconds"]["total"]
    assert second.difference == pytest.approx(second.score - first.score)
    assert second.difference_low < second.difference < second.difference_high
    n = second.only_this_right + second.only_first_right
    assert second.only_this_right - second.only_first_right == round(30 * second.difference)
    assert second.p == pytest.approx(binomtest(second.only_this_right, n, 0.5).pvalue)
    assert first.parameters / first.networks == 4 * 3 + 3
    assert dict(found.differing) == {"learning_rate": pytest.approx((0.1, 1e-6))}


def test_other_divisions_share_the_rows_that_are_tested_in_both(runs):
    folder, made = runs
    found = fm.compare(folder / "good", folder / "other")
    tested = [Evidence.read(folder / name / FOLDER).test for name in ("good", "other")]
    both = set(made["good"].study.split.test) & set(made["other"].study.split.test)
    assert found.rows >= len(both) > 0  # a copy of a row counts as the row
    assert found.rows == len(_shared([rows.digest for rows in tested])[0]) < 30
    assert "are shared by all runs" in found.notes[0]
    places = [[list(rows.row).index(row) for row in sorted(both)] for rows in tested]
    scores = [
        accuracy_score(rows.target[at], rows.probability[at].argmax(1))
        for rows, at in zip(tested, places, strict=True)
    ]
    if found.rows == len(both):
        assert [one.score for one in found.runs] == pytest.approx(scores)


def test_values_are_compared_by_any_metric_of_theirs(runs):
    folder, made = runs
    found = fm.compare(folder / "values", folder / "values2", metric="mae")
    for one, name in zip(found.runs, ("values", "values2"), strict=True):
        assert one.score == pytest.approx(made[name].summary()["test"]["ensemble_metrics"]["mae"], rel=1e-5)
        assert one.low < one.score < one.high
    assert found.runs[1].p is None and not found.greater_is_better
    json.dumps(found.to_dict())
    with pytest.raises(UsageError, match="metric='f1' is not known; use one of: rmse, mae, r2"):
        fm.compare(folder / "values", folder / "values2", metric="f1")


def test_equal_rows_are_matched_one_by_one():
    a, b = np.array([7, 7, 7, 1, 2], np.uint64), np.array([2, 7, 3, 7], np.uint64)
    left, right = _shared([a, b])
    assert sorted(a[left]) == sorted(b[right]) == [2, 7, 7]
    assert (a[left] == b[right]).all()
    assert len(set(left.tolist())) == 3


def test_a_column_less_is_matched_by_row_number(runs, tmp_path):
    folder, _ = runs
    data = fm.load("iris", columns={"petal length (cm)": "ignore"})
    run(tmp_path / "less", data=data)
    settings = (tmp_path / "less" / "study.toml").read_text()
    assert 'data = "iris"' in settings or "in memory" in settings
    (tmp_path / "less" / "study.toml").write_text(settings.replace("(in memory: iris)", "iris"))
    found = fm.compare(folder / "good", tmp_path / "less")
    assert found.rows == 30 and "matched by their number" in found.notes[0]


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    folder, _ = runs
    with pytest.raises(UsageError, match="needs two runs or more"):
        fm.compare(folder / "good")
    with pytest.raises(UsageError, match=r"predicts 'species' and .* 'progression'"):
        fm.compare(folder / "good", folder / "values")
    with pytest.raises(RunError, match=r"holds no study\.toml"):
        fm.compare(folder / "good", tmp_path)
    old = tmp_path / "old"
    shutil.copytree(folder / "poor", old)
    shutil.rmtree(old / FOLDER)
    with pytest.raises(RunError, match="holds no predictions of its test rows"):
        fm.compare(folder / "good", old)
    other = tmp_path / "apart"
    shutil.copytree(folder / "poor", other)
    rows = Evidence.read(other / FOLDER)
    rows.test.digest[:] += np.uint64(1)
    rows.save(other / FOLDER)
    (other / "study.toml").write_text((other / "study.toml").read_text().replace('"iris"', '"elsewhere.csv"'))
    with pytest.raises(UsageError, match="share no test row"):
        fm.compare(folder / "good", other)


def test_mcnemar_of_no_difference_is_certain():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(3, 12) == pytest.approx(binomtest(3, 15, 0.5).pvalue)
