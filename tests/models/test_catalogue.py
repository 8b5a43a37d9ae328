"""The conformance suite of the catalogue of architectures: every record, edge sizes included."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from fathom import models, nn
from fathom.errors import UsageError
from fathom.task import Task

TASKS = {
    "two": Task.classification(3, 2),
    "one feature": Task.classification(1, 4),
    "image": Task.classification((4, 3, 2), 2),
    "regression": Task.regression(2),
    "heads": Task.regression(2, 4, loss="gaussian_nll"),
}
every_record = pytest.mark.parametrize("record", list(models.MODELS), ids=lambda r: r.name)


@every_record
def test_written_and_read_back(record):
    architecture = record.factory()
    written = json.loads(json.dumps(architecture.to_dict()))
    assert written["name"] == record.name == architecture.name
    assert models.from_dict(written) == architecture
    assert models.from_dict({"name": record.name}) == architecture
    assert hash(architecture) == hash(models.from_dict(written))


@every_record
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_built_under_jit_gives_batch_by_outputs(record, task):
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        model = eqx.filter_jit(record.factory().build)(task, jax.random.key(0))
    for batch in (1, 5):
        _check_call(record, task, model, batch)


def _check_call(record, task, model, batch):
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        x = jax.random.normal(jax.random.key(1), (batch, *task.shape))
        y, state = model(x, key=jax.random.key(2), state=None, inference=False)
        assert y.shape == (batch, task.outputs) and y.dtype == jnp.float32 and state is None
        assert jnp.isfinite(y).all()
        flat, _ = model(x.reshape(batch, -1), inference=True)
    assert jnp.allclose(flat, y, atol=1e-6) or record.keeps_shape


@every_record
def test_built_as_a_population_each_from_its_own_key(record):
    """A network is a pytree: vmap of build over keys gives one more axis on every array."""
    task, keys = TASKS["two"], jax.random.split(jax.random.key(3), 4)
    one = record.factory().build(task, keys[2])
    many = eqx.filter_vmap(lambda key: record.factory().build(task, key))(keys)
    for member, alone in zip(
        jax.tree.leaves(eqx.filter(many, eqx.is_array)), jax.tree.leaves(one), strict=False
    ):
        if eqx.is_array(alone):
            assert member.shape == (4, *alone.shape)
            assert jnp.allclose(member[2], alone, atol=1e-6)


@every_record
def test_capabilities_are_what_the_record_says(record):
    model = record.factory().build(TASKS["two"], jax.random.key(0))
    model = jax.tree.map(lambda leaf: leaf + 0.1 if eqx.is_array(leaf) else leaf, model)
    noisy, x = nn.set_dropout(model, 0.9), jnp.ones((8, 3))
    differs = not jnp.array_equal(noisy(x, key=jax.random.key(1))[0], model(x)[0])
    assert differs == record.has_dropout
    assert record.summary and record.reference


@every_record
def test_unknown_setting_is_refused(record):
    with pytest.raises(UsageError, match="model setting='widht' is not known"):
        models.from_dict({"name": record.name, "widht": 3})


def test_unknown_or_missing_name_is_refused():
    with pytest.raises(UsageError, match=r"model='mpl' is not known.*did you mean 'mlp'"):
        models.from_dict({"name": "mpl"})
    with pytest.raises(UsageError, match="is missing from the model; use one of: "):
        models.from_dict({"width": 3})
