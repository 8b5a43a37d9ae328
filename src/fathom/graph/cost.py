"""Arithmetic operations of one execution of a primitive, by formula.

An addition, a multiplication, a comparison and a call of exp each count one; a multiply-add counts two, so an
[m, k] by [k, n] product counts 2 m k n. Moving data counts nothing. Positions where a convolution reads padding
are counted like the others (they are computed on most devices); a transposed convolution, which reads zeros put
between its inputs, counts each input with each entry of the filter.
"""

import math
from collections.abc import Callable

import numpy as np

from .nodes import Node

#: Primitives that move data, make indices or draw bits.
MOVES = frozenset(
    (
        *(
            "argsort",
            "bitcast_convert_type",
            "broadcast",
            "broadcast_in_dim",
            "concatenate",
            "convert_element_type",
        ),
        *("copy", "copy_p", "create_token", "device_put", "dynamic_slice", "dynamic_update_slice", "empty"),
        *("empty2", "expand_dims", "gather", "imag", "iota", "layout_constraint", "mesh_cast", "name"),
        *(
            "optimization_barrier",
            "pad",
            "pvary",
            "random_bits",
            "random_clone",
            "random_fold_in",
            "random_seed",
        ),
        *(
            "random_split",
            "random_unwrap",
            "random_wrap",
            "real",
            "reduce_precision",
            "reshape",
            "reshard",
            "rev",
        ),
        *("scatter", "sharding_constraint", "slice", "split", "squeeze", "stop_gradient", "threefry2x32"),
        *("transpose",),
    )
)
_REDUCTIONS = frozenset(
    (
        *("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "reduce_xor"),
        *("argmax", "argmin", "reduce", "psum", "pmax", "pmin"),
    )
)
_SCANNED = frozenset(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"))


def _dot(node: Node) -> int:
    (contract, _), _ = node.params["dimension_numbers"]
    depth = math.prod(node.inputs[0].shape[axis] for axis in contract)
    return 2 * node.outputs[0].size * depth


def _convolution(node: Node) -> int:
    # Every output number reads one filter: its spatial size times the input channels of its group.
    numbers = node.params["dimension_numbers"]
    kernel = node.inputs[1].shape
    depth = math.prod(kernel) // kernel[numbers.rhs_spec[0]]
    count = 2 * node.outputs[0].size * depth // node.params.get("batch_group_count", 1)
    for axis, holes in enumerate(node.params["lhs_dilation"]):
        if holes > 1:
            out = node.outputs[0].shape[numbers.out_spec[2 + axis]]
            taps = kernel[numbers.rhs_spec[2 + axis]]
            count = count * _met(node, axis, out, taps) // max(out * taps, 1)
    return count


def _met(node: Node, axis: int, out: int, taps: int) -> int:
    """How many pairs of an output position and a tap meet an input, along an axis with zeros between inputs."""
    inputs = node.inputs[0].shape[node.params["dimension_numbers"].lhs_spec[2 + axis]]
    holes, before = node.params["lhs_dilation"][axis], node.params["padding"][axis][0]
    stride, spread = node.params["window_strides"][axis], node.params["rhs_dilation"][axis]
    places = np.arange(out)[:, None] * stride + np.arange(taps) * spread - before
    return int(((places % holes == 0) & (places >= 0) & (places <= (inputs - 1) * holes)).sum())


def _cubic(share: float) -> Callable[[Node], int]:
    def count(node: Node) -> int:
        *batch, rows, columns = node.inputs[0].shape
        return round(share * math.prod(batch) * rows * columns * min(rows, columns))

    return count


def _triangular_solve(node: Node) -> int:
    size = node.inputs[0].shape[-1]
    return node.inputs[1].size * size


def _sort(node: Node) -> int:
    axis = node.params["dimension"]
    length = node.inputs[0].shape[axis]
    return node.inputs[0].size * max(1, math.ceil(math.log2(max(length, 1))))


def _window(node: Node) -> int:
    window = math.prod(node.params.get("window_dimensions", (1,)))
    return node.outputs[0].size * max(window - 1, 0)


def _select_and_scatter(node: Node) -> int:
    return node.inputs[0].size * math.prod(node.params.get("window_dimensions", (1,)))


def _integer_power(node: Node) -> int:
    power = abs(node.params["y"])
    # By repeated squaring: one product for each binary digit after the first, one more for each other one.
    products = max(power.bit_length() - 1 + bin(power).count("1") - 1, 0)
    return node.outputs[0].size * (products + (node.params["y"] < 0))


_FORMULAS: dict[str, Callable[[Node], int]] = {
    "dot_general": _dot,
    "conv_general_dilated": _convolution,
    "cholesky": _cubic(1 / 3),
    "lu": _cubic(2 / 3),
    "householder_product": _cubic(4 / 3),
    "geqrf": _cubic(4 / 3),
    "qr": _cubic(4 / 3),
    "eigh": _cubic(9),
    "svd": _cubic(22),
    "triangular_solve": _triangular_solve,
    "sort": _sort,
    "top_k": lambda node: node.inputs[0].size,
    "integer_pow": _integer_power,
    "square": lambda node: node.outputs[0].size,
    "logistic": lambda node: 4 * node.outputs[0].size,
    "reduce_window_sum": _window,
    "reduce_window_max": _window,
    "reduce_window_min": _window,
    "reduce_window": _window,
    "select_and_scatter_add": _select_and_scatter,
    "select_and_gather_add": _select_and_scatter,
    "scatter-add": lambda node: node.inputs[2].size,
    "scatter_add": lambda node: node.inputs[2].size,
    "scatter-mul": lambda node: node.inputs[2].size,
    "clamp": lambda node: 2 * node.outputs[0].size,
}


def operations(node: Node) -> int:
    """Arithmetic operations of one execution of a node.

    A scan counts its length times its body, a cond its dearest branch, a while one pass; a closed call
    counts what is inside of it. A primitive that is not known counts one for each number it computes.

    Args:
        node: the node, its blocks counted already.

    Returns:
        The count.

    Example:
        >>> import fathom as fm, jax.numpy as jnp
        >>> fm.trace(lambda a, b: a @ b, jnp.ones((2, 3)), jnp.ones((3, 5))).operations
        60
    """
    if node.kind == "scan":
        return node.params["length"] * node.blocks[0].operations
    if node.kind == "cond":
        return max(block.operations for block in node.blocks)
    if node.blocks:
        return sum(block.operations for block in node.blocks)
    if node.primitive in MOVES:
        return 0
    if node.primitive in _REDUCTIONS:
        return max(sum(value.size for value in node.inputs[: len(node.outputs)]), 0) - node.outputs[0].size
    if node.primitive in _SCANNED:
        return node.inputs[0].size
    formula = _FORMULAS.get(node.primitive)
    if formula is not None:
        return formula(node)
    return max((value.size for value in node.outputs), default=0)
