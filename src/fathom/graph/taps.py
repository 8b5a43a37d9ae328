"""Layer taps: what goes into each dense or convolutional projection, and the δ of what comes out.

For z = a W the gradient is Σ aᵀ δ, a sum of outer products: the pairs (a, δ) are what Kronecker-factored curvature,
per-example gradients and gradient noise are made of. They are found in the graph, so that nothing needs to be added to
the model: dense layers, the projections of attention, convolutions (as products over patches), inside of scans too.
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from ._jax import scan_counts
from .graph import Graph
from .nodes import Node, Value
from .statistics import run_watched


@dataclasses.dataclass(frozen=True, eq=False)
class Tap:
    """A projection of a graph.

    Its input is laid out as [steps of scans..., batch and positions..., in], its δ as [..., out]; a grouped convolution
    has one more axis, [..., groups, in] and [..., groups, out].

    Attributes:
        node: the product.
        kind: "dense" or "convolution".
        side: which operand of the product the weight is.
        weight: the parameter, an argument or a constant of the function.
        groups: groups of a convolution; 1 for all else.
        size_in: numbers that each output number is made of.
        size_out: output numbers (of each group).
        is_stacked: whether a scan takes one slice of the parameter at each step, as for layers held in one array.
        moves: the nodes between the parameter and the product: transposes and conversions.
    """

    node: Node
    kind: str
    side: int
    weight: Value
    groups: int
    size_in: int
    size_out: int
    is_stacked: bool
    moves: tuple[Node, ...]

    @property
    def name(self) -> str:
        """The parameter's path."""
        return self.weight.name

    def input_of(self, ins: Sequence[Any]) -> Any:
        """The product's data operand as [..., in]."""
        if self.kind == "convolution":
            return self._patches(ins[0])
        contract, _ = self.node.params["dimension_numbers"]
        data, axes = (ins[1], contract[1]) if self.side == 0 else (ins[0], contract[0])
        free = [axis for axis in range(data.ndim) if axis not in axes]
        data = lax.transpose(data, (*free, *axes))
        return data.reshape(*data.shape[: len(free)], self.size_in)

    def delta_of(self, delta: Any) -> Any:
        """δ of the product as [..., out]."""
        if self.kind == "convolution":
            spec = self.node.params["dimension_numbers"].out_spec
            delta = lax.transpose(delta, (spec[0], *spec[2:], spec[1]))
            return self._grouped(delta, self.size_out)
        weight = self.node.inputs[self.side]
        contract, _ = self.node.params["dimension_numbers"]
        free = len(weight.shape) - len(contract[0])
        if self.side == 0:
            delta = lax.transpose(delta, (*range(free, delta.ndim), *range(free)))
        return delta.reshape(*delta.shape[: delta.ndim - free], self.size_out)

    def _grouped(self, x: Any, size: int) -> Any:
        return x if self.groups == 1 else x.reshape(*x.shape[:-1], self.groups, size)

    def _patches(self, x: Any) -> Any:
        params = self.node.params
        numbers = params["dimension_numbers"]
        kernel = self.node.inputs[1].shape
        # Batch and channels first, which is also the order of the patches' own axis: channel, then place.
        x = lax.transpose(x, numbers.lhs_spec)
        found = lax.conv_general_dilated_patches(
            x,
            [kernel[axis] for axis in numbers.rhs_spec[2:]],
            params["window_strides"],
            params["padding"],
            params["lhs_dilation"],
            params["rhs_dilation"],
            precision=lax.Precision.HIGHEST,
        )
        return self._grouped(jnp.moveaxis(found, 1, -1), self.size_in)

    def gradient(self, a: Any, delta: Any) -> Any:
        """The part of the parameter's gradient that comes through this product: the sum of outer products.

        Args:
            a: the tapped input.
            delta: the tapped δ.

        Returns:
            An array of the parameter's shape.
        """
        steps = "s" if self.is_stacked else ""
        group = "g" if self.groups > 1 else ""
        # The scan whose steps take slices is the innermost one around.
        if self.is_stacked:
            axis = len(self.node.loops) - 1
            a, delta = jnp.moveaxis(a, axis, 0), jnp.moveaxis(delta, axis, 0)
        lead = 1 if self.is_stacked else 0
        last = 2 if group else 1

        def flat(x: Any) -> Any:
            return x.reshape(*x.shape[:lead], -1, *x.shape[x.ndim - last :])

        sizes = f"{steps}n{group}i,{steps}n{group}o->{steps}{group}io"
        matrix = jnp.einsum(sizes, flat(a), flat(delta), precision=lax.Precision.HIGHEST)
        if not self.is_stacked:
            return self._to_parameter(matrix).reshape(self.weight.shape)
        # Slices of a reversed scan are still taken from where the step's number says.
        return jnp.stack([self._to_parameter(slice) for slice in matrix]).reshape(self.weight.shape)

    def _to_parameter(self, matrix: Any) -> Any:
        """[in, out] in the axes of the parameter, back through the moves."""
        if self.kind == "convolution":
            spec = self.node.params["dimension_numbers"].rhs_spec
            kernel = self.node.inputs[1].shape
            shape = [kernel[axis] for axis in spec]
            matrix = jnp.swapaxes(matrix, -1, -2).reshape(shape)
            array = lax.transpose(matrix, [int(i) for i in np.argsort(spec)])
        else:
            axes = self.node.params["dimension_numbers"][0][self.side]
            shape = self.node.inputs[self.side].shape
            order = [*axes, *(axis for axis in range(len(shape)) if axis not in axes)]
            array = lax.transpose(
                matrix.reshape([shape[axis] for axis in order]), [int(i) for i in np.argsort(order)]
            )
        for move in reversed(self.moves):
            if move.primitive == "transpose":
                array = lax.transpose(array, [int(i) for i in np.argsort(move.params["permutation"])])
            else:
                array = array.reshape(move.inputs[0].shape)
        return array.astype(self.weight.dtype)


_MOVES = ("transpose", "convert_element_type", "copy", "squeeze", "expand_dims", "reshape")


def _trace_back(value: Value) -> tuple[Value, bool, tuple[Node, ...]] | None:
    """The parameter that a value is, whether it is one slice at a step, and the moves between; None if it is none."""
    moves: tuple[Node, ...] = ()
    is_stacked = False
    while True:
        if value.is_literal:
            return None
        if value.node is not None:
            if value.node.primitive not in _MOVES:
                return None
            moves = (value.node, *moves)
            value = value.node.inputs[0]
        elif value.origin is None:
            return value, is_stacked, moves
        else:
            assert value.holder is not None
            if value.holder.kind == "scan":
                consts, carried = scan_counts(value.holder.equation)
                position = value.holder.blocks[0].inputs.index(value)
                if consts <= position < consts + carried:
                    return None
                is_stacked |= position >= consts
            elif value.holder.kind == "while":
                return None
            value = value.origin


def find_taps(graph: Graph, parameters: int | Sequence[int] | None = None) -> tuple[Tap, ...]:
    """The projections of a graph, in the order of execution.

    A parameter is an argument (or a constant) that a product reads as it is, or transposed; products of data with data,
    such as attention's scores, are none, and neither is a weight with a batch axis.

    Args:
        graph: any graph; what is inside of closed calls is not seen.
        parameters: which arguments hold parameters, by position. None takes any; of two arguments that are
            multiplied with each other (data and the first layer's weight) the parameter is then the one inside of a
            module or container, or the one that comes first.

    Returns:
        The taps.
    """
    chosen = None if parameters is None else {value.id for value in graph.start(parameters)}
    taps = []
    for node in graph.nodes:
        tap = None
        if node.primitive == "dot_general":
            tap = _dense(node, chosen)
        elif node.primitive == "conv_general_dilated" and node.params["batch_group_count"] == 1:
            tap = _convolution(node, chosen)
        if tap is not None:
            taps.append(tap)
    return tuple(taps)


def _source(value: Value, chosen: set[int] | None) -> tuple[Value, bool, tuple[Node, ...]] | None:
    found = _trace_back(value)
    return found if found is not None and (chosen is None or found[0].id in chosen) else None


def _dense(node: Node, chosen: set[int] | None) -> Tap | None:
    contract, (batch, _) = node.params["dimension_numbers"]
    sources = [(side, found) for side in (0, 1) if (found := _source(node.inputs[side], chosen)) is not None]
    if batch or not sources:
        return None
    # Parameters have a path, data mostly not; then what comes first among the arguments.
    side, (weight, is_stacked, moves) = min(
        sources, key=lambda entry: (not any(mark in entry[1][0].name for mark in ".["), entry[1][0].id)
    )
    shape = node.inputs[side].shape
    size_in = math.prod(shape[axis] for axis in contract[side])
    size_out = math.prod(shape) // max(size_in, 1)
    return Tap(node, "dense", side, weight, 1, size_in, size_out, is_stacked, moves)


def _convolution(node: Node, chosen: set[int] | None) -> Tap | None:
    source = _source(node.inputs[1], chosen)
    if source is None:
        return None
    weight, is_stacked, moves = source
    kernel = node.inputs[1].shape
    groups = node.params["feature_group_count"]
    outputs = kernel[node.params["dimension_numbers"].rhs_spec[0]]
    size_in = math.prod(kernel) // outputs
    return Tap(node, "convolution", 1, weight, groups, size_in, outputs // groups, is_stacked, moves)


def tapped(
    graph: Graph,
    taps: Collection[Tap] | None = None,
    *,
    output: int | None = None,
    wrt: int | Sequence[int] | None = None,
) -> Callable[..., Any]:
    """The traced function with its gradient and the (input, δ) pair of every tap.

    A pure function of arrays, for use in a training step and under `jax.jit` or `jax.vmap`. The patches of a
    convolution are made for it: positions times the size of the kernel numbers each.

    Args:
        graph: the graph of a loss.
        taps: which; None for all.
        output: the position of the loss among the outputs; None for the first.
        wrt: arguments by position, for the gradient; None for every floating-point one.

    Returns:
        A function of the same arguments to (result, gradient, pairs): pairs is a list of (input, δ), one for each
        tap; None where no gradient arrives.

    Raises:
        UsageError: if there is no loss to go back from.
    """
    chosen = tuple(find_taps(graph) if taps is None else taps)
    by_node = {tap.node.id: tap for tap in chosen}
    plan = graph.plan(output, wrt)

    def look(node: Node, ins: list[Any], outs: list[Any]) -> Any:
        return by_node[node.id].input_of(ins) if node.id in by_node else None

    def look_back(node: Node, outs: list[Any], sent: list[Any]) -> Any:
        return by_node[node.id].delta_of(outs[0]) if node.id in by_node else None

    def run(*args: Any, **kwargs: Any) -> Any:
        leaves = graph.signature.flatten(args, kwargs)
        result, gradient, records = run_watched(graph, plan, leaves, graph.constants, look, look_back)
        forward, backward = records["forward"], records["backward"]
        pairs = [
            (forward[tap.node.id], backward[tap.node.id]) if tap.node.id in backward else None
            for tap in chosen
        ]
        return result, gradient, pairs

    return run
