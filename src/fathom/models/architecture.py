"""What every architecture is: a frozen description that builds a network."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Bool, PRNGKeyArray

from ..catalogue import Catalogue
from ..errors import UsageError, one_of
from ..settings import as_sweep, as_written, check
from ..task import Task


def _check_whole(field: dataclasses.Field, value: Any) -> None:
    """A width of 64.5 lies between the bounds; only the default's type says that it is not allowed."""
    kind = type(field.default)
    if kind not in (int, bool):
        return
    sweep = as_sweep(value)
    for single in (value,) if sweep is None else sweep.values:
        if type(single) is not kind:
            allowed = "True or False" if kind is bool else "a whole number"
            raise UsageError(f"{field.name}={single!r} is not allowed; give {allowed}")


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A frozen, serializable description of a network.

    A subclass declares its fields with `fathom.settings.static`; a field may hold a sweep until
    `fathom.settings.expand` has made single points of it, hence the annotation Any.

    Attributes:
        name: the word a user types and a settings file says.
        takes_blanks: whether it has `without_blanks`, so that tables of different widths may share a program.

    Raises:
        UsageError: at construction, if a field is not allowed.
    """

    name: ClassVar[str] = ""
    takes_blanks: ClassVar[bool] = False

    def __post_init__(self):
        check(self)
        for field in dataclasses.fields(self):
            _check_whole(field, getattr(self, field.name))

    def build(self, task: Task, key: PRNGKeyArray) -> eqx.Module:
        """The network at its first weights.

        Args:
            task: what goes in and what comes out.
            key: the random key; may be traced.

        Returns:
            A batch-first module: ``model(x, *, key, state, inference) -> (y [batch, outputs], state)``.
        """
        return self.initialize(task, key)[0]

    def initialize(self, task: Task, key: PRNGKeyArray) -> tuple[eqx.Module, eqx.nn.State | None]:
        """The network at its first weights, and its first state.

        Args:
            task: what goes in and what comes out.
            key: the random key; may be traced.

        Returns:
            The module that `build` gives, and the state to call it with; None where it keeps none.
        """
        return self.build(task, key), None

    def without_blanks(self, module: Any, real: Bool[Array, " features"]) -> Any:
        """A network whose blank inputs, which are always 0, change nothing: neither what it says nor how it learns.

        What depends on a blank input is 0 and stays 0, and what depends on the others is as it would have been
        drawn without the blank ones.

        Args:
            module: the network at its first weights, as `build` gives it.
            real: which of its inputs are not blank; may be traced.

        Raises:
            UsageError: if the architecture does not have this (`takes_blanks`).
        """
        raise UsageError(f"architecture={self!r} cannot have blank inputs; train it without room for more")

    def to_dict(self) -> dict[str, Any]:
        """The description as a settings file writes it: the name, then every field."""
        fields = {field.name: as_written(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return {"name": self.name, **fields}


@dataclasses.dataclass(frozen=True)
class Model:
    """A record of the catalogue of architectures.

    Attributes:
        name: the word a user types.
        factory: the architecture's class.
        summary: one line for the user.
        reference: where it comes from.
        convex: whether the training loss is convex in its weights (for a convex loss).
        has_dropout: whether it has places where numbers are dropped.
        keeps_shape: whether it makes use of an example's shape; if not, examples are flattened.
    """

    name: str
    factory: Callable[..., Architecture]
    summary: str
    reference: str
    convex: bool = False
    has_dropout: bool = False
    keeps_shape: bool = False


MODELS: Catalogue[Model] = Catalogue("model")


def from_dict(written: Mapping[str, Any]) -> Architecture:
    """The architecture that a settings file names.

    Args:
        written: a mapping with "name" and any of the architecture's fields, as `to_dict` gives it.

    Returns:
        The architecture.

    Raises:
        UsageError: if the name or a field is unknown, or a value is not allowed.

    Example:
        >>> from fathom import models
        >>> models.from_dict({"name": "mlp", "width": 32})
        MLP(width=32, depth=2, activation='relu', init='he')
    """
    fields = dict(written)
    if "factory" in fields:
        raise UsageError(
            f"name={fields.get('name')!r} was built from your own module, which a file does not hold; "
            "give the FromModule architecture itself"
        )
    if "name" not in fields:
        raise UsageError(f"name=? is missing from the model; use one of: {', '.join(MODELS.names())}")
    factory = MODELS[fields.pop("name")].factory
    allowed = [field.name for field in dataclasses.fields(factory)]  # pyright: ignore[reportArgumentType]
    for field in fields:
        if field not in allowed:
            raise one_of("model setting", field, allowed)
    return factory(**fields)
