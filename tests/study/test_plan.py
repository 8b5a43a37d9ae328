import json
import math

import pytest

from fathom.engine.budget import Budget
from fathom.engine.rungs import Rung, halving, rung_work
from fathom.study import plan as planning
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


def spendable(amount, spent=0.0):
    """Seconds of planned training that a budget comes to: what is left but for a reserve."""
    return max(0.0, planning.seconds_to_train(seconds(amount)) - spent)


def cost(resolved, case):
    """Seconds of training that a decision comes to."""
    candidates = case["grid"] * resolved.samples
    epochs = resolved.epochs or case["epochs"]
    return candidates * case["per_candidate"] * epochs * case["rate"] * rung_work(resolved.rungs, candidates)


def test_without_a_budget_the_study_is_as_it_was_asked_for():
    assert (found := resolve(None, **GRID)).samples == 1 and found.epochs == 0 and found.rungs == ()
    found = resolve(None, **SEARCH)
    assert (found.samples, found.epochs, found.rungs) == (16, 0, halving(16))


def test_a_grid_that_fits_is_trained_whole():
    whole = 6 * 4 * 20 * 0.01
    assert spendable(12) > whole
    found = resolve(seconds(12), **GRID)
    assert (found.samples, found.epochs, found.rungs) == (1, 0, ())


def test_a_grid_that_does_not_fit_drops_the_weak_first():
    slow = {**GRID, "rate": 0.1}
    budget = next(b for b in range(20, 100) if 0.8 * 48 < spendable(b) < 48)
    found = resolve(seconds(budget), **slow)
    assert found.rungs == halving(6) and found.epochs == 0
    assert cost(found, slow) <= spendable(budget)


def test_then_it_trains_fewer_epochs_down_to_four():
    slow = {**GRID, "rate": 0.1}
    found = resolve(seconds(15), **slow)
    assert 4 <= found.epochs < 20 and cost(found, slow) <= spendable(15)
    assert resolve(seconds(0.01), **{**GRID, "rate": 1.0}).epochs == 4


def test_a_time_buys_draws_and_spends_most_of_itself():
    few, many = resolve(seconds(15), **SEARCH), resolve(seconds(30), **SEARCH)
    assert 1 < few.samples < many.samples < 96
    for found, budget in ((few, 15), (many, 30)):
        assert 0.75 * spendable(budget) <= cost(found, SEARCH) <= spendable(budget)


def test_when_draws_run_out_a_time_buys_epochs():
    found = resolve(seconds(600), **SEARCH)
    assert found.samples == 96 and found.epochs > 20
    assert 0.75 * spendable(600) <= cost(found, SEARCH) <= spendable(600)


def test_time_that_is_gone_is_not_spent_again():
    fresh = resolve(seconds(30), **SEARCH)
    late = resolve(seconds(40), **{**SEARCH, "spent": 25.0})
    assert late.samples < fresh.samples and cost(late, SEARCH) <= spendable(40, 25)


def test_a_time_that_is_all_gone_still_trains_something():
    found = resolve(seconds(1), **{**SEARCH, "spent": 5.0, "rate": 1.0})
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
