"""A population of small convolutional networks in native code. Oracle: the same one in XLA's."""

import shutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import native, nn
from fathom.engine import Population
from fathom.nn import conv
from fathom.optim import gradient_in_parts, outputs_in_parts

COMPILER = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler"),
    pytest.mark.usefixtures("native_code"),
]
DRAW = np.random.default_rng(3)
IMAGES = DRAW.normal(size=(48, 8, 8, 2)).astype(np.float32)
CLASSES = (IMAGES[:, :4].sum((1, 2, 3)) > 0).astype(np.int32)
TRAIN = {"x": IMAGES[:32], "y": CLASSES[:32]}
HELD = {"x": IMAGES[32:], "y": CLASSES[32:]}


@pytest.fixture(scope="module", autouse=True)
def traced():
    """A word for each convolution that was traced as native code."""
    found, real = [], conv.convolve_directly

    def noted(*args):
        found.append("direct")
        return real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "convolve_directly", noted)
        yield found


class Net(eqx.Module):
    layers: list[nn.Conv2d]
    head: nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.layers = [nn.Conv2d(2, 16, 3, keys[0]), nn.Conv2d(16, 20, 3, keys[1], strides=2)]
        self.head = nn.Linear(4 * 4 * 20, 2, keys[2])

    def __call__(self, x, inference=False):
        for layer in self.layers:
            x = jax.nn.relu(layer(x, inference=inference)[0])
        return self.head(x.reshape(x.shape[0], -1))[0]


def loss(net, batch, inference=False):
    logits = jax.nn.log_softmax(net(batch["x"], inference))
    return -jnp.take_along_axis(logits, batch["y"][:, None], 1).mean()


def step(state, batch, settings):
    value, slope = gradient_in_parts(loss, 2)(state, batch)
    moved = jax.tree.map(lambda p, g: p - settings["learning_rate"] * g, state, slope)
    return moved, {"loss": value}


def evaluate(state, split):
    logits = outputs_in_parts(lambda x: state(x, inference=True), split["x"], 8)
    right = jnp.take_along_axis(jax.nn.log_softmax(logits), split["y"][:, None], 1)
    return {"loss": -right.mean()}


def run(rates=(0.05, 0.1, 0.2), seeds=(0, 1, 2), **how):
    population = Population(
        lambda key, settings: Net(key), step, evaluate, {"learning_rate": rates, "seed": seeds}
    )
    return population.run(TRAIN, HELD, **{"epochs": 3, "batch_size": 16, "lane_width": 1, **how})


def weights(result, member):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(result.state(member))]


def agree(ours, theirs, members=(0, 1, 2)):
    for member in members:
        for mine, other in zip(weights(ours, member), weights(theirs, member), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def in_native_code(traced):
    result = run()
    assert traced
    return result


def test_members_learn_what_they_learn_in_xla(in_native_code, traced, monkeypatch):
    monkeypatch.setattr(native, "ready", lambda library: False)
    traced.clear()
    plain = run()
    assert not traced
    agree(in_native_code, plain)
    start = weights(run((0.0,), (0,)), 0)
    assert max(np.abs(a - b).max() for a, b in zip(weights(plain, 0), start, strict=True)) > 0.01  # it learns


def test_a_member_alone_is_the_member_among_others(in_native_code):
    alone = run((0.2,), (2,))
    for mine, other in zip(weights(alone, 0), weights(in_native_code, 2), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_members_that_advance_together(in_native_code):
    agree(run(lane_width=4), in_native_code)


def test_devices_that_share_each_batch_convolve_their_own_rows(in_native_code, traced):
    assert len(jax.devices()) > 1
    traced.clear()
    agree(run(shard="batch"), in_native_code)
    assert traced
