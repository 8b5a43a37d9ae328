"""The sentence of a result: what it claims must follow from the intervals beside it."""

import pytest

from fathom.study.result import answer


def summary(metric="accuracy", score=0.9, baseline=0.8, ends=(0.85, 0.94), against=(0.05, 0.15), **test):
    rising = metric not in ("rmse", "log_loss")
    test = {
        "rows": 200,
        "effective_rows": 200,
        "score": score,
        "ensemble_score": score,
        "interval_of_score": None if ends is None else {"low": ends[0], "high": ends[1], "how": ""},
        "against": [] if against is None else [{"baseline": "linear", "low": against[0], "high": against[1]}],
        **test,
    }
    found = {"linear": {"score": baseline}, "majority": {"score": 0.1 if rising else 9.0}}
    return {
        "metric": metric,
        "greater_is_better": rising,
        "target": "y",
        "test": test,
        "baselines": found,
        "validation": {"score": 0.7},
    }


def plain(text):
    return text.replace("\u202f", " ")


def test_the_networks_win_where_the_paired_interval_leaves_zero_out():
    expected = (
        "Predicts y with 90.0 % accuracy (95 % interval 85.0 to 94.0), "
        "against 80.0 % accuracy for the best baseline (linear)."
    )
    assert plain(answer(summary())) == expected


def test_a_baseline_that_wins_is_the_sentence():
    assert answer(summary("rmse", 3.0, 2.0, (2.5, 3.5), (0.5, 1.5))) == (
        "The best baseline (linear) does better: rmse 2.00 against "
        "rmse 3.00 (95 % interval 2.50 to 3.50) for the networks."
    )


@pytest.mark.parametrize("baseline", [0.89, 0.9, 0.91])
def test_what_cannot_be_told_apart_is_said_to_be_so_whoever_is_ahead(baseline):
    found = plain(answer(summary(baseline=baseline, against=(-0.02, 0.03))))
    assert found.startswith(
        "Predicts y with 90.0 % accuracy (95 % interval 85.0 to 94.0), which the test rows cannot tell"
    )
    assert found.endswith(f"apart from {100 * baseline:.1f} % accuracy for the best baseline (linear).")


@pytest.mark.parametrize("metric", ["roc_auc", "f1", "log_loss", "rmse"])
def test_every_metric_has_its_interval(metric):
    ahead = 1.0 if metric in ("rmse", "log_loss") else 0.8
    found = answer(summary(metric, baseline=ahead))
    assert f"{metric} 0.900 (95 % interval 0.850 to 0.940)" in found


def test_one_test_row_tells_nothing_apart():
    found = answer(summary(ends=None, against=None, rows=1, effective_rows=1))
    assert "cannot tell apart" in found


def test_a_run_of_an_older_version_is_read():
    old = summary()
    for name in ("interval_of_score", "against"):
        del old["test"][name]
    assert "(95 % interval 85.1 to 93.4), against 80.0" in plain(answer(old))
    old["metric"] = "roc_auc"
    assert answer(old).startswith("Predicts y with roc_auc 0.900, against")


def test_without_baselines_and_without_test_rows():
    alone = {**summary(), "baselines": {}}
    assert answer(alone).endswith("(95 % interval 85.0 to 94.0) on 200 test rows.")
    assert "on validation (no test rows were kept)" in answer(summary(score=None))
