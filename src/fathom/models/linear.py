"""Linear models: linear, polynomial, logistic and softmax regression."""

import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .. import nn
from ..errors import UsageError
from ..nn import INITS
from ..settings import static
from ..task import Task
from .architecture import MODELS, Architecture, Model

_MOST_FEATURES = 100_000


class Polynomial(eqx.Module):
    """An affine layer on fixed polynomial features.

    Attributes:
        layer: the affine layer.
        degree: the largest power of a feature (static).
        cross: whether products of two different features are features too (static).
    """

    layer: nn.Linear
    degree: int = eqx.field(static=True)
    cross: bool = eqx.field(static=True)

    def __call__(
        self,
        x: Float[Array, "batch *features"],
        *,
        key: PRNGKeyArray | None = None,
        state: eqx.nn.State | None = None,
        inference: bool = False,
    ) -> tuple[Float[Array, "batch outputs"], eqx.nn.State | None]:
        """The forward pass.

        Args:
            x: a batch; examples with a shape are flattened.
            key: not used.
            state: passed through.
            inference: not used.

        Returns:
            y [batch, outputs], and the state.
        """
        x = x.reshape(x.shape[0], -1)
        return self.layer(polynomial(x, self.degree, cross=self.cross))[0], state


def polynomial(
    x: Float[Array, "batch features"], degree: int, *, cross: bool = False
) -> Float[Array, "batch all"]:
    """Powers of each feature up to `degree`, then the products of two different features.

    Args:
        x: a batch of features; best standardized, since powers grow fast.
        degree: the largest power, 1 or more.
        cross: whether to add x_i x_j for all i < j.

    Returns:
        [batch, features * degree + cross * features * (features - 1) / 2]: x, x², ..., then the products in
        the order (0, 1), (0, 2), ..., (1, 2), ...

    Example:
        >>> import jax.numpy as jnp
        >>> polynomial(jnp.array([[2.0, 3.0]]), 2, cross=True).tolist()
        [[2.0, 3.0, 4.0, 9.0, 6.0]]
    """
    parts = [x]
    for _ in range(degree - 1):
        parts.append(parts[-1] * x)
    if cross:
        left, right = np.triu_indices(x.shape[1], 1)
        parts.append(x[:, left] * x[:, right])
    return jnp.concatenate(parts, axis=1) if len(parts) > 1 else x


@dataclasses.dataclass(frozen=True)
class Linear(Architecture):
    """One affine layer, on the features or on their powers and products.

    With the task's loss cross_entropy it is softmax (multinomial logistic, maximum-entropy) regression, with
    squared it is linear or polynomial regression, with squared and weight decay ridge regression.

    Attributes:
        degree: the largest power of each feature; 1 uses the features alone.
        cross: whether the products of two different features are used too.
        init: an initialization of `fathom.nn.INITS`; zero is right where the loss is convex.

    Example:
        >>> import jax
        >>> network = Linear(degree=2).build(Task.regression(3), jax.random.key(0))
        >>> network.layer.weight.shape
        (6, 1)

    Reference: Legendre 1805 and Gauss 1809 (least squares); Cox 1958 (logistic regression); Berger, Della
    Pietra & Della Pietra 1996 (maximum entropy).
    """

    name: ClassVar[str] = "linear"
    takes_blanks: ClassVar[bool] = True

    degree: Any = static(1, low=1, high=20, help="largest power of each feature")
    cross: Any = static(False, help="whether products of two features are features too")
    init: Any = static("zero", choices=INITS.names(), help="how the first weights are drawn")

    def build(self, task: Task, key: PRNGKeyArray) -> Polynomial:
        """The network at its first weights.

        Args:
            task: what goes in and what comes out.
            key: the random key; may be traced.

        Returns:
            A batch-first module.

        Raises:
            UsageError: if the polynomial features would be more than 100,000.
        """
        size = task.size
        total = size * self.degree + (size * (size - 1) // 2 if self.cross else 0)
        if self.cross and total > _MOST_FEATURES:
            raise UsageError(
                f"cross=True: {size} features make {total} polynomial features; at most {_MOST_FEATURES} are "
                "allowed; use cross=False"
            )
        layer = nn.Linear(total, task.outputs, key, init=self.init)
        return Polynomial(layer, self.degree, self.cross)

    def without_blanks(self, module: Polynomial, real: Bool[Array, " features"]) -> Polynomial:
        """See `Architecture.without_blanks`."""
        reads = polynomial(real.astype(jnp.float32)[None], self.degree, cross=self.cross)[0] > 0
        layer = module.layer.without_blanks(reads, self.init)
        return Polynomial(layer, self.degree, self.cross)


MODELS.add(
    Model(
        "linear",
        Linear,
        "linear, polynomial, logistic or softmax regression",
        "Legendre 1805; Cox 1958; Berger et al. 1996",
        convex=True,
    )
)
