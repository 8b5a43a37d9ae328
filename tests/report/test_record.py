import numpy as np
import pytest

from fathom.report.chart import log_ticks, padded
from fathom.report.record import Record

from .runs import make_run


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("record") / "run"
    return Record.read(make_run(folder, rates=(0.1, 0.01, 1.0, 10.0), diverged=(3,), dropped=(2,)))


def test_candidates_come_best_first_and_failed_ones_last(record):
    assert [(c.index, c.rank, c.status) for c in record.candidates] == [
        (1, 1, "finished"),
        (0, 2, "finished"),
        (2, 0, "dropped"),
        (3, 0, "diverged"),
    ]
    assert np.isnan(record.candidates[-1].score)


def test_a_candidates_score_is_the_mean_over_its_members(record):
    best = record.candidates[0]
    scores = [row["best_score"] for row in record.rows if row["candidate"] == best.index]
    assert best.score == pytest.approx(np.mean(scores)) and best.spread == pytest.approx(
        np.std(scores, ddof=1)
    )
    assert best.members == (2, 3)


def test_curves_are_as_long_as_members_trained(record):
    assert {len(record.curves[m]["score"]) for m in record.candidates[0].members} == {6}
    assert {len(record.curves[m]["score"]) for m in record.candidates[2].members} == {3}
    assert np.isnan(record.curves[record.candidates[3].members[0]]["train_loss"][1:]).all()


def test_a_candidate_is_told_by_what_varies(record):
    assert record.varied == ["learning_rate"]
    assert record.about(record.candidates[0]) == "rate 0.01"


def test_rows_say_how_long_a_member_trained(record):
    assert {row["epochs"] for row in record.rows if row["status"] == "dropped"} == {3}


@pytest.mark.parametrize(
    ("ends", "ticks"),
    [((1e-4, 1e-1), [1e-4, 1e-3, 1e-2, 1e-1]), ((1, 10), [1, 2, 5, 10]), ((0.02, 3), [0.03, 0.1, 0.3, 1, 3])],
)
def test_a_log_axis_has_round_ticks_within_its_ends(ends, ticks):
    assert log_ticks(*ends) == pytest.approx(ticks)


def test_an_axis_has_room_even_for_one_value():
    assert padded([2.0]) == pytest.approx([1.9, 2.1]) and padded([0.0])[0] < 0 < padded([0.0])[1]
    assert padded([0.9, 1.0], most=1.0)[1] == pytest.approx(1.0015)
    assert padded([]) == pytest.approx([-0.06, 1.06])
