"""Multi-layer perceptrons: non-linear, and linear all the way down."""

import dataclasses
import itertools
from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ..nn import ACTIVATIONS, INITS, Activate, Dropout, Linear, draw_weights
from ..settings import static
from ..task import Task
from .architecture import MODELS, Architecture, Model


class Perceptron(eqx.Module):
    """Affine layers with an activation and dropout after each but the last.

    Attributes:
        layers: the affine layers, first to last.
        activations: one for each layer but the last.
        dropout: one rate for every hidden layer.
    """

    layers: tuple[Linear, ...]
    activations: tuple[Activate, ...]
    dropout: Dropout

    def __init__(self, sizes: tuple[int, ...], activation: str, init: str, key: PRNGKeyArray):
        """Draw the weights, so that unit second moments stay at every layer.

        The gain is 1 in the first layer, which reads data, and the activation's in the others.

        Args:
            sizes: numbers per example before the first layer and after each layer.
            activation: a name in `fathom.nn.ACTIVATIONS`.
            init: a name in `fathom.nn.INITS`.
            key: the random key; may be traced.
        """
        last = len(sizes) - 2
        gains = [1.0, *[ACTIVATIONS[activation].gain or 1.0] * last]
        weights = draw_weights(init, key, list(itertools.pairwise(sizes)), gains)
        self.layers = tuple(Linear(w.shape[0], w.shape[1], key, weight=w) for w in weights)
        self.activations = tuple(Activate(activation) for _ in range(last))
        self.dropout = Dropout()

    def without_blanks(self, real: Bool[Array, " features"], init: str) -> "Perceptron":
        """The perceptron with the first layer of some of its inputs alone; see `Linear.without_blanks`."""
        first = self.layers[0].without_blanks(real, init)
        return eqx.tree_at(lambda network: network.layers[0], self, first)

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
            key: for dropout; needed unless `inference` or the rate is the Python number 0.
            state: passed through.
            inference: True switches dropout off.

        Returns:
            y [batch, outputs], and the state.
        """
        x = x.reshape(x.shape[0], -1)
        hidden = len(self.activations)
        keys = (None,) * hidden
        if key is not None and hidden and not (inference or self.dropout.is_off):
            keys = jax.random.split(key, hidden)
        for layer, activation, drop_key in zip(self.layers[:-1], self.activations, keys, strict=True):
            x, _ = activation(layer(x)[0])
            x, _ = self.dropout(x, key=drop_key, inference=inference)
        return self.layers[-1](x)[0], state


_ELEMENTWISE = [record.name for record in ACTIVATIONS if record.elementwise]


@dataclasses.dataclass(frozen=True)
class MLP(Architecture):
    """A multi-layer perceptron: `depth` hidden layers of `width` units, then an affine layer.

    Attributes:
        width: units of each hidden layer.
        depth: hidden layers; 0 leaves one affine layer.
        activation: an elementwise activation of `fathom.nn.ACTIVATIONS`.
        init: an initialization of `fathom.nn.INITS`.

    Example:
        >>> network = MLP(width=8).build(Task.classification(4, 3), jax.random.key(0))
        >>> y, _ = network(jax.numpy.ones((5, 4)))
        >>> y.shape
        (5, 3)

    Reference: Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors".
    """

    name: ClassVar[str] = "mlp"
    takes_blanks: ClassVar[bool] = True

    width: Any = static(64, low=1, high=1_000_000, help="units of each hidden layer")
    depth: Any = static(2, low=0, high=10_000, help="hidden layers")
    activation: Any = static("relu", choices=_ELEMENTWISE, help="what each hidden unit applies")
    init: Any = static("he", choices=INITS.names(), help="how the first weights are drawn")

    def build(self, task: Task, key: PRNGKeyArray) -> Perceptron:
        """The network at its first weights.

        Args:
            task: what goes in and what comes out.
            key: the random key; may be traced.

        Returns:
            A batch-first module.
        """
        sizes = (task.size, *[self.width] * self.depth, task.outputs)
        return Perceptron(sizes, self.activation, self.init, key)

    def without_blanks(self, module: Perceptron, real: Bool[Array, " features"]) -> Perceptron:
        """See `Architecture.without_blanks`."""
        return module.without_blanks(real, self.init)


@dataclasses.dataclass(frozen=True)
class DeepLinear(Architecture):
    """A deep linear network: a product of matrices, so a linear function that is learned along a curved path.

    Attributes:
        width: units of each hidden layer.
        depth: hidden layers; 0 leaves one affine layer.
        init: an initialization of `fathom.nn.INITS`.

    Example:
        >>> network = DeepLinear(width=8, depth=3).build(Task.regression(4), jax.random.key(0))
        >>> len(network.layers)
        4

    Reference: Saxe, McClelland & Ganguli 2014, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks".
    """

    name: ClassVar[str] = "deep_linear"
    takes_blanks: ClassVar[bool] = True

    width: Any = static(64, low=1, high=1_000_000, help="units of each hidden layer")
    depth: Any = static(2, low=0, high=10_000, help="hidden layers")
    init: Any = static("fan_in", choices=INITS.names(), help="how the first weights are drawn")

    def build(self, task: Task, key: PRNGKeyArray) -> Perceptron:
        """The network at its first weights.

        Args:
            task: what goes in and what comes out.
            key: the random key; may be traced.

        Returns:
            A batch-first module.
        """
        sizes = (task.size, *[self.width] * self.depth, task.outputs)
        return Perceptron(sizes, "identity", self.init, key)

    def without_blanks(self, module: Perceptron, real: Bool[Array, " features"]) -> Perceptron:
        """See `Architecture.without_blanks`."""
        return module.without_blanks(real, self.init)


MODELS.add(
    Model(
        "mlp",
        MLP,
        "multi-layer perceptron of any depth and width",
        "Rumelhart, Hinton & Williams 1986",
        has_dropout=True,
    )
)
MODELS.add(
    Model(
        "deep_linear",
        DeepLinear,
        "product of matrices: linear function, non-linear learning",
        "Saxe, McClelland & Ganguli 2014",
        has_dropout=True,
    )
)
