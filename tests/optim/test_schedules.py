"""Schedules against closed forms in NumPy, and Optax where it has the schedule."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fathom.errors import UsageError
from fathom.optim import SCHEDULES, learning_rate_at, plateau_init, plateau_update, robbins_monro

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "optim.json").read_text())["plateau"]
PROGRESS = np.linspace(0, 1, 41)
FLOOR = 0.09


def one_cycle(u, f):
    rise = 0.04 + 0.96 * (1 - np.cos(np.pi * u / 0.3)) / 2
    return np.where(u < 0.3, rise, f + (1 - f) * (1 + np.cos(np.pi * (u - 0.3) / 0.7)) / 2)


# The schedules after the warm-up, u from 0 to 1, written out in NumPy.
CLOSED = {
    "constant": lambda u, f: np.ones_like(u),
    "plateau": lambda u, f: np.ones_like(u),
    "inverse_time": lambda u, f: 1 / (1 + u * (1 / f - 1)),
    "step": lambda u, f: np.select([u < 0.5, u < 0.75], [1.0, np.sqrt(f)], f),
    "linear": lambda u, f: 1 - (1 - f) * u,
    "cosine": lambda u, f: f + (1 - f) * np.cos(np.pi * u / 2) ** 2,
    "quarter_cosine": lambda u, f: f + (1 - f) * np.cos(np.pi * u / 2),
    "one_cycle": one_cycle,
}


@functools.cache
def program(name):
    return jax.jit(jax.vmap(lambda p, w, f: SCHEDULES[name](p, warmup=w, floor=f), (0, None, None)))


def multipliers(name, progress, warmup, floor):
    return np.asarray(program(name)(progress, warmup, floor))


def test_every_schedule_has_a_closed_form_here():
    assert set(CLOSED) == set(SCHEDULES.names())


@pytest.mark.parametrize("name", SCHEDULES.names())
@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_equals_its_closed_form(name, warmup):
    ramp = np.minimum(1, PROGRESS / warmup) if warmup else 1.0
    want = ramp * CLOSED[name](np.clip((PROGRESS - warmup) / (1 - warmup), 0, 1), FLOOR)
    np.testing.assert_allclose(multipliers(name, PROGRESS, warmup, FLOOR), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_is_continuous_where_the_warm_up_ends(name):
    near = np.interp(PROGRESS, [0, 1], [0.29999, 0.30001])
    assert np.ptp(multipliers(name, near, 0.3, FLOOR)) < 1e-3


@pytest.mark.parametrize("name", [s.name for s in SCHEDULES if not s.floor_above_zero])
@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_extreme_settings_stay_within_zero_and_one(name, warmup):
    got = multipliers(name, PROGRESS, warmup, 0.0)
    assert np.isfinite(got).all() and np.min(got) >= -1e-6 and np.max(got) <= 1


def test_cosine_with_warm_up_equals_optax():
    want = optax.warmup_cosine_decay_schedule(0.0, 0.3, warmup_steps=10, decay_steps=100, end_value=0.03)
    settings = {"learning_rate": 0.3, "warmup": 0.1, "floor": 0.1}
    for step in (0, 1, 9, 10, 11, 50, 99):
        np.testing.assert_allclose(
            learning_rate_at("cosine", settings, step, 100), want(step), rtol=1e-5, atol=1e-7
        )


def test_one_cycle_equals_optax():
    want = optax.cosine_onecycle_schedule(100, 1.0, pct_start=0.3, div_factor=25, final_div_factor=10)
    settings = {"learning_rate": 1.0, "warmup": 0.0, "floor": float(want(100))}
    for step in (0, 10, 30, 31, 70, 99):
        np.testing.assert_allclose(learning_rate_at("one_cycle", settings, step, 100), want(step), rtol=1e-5)


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_takes_traced_settings_under_vmap(name):
    # Oracle: the same members one at a time.
    settings = {
        k: jnp.array(v)
        for k, v in {"learning_rate": [0.1, 1.0], "warmup": [0.0, 0.2], "floor": [0.1, 0.5]}.items()
    }
    got = jax.jit(jax.vmap(lambda s, step: learning_rate_at(name, s, step, 40)))(settings, jnp.array([3, 20]))
    for i, step in enumerate((3, 20)):
        alone = {key: float(value[i]) for key, value in settings.items()}
        want = multipliers(name, np.array([step / 40]), alone["warmup"], alone["floor"])[0]
        np.testing.assert_allclose(got[i], alone["learning_rate"] * want, rtol=1e-6)


def test_an_unknown_schedule_is_an_early_error():
    with pytest.raises(UsageError, match=r"schedule='cosin' is not known.*did you mean 'cosine'"):
        learning_rate_at("cosin", {}, 0, 1)


def test_plateau_follows_torch():
    # Oracle: golden numbers of torch.optim.lr_scheduler.ReduceLROnPlateau.
    how = {key: GOLDEN[key] for key in ("patience", "factor", "floor")}
    update = jax.jit(lambda state, value: plateau_update(state, value, **how))
    state, got = plateau_init(), []
    for value in GOLDEN["values"]:
        state = update(state, value)
        got.append(float(state.multiplier))
    np.testing.assert_allclose(got, GOLDEN["multipliers"], rtol=1e-6)


def test_plateau_counts_a_value_that_is_not_finite_as_no_better():
    state = plateau_init()
    for value in (1.0, jnp.nan, jnp.inf):
        state = plateau_update(state, value, patience=1)
    assert float(state.best) == 1.0 and float(state.multiplier) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("rate", "sum_diverges", "squares_converge"),
    [
        (lambda t: 0.1, True, False),
        (lambda t: 5 / (100 + t), True, True),
        (lambda t: (1 + t) ** -0.5, True, False),
        (lambda t: (1 + t) ** -0.75, True, True),
        (lambda t: (1 + t) ** -1.5, False, True),
        (lambda t: 0.0, False, True),
        (lambda t: SCHEDULES["inverse_time"](t, floor=0.1), True, True),
        (lambda t: SCHEDULES["cosine"](t, floor=0.1), True, False),
        (lambda t: SCHEDULES["linear"](t, floor=0.0), False, True),
    ],
)
def test_robbins_monro_knows_the_power_laws(rate, sum_diverges, squares_converge):
    # Oracle: the sum of t^-p diverges exactly for p <= 1.
    found = robbins_monro(rate)
    assert (found.sum_diverges, found.squares_converge) == (sum_diverges, squares_converge)
    assert found.holds == (sum_diverges and squares_converge)
