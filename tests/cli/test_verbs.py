"""The verbs that need no run, and the shapes that docs/json.md promises for them."""

import json

import pytest

from fathom.data import SOURCES
from fathom.models import MODELS
from fathom.optim import CLIPS, RULES, SCHEDULES

from .documented import keys_of, lacking


@pytest.fixture
def people(tmp_path):
    rows = [
        f"{age},{'xyz'[age % 3]},{'' if age == 30 else age * 1.5},7,{'yes' if age % 4 else 'no'}"
        for age in range(20, 80)
    ]
    path = tmp_path / "people.csv"
    path.write_text("age,group,height,always,member\n" + "\n".join(rows) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("tokens", "section"),
    [
        (["models"], "models"),
        (["optim"], "optim"),
        (["data"], "data"),
        (["data", "iris"], "data SOURCE"),
        (["data", "diabetes"], "data SOURCE"),
        (["info"], "info"),
        (["fit", "iris", "--folds", "2", "--plan-only"], "fit --plan-only"),
    ],
)
def test_json_has_the_documented_keys(fathom, tokens, section):
    ended = fathom(*tokens, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert lacking(json.loads(ended.out), keys_of(section)) == []


@pytest.mark.parametrize(
    ("tokens", "catalogues"),
    [(["models"], [MODELS]), (["optim"], [RULES, SCHEDULES, CLIPS]), (["data"], [SOURCES])],
)
def test_a_listing_has_every_record_of_its_catalogue(fathom, tokens, catalogues):
    text = fathom(*tokens).out
    for catalogue in catalogues:
        for record in catalogue:
            assert any(line.split()[:1] == [record.name] for line in text.splitlines())


@pytest.mark.parametrize("columns", ["80", "100"])
@pytest.mark.parametrize(
    "tokens", [["models"], ["models", "mlp"], ["optim"], ["data"], ["data", "iris"], ["info"]]
)
def test_nothing_is_wider_than_the_screen(fathom, monkeypatch, tokens, columns):
    monkeypatch.setenv("COLUMNS", columns)
    lines = fathom(*tokens).out.splitlines()
    # A sentence outside a terminal is one line, whatever its length; a table is not.
    assert all(len(line) <= int(columns) for line in lines if "─" in line or "  " in line)


def test_one_model_shows_its_settings(fathom):
    ended = fathom("models", "mlp")
    assert ended.out.startswith("mlp: multi-layer perceptron")
    assert "width" in ended.out and "activation" in ended.out
    alone = json.loads(fathom("models", "mlp", "--json").out)
    width = next(setting for setting in alone["settings"] if setting["name"] == "width")
    assert (width["default"], width["kind"], width["low"]) == (64, "static", 1)


def test_a_table_of_data_says_what_is_read_and_what_is_not(fathom, people):
    ended = fathom("data", people, "--target", "member")
    assert ended.code == 0
    assert "people: 60 rows, 3 columns used, classification of member" in ended.out
    assert "- column 'always' has one value only and is left out" in ended.out
    words = [line.split() for line in ended.out.splitlines()]
    assert ["no", "15", "25.0", "%"] in [[part for part in line if part] for line in words]
    assert ["group", "categorical", "3", "z", "33%,", "x", "33%,", "y", "33%"] in words
    assert ["height", "numeric", "1.67", "%", "59", "30", "to", "118.5"] in words
    assert ["always", "constant", "1", "7", "left", "out"] in words


def test_columns_can_be_said_and_test_rows_given(fathom, people):
    said = ("--columns", "group=group,always=ignore", "--columns", "age=time")
    told = json.loads(
        fathom("data", people, "--target", "member", *said, "--test-file", people, "--json").out
    )
    assert {column["name"]: column["kind"] for column in told["schema"]["ignored"]} == {
        "age": "time", "group": "group", "always": "ignore",
    }  # fmt: skip
    assert told["parts"] == {"train": 0, "validation": 0, "test": 60, "to be divided": 60}
    assert [suspicion["what"] for suspicion in told["suspicions"]] == ["duplicates"]
    ended = fathom("data", people, "--target", "member", "--columns", "ages=time")
    assert ended.code == 2
    assert "did you mean 'age'?" in ended.err


def test_a_regression_target_is_shown_by_its_quantiles(fathom, people):
    target = json.loads(fathom("data", people, "--target", "age", "--json").out)["target"]
    assert target["distribution"]["smallest"] == 20
    assert target["distribution"]["median"] == 49.5
    assert target["distribution"]["largest"] == 79


def test_a_table_is_shown_without_a_target(fathom, people):
    ended = fathom("data", people)
    assert ended.code == 0
    assert "people: 60 rows, 5 columns" in ended.out
    assert "Name the column to predict with --target" in ended.out
    told = json.loads(fathom("data", people, "--json").out)
    assert (told["target"], told["schema"], len(told["columns"])) == (None, None, 5)


def test_the_plan_is_shown_without_training(fathom, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = fathom(
        "fit",
        "iris",
        "--model",
        "linear",
        "--set",
        "recipe.learning_rate=[0.01,0.1]",
        "--set",
        "samples=1",
        "--folds",
        "2",
        "--plan-only",
        "--explain",
    )
    assert ended.code == 0
    assert ended.out.startswith("4 members (2 candidates x 1 seed x 2 folds)")
    assert "no native code: it does not know model='Linear'" in ended.out
    assert not (tmp_path / "runs").exists()


def test_calibrate_prints_a_table_and_keeps_the_rules(fathom, monkeypatch, tmp_path):
    from fathom.engine import calibrate, lanes

    monkeypatch.setenv("FATHOM_CACHE", str(tmp_path))
    alone, together = calibrate.CHOICES[:2]
    rows = [calibrate.Measured(w, p, {alone: [1e-5], together: [2e-5]}) for w, p in ((16, 1482), (64, 8970))]
    monkeypatch.setattr(calibrate, "measure", lambda tell: rows)
    ended = fathom("info", "--calibrate", "--json")
    found = json.loads(ended.out)
    assert (ended.code, lacking(found, keys_of("info --calibrate"))) == (0, [])
    assert found["rules"]["together_up_to"] == 0 and found["measured"][0]["loss"] == 0
    assert json.loads(lanes.rules_file().read_text())["rules"] == found["rules"]
    text = fathom("info", "--calibrate").out
    assert "64-16-16-10" in text and "delete it to go back" in text
