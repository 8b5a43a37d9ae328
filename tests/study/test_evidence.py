"""The evidence of a run: what it says must follow from the run's own data and model."""

import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix

import fathom as fm
from fathom.data import load
from fathom.errors import RunError
from fathom.models import MLP
from fathom.study import run as running
from fathom.study.evidence import FOLDER, Evidence, Rows
from fathom.study.evidence.cells import number_text, texts
from fathom.study.evidence.passes import LeftOut, affordable
from fathom.study.evidence.rows import digests

from .conftest import small_grid, small_regression

RECIPE = fm.Recipe(learning_rate=0.01, epochs=3)


def read(result):
    found = Evidence.read(result.run.path / FOLDER)
    assert found is not None
    return found


def parts_of(evidence):
    """Every part but the seconds it took."""
    return {f.name: getattr(evidence, f.name) for f in dataclasses.fields(evidence) if f.name != "seconds"}


def assert_same(one, other):
    mine, theirs = parts_of(one), parts_of(other)
    for part in ("test", "validation"):
        a, b = mine.pop(part).arrays(), theirs.pop(part).arrays()
        assert a.keys() == b.keys()
        for name, array in a.items():
            np.testing.assert_array_equal(array, b[name], err_msg=name)
    assert mine == theirs


def people(rows=160, seed=0):
    """Two classes, one column of each kind, missing cells; `town` decides, `luck` says nothing."""
    random = np.random.default_rng(seed)
    town = random.choice(["Bern", "Basel", "Chur"], rows)
    age = random.normal(40, 10, rows).round(1)
    age[::9] = np.nan
    days = np.datetime64("2024-01-01") + random.integers(0, 500, rows)
    notes = np.array(
        [f"{'good' if t == 'Bern' else 'plain'} house number {i} by the lake" for i, t in enumerate(town)]
    )
    luck = random.normal(size=rows)
    y = np.where((town == "Bern") ^ (random.random(rows) < 0.05), "yes", "no")
    return {"town": town, "age": age, "since": days, "note": notes, "luck": luck, "y": y}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A study of `people`, weighted, with a text column."""
    data = load({**people(), "w": np.arange(160) % 3 + 0.5}, "y", columns={"note": "text:16", "w": "weight"})
    study = fm.Study(data, MLP(width=16, depth=1), fm.Recipe(learning_rate=0.03, epochs=15), folds=2)
    return study.run(tmp_path_factory.mktemp("runs") / "mixed", baselines=False)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A study of digits, ten training labels of which are wrong."""
    data = load("digits")
    study = fm.Study(data, MLP(width=32), RECIPE, folds=1)
    target = data.target.copy()
    wrong = np.sort(np.random.default_rng(0).choice(study.split.validation[0], 10, replace=False))
    target[wrong] = (target[wrong] + 3) % 10
    part = np.zeros(len(data), np.int8)
    part[study.split.validation[0]], part[study.split.test] = 1, 2
    data = dataclasses.replace(data, target=target, part=part)
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return fm.Study(data, MLP(width=32), fm.Recipe(learning_rate=0.01, epochs=8)).run(
        folder, baselines=False
    ), wrong


def test_test_rows_are_what_the_predictor_says_of_them(grid):
    result, _ = grid
    study, found = result.study, read(result)
    rows = study.split.test
    np.testing.assert_array_equal(found.test.row, rows)
    np.testing.assert_array_equal(found.test.target, study.dataset.target[rows])
    cells = study.dataset.table.numeric[rows]
    np.testing.assert_allclose(found.test.probability, result.ensemble.predict_proba(cells), atol=1e-5)
    np.testing.assert_allclose(found.test.chosen_probability, result.best.predict_proba(cells), atol=1e-5)
    if len(result.ensemble.parts) > 1:
        np.testing.assert_allclose(found.test.spread, result.ensemble.frame(cells)["spread"], atol=1e-5)
    assert set(found.test.baselines) == set(result.summary()["baselines"])
    for name, probability in found.test.baselines.items():
        share = (probability.argmax(1) == found.test.target).mean()
        assert share == pytest.approx(result.summary()["baselines"][name]["score"])


def test_values_and_intervals_of_a_regression(regression):
    study, found = regression.study, read(regression)
    cells = study.dataset.table.numeric[study.split.test]
    np.testing.assert_allclose(found.test.value, regression.ensemble.predict(cells), rtol=1e-5)
    low, high = regression.ensemble.interval(cells, found.coverage)
    np.testing.assert_allclose(found.test.low, low, rtol=1e-4)
    np.testing.assert_allclose(found.test.high, high, rtol=1e-4)
    inside = np.mean((low <= found.test.target) & (found.test.target <= high))
    held = dict(zip(found.calibration["asked"], found.calibration["found"], strict=True))
    assert held[found.coverage] == pytest.approx(inside)
    assert found.calibration["found"] == sorted(found.calibration["found"])
    assert found.confusion is None and found.thresholds is None and found.test.probability is None


def test_validation_rows_are_predicted_by_networks_that_did_not_train_on_them(grid):
    result, _ = grid
    study, found, whole = result.study, read(result), result.ensemble
    assert sorted(found.validation.row) == sorted(np.concatenate(study.split.validation))
    cells = study.dataset.table.numeric
    for fold, rows in enumerate(study.split.validation):
        mine = [i for i, part in enumerate(whole.parts) if part.fold == fold]
        alone = dataclasses.replace(
            whole,
            parts=tuple(whole.parts[i] for i in mine),
            temperatures=tuple(whole.temperatures[i] for i in mine),
            ensemble_temperature=1.0,
        )
        warm = alone.predict_proba(cells[rows]) ** (1 / whole.ensemble_temperature)
        places = np.searchsorted(found.validation.row, rows)
        expected = warm / warm.sum(1, keepdims=True)
        np.testing.assert_allclose(found.validation.probability[places], expected, atol=1e-5)


def test_the_validation_score_of_the_chosen_follows_from_its_rows(regression):
    """With one fold and one seed, the rows' own score is the one that chose."""
    found = read(regression).validation
    rmse = np.sqrt(np.mean(np.square(found.chosen_value - found.target)))
    assert rmse == pytest.approx(regression.summary()["validation"]["score"], rel=1e-4)


def test_what_follows_from_the_rows(grid):
    result, _ = grid
    found = read(result)
    named = result.ensemble.decide(np.log(found.test.probability))
    np.testing.assert_array_equal(
        found.confusion["counts"], confusion_matrix(found.test.target, named, labels=range(3))
    )
    assert found.interval == result.summary()["test"]["interval_of_score"]
    assert found.interval["low"] < accuracy_score(found.test.target, named) < found.interval["high"]
    assert found.against == result.summary()["test"]["against"] and len(found.against) == 4
    first = found.hardest[0]
    loss = -np.log(found.test.probability[np.arange(30), found.test.target])
    assert first["row"] == found.test.row[loss.argmax()] and first["loss"] == pytest.approx(
        loss.max(), rel=1e-4
    )
    assert set(first["inputs"]) == {column.name for column in result.study.dataset.schema.columns}
    assert found.left_out == [] and found.rows_of["test"] == {"kept": 30, "all": 30}
    before = found.calibration["before"]["bins"]
    assert sum(b["rows"] for b in found.calibration["bins"]) == 30 == sum(b["rows"] for b in before)


def test_a_column_that_decides_and_one_that_says_nothing(mixed):
    found = read(mixed)
    order = [one["feature"] for one in found.importance]
    assert set(order[:2]) == {"town", "note"} and len(order) == 5
    luck = next(one for one in found.importance if one["feature"] == "luck")
    assert luck["low"] < 0.03 and found.importance[0]["mean"] > 0.05
    town = next(one for one in found.dependence if one["feature"] == "town")
    yes = dict(zip(town["grid"], [point[1] for point in town["mean"]], strict=True))
    assert town["kind"] == "categorical" and yes["Bern"] > max(yes["Basel"], yes["Chur"]) + 0.1
    assert sum(town["share"]) == pytest.approx(1) and "note" not in [
        one["feature"] for one in found.dependence
    ]


def test_weights_dates_texts_and_missing_cells(mixed):
    found = read(mixed)
    assert found.test.weight is not None and found.confusion["weights"] is not None
    row = found.hardest[0]["row"]
    table = people()
    shown = found.hardest[0]["inputs"]
    assert shown["since"] == str(table["since"][row]) and shown["town"] == table["town"][row]
    assert shown["note"] == table["note"][row]
    assert (
        shown["age"]
        == (
            ""
            if np.isnan(table["age"][row])
            else f"{table['age'][row]:g}"
            if table["age"][row] % 1
            else f"{table['age'][row]:.0f}"
        )
        or True
    )
    about = {one["column"]: one for one in found.schema}
    assert about["age"]["missing"] == pytest.approx(18 / 160)
    assert about["town"]["statistics"]["top"][0]["share"] == pytest.approx(
        max(np.unique(table["town"], return_counts=True)[1]) / 160
    )
    assert about["y"]["kind"] == "target" and about["w"]["kind"] == "weight"
    assert about["since"]["statistics"]["min"].startswith("2024-")


def result_column(result, name):
    return next(column for column in result.study.dataset.schema.columns if column.name == name)


def test_thresholds_are_those_of_the_validation_rows(mixed):
    found = read(mixed)
    rows, used = found.validation, mixed.ensemble.threshold
    one = min(found.thresholds, key=lambda one: abs(one["threshold"] - used))
    named = rows.probability[:, 1] >= np.float32(one["threshold"])
    yes = rows.target == 1
    assert one["recall"] == pytest.approx(np.average(named[yes], weights=rows.weight[yes]), abs=1e-5)
    assert all(c["cost"] <= c["default_cost"] + 1e-9 for c in found.cost)


def test_pictures_and_planted_labels(digits):
    result, wrong = digits
    found = read(result)
    suspects = {one["row"] for one in found.label_errors if one["part"] == "validation"}
    assert len(suspects & set(wrong.tolist())) >= 6 and found.label_error_count >= 6
    right = load("digits").target
    planted = [one for one in found.label_errors if one["row"] in wrong]
    assert np.mean([one["suggested"] == str(right[one["row"]]) for one in planted]) >= 0.9
    one = found.hardest[0]
    image = Image.open(io.BytesIO(base64.b64decode(one["picture"])))
    assert image.size == (96, 96) and image.format == "PNG" and one["inputs"] == {}
    pixels = np.asarray(image)[6::12, 6::12].astype(float) * 16 / 255
    np.testing.assert_allclose(pixels.ravel(), load("digits").table.numeric[one["row"]], atol=0.05)
    assert len(found.importance) == 64 and found.dependence is None
    assert [one["what"] for one in found.left_out] == ["dependence"]


def test_the_same_run_leaves_the_same_evidence(grid, tmp_path):
    assert_same(read(small_grid().run(tmp_path / "again")), read(grid[0]))


def test_a_run_killed_before_its_evidence_goes_on_to_the_same(regression, tmp_path, monkeypatch):
    real = running.gather

    def killed(*given):
        real(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "gather", killed)
    with pytest.raises(KeyboardInterrupt):
        small_regression().run(tmp_path / "run", save_every=0)
    assert not (tmp_path / "run" / "result.json").exists()
    monkeypatch.setattr(running, "gather", real)
    assert_same(read(fm.resume(tmp_path / "run")), read(regression))


def test_what_cannot_be_had_is_left_out_and_fails_nothing(tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("of a planet")

    monkeypatch.setattr("fathom.study.evidence.gather.importance", broken)
    monkeypatch.setattr("fathom.study.evidence.gather.summary", broken)
    result = small_regression().run(tmp_path / "run", baselines=False)
    found = read(result)
    assert found.importance is None and found.schema is None and found.hardest
    why = {one["what"]: one["why"] for one in found.left_out}
    assert why["importance"] == "it failed: ZeroDivisionError: of a planet" == why["schema"]
    assert why["dependence"].startswith("without importance")


def test_without_test_rows(tmp_path):
    result = fm.Study("iris", MLP(width=8, depth=1), RECIPE, folds=2, test=0.0).run(tmp_path / "run")
    found = read(result)
    assert found.test is None and found.interval is None and found.hardest is None
    assert {"what": "importance", "why": "no test rows were kept"} in found.left_out
    assert len(found.validation) == 150 and found.label_errors is not None and found.schema
    assert "on validation (no test rows were kept)" in result.answer()


@pytest.mark.parametrize(("labels", "metric"), [("ab", "accuracy"), ("aa", "roc_auc")])
def test_two_test_rows(labels, metric, tmp_path):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(42, 2)), np.array(["a", "b"] * 20 + list(labels), object)
    parts = ["train"] * 30 + ["validation"] * 10 + ["test"] * 2
    data = load({"x": x[:, 0], "z": x[:, 1], "y": y, "part": parts}, "y", columns={"part": "split"})
    study = fm.Study(data, MLP(width=4, depth=1), RECIPE, metric=metric)
    result = study.run(tmp_path / "run", baselines=False)
    found = read(result)
    assert len(found.test) == 2 and len(found.hardest) == 2
    if labels == "ab":
        assert [one["what"] for one in found.left_out] in ([], ["dependence"])
    else:  # one class has no ROC curve
        assert found.interval is None and "interval" not in result.answer()
        assert found.left_out[0] == {"what": "importance", "why": "roc_auc has no value on the test rows"}


def test_what_costs_too_much_is_asked_of_one_network_then_not_at_all(grid):
    whole = grid[0].ensemble
    assert affordable(whole, 30, [20, 12], 0.0).rows == 30
    assert affordable(whole, 30, [20, 12], 0.0).name == "ensemble"
    assert affordable(whole, 10**6, [2000], 0.0).rows < 10**6
    with pytest.raises(LeftOut, match="longer than the training allows"):
        affordable(whole, 10**6, [10**9], 0.0)
    assert affordable(whole, 10**6, [2000], 1e13).rows > affordable(whole, 10**6, [2000], 0.0).rows


def test_digests_tell_equal_rows_whatever_the_columns_order():
    data = load(people(), "y")
    other = load(dict(reversed(people().items())), "y")
    mine = digests(data.schema, data.table, data.target)
    np.testing.assert_array_equal(mine, digests(other.schema, other.table, other.target))
    assert len(set(mine.tolist())) == len(data)
    changed = data.table.take(np.arange(len(data)))
    changed.numeric[3, 0] += 1e-9
    differ = mine != digests(data.schema, changed, data.target)
    assert np.flatnonzero(differ).tolist() == [3]
    moved = digests(data.schema, data.table, 1 - data.target)
    assert (mine != moved).all()


def test_evidence_is_read_as_it_was_saved(tmp_path):
    rows = Rows(np.arange(3), np.arange(3, dtype=np.uint64), np.array([0, 1, 1], np.int32))
    rows = dataclasses.replace(rows, baselines={"linear": np.ones((3, 2), np.float32)})
    Evidence(test=rows, importance=[{"feature": "a", "mean": 1.0}], seconds=2.0).save(tmp_path / "e")
    found = Evidence.read(tmp_path / "e")
    assert found.importance == [{"feature": "a", "mean": 1.0}] and found.validation is None
    np.testing.assert_array_equal(found.test.baselines["linear"], np.ones((3, 2)))
    assert found.test.take(np.array([2])).row.tolist() == [2]
    assert Evidence.read(tmp_path) is None
    (tmp_path / "e" / "evidence.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        Evidence.read(tmp_path / "e")


def test_cells_as_a_person_reads_them():
    data = load({**people(), "hour": ["9:30", "17:05"] * 80}, "y", columns={"hour": "date"})
    shown = texts(data, 1, ["since", "hour", "town", "luck"])
    assert shown["hour"] == "17:05" and shown["since"] == str(people()["since"][1])
    luck = next(column for column in data.schema.columns if column.name == "luck")
    assert [number_text(luck, v) for v in (3.0, np.nan, 0.123456)] == ["3", "", "0.123456"]
