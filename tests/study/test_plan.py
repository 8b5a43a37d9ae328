import json
import math

import pytest

from fathom.engine.budget import Budget
from fathom.engine.rungs import Rung, halving, rung_work
from fathom.study.plan import CohortPlan, Plan, resolve

from .conftest import small_grid

#: A grid of 6 candidates of 4 members; an epoch takes a member 10 ms.
GRID = {
    "grid": 6,
    "sampled": False,
    "samples": 1,
    "most_samples": 96,
    "epochs": 20,
    "per_candidate": 4,
    "rate": 0.01,
    "spent": 0.0,
    "rungs": None,
}
#: One grid point with ranges to draw from.
SEARCH = {**GRID, "grid": 1, "sampled": True, "samples": 16}


def seconds(amount):
    return Budget("seconds", amount)


def cost(resolved, case):
    """Seconds of training that a decision comes to."""
    candidates = case["grid"] * resolved.samples
    epochs = resolved.epochs or case["epochs"]
    return candidates * case["per_candidate"] * epochs * case["rate"] * rung_work(resolved.rungs, candidates)


def test_without_a_budget_the_study_is_as_it_was_asked_for():
    assert (found := resolve(None, **GRID)).samples == 1 and found.epochs == 0 and found.rungs == ()
    found = resolve(None, **SEARCH)
    assert (found.samples, found.epochs, found.rungs) == (16, 0, halving(16))


def test_a_grid_keeps_its_candidates_and_gives_up_epochs_last():
    """With more and more time: rungs and fewer epochs, then rungs alone, then the whole grid."""
    slow = {**GRID, "rate": 0.1}
    found = [resolve(seconds(budget), **slow) for budget in range(2, 120)]
    assert {one.samples for one in found} == {1}
    stages = [(one.rungs == (), one.epochs or 20) for one in found]
    assert stages == sorted(stages)
    assert stages[0][0] is False and 4 <= stages[0][1] < 20
    assert (False, 20) in stages and stages[-1] == (True, 20)
    assert {one.rungs for one in found} == {halving(6), ()}


def test_at_least_four_epochs_are_trained():
    assert resolve(seconds(0.01), **{**GRID, "rate": 10.0}).epochs == 4


def test_a_time_buys_draws_first_and_then_epochs():
    found = [resolve(seconds(budget), **SEARCH) for budget in (5, 10, 20, 40, 80, 160, 320)]
    draws, epochs = [one.samples for one in found], [one.epochs or 20 for one in found]
    assert draws == sorted(draws) and draws[0] < 96 and draws[-1] == 96
    assert epochs[-1] > epochs[-2] > 20
    assert all(one.epochs <= 40 for one in found if one.samples < 96)


@pytest.mark.parametrize("budget", [20, 60, 300])
def test_a_plan_is_worth_about_the_time_that_was_given(budget):
    found = resolve(seconds(budget), **SEARCH)
    assert 0.6 * budget <= cost(found, SEARCH) <= 1.7 * budget


def test_time_that_is_gone_is_not_spent_again():
    late = resolve(seconds(40), **{**SEARCH, "spent": 25.0})
    assert cost(late, SEARCH) <= 0.6 * cost(resolve(seconds(40), **SEARCH), SEARCH)


def test_a_time_that_is_all_gone_still_trains_something():
    found = resolve(seconds(1), **{**SEARCH, "spent": 5.0, "rate": 10.0})
    assert (found.samples, found.epochs) == (1, 4)


@pytest.mark.parametrize(("asked", "samples"), [(4, 1), (40, 10), (41, 10), (2, 1)])
def test_members_are_rounded_to_whole_candidates(asked, samples):
    assert resolve(Budget("members", asked), **SEARCH).samples == samples


def test_members_leave_a_grid_whole():
    assert resolve(Budget("members", 4), **GRID).samples == 1


def test_epochs_are_taken_as_said():
    found = resolve(Budget("epochs", 3), **GRID)
    assert (found.samples, found.epochs) == (1, 3)


def test_rungs_that_were_asked_for_are_kept_and_useless_ones_left_out():
    asked = (Rung(0.25, 3), Rung(0.5, 2))
    assert resolve(None, **{**GRID, "rungs": asked}).rungs == asked
    assert resolve(None, **{**GRID, "rungs": (Rung(0.25, 6),)}).rungs == ()
    assert resolve(seconds(1), **{**GRID, "rungs": ()}).rungs == ()


def test_a_plan_survives_json():
    cohort = CohortPlan("mlp", "width=8", 2, 8, 20, 3, 32, 8, 1, 67, 1200, ("dropout",), 0.001)
    unmeasured = CohortPlan("linear", "model=linear", 1, 4, 20, 3, 32, 4, 1, 15, 300)
    plan = Plan((cohort, unmeasured), 3, 2, 2, (Rung(0.5, 2),), 2, "60 s", 30, 12.5)
    again = Plan.from_dict(json.loads(json.dumps(plan.to_dict(), allow_nan=False)))
    assert again.cohorts[0] == cohort and math.isnan(again.cohorts[1].seconds_per_epoch)
    assert (again.rungs, again.seconds, again.epochs, again.budget) == (plan.rungs, 12.5, 30, "60 s")
    assert str(again) == str(plan)


def test_work_counts_dropped_members_as_far_as_they_go():
    cohort = CohortPlan("mlp", "", 10, 10, 20, 3, 32, 8, 2, 67, 1200)
    assert Plan((cohort,), 1, 1, 1, (Rung(0.5, 5),), 1).work == pytest.approx(10 * 10 + 5 * 10)


def test_a_study_plans_by_members_and_by_epochs():
    plan = small_grid().plan("3 epochs")
    assert {cohort.epochs for cohort in plan.cohorts} == {3} and plan.members == 16
    assert "guessed from the size" in str(small_grid().plan("60s"))
