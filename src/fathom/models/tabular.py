"""The network for tables: an embedding of every numeric column, then a perceptron."""

import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ..nn import ACTIVATIONS, INITS, Periodic, Piecewise
from ..settings import static
from ..task import Task
from .architecture import MODELS, Architecture, Model
from .mlp import Perceptron

EMBEDDINGS = ("piecewise", "periodic", "none")
_ELEMENTWISE = [record.name for record in ACTIVATIONS if record.elementwise]


class EmbeddedPerceptron(eqx.Module):
    """A perceptron that reads the examples beside the embeddings of their first, continuous numbers.

    Attributes:
        embedding: of the continuous numbers; None without any.
        perceptron: what reads the embeddings and the examples as they are.
        continuous: how many numbers are embedded.
    """

    embedding: Piecewise | Periodic | None
    perceptron: Perceptron
    continuous: int = eqx.field(static=True)

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
        if self.embedding is not None:
            x = jnp.concatenate([self.embedding(x[:, : self.continuous]), x], axis=1)
        return self.perceptron(x, key=key, state=state, inference=inference)


@dataclasses.dataclass(frozen=True)
class Tabular(Architecture):
    """A perceptron on embedded numbers, the network for tables.

    Every continuous column (`Task.continuous`) is embedded in `size` dimensions by a curve of its own, which
    says "between 30 and 40" in one layer where a perceptron needs several. Where there are more than 512
    columns the embeddings shrink, so that they stay below 8,192 numbers an example; above 8,192 columns they
    are left out.

    Attributes:
        width: units of each hidden layer.
        depth: hidden layers; 0 leaves one affine layer.
        embedding: "piecewise" (linear between equal quantiles), "periodic" (waves), "none".
        bins: pieces of a curve, or twice the waves.
        size: dimensions of a column's embedding.
        activation: an elementwise activation of `fathom.nn.ACTIVATIONS`.
        init: an initialization of `fathom.nn.INITS`.

    Example:
        >>> network = Tabular(width=8, size=4).build(Task.regression(3), jax.random.key(0))
        >>> y, _ = network(jax.numpy.ones((5, 3)))
        >>> y.shape
        (5, 1)

    Reference: Gorishniy, Rubachev & Babenko 2022, arXiv:2203.05556.
    """

    name: ClassVar[str] = "tabular"
    takes_blanks: ClassVar[bool] = True

    width: Any = static(256, low=1, high=1_000_000, help="units of each hidden layer")
    depth: Any = static(3, low=0, high=10_000, help="hidden layers")
    embedding: Any = static("piecewise", choices=EMBEDDINGS, help="what each number is embedded by")
    bins: Any = static(48, low=2, high=4096, help="pieces of a curve, or twice the waves")
    size: Any = static(16, low=1, high=4096, help="dimensions of a column's embedding")
    activation: Any = static("silu", choices=_ELEMENTWISE, help="what each hidden unit applies")
    init: Any = static("he", choices=INITS.names(), help="how the first weights are drawn")

    def build(self, task: Task, key: PRNGKeyArray) -> EmbeddedPerceptron:
        """The network at its first weights.

        Args:
            task: what goes in and what comes out.
            key: the random key; may be traced.

        Returns:
            A batch-first module.
        """
        columns = task.size if task.continuous is None else task.continuous
        size = min(self.size, _MOST // max(columns, 1))
        embedded, plain = jax.random.split(key)
        embedding = None
        if size and columns and self.embedding == "piecewise":
            embedding = Piecewise(columns, embedded, bins=self.bins, size=size)
        elif size and columns and self.embedding == "periodic":
            embedding = Periodic(columns, embedded, waves=-(-self.bins // 2), size=size)
        inputs = task.size + (columns * size if embedding is not None else 0)
        sizes = (inputs, *[self.width] * self.depth, task.outputs)
        return EmbeddedPerceptron(embedding, Perceptron(sizes, self.activation, self.init, plain), columns)

    def without_blanks(
        self, module: EmbeddedPerceptron, real: Bool[Array, " features"]
    ) -> EmbeddedPerceptron:
        """See `Architecture.without_blanks`."""
        embedding, reads = module.embedding, real
        if embedding is not None:
            columns = real[: module.continuous]
            embedding = embedding.without_blanks(columns)
            reads = jnp.concatenate([jnp.repeat(columns, embedding.weight.shape[2]), real])
        perceptron = module.perceptron.without_blanks(reads, self.init)
        return EmbeddedPerceptron(embedding, perceptron, module.continuous)


_MOST = 8192  # numbers that the embeddings of one example may have together
MODELS.add(
    Model(
        "tabular",
        Tabular,
        "perceptron on embedded numbers, for tables",
        "Gorishniy, Rubachev & Babenko 2022",
        has_dropout=True,
    )
)
