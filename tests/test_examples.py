"""Every example runs. Oracle: the accuracy that a linear model on the digits cannot help reaching."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_there_are_examples():
    assert {path.stem for path in EXAMPLES} >= {"population_by_hand", "population_flax"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed.strip()
    if path.stem.startswith("population"):
        (accuracy,) = re.findall(r"test accuracy (0\.\d+)", printed)
        assert float(accuracy) > 0.93
