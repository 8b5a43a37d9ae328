"""What flows where: how many read a value, and which nodes depend on an argument."""

from ._jax import scan_counts
from .nodes import Block, Value


def annotate(block: Block) -> None:
    """Fill in `Value.readers` and `Node.is_dependent`.

    Args:
        block: the whole graph's block.
    """
    _count(block)
    _spread(block, {value.id for value in block.inputs}, everything=False)


def _count(block: Block) -> None:
    for value in block.outputs:
        value.readers += 1
    for node in block.nodes:
        for value in node.inputs:
            value.readers += 1
        for inner in node.blocks:
            _count(inner)


def _spread(block: Block, dependent: set[int], everything: bool) -> None:
    for node in block.nodes:
        node.is_dependent = everything or any(value.id in dependent for value in node.inputs)
        if node.is_dependent:
            dependent |= {value.id for value in node.outputs}
        for inner in node.blocks:
            # What a loop carries is not followed step by step: all that is inside counts as what goes in.
            _spread(inner, dependent, node.is_dependent)


def came_from(value: Value) -> list[Value]:
    """Where a value that comes into a block may come from: outside, or the step before."""
    found = [value.origin] if value.origin is not None else []
    holder = value.holder
    if holder is None or holder.kind not in ("scan", "while"):
        return found
    block = holder.blocks[-1]
    if value not in block.inputs:
        return found
    consts = scan_counts(holder.equation)[0] if holder.kind == "scan" else holder.params["body_nconsts"]
    carried = scan_counts(holder.equation)[1] if holder.kind == "scan" else len(block.outputs)
    position = block.inputs.index(value) - consts
    return [*found, block.outputs[position]] if 0 <= position < carried else found
