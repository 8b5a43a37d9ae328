"""A whole run on the command line: fit, stop, resume, predict, evaluate, report."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fathom.cli import main

from .documented import keys_of, lacking

SOURCE = str(Path(main.__file__).parents[2])
COMMAND = [sys.executable, "-c", "from fathom.cli.main import main; main()"]
TINY = (
    "--model",
    "linear",
    "--set",
    "recipe.epochs=4",
    "--set",
    "recipe.learning_rate=[0.01, 0.1]",
    "--set",
    "samples=1",
    "--folds",
    "2",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a table in it: two clouds of points, and a letter that says nothing."""
    folder = tmp_path_factory.mktemp("place")
    random = np.random.default_rng(7)
    with (folder / "clouds.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["left", "right", "letter", "cloud"])
        for row in range(160):
            x = random.normal(size=2) + 3.0 * (row % 2)
            writer.writerow([f"{x[0]:.4f}", f"{x[1]:.4f}", "abc"[row % 3], ["low", "high"][row % 2]])
    return folder


def environment(place):
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_", "COLUMNS"))
    }
    return {**kept, "PYTHONPATH": SOURCE, "JAX_PLATFORMS": "cpu"}


def spawn(place, *tokens):
    return subprocess.run(
        [*COMMAND, *tokens], cwd=place, env=environment(place), capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def fitted(place):
    ended = spawn(place, "fit", "clouds.csv", "--target", "cloud", *TINY)
    assert ended.returncode == 0, ended.stderr
    return ended


def test_fit_ends_with_the_answer_the_place_and_what_to_do_next(fitted):
    lines = [line for line in fitted.stdout.splitlines() if line]
    assert lines[0].startswith(("Predicts cloud with", "The best baseline ("))
    assert lines[1].startswith("Kept in runs/clouds: 4 members in ")
    assert lines[2].startswith("On validation the winner is ")
    said = "'low' is predicted from a probability of "
    assert [line for line in lines[3:] if not line.startswith(said)] == [
        "Next",
        "  fathom report runs/clouds",
        "  fathom predict runs/clouds NEW.csv",
    ]


def test_progress_is_on_standard_error_and_nothing_else_is(fitted):
    lines = fitted.stderr.splitlines()
    assert lines[0] == "clouds: 160 rows, 7 features, predicting cloud, 2 classes"
    known = ("clouds:", "4 members (", "compiled ", "rung at ", "note: ", "[")
    assert [line for line in lines if not line.startswith(known)] == []
    assert lines[-1].endswith("] done")


def test_quiet_json_is_the_documented_object_and_a_second_run_gets_its_own_folder(place, fitted):
    ended = spawn(place, "fit", "runs/clouds/study.toml", "--quiet", "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    summary = json.loads(ended.stdout)
    assert lacking(summary, keys_of("fit, resume")) == []
    assert summary["run"] == "runs/clouds-2"
    first = json.loads((place / "runs/clouds/result.json").read_text())
    same = ("metric", "members", "programs", "baselines", "chosen")
    assert summary["test"] == first["test"]
    assert [summary[key] for key in same if key != "baselines"] == [
        first[key] for key in same if key != "baselines"
    ]


def test_predictions_are_csv_with_a_row_for_each_row(place, fitted, fathom, monkeypatch):
    monkeypatch.chdir(place)
    ended = fathom("predict", "runs/clouds", "clouds.csv", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert len(rows) == 160
    assert list(rows[0])[:3] == ["prediction", "probability high", "probability low"]
    truth = [line.split(",")[-1] for line in (place / "clouds.csv").read_text().split()[1:]]
    right = np.mean([row["prediction"] == cloud for row, cloud in zip(rows, truth, strict=True)])
    assert right > 0.9  # two unit clouds 3 * sqrt(2) apart: the best line is right for 98 %


def test_another_threshold_names_fewer_and_a_wrong_one_is_refused(place, fitted, fathom, monkeypatch):
    monkeypatch.chdir(place)
    ended = fathom("predict", "runs/clouds", "clouds.csv", "--threshold", "0.999", "--json")
    shown = json.loads(ended.out)
    assert shown["threshold"] == pytest.approx(0.999) and shown["coverage"] is None
    chances = np.array(shown["columns"]["probability low"])
    assert [p == "low" for p in shown["columns"]["prediction"]] == (chances > 0.999).tolist()
    noted = fathom("predict", "runs/clouds", "clouds.csv", "--threshold", "0.25").err
    assert noted == "note: 'low' is predicted from a probability of 0.250 on.\n"
    ended = fathom("predict", "runs/clouds", "clouds.csv", "--threshold", "2")
    assert ended.code == 2 and "give a probability between 0 and 1" in ended.err
    ended = fathom("predict", "runs/clouds", "clouds.csv", "--coverage", "0.8")
    assert ended.code == 2 and "they are for regression, so leave it out" in ended.err


def test_predictions_go_to_a_file_and_to_json(place, fitted, fathom, monkeypatch, tmp_path):
    monkeypatch.chdir(place)
    out = tmp_path / "predictions.csv"
    ended = fathom("predict", "runs/clouds", "clouds.csv", "--out", str(out))
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.splitlines()[0] == f"160 predictions written to {out}."
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["predictions.csv"]
    shown = json.loads(fathom("predict", "runs/clouds", "clouds.csv", "--json").out)
    assert lacking(shown, keys_of("predict")) == []
    read = list(csv.DictReader(io.StringIO(out.read_text())))
    assert shown["columns"]["prediction"] == [row["prediction"] for row in read]
    probabilities = [float(row["probability low"]) for row in read]
    assert probabilities == pytest.approx(shown["columns"]["probability low"], rel=1e-5)


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("p.xlsx", "are written as CSV, Parquet or JSON lines"),
        ("nowhere/p.csv", "does not exist; make it first"),
        (".", "is a folder"),
    ],
)
def test_a_place_for_predictions_is_checked_first(fathom, out, said):
    ended = fathom("predict", "no-run", "no-data", "--out", out)
    assert ended.code == 2
    assert said in ended.err


def test_evaluation_lists_every_metric(place, fitted, fathom, monkeypatch):
    monkeypatch.chdir(place)
    shown = json.loads(fathom("evaluate", "runs/clouds", "clouds.csv", "--json").out)
    assert lacking(shown, keys_of("evaluate")) == []
    text = fathom("evaluate", "runs/clouds", "clouds.csv").out
    assert all(any(line.split()[:1] == [name] for line in text.splitlines()) for name in shown["metrics"])


def test_the_report_is_written_again(place, fitted, fathom, monkeypatch):
    monkeypatch.chdir(place)
    ended = fathom("report", "runs/clouds", "--json")
    shown = json.loads(ended.out)
    assert lacking(shown, keys_of("report")) == []
    assert Path(shown["report"]).is_file()


def test_the_chosen_network_is_drawn(place, fitted, fathom, monkeypatch):
    monkeypatch.chdir(place)
    ended = fathom("graph", "runs/clouds")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("the chosen network of clouds: ") and "(parameter)" in ended.out


def test_a_finished_run_is_not_trained_again(place, fitted, fathom, monkeypatch):
    monkeypatch.chdir(place)
    ended = fathom("resume", "runs/clouds")
    assert ended.code == 0
    assert ended.err.startswith("note: runs/clouds is finished already")
    assert ended.out.splitlines()[0] == fitted.stdout.splitlines()[0]


@pytest.mark.parametrize("verb", ["resume", "report", "predict", "evaluate"])
def test_a_folder_that_is_no_run_is_refused(fathom, tmp_path, verb):
    data = ["iris"] if verb in ("predict", "evaluate") else []
    ended = fathom(verb, str(tmp_path), *data)
    assert ended.code == 4
    assert str(tmp_path) in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_folder_that_is_taken_is_refused(place, fitted, fathom, monkeypatch):
    monkeypatch.chdir(place)
    ended = fathom("fit", "clouds.csv", "--target", "cloud", *TINY, "--out", "runs/clouds", "--quiet")
    assert ended.code == 4
    assert "fathom resume runs/clouds" in ended.err


@pytest.fixture
def heard():
    """Children hear Ctrl-C; those of tests that a shell runs in the background would be born deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_says_how_to_go_on_and_resuming_goes_on(place, heard):
    tokens = ("fit", "iris", *TINY, "--set", "recipe.epochs=500", "--set", "rungs=[]", "--out", "stopped")
    with subprocess.Popen(
        [*COMMAND, *tokens],
        cwd=place,
        env=environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "] epoch" in line:
                process.send_signal(signal.SIGINT)
                break
        said = process.stderr.read().splitlines()
        assert (process.wait(60), said[-1:]) == (130, ["stopped; go on with: fathom resume stopped"])
    resumed = spawn(place, "resume", "stopped", "--json", "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    summary = json.loads(resumed.stdout)
    assert (summary["members"], summary["status"]) == (4, {"finished": 4})
