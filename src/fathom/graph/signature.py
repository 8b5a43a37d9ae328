"""How the arrays that a graph takes in make up the arguments of the function it was traced from."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..errors import UsageError


def _path(name: str, path: Sequence[Any]) -> str:
    for key in path:
        if isinstance(key, jax.tree_util.GetAttrKey):
            name += f".{key.name}"
        elif isinstance(key, jax.tree_util.SequenceKey):
            name += f"[{key.idx}]"
        elif isinstance(key, jax.tree_util.DictKey):
            is_word = isinstance(key.key, str) and key.key.isidentifier()
            name += f".{key.key}" if is_word else f"[{key.key!r}]"
        else:
            name += f"[{getattr(key, 'key', key)!r}]"
    return name


def is_array(leaf: Any) -> bool:
    """Whether a leaf is an array, or the shape of one."""
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct))


def is_value(leaf: Any) -> bool:
    """Whether a leaf of a result is an array or a number."""
    return is_array(leaf) or isinstance(leaf, (bool, int, float, complex))


def _is_traced(leaf: Any, path: Sequence[Any]) -> bool:
    """Arrays are; a Python float is, unless it is an attribute of a module; whole numbers and words are settings."""
    plain = all(isinstance(key, (jax.tree_util.DictKey, jax.tree_util.SequenceKey)) for key in path)
    return is_array(leaf) or (isinstance(leaf, (float, complex)) and plain)


def _argument_names(fn: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "argument")
    return names + [f"{rest}{i}" for i in range(len(names), count)]


@dataclasses.dataclass(frozen=True)
class Signature:
    """The arguments of a traced function.

    Attributes:
        names: the path of each input, such as ``params.layers[0].weight``.
        arguments: for each positional and then each keyword argument its positions among the inputs.
        tree: the structure of all arguments.
        settings: the leaves of the arguments; those that are inputs are at `places`.
        places: where among the leaves the inputs are.
        keywords: the names of the keyword arguments.
        shapes: the shape of each input.
    """

    names: tuple[str, ...]
    arguments: tuple[tuple[int, ...], ...]
    tree: Any
    settings: tuple[Any, ...]
    places: tuple[int, ...]
    keywords: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def read(
        cls, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> "tuple[Signature, list[Any]]":
        """The signature of one call, and its inputs."""
        titles = [*_argument_names(fn, len(args)), *kwargs]
        flat, tree = jax.tree.flatten_with_path([*args, *kwargs.values()])
        places = tuple(i for i, (path, leaf) in enumerate(flat) if _is_traced(leaf, path[1:]))
        arguments: list[list[int]] = [[] for _ in titles]
        names = []
        for position, place in enumerate(places):
            path = flat[place][0]
            names.append(_path(titles[path[0].idx], path[1:]))
            arguments[path[0].idx].append(position)
        leaves = [flat[place][1] for place in places]
        signature = cls(
            names=tuple(names),
            arguments=tuple(tuple(found) for found in arguments),
            tree=tree,
            settings=tuple(leaf for _, leaf in flat),
            places=places,
            keywords=tuple(kwargs),
            shapes=tuple(
                np.shape(leaf) if not hasattr(leaf, "shape") else tuple(leaf.shape) for leaf in leaves
            ),
        )
        return signature, leaves

    def fill(self, parts: Sequence[Any], settings: bool = True) -> list[Any]:
        """Something for each input, laid out as the arguments.

        Args:
            parts: one for each input.
            settings: whether what is no input keeps its place; None stands there otherwise.

        Returns:
            The arguments, positional ones first.
        """
        filled = list(self.settings) if settings else [None] * len(self.settings)
        for place, part in zip(self.places, parts, strict=True):
            filled[place] = part
        return jax.tree.unflatten(self.tree, filled)

    def flatten(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The inputs of another call of the same shapes.

        Args:
            args: positional arguments.
            kwargs: keyword arguments.

        Returns:
            One array for each input.

        Raises:
            UsageError: if an argument is missing or has another structure or shape.
        """
        if tuple(kwargs) != self.keywords or len(args) + len(kwargs) != len(self.arguments):
            raise UsageError(
                f"arguments={len(args)} and keywords={sorted(kwargs)}: the function was traced with "
                f"{len(self.arguments) - len(self.keywords)} and {sorted(self.keywords)}; call it as it was traced"
            )
        leaves = jax.tree.leaves([*args, *kwargs.values()])
        if len(leaves) != len(self.settings):
            raise UsageError(
                f"arguments with {len(leaves)} leaves: the function was traced with {len(self.settings)}; "
                "give trees of the same structure, or trace it again"
            )
        found = [leaves[place] for place in self.places]
        for name, leaf, shape in zip(self.names, found, self.shapes, strict=True):
            if np.shape(leaf) != shape:
                raise UsageError(
                    f"{name}={list(np.shape(leaf))}: it was traced as {list(shape)}; give that shape, or trace again"
                )
        return found
