"""A network, a task and a recipe as the pure functions of one member."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import native
from ..catalogue import Catalogue
from ..errors import UsageError
from ..models import Architecture
from ..nn import Conv2d, products_in, set_dropout
from ..objectives import METRICS, loss_of
from ..optim import (
    CLIPS,
    RULES,
    learning_rate_at,
    matrix_mask,
    outputs_in_parts,
    plateau_init,
    plateau_update,
    trust_region_radius,
    update_rule,
)
from ..task import Task
from .functions import Functions, abstract_key, is_array_or_shape
from .fused import steps_of
from .liveness import live_bytes
from .packing import LIMITS, Packing

OPTIONAL = ("dropout", "input_noise", "label_smoothing", "l1", "l2")  # left out of a program where neutral
_PLAIN = (str, int, float, bool, tuple, type(None))  # settings whose words say all of them
_ROWS = (4, 4096)  # rows that a forward pass without gradients takes at once: at least, at most
_HELD = 2**21  # bytes that it holds on a CPU, whose caches are that large


@dataclasses.dataclass(frozen=True)
class LearnerSpec:
    """All that is static about a member: two members with equal specs share a compiled program.

    Attributes:
        architecture: the network.
        task: what it predicts.
        optimizer: name in `RULES`.
        schedule: name in `SCHEDULES`.
        clip_by: name in `CLIPS`.
        decay: "scheduled" or "constant".
        loss: ``loss(outputs, targets) -> [batch]`` in place of the task's; None for the task's.
        active: which of `OPTIONAL` some member has off its neutral value; the work for the others is left
            out of the program.
        precision: what training multiplies in, a name in `PRECISIONS`.
        blanks: whether some inputs may be blank (always 0); the settings "filled" and "filled_others" then say how
            many of the task's continuous inputs, and of the others, are not.
        packed: how small arrays become one vector, as `Packing.of` takes it.
    """

    architecture: Architecture
    task: Task
    optimizer: str = "adamw"
    schedule: str = "cosine"
    clip_by: str = "global_norm"
    decay: str = "scheduled"
    loss: Callable[..., Any] | None = None
    active: frozenset[str] = frozenset()
    precision: str = "float32"
    blanks: bool = False
    packed: tuple[int, int] = LIMITS


class Network:
    """A spec's network, taken apart into what learns, what only is carried, and what is fixed.

    Args:
        spec: the spec.
    """

    def __init__(self, spec: LearnerSpec):
        self._spec = spec
        initialize = spec.architecture.initialize
        module, self.state = eqx.filter_eval_shape(initialize, spec.task, abstract_key())
        self._abstract = module
        self._params = eqx.filter(module, _learns)
        self._fixed = eqx.filter(module, is_array_or_shape, inverse=True)
        packs = RULES[spec.optimizer].elementwise and CLIPS[spec.clip_by].packs
        self.packing = Packing.of(self._params, packs, spec.packed)
        self.mask = self.packing.pack(matrix_mask(self._params))

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(leaf.size for leaf in jax.tree.leaves(self._params))

    def initialize(self, key: Any, scale: Any, real: Any = None) -> tuple[dict[str, Any], Any, Any]:
        """First parameters (packed; matrices times `scale`), carried arrays, and the module's state.

        `real` says which inputs are not blank; all of them if None.
        """
        module, state = self._spec.architecture.initialize(self._spec.task, key)
        if real is not None:
            module = self._spec.architecture.without_blanks(module, real)
        params = jax.tree.map(
            lambda w: w * scale if w.ndim >= 2 else w, eqx.filter(module, eqx.is_inexact_array)
        )
        carried = eqx.filter(eqx.filter(module, eqx.is_inexact_array, inverse=True), eqx.is_array)
        return self.packing.pack(params), carried, state

    def module(self, params: dict[str, Any], carried: Any) -> Any:
        """The module with these parameters."""
        return eqx.combine(self.packing.unpack(params), carried, self._fixed)

    @functools.cached_property
    def rows_at_once(self) -> int:
        """The most rows that a forward pass takes: a power of two whose arrays stay in a CPU's caches.

        With more, every array goes to memory and back. Microseconds of one core for a row, 4,096 rows at once and as
        many as here: the network for tables on 50 columns 17.6 and 9.6, a perceptron of 1,024 units 29 and 23. Of 192
        sequences, a transformer of 128 features and places: 2,990 and 1,330. Of 384 images, a small convolutional
        network: 137 and 66.
        """
        least, most = _ROWS
        if jax.default_backend() != "cpu":
            return most
        rows = _HELD * most // max(1, live_bytes(self._traced(most).jaxpr))
        return min(most, max(least, 1 << max(0, rows.bit_length() - 1)))

    def _traced(self, rows: int) -> Any:
        """What a forward pass over so many rows computes."""
        x = jax.ShapeDtypeStruct((rows, *self._spec.task.shape), np.float32)
        return eqx.filter_make_jaxpr(_infer)(self._abstract, self.state, x)[0]

    @functools.cached_property
    def convolves_directly(self) -> bool:
        """Whether native code computes convolutions of its training."""
        layers = jax.tree.leaves(self._abstract, is_leaf=lambda node: isinstance(node, Conv2d))
        suited = any(isinstance(layer, Conv2d) and layer.suits_native_code for layer in layers)
        return suited and self._spec.precision == "float32" and native.ready(native.CONVOLUTION)

    def check_precision(self) -> None:
        """Refuse a precision that nothing in the network would follow.

        Raises:
            UsageError: if it has no product in that precision.
        """
        name = self._spec.precision
        if name == "float32":
            return
        with products_in(name):
            told = str(self._traced(2))
        if "bf16[" not in told:
            raise UsageError(
                f"precision={name!r} would change nothing: none of the network's products is Fathom's; build it of "
                "layers of fathom.nn, or multiply by fathom.nn.product"
            )

    def forward(self, params: dict[str, Any], carried: Any, state: Any, x: Any) -> Any:
        """Outputs [rows, outputs] for x [rows, ...] without dropout or noise, some rows at a time."""
        run = functools.partial(_infer, self.module(params, carried), state)
        return run(x) if x.shape[0] <= _ROWS[0] else outputs_in_parts(run, x, self.rows_at_once)


@functools.lru_cache(maxsize=64)
def network_for(spec: LearnerSpec) -> Network:
    """The network of a spec, built once."""
    return Network(spec)


@functools.lru_cache(maxsize=64)
def functions_for(spec: LearnerSpec) -> Functions:
    """The pure functions of a member, the same objects for equal specs, so that programs are shared.

    The settings that they read are the recipe's dynamic ones, "total_steps", and "target_scale" (what one
    unit of the network's output is in units of the target).
    """
    network = network_for(spec)
    network.check_precision()
    plateau = spec.schedule == "plateau"
    return Functions(
        init=functools.partial(_init, spec, network),
        step=functools.partial(_step, spec, network),
        evaluate=functools.partial(_evaluate, spec, network),
        keep=_keep,
        after_epoch=_listen if plateau else None,
        restart=functools.partial(_restart, spec, network),
        measure=functools.partial(_measure, spec, network),
        steps=steps_of(spec, network),
        score=spec.task.metric,
        greater_is_better=METRICS[spec.task.metric].greater_is_better,
        watch="loss"
        if METRICS[spec.task.metric].greater_is_better and spec.task.kind == "classification"
        else "",
        described=_described(spec),
    )


def _described(spec: LearnerSpec) -> str:
    """A spec in words; "" if code that is not Fathom's has a part in it."""
    architecture = spec.architecture
    own = type(architecture).__module__.startswith("fathom.") and spec.loss is None and not Catalogue.others
    plain = all(isinstance(value, _PLAIN) for value in vars(architecture).values())
    if not (own and plain):
        return ""
    return f"{dataclasses.replace(spec, active=frozenset())} {sorted(spec.active)}"


def per_example_loss(spec: LearnerSpec) -> Callable[..., Any]:
    """The spec's loss as ``loss(outputs, targets, label_smoothing) -> [batch]``."""
    loss = spec.loss
    if loss is not None:
        return lambda outputs, targets, smoothing: loss(outputs, targets)
    record = loss_of(spec.task)
    if "label_smoothing" in record.settings and "label_smoothing" in spec.active:
        return lambda outputs, targets, smoothing: record.fn(outputs, targets, label_smoothing=smoothing)
    return lambda outputs, targets, smoothing: record.fn(outputs, targets)


def answers(spec: LearnerSpec, outputs: Any) -> Any:
    """What a network's outputs say: logits [rows, classes], or predictions [rows, 1]."""
    return outputs if spec.loss is not None else loss_of(spec.task).predict(outputs)


def _infer(module: Any, state: Any, x: Any) -> Any:
    return module(x, key=None, state=state, inference=True)[0]


def _learns(leaf: Any) -> bool:
    return is_array_or_shape(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _rule(spec: LearnerSpec, network: Network, settings: Any) -> Any:
    return update_rule(spec.optimizer, spec.clip_by, settings, network.mask, decay=spec.decay)


def _init(spec: LearnerSpec, network: Network, key: Any, settings: Any) -> dict[str, Any]:
    weights_key, steps_key = jax.random.split(key)
    params, carried, state = network.initialize(
        weights_key, settings["init_scale"], _real_inputs(spec, settings)
    )
    member = {
        "params": params,
        "carried": carried,
        "net": state,
        "opt": _rule(spec, network, settings).init(params),
        "key": steps_key,
        "step": jnp.int32(0),
        "evaluated": params if RULES[spec.optimizer].evaluation_params else None,
        "scale": settings["target_scale"],
    }
    return {**member, "plateau": plateau_init()} if spec.schedule == "plateau" else member


def _real_inputs(spec: LearnerSpec, settings: Any) -> Any:
    """Which inputs are not blank, bool [features]; None where all are."""
    if not spec.blanks:
        return None
    continuous = spec.task.size if spec.task.continuous is None else spec.task.continuous
    place = jnp.arange(spec.task.size, dtype=jnp.float32)
    return jnp.where(
        place < continuous, place < settings["filled"], place - continuous < settings["filled_others"]
    )


def _restart(spec: LearnerSpec, network: Network, member: Any, kept: Any, settings: Any) -> dict[str, Any]:
    """A new member with the weights of a trained one, the rule's state made anew from them."""
    params = kept["params"]
    evaluated = None if member["evaluated"] is None else params
    return {**member, **kept, "opt": _rule(spec, network, settings).init(params), "evaluated": evaluated}


def _keep(member: dict[str, Any]) -> dict[str, Any]:
    params = member["params"] if member["evaluated"] is None else member["evaluated"]
    return {"params": params, "carried": member["carried"], "net": member["net"]}


def _objective(
    spec: LearnerSpec, network: Network, params: Any, member: Any, batch: Any, key: Any, settings: Any
):
    """The mean weighted loss of a batch with its penalties; the module's new state beside it."""
    module = network.module(params, member["carried"])
    module = set_dropout(module, settings["dropout"] if "dropout" in spec.active else 0.0)
    noise_key, model_key = jax.random.split(key)
    x = batch["x"]
    if "input_noise" in spec.active:
        noise = settings["input_noise"] * jax.random.normal(noise_key, x.shape, x.dtype)
        real = _real_inputs(spec, settings)
        x = x + (noise if real is None else jnp.where(real[None], noise, jnp.zeros((), x.dtype)))
    outputs, state = module(x, key=model_key, state=member["net"], inference=False)
    losses = per_example_loss(spec)(outputs, batch["y"], settings["label_smoothing"])
    # Divided by the rows and not by their weight: a batch without heavy rows must not count as much as another.
    rows = jnp.maximum((batch["weight"] > 0).sum().astype(losses.dtype), 1)
    loss = (losses * _loss_weight(batch)).sum() / rows
    matrices = [w for w in jax.tree.leaves(network.packing.unpack(params)) if w.ndim >= 2]
    if "l1" in spec.active:
        # The slope of |w| at 0 is 1 in JAX; that of w sign(w) is 0, so that a weight without use stays 0.
        loss += settings["l1"] * sum((w * jnp.sign(w)).sum() for w in matrices)
    if "l2" in spec.active:
        loss += settings["l2"] / 2 * sum(jnp.square(w).sum() for w in matrices)
    return loss, state


def _loss_weight(rows: Any) -> Any:
    """What each row's loss counts: with class weights, more or less than its row in a metric."""
    return rows.get("loss_weight", rows["weight"])


def _weighted_mean(values: Any, weight: Any) -> Any:
    return (values * weight).sum() / jnp.maximum(weight.sum(), 1e-12)


def _update(spec: LearnerSpec, network: Network, member: Any, batch: Any, settings: Any):
    """The loss of a batch, its gradients, the update, the rule's and the module's new states."""
    number = member["step"]
    key = jax.random.fold_in(member["key"], number)
    objective = functools.partial(_objective, spec, network)
    with products_in(spec.precision):
        (loss, state), grads = jax.value_and_grad(objective, has_aux=True)(
            member["params"], member, batch, key, settings
        )
    rate = learning_rate_at(spec.schedule, settings, number, settings["total_steps"])
    if spec.schedule == "plateau":
        rate = rate * member["plateau"].multiplier
    rule = _rule(spec, network, settings)
    updates, opt = rule.update(grads, member["opt"], member["params"], learning_rate=rate)
    return loss, grads, updates, opt, state, rate


def _step(spec: LearnerSpec, network: Network, member: Any, batch: Any, settings: Any):
    loss, _, updates, opt, state, _ = _update(spec, network, member, batch, settings)
    params = jax.tree.map(lambda p, u: p + u, member["params"], updates)
    averaged = RULES[spec.optimizer].evaluation_params
    new = {**member, "params": params, "opt": opt, "net": state, "step": member["step"] + 1}
    if averaged is not None:
        new["evaluated"] = averaged(opt, params, settings)
    return new, {"loss": loss}


def _measure(spec: LearnerSpec, network: Network, member: Any, batch: Any, settings: Any) -> dict[str, Any]:
    """Length of the gradient, of the weights, and of the step: the radius of its trust region."""
    _, grads, updates, _, _, rate = _update(spec, network, member, batch, settings)
    return {
        "gradient_norm": optax.tree.norm(grads),
        "weight_norm": optax.tree.norm(member["params"]),
        "trust_region_radius": trust_region_radius(updates),
        "learning_rate": rate,
    }


def _evaluate(spec: LearnerSpec, network: Network, member: Any, split: Any) -> dict[str, Any]:
    kept = _keep(member)
    outputs = network.forward(kept["params"], kept["carried"], kept["net"], split["x"])
    losses = per_example_loss(dataclasses.replace(spec, active=spec.active - {"label_smoothing"}))(
        outputs, split["y"], 0.0
    )
    weight = split["weight"]
    outputs = answers(spec, outputs)
    if spec.task.kind == "regression":
        outputs, targets = outputs * member["scale"], split["y"] * member["scale"]
    else:
        targets = split["y"]
    metric = METRICS[spec.task.metric].fn(outputs, targets, weight)
    return {"loss": _weighted_mean(losses, _loss_weight(split)), spec.task.metric: metric}


def _listen(member: Any, metrics: Any, settings: Any) -> Any:
    return {**member, "plateau": plateau_update(member["plateau"], metrics["loss"])}
