"""A call's steps of a rectified perceptron as one call of native code, where that is faster than a step at a time.

What it computes is what `learner` computes, step for step, within the rounding of float32 (a sum's order differs):
rows gathered, noise added, forward with dropout, cross-entropy or squared error with weights and smoothing, backward,
clipping by the global norm, AdamW.
"""

import functools
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from ..models import MLP
from ..optim import learning_rate_at

if TYPE_CHECKING:
    from .learner import LearnerSpec, Network

_TARGETS = {"cross_entropy": "fathom_train_classes", "squared": "fathom_train_numbers"}
_ACTIVE = frozenset({"label_smoothing", "dropout", "input_noise"})
_CLIPS = ("global_norm", "none")


def misfit(spec: "LearnerSpec") -> str:
    """What of a spec's members native code does not know; "" if it knows all that they do."""
    model = spec.architecture
    if type(model) is not MLP:
        return f"model={type(model).__name__!r}"
    known = {
        "activation": model.activation == "relu" or model.depth == 0,
        "optimizer": spec.optimizer == "adamw",
        "clip_by": spec.clip_by in _CLIPS,
        "schedule": spec.schedule != "plateau",
        "precision": spec.precision == "float32",
        "loss": spec.loss is None and spec.task.loss in _TARGETS,
    }
    own = "of your own" if spec.loss is not None else spec.task.loss
    values = {**vars(spec), "activation": model.activation, "loss": own}
    strange = [f"{name}={values[name]!r}" for name, good in known.items() if not good]
    strange += [*sorted(spec.active - _ACTIVE), *(["blank inputs"] if spec.blanks else [])]
    return ", ".join(strange)


def steps_of(spec: "LearnerSpec", network: "Network") -> Any:
    """The steps of a spec's members as `Functions.steps`; None where native code does not fit."""
    return None if misfit(spec) else functools.partial(_steps, spec, network)


def _steps(
    spec: "LearnerSpec",
    network: "Network",
    member: Any,
    examples: Any,
    fold: Any,
    rows: Any,
    count: Any,
    settings: Any,
) -> tuple[Any, Any]:
    """The member after `count` steps on the rows [steps, batch], and the loss of each step [steps]."""
    adam, put_back = _adam_state(member["opt"])
    numbers = member["step"] + jnp.arange(rows.shape[0], dtype=jnp.int32)
    rates = jax.vmap(lambda n: learning_rate_at(spec.schedule, settings, n, settings["total_steps"]))(numbers)
    decay = rates if spec.decay == "scheduled" else jnp.full_like(rates, settings["learning_rate"])
    done = (adam.count + 1 + jnp.arange(rows.shape[0], dtype=jnp.int32)).astype(jnp.float32)
    plan = (
        rates,
        decay * settings["weight_decay"],
        1 - settings["momentum"] ** done,
        1 - settings["beta2"] ** done,
    )
    clip = settings["clip"] if spec.clip_by == "global_norm" else jnp.float32(jnp.inf)
    drawn = [settings[name] if name in spec.active else 0.0 for name in ("dropout", "input_noise")]
    fixed = [settings["momentum"], settings["beta2"], clip, settings["label_smoothing"], *drawn]
    trees = [network.packing.unpack(tree) for tree in (member["params"], adam.mu, adam.nu)]
    leaves = [_layers(tree) for tree in trees]
    size = len(leaves[0])
    keys = jax.vmap(functools.partial(_keys, member["key"], size // 2 - 1))(numbers)
    x = examples["x"]
    inputs = (
        x.reshape(*x.shape[:2], -1),
        examples["y"],
        examples.get("loss_weight", examples["weight"]),
        examples["weight"],
        fold,
        rows,
        count,
        jnp.stack(plan, -1),
        jnp.stack([jnp.asarray(n, jnp.float32) for n in fixed]),
        keys,
    )
    arrays = [leaf for each in leaves for leaf in each]
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays]
    call = jax.ffi.ffi_call(
        _TARGETS[spec.task.loss],
        [*shapes, jax.ShapeDtypeStruct((rows.shape[0],), jnp.float32)],
        vmap_method="expand_dims",
    )
    *made, losses = call(*inputs, *arrays)
    params, first, second = (
        network.packing.pack(eqx.tree_at(_layers, tree, made[i * size : (i + 1) * size]))
        for i, tree in enumerate(trees)
    )
    opt = put_back(adam._replace(count=adam.count + count, mu=first, nu=second))
    return {**member, "params": params, "opt": opt, "step": member["step"] + count}, losses


def _keys(key: Any, hidden: int, number: Any) -> Any:
    """What a step's noise and dropout draw from, uint32 [1 + hidden, 2]: the keys that `learner` makes."""
    noise_key, model_key = jax.random.split(jax.random.fold_in(key, number))
    keys = jnp.concatenate([noise_key[None], jax.random.split(model_key, max(hidden, 1))[:hidden]])
    return jax.random.key_data(keys)


def _layers(tree: Any) -> list[Any]:
    """W_0, b_0, W_1, b_1, ... of a perceptron's parameters."""
    return [leaf for layer in tree.layers for leaf in (layer.weight, layer.bias)]


def _adam_state(opt: Any) -> tuple[Any, Any]:
    """Adam's state within the rule's, and what puts another in its place."""
    leaves, tree = jax.tree.flatten(opt, is_leaf=lambda s: isinstance(s, optax.ScaleByAdamState))
    place = next(i for i, leaf in enumerate(leaves) if isinstance(leaf, optax.ScaleByAdamState))

    def put_back(adam: Any) -> Any:
        return jax.tree.unflatten(tree, [*leaves[:place], adam, *leaves[place + 1 :]])

    return leaves[place], put_back
