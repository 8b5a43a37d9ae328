"""Trackers: what they are told, that they change nothing, and that one that fails ends nothing."""

import types
import warnings

import numpy as np
import pytest

import fathom as fm
from fathom.errors import TrainingError, UsageError
from fathom.study import trackers
from fathom.study.trackers import TrackerWarning, Tracking, tensorboard


def study():
    recipe = fm.Recipe(learning_rate=[0.01, 0.1], epochs=4)
    return fm.Study("iris", fm.models.Linear(), recipe, folds=2)


class Fake:
    """A tracker that keeps what it is told, and fails where it is asked to."""

    def __init__(self, name, folder, settings):
        self.name, self.folder, self.settings = name, folder, settings
        self.logged, self.finished, self.closed = [], None, None
        self.made.append(self)
        if self.breaks == "start":
            raise OSError("no\nconnection")

    def log(self, epoch, values):
        self.logged.append((epoch, values))
        if self.breaks == epoch:
            raise OSError("no connection")

    def finish(self, scores, answer, members):
        self.finished = scores, answer, members

    def close(self, failed):
        self.closed = failed


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(Fake, "made", [], raising=False)
    monkeypatch.setattr(Fake, "breaks", None, raising=False)
    monkeypatch.setattr(tensorboard, "TensorBoard", Fake)
    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", ("TensorBoard", "json", "json"))
    return Fake


def test_a_tracker_gets_the_quantiles_that_numpy_finds_in_the_runs_own_stream(fake, tmp_path):
    result = study().run(tmp_path / "run", baselines=False, tracker="tensorboard")
    (told,) = fake.made
    assert (told.name, told.folder) == ("run", tmp_path / "run")
    assert told.settings["recipe.epochs"] == "4" and told.settings["data"] == "iris"
    lines = [line for line in result.run.read_members() if line["event"] == "epoch"]
    assert [epoch for epoch, _ in told.logged] == [1, 2, 3, 4]
    for epoch, values in told.logged:
        found = [line for line in lines if line["epoch"] + 1 == epoch]
        assert values["members"] == len(found) == 4
        accuracy = [line["validation_accuracy"] for line in found]
        loss = [line["train_loss"] for line in found]
        assert values["validation_accuracy/best"] == pytest.approx(max(accuracy), rel=1e-6)
        assert values["train_loss/best"] == pytest.approx(min(loss), rel=1e-6)
        assert values["train_loss/q90"] == pytest.approx(np.quantile(loss, 0.9), rel=1e-6)
        assert values["validation_accuracy/median"] == pytest.approx(np.median(accuracy), rel=1e-6)
    scores, answer, members = told.finished
    assert answer == result.answer() and members == result.table()
    assert scores["test_accuracy"] == result.summary()["test"]["ensemble_metrics"]["accuracy"]
    assert told.closed is False


@pytest.mark.parametrize("breaks", ["start", 2])
def test_a_tracker_that_fails_is_said_once_and_changes_no_bit(fake, tmp_path, breaks):
    alone = study().run(tmp_path / "alone", baselines=False)
    fake.breaks = breaks
    with pytest.warns(TrackerWarning, match="left alone, the run goes on .OSError: no connection") as said:
        study().run(tmp_path / "tracked", baselines=False, tracker="tensorboard")
    assert len(said) == 1
    weights = [
        (tmp_path / name / "model" / "weights.safetensors").read_bytes() for name in ("alone", "tracked")
    ]
    assert weights[0] == weights[1]
    assert fake.made[0].finished is None
    assert alone.run is not None


def test_a_run_that_fails_ends_the_trackers_run_as_failed(fake):
    with pytest.raises(TrainingError), Tracking("tensorboard", "run", None, {}):
        raise TrainingError("all members diverged")
    assert fake.made[0].closed is True


def test_epochs_are_told_in_order_and_those_that_some_members_never_reach_at_the_end(fake):
    def event(epoch, members, loss, alive=3):
        report = types.SimpleNamespace(
            epoch=epoch, members=np.array(members), train={"loss": np.array(loss)}, validation={}, measured={}
        )
        return {"event": "epoch", "report": report, "alive": alive}

    with Tracking("tensorboard", "run", None, {}) as tracking:
        tracking(event(0, [0, 1], [1.0, 2.0]))
        tracking(event(1, [0, 1], [0.5, np.nan]))
        (told,) = fake.made
        assert told.logged == []  # the third member is behind
        tracking(event(0, [2], [6.0]))
        assert [(epoch, values["train_loss/median"]) for epoch, values in told.logged] == [(1, 2.0)]
        tracking(event(2, [0], [0.1], alive=1))
        assert [epoch for epoch, _ in told.logged] == [1, 2, 3]
        assert told.logged[1][1]["train_loss/q90"] == 0.5  # what is not finite is left out


def test_no_tracker_is_told_nothing():
    with Tracking(None, "run", None, {}) as tracking:
        tracking({"event": "epoch"})
        tracking.finish(None)


def test_a_tracker_that_is_not_there_is_refused_before_anything_is_done(tmp_path, monkeypatch):
    with pytest.raises(
        UsageError, match="tracker='neptune' is not known; use one of: tensorboard, mlflow, wandb"
    ):
        study().run(tmp_path / "run", tracker="neptune")
    monkeypatch.setitem(trackers.TRACKERS, "wandb", ("WeightsAndBiases", "no_such_package", "wandb"))
    with pytest.raises(
        UsageError, match="needs the package no_such_package, which is not there; pip install wandb"
    ):
        study().run(tmp_path / "run", tracker="wandb")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run that nothing was told of."""
    return study().run(tmp_path_factory.mktemp("plain") / "run", baselines=False)


def run_with(tracker, folder, plain):
    """A run with a real tracker, whose own deprecations are not ours; its bits are those of a run without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", TrackerWarning)
        result = study().run(folder, baselines=False, tracker=tracker)
    ours, theirs = (run.path / "model" / "weights.safetensors" for run in (result.run, plain.run))
    assert ours.read_bytes() == theirs.read_bytes()
    lines = [line for line in result.run.read_members() if line["event"] == "epoch"]
    return result, [
        max(line["validation_accuracy"] for line in lines if line["epoch"] == n) for n in range(4)
    ]


def test_tensorboard_reads_its_event_files(tmp_path, plain):
    pytest.importorskip("tensorboardX")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    result, best = run_with("tensorboard", tmp_path / "run", plain)
    found = reader.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    scalars = found.Scalars("validation_accuracy/best")
    assert [scalar.step for scalar in scalars] == [1, 2, 3, 4]
    assert [scalar.value for scalar in scalars] == pytest.approx(best, rel=1e-6)
    text = found.Tensors("answer/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text == result.answer()
    assert found.Tensors("members/text_summary")[0].tensor_proto.string_val[0].count(b"\n") == 5


def test_mlflow_reads_its_store(tmp_path, plain, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/ml.db")
    monkeypatch.chdir(tmp_path)
    _, best = run_with("mlflow", tmp_path / "run", plain)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("fathom")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params["recipe.epochs"] == "4"
    history = client.get_metric_history(run.info.run_id, "validation_accuracy/best")
    assert [metric.value for metric in history] == pytest.approx(best, rel=1e-6)
    names = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"README.md", "members.json", "model", "report.html", "result.json", "study.toml"} <= names


def test_wandb_writes_an_offline_run(tmp_path, plain, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run_with("wandb", tmp_path / "run", plain)
    wandb.teardown()  # it writes from a process of its own
    (kept,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    written = kept.read_bytes()
    assert b"validation_accuracy/best" in written and b"recipe.epochs" in written
    assert list(kept.parent.glob("files/media/table/members*.json"))
