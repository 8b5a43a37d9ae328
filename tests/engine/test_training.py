"""Cohorts trained side by side. Oracles: hand-made scores, and counts of what each member did."""

import concurrent.futures
import contextlib
import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom.engine import Rung, Training
from fathom.engine.cohort import CohortSpec
from fathom.engine.feed import Feed
from fathom.engine.functions import Functions
from fathom.engine.program import Program
from fathom.engine.training import Pace

ROWS = {"x": np.zeros((4, 1), np.float32)}
FEED = Feed.of(ROWS, ROWS)


def init(key, settings):
    return {"score": settings["score"], "epochs": np.float32(0) * settings["score"]}


def step(state, batch, settings):
    return {**state, "epochs": state["epochs"] + 0.5}, {"loss": settings["score"]}


def evaluate(state, split):
    return {"score": state["score"]}


FUNCTIONS = Functions(init, step, evaluate)


def spec(scores, first=0, epochs=4):
    count = len(scores)
    return CohortSpec(
        FUNCTIONS,
        tuple(range(first, first + count)),
        {"score": np.array(scores)},
        np.zeros(count, np.uint32),
        np.zeros(count, np.int32),
        epochs,
        2,
        1,
    )


def train(*specs, groups=None, pace=None, **more):
    members = [member for one in specs for member in one.members]
    seen = []
    training = Training(specs, FEED, groups or {m: m for m in members}, listeners=[seen.append], **more)
    return training, training.run(pace), seen


def test_candidates_are_judged_by_the_mean_of_their_members():
    # Candidate 0 has the best member, candidate 1 the best mean, candidate 2 a diverged member.
    scores = [1.0, 0.0, 0.6, 0.6, 0.9, np.inf]
    groups = {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2}
    _, records, seen = train(spec(scores), groups=groups, rungs=[Rung(0.5, 1)])
    assert [record.status for record in records.values()] == ["dropped"] * 2 + ["finished"] * 2 + [
        "dropped",
        "diverged",
    ]
    (rung,) = [event for event in seen if event["event"] == "rung"]
    assert (rung["kept"], rung["dropped"]) == ([1], [0, 1, 4])


def test_cohorts_are_judged_against_each_other_and_those_dropped_do_no_work():
    # Oracle: the count that each member keeps of its own epochs, and the members of each epoch's report.
    first, second = spec([0.9, 0.1, 0.8]), spec([0.2, 0.95], first=3)
    training, records, seen = train(first, second, rungs=[Rung(0.25, 3), Rung(0.75, 1)])
    assert {m: r.epochs for m, r in records.items()} == {0: 3, 1: 1, 2: 3, 3: 1, 4: 4}
    worked = [len(event["report"].members) for event in seen if event["event"] == "epoch"]
    assert sum(worked) == 12
    assert float(training.slot(4)["state"]["epochs"]) == 4
    assert [len(cohort.alive) for cohort in training.cohorts] == [0, 1]
    with pytest.raises(KeyError):
        training.slot(0)


@pytest.mark.parametrize("members", [2, 3, 7])
def test_lanes_of_dropped_members_are_not_walked(members):
    training, _, _ = train(spec(np.linspace(0, 1, 40)), rungs=[Rung(0.5, members)])
    (cohort,) = training.cohorts
    counts = np.array([np.asarray(block.count) for block in cohort._blocks])
    assert counts.sum() == members
    assert counts.max() - counts.min() <= 1  # the devices share what is left


def test_a_share_of_the_epochs_is_not_rounded_up_by_float_error():
    _, records, _ = train(spec([0.1, 0.2], epochs=10), rungs=[Rung(0.7, 1)])
    assert records[0].epochs == 7


def test_a_slower_run_drops_more_at_the_rung_and_says_so():
    _, records, seen = train(spec(np.linspace(0, 1, 8)), rungs=[Rung(0.5, 6)], pace=Pace(1e-9))
    (slower,) = [event for event in seen if event["event"] == "slower"]
    assert (slower["planned"], slower["kept"]) == (6, 1)
    assert [m for m, record in records.items() if record.status == "finished"] == [7]
    _, records, seen = train(spec(np.linspace(0, 1, 8)), rungs=[Rung(0.5, 6)], pace=Pace(1e9))
    assert sum(record.status == "finished" for record in records.values()) == 6
    assert not [event for event in seen if event["event"] == "slower"]


def test_folds_train_on_their_own_rows():
    """Oracle: the mean of each fold's rows."""
    x = np.arange(6, dtype=np.float32)
    halves = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    feed = Feed({"x": np.stack([x, 10 * x])}, halves, halves[::-1].copy())
    functions = Functions(
        lambda key, settings: settings["zero"],
        lambda state, batch, settings: (state + batch["x"].sum(), {"loss": state}),
        lambda state, split: {"score": split["x"].mean()},
    )
    zeros = {"zero": np.zeros(2)}
    folds = np.array([0, 1], np.int32)
    one = CohortSpec(functions, (0, 1), zeros, np.zeros(2, np.uint32), folds, 1, 3, 2)
    training = Training([one], feed, {0: 0, 1: 0})
    records = training.run()
    assert [float(training.slot(m)["state"]) for m in (0, 1)] == [3.0, 120.0]
    assert [records[m].score for m in (0, 1)] == [4.0, 10.0]


def test_what_listens_to_validation_is_told_after_each_epoch():
    functions = Functions(
        lambda key, settings: {"w": settings["score"], "told": settings["score"] * 0},
        lambda state, batch, settings: ({**state, "w": state["w"] + 1}, {"loss": state["w"]}),
        lambda state, split: {"score": state["w"]},
        keep=lambda state: state["w"],
        after_epoch=lambda state, metrics, settings: {**state, "told": state["told"] + metrics["score"]},
    )
    one = CohortSpec(
        functions, (0,), {"score": np.zeros(1)}, np.zeros(1, np.uint32), np.zeros(1, np.int32), 3, 2, 1
    )
    training = Training([one], FEED, {0: 0})
    training.run()
    slot = training.slot(0)
    assert float(slot["state"]["told"]) == 2 + 4 + 6
    assert float(slot["best"]) == 6


def test_cohorts_that_share_their_programs_compile_them_once():
    """Oracle: the count of compilations; the cohorts are made ready side by side."""
    functions = Functions(init, lambda state, batch, settings: step(state, batch, settings), evaluate)
    short = dataclasses.replace(spec([0.1, 0.2]), functions=functions)
    long = dataclasses.replace(spec([0.3, 0.4], first=2, epochs=7), functions=functions)
    training = Training([short, long], FEED, {m: m for m in range(4)})
    seconds, made = training.compile()
    assert seconds > 0 and [one.name for _, one in made] == ["epoch", "init"]
    programs = training.cohorts[0].programs
    assert training.cohorts[1].programs is programs
    assert (programs.init.count, programs.epoch.count) == (1, 1)
    records = training.run()
    assert [record.epochs for record in records.values()] == [4, 4, 7, 7]
    assert (programs.init.count, programs.epoch.count) == (1, 1)
    assert training.compile() == (0, [])


def test_functions_are_traced_under_what_jax_is_told_where_the_run_is_called():
    """JAX's context managers hold for a thread; a user's around a run must reach every function in it."""
    told = []

    def listening(place):
        def run(state, batch, settings):
            told.append((place, jax.config.jax_default_matmul_precision))
            return step(state, batch, settings)

        return run

    cohorts = [
        dataclasses.replace(spec([0.1], first=n), functions=Functions(init, listening(n), evaluate))
        for n in range(3)
    ]
    training = Training(cohorts, FEED, {m: m for m in range(3)})
    with jax.default_matmul_precision("highest"):
        training.compile()
    assert set(told) == {(n, "highest") for n in range(3)}


@pytest.mark.parametrize(
    "threads, shape, warned", [("2", (3, 4, 4), True), ("3", (3, 4, 4), False), ("2", (4, 4), False)]
)
def test_a_function_that_may_wait_for_ever_is_told_of(monkeypatch, threads, shape, warned):
    """With two devices on two threads, LAPACK for several matrices at once was seen to hang: QR, Cholesky, LU."""
    monkeypatch.setenv("NPROC", threads)
    program = Program("step", jax.jit(lambda x: jnp.linalg.cholesky(x).sum()))
    said = r"step: cholesky of several matrices at once can wait for ever.*NPROC=3"
    with pytest.warns(RuntimeWarning, match=said) if warned else contextlib.nullcontext():
        program.traced(jnp.ones(shape))()


def test_a_program_is_compiled_once_however_many_ask_at_once():
    """Oracle: JAX traces a function once for each compilation."""
    traced = []

    def double(x):
        traced.append(x)
        time.sleep(0.2)  # long enough for the others to ask meanwhile
        return 2 * x

    program = Program("double", double)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(program, [jnp.float32(n) for n in range(4)]))
    assert [float(value) for value in found] == [0, 2, 4, 6]
    assert (len(traced), program.count, len(program.made)) == (1, 1, 1)


def test_a_program_that_cannot_be_traced_says_so_to_all_and_may_be_tried_again():
    """Oracle: the function's own error."""
    fine = []

    def maybe(x):
        time.sleep(0.1)
        if not fine:
            raise RuntimeError("not today")
        return x + 1

    program = Program("maybe", maybe)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for told in [pool.submit(program, jnp.float32(1)) for _ in range(2)]:
            with pytest.raises(RuntimeError, match="not today"):
                told.result()
    fine.append(1)
    assert float(program(jnp.float32(1))) == 2
