import math

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import ttest_rel

from fathom.engine.training import MemberRecord
from fathom.study.choose import ensemble_members, indistinguishable, standings, temperature
from fathom.study.members import Member


def members_with(scores):
    """Members and records of candidates whose scores are given, one row each."""
    members, records = [], {}
    for candidate, row in enumerate(scores):
        for fold, score in enumerate(row):
            index = len(members)
            members.append(Member(index, candidate, 0, fold))
            records[index] = MemberRecord("finished", 5, score, score, best_epoch=3)
    return members, records


def ranked(scores, rising=True):
    return standings(*members_with(scores), rising)


def test_the_mean_over_seeds_and_folds_ranks():
    found = ranked([[0.7, 0.8], [0.9, 0.5], [0.8, 0.8]])
    assert [standing.candidate for standing in found] == [2, 0, 1]
    assert found[1].score == pytest.approx(0.75)
    assert found[1].spread == pytest.approx(np.std([0.7, 0.8], ddof=1))
    assert found[1].error == pytest.approx(np.std([0.7, 0.8], ddof=1) / math.sqrt(2))


def test_the_metric_decides_who_wins():
    accuracy = [[0.90, 0.92], [0.95, 0.95]]  # the second is right more often
    log_loss = [[0.20, 0.22], [0.60, 0.64]]  # and far too sure where it is wrong
    assert ranked(accuracy, rising=True)[0].candidate == 1
    assert ranked(log_loss, rising=False)[0].candidate == 0


def test_ties_go_to_the_first_candidate():
    assert [standing.candidate for standing in ranked([[0.5], [0.5], [0.6]])] == [2, 0, 1]


@pytest.mark.parametrize("status", ["diverged", "dropped", "training"])
def test_a_candidate_with_a_failed_member_is_left_out(status):
    members, records = members_with([[0.9, 0.9], [0.5, 0.5]])
    records[1].status = status
    assert [standing.candidate for standing in standings(members, records, True)] == [1]


def test_a_member_out_of_patience_counts():
    members, records = members_with([[0.9, 0.9]])
    records[1].status = "stopped"
    assert len(standings(members, records, True)) == 1


def test_one_member_has_no_standard_error():
    assert math.isnan(ranked([[0.9]])[0].error)


@pytest.mark.parametrize("rising", [True, False])
def test_paired_intervals_agree_with_scipy(rising):
    draw = np.random.default_rng(0)
    base = draw.normal(0.8, 0.05, 6)
    scores = [base + draw.normal(shift, 0.01, 6) for shift in (0.03, 0.031, 0.029, 0, -0.03, -0.031, -0.029)]
    ranking = ranked([row.tolist() for row in scores], rising)
    expected = []
    for other in ranking[1:]:
        interval = ttest_rel(ranking[0].scores, other.scores).confidence_interval(0.95)
        if interval.low <= 0 <= interval.high:
            expected.append(other.candidate)
    assert 0 < len(expected) < 6
    assert indistinguishable(ranking, rising) == expected


def test_pairing_sees_a_difference_that_the_spread_over_folds_hides():
    folds = np.array([0.5, 0.7, 0.9])
    ranking = ranked([(folds + 0.01 + [0, 0.0001, 0]).tolist(), folds.tolist()])
    assert ranking[0].spread > 10 * (ranking[0].score - ranking[1].score)
    assert indistinguishable(ranking, True) == []


def test_with_one_member_nothing_can_be_told_apart():
    assert indistinguishable(ranked([[0.9], [0.1]]), True) == [1]


def test_an_ensemble_takes_whole_candidates_and_always_the_best():
    ranking = ranked([[0.9, 0.9], [0.8, 0.8], [0.7, 0.7]])
    assert ensemble_members(ranking, 5) == [0, 1, 2, 3]
    assert ensemble_members(ranking, 1) == [0, 1]


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 6.0])
def test_temperature_agrees_with_a_brute_force_grid(sharpness):
    draw = np.random.default_rng(1)
    logits = draw.normal(size=(300, 4))
    chances = np.exp(log_softmax(logits, axis=1))
    targets = np.array([draw.choice(4, p=row) for row in chances])
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 4001))
    losses = [-log_softmax(sharpness * logits / t, axis=1)[np.arange(300), targets].mean() for t in grid]
    found = temperature(sharpness * logits, targets)
    assert found == pytest.approx(grid[np.argmin(losses)], rel=0.005)
    assert found == pytest.approx(sharpness, rel=0.3)


def test_temperature_stays_within_its_bounds():
    sure = np.array([[50.0, 0.0], [0.0, 50.0]])
    assert temperature(sure, np.array([0, 1])) >= 0.05
    assert temperature(sure, np.array([1, 0])) <= 20.0


def test_a_candidate_with_an_infinite_score_is_left_out():
    ranking = ranked([[2.0, 1.0], [np.inf, np.inf], [0.5, -np.inf]], rising=False)
    assert [standing.candidate for standing in ranking] == [0]
