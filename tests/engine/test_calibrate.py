"""Calibration. Oracles: tables of seconds whose best rules are known, files written and read back, runs that go on."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import fathom as fm
from broken_off import Killed, killed_at
from fathom.engine import lanes
from fathom.engine.calibrate import CHOICES, Choice, Measured, chosen, fit, keep, loss_of, measure
from fathom.engine.lanes import Rules, rules, rules_file
from fathom.engine.population import Population
from fathom.study.run_folder import RunFolder

ALONE, TOGETHER, ALONE_VECTOR, TOGETHER_VECTOR = CHOICES
SIZES = [(16, 1482), (32, 3466), (48, 5962), (64, 8970), (128, 26122)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of its own, and rules that are read anew."""
    monkeypatch.setenv("FATHOM_CACHE", str(tmp_path / "cache"))
    lanes._read.cache_clear()
    yield
    lanes._read.cache_clear()


def table(together_up_to, vector_up_to):
    """Seconds in which the wrong choice of either kind costs a fifth."""
    found = []
    for width, parameters in SIZES:
        right = 8 if parameters <= together_up_to else 1
        vector = parameters <= vector_up_to
        seconds = {
            c: [2.0, 1.0 * (1.2 if c.width != right else 1) * (1.2 if (c.packed[0] > 0) != vector else 1)]
            for c in CHOICES
        }
        found.append(Measured(width, parameters, seconds))
    return found


@pytest.mark.parametrize("together", [0, 2000, 5000, 7000, 100_000])
@pytest.mark.parametrize("vector", [0, 2000, 7000])
def test_rules_are_found_where_choices_cross(together, vector):
    measured = table(together, vector)
    found = fit(measured)
    assert all(loss_of(found, one) == pytest.approx(0) for one in measured)
    for one in measured:
        choice = chosen(found, one.parameters)
        assert (choice.width == 8, choice.packed[0] > 0) == (
            one.parameters <= together,
            one.parameters <= vector,
        )


def test_rules_stand_where_others_are_better_by_noise_only():
    same = [Measured(w, p, {c: [1.0 + 0.001 * i] for i, c in enumerate(CHOICES)}) for w, p in SIZES]
    assert fit(same) == Rules()


def test_the_least_counts_and_equal_programs_share_a_time():
    one = Measured(16, 1482, {ALONE_VECTOR: [3.0, 1.0, 2.0], TOGETHER_VECTOR: [2.0, 0.5, 9.0]})
    assert (one.least(ALONE), one.median(ALONE), one.best) == (1.0, 2.0, TOGETHER_VECTOR)
    assert one.as_measured(TOGETHER) == TOGETHER_VECTOR
    assert (str(ALONE), str(TOGETHER_VECTOR)) == ("small arrays packed", "8 together, one vector")


def test_rules_are_kept_beside_the_programs_and_gone_with_the_file():
    assert rules() == Rules() and not rules().calibrated
    found = Rules(100_000, 8, (0, 2048))
    keep(table(0, 0), found)
    assert rules() == Rules()  # a process keeps to what it began with
    lanes._read.cache_clear()
    assert rules() == found and rules().calibrated
    assert lanes.lane_width("cpu", 4000, 64) == 1
    assert len(json.loads(rules_file().read_text())["measured"]) == len(SIZES)
    rules_file().unlink()
    lanes._read.cache_clear()
    assert rules() == Rules()


@pytest.mark.parametrize(
    "text", ["", "{}", '{"rules": {"together_up_to": 1, "width": 3, "packed": [1, 2]}}', "[1]"]
)
def test_a_damaged_file_is_as_none(text):
    rules_file().parent.mkdir(parents=True)
    rules_file().write_text(text)
    assert rules() == Rules()


def calibrated(found):
    keep([], found)
    lanes._read.cache_clear()


def test_it_measures_every_choice_that_differs():
    (small,) = measure(0.0, widths=(4,))
    assert set(small.seconds) == {ALONE_VECTOR, TOGETHER_VECTOR}  # every array of it is small
    assert small.parameters == 64 * 4 + 4 + 4 * 4 + 4 + 4 * 10 + 10
    assert all(0 < min(rounds) < 1 and len(rounds) == 3 for rounds in small.seconds.values())


def study():
    recipe = fm.Recipe(learning_rate=[0.003, 0.03], epochs=6)
    return fm.Study("iris", fm.models.MLP(width=8, depth=1, activation="tanh"), recipe, folds=1, rungs=())


def test_a_run_that_has_begun_keeps_its_lanes_and_layout(tmp_path):
    whole = study().run(tmp_path / "whole", baselines=False)
    with pytest.raises(Killed):
        study().run(tmp_path / "broken", baselines=False, save_every=0, callbacks=[killed_at("epoch", 4)])
    calibrated(Rules(0, 8, (0, 0)))
    assert study().plan().cohorts[0].lane_width == 1 and study().plan().cohorts[0].packed == (0, 0)
    result = fm.resume(tmp_path / "broken")
    (planned,) = RunFolder.open(tmp_path / "broken").read_plan()[0].cohorts
    assert planned.packed == Rules().packed
    x = "iris"
    np.testing.assert_array_equal(result.best.predict(x), whole.best.predict(x))
    assert result.summary()["validation"] == whole.summary()["validation"]
    # What was trained under other rules is read back as it was written.
    loaded = fm.load_model(tmp_path / "whole")
    np.testing.assert_array_equal(loaded.predict(x), whole.ensemble.predict(x))


def test_a_population_that_has_begun_keeps_its_lanes(tmp_path):
    x = np.linspace(-1, 1, 64, dtype=np.float32)

    def step(w, batch, settings):
        slope = jnp.mean(2 * (w * batch["x"] - batch["y"]) * batch["x"])
        return w - settings["rate"] * slope, {"loss": slope**2}

    def run(folder, callbacks=()):
        population = Population(
            lambda key, settings: jnp.zeros(()), step, None, {"rate": np.linspace(0.1, 0.5, 9)}
        )
        options = {"checkpoint": folder, "save_every": 0, "callbacks": callbacks}
        return population.run({"x": x, "y": 3 * x}, epochs=6, batch_size=16, **options)

    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "broken", [killed_at("epoch", 4)])
    calibrated(Rules(0, 8, (0, 0)))
    np.testing.assert_array_equal(run(tmp_path / "broken").scores, whole.scores)


def test_choices_are_the_two_kinds_in_both_layouts():
    assert [c.width for c in CHOICES] == [1, 8, 1, 8]
    assert chosen(Rules(), 10**6) == Choice(1, (0, 2048))
