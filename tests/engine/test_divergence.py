"""A member that diverges is frozen and recorded, and its neighbors do not notice.

Oracles: a plain Python loop over the same batches; the same population with a benign member in that slot.
"""

import jax
import numpy as np
import pytest

from fathom.engine import Population
from fathom.engine.feed import Feed
from fathom.errors import TrainingError

from .worlds import bits, loop, member_bits, net_evaluate, net_init, net_population, net_step, regression

TRAIN, HELD = regression(40), regression(16, seed=8)
FEED = Feed.of(TRAIN, HELD)
EPOCHS, BATCH, STEPS = 6, 16, 3
RATES = [0.01, 0.02, 0.03, 0.04, 0.015]
BAD = 2


def run(width, bad=None, events=None):
    rates = list(RATES)
    if bad is not None:
        rates[BAD] = bad
    population = net_population(learning_rate=rates, seed=np.arange(5))
    callbacks = [] if events is None else [events.append]
    return population.run(TRAIN, HELD, epochs=EPOCHS, batch_size=BATCH, lane_width=width, callbacks=callbacks)


# tanh saturates, so the loss overflows only after many steps: the first finite epochs are kept.
HUGE = 1e5


@pytest.fixture(scope="module", params=[1, 4])
def runs(request):
    events = []
    return run(request.param), run(request.param, HUGE, events), events


def oracle(rate):
    """The first step whose loss is not finite, the last finite loss, and the state at its epoch's start."""
    functions = net_population(learning_rate=rate).functions
    settings = {"noise": 0.05, "learning_rate": rate}
    start = state = functions.init(jax.random.key(np.uint32(BAD)), settings)
    last = np.nan
    for epoch, step, after, loss in loop(functions, FEED, BAD, settings, EPOCHS, BATCH):
        if step % STEPS == 0:
            start = state
        if not np.isfinite(loss):
            return step, last, start, epoch
        state, last = after, loss
    raise AssertionError("the rate is too small for this test")


def test_it_is_recorded_with_its_step_and_last_loss(runs):
    _, result, events = runs
    step, last, _, epoch = oracle(HUGE)
    record = result.records[BAD]
    assert (record.status, record.diverged_step, record.epochs) == ("diverged", step, epoch + 1)
    np.testing.assert_allclose(record.last_loss, last, rtol=1e-3)
    told = [event for event in events if event["event"] == "diverged"]
    assert [(event["member"], event["step"]) for event in told] == [(BAD, step)]
    assert np.isnan(result.scores[BAD]) and result.best != BAD
    assert result.table()[-1]["member"] == BAD


def test_it_is_frozen_at_the_start_of_its_epoch(runs):
    _, result, _ = runs
    _, _, start, epoch = oracle(HUGE)
    slot = result._training.slot(BAD)
    assert int(slot["state"]["step"]) == epoch * STEPS
    for name, array in start["params"].items():
        np.testing.assert_allclose(slot["state"]["params"][name], array, rtol=1e-3)
    assert all(np.isfinite(array).all() for array in slot["best"]["params"].values())


def test_its_neighbors_are_untouched(runs):
    benign, result, _ = runs
    for member in set(range(5)) - {BAD}:
        assert member_bits(result, member) == member_bits(benign, member)


def test_weights_that_overflow_count_without_a_loss():
    def step(state, batch, settings):
        return state * settings["factor"]

    def evaluate(state, split):
        return {"loss": state}

    population = Population(lambda key, settings: settings["factor"], step, evaluate, {"factor": [0.5, 1e30]})
    rows = {"x": np.zeros((4, 1), np.float32)}
    result = population.run(rows, rows, epochs=4, batch_size=2)
    # 1e30 x 1e30 is beyond float32 in the first epoch of two steps.
    assert [record.diverged_step for record in result.records.values()] == [-1, 1]
    assert bits(result.state(1)) == bits(np.float32(1e30))
    assert [record.status for record in result.records.values()] == ["finished", "diverged"]


def test_all_diverged_is_an_error():
    population = net_population(learning_rate=[HUGE, 2 * HUGE])
    with pytest.raises(TrainingError, match=r"every one of the 2 members diverged.*lower the learning rate"):
        population.run(TRAIN, HELD, epochs=EPOCHS, batch_size=BATCH, lane_width=1)


def test_a_score_that_is_not_a_number_is_never_best():
    def evaluate(state, split):
        return {"loss": net_evaluate(state, split)["loss"] / (state["params"]["b1"].sum() > 1e9)}

    population = Population(net_init, net_step, evaluate, {"noise": 0.0, "learning_rate": [0.01, 0.02]})
    result = population.run(TRAIN, HELD, epochs=1, batch_size=BATCH, lane_width=1)
    assert all(record.best_epoch == -1 and np.isnan(record.best_score) for record in result.records.values())
