"""The task: what is predicted from what, and how it is judged."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import UsageError, one_of

KINDS = ("classification", "regression")


@dataclasses.dataclass(frozen=True)
class Task:
    """What a network is to predict, and the names of the loss and the metric that judge it.

    An architecture reads `features` and `outputs` to size its first and last layer; the engine looks up
    `loss` and `metric` in the catalogues of `fathom.objectives`.

    Attributes:
        kind: "classification" or "regression".
        features: numbers per example, or the shape of an example (height, width, channels).
        outputs: numbers that the network gives per example.
        classes: the classes' names in the order of the outputs; empty for regression.
        loss: name of the loss that training lowers.
        metric: name of the metric that selection goes by.
        continuous: how many of the features, the first ones, are numbers that vary by degrees; the others are
            flags and counts. All of them if None.

    Raises:
        UsageError: if a field is not allowed, or the classes do not fit the outputs.

    Example:
        >>> task = Task.classification(4, ["cat", "dog", "owl"])
        >>> task.outputs, task.loss
        (3, 'cross_entropy')
    """

    kind: str
    features: int | tuple[int, ...]
    outputs: int
    classes: tuple[str, ...] = ()
    loss: str = ""
    metric: str = ""
    continuous: int | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise one_of("kind", self.kind, KINDS)
        if not isinstance(self.features, int):
            object.__setattr__(self, "features", tuple(int(size) for size in self.features))
        object.__setattr__(self, "classes", tuple(str(name) for name in self.classes))
        classification = self.kind == "classification"
        if not self.loss:
            object.__setattr__(self, "loss", "cross_entropy" if classification else "squared")
        if not self.metric:
            object.__setattr__(self, "metric", "accuracy" if classification else "rmse")
        self._check()

    def _check(self) -> None:
        sizes = self.shape
        if not sizes or any(isinstance(size, bool) or size < 1 for size in sizes):
            raise UsageError(f"features={self.features!r} is not allowed; give whole numbers, each 1 or more")
        if isinstance(self.outputs, bool) or not isinstance(self.outputs, int) or self.outputs < 1:
            raise UsageError(f"outputs={self.outputs!r} is not allowed; give a whole number, 1 or more")
        if self.kind == "regression":
            if self.classes:
                raise UsageError(f"classes={self.classes!r}: a regression task has none; leave classes out")
            return
        if len(self.classes) < 2:
            raise UsageError(f"classes={self.classes!r}: classification needs 2 or more; name each class")
        if self.outputs != len(self.classes) and not (self.outputs == 1 and len(self.classes) == 2):
            raise UsageError(
                f"outputs={self.outputs!r} does not fit {len(self.classes)} classes; give one a class, "
                "or one for two classes"
            )

    @classmethod
    def classification(
        cls,
        features: int | Sequence[int],
        classes: int | Sequence[str],
        *,
        outputs: int | None = None,
        loss: str = "",
        metric: str = "",
    ) -> "Task":
        """A classification task.

        Args:
            features: numbers per example, or the shape of an example.
            classes: the classes' names, or how many there are.
            outputs: outputs of the network; one a class if None. Two classes may share one output
                (`binary_cross_entropy`).
            loss: a loss of `fathom.objectives.LOSSES`; cross_entropy if empty.
            metric: a metric of `fathom.objectives.METRICS`; accuracy if empty.

        Returns:
            The task.

        Raises:
            UsageError: if an argument is not allowed.
        """
        names = tuple(str(i) for i in range(classes)) if isinstance(classes, int) else tuple(classes)
        size = features if isinstance(features, int) else tuple(features)
        return cls("classification", size, len(names) if outputs is None else outputs, names, loss, metric)

    @classmethod
    def regression(
        cls, features: int | Sequence[int], outputs: int = 1, *, loss: str = "", metric: str = ""
    ) -> "Task":
        """A regression task.

        Args:
            features: numbers per example, or the shape of an example.
            outputs: outputs of the network (two a target for `gaussian_nll`).
            loss: a loss of `fathom.objectives.LOSSES`; squared if empty.
            metric: a metric of `fathom.objectives.METRICS`; rmse if empty.

        Returns:
            The task.

        Raises:
            UsageError: if an argument is not allowed.
        """
        size = features if isinstance(features, int) else tuple(features)
        return cls("regression", size, outputs, (), loss, metric)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return (self.features,) if isinstance(self.features, int) else self.features

    @property
    def size(self) -> int:
        """How many numbers one example has."""
        return math.prod(self.shape)

    def to_dict(self) -> dict[str, Any]:
        """The task as JSON-safe values."""
        features = self.features if isinstance(self.features, int) else list(self.features)
        return {**dataclasses.asdict(self), "features": features, "classes": list(self.classes)}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> "Task":
        """The task that `to_dict` wrote.

        Args:
            written: what `to_dict` gave.

        Returns:
            The task.

        Raises:
            UsageError: if an entry is unknown, missing or not allowed.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in written:
            if name not in names:
                raise one_of("task setting", name, names)
        for name in ("kind", "features", "outputs"):
            if name not in written:
                raise UsageError(f"{name}=? is missing from the task; give it")
        features = written["features"]
        given = {"features": features if isinstance(features, int) else tuple(features)}
        return cls(**{**written, **given, "classes": tuple(written.get("classes", ()))})
