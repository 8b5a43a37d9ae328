"""The catalogue of losses: each a value per example, in its numerically stable fused form."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from ..catalogue import Catalogue
from ..errors import UsageError, one_of
from ..task import Task
from . import classification, regression


@dataclasses.dataclass(frozen=True)
class Loss:
    """One loss.

    Attributes:
        name: the word a user types.
        kind: "classification" or "regression".
        fn: (outputs, targets, **settings) -> loss of each example [batch]. Every setting may be traced.
        gradient: (outputs, targets, **settings) -> d loss / d outputs, in the shape of outputs, written out
            by hand; None where only autodiff gives it.
        target_gradient: (outputs, targets) -> d loss / d targets for probability targets; None likewise.
        predict: outputs -> what a metric is given: logits [rows, classes] or predictions [rows, targets].
        settings: names of the numbers that `fn` takes.
        takes_distributions: whether targets may be probabilities.
        outputs_per_target: outputs of the network for each number to predict (regression).
        single_output: whether two classes share one output (classification).
        differentiable: whether the gradient is of use for training.
        summary: one line for the user.
        reference: where it comes from.
    """

    name: str
    kind: str
    fn: Callable[..., Array]
    gradient: Callable[..., Array] | None
    summary: str
    reference: str
    target_gradient: Callable[..., Array] | None = None
    predict: Callable[[Array], Array] = lambda outputs: outputs
    settings: tuple[str, ...] = ()
    takes_distributions: bool = False
    outputs_per_target: int = 1
    single_output: bool = False
    differentiable: bool = True


LOSSES: Catalogue[Loss] = Catalogue("loss")

for _record in (
    Loss(
        "cross_entropy",
        "classification",
        classification.cross_entropy,
        classification.cross_entropy_gradient,
        "-log of the probability of the true class, by softmax of the outputs",
        "Good 1952; Bridle 1990; label smoothing: Szegedy et al. 2016",
        target_gradient=classification.cross_entropy_target_gradient,
        settings=("label_smoothing",),
        takes_distributions=True,
    ),
    Loss(
        "binary_cross_entropy",
        "classification",
        classification.binary_cross_entropy,
        classification.binary_cross_entropy_gradient,
        "-log of the probability of the true answer, one sigmoid an output",
        "Cox 1958",
        target_gradient=classification.binary_cross_entropy_target_gradient,
        predict=classification.two_columns,
        settings=("label_smoothing",),
        takes_distributions=True,
        single_output=True,
    ),
    Loss(
        "focal",
        "classification",
        classification.focal,
        classification.focal_gradient,
        "cross-entropy that looks away from examples already right",
        "Lin et al. 2017, Focal loss for dense object detection",
        settings=("gamma",),
    ),
    Loss(
        "hinge",
        "classification",
        classification.hinge,
        classification.hinge_gradient,
        "how much the margin of the true class over the best other falls short of 1",
        "Crammer & Singer 2001; Cortes & Vapnik 1995",
    ),
    Loss(
        "perceptron",
        "classification",
        classification.perceptron,
        classification.perceptron_gradient,
        "how much the best other class is ahead of the true one",
        "Rosenblatt 1958; Collins 2002",
    ),
    Loss(
        "zero_one",
        "classification",
        classification.zero_one,
        classification.zero_one_gradient,
        "1 for a wrong answer, 0 for a right one; its gradient is 0",
        "Vapnik 1995",
        differentiable=False,
    ),
    Loss(
        "sparsemax",
        "classification",
        classification.sparsemax_loss,
        classification.sparsemax_gradient,
        "the loss whose probabilities are the sparsemax of the outputs",
        "Martins & Astudillo 2016",
        takes_distributions=True,
    ),
    Loss(
        "squared",
        "regression",
        regression.squared,
        regression.squared_gradient,
        "(y - t)², mean over the outputs",
        "Legendre 1805; Gauss 1809",
    ),
    Loss(
        "absolute",
        "regression",
        regression.absolute,
        regression.absolute_gradient,
        "|y - t|, mean over the outputs: learns the median",
        "Boscovich 1757; Laplace 1793",
    ),
    Loss(
        "huber",
        "regression",
        regression.huber,
        regression.huber_gradient,
        "squared near the target, absolute beyond delta",
        "Huber 1964",
        settings=("delta",),
    ),
    Loss(
        "gaussian_nll",
        "regression",
        regression.gaussian_nll,
        regression.gaussian_nll_gradient,
        "-log of a normal density whose mean and log variance are the outputs",
        "Nix & Weigend 1994",
        predict=regression.mean_of_gaussian,
        outputs_per_target=2,
    ),
    Loss(
        "poisson_nll",
        "regression",
        regression.poisson_nll,
        regression.poisson_nll_gradient,
        "-log of a Poisson probability whose log rate is the output",
        "Nelder & Wedderburn 1972",
        predict=jnp.exp,
    ),
):
    LOSSES.add(_record)


def outputs_for(loss: str, count: int) -> int:
    """How many outputs a network needs for a loss.

    Args:
        loss: a name in `LOSSES`.
        count: the number of classes, or of numbers to predict.

    Returns:
        The number of outputs.

    Raises:
        UsageError: if the loss is unknown, or is for two classes and there are more.

    Example:
        >>> outputs_for("gaussian_nll", 1), outputs_for("cross_entropy", 10)
        (2, 10)
    """
    record = LOSSES[loss]
    if record.single_output:
        if count != 2:
            raise UsageError(f"loss={loss!r} is for two classes and there are {count}; use cross_entropy")
        return 1
    return count * record.outputs_per_target


def loss_of(task: Task) -> Loss:
    """The loss that a task names.

    Args:
        task: the task.

    Returns:
        The record.

    Raises:
        UsageError: if there is none of that name, or it is for another kind of task or number of outputs.

    Example:
        >>> loss_of(Task.regression(3)).name
        'squared'
    """
    allowed = [record.name for record in LOSSES if record.kind == task.kind]
    if task.loss not in allowed:
        raise one_of("loss", task.loss, allowed)
    record = LOSSES[task.loss]
    if record.single_output != (task.kind == "classification" and task.outputs < len(task.classes)):
        expected = 1 if record.single_output else len(task.classes)
        raise UsageError(
            f"outputs={task.outputs!r} does not fit loss={task.loss!r} with {len(task.classes)} classes; "
            f"give {expected}" + (" and two classes" if record.single_output else "")
        )
    if task.kind == "regression" and task.outputs % record.outputs_per_target:
        raise UsageError(
            f"outputs={task.outputs!r} does not fit loss={task.loss!r}; "
            f"give {record.outputs_per_target} a target"
        )
    return record
