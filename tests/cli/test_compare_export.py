"""`fathom compare` and `fathom export` as a user meets them."""

import json
import shutil

import pytest

import fathom as fm

from .documented import keys_of, lacking


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs that differ in a learning rate."""
    folder = tmp_path_factory.mktemp("faces")
    for name, rate in (("one", 0.1), ("two", 0.01)):
        recipe = fm.Recipe(learning_rate=[rate], epochs=3)
        fm.Study("iris", fm.models.Linear(), recipe, folds=2).run(folder / name, baselines=False)
    return folder


def test_compare_says_whether_chance_explains_the_difference(runs, fathom, monkeypatch):
    monkeypatch.chdir(runs)
    ended = fathom("compare", "one", "two")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    shown = json.loads(fathom("compare", "one", "two", "--json").out)
    assert lacking(shown, keys_of("compare")) == []
    second = shown["runs"][1]
    apart = second["difference_low"] > 0 or second["difference_high"] < 0
    assert lines[0].startswith("two is " if apart else "two and one cannot be told apart by accuracy on 30")
    (row,) = [line.split() for line in lines if line.startswith("learning_rate")]
    assert row == ["learning_rate", "0.1", "0.01"]
    assert any(line.split()[:1] == ["run"] and "McNemar p" in line for line in lines)
    quiet = fathom("compare", "one", "two", "--metric", "log_loss", "--quiet").out.splitlines()
    assert len(quiet) == 1 and "log loss on 30 shared test rows" in quiet[0]


def test_runs_of_the_same_name_are_shown_by_their_place(runs, fathom, tmp_path):
    shutil.copytree(runs / "one", tmp_path / "other" / "one")
    out = fathom("compare", str(runs / "one"), str(tmp_path / "other" / "one")).out
    assert "cannot be told apart" in out and str(tmp_path / "other" / "one") in out.replace("\n", "")


@pytest.mark.parametrize(
    ("tokens", "code", "said"),
    [
        (("one",), 2, "needs two runs or more"),
        ((), 2, "needs two runs or more"),
        (("one", "nowhere"), 4, "holds no study.toml"),
        (("one", "two", "--metric", "rmse"), 2, "metric='rmse' is not known"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(runs, fathom, monkeypatch, tokens, code, said):
    monkeypatch.chdir(runs)
    ended = fathom("compare", *tokens)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err and len(ended.err.splitlines()) == 1


def test_export_says_where_and_what_next(runs, fathom, monkeypatch):
    monkeypatch.chdir(runs)
    ended = fathom("export", "one")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Written to one-export: ")
    assert "python one-export/predict.py NEW.csv" in ended.out
    assert fathom("predict", "one-export", "iris").out == fathom("predict", "one", "iris").out
    again = fathom("export", "one")
    assert again.code == 4 and "is not empty" in again.err
    shown = json.loads(fathom("export", "two", "elsewhere", "--chosen", "--json").out)
    assert lacking(shown, keys_of("export")) == []
    assert "predict.jax_export" in shown["files"] and shown["folder"] == "elsewhere"


def test_what_cannot_be_exported_is_one_sentence(runs, fathom, monkeypatch):
    monkeypatch.chdir(runs)
    assert fathom("export", "nowhere").code == 4
    ended = fathom("export", "one", "new", "--coverage", "0.9")
    assert ended.code == 2 and "they are for regression" in ended.err
    ended = fathom("export", "one", "one/study.toml/below")
    assert (ended.code, len(ended.err.splitlines())) == (4, 1)


def test_a_tracker_that_is_not_known_is_refused_before_the_data_is_read(fathom):
    ended = fathom("fit", "no-such-file.csv", "--target", "y", "--track", "neptune")
    assert ended.code == 2 and "tracker='neptune' is not known" in ended.err
