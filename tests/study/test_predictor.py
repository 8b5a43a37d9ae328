import dataclasses
import pickle

import jax
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

import fathom as fm
from fathom.errors import DataError, RunError, UsageError

from .conftest import in_a_process_of_its_own

#: Loads a model where the data, and what reads data, is out of reach, and writes what it predicts.
ALONE = """
import sys
import numpy as np
import fathom as fm

model = fm.load_model(sys.argv[1])
x = np.load(sys.argv[2])
values = model.predict_proba(x) if model.task.kind == "classification" else model.predict(x)
np.save(sys.argv[3], values)
"""


def cells(study, rows):
    return study.dataset.table.numeric[rows]


def test_a_loaded_model_predicts_the_same_bits_in_another_process(grid, tmp_path):
    result, _ = grid
    x = cells(result.study, result.study.split.test)
    np.save(tmp_path / "x.npy", x)
    moved = tmp_path / "model"
    moved.mkdir()
    for name in ("model.json", "weights.safetensors"):
        (moved / name).write_bytes((result.run.path / "model" / name).read_bytes())
    ended = in_a_process_of_its_own(ALONE, moved, tmp_path / "x.npy", tmp_path / "y.npy", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), result.ensemble.predict_proba(x))


def test_a_loaded_regression_predicts_the_same_bits(regression):
    x = cells(regression.study, regression.study.split.test)
    loaded = fm.load_model(regression.run.path)
    np.testing.assert_array_equal(loaded.predict(x), regression.ensemble.predict(x))
    np.testing.assert_array_equal(loaded.chosen.predict(x), regression.best.predict(x))


def test_scores_agree_with_scikit_learn_on_the_predictions(grid):
    result, _ = grid
    rows = result.study.split.test
    truth = result.study.dataset.target[rows]
    chances = result.ensemble.predict_proba(cells(result.study, rows))
    scores = result.summary()["test"]["ensemble_metrics"]
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, chances.argmax(1)))
    assert scores["log_loss"] == pytest.approx(log_loss(truth, chances), rel=1e-4)
    assert scores["roc_auc"] == pytest.approx(roc_auc_score(truth, chances, multi_class="ovr"), rel=1e-4)


def test_probabilities_sum_to_one_and_name_the_prediction(grid):
    model, x = grid[0].ensemble, cells(grid[0].study, np.arange(150))
    chances = model.predict_proba(x)
    np.testing.assert_allclose(chances.sum(1), 1.0, rtol=1e-6)
    names = np.array(grid[0].study.dataset.classes)
    assert (model.predict(x) == names[chances.argmax(1)]).all()


def test_a_frame_holds_the_prediction_its_chances_and_the_spread(grid, regression):
    x = cells(grid[0].study, np.arange(7))
    columns = grid[0].ensemble.frame(x)
    assert list(columns) == [
        "prediction",
        *(f"probability {c}" for c in grid[0].study.dataset.classes),
        "spread",
    ]
    assert "spread" not in grid[0].best.frame(x)
    part = regression.ensemble.parts[0]
    other = dataclasses.replace(part, kept=jax.tree.map(lambda a: a * 0.9, part.kept))
    pair = dataclasses.replace(regression.ensemble, parts=(part, other), temperatures=(1.0, 1.0))
    numbers = pair.frame(cells(regression.study, np.arange(7)))
    outputs = pair.outputs(cells(regression.study, np.arange(7)))[..., 0]
    assert (outputs.std(0) > 0).all()
    np.testing.assert_allclose(numbers["prediction"], outputs.mean(0))
    np.testing.assert_allclose(numbers["spread"], outputs.std(0))


def test_rows_do_not_depend_on_how_many_are_asked_at_once(grid):
    x = cells(grid[0].study, np.arange(150))
    whole = grid[0].ensemble.predict_proba(x)
    for count in (1, 5, 16, 17):
        np.testing.assert_allclose(
            grid[0].ensemble.predict_proba(x[:count]), whole[:count], rtol=2e-5, atol=1e-7
        )


def test_many_rows_are_predicted_in_parts(grid):
    x = cells(grid[0].study, np.arange(150))
    many = np.tile(x, (60, 1))  # 9000 rows, more than two parts
    found = grid[0].best.predict_proba(many)
    np.testing.assert_allclose(found, np.tile(found[:150], (60, 1)), rtol=2e-5, atol=1e-7)


def test_a_copy_holds_nothing_of_a_device(grid):
    model, x = grid[0].ensemble, cells(grid[0].study, np.arange(20))
    fresh = [dataclasses.replace(part) for part in model.parts]
    before = len(pickle.dumps(fresh))
    used = dataclasses.replace(model, parts=tuple(fresh))
    found = used.predict_proba(x)
    assert all("answer" in vars(part) for part in fresh)
    assert len(pickle.dumps(fresh)) == before
    copy = dataclasses.replace(model, parts=tuple(pickle.loads(pickle.dumps(fresh))))
    np.testing.assert_array_equal(copy.predict_proba(x), found)


def test_evaluate_gives_every_metric_of_the_task(grid, tmp_path):
    study = grid[0].study
    table = tmp_path / "later.csv"
    names = [column.name for column in study.dataset.schema.columns]
    rows = [
        ",".join([*map(str, cells(study, [i])[0]), study.dataset.classes[study.dataset.target[i]]])
        for i in range(150)
    ]
    table.write_text("\n".join([",".join([*names, study.dataset.schema.target.name]), *rows]))
    scores = grid[0].ensemble.evaluate(table)
    truth = study.dataset.target
    expected = accuracy_score(truth, grid[0].ensemble.predict_proba(cells(study, np.arange(150))).argmax(1))
    assert scores["accuracy"] == pytest.approx(expected)
    assert set(scores) == set(grid[0].summary()["test"]["metrics"])
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join([",".join(names), ",".join(map(str, cells(study, [0])[0]))]))
    assert len(grid[0].ensemble.predict(bare)) == 1
    with pytest.raises(DataError, match="is missing from the data; evaluation needs it"):
        grid[0].ensemble.evaluate(bare)


def test_calibration_lowers_the_validation_loss(grid):
    """Each network's temperature does no worse on its own validation rows than none."""
    study, model = grid[0].study, grid[0].ensemble
    for place, part in enumerate(model.parts):
        rows = study.split.validation[part.fold]
        outputs = model.outputs(cells(study, rows))[place]
        losses = []
        for warm in (model.temperatures[place], 1.0):
            chances = np.exp(outputs / warm - (outputs / warm).max(1, keepdims=True))
            losses.append(log_loss(study.dataset.target[rows], chances / chances.sum(1, keepdims=True)))
        assert losses[0] <= losses[1] + 1e-6


def test_regression_has_no_probabilities(regression):
    with pytest.raises(UsageError, match="the task is regression; use predict"):
        regression.ensemble.predict_proba(cells(regression.study, np.arange(3)))


def test_a_folder_without_a_model_or_with_a_damaged_one_is_named(grid, tmp_path):
    with pytest.raises(RunError, match="holds no trained model"):
        fm.load_model(tmp_path)
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.json").write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        fm.load_model(tmp_path)
    newer = (grid[0].run.path / "model" / "model.json").read_text().replace('"format": 2', '"format": 99')
    (model / "model.json").write_text(newer)
    with pytest.raises(RunError, match="written by a newer version of fathom; update fathom"):
        fm.load_model(tmp_path)
