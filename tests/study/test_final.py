"""The one look at the test rows. Oracles: errors on rows drawn again by another generator, and Wilson's interval."""

import numpy as np
import pytest

from fathom.analysis import wilson
from fathom.study.evidence import FOLDER, Evidence


def test_a_share_has_wilsons_interval(grid):
    test = grid[0].summary()["test"]
    low, high = wilson(test["ensemble_score"], 30)
    assert test["interval_of_score"] == {
        "low": pytest.approx(low, rel=1e-6),
        "high": pytest.approx(high, rel=1e-6),
        "how": "Wilson",
    }


def drawn_again(rows, predicted, seed):
    """Root mean squared errors [predictions, drawings] on the same rows, drawn with replacement."""
    random, n = np.random.default_rng(seed), len(rows)
    places = random.integers(n, size=(2000, n))
    return [np.sqrt(np.square((rows.target - each)[places]).mean(1)) for each in predicted]


def assert_ends(found, drawn):
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found["low"] == pytest.approx(low, abs=0.07 * (high - low))
    assert found["high"] == pytest.approx(high, abs=0.07 * (high - low))


def test_an_error_has_the_interval_of_rows_drawn_again(regression):
    rows = Evidence.read(regression.run.path / FOLDER).test
    test = regression.summary()["test"]
    assert_ends(test["interval_of_score"], drawn_again(rows, [rows.value], seed=5)[0])
    assert test["interval_of_score"]["low"] < test["ensemble_score"] < test["interval_of_score"]["high"]
    assert test["interval_of_score"]["how"] == "bootstrap, 1000 resamples of the rows"


def test_differences_to_baselines_are_paired(regression):
    rows, summary = Evidence.read(regression.run.path / FOLDER).test, regression.summary()
    assert [one["baseline"] for one in summary["test"]["against"]] == list(summary["baselines"])
    for one in summary["test"]["against"]:
        ours, theirs = drawn_again(rows, [rows.value, rows.baselines[one["baseline"]]], seed=6)
        assert_ends(one, ours - theirs)
        apart = summary["test"]["ensemble_score"] - summary["baselines"][one["baseline"]]["score"]
        assert one["difference"] == pytest.approx(apart, rel=1e-3, abs=1e-3)
