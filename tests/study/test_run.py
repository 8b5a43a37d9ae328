import dataclasses
import json
import tomllib

import jax
import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

import fathom as fm
from fathom.data import Table
from fathom.engine.training import Pace
from fathom.errors import RunError, TrainingError
from fathom.models import MLP
from fathom.study import plan as planning
from fathom.study import predictor
from fathom.study import run as running

from .conftest import small_grid, small_regression


def numbers(result):
    """Every number of a result that does not tell the time, the place or the machine."""
    summary = result.summary()
    kept = {
        k: v for k, v in summary.items() if k not in ("run", "seconds", "made", "plan", "baselines", "test")
    }
    test = {name: value for name, value in summary["test"].items() if name != "against"}
    return {
        **kept,
        "test": test,
        "baselines": {name: b["metrics"] for name, b in summary["baselines"].items()},
    }


def weights(result):
    return jax.tree.leaves([part.kept for part in result.ensemble.parts])


def assert_same_bits(one, other):
    assert [part.member for part in one.ensemble.parts] == [part.member for part in other.ensemble.parts]
    assert one.ensemble.temperatures == other.ensemble.temperatures
    for mine, theirs in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def lines(result):
    return [json.loads(line) for line in (result.run.path / "members.jsonl").read_text().splitlines()]


def test_a_run_leaves_what_was_promised(grid):
    result, _ = grid
    names = {entry.name for entry in result.run.path.iterdir()}
    assert names == {
        "README.md", "evidence", "members.jsonl", "model", "plan.json", "report.html", "result.json", "study.toml"
    }  # fmt: skip
    assert {entry.name for entry in (result.run.path / "model").iterdir()} == {
        "model.json",
        "weights.safetensors",
    }
    assert json.loads((result.run.path / "result.json").read_text()) == result.summary()


def test_the_summary_holds_the_documented_numbers(grid):
    summary = grid[0].summary()
    assert (summary["task"], summary["metric"], summary["members"], summary["programs"]) == (
        "classification", "accuracy", 16, 2
    )  # fmt: skip
    assert summary["run"] == str(grid[0].run.path)
    assert 0 <= summary["test"]["score"] <= 1 and 0 <= summary["test"]["ensemble_score"] <= 1
    assert summary["test"]["rows"] == 30
    assert set(summary["baselines"]) == {"majority", "linear", "nearest_neighbors", "boosted_trees"}
    assert summary["seconds"]["total"] > summary["seconds"]["train"] > 0
    assert summary["seconds"]["compile"] >= 0
    assert summary["answer"] == grid[0].answer()


def test_the_stream_tells_every_member_and_every_epoch(grid):
    result, _ = grid
    found = lines(result)
    members = [line for line in found if line["event"] == "member"]
    epochs = [line for line in found if line["event"] == "epoch"]
    ends = [line for line in found if line["event"] == "end"]
    assert [line["index"] for line in members] == list(range(16)) == [line["member"] for line in ends]
    assert {(line["candidate"], line["seed"], line["fold"]) for line in members} == {
        (c, s, f) for c in range(4) for s in range(2) for f in range(2)
    }
    assert {(line["member"], line["epoch"]) for line in epochs} == {
        (m, e) for m in range(16) for e in range(4)
    }
    for end in ends:
        mine = [line for line in epochs if line["member"] == end["member"]]
        best = min(mine, key=lambda line: line["validation_loss"])
        assert end["best_epoch"] == best["epoch"] and end["best_score"] == best["score"]


def test_the_choice_follows_from_the_stream(grid):
    result, _ = grid
    found, summary = lines(result), result.summary()
    place = {line["index"]: line["candidate"] for line in found if line["event"] == "member"}
    scores = {}
    for line in found:
        if line["event"] == "end":
            scores.setdefault(place[line["member"]], []).append(line["best_score"])
    means = {candidate: np.mean(values) for candidate, values in scores.items()}
    winner = max(means, key=lambda candidate: (round(means[candidate], 6), -candidate))
    assert summary["validation"]["candidate"] == winner
    assert summary["validation"]["score"] == pytest.approx(means[winner], rel=1e-6)
    assert place[summary["chosen"]["member"]] == winner
    assert result.table()[0]["best_score"] == max(max(values) for values in scores.values())


def test_the_table_has_a_row_for_each_member_with_its_settings(grid):
    table = grid[0].table()
    assert len(table) == 16 and {row["learning_rate"] for row in table} == {0.003, 0.03}
    assert {row["model"] for row in table} == {"mlp", "linear"}
    assert all(row["epochs"] == 4 and row["status"] == "finished" for row in table)
    scores = [row["best_score"] for row in table]
    assert scores == sorted(scores, reverse=True)


def test_callbacks_hear_every_phase_in_order(grid):
    events = [event["event"] for event in grid[1]]
    first = [name for place, name in enumerate(events) if name not in events[:place]]
    assert first == ["data", "baseline", "plan", "compile", "epoch", "saving", "choose", "done"] or first == [
        "data", "baseline", "plan", "compile", "epoch", "choose", "done"
    ]  # fmt: skip
    epochs = [event for event in grid[1] if event["event"] == "epoch"]
    assert len(epochs) == 2 * 4 and epochs[-1]["progress"] == pytest.approx(1.0)
    assert sum(event["examples"] for event in epochs) == 16 * 4 * 2 * 32


def test_the_settings_file_repeats_the_run(grid):
    result, _ = grid
    settings = tomllib.loads((result.run.path / "study.toml").read_text())
    again = fm.Study.from_settings(settings).run(baselines=False)
    mine, theirs = numbers(again), numbers(result)
    # The sentence compares with baselines, which the second run leaves out.
    for name in ("answer", "baselines"):
        mine.pop(name), theirs.pop(name)
    assert mine == theirs
    assert_same_bits(again, result)


def test_measuring_and_keeping_change_no_bit(grid):
    bare = small_grid().run(baselines=False)
    assert_same_bits(bare, grid[0])
    assert bare.run is None and bare.summary()["run"] is None
    assert [row["member"] for row in bare.table()] == [row["member"] for row in grid[0].table()]
    with pytest.raises(RunError, match="folder=None"):
        bare.report()


def test_nothing_but_the_test_scores_depends_on_the_test_rows():
    study = small_regression()
    # The division follows the targets, so the test rows are given here.
    part = np.full(len(study.dataset), -1, np.int8)
    part[study.split.test] = 2
    study = small_regression(data=dataclasses.replace(study.dataset, part=part))
    regression = study.run()
    target = study.dataset.target.copy()
    target[study.split.test] = -1e6
    cells = study.dataset.table.numeric.copy()
    cells[study.split.test] *= -3.0
    spoiled = dataclasses.replace(
        study.dataset, target=target, table=Table(cells, study.dataset.table.categorical)
    )
    other = small_regression(data=spoiled).run()
    assert_same_bits(other, regression)
    for name in ("validation", "chosen", "ensemble", "status"):
        assert other.summary()[name] == regression.summary()[name]
    assert other.summary()["test"]["score"] > 100 * regression.summary()["test"]["score"]


def test_the_test_rows_are_looked_at_once_and_last(monkeypatch):
    study, looks, events = small_regression(), [], []
    whole = predictor.score_all

    def spy(task, found, target, weight, offsets):
        looks.append((len(target), events[-1]))
        np.testing.assert_array_equal(target, study.dataset.target[study.split.test])
        return whole(task, found, target, weight, offsets)

    monkeypatch.setattr(predictor, "score_all", spy)
    study.run(callbacks=[lambda event: events.append(event["event"])], baselines=False)
    assert looks == [(len(study.split.test), "choose")] * 2  # the chosen network, the ensemble


def test_regression_scores_are_in_units_of_the_target(regression):
    study, result = regression.study, regression
    rows = study.split.test
    truth, found = study.dataset.target[rows], result.ensemble.predict(study.dataset.table.numeric[rows])
    scores = result.summary()["test"]["ensemble_metrics"]
    assert scores["rmse"] == pytest.approx(root_mean_squared_error(truth, found), rel=1e-4)
    assert scores["mae"] == pytest.approx(mean_absolute_error(truth, found), rel=1e-4)
    assert scores["r2"] == pytest.approx(r2_score(truth, found), rel=1e-3)
    alone = result.best.predict(study.dataset.table.numeric[rows])
    assert result.summary()["test"]["score"] == pytest.approx(root_mean_squared_error(truth, alone), rel=1e-4)


def test_validation_scores_are_in_units_of_the_target_too(regression):
    study, best = regression.study, regression.best
    rows = study.split.validation[0]
    truth = study.dataset.target[rows]
    found = best.predict(study.dataset.table.numeric[rows])
    assert regression.summary()["validation"]["score"] == pytest.approx(
        root_mean_squared_error(truth, found), rel=1e-4
    )


def test_a_budget_of_members_and_one_of_epochs(tmp_path):
    recipe = fm.Recipe(learning_rate=fm.log_range(3e-3, 3e-2), epochs=4)
    study = fm.Study("iris", MLP(width=8, depth=1), recipe, seeds=2, folds=2, rungs=())
    result = study.run(tmp_path / "members", "8 members", baselines=False)
    assert result.summary()["members"] == 8
    assert tomllib.loads((tmp_path / "members" / "study.toml").read_text())["samples"] == 2
    short = small_grid().run(tmp_path / "epochs", "3 epochs", baselines=False)
    assert {row["epochs"] for row in short.table()} == {3}
    assert tomllib.loads((tmp_path / "epochs" / "study.toml").read_text())["recipe"]["epochs"] == 3


def test_rungs_drop_whole_candidates_and_the_stream_says_so(tmp_path):
    result = small_grid(rungs=[fm.Rung(0.5, 2)]).run(tmp_path / "run", baselines=False)
    (rung,) = [line for line in lines(result) if line["event"] == "rung"]
    assert len(rung["kept"]) == 2 and len(rung["dropped"]) == 8
    table = result.table()
    assert {row["epochs"] for row in table if row["status"] == "dropped"} == {2}
    assert {row["candidate"] for row in table if row["status"] == "finished"} == set(rung["kept"])
    assert result.summary()["status"] == {"dropped": 8, "finished": 8}


def test_a_diverged_member_is_a_record_and_not_an_error(tmp_path):
    recipe = fm.Recipe(optimizer="sgd", clip=float("inf"), learning_rate=[0.03, 1e6], epochs=4)
    study = fm.Study("diabetes", MLP(width=8, depth=1), recipe, folds=1)
    result = study.run(tmp_path / "run", baselines=False)
    assert result.summary()["status"] == {"finished": 1, "diverged": 1}
    bad = next(row for row in result.table() if row["status"] == "diverged")
    assert bad["learning_rate"] == 1e6 and bad["diverged_step"] >= 0
    assert (tmp_path / "run" / "report.html").is_file()
    with pytest.raises(TrainingError, match="all 1 members diverged; lower the learning rate"):
        hopeless = dataclasses.replace(recipe, learning_rate=1e6)
        fm.Study("diabetes", MLP(width=8, depth=1), hopeless, folds=1).run(baselines=False)


def test_without_test_rows_the_answer_is_of_validation(tmp_path):
    result = small_regression(test=0.0).run(tmp_path / "run")
    assert result.summary()["test"]["score"] is None
    assert "on validation (no test rows were kept)" in result.answer()
    assert "No test rows were kept" in (tmp_path / "run" / "README.md").read_text()


def test_another_metric_chooses(tmp_path):
    result = small_grid(metric="log_loss").run(tmp_path / "run", baselines=False)
    means = {}
    for row in result.table():
        means.setdefault(row["candidate"], []).append(row["best_score"])
    best = min(means, key=lambda candidate: np.mean(means[candidate]))
    assert result.summary()["validation"]["candidate"] == best
    assert result.summary()["metric"] == "log_loss" and not result.summary()["greater_is_better"]
    assert result.table()[0]["best_score"] == min(min(values) for values in means.values())


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty; give a new one, or go on with: fathom resume"):
        small_grid().run(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.txt"]


def test_a_budget_of_time_is_resolved_once_and_written_down(tmp_path):
    recipe = fm.Recipe(learning_rate=fm.log_range(3e-3, 3e-2), epochs=5)
    study = fm.Study("iris", MLP(width=8, depth=1), recipe, folds=1, rungs=())
    result = study.run(tmp_path / "run", "1s", baselines=False)
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    settings = tomllib.loads((tmp_path / "run" / "study.toml").read_text())
    assert plan["budget"] == "1 s" and plan["seconds"] > 0 and plan["cohorts"][0]["seconds_per_epoch"] > 0
    assert plan["samples"] == settings["samples"] and "budget" not in settings
    assert settings["recipe"]["epochs"] == plan["epochs"] or plan["epochs"] == 0
    assert settings["rungs"] == plan["rungs"]
    assert result.summary()["members"] == plan["samples"]
    again = fm.Study.from_settings(settings)
    assert again.cohorts(again.resolve(None)) == study.cohorts(
        planning.Resolved(plan["samples"], plan["epochs"], tuple(fm.Rung(**rung) for rung in plan["rungs"]))
    )


def test_a_run_that_was_slower_than_planned_is_repeated_as_it_went(tmp_path, monkeypatch):
    """A clock that is always late makes each rung keep a single candidate; the settings file says so."""
    monkeypatch.setattr(running._Runner, "_pace", lambda self, plan: Pace(0.0))
    result = small_grid(rungs=[fm.Rung(0.5, 3)]).run(tmp_path / "run", baselines=False)
    monkeypatch.undo()
    assert result.summary()["status"] == {"dropped": 12, "finished": 4}
    (slower,) = [line for line in lines(result) if line["event"] == "slower"]
    assert (slower["planned"], slower["kept"]) == (3, 1)
    settings = tomllib.loads((tmp_path / "run" / "study.toml").read_text())
    assert settings["rungs"] == [{"at": 0.5, "keep": 1}]
    assert_same_bits(fm.Study.from_settings(settings).run(baselines=False), result)
