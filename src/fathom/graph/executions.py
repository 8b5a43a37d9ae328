"""How often each node of a graph is executed at the arguments it was traced with: what shapes do not tell."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .measure import to_host
from .nodes import Block, Node
from .run import Env, Forward


def executions(block: Block, env: Env) -> dict[int, int]:
    """How often each node is executed: every step of a scan, every pass of a while, the branch that is taken.

    Args:
        block: the graph's block.
        env: its inputs and constants, by value id.

    Returns:
        The number for each node id; what is inside of a while's condition is left out.
    """

    def look(node: Node, ins: list[Any], outs: list[Any]) -> Any:
        return jnp.int32(1)

    @jax.jit
    def run(env: Env) -> Any:
        walk = Forward(look, merge=lambda before, now: jax.tree.map(jnp.add, before, now))
        walk.run(block, dict(env))
        return walk.records

    return {key: int(np.sum(count)) for key, count in to_host(run(env)).items()}


def operations_run(block: Block, count: dict[int, int]) -> int:
    """Arithmetic operations of a block whose nodes are executed so often.

    Args:
        block: the graph's block.
        count: `executions`.

    Returns:
        The operations; a closed call counts as its shapes tell.
    """
    total = 0
    for node in block.nodes:
        if not node.blocks:
            total += node.operations * count.get(node.id, 0)
        elif node.kind == "while":
            test, body = node.blocks
            # The condition is tried once before each pass and once more at the end.
            passes = max((count.get(inner.id, 0) for inner in body.nodes), default=0)
            total += test.operations * (passes + count.get(node.id, 0)) + operations_run(body, count)
        else:
            total += sum(operations_run(inner, count) for inner in node.blocks)
    return total
