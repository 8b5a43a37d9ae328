"""Learning rules: how a gradient becomes a step. Each is an Optax transformation, by name.

Every number of a rule may be a traced scalar, and building one does no work, so that a rule is built anew
inside each traced step and one compiled program serves a whole population. What a rule remembers has the same
structure and types whatever the numbers are.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from ..catalogue import Catalogue
from .decay import Scalar, decoupled_decay, gradient_decay

Direction = Callable[..., optax.GradientTransformation]
Build = Callable[..., optax.GradientTransformationExtraArgs]


@dataclass(frozen=True)
class Rule:
    """A learning rule.

    Attributes:
        name: the word a user types.
        build: ``build(learning_rate, *, weight_decay=0.0, decay_rate=None, mask=None, **numbers)`` gives the
            transformation; `numbers` are those in `uses`. `decay_rate` is what the weight decay is multiplied
            by, the learning rate unless given.
        uses: the numbers of its own: "momentum" (the averaging of gradients, beta1), "beta2" (that of their
            squares).
        elementwise: whether the update of an element depends on nothing but that element's history, so that
            the parameters may be packed into one vector.
        decay: "decoupled"; "gradient" (added to the gradient, an L2 penalty); "inside" (part of what is
            normalized).
        needs: the extras it takes by name in ``update``.
        evaluation_params: ``evaluation_params(opt_state, params, settings)`` gives the parameters to evaluate
            with; None where these are the parameters themselves.
        summary: one line for the user.
        reference: where it comes from.
    """

    name: str
    build: Build
    uses: tuple[str, ...]
    elementwise: bool
    summary: str
    reference: str
    decay: str = "decoupled"
    needs: tuple[str, ...] = ()
    evaluation_params: Callable[[Any, PyTree, Mapping[str, Scalar]], PyTree] | None = None


def trust_region_radius(updates: PyTree) -> Float[Array, ""]:
    r"""The radius of the trust region that a step reaches the edge of: its length.

    A gradient step :math:`-\lambda g` is the least of the linear model :math:`g \cdot d` over all steps of
    length :math:`r = \lambda \|g\|` or less: choosing a learning rate is choosing this radius.

    Args:
        updates: the step, as `update` returns it.

    Returns:
        Its Euclidean norm over all leaves.

    Example:
        >>> float(trust_region_radius([jnp.array([3.0]), jnp.array([4.0])]))
        5.0
    """
    return optax.tree.norm(updates)


def _contrib() -> Any:
    """Optax's contributed rules, imported when one of them is asked for."""
    return importlib.import_module("optax.contrib")


def _decoupled(direction: Direction) -> Build:
    """A rule that steps along a direction, and decays apart from it."""

    def build(learning_rate, *, weight_decay=0.0, decay_rate=None, mask=None, **numbers):
        strength = (learning_rate if decay_rate is None else decay_rate) * weight_decay
        rule = optax.chain(direction(**numbers), optax.scale(-learning_rate), decoupled_decay(strength, mask))
        return optax.with_extra_args_support(rule)

    return build


def _in_gradient(direction: Direction) -> Build:
    """A rule whose decay is the gradient of a penalty."""

    def build(learning_rate, *, weight_decay=0.0, decay_rate=None, mask=None, **numbers):
        rule = optax.chain(
            gradient_decay(weight_decay, mask), direction(**numbers), optax.scale(-learning_rate)
        )
        return optax.with_extra_args_support(rule)

    return build


def _lamb(learning_rate, *, momentum, beta2, weight_decay=0.0, decay_rate=None, mask=None):
    rule = optax.chain(
        optax.scale_by_adam(momentum, beta2, eps=1e-6),
        gradient_decay(weight_decay, mask),
        optax.scale_by_trust_ratio(),
        optax.scale(-learning_rate),
    )
    return optax.with_extra_args_support(rule)


def _prodigy(learning_rate, *, momentum, beta2, weight_decay=0.0, decay_rate=None, mask=None):
    rule = _contrib().prodigy(learning_rate, betas=(momentum, beta2))

    def init(params):
        # A copy: the state keeps the initial point, and both it and the parameters may be donated.
        return rule.init(jax.tree.map(jnp.copy, params))

    def update(updates, state, params=None, **extras):
        stepped: tuple[Any, Any] = rule.update(updates, state, params)
        updates, new = stepped
        corrected = jnp.sqrt(1 - beta2**new.count) / (1 - momentum**new.count)
        rate = state.estim_lr * corrected * (learning_rate if decay_rate is None else decay_rate)
        updates, _ = decoupled_decay(rate * weight_decay, mask).update(updates, optax.EmptyState(), params)
        # Its estimate is 0/0 while the learning rate or every gradient has been zero (a warm-up's start).
        idle = optax.tree.sum(jax.tree.map(jnp.abs, new.grad_sum)) == 0
        updates = jax.tree.map(lambda u: jnp.where(idle, jnp.zeros_like(u), u), updates)
        return updates, new._replace(estim_lr=jnp.where(idle, state.estim_lr, new.estim_lr))

    return optax.GradientTransformationExtraArgs(init, update)


def _schedule_free(direction: Direction) -> Build:
    inner = _decoupled(direction)

    def build(learning_rate, *, momentum, **numbers):
        return _contrib().schedule_free(inner(learning_rate, **numbers), learning_rate, b1=momentum)

    return build


def _averaged(state: Any, params: PyTree, settings: Mapping[str, Scalar]) -> PyTree:
    return _contrib().schedule_free_eval_params(state, params)


def _muon(*, momentum, beta2):
    # consistent_rms makes an orthogonalized step as long as Adam's, so that one learning rate serves the
    # matrices and the vectors. The rate of -1 leaves the direction itself; _decoupled scales it.
    return _contrib().muon(-1.0, beta=momentum, adam_b1=momentum, adam_b2=beta2, consistent_rms=0.2)


RULES: Catalogue[Rule] = Catalogue("optimizer")


def _add(name, direction, uses, summary, reference, build=_decoupled, elementwise=True, **fields) -> None:
    RULES.add(Rule(name, build(direction), uses, elementwise, summary, reference, **fields))


_M, _B, _MB = ("momentum",), ("beta2",), ("momentum", "beta2")

_add("sgd", optax.identity, (), "the gradient itself", "Robbins and Monro 1951")
_add(
    "momentum",
    lambda *, momentum: optax.trace(momentum),
    _M,
    "heavy ball: a running sum of gradients; the step grows by up to 1 / (1 - momentum)",
    "Polyak 1964",
)
_add(
    "nesterov",
    lambda *, momentum: optax.trace(momentum, nesterov=True),
    _M,
    "heavy ball that looks one step ahead",
    "Nesterov 1983; Sutskever et al. 2013",
)
# The accumulator starts at zero, as published and in PyTorch (Optax's alias: 0.1). Optax adds eps inside the
# root, PyTorch outside: 1e-20 inside is 1e-10 outside for a gradient of zero, and nothing for any other.
_add(
    "adagrad",
    lambda: optax.scale_by_rss(initial_accumulator_value=0.0, eps=1e-20),
    (),
    "divides by the root of the sum of all squared gradients",
    "Duchi et al. 2011",
)
# eps outside the root and no bias correction, as in PyTorch; Optax's alias has it inside. Without bias
# correction the first step is 1 / sqrt(1 - beta2) times the learning rate.
_add(
    "rmsprop",
    lambda *, beta2: optax.scale_by_rms(beta2, eps=1e-8, eps_in_sqrt=False),
    _B,
    "divides by the root of the running mean of squared gradients",
    "Tieleman and Hinton 2012",
)
_add(
    "adadelta",
    lambda *, beta2: optax.scale_by_adadelta(beta2, eps=1e-6),
    _B,
    "RMSProp in the units of the parameters; meant for a learning rate near 1",
    "Zeiler 2012",
)
_add(
    "adam",
    lambda *, momentum, beta2: optax.scale_by_adam(momentum, beta2),
    _MB,
    "running mean over root of running mean square; weight decay in the gradient",
    "Kingma and Ba 2015",
    build=_in_gradient,
    decay="gradient",
)
_add(
    "adamw",
    lambda *, momentum, beta2: optax.scale_by_adam(momentum, beta2),
    _MB,
    "Adam with decoupled weight decay",
    "Loshchilov and Hutter 2019",
)
# PyTorch's NAdam varies the momentum with the step (Dozat's schedule); this one does not.
_add(
    "nadam",
    lambda *, momentum, beta2: optax.scale_by_adam(momentum, beta2, nesterov=True),
    _MB,
    "AdamW that looks one step ahead",
    "Dozat 2016",
)
_add(
    "adamax",
    lambda *, momentum, beta2: optax.scale_by_adamax(momentum, beta2),
    _MB,
    "AdamW with a decaying maximum in place of the root mean square",
    "Kingma and Ba 2015",
)
# The maximum is taken after bias correction (Optax); PyTorch takes it before, the paper has no correction.
_add(
    "amsgrad",
    lambda *, momentum, beta2: optax.scale_by_amsgrad(momentum, beta2),
    _MB,
    "AdamW whose denominator never falls",
    "Reddi et al. 2018",
)
_add(
    "adabelief",
    lambda *, momentum, beta2: optax.scale_by_belief(momentum, beta2),
    _MB,
    "AdamW that divides by the deviation from the expected gradient",
    "Zhuang et al. 2020",
)
_add(
    "radam",
    lambda *, momentum, beta2: optax.scale_by_radam(momentum, beta2),
    _MB,
    "AdamW that starts as momentum while the variance is not known",
    "Liu et al. 2020",
)
_add(
    "lion",
    lambda *, momentum, beta2: optax.scale_by_lion(momentum, beta2),
    _MB,
    "the sign of an averaged gradient; wants a tenth of AdamW's learning rate, beta2 = 0.99",
    "Chen et al. 2023",
)
_add(
    "lamb",
    _lamb,
    _MB,
    "Adam with each layer's step made as long as its weights",
    "You et al. 2020",
    build=lambda build: build,
    elementwise=False,
    decay="inside",
)
_add(
    "muon",
    _muon,
    _MB,
    "orthogonalized momentum for matrices, AdamW for the rest",
    "Jordan et al. 2024; Liu et al. 2025",
    elementwise=False,
)
_add(
    "prodigy",
    _prodigy,
    _MB,
    "AdamW that estimates its learning rate; give 1",
    "Mishchenko and Defazio 2023",
    build=lambda build: build,
    elementwise=False,
)
_add(
    "schedule_free_sgd",
    lambda: optax.identity(),
    _M,
    "SGD that averages its path instead of a schedule; use a constant one",
    "Defazio et al. 2024",
    build=_schedule_free,
    evaluation_params=_averaged,
)
_add(
    "schedule_free_adamw",
    lambda *, beta2: optax.scale_by_rms(beta2, eps=1e-8, eps_in_sqrt=False, bias_correction=True),
    _MB,
    "AdamW that averages its path instead of a schedule; use a constant one",
    "Defazio et al. 2024",
    build=_schedule_free,
    evaluation_params=_averaged,
)
