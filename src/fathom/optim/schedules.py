"""Schedules: what share of the peak learning rate applies at each moment of training.

A schedule is a function of progress (the share of all steps that is done), so that one program serves any
number of epochs and each member of a population has its own peak rate, warm-up and floor. Each starts at 1
after the warm-up; all but the constant ones end at the floor.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..catalogue import Catalogue
from .decay import Scalar

Body = Callable[[Array, Array], Array]
_TINY = 1e-12


@dataclass(frozen=True)
class Schedule:
    """A schedule.

    Attributes:
        name: the word a user types.
        body: ``body(u, floor)``, the multiplier at the share u in [0, 1] of the time after the warm-up.
        summary: one line for the user.
        reference: where it comes from.
        floor_above_zero: whether it is undefined for a floor of zero.
        needs: what the engine must supply beyond progress ("validation_value": see `plateau_update`).
    """

    name: str
    body: Body
    summary: str
    reference: str
    floor_above_zero: bool = False
    needs: tuple[str, ...] = ()

    def __call__(self, progress: Scalar, *, warmup: Scalar = 0.0, floor: Scalar = 0.0) -> Float[Array, ""]:
        """The multiplier at a moment, all arguments possibly traced.

        The warm-up is a ramp from zero, ``min(1, progress / warmup)``, in front of the schedule, which then
        has the rest of the time for itself.

        Args:
            progress: steps done / steps in all, from 0 to 1.
            warmup: the share of the steps that is warm-up, from 0 to 1.
            floor: the multiplier at the end.

        Returns:
            The multiplier, from 0 to 1.

        Example:
            >>> [round(float(SCHEDULES["cosine"](p, warmup=0.2, floor=0.1)), 6) for p in (0.1, 0.2, 0.6, 1.0)]
            [0.5, 1.0, 0.55, 0.1]
        """
        progress, warmup, floor = (jnp.asarray(value, jnp.float32) for value in (progress, warmup, floor))
        ramp = jnp.where(progress < warmup, progress / jnp.maximum(warmup, _TINY), 1.0)
        rest = jnp.maximum(progress - warmup, 0.0) / jnp.maximum(1.0 - warmup, _TINY)
        return ramp * self.body(rest, floor)


def learning_rate_at(
    schedule: str,
    settings: Mapping[str, Scalar],
    step: int | Int[Array, ""],
    total_steps: Scalar | Int[Array, ""],
) -> Float[Array, ""]:
    """The learning rate of a step: the peak rate times the schedule.

    Args:
        schedule: a name in `SCHEDULES`.
        settings: ``learning_rate`` (the peak), ``warmup``, ``floor``; numbers or traced scalars.
        step: how many steps are done, from 0 to ``total_steps - 1``; may be traced.
        total_steps: how many there are in all; may be traced.

    Returns:
        The rate, a float32 scalar. With a warm-up, that of step 0 is zero.

    Raises:
        UsageError: if there is no such schedule.

    Example:
        >>> settings = {"learning_rate": 0.5, "warmup": 0.0, "floor": 0.0}
        >>> float(learning_rate_at("linear", settings, 50, 100))
        0.25
    """
    record = SCHEDULES[schedule]
    progress = jnp.asarray(step, jnp.float32) / jnp.asarray(total_steps, jnp.float32)
    return settings["learning_rate"] * record(progress, warmup=settings["warmup"], floor=settings["floor"])


def _constant(u: Array, floor: Array) -> Array:
    return jnp.ones_like(u)


def _inverse_time(u: Array, floor: Array) -> Array:
    # b / (b + u), with b such that u = 1 gives the floor; not stopped at u = 1, since what it does
    # for ever after is the point of it (see robbins_monro).
    b = floor / jnp.maximum(1.0 - floor, _TINY)
    return jnp.maximum(b, _TINY) / (jnp.maximum(b, _TINY) + u)


def _step(u: Array, floor: Array) -> Array:
    drops = jnp.where(u >= 0.5, 0.5, 0.0) + jnp.where(u >= 0.75, 0.5, 0.0)
    return floor**drops


def _linear(u: Array, floor: Array) -> Array:
    return floor + (1.0 - floor) * (1.0 - jnp.minimum(u, 1.0))


def _cosine(u: Array, floor: Array) -> Array:
    return floor + (1.0 - floor) * 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(u, 1.0)))


def _quarter_cosine(u: Array, floor: Array) -> Array:
    return floor + (1.0 - floor) * jnp.cos(0.5 * jnp.pi * jnp.minimum(u, 1.0))


def _one_cycle(u: Array, floor: Array) -> Array:
    start, top = 0.04, 0.3
    rise = start + (1.0 - start) * 0.5 * (1.0 - jnp.cos(jnp.pi * u / top))
    fall = _cosine((u - top) / (1.0 - top), floor)
    return jnp.where(u < top, rise, fall)


SCHEDULES: Catalogue[Schedule] = Catalogue("schedule")
SCHEDULES.add(Schedule("constant", _constant, "the peak rate throughout", "Robbins and Monro 1951"))
SCHEDULES.add(
    Schedule(
        "inverse_time", _inverse_time, "a / (b + t), at the floor at the end", "Robbins and Monro 1951", True
    )
)
SCHEDULES.add(
    Schedule(
        "step", _step, "sqrt(floor) from one half on, floor from three quarters on", "He et al. 2016", True
    )
)
SCHEDULES.add(Schedule("linear", _linear, "a straight line to the floor", "Defazio et al. 2023"))
SCHEDULES.add(Schedule("cosine", _cosine, "half a cosine to the floor", "Loshchilov and Hutter 2017"))
SCHEDULES.add(
    Schedule(
        "quarter_cosine", _quarter_cosine, "a quarter of a cosine to the floor", "Loshchilov and Hutter 2017"
    )
)
SCHEDULES.add(
    Schedule(
        "one_cycle",
        _one_cycle,
        "from 4 % up to the peak at 30 %, then half a cosine to the floor",
        "Smith 2018",
    )
)
SCHEDULES.add(
    Schedule(
        "plateau",
        _constant,
        "divide when the validation score stalls",
        "Bengio 2012",
        needs=("validation_value",),
    )
)


class PlateauState(NamedTuple):
    """What the plateau schedule remembers of one member.

    Attributes:
        best: the lowest value seen.
        stalled: how many values in a row were no better.
        multiplier: what the learning rate is multiplied by.
    """

    best: Float[Array, ""]
    stalled: Int[Array, ""]
    multiplier: Float[Array, ""]


def plateau_init() -> PlateauState:
    """The state before the first value."""
    return PlateauState(jnp.float32(math.inf), jnp.int32(0), jnp.float32(1.0))


def plateau_update(
    state: PlateauState,
    value: Scalar,
    *,
    patience: Scalar = 3,
    factor: Scalar = 0.1,
    floor: Scalar = 0.0,
    tolerance: Scalar = 1e-4,
) -> PlateauState:
    """Multiply the rate by `factor` once more than `patience` values in a row are no better than the best.

    Args:
        state: the state so far.
        value: the newest validation value, lower is better; may be traced. One that is not finite is no
            better.
        patience: how many values without improvement are borne.
        factor: what a stall multiplies the rate by.
        floor: the multiplier never falls below it.
        tolerance: a value counts as better if it is below best - tolerance * |best|.

    Returns:
        The state after it.

    Example:
        >>> state = plateau_init()
        >>> for value in (1.0, 1.0, 1.0):
        ...     state = plateau_update(state, value, patience=1)
        >>> round(float(state.multiplier), 6)
        0.1
    """
    value = jnp.asarray(value, jnp.float32)
    margin = jnp.where(jnp.isfinite(state.best), tolerance * jnp.abs(state.best), 0.0)
    better = value < state.best - margin
    stalled = jnp.where(better, 0, state.stalled + 1)
    drop = stalled > patience
    multiplier = jnp.where(drop, jnp.maximum(state.multiplier * factor, floor), state.multiplier)
    return PlateauState(
        jnp.where(better, value, state.best),
        jnp.where(drop, 0, stalled).astype(jnp.int32),
        multiplier.astype(jnp.float32),
    )


@dataclass(frozen=True)
class RobbinsMonro:
    """Whether a learning rate meets the conditions under which stochastic approximation converges.

    Attributes:
        exponent: p, where the rate falls as t to the power -p in the long run (inf where it ends at zero).
        sum_diverges: whether the rates add up to infinity: any distance can be covered.
        squares_converge: whether their squares do not: the noise dies out.
    """

    exponent: float
    sum_diverges: bool
    squares_converge: bool

    @property
    def holds(self) -> bool:
        """Whether both conditions hold."""
        return self.sum_diverges and self.squares_converge


def robbins_monro(rate: Callable[[float], Scalar]) -> RobbinsMonro:
    r"""Check :math:`\sum_t \lambda_t = \infty` and :math:`\sum_t \lambda_t^2 < \infty` from a rate's tail.

    A power law :math:`t^{-p}` meets them for :math:`1/2 < p \le 1`. The exponent is measured between
    t = 1e6 and t = 1e9 (in the units of `rate`), so exponents within 0.01 of a bound count as on it: a
    numerical check, no proof.

    Args:
        rate: the learning rate at a time t.

    Returns:
        The two conditions and the exponent.

    Example:
        >>> robbins_monro(lambda t: 1 / (10 + t)).holds, robbins_monro(lambda t: 0.1).holds
        (True, False)

    References:
        Robbins and Monro, "A stochastic approximation method", 1951.
    """
    near, far = float(rate(1e6)), float(rate(1e9))
    exponent = math.inf if near <= 0 or far <= 0 else math.log(near / far) / math.log(1e3)
    return RobbinsMonro(exponent, sum_diverges=exponent <= 1.01, squares_converge=exponent > 0.51)
