"""A user's own Equinox module as an architecture."""

import dataclasses
import inspect
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ..errors import UsageError
from ..task import Task
from .architecture import Architecture

_EXTRAS = ("key", "state", "inference")


class Adapter(eqx.Module):
    """Calls a user's module in the batch-first way.

    A per-example module is run under ``vmap(axis_name="batch")``; each example gets its own key and all share
    the state. ``key``, ``state`` and ``inference`` are passed if the module's ``__call__`` names them.
    ``inference=True`` also sets every ``inference`` field in the module, as ``eqx.nn.inference_mode`` does.

    Attributes:
        module: the user's module.
        outputs: outputs per example that the task expects (static).
        batched: whether the module takes a batch and not one example (static).
        stateful: whether it came with an `eqx.nn.State` (static).
    """

    module: Any
    outputs: int = eqx.field(static=True)
    batched: bool = eqx.field(static=True)
    stateful: bool = eqx.field(static=True)

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
            x: a batch.
            key: the random key, if the module draws.
            state: the state; needed if the module keeps one.
            inference: a Python bool.

        Returns:
            y [batch, outputs], and the new state.

        Raises:
            UsageError: if a state is needed and none is given, or the module's output has another shape.
        """
        if self.stateful and state is None:
            raise UsageError("state=None: the module keeps state; give the one that `initialize` returned")
        module = eqx.nn.inference_mode(self.module) if inference else self.module
        parameters = inspect.signature(module.__call__).parameters

        def call(x: Array, key: PRNGKeyArray | None) -> tuple[Array, Any]:
            extras = {"key": key, "state": state, "inference": inference}
            # A state that is not there is passed only where Python would refuse to go without.
            passed = {
                name: extras[name]
                for name in _EXTRAS
                if name in parameters
                and (name != "state" or self.stateful or parameters[name].default is inspect.Parameter.empty)
            }
            result = module(x, **passed)
            y, after = result if isinstance(result, tuple) else (result, state)
            return y, after if self.stateful else state

        if self.batched:
            y, state = call(x, key)
        else:
            keys = None if key is None else jax.random.split(key, x.shape[0])
            axes = (0, None if keys is None else 0)
            y, state = jax.vmap(call, in_axes=axes, out_axes=(0, None), axis_name="batch")(x, keys)
        return self._checked(x, y), state

    def _checked(self, x: Array, y: Array) -> Array:
        batch = x.shape[0]
        if self.outputs == 1 and y.shape == (batch,):
            return y[:, None]
        if y.shape != (batch, self.outputs):
            unit = "a batch" if self.batched else "one example"
            wanted = (batch, self.outputs) if self.batched else (self.outputs,)
            given = y.shape if self.batched else y.shape[1:]
            raise UsageError(
                f"output shape={given}: for {unit} the task expects {wanted}; change the module's last "
                f"layer, or give batched={not self.batched}"
            )
        return y


@dataclasses.dataclass(frozen=True)
class FromModule(Architecture):
    """An architecture out of a user's function that builds an Equinox module.

    Attributes:
        factory: called as ``factory(task, key)`` or ``factory(key)``, by the parameters it has; gives
            a module, or (module, eqx.nn.State) as `eqx.nn.make_with_state` does.
        batched: False if the module takes one example (it is then run under vmap over the axis "batch"), True
            if it takes a batch.
        name: the word for it in tables and records.

    Raises:
        UsageError: at construction, if `factory` is no function of (task, key) or (key).

    Example:
        >>> import jax
        >>> ours = FromModule(lambda task, key: eqx.nn.MLP(task.size, task.outputs, 8, 1, key=key))
        >>> network = ours.build(Task.classification(4, 3), jax.random.key(0))
        >>> network(jax.numpy.ones((5, 4)))[0].shape
        (5, 3)
    """

    factory: Any
    batched: bool = False
    name: str = dataclasses.field(default="module", kw_only=True)  # pyright: ignore[reportIncompatibleVariableOverride]

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.factory, eqx.Module) or not callable(self.factory):
            raise UsageError(
                f"factory={type(self.factory).__name__}: give a function of (task, key) or (key) that builds "
                "the module, so that every seed starts from its own weights"
            )
        self._arguments(None, None)

    def _arguments(self, task: Any, key: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """How the factory is called: by the names task and key if it has them, else by position."""
        parameters = inspect.signature(self.factory).parameters.values()
        fixed = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        required = [p for p in fixed if p.default is p.empty]
        names, given = {p.name for p in fixed}, {"task": task, "key": key}
        named = {name: value for name, value in given.items() if name in names}
        if "key" in named and all(p.name in named and p.kind != p.POSITIONAL_ONLY for p in required):
            return (), named
        positional = [p for p in required if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if len(required) == len(positional) == 2:
            return (task, key), {}
        takes_any = any(p.kind == p.VAR_POSITIONAL for p in parameters)
        if len(required) == len(positional) == 1 or (not required and takes_any):
            return (key,), {}
        needed = ", ".join(p.name for p in required)
        raise UsageError(
            f"factory takes ({needed}), which is not allowed; give a function of (task, key) or (key)"
        )

    def build(self, task: Task, key: PRNGKeyArray) -> Adapter:
        """The network at its first weights; a state that it keeps comes from `initialize` only.

        Args:
            task: what goes in and what comes out.
            key: the random key; may be traced.

        Returns:
            A batch-first module around the user's.

        Raises:
            UsageError: if the factory does not give a module.
        """
        return self.initialize(task, key)[0]

    def initialize(self, task: Task, key: PRNGKeyArray) -> tuple[Adapter, eqx.nn.State | None]:
        """The network at its first weights, and its first state.

        Args:
            task: what goes in and what comes out.
            key: the random key; may be traced.

        Returns:
            A batch-first module around the user's, and the state, or None where it keeps none.

        Raises:
            UsageError: if the factory does not give a module, or a module and an eqx.nn.State.
        """
        positional, named = self._arguments(task, key)
        built = self.factory(*positional, **named)
        pair = isinstance(built, tuple) and len(built) == 2 and isinstance(built[1], eqx.nn.State)
        module, state = built if pair else (built, None)
        if not isinstance(module, eqx.Module) or not callable(module):
            raise UsageError(
                f"factory gave a {type(built).__name__}; it must give an eqx.Module that can be called, "
                "or (module, eqx.nn.State)"
            )
        return Adapter(module, task.outputs, self.batched, state is not None), state

    def to_dict(self) -> dict[str, Any]:
        """The name and the factory's place, for the record: `from_dict` refuses it, since code is no data."""
        place = f"{getattr(self.factory, '__module__', '?')}:{getattr(self.factory, '__qualname__', '?')}"
        return {"name": self.name, "factory": place, "batched": self.batched}
