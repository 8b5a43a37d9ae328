"""The model card, held to the run's record and to a YAML parser."""

import re

import pytest
import yaml

from fathom.study.card import OPEN, card
from fathom.study.evidence import FOLDER, Evidence

ODD = (
    'say "no": never',
    "- [x] #1 {a: b} & *c !d | e > f % g @ h `i`",
    "a|b\nc\td",
    "---",
    "null",
    "1e3",
    "\u2028\x7f\x85\u200b café 🐟 \\n",
    "'; echo $HOME #",
    "<script>alert(1)</script>",
)


def rows_of(text, heading):
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in section.splitlines()
        if line[:1] == "|"
    ]


def front(text):
    return yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_card_says_what_the_record_says(kind, grid, regression):
    result = grid[0] if kind == "classification" else regression
    text, summary = (result.run.path / "README.md").read_text(), result.summary()
    test, about = summary["test"], front(text)
    assert about["library_name"] == "fathom" and about["pipeline_tag"] == f"tabular-{kind}"
    assert result.answer() in text
    results = {row[0]: row[1] for row in rows_of(text, "Results")[2:]}
    assert {name for name in results if name.startswith("baseline")} == {
        f"baseline: {name.replace('_', ' ')}" for name in summary["baselines"]
    }
    assert float(results["chosen network"]) == pytest.approx(test["score"], rel=5e-3)
    settings = dict(rows_of(text, "Training")[2:])
    assert (
        float(settings["learning\\_rate" if "learning\\_rate" in settings else "learning_rate"])
        == (summary["chosen"]["settings"]["learning_rate"])
    )
    assert settings["patience"] == "∞" and "loss" not in settings
    assert ("calibrated" in text) == (kind == "classification")
    assert ("higher is better" in text) == (kind == "classification")
    assert dict(rows_of(text, "Environment")[2:])["jax"] == summary["made"]["jax"]
    assert f"{test['interval_of_score']['how']}" in text
    (found,) = about["model-index"][0]["results"]
    scores = {metric["type"]: metric["value"] for metric in found["metrics"]}
    mine = test["ensemble_metrics"]
    if kind == "classification":
        assert scores["accuracy"] == pytest.approx(mine["accuracy"], rel=1e-6)
        assert scores["matthews_correlation"] == pytest.approx(mine["mcc"], rel=1e-6)
    else:
        assert scores["mse"] == pytest.approx(mine["rmse"] ** 2, rel=1e-6)
        assert scores["r_squared"] == pytest.approx(mine["r2"], rel=1e-6)
    assert all(isinstance(value, float) for value in scores.values())
    assert about["metrics"] == list(scores)


def test_what_only_a_person_knows_is_left_open(grid):
    text = card(grid[0].summary())
    assert text.count(OPEN) == 6
    assert "license" not in front(text) and "# license: to be filled in by a person" in text
    assert "None" not in text and " nan" not in text


def test_what_was_found_is_among_the_limits(grid):
    summary = {**grid[0].summary()}
    said = {
        "what": "leak",
        "columns": ["x"],
        "said": "column 'x' tells the target",
        "advice": "Leave it out.",
    }
    summary["data"] = {**summary["data"], "suspicions": [said], "notes": ["column 'x' tells the target; see"]}
    left = [{"what": "permutation importance", "why": "it would take minutes"}]
    text = card(summary, Evidence(left_out=left, label_error_count=2))
    limits = text.split("## Limits found\n")[1].split("\n## ")[0]
    assert "Suspected: column 'x' tells the target. Leave it out." in limits
    assert "2 rows have a target that is likely wrong" in limits
    assert "Not looked at: permutation importance, because it would take minutes." in limits
    assert "only 30 rows" in limits
    assert "nothing stood out" in text


def test_calibration_is_measured(grid):
    evidence = Evidence.read(grid[0].run.path / FOLDER)
    text = card(grid[0].summary(), evidence)
    assert ("the calibration error" in text) == (evidence.calibration is not None)


@pytest.mark.parametrize("name", ODD)
def test_odd_names_stay_names(grid, name):
    summary = {**grid[0].summary(), "target": name, "run": name}
    summary["data"] = {**summary["data"], "name": name, "classes": [name, "b"], "notes": [name]}
    summary["baselines"] = {name: {"score": 0.5}}
    text = card(summary)
    (model,) = front(text)["model-index"]
    assert model["results"][0]["dataset"]["name"] == name
    assert model["name"] == f"{name} from {name}"
    assert model["results"][0]["dataset"]["type"]
    assert (
        sum(line.startswith("# ") for line in text.splitlines()) == 2
    )  # the title, and a comment of the head
    row = next(line for line in text.splitlines() if line.startswith("| baseline: "))
    assert row.replace("\\|", "").count("|") == len(rows_of(text, "Results")[0]) + 1
    body = re.sub(r"```.*?```", "", text.split("\n---\n", 1)[1], flags=re.DOTALL)  # code shows as it is
    assert "<script>" not in body


def test_a_run_without_test_rows_has_no_model_index(grid):
    summary = {**grid[0].summary()}
    none = dict.fromkeys(("score", "ensemble_score", "interval", "interval_of_score", "against"))
    summary["test"] = {"rows": 0, "effective_rows": 0, **none}
    text = card(summary)
    assert "model-index" not in front(text)
    assert "No test rows were kept." in text and "There was no test" in text
