"""The recipe: how a network is trained, as one frozen record, and the update rule it stands for."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import optax
from jaxtyping import PyTree

from ..errors import UsageError, one_of
from ..nn.product import PRECISIONS
from ..settings import as_sweep, as_written, declarations, dynamic, static
from ..settings import check as check_fields
from .clips import CLIPS
from .decay import Scalar
from .rules import RULES
from .schedules import SCHEDULES

DECAYS = ("scheduled", "constant")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained; the default is the standard recipe.

    AdamW, gradients clipped to length 1, 5 % warm-up, half a cosine down to a tenth. Any field takes several
    values (a list, `log_grid`, `linear_grid`), which is a sweep. Static fields change the compiled program;
    dynamic ones are only numbers in it.

    Attributes:
        optimizer: a name in `RULES`.
        schedule: a name in `SCHEDULES`.
        clip_by: a name in `CLIPS`.
        decay: "scheduled": the weight decay shrinks with the schedule; "constant": it does not.
        batch_size: examples a step.
        epochs: passes through the training rows.
        loss: a name in the catalogue of losses; empty for the task's own.
        precision: what the products of training are computed in, "float32" or "bfloat16" (`nn.products_in`); weights
            and all else are float32 in both, and so are networks that are judged or used.
        learning_rate: the peak rate.
        weight_decay: the share of a weight that a step at learning rate 1 takes away.
        momentum: how much of the averaged gradient is kept from step to step (Adam's beta1).
        beta2: the same for the averaged square.
        warmup: the share of all steps during which the rate rises from zero.
        floor: the share of the peak rate at the end.
        clip: the clipping threshold; inf is off.
        dropout: the probability that a unit is left out.
        input_noise: standard deviation of the noise added to encoded inputs.
        label_smoothing: the share of a label that is spread over all classes.
        l1: weight of the sum of absolute weights in the loss.
        l2: weight of half the sum of squared weights in the loss.
        init_scale: what the initial weights are multiplied by.
        patience: epochs without a better validation value before a member stops; inf is off.

    Raises:
        UsageError: if a value, or a combination, is not allowed.

    Example:
        >>> from fathom.settings import expand, log_grid
        >>> recipe = Recipe(learning_rate=log_grid(1e-4, 1e-2, 3), optimizer=["adamw", "lion"])
        >>> [(point.optimizer, point.learning_rate) for point in expand(recipe)][:2]
        [('adamw', 0.0001), ('adamw', 0.001)]

    References:
        Loshchilov and Hutter 2017, 2019; Pascanu et al. 2013; Goyal et al. 2017.
    """

    optimizer: Any = static("adamw", help="learning rule")
    schedule: Any = static("cosine", help="learning-rate schedule")
    clip_by: Any = static("global_norm", help="what the clipping bounds")
    decay: Any = static("scheduled", choices=DECAYS, help="whether weight decay follows the schedule")
    batch_size: Any = static(32, low=1, help="examples a step")
    epochs: Any = static(20, low=1, help="passes through the training rows")
    loss: Any = static("", help="loss, empty for the task's own")
    precision: Any = static("float32", choices=PRECISIONS, help="what training multiplies in")
    learning_rate: Any = dynamic(1e-3, 0.0, 1e6, help="peak learning rate")
    weight_decay: Any = dynamic(1e-2, 0.0, 1e6, help="weight decay")
    momentum: Any = dynamic(0.9, 0.0, 1 - 1e-7, help="momentum, or beta1")
    beta2: Any = dynamic(0.999, 0.0, 1 - 1e-7, help="averaging of squared gradients")
    warmup: Any = dynamic(0.05, 0.0, 1.0, help="share of the steps that is warm-up")
    floor: Any = dynamic(0.1, 0.0, 1.0, help="share of the peak rate at the end")
    clip: Any = dynamic(1.0, 0.0, math.inf, neutral=math.inf, help="clipping threshold, inf is off")
    dropout: Any = dynamic(0.0, 0.0, 0.999, neutral=0.0, help="probability of leaving a unit out")
    input_noise: Any = dynamic(0.0, 0.0, 1e6, neutral=0.0, help="standard deviation of input noise")
    label_smoothing: Any = dynamic(0.0, 0.0, 1.0, neutral=0.0, help="share of a label spread over all")
    l1: Any = dynamic(0.0, 0.0, 1e6, neutral=0.0, help="weight of the L1 penalty")
    l2: Any = dynamic(0.0, 0.0, 1e6, neutral=0.0, help="weight of the L2 penalty")
    init_scale: Any = dynamic(1.0, 0.0, 1e6, help="multiplier of the initial weights")
    patience: Any = dynamic(
        math.inf, 0.0, math.inf, neutral=math.inf, help="epochs without improvement, inf is off"
    )

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Check every value, and the combinations that cannot work.

        Raises:
            UsageError: naming the field, the value and what to give instead.
        """
        check_fields(self)
        for name in ("batch_size", "epochs"):
            for value in _values(getattr(self, name)):
                if not isinstance(value, int):
                    raise UsageError(f"{name}={value!r} is not a whole number; give 1, 2, 3, ...")
        for value in _values(self.loss):
            if not isinstance(value, str):
                raise UsageError(
                    f"loss={value!r} is not a name; give a loss by name, or '' for the task's own"
                )
        for name in _values(self.clip_by):
            CLIPS[name]
        for name in _values(self.schedule):
            if SCHEDULES[name].floor_above_zero and 0 in _values(self.floor):
                raise UsageError(f"floor=0: the schedule {name!r} never gets there; give a floor above 0")
        for name in _values(self.optimizer):
            self._check_rule(name)

    def _check_rule(self, name: str) -> None:
        rule = RULES[name]
        if rule.evaluation_params is not None and 0 in _values(self.momentum):
            raise UsageError(f"momentum=0: the optimizer {name!r} divides by it; give a momentum above 0")
        if rule.decay != "decoupled" and "constant" in _values(self.decay):
            raise UsageError(
                f"decay='constant': the weight decay of the optimizer {name!r} is part of its step; "
                "give decay='scheduled', or an optimizer with decoupled decay such as 'adamw'"
            )

    def to_dict(self) -> dict[str, Any]:
        """The recipe as a settings file writes it."""
        return {name: as_written(getattr(self, name)) for name in declarations(self)}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> "Recipe":
        """The recipe that a settings file writes.

        Args:
            written: fields by name; those left out have their default.

        Returns:
            The recipe.

        Raises:
            UsageError: if a name is not a field, or a value not allowed.

        Example:
            >>> Recipe.from_dict({"epochs": 5}) == Recipe(epochs=5)
            True
        """
        allowed = declarations(cls)
        for name in written:
            if name not in allowed:
                raise one_of("recipe field", name, allowed)
        return cls(**written)


def _values(value: Any) -> tuple[Any, ...]:
    """Every value of a field, swept or not."""
    sweep = as_sweep(value)
    return (value,) if sweep is None else sweep.values


def update_rule(
    optimizer: str,
    clip_by: str,
    settings: Mapping[str, Scalar],
    mask: PyTree = None,
    *,
    decay: str = "scheduled",
) -> optax.GradientTransformationExtraArgs:
    r"""The update of a recipe: clip, then the learning rule, then decoupled weight decay.

    For a rule with decoupled decay the update is
    :math:`-\lambda_t d_t - \rho_t \omega\, m \odot \theta`, with :math:`d_t` the rule's direction for the
    clipped gradient, :math:`\omega` the weight decay, and :math:`\rho_t = \lambda_t` ("scheduled") or the
    peak rate ("constant"). Cheap to build: build it anew in every traced step. What it remembers does not
    depend in structure or type on any number.

    Args:
        optimizer: a name in `RULES`.
        clip_by: a name in `CLIPS`.
        settings: ``learning_rate`` (the peak), ``weight_decay``, ``clip``, and the numbers that the rule
            `uses` (``momentum``, ``beta2``); numbers or traced scalars. Others are ignored.
        mask: multipliers of the weight decay, like the parameters (`matrix_mask`); None decays all alike.
        decay: "scheduled" or "constant".

    Returns:
        A transformation whose ``update(grads, state, params, *, learning_rate=None, **extras)`` takes the
        learning rate of the step (`learning_rate_at`), the peak rate if not given. Its state is the state
        of the rule, which `Rule.evaluation_params` reads.

    Raises:
        UsageError: if a name is not in its catalogue.

    Example:
        >>> import jax.numpy as jnp
        >>> numbers = {"learning_rate": 0.1, "weight_decay": 0.5, "clip": 1.0}
        >>> rule = update_rule("sgd", "global_norm", numbers)
        >>> params = jnp.array([1.0, 0.0])
        >>> updates, _ = rule.update(jnp.array([3.0, 4.0]), rule.init(params), params, learning_rate=0.1)
        >>> updates.round(4).tolist() == jnp.float32([-0.11, -0.08]).tolist()
        True
    """
    record, clip = RULES[optimizer], CLIPS[clip_by]
    if decay not in DECAYS:
        raise one_of("decay", decay, DECAYS)
    numbers = {name: settings[name] for name in record.uses}

    def build(learning_rate: Scalar) -> optax.GradientTransformationExtraArgs:
        decay_rate = learning_rate if decay == "scheduled" else settings["learning_rate"]
        return record.build(
            learning_rate, weight_decay=settings["weight_decay"], decay_rate=decay_rate, mask=mask, **numbers
        )

    def init(params: PyTree) -> Any:
        return build(settings["learning_rate"]).init(params)

    def update(
        updates: Any, state: Any, params: Any = None, *, learning_rate: Any = None, **extras: Any
    ) -> Any:
        rate = settings["learning_rate"] if learning_rate is None else learning_rate
        return build(rate).update(clip.apply(updates, params, settings["clip"]), state, params, **extras)

    return optax.GradientTransformationExtraArgs(init, update)
