"""What a walk over a graph recorded: arrays by node or by value."""

import dataclasses
from typing import Any

from .nodes import Node, Value


@dataclasses.dataclass(frozen=True, repr=False)
class Arrays:
    """Arrays of a graph's values; the steps of scans around a value are leading axes.

    Attributes:
        arrays: by value id.
    """

    arrays: dict[int, Any]

    def __getitem__(self, key: Node | Value) -> Any:
        """The array of a value, or of a node's first output; None where there is none."""
        value = key.outputs[0] if isinstance(key, Node) else key
        return value.literal if value.is_literal else self.arrays.get(value.id)

    def __repr__(self) -> str:
        return f"Arrays({len(self.arrays)} values)"

    def __contains__(self, key: Node | Value) -> bool:
        return self[key] is not None

    def passes(self, node: Node) -> Any:
        """How many passes a while loop made; None for one that is inside of a closed call."""
        return self.arrays.get(-1 - node.id)
