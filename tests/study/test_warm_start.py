"""Oracles: the earlier run's own predictor; and the run that was never stopped."""

import dataclasses

import numpy as np
import pytest

import fathom as fm
from fathom.errors import DataError, RunError, UsageError
from fathom.models import MLP, Linear

from .test_resume import assert_same_run, broken_off
from .test_run import assert_same_bits


def table_of(rows, seed=0, **more):
    """Two classes and a number to read them from, a word beside it."""
    draw = np.random.default_rng(seed)
    a, b = draw.normal(size=(2, rows))
    words = draw.choice(["p", "q", "r"], rows)
    label = np.where(np.sin(3 * a) + b + (words == "p") > 0, "yes", "no")
    return {"a": a, "b": b, "word": words, "y": label, **more}


def written(path, table):
    lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A run of two folds and two seeds: four networks to start from."""
    folder = tmp_path_factory.mktemp("earlier")
    data = fm.load(written(folder / "old.csv", table_of(300)), "y")
    recipe = fm.Recipe(learning_rate=0.01, epochs=20)
    study = fm.Study(data, MLP(width=16, depth=1), recipe, folds=2, seeds=2)
    return study.run(folder / "run", baselines=False)


def continued(earlier, data=None, **more):
    """The earlier run gone on with."""
    recipe = more.pop("recipe", fm.Recipe(learning_rate=0.001, epochs=2))
    return fm.Study(data or table_of(200, seed=1), None, recipe, start_from=earlier.run.path, **more)


def outputs(predictor, table):
    """What each network says, by its number in its study."""
    return dict(zip((part.member for part in predictor.parts), predictor.outputs(table), strict=True))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
def test_without_learning_every_network_is_that_of_the_run(earlier, optimizer):
    recipe = fm.Recipe(optimizer=optimizer, learning_rate=0.0, epochs=1)
    result = continued(earlier, folds=2, seeds=3, recipe=recipe).run(baselines=False)
    assert len(result.ensemble.parts) == 6
    new = table_of(50, seed=2)
    theirs, ours = outputs(earlier.ensemble, new), outputs(result.ensemble, new)
    by_fold = [[p.member for p in earlier.ensemble.parts if p.fold == fold] for fold in range(2)]
    for part in result.ensemble.parts:
        mine = by_fold[part.fold]  # member i of a fold takes network i mod n
        np.testing.assert_allclose(ours[part.member], theirs[mine[part.member // 2 % len(mine)]], atol=1e-6)


def test_one_division_reads_through_the_chosen_networks_fold(earlier):
    recipe = fm.Recipe(learning_rate=0.0, epochs=1)
    result = continued(earlier, folds=1, recipe=recipe).run(baselines=False)
    new = table_of(50, seed=2)
    np.testing.assert_allclose(result.best.outputs(new), earlier.best.outputs(new), atol=1e-6)
    theirs = earlier.ensemble.encoders[earlier.best.parts[0].fold].arrays()
    for name, array in result.ensemble.encoders[0].arrays().items():
        np.testing.assert_array_equal(array, theirs[name])


def test_it_begins_where_the_run_ended(earlier):
    recipe = fm.Recipe(learning_rate=0.001, epochs=2)
    data = fm.load(table_of(300), like=earlier.ensemble.schema)
    warm = continued(earlier, data, folds=2, recipe=recipe).run(baselines=False)
    cold = fm.Study(data, MLP(width=16, depth=1), recipe, folds=2).run(baselines=False)
    assert warm.summary()["validation"]["score"] > cold.summary()["validation"]["score"] + 0.05


def test_resuming_gives_the_same_bits(earlier, tmp_path):
    new = written(tmp_path / "new.csv", table_of(200, seed=1))
    whole = continued(earlier, str(new), folds=2).run(tmp_path / "whole", baselines=False)
    for count, save_every in ((1, 0), (1, 1e9)):
        folder = tmp_path / f"run{save_every}"
        broken_off(continued(earlier, str(new), folds=2), folder, count, save_every)
        assert_same_run(fm.resume(folder), whole)


def test_a_resumption_refuses_other_weights(earlier, tmp_path):
    new = written(tmp_path / "new.csv", table_of(200, seed=1))
    folder = broken_off(continued(earlier, str(new), folds=2), tmp_path / "run", 1, 0)
    part = earlier.ensemble.parts[0]
    other = {**part.kept, "params": {name: array + 1 for name, array in part.kept["params"].items()}}
    changed = dataclasses.replace(earlier.ensemble, parts=(dataclasses.replace(part, kept=other),))
    with pytest.raises(RunError, match="its weights have changed since this study began"):
        fm.resume(folder, start_from=changed)


def test_a_model_in_memory_is_asked_for_again(earlier, tmp_path):
    new = written(tmp_path / "new.csv", table_of(200, seed=1))
    recipe = fm.Recipe(learning_rate=0.001, epochs=2)
    study = fm.Study(str(new), None, recipe, folds=2, start_from=earlier.ensemble)
    folder = broken_off(study, tmp_path / "run", 1, 0)
    with pytest.raises(UsageError, match=r"from='\(in memory\)' is a model, which a file does not hold"):
        fm.resume(folder)
    whole = continued(earlier, str(new), folds=2).run(baselines=False)
    assert_same_bits(fm.resume(folder, start_from=earlier.ensemble), whole)


def test_the_data_is_read_as_the_run_read_it(earlier):
    table = table_of(60, seed=1, extra=np.arange(60.0))
    table["word"] = np.where(np.arange(60) % 2, "p", "new")
    study = continued(earlier, table, folds=2)
    assert study.dataset.schema == earlier.ensemble.schema
    assert any("passed over, unknown to the model: extra" in note for note in study.dataset.notes)
    missing = {name: column for name, column in table_of(60).items() if name != "b"}
    with pytest.raises(DataError, match=r"missing that the model reads: b.*train anew without that run"):
        continued(earlier, missing)
    with pytest.raises(
        DataError, match=r"'maybe' is none of the classes learned.*train anew without that run"
    ):
        continued(earlier, {**table_of(60), "y": np.where(np.arange(60) % 2, "yes", "maybe")})


def test_what_the_run_decides_cannot_be_asked_for(earlier):
    data = table_of(60)
    with pytest.raises(
        UsageError, match=r"model=Linear\(.*is not that of the run to start from, MLP\(width=16"
    ):
        fm.Study(data, Linear(), start_from=earlier.run.path)
    with pytest.raises(UsageError, match="scaling=zca is not that of the run"):
        continued(earlier, scaling="zca")
    with pytest.raises(UsageError, match="it was read under a schema of its own"):
        continued(earlier, fm.load(table_of(300, more=np.arange(300.0) % 7), "y"))
    with pytest.raises(UsageError, match="start_from=int is not allowed"):
        fm.Study(data, start_from=3)
    with pytest.raises(RunError, match="holds no trained model"):
        fm.Study(data, start_from="nowhere")
    with pytest.raises(UsageError, match="columns: what each is, the run to start from says"):
        fm.Study.from_settings({"data": data, "columns": {"a": "weight"}, "from": str(earlier.run.path)})
    with pytest.raises(UsageError, match="target=a is not that of the run to start from, y"):
        fm.Study.from_settings({"data": data, "target": "a", "from": str(earlier.run.path)})


def test_a_settings_file_says_it(earlier):
    settings = continued(earlier, folds=2).to_settings()
    assert settings["from"] == str(earlier.run.path.resolve())
    again = fm.Study.from_settings(settings, table_of(200, seed=1))
    assert again.start is not None and again.to_settings() == settings


def test_regression_keeps_the_units_of_the_run(tmp_path):
    recipe = fm.Recipe(learning_rate=0.01, epochs=5)
    earlier = fm.Study("diabetes", MLP(width=8, depth=1), recipe, folds=1).run(tmp_path, baselines=False)
    still = fm.Recipe(learning_rate=0.0, epochs=1)
    data = fm.load("diabetes")
    shifted = dataclasses.replace(data, target=data.target * 3 + 1000)
    result = fm.Study(shifted, None, still, folds=1, start_from=tmp_path).run(baselines=False)
    np.testing.assert_allclose(result.best.predict("diabetes"), earlier.best.predict("diabetes"), rtol=1e-5)


def test_other_weights_compile_nothing(earlier):
    """Weights are an input of the program: the second study finds it compiled."""
    data = fm.load(table_of(200, seed=1), like=earlier.ensemble.schema)
    recipe = fm.Recipe(learning_rate=0.001, epochs=2)
    other = dataclasses.replace(earlier.ensemble, parts=earlier.ensemble.parts[:1])
    for model, compiles in ((earlier.ensemble, None), (other, False)):
        result = fm.Study(data, None, recipe, folds=2, start_from=model).run(baselines=False)
        assert compiles is None or (result.summary()["seconds"]["compile"] > 0) == compiles
    notes = result.summary()["data"]["notes"]
    assert any("that of the network of a model in memory" in note for note in notes)
