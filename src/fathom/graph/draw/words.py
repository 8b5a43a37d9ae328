"""What is written on the nodes of a drawing."""

import re
from typing import Any

import numpy as np

from ...look import THIN_SPACE, format_number
from .._jax import scan_counts
from ..graph import Graph
from ..nodes import Block, Node, Value

_TREES = ("params", "parameters", "model", "net", "network", "weights", "variables", "module", "state")
_SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "pow": "^", "max": "max", "min": "min"}
_DTYPES = {"float": "f", "int": "i", "uint": "u", "complex": "c", "bfloat": "bf"}


def is_parameter(graph: Graph, value: Value) -> bool:
    """Whether an argument looks like a parameter.

    That is a floating-point array inside of a module or a tree that is the first argument or has a usual name.
    """
    if not value.is_inexact:
        return False
    argument = re.match(r"[^.\[]*", value.name)
    assert argument is not None
    if argument.group() != value.name:
        first = graph.signature.arguments[0] if graph.signature.arguments else ()
        return argument.group() in _TREES or value in [graph.inputs[place] for place in first]
    return False


def dtype_text(dtype: Any) -> str:
    """A data type as JAX writes it in short: f32, i32, bf16, bool, key."""
    name = getattr(dtype, "name", str(dtype))
    if name.startswith("key<"):
        return "key"
    found = re.fullmatch(r"([a-z]+)(\d+)(.*)", name)
    if found is None or found.group(1) not in _DTYPES:
        return name
    return _DTYPES[found.group(1)] + found.group(2) + found.group(3)


def shape_text(value: Value | None) -> str:
    """Data type and shape: ``f32[32,10]``."""
    if value is None or value.dtype is None:
        return ""
    return f"{dtype_text(value.dtype)}[{','.join(map(str, value.shape))}]"


def shapes_text(value: Value | None, node: Node | None) -> str:
    """The same of a node's first result, with how many more it has."""
    more = len(node.outputs) - 1 if node is not None and not node.blocks else 0
    return shape_text(value) + (
        f" +{more}" if more > 0 and node is not None and value in node.outputs else ""
    )


def number_text(value: Value) -> str:
    """A number that is written in the function."""
    number = np.asarray(value.literal)
    if number.ndim or number.dtype.kind not in "fiub":
        return str(value.literal)
    if number.dtype.kind == "f":
        return f"{float(number):.4g}".replace("-", "−")
    return str(number.item()).replace("-", "−")


def title_of(node: Node) -> str:
    """The name of an operation or of the function that is called."""
    name = node.name.strip("_")
    return re.sub(r"\.<locals>|<|>", "", name) if node.kind == "call" else name


def detail_of(node: Node) -> str:
    """What an operation does beyond its name: numbers among its operands, axes, strides."""
    params = node.params
    if node.primitive in _SIGNS and len(node.inputs) == 2 and any(v.is_literal for v in node.inputs):
        left, right = (number_text(v) if v.is_literal else "·" for v in node.inputs)
        sign = _SIGNS[node.primitive]
        return f"{sign}({left}, {right})" if sign in ("max", "min") else f"{left} {sign} {right}"
    if node.primitive == "integer_pow":
        return f"power {params['y']}"
    if node.primitive == "conv_general_dilated":
        return _convolution(node)
    if "axes" in params and isinstance(params["axes"], tuple):
        return f"over {_axes(params['axes'])}"
    if node.primitive == "concatenate":
        return f"along {_axes((params['dimension'],))}"
    if node.primitive == "transpose":
        return f"order {', '.join(map(str, params['permutation']))}"
    return ""


def _axes(axes: tuple[int, ...]) -> str:
    return f"{'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"


def _convolution(node: Node) -> str:
    numbers, strides = node.params["dimension_numbers"], node.params["window_strides"]
    window = [node.inputs[1].shape[axis] for axis in numbers.rhs_spec[2:]]
    text = "×".join(map(str, window))
    if any(stride != 1 for stride in strides):
        text += f", stride {'×'.join(map(str, dict.fromkeys(strides)))}"
    groups = node.params["feature_group_count"]
    return text + (f", {groups} groups" if groups != 1 else "")


def port_words(node: Node, block: Block) -> list[tuple[str, str]]:
    """For each value that comes into a block, the kind and title of its item; ("", "") for what comes straight in."""
    count = len(block.inputs)
    constants, carried = count, 0
    if node.kind == "scan":
        constants, carried = scan_counts(node.equation)
    elif node.kind == "while":
        constants = node.params["cond_nconsts" if block is node.blocks[0] else "body_nconsts"]
        carried = count - constants
    words = [("", "")] * constants
    for place in range(carried):
        made = node.blocks[-1].outputs[place].node
        number = f" {place + 1}" if carried > 1 else ""
        words.append(("carry", f"carried{number}" + (f" from {title_of(made)}" if made is not None else "")))
    for value in block.inputs[constants + carried :]:
        name = value.source.name
        is_named = name and name != "constant"
        words.append(("slice", f"{name}, one step" if is_named else "one step of it"))
    return words


def control_title(node: Node) -> str:
    """The title of a box that holds what is inside of a node."""
    if node.kind == "scan":
        steps = node.params["length"]
        back = ", backward" if node.params["reverse"] else ""
        return f"scan, {steps} step{'' if steps == 1 else 's'}{back}"
    if node.kind == "cond":
        return f"cond, {len(node.blocks)} branches"
    if node.kind == "remat":
        return "remat: computed again going back"
    if node.kind == "custom":
        return f"{title_of(node)}, rule of its own"
    return node.kind


def block_title(node: Node, place: int) -> str:
    """The title of one block of a node with several."""
    if node.kind == "while":
        return ("test", "body")[place]
    if node.kind == "cond" and len(node.blocks) == 2 and _is_truth(node):
        return ("if false", "if true")[place]
    return f"branch {place}"


def _is_truth(node: Node) -> bool:
    made = node.inputs[0].node
    return made is not None and made.primitive == "convert_element_type" and _is_bool(made.inputs[0])


def _is_bool(value: Value) -> bool:
    return getattr(value.dtype, "name", "") == "bool"


def count_text(count: int, unit: str = "") -> str:
    """A large count in three digits: 9.41k, 3.86M, 1.2G.

    Example:
        >>> count_text(940), count_text(9408), count_text(3_857_973_248)
        ('940', '9.41k', '3.86G')
    """
    size = float(count)
    for mark in ("", "k", "M", "G", "T", "P"):
        if size < 999.5 or mark == "P":
            break
        size /= 1000
    text = f"{count}" if not mark else format_number(size)
    return f"{text}{mark}{THIN_SPACE + unit if unit else ''}"
