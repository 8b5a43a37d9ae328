"""Any JAX function as a graph: `trace`, and the graph it returns."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from ..errors import UsageError
from .build import Builder, Open, opener
from .executions import executions, operations_run
from .flow import annotate
from .fold import Folded, fold
from .modules import assign_modules
from .nodes import Block, Node, Value
from .plan import Plan, make_plan
from .record import Arrays
from .rule import Rules
from .run import Env, Forward
from .signature import Signature, is_value


@dataclasses.dataclass(eq=False, repr=False)
class Graph:
    """A function as a graph of operations.

    Attributes:
        name: the function's name.
        block: inputs, nodes and outputs at the top; opened calls hold blocks of their own.
        leaves: the arrays that it was traced with, one for each input; shapes where it was traced with shapes.
        constants: the arrays that the function closes over, by value id.
        signature: how inputs make up the arguments.
        results: the structure of the result, and its leaves: None for each output, in order.
    """

    name: str
    block: Block
    leaves: list[Any]
    constants: Env
    signature: Signature
    results: tuple[Any, list[Any]]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node in the order of execution; what is inside of an opened call comes right after it."""
        return tuple(self.block.walk())

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The arrays among the arguments, named by their paths."""
        return self.block.inputs

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The arrays of the result."""
        return self.block.outputs

    @property
    def operations(self) -> int:
        """Arithmetic operations of one call: scans by their length, a cond by its dearest branch, a while once."""
        return self.block.operations

    @property
    def is_counted(self) -> bool:
        """Whether shapes tell the operations: nothing that counts is inside of a while, whose passes they do not."""
        return not any(node.primitive == "while" and node.operations for node in self.nodes)

    @cached_property
    def measured_operations(self) -> int:
        """Arithmetic operations at the arguments the graph was traced with, measured by running it once.

        A while counts the passes that it makes, a cond the branch that is taken.
        """
        return operations_run(self.block, executions(self.block, self.env(self.concrete())))

    @cached_property
    def rules(self) -> Rules:
        """The backward rules of the nodes, traced when first asked for."""
        return Rules()

    def env(self, leaves: Sequence[Any]) -> Env:
        """What a walk starts with: the inputs and the constants, by value id."""
        given = zip(self.inputs, leaves, strict=True)
        return {**self.constants, **{value.id: leaf for value, leaf in given}}

    def concrete(self) -> list[Any]:
        """The arrays the graph was traced with.

        Returns:
            One for each input.

        Raises:
            UsageError: if it was traced with shapes.
        """
        if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in self.leaves):
            raise UsageError(
                f"graph={self.name}: it was traced with shapes, which have no values; trace it with arrays"
            )
        return self.leaves

    @cached_property
    def values(self) -> Arrays:
        """Every forward value, computed when first asked for by one compiled program.

        ``graph.values[node]`` is a node's first output, ``graph.values[node.outputs[1]]`` its second. Inside of a
        scan the steps are leading axes; inside of a branch that was not taken the values are zero; inside of a
        while they are those of the last pass. Memory: every value of the graph at once.
        """

        @jax.jit
        def run(leaves: list[Any], constants: Env) -> Env:
            walk = Forward(keep=lambda value: True)
            env = {**self.env(leaves), **constants}
            walk.run(self.block, env)
            return {**env, **walk.kept}

        return Arrays(run(self.concrete(), self.constants))

    def result(self, outputs: Sequence[Any]) -> Any:
        """Outputs laid out as the function returns them.

        Args:
            outputs: one array for each output.

        Returns:
            The result.
        """
        tree, leaves = self.results
        given = iter(outputs)
        return jax.tree.unflatten(tree, [next(given) if leaf is None else leaf for leaf in leaves])

    @property
    def has_loss(self) -> bool:
        """Whether the first output is a real scalar and an input can be differentiated by."""
        if not self.outputs or not any(value.is_inexact for value in self.inputs):
            return False
        first = self.outputs[0]
        return first.shape == () and first.dtype is not None and jnp.issubdtype(first.dtype, jnp.floating)

    def statistics(self, *args: Any, **choices: Any) -> Any:
        """Mean, spread, norm, zeros, saturation, extremes and non-finite entries of every node and its δ.

        One compiled pass; see `fathom.graph.statistics` for the arguments and `fathom.graph.watch` for the same
        inside of a training step.

        Args:
            *args: names of statistics; every one when left out.
            **choices: further arguments of `fathom.graph.statistics`.

        Returns:
            A `fathom.graph.Statistics`.
        """
        from .statistics import statistics

        return statistics(self, *args, **choices)

    def scalar(self, output: int | None = None) -> Value:
        """The output that a backward pass starts from.

        Args:
            output: its position among the outputs; None for the first, as `jax.value_and_grad` has it.

        Returns:
            The value.

        Raises:
            UsageError: if there is no such output or it is no real scalar.
        """
        position = output or 0
        if not 0 <= position < len(self.outputs):
            raise UsageError(
                f"output={output!r}: {self.name} has {len(self.outputs)} outputs; give a smaller number"
            )
        value = self.outputs[position]
        if value.shape != () or value.dtype is None or not jnp.issubdtype(value.dtype, jnp.floating):
            raise UsageError(
                f"output={position}: {self.name} returns {value.dtype}{list(value.shape)} there; a backward pass "
                "starts from a loss, so reduce it to one floating-point number"
            )
        return value

    def start(self, wrt: int | Sequence[int] | None = None) -> list[Value]:
        """The inputs that a gradient is asked for.

        Args:
            wrt: arguments by position; None for every floating-point one.

        Returns:
            The values.

        Raises:
            UsageError: if an argument is not there or holds no floating-point array.
        """
        chosen = (
            range(len(self.signature.arguments)) if wrt is None else (wrt,) if isinstance(wrt, int) else wrt
        )
        found = []
        for argument in chosen:
            if not 0 <= argument < len(self.signature.arguments):
                raise UsageError(
                    f"wrt={wrt!r}: {self.name} was traced with {len(self.signature.arguments)} arguments; count from 0"
                )
            found += [self.inputs[i] for i in self.signature.arguments[argument] if self.inputs[i].is_inexact]
        if not found:
            raise UsageError(
                f"wrt={wrt!r}: no floating-point array to differentiate by; give one that has some"
            )
        return found

    def plan(self, output: int | None = None, wrt: int | Sequence[int] | None = None) -> Plan:
        """What the backward pass will do, without running it: rules, stored values, operations.

        Args:
            output: the position of the loss among the outputs; None for the first.
            wrt: arguments by position; None for every floating-point one.

        Returns:
            The plan.
        """
        return make_plan(self.block, self.scalar(output), self.start(wrt), self.rules)

    def backward(self, output: int | None = None, wrt: int | Sequence[int] | None = None) -> Any:
        """Walk from the loss back to the inputs; every node's δ = ∂L/∂node.

        Args:
            output: the position of the loss among the outputs; None for the first.
            wrt: arguments by position; None for every floating-point one.

        Returns:
            A `fathom.graph.BackwardPass`.
        """
        from .backward import BackwardPass

        return BackwardPass.run(self, self.plan(output, wrt))

    def cost(self, output: int | None = None, wrt: int | Sequence[int] | None = None) -> Any:
        """What a gradient costs in operations, without running it: shapes are enough.

        Args:
            output: the position of the loss among the outputs; None for the first.
            wrt: arguments by position; None for every floating-point one.

        Returns:
            A `fathom.graph.Cost`.

        Example:
            >>> x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
            >>> trace(lambda x: (x @ x @ x).sum(), x).cost().backward > 4 * 2 * 8**3
            True
        """
        from .backward import cost_of

        return cost_of(self, self.plan(output, wrt))

    def fold(self, by: str = "module") -> Folded:
        """The graph with its nodes gathered into the user's own modules, lines or functions.

        Args:
            by: "module", "line" or "function".

        Returns:
            Groups in the order of execution and the edges between them.

        Raises:
            UsageError: if `by` is something else.
        """
        return fold(self.block, by)

    def at(self, line: int) -> tuple[Node, ...]:
        """The nodes of a source line, by its number."""
        return tuple(node for node in self.nodes if node.line is not None and node.line.number == line)

    def draw(self, path: Any = None, **choices: Any) -> Any:
        """Draw the graph: a picture for a paper, a page for a browser, a tree for a terminal.

        Args:
            path: a file that ends in .svg, .png, .html or .txt; None to write none.
            **choices: what `fathom.graph.draw.Drawing` takes: fold, depth, values, backward, nonfinite, color, width.

        Returns:
            The `fathom.graph.draw.Drawing`; notebooks show it.
        """
        from .draw import Drawing

        drawing = Drawing(self, **choices)
        if path is not None:
            drawing.save(path)
        return drawing

    def __repr__(self) -> str:
        return f"Graph({self.name}: {len(self.nodes)} nodes, {len(self.inputs)} inputs, {self.operations} operations)"


def trace(fn: Callable[..., Any], *args: Any, open: Open | None = None, **kwargs: Any) -> Graph:
    """Any JAX function as a graph: nodes with shapes, operation counts, source lines and modules.

    Nothing is computed: values, adjoints and statistics are, when asked for. Arrays in the arguments, and Python
    floats in plain containers, are inputs; whole numbers, words and functions are settings. A function that
    `jax.jit` has traced before keeps the source lines of that first time.

    Args:
        fn: the function; plain, Equinox, Flax, jitted or not. It may return any tree of arrays.
        *args: its arguments; `jax.ShapeDtypeStruct` may stand for an array whose values are not needed.
        open: which nested calls are opened. None opens all but custom derivatives, whose insides have no gradient
            of their own; True opens all, False none; a whole number opens that many levels; kinds by name
            ("jit", "remat", "scan", "while", "cond", "custom"); or a function of a `fathom.graph.Call`.
        **kwargs: its keyword arguments.

    Returns:
        The graph.

    Raises:
        UsageError: if `open` is not understood or `fn` cannot be called.

    Example:
        >>> import jax.numpy as jnp
        >>> graph = trace(lambda w, x: jnp.tanh(x @ w).sum(), jnp.ones((3, 2)), jnp.ones((4, 3)))
        >>> [node.primitive for node in graph.nodes]
        ['dot_general', 'tanh', 'reduce_sum']
        >>> graph.operations, graph.backward().gradient[0].shape
        (63, (3, 2))
    """
    is_open = opener(open)
    if not callable(fn):
        raise UsageError(f"fn={fn!r}: it cannot be called; give a function and then its arguments")
    signature, leaves = Signature.read(fn, args, kwargs)
    results: list[tuple[Any, list[Any]]] = []

    def run(*moved: Any) -> list[Any]:
        given = signature.fill(moved)
        result = fn(*given[: len(args)], **dict(zip(kwargs, given[len(args) :], strict=True)))
        found, tree_out = jax.tree.flatten(result)
        results.append((tree_out, [None if is_value(leaf) else leaf for leaf in found]))
        return [leaf for leaf in found if is_value(leaf)]

    builder = Builder(is_open)
    block = builder.top(jax.make_jaxpr(run)(*leaves))
    for value, name in zip(block.inputs, signature.names, strict=True):
        value.name = name
    assign_modules(block)
    annotate(block)
    return Graph(
        name=getattr(fn, "__qualname__", type(fn).__name__),
        block=block,
        leaves=leaves,
        constants=builder.constants,
        signature=signature,
        results=results[0],
    )
