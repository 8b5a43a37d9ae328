"""The recipe: its default, what it refuses and how it says so, and the update it stands for."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fathom.errors import UsageError
from fathom.optim import Recipe, learning_rate_at, matrix_mask, update_rule
from fathom.settings import declarations, expand, log_grid, names_of


def test_the_default_is_the_standard_recipe():
    recipe = Recipe()
    assert (recipe.optimizer, recipe.clip_by, recipe.schedule) == ("adamw", "global_norm", "cosine")
    assert recipe.warmup > 0 and recipe.floor == 0.1


def test_every_field_is_declared_and_explained():
    declared = declarations(Recipe)
    assert [field.name for field in dataclasses.fields(Recipe)] == list(declared)
    assert all(entry.help for entry in declared.values())
    assert all(f"{name}:" in Recipe.__doc__ for name in declared)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "adm"}, r"optimizer='adm' is not known; use one of: sgd, .*did you mean 'adam'"),
        ({"optimizer": ["adam", "x"]}, r"optimizer='x' is not known"),
        ({"schedule": "cosin"}, r"schedule='cosin' is not known.*did you mean 'cosine'"),
        ({"clip_by": "norm"}, r"clip_by='norm' is not known; use one of: none, global_norm"),
        ({"decay": "none"}, r"decay='none' is not known; use one of: scheduled, constant"),
        ({"batch_size": 0}, r"batch_size=0 is not allowed; give a number from 1"),
        ({"batch_size": 2.5}, r"batch_size=2.5 is not a whole number; give 1, 2"),
        ({"epochs": True}, r"epochs=True is not allowed"),
        ({"loss": 3}, r"loss=3 is not a name; give a loss by name"),
        ({"learning_rate": -1.0}, r"learning_rate=-1.0 is not allowed; give a number from 0 to"),
        ({"learning_rate": []}, r"learning_rate=\[\] has no value"),
        ({"clip": None}, "clip=None is not a number; give one from 0 to inf; inf switches it off"),
        ({"momentum": 1.0}, r"momentum=1.0 is not allowed"),
        ({"dropout": [0.1, 1.0]}, r"dropout=1.0 is not allowed"),
        ({"warmup": float("nan")}, r"warmup=nan is not allowed"),
        (
            {"schedule": "step", "floor": 0.0},
            r"floor=0: the schedule 'step' never gets there; give a floor above 0",
        ),
        (
            {"optimizer": ["sgd", "schedule_free_sgd"], "momentum": [0.0, 0.9]},
            r"momentum=0: the optimizer 'schedule_free_sgd' divides by it; give a momentum above 0",
        ),
        (
            {"optimizer": "lamb", "decay": "constant"},
            r"decay='constant': the weight decay of the optimizer 'lamb' is part of its step; give decay=",
        ),
    ],
)
def test_refuses(fields, message):
    with pytest.raises(UsageError, match=message):
        Recipe(**fields)


def test_an_unknown_field_names_the_nearest():
    with pytest.raises(
        UsageError, match=r"recipe field='learning_rat' is not known.*did you mean 'learning_rate'"
    ):
        Recipe.from_dict({"learning_rat": 1.0})


def test_goes_through_a_settings_file_and_back():
    recipe = Recipe(learning_rate=log_grid(1e-4, 1e-1, 4), optimizer=["adamw", "sgd"], clip=float("inf"))
    written = recipe.to_dict()
    assert written["learning_rate"] == {"log": [1e-4, 1e-1, 4]} and written["optimizer"] == ["adamw", "sgd"]
    assert expand(Recipe.from_dict(written)) == expand(recipe)
    assert len(expand(recipe)) == 8


def test_a_whole_training_step_of_the_default_equals_optax():
    # Oracle: optax's own chain for one member with concrete numbers; ours traced, in a population, in a scan.
    steps, recipe = 30, Recipe(learning_rate=0.05, clip=0.5, warmup=0.2, weight_decay=0.1)
    names = names_of(recipe, "dynamic")
    settings = {name: jnp.float32([getattr(recipe, name)] * 2) for name in names}
    settings["learning_rate"] = jnp.float32([0.05, 0.01])
    params = {"w": jnp.array([[1.0, -2.0]]), "b": jnp.array([0.5])}
    mask = matrix_mask(params)

    def gradient(params):
        return jax.tree.map(lambda p: 2 * p - 1, params)

    def member(settings):
        def step(carry, i):
            params, state = carry
            rule = update_rule("adamw", "global_norm", settings, mask)
            rate = learning_rate_at("cosine", settings, i, steps)
            updates, state = rule.update(gradient(params), state, params, learning_rate=rate)
            return (optax.apply_updates(params, updates), state), None

        start = (params, update_rule("adamw", "global_norm", settings, mask).init(params))
        return jax.lax.scan(step, start, jnp.arange(steps))[0][0]

    got = jax.jit(jax.vmap(member))(settings)
    rate = optax.warmup_cosine_decay_schedule(0.0, 0.05, 6, steps, 0.005)
    theirs = optax.chain(
        optax.clip_by_global_norm(0.5),
        optax.adamw(rate, weight_decay=0.1, mask=jax.tree.map(bool, mask)),
    )

    @jax.jit
    def step(params, state):
        updates, state = theirs.update(gradient(params), state, params)
        return optax.apply_updates(params, updates), state

    want, state = params, theirs.init(params)
    for _ in range(steps):
        want, state = step(want, state)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-4), got, want)
    assert np.abs(got["w"][1] - got["w"][0]).max() > 1e-2
