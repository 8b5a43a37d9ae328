"""A user's own loss and own modules, trained through a study."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fathom as fm
from fathom.errors import RunError
from fathom.models import MLP, FromModule

RECIPE = fm.Recipe(learning_rate=0.03, epochs=5)


class BatchFirst(eqx.Module):
    """Two layers on a whole batch at once."""

    first: jax.Array
    second: jax.Array

    def __init__(self, task, key):
        one, two = jax.random.split(key)
        self.first = jax.random.normal(one, (task.size, 16)) / 2
        self.second = jax.random.normal(two, (16, task.outputs)) / 4

    def __call__(self, x):
        return jax.nn.tanh(x @ self.first) @ self.second


class Normalized(eqx.Module):
    """A per-example network with a BatchNorm between its layers."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    second: eqx.nn.Linear

    def __init__(self, task, key):
        one, two = jax.random.split(key)
        self.first = eqx.nn.Linear(task.size, 16, key=one)
        self.norm = eqx.nn.BatchNorm(16, axis_name="batch", mode="batch")
        self.second = eqx.nn.Linear(16, task.outputs, key=two)

    def __call__(self, x, state):
        hidden, state = self.norm(self.first(x), state)
        return self.second(jax.nn.relu(hidden)), state


def per_example(task, key):
    return eqx.nn.MLP(task.size, task.outputs, 16, 1, key=key)


def normalized(task, key):
    return eqx.nn.make_with_state(Normalized)(task, key)


@pytest.mark.parametrize(
    "architecture",
    [
        FromModule(per_example, name="per-example"),
        FromModule(BatchFirst, batched=True, name="batch-first"),
        FromModule(normalized, name="batch-norm"),
    ],
    ids=lambda architecture: architecture.name,
)
def test_a_module_of_ones_own_trains_is_kept_and_is_read_again(architecture, tmp_path):
    study = fm.Study("iris", architecture, RECIPE, folds=2)
    result = study.run(tmp_path / "run", baselines=False)
    assert result.summary()["validation"]["score"] > 0.75
    assert result.summary()["chosen"]["settings"]["model"] == architecture.name
    x = study.dataset.table.numeric[study.split.test]
    loaded = fm.load_model(tmp_path / "run", architecture)
    np.testing.assert_array_equal(loaded.predict_proba(x), result.ensemble.predict_proba(x))
    with pytest.raises(
        RunError, match=r"the model needs its own code: .*load_model\(..., architecture=...\)"
    ):
        fm.load_model(tmp_path / "run")


def test_a_loss_of_ones_own_that_is_a_known_one_gives_the_same_training():
    def ours(outputs, targets):
        chances = jax.nn.log_softmax(outputs)
        return -jnp.take_along_axis(chances, targets[:, None], axis=1)[:, 0]

    named = fm.Study("iris", MLP(width=8, depth=1), RECIPE, folds=2).run(baselines=False)
    own = fm.Study("iris", MLP(width=8, depth=1), RECIPE, folds=2, loss=ours).run(baselines=False)
    for mine, theirs in zip(own.ensemble.parts, named.ensemble.parts, strict=True):
        for a, b in zip(jax.tree.leaves(mine.kept), jax.tree.leaves(theirs.kept), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_a_loss_of_ones_own_is_what_training_lowers():
    """The quantile loss at 0.9 puts about nine in ten training targets below the prediction."""

    def quantile(outputs, targets):
        above = targets - outputs[:, 0]
        return jnp.maximum(0.9 * above, -0.1 * above)

    study = fm.Study(
        "diabetes", MLP(width=8, depth=1), fm.Recipe(learning_rate=0.03, epochs=20), folds=1, loss=quantile
    )
    result = study.run(baselines=False)
    rows = study.split.train[0]
    share = np.mean(study.dataset.target[rows] < result.best.predict(study.dataset.table.numeric[rows]))
    assert 0.8 < share < 0.97
