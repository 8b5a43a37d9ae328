"""One member as pure functions, and the plain arrays that the engine carries for it.

The engine knows a member only through `Functions`. Its state may be any pytree (typed random keys and
non-array leaves included); the engine carries the arrays of it as a flat list, so that lanes, rungs and
checkpoints work on plain arrays alone.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..errors import UsageError

Settings = Mapping[str, Any]
KEY_KIND = (
    "threefry2x32"  # what a member's key is, whatever JAX's default: under vmap each keeps its own numbers
)
#: Elements up to which arrays of a state are one vector between calls; a third of a transformer's program was for each.
JOINED = 2**16


def abstract_key() -> Any:
    """The shape of a member's key."""
    return jax.eval_shape(lambda: jax.random.key(0, impl=KEY_KIND))


@dataclasses.dataclass(frozen=True)
class Functions:
    """What a member does, on any pytree; nothing here knows of a population.

    Attributes:
        init: ``init(key, settings) -> state``.
        step: ``step(state, batch, settings) -> state`` or ``(state, metrics)``; ``metrics["loss"]``, where
            given, is watched for numerical failure.
        evaluate: ``evaluate(state, split) -> metrics`` on the validation rows, once an epoch; None to go by
            the training loss.
        keep: ``keep(state) -> pytree``, what is kept of the best epoch (the parameters, not the moments).
        after_epoch: ``after_epoch(state, metrics, settings) -> state``, for rules that listen to validation.
        restart: ``restart(state, kept, settings) -> state``, a new member's state with what `keep` kept of another in
            it and everything that follows from that (the rule's moments) made anew; for a warm start.
        measure: ``measure(state, batch, settings) -> metrics``, run as a program of its own on the epoch's first
            batch, where a run is asked to measure; it cannot change the run.
        steps: ``steps(state, examples, fold, rows[steps, batch], count, settings) -> (state, losses[steps])``,
            all the steps of a call at once, the same as `step` on each batch within rounding; None where there is
            no such form.
        score: the validation metric that chooses among members.
        greater_is_better: whether a larger score is better.
        watch: the validation metric, lower is better, whose best epoch is kept; the score's if empty. A share
            of right answers jumps by chance from epoch to epoch; the loss tells the best epoch with less noise.
        described: everything that they were made from, in words, so that equal words mean equal functions in any
            process with the same source; "" where nobody can say it.
    """

    init: Callable[[Any, Settings], Any]
    step: Callable[[Any, Any, Settings], Any]
    evaluate: Callable[[Any, Any], Mapping[str, Any]] | None
    keep: Callable[[Any], Any] = lambda state: state
    after_epoch: Callable[[Any, Mapping[str, Any], Settings], Any] | None = None
    restart: Callable[[Any, Any, Settings], Any] | None = None
    measure: Callable[[Any, Any, Settings], Mapping[str, Any]] | None = None
    steps: Callable[..., tuple[Any, Any]] | None = None
    score: str = "score"
    greater_is_better: bool = True
    watch: str = ""
    described: str = ""

    @property
    def rising(self) -> bool:
        """Whether a larger score is better; without `evaluate` the score is the training loss."""
        return self.evaluate is not None and self.greater_is_better


def run_step(functions: Functions, state: Any, batch: Any, settings: Settings) -> tuple[Any, dict[str, Any]]:
    """One step, whose metrics may be left out by the user's function."""
    out = functions.step(state, batch, settings)
    if isinstance(out, tuple) and len(out) == 2 and isinstance(out[1], Mapping):
        return out[0], {name: jnp.asarray(value, jnp.float32) for name, value in out[1].items()}
    return out, {}


class Packer:
    """A pytree as a flat list of plain arrays and back.

    Args:
        example: the pytree, or its abstract shapes (from `equinox.filter_eval_shape`).
        joined: elements up to which arrays of one type are joined into a vector, so that what is done with every array
            is done with few; each its own where 0.
    """

    def __init__(self, example: Any, joined: int = 0):
        dynamic, self._static = eqx.partition(example, is_array_or_shape)
        paths, self._tree = jax.tree_util.tree_flatten_with_path(dynamic)
        self.names = [_path_name(path) for path, _ in paths]
        self._impls = [_key_impl(leaf) for _, leaf in paths]
        self._avals = [leaf for _, leaf in paths]
        self._plain = [_plain_aval(leaf) for leaf in self._avals]
        self._groups = _groups(self._plain, joined)
        self.avals = [_joined_aval([self._plain[i] for i in group]) for group in self._groups]

    def pack(self, tree: Any) -> list[Any]:
        """The arrays of the pytree, typed keys as their data, small ones joined."""
        paths, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(tree, eqx.is_array))
        names, leaves = [_path_name(path) for path, _ in paths], [leaf for _, leaf in paths]
        if names != self.names:
            differ = ", ".join(sorted(set(names) ^ set(self.names))) or "their order"
            raise UsageError(
                f"state: {len(names)} arrays came back where init gave {len(self.names)}, different in {differ}; "
                "step must return a state of the structure that init returns, its numbers as arrays"
            )
        for name, leaf, aval in zip(names, leaves, self._avals, strict=True):
            if (leaf.shape, leaf.dtype) != (aval.shape, aval.dtype):
                raise UsageError(
                    f"state: {name} came back as {leaf.dtype}{list(leaf.shape)} where init gave "
                    f"{aval.dtype}{list(aval.shape)}; step must keep the type and the shape of every array"
                )
        pairs = zip(leaves, self._impls, strict=True)
        plain = [leaf if impl is None else jax.random.key_data(leaf) for leaf, impl in pairs]
        return [
            plain[group[0]] if len(group) == 1 else _concatenated([plain[i] for i in group])
            for group in self._groups
        ]

    def unpack(self, leaves: Sequence[Any]) -> Any:
        """The pytree from what `pack` gave."""
        pairs = zip(self._apart(leaves), self._impls, strict=True)
        typed = [leaf if impl is None else jax.random.wrap_key_data(leaf, impl=impl) for leaf, impl in pairs]
        return eqx.combine(jax.tree.unflatten(self._tree, typed), self._static)

    def _apart(self, arrays: Sequence[Any]) -> list[Any]:
        """Every array on its own."""
        leaves: dict[int, Any] = {}
        for group, array in zip(self._groups, arrays, strict=True):
            offset = 0
            for i in group:
                size = math.prod(self._plain[i].shape)
                part = array if len(group) == 1 else array[offset : offset + size]
                leaves[i] = part.reshape(self._plain[i].shape)
                offset += size
        return [leaves[i] for i in range(len(leaves))]

    @property
    def foreign_keys(self) -> list[str]:
        """Names of the random keys whose numbers, under `jax.vmap`, depend on the keys beside them ("rbg")."""
        pairs = zip(self.names, self._impls, strict=True)
        return [name for name, impl in pairs if impl is not None and str(impl) != KEY_KIND]

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays of one member."""
        return sum(math.prod(a.shape) * a.dtype.itemsize for a in self.avals)

    @property
    def numbers(self) -> int:
        """Elements of the arrays of one member."""
        return sum(math.prod(a.shape) for a in self.avals)


def _groups(avals: Sequence[Any], joined: int) -> list[list[int]]:
    """Positions of the arrays that become one: all of a type with no more than so many elements."""
    groups: dict[Any, list[int]] = {}
    for i, aval in enumerate(avals):
        groups.setdefault(aval.dtype if math.prod(aval.shape) <= joined else i, []).append(i)
    return list(groups.values())


def _concatenated(arrays: Sequence[Any]) -> Any:
    """Arrays as one vector, copied piece by piece: without the barrier what uses it is fused in, number by number."""
    return jax.lax.optimization_barrier(jnp.concatenate([a.reshape(-1) for a in arrays]))


def _joined_aval(avals: Sequence[Any]) -> jax.ShapeDtypeStruct:
    if len(avals) == 1:
        return avals[0]
    return jax.ShapeDtypeStruct((sum(math.prod(a.shape) for a in avals),), avals[0].dtype)


def _path_name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".") or "itself"


def is_array_or_shape(leaf: Any) -> bool:
    """Whether a leaf is an array, or the shape that stands for one."""
    return isinstance(leaf, jax.ShapeDtypeStruct) or eqx.is_array(leaf)


def _key_impl(leaf: Any):
    """How a typed random key is generated, or None for a plain array."""
    if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return None
    found: list[Any] = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), leaf)
    return found[0]


def _plain_aval(leaf: Any) -> jax.ShapeDtypeStruct:
    shape = jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.eval_shape(jax.random.key_data, shape)
    return shape
