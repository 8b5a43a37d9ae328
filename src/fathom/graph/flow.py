"""What flows where: how many read a value, and which nodes depend on an argument."""

from .nodes import Block


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
