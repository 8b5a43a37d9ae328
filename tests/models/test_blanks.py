"""Blank inputs change nothing. Oracle: the same network without them, from the same weights."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import nn
from fathom.engine.learner import LearnerSpec, functions_for, network_for
from fathom.errors import UsageError
from fathom.models import MLP, MODELS, FromModule, Linear, Tabular
from fathom.models.tabular import EmbeddedPerceptron
from fathom.task import Task

REAL, OTHERS = 3, 2  # continuous inputs and others that are not blank
ROOM = Task.classification(12, 3)
ROOM = dataclasses.replace(ROOM, continuous=7)  # 3 of 7 continuous inputs, 2 of 5 others
PLAIN = dataclasses.replace(Task.classification(5, 3), continuous=3)
FILLED = np.array([0, 1, 2, 7, 8])
SETTINGS = {
    name: jnp.float32(value)
    for name, value in {
        "learning_rate": 0.02,
        "weight_decay": 0.1,
        "momentum": 0.9,
        "beta2": 0.999,
        "warmup": 0.1,
        "floor": 0.1,
        "clip": 0.5,
        "dropout": 0.0,
        "input_noise": 0.0,
        "label_smoothing": 0.1,
        "l1": 0.01,
        "l2": 0.01,
        "init_scale": 1.0,
        "total_steps": 20,
        "target_scale": 1.0,
        "filled": REAL,
        "filled_others": OTHERS,
    }.items()
}
ARCHITECTURES = {
    "mlp": MLP(width=6, depth=2),
    "deep_linear": MODELS["deep_linear"].factory(width=6, depth=1),
    "tabular": Tabular(width=6, depth=1, bins=4, size=3),
    "tabular, waves": Tabular(width=6, depth=1, bins=4, size=3, embedding="periodic"),
    "tabular, plain": Tabular(width=6, depth=1, embedding="none"),
    "linear": Linear(degree=2, cross=True, init="fan_in"),
}


def reads(architecture):
    """Which rows of the first layer belong to the real inputs, by the layout that each architecture documents."""
    if isinstance(architecture, Tabular) and architecture.embedding != "none":
        embedded = (FILLED[:REAL, None] * 3 + np.arange(3)).reshape(-1)
        return np.concatenate([embedded, 7 * 3 + FILLED])
    if isinstance(architecture, Linear):
        pairs = list(zip(*np.triu_indices(12, 1), strict=True))
        crossed = [i for i, (a, b) in enumerate(pairs) if a in FILLED and b in FILLED]
        return np.concatenate([FILLED, 12 + FILLED, 24 + np.array(crossed)])
    return FILLED


def restricted(architecture, params):
    """The network without its blank inputs, from the parameters of one that has them."""
    network = params.perceptron if isinstance(architecture, Tabular) else params
    first = network.layer if isinstance(architecture, Linear) else network.layers[0]
    fewer = eqx.tree_at(lambda layer: layer.weight, first, first.weight[reads(architecture)])
    if isinstance(architecture, Linear):
        return eqx.tree_at(lambda one: one.layer, params, fewer)
    network = eqx.tree_at(lambda one: one.layers[0], network, fewer)
    if not isinstance(architecture, Tabular):
        return network
    embedding = params.embedding
    if embedding is not None:
        kept = (embedding.weight[:REAL], embedding.bias[: REAL * 3])
        embedding = eqx.tree_at(lambda one: (one.weight, one.bias), embedding, kept)
        if hasattr(embedding, "frequency"):
            embedding = eqx.tree_at(lambda one: one.frequency, embedding, embedding.frequency[:REAL])
    return EmbeddedPerceptron(embedding, network, REAL)


def test_every_architecture_that_takes_blanks_is_looked_at():
    taking = {record.name for record in MODELS if record.factory.takes_blanks}
    assert taking == {architecture.name for architecture in ARCHITECTURES.values()}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lion"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_learns_what_the_network_without_them_learns(name, optimizer):
    architecture, active = ARCHITECTURES[name], frozenset({"label_smoothing", "l1", "l2"})
    with_room = LearnerSpec(architecture, ROOM, optimizer, active=active, blanks=True)
    without = LearnerSpec(architecture, PLAIN, optimizer, active=active)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(40, 5)).astype(np.float32)
    batch = {"y": draw.integers(0, 3, 40).astype(np.int32), "weight": np.ones(40, np.float32)}
    roomy = np.zeros((40, 12), np.float32)
    roomy[:, FILLED] = x
    ours, theirs = functions_for(with_room), functions_for(without)
    member = ours.init(jax.random.key(1), SETTINGS)
    plain = theirs.init(jax.random.key(1), SETTINGS)
    packing = network_for(with_room).packing, network_for(without).packing
    fewer = packing[1].pack(restricted(architecture, packing[0].unpack(member["params"])))
    assert jax.tree.map(jnp.shape, fewer) == jax.tree.map(jnp.shape, plain["params"])
    plain["params"] = fewer
    step = jax.jit(ours.step), jax.jit(theirs.step)
    for _ in range(20):
        member, told = step[0](member, {**batch, "x": roomy}, SETTINGS)
        plain, theirs_told = step[1](plain, {**batch, "x": x}, SETTINGS)
        np.testing.assert_allclose(told["loss"], theirs_told["loss"], rtol=1e-4)
    learned = restricted(architecture, packing[0].unpack(member["params"]))
    for ours_leaf, theirs_leaf in zip(
        jax.tree.leaves(learned), jax.tree.leaves(packing[1].unpack(plain["params"])), strict=True
    ):
        np.testing.assert_allclose(ours_leaf, theirs_leaf, rtol=1e-3, atol=1e-4)


def test_noise_is_not_added_to_a_blank_input():
    spec = LearnerSpec(MLP(width=6, depth=1), ROOM, "sgd", active=frozenset({"input_noise"}), blanks=True)
    settings = {**SETTINGS, "input_noise": jnp.float32(1.0)}
    functions, network = functions_for(spec), network_for(spec)
    member = functions.init(jax.random.key(0), settings)
    x = np.zeros((40, 12), np.float32)
    batch = {"x": x, "y": np.zeros(40, np.int32), "weight": np.ones(40, np.float32)}
    step = jax.jit(functions.step)
    for _ in range(3):
        member, _ = step(member, batch, settings)
    weight = np.asarray(network.packing.unpack(member["params"]).layers[0].weight)
    blank = np.setdiff1d(np.arange(12), FILLED)
    assert (weight[blank] == 0).all() and (weight[FILLED] != 0).all()


@pytest.mark.parametrize("init", ["fan_in", "glorot", "he", "orthogonal", "zero", "constant", "identity"])
def test_the_real_inputs_have_the_weights_of_a_layer_of_their_number(init):
    real = np.arange(64) % 4 == 0
    layer = nn.Linear(64, 400, jax.random.key(0), init=init, gain=1.5).without_blanks(
        jnp.asarray(real), init, 1.5
    )
    weight, record = np.asarray(layer.weight), nn.INITS[init]
    assert (weight[~real] == 0).all()
    if record.random:
        np.testing.assert_allclose(np.square(weight[real]).mean(), record.variance((16, 400), 1.5), rtol=0.06)
    else:
        np.testing.assert_array_equal(
            weight[real], nn.Linear(64, 400, jax.random.key(0), init=init).weight[real]
        )


def test_an_architecture_that_has_no_room_says_so():
    with pytest.raises(UsageError, match="cannot have blank inputs; train it without room for more"):
        FromModule(lambda task, key: None).without_blanks(None, jnp.ones(3, bool))
