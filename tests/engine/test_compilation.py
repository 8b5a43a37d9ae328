"""What compiles, and how often. Oracles: JAX's own events, and the programs' counts."""

import jax
import numpy as np
import pytest

from broken_off import Killed, killed_at
from fathom.engine import Rung
from fathom.engine.program import Program

from .worlds import net_population, regression

TRAIN, HELD = regression(32), regression(8, seed=8)
RUN = {"epochs": 4, "batch_size": 16, "lane_width": 2}


@pytest.fixture
def compiled():
    """The compilations that JAX reports while a test runs."""
    seen = []

    def listen(name, seconds, **_):
        if name == "/jax/core/compile/backend_compile_duration":
            seen.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="module")
def first():
    """A run whose first epoch has compiled all that this shape needs."""
    return net_population(learning_rate=np.geomspace(0.001, 0.05, 12), seed=np.arange(12)).run(
        TRAIN, HELD, **RUN
    )


def programs(result):
    return result._training.cohorts[0].programs


def test_the_first_run_compiles_two_programs(first):
    assert (programs(first).init.count, programs(first).epoch.count) == (1, 1)


def test_jax_reports_a_compilation(compiled):
    jax.jit(lambda x: x * 3 + 1)(np.float32(2))
    assert compiled


def test_a_second_study_of_the_shape_compiles_nothing(first, compiled):
    again = net_population(learning_rate=np.linspace(0.01, 0.02, 11), seed=np.arange(11))
    assert programs(again.run(TRAIN, HELD, **{**RUN, "epochs": 7})) is programs(first)
    assert compiled == []


def test_rungs_and_fewer_survivors_compile_nothing(first, compiled):
    population = net_population(learning_rate=np.geomspace(0.001, 0.05, 12), seed=np.arange(12) + 5)
    result = population.run(TRAIN, HELD, **RUN, rungs=[Rung(0.25, 5), Rung(0.5, 2), Rung(0.75, 1)])
    assert sorted(r.epochs for r in result.records.values()) == [1] * 7 + [2] * 3 + [3, 4]
    assert compiled == []
    assert (programs(first).init.count, programs(first).epoch.count) == (1, 1)


def test_a_resume_compiles_nothing(first, compiled, tmp_path):
    population = net_population(learning_rate=np.geomspace(0.001, 0.05, 12), seed=np.arange(12) + 9)
    with pytest.raises(Killed):
        population.run(
            TRAIN, HELD, **RUN, checkpoint=tmp_path, save_every=0, callbacks=[killed_at("epoch", 2)]
        )
    result = population.run(TRAIN, HELD, **RUN, checkpoint=tmp_path)
    assert {record.epochs for record in result.records.values()} == {4}
    assert compiled == []


def test_stopping_and_diverging_compile_nothing(first, compiled):
    rates = np.geomspace(0.001, 0.05, 12)
    rates[3] = 1e30
    result = net_population(learning_rate=rates, seed=np.arange(12)).run(
        TRAIN, HELD, **{**RUN, "epochs": 9}, patience=0
    )
    assert {"diverged", "stopped"} <= {record.status for record in result.records.values()}
    assert compiled == []


def test_a_program_is_compiled_once_for_each_shape():
    program = Program("double", lambda x: 2 * x)
    put = jax.numpy.asarray
    assert [float(program(put(value, np.float32))) for value in (1.0, 2.0)] == [2.0, 4.0]
    assert program.count == 1
    program(put([1.0], np.float32))
    assert program.count == 2
