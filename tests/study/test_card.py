import re

import pytest

from fathom.study.card import card


def rows_of(text, heading):
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line[:1] == "|"
    ]


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_card_says_what_the_record_says(kind, grid, regression):
    result = grid[0] if kind == "classification" else regression
    text, summary = (result.run.path / "README.md").read_text(), result.summary()
    assert f"pipeline_tag: tabular-{kind}" in text
    assert result.answer() in text
    results = dict(rows_of(text, "Results")[2:])
    assert len(results) == 2 + len(summary["baselines"])
    assert float(results["chosen network"]) == pytest.approx(summary["test"]["score"], rel=5e-3)
    settings = dict(rows_of(text, "Training")[2:])
    assert float(settings["learning_rate"]) == summary["chosen"]["settings"]["learning_rate"]
    assert settings["patience"] == "∞" and "loss" not in settings
    assert ("calibrated" in text) == (kind == "classification")
    assert ("higher is better" in text) == (kind == "classification")


def test_what_only_a_person_knows_is_left_open(grid):
    text = card(grid[0].summary())
    assert text.count("*To be filled in by a person.*") == 2
    assert "None" not in text and "nan" not in re.findall(r"\w+", text)


def test_a_name_with_bars_and_breaks_does_not_break_a_table(grid):
    summary = {**grid[0].summary(), "target": "a|b\nc"}
    summary["baselines"] = {"odd|name": {"score": 0.5}}
    text = card(summary)
    assert "# a|b c from iris" in text and "| baseline: odd\\|name | 0.500 |" in text
