"""Which module a node belongs to: its named scopes, or the parameters that it reads.

Flax Linen names its scopes. Equinox, Flax NNX and plain functions do not, but their parameters have paths: the
node that reads ``model.layers[0].weight`` belongs to ``layers[0]``, and so do the nodes after it that read no
parameter, up to the next one that does. What follows the last parameter (the loss) belongs to no module, unless
it is written in the same function as what came before.
"""

import re

from .nodes import Block, Line, Node

_LAST = re.compile(r"(\.[^.\[\]]+|\[[^\]]*\])$")
# Flax NNX keeps an array in the `value` of a variable.
_HOLDER = re.compile(r"\.(value|raw_value)$")


def module_of(name: str) -> str:
    """The module that a parameter belongs to, from the parameter's path.

    Args:
        name: the path, the argument's name first.

    Returns:
        The module's path without the argument's name; "" for an argument that is an array itself.

    Example:
        >>> module_of("model.layers[0].weight"), module_of("params['out'].kernel"), module_of("layers[1][0]")
        ('layers[0]', 'out', 'layers[1]')
    """
    parent = _LAST.sub("", _HOLDER.sub("", name))
    argument = re.match(r"[^.\[]*", parent)
    assert argument is not None
    rest = parent[argument.end() :]
    rest = re.sub(r"\['([^']*)'\]", r".\1", rest)
    if rest.startswith("["):
        return argument.group() + rest
    return rest.lstrip(".")


def assign_modules(block: Block) -> None:
    """Give every node without a named scope the module of the parameters it reads.

    Args:
        block: the whole graph's block.
    """
    nodes = list(block.walk())
    parameter: dict[int, str] = {
        value.id: module_of(value.name) for value in block.inputs if module_of(value.name)
    }
    owner: dict[int, tuple[str, Line | None]] = {}
    leads = _lead_to_parameters(nodes, parameter)
    for node in nodes:
        read = [parameter.get(value.source.id) or parameter.get(value.id) for value in node.inputs]
        found = next((name for name in read if name), None)
        if found is not None and _only_moves(node, parameter):
            parameter.update((value.id, found) for value in node.outputs)
        before = next(
            (owner[v.source.id] for v in node.inputs if v.source.id in owner and owner[v.source.id][0]),
            ("", None),
        )
        same_function = (
            before[1] is not None and node.frame is not None and _function(before[1]) == _function(node.frame)
        )
        mine = found or (before[0] if node.id in leads or same_function else "")
        if not node.module:
            node.module = mine
        elif found is None:
            mine = node.module
        for value in node.outputs:
            owner[value.id] = (mine, node.frame if found else before[1])


def _function(line: Line) -> tuple[str, str]:
    return line.file, line.function


_MOVES = {"transpose", "reshape", "convert_element_type", "broadcast_in_dim", "squeeze", "copy", "slice"}


def _only_moves(node: Node, parameter: dict[int, str]) -> bool:
    """Whether a node hands on a parameter in another shape or type."""
    return node.primitive in _MOVES and all(
        value.is_literal or parameter.get(value.source.id) or parameter.get(value.id) for value in node.inputs
    )


def _lead_to_parameters(nodes: list[Node], parameter: dict[int, str]) -> set[int]:
    """The nodes from which a later node that reads a parameter can be reached."""
    leads: set[int] = set()
    wanted: set[int] = set()
    for node in reversed(nodes):
        reads = any(value.source.id in parameter or value.id in parameter for value in node.inputs)
        on_way = any(value.id in wanted for value in node.outputs)
        if on_way:
            leads.add(node.id)
        if reads or on_way:
            wanted |= {value.source.id for value in node.inputs} | {value.id for value in node.inputs}
    return leads
