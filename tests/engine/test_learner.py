"""A network, a task and a recipe as one member. Oracle: the bare module under Optax's own AdamW."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fathom import nn
from fathom.engine import Population
from fathom.engine.feed import Feed
from fathom.engine.learner import LearnerSpec, functions_for, network_for
from fathom.errors import UsageError
from fathom.models import MLP, FromModule
from fathom.optim import Recipe
from fathom.settings import names_of
from fathom.task import Task

from .worlds import loop, member_bits

TASK = Task(kind="classification", features=5, outputs=3, classes=("a", "b", "c"))
SPEC = LearnerSpec(MLP(width=8, depth=2), TASK, schedule="constant")


def examples(rows, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 5)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32) + (x[:, 1] > 0.5).astype(np.int32)
    return {"x": x, "y": y, "weight": (np.arange(rows) % 7 > 0).astype(np.float32)}


TRAIN, HELD = examples(40, 0), examples(24, 1)
NUMBERS = {name: float(getattr(Recipe(), name)) for name in names_of(Recipe, "dynamic")}
NUMBERS |= {"learning_rate": 0.01, "weight_decay": 0.1, "warmup": 0.0, "clip": np.inf, "init_scale": 1.0}
NUMBERS |= {"total_steps": 9.0, "target_scale": 1.0}


def test_a_member_trains_as_its_module_does_under_optax():
    functions, network = functions_for(SPEC), network_for(SPEC)
    *_, last = loop(functions, Feed.of(TRAIN, HELD), 3, NUMBERS, 3, 16)
    ours = network.module(last[2]["params"], last[2]["carried"])

    weights_key, _ = jax.random.split(jax.random.key(np.uint32(3)))
    module, _ = SPEC.architecture.initialize(TASK, weights_key)
    params, rest = eqx.partition(module, eqx.is_inexact_array)
    decays = jax.tree.map(lambda w: w.ndim >= 2, params)
    rule = optax.adamw(0.01, NUMBERS["momentum"], NUMBERS["beta2"], weight_decay=0.1, mask=decays)

    def loss(params, batch):
        outputs, _ = eqx.combine(params, rest)(batch["x"], key=None, state=None, inference=True)
        each = optax.softmax_cross_entropy_with_integer_labels(outputs, batch["y"])
        return (each * batch["weight"]).sum() / batch["weight"].sum()

    @jax.jit
    def step(params, state, batch):
        updates, state = rule.update(jax.grad(loss)(params, batch), state, params)
        return optax.apply_updates(params, updates), state

    # The same batches, read from the loop's own order by a member that only remembers them.
    remember = dataclasses.replace(
        functions,
        init=lambda key, settings: {name: jnp.asarray(a[:16]) for name, a in TRAIN.items()},
        step=lambda state, batch, settings: batch,
    )
    state = rule.init(params)
    for _, _, batch, _ in loop(remember, Feed.of(TRAIN, HELD), 3, NUMBERS, 3, 16):
        params, state = step(params, state, batch)
    theirs = jax.tree.leaves(params)
    for a, b in zip(jax.tree.leaves(eqx.filter(ours, eqx.is_inexact_array)), theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def population(spec, **columns):
    functions = functions_for(spec)
    settings = {**NUMBERS, **columns}
    made = Population(
        functions.init, functions.step, functions.evaluate, settings, score="accuracy", greater_is_better=True
    )
    made.functions = functions
    return made.run(TRAIN, HELD, epochs=3, batch_size=16, lane_width=4)


def test_dropout_and_noise_come_from_the_members_own_key():
    spec = dataclasses.replace(SPEC, active=frozenset({"dropout", "input_noise", "label_smoothing", "l2"}))
    columns = {
        "seed": np.array([0, 0, 1, 1, 2, 2]),
        "dropout": np.linspace(0, 0.5, 6),
        "input_noise": np.array([0.1] * 6),
        "label_smoothing": np.linspace(0, 0.1, 6),
        "l2": np.array([1e-3] * 6),
    }
    together = population(spec, **columns)
    alone = population(spec, **{name: column[[3]] for name, column in columns.items()})
    assert member_bits(alone, 0) == member_bits(together, 3)
    assert len({bits[0][0] for bits in [member_bits(together, m) for m in range(6)]}) == 6


@pytest.mark.parametrize("optimizer", ["sgd", "schedule_free_adamw"])
def test_what_is_kept_is_what_was_evaluated(optimizer):
    """Oracle: the accuracy of the kept weights, counted by hand over the rows that weigh."""
    spec = dataclasses.replace(SPEC, optimizer=optimizer)
    result = population(spec, learning_rate=np.array([0.05, 0.01]))
    for member, score in enumerate(result.scores):
        kept = result.state(member)
        outputs = network_for(spec).forward(
            kept["params"], kept["carried"], kept["net"], jnp.asarray(HELD["x"])
        )
        right = np.asarray(outputs).argmax(1) == HELD["y"]
        np.testing.assert_allclose((right * HELD["weight"]).sum() / HELD["weight"].sum(), score, rtol=1e-6)


def test_equal_specs_share_their_functions():
    again = LearnerSpec(MLP(width=8, depth=2), TASK, schedule="constant")
    assert functions_for(again) is functions_for(SPEC)
    assert functions_for(dataclasses.replace(SPEC, optimizer="sgd")) is not functions_for(SPEC)


def test_products_in_bfloat16_leave_weights_in_float32():
    """Oracle: the same steps in float32. Each changes a weight by a hundredth of what bfloat16 tells apart."""
    numbers = {**NUMBERS, "learning_rate": 2e-5, "weight_decay": 0.0}

    def trained(precision):
        functions = functions_for(dataclasses.replace(SPEC, precision=precision))
        *_, last = loop(functions, Feed.of(TRAIN, HELD), 3, numbers, 4, 16)
        first = functions.init(jax.random.key(np.uint32(3)), numbers)
        return first["params"], last[2]["params"]

    (first, half), (_, full) = trained("bfloat16"), trained("float32")
    for name, start in first.items():
        assert half[name].dtype == jnp.float32
        moved, expected = half[name] - start, full[name] - start
        assert float(jnp.linalg.norm(expected)) > 0
        assert float(jnp.linalg.norm(moved - expected) / jnp.linalg.norm(expected)) < 0.1
    assert any((np.asarray(half[name]) != np.asarray(full[name])).any() for name in first)


def test_only_training_multiplies_in_bfloat16():
    functions = functions_for(dataclasses.replace(SPEC, precision="bfloat16"))
    member = jax.eval_shape(functions.init, jax.random.key(0), NUMBERS)
    assert "bf16[" in str(jax.make_jaxpr(functions.step)(member, TRAIN, NUMBERS))
    assert "bf16[" not in str(jax.make_jaxpr(functions.evaluate)(member, HELD))


def test_a_precision_that_nothing_would_follow_is_refused():
    def foreign(task, key):
        return eqx.nn.MLP(task.size, task.outputs, 8, 1, key=key)

    spec = dataclasses.replace(SPEC, architecture=FromModule(foreign), precision="bfloat16")
    with pytest.raises(UsageError, match="precision='bfloat16' would change nothing"):
        functions_for(spec)
    functions_for(dataclasses.replace(spec, precision="float32"))


class Convolutional(eqx.Module):
    first: nn.Conv2d
    head: nn.Linear

    def __call__(self, x, *, inference=False):
        return self.head(jax.nn.relu(self.first(x, inference=inference)[0]).mean((1, 2)))[0]


def convolutional(task, key):
    return Convolutional(nn.Conv2d(1, 16, 3, key), nn.Linear(16, task.outputs, key))


IMAGES = dataclasses.replace(TASK, features=(28, 28, 1))


@pytest.mark.parametrize(
    ("spec", "rows", "passes"),
    [
        (SPEC, 4096, 1),
        (SPEC, 4096 + 5, 2),
        (LearnerSpec(FromModule(convolutional, batched=True), IMAGES), 75, 3),
    ],
)
def test_many_rows_are_taken_some_at_a_time(spec, rows, passes):
    """Oracle: the module on all rows at once."""
    network = network_for(spec)
    params, carried, state = network.initialize(jax.random.key(0), jnp.float32(1.0))
    x = jnp.asarray(np.random.default_rng(2).normal(size=(rows, *spec.task.shape)).astype(np.float32))
    run = functools.partial(network.forward, params, carried, state)
    at_once = network.module(params, carried)(x, key=None, state=state, inference=True)[0]
    np.testing.assert_allclose(jax.jit(run)(x), at_once, rtol=1e-5, atol=1e-6)
    loops = [e for e in jax.make_jaxpr(run)(x).eqns if e.primitive.name == "scan"]
    assert [e.params["length"] for e in loops] == [passes] * (passes > 1)


def test_a_pass_is_as_large_as_a_cache():
    """Oracle: by hand, what a pass holds of each row."""
    wide = dataclasses.replace(SPEC, architecture=MLP(width=1024, depth=2))
    assert network_for(SPEC).rows_at_once == 4096
    assert network_for(wide).rows_at_once == 256  # two layers of 1,024 numbers, 8 kB
    images = network_for(LearnerSpec(FromModule(convolutional, batched=True), IMAGES))
    assert images.rows_at_once == 32  # 16 x 28 x 28 numbers, 50 kB
