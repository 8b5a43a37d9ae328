"""Settings, sweeps and ranges. Oracles: NumPy's grids, itertools, and reading back what was written."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom import settings as s
from fathom.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Dish:
    """Settings of every sort."""

    heat: float = s.dynamic(0.5, 0.0, 1.0, neutral=0.0, help="how hot")
    salt: float = s.dynamic(1.0, 0.0, math.inf)
    layers: int = s.static(2, low=1, high=9)
    sauce: str = s.static("red", choices=("red", "green"))
    label: str = s.static("")
    note: str = "undeclared"

    def __post_init__(self):
        s.check(self)


def test_declarations():
    assert s.names_of(Dish, "dynamic") == ["heat", "salt"]
    assert s.names_of(Dish(), "static") == ["layers", "sauce", "label"]
    declared = s.declarations(Dish)["heat"]
    assert (declared.low, declared.high, declared.neutral, declared.help) == (0.0, 1.0, 0.0, "how hot")


@given(st.floats(1e-6, 1e3), st.floats(1.5, 1e4), st.integers(1, 12))
def test_log_grid(low, factor, count):
    grid = s.log_grid(low, low * factor, count)
    np.testing.assert_allclose(grid.values, np.geomspace(low, low * factor, count), rtol=1e-5)


@given(st.floats(-1e3, 1e3), st.floats(0.5, 1e3), st.integers(1, 12))
def test_linear_grid(low, span, count):
    grid = s.linear_grid(low, low + span, count)
    np.testing.assert_allclose(grid.values, np.linspace(low, low + span, count), rtol=1e-5, atol=1e-5 * span)
    assert len(grid) == count and list(grid) == list(grid.values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: s.log_grid(0, 1, 3), "log_grid: low=0, high=1: give 0 < low < high"),
        (lambda: s.log_grid(2, 1, 3), "log_grid: low=2, high=1"),
        (lambda: s.linear_grid(1, 1, 3), "linear_grid: low=1, high=1: give low < high"),
        (lambda: s.linear_grid(0, 1, 0), "linear_grid: count=0: give a whole number, 1 or more"),
        (lambda: s.log_range(0, 1), "range: low=0, high=1: give 0 < low < high"),
        (lambda: s.linear_range(3, 2), "range: low=3, high=2: give low < high"),
        (lambda: s.read_setting({"log": [1]}), "is no sweep; write {log = "),
        (lambda: s.read_setting({"power": [1, 2]}), "is no sweep"),
        (lambda: s.read_setting({"log": [1, 2], "linear": [1, 2]}), "is no sweep"),
        (lambda: Dish(heat=1.5), "heat=1.5 is not allowed; give a number from 0 to 1"),
        (lambda: Dish(heat=math.nan), "heat=nan is not allowed"),
        (lambda: Dish(heat=True), "heat=True is not allowed"),
        (lambda: Dish(heat="hot"), "heat='hot' is not allowed"),
        (lambda: Dish(heat=None), "heat=None is not a number; give one from 0 to 1; 0 switches it off"),
        (lambda: Dish(salt=None), "salt=None is not a number; give one from 0 to inf$"),
        (lambda: Dish(heat=[0.1, 7]), "heat=7 is not allowed"),
        (lambda: Dish(heat=[]), r"heat=\[\] has no value; give at least one"),
        (lambda: Dish(heat=s.linear_range(0.5, 2.0)), "heat=2.0 is not allowed"),
        (lambda: Dish(layers=0), "layers=0 is not allowed; give a number from 1 to 9"),
        (lambda: Dish(layers={"linear": [1, 3]}), "layers: a range to draw from needs a dynamic setting"),
        (lambda: Dish(sauce="rad"), "sauce='rad' is not known; use one of: red, green. did you mean 'red'"),
        (lambda: s.expand(Dish(), samples=0), "samples=0 is not allowed"),
    ],
)
def test_misuse_is_one_sentence(make, message):
    with pytest.raises(UsageError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


WRITTEN = st.one_of(
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
    st.builds(lambda low, count: {"log": [low, 2 * low, count]}, st.floats(1e-3, 1), st.integers(1, 5)),
    st.builds(lambda low: {"linear": [low, low + 1]}, st.floats(0, 1)),
    st.builds(lambda low: {"log": [low, low + 1]}, st.floats(0.1, 1)),
    st.floats(0, 1),
)


@given(WRITTEN)
def test_what_is_read_is_written_back(written):
    assert s.as_written(s.read_setting(written)) == written
    assert s.as_written(written) == written


def test_expand_spans_the_grid_in_order():
    dish = Dish(heat=[0.1, 0.2], layers=(1, 2, 3), sauce=["red", "green"])
    points = [(d.heat, d.layers, d.sauce) for d in s.expand(dish)]
    assert points == list(itertools.product([0.1, 0.2], [1, 2, 3], ["red", "green"]))
    assert s.expand(Dish()) == [Dish()]


@given(st.integers(1, 20), st.integers(0, 5))
def test_draws_lie_in_their_ranges_and_do_not_depend_on_how_many_follow(samples, seed):
    dish = Dish(heat=s.linear_range(0.2, 0.8), salt=s.log_range(0.01, 100), layers=[1, 2])
    drawn = s.expand(dish, samples, seed)
    assert len(drawn) == 2 * samples
    assert all(0.2 <= d.heat <= 0.8 and 0.01 <= d.salt <= 100 for d in drawn)
    assert [(d.heat, d.salt) for d in drawn[:samples]] == [(d.heat, d.salt) for d in drawn[samples:]]
    more = s.expand(dish, samples + 5, seed)
    assert more[:samples] == drawn[:samples]


def test_a_logarithmic_draw_is_uniform_in_the_logarithm():
    """Oracle: the mean of the uniform law, within four of its standard errors (Sobol is far closer)."""
    draws = np.log10([d.salt for d in s.expand(Dish(salt=s.log_range(0.01, 100)), 256)])
    assert abs(draws.mean()) < 4 * (4 / math.sqrt(12)) / math.sqrt(256)
    assert draws.min() < -1.9 and draws.max() > 1.9
    assert s.log_range(1, 100).at(0.5) == 10
    assert s.linear_range(1, 3).at(0.25) == 1.5
