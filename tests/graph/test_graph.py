"""Nodes: shapes, values, operation counts, lines, modules; calls opened and closed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fathom as fm
from fathom.errors import UsageError

from .functions import FUNCTIONS, branches, draw, plain


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_equal_the_function(name):
    """Oracle: the function itself."""
    loss, args = FUNCTIONS[name]()
    graph = fm.trace(loss, *args)
    wanted = jax.tree.leaves(loss(*args))[0]
    np.testing.assert_allclose(graph.values[graph.outputs[0]], wanted, rtol=1e-5)
    for node in graph.nodes:
        for value in node.outputs:
            steps = tuple(loop.params["length"] for loop in node.loops)
            if graph.values[value] is not None:
                assert graph.values[value].shape == steps + value.shape


@pytest.mark.parametrize("name", ["mlp", "jitted_mlp", "plain", "branches", "linen", "nnx_module"])
def test_every_node_has_the_line_of_this_test_suite(name):
    loss, args = FUNCTIONS[name]()
    for node in fm.trace(loss, *args).nodes:
        assert node.line is not None and "test" in node.line.file, node.where


def test_the_line_is_the_line():
    def loss(x):
        y = jnp.sin(x)
        return y.sum()

    first = loss.__code__.co_firstlineno
    graph = fm.trace(loss, jnp.ones(3))
    assert [node.line.number for node in graph.nodes] == [first + 1, first + 2]
    assert graph.at(first + 1)[0].primitive == "sin"


MODULES = {
    "mlp": ["layers[0]", "layers[1]", "layers[2]"],
    "jitted_mlp": ["layers[0]", "layers[1]", "layers[2]"],
    "equinox_batch_norm": ["conv", "norm", "out"],
    "linen": ["Net.Dense_0", "Net.LayerNorm_0", "Net.Dense_1"],
    "nnx_module": ["first", "second"],
}


@pytest.mark.parametrize("name", MODULES)
def test_modules(name):
    loss, args = FUNCTIONS[name]()
    nodes = fm.trace(loss, *args).nodes
    seen = list(dict.fromkeys(node.module for node in nodes))
    assert [module for module in seen if module in MODULES[name]] == MODULES[name]
    assert nodes[-1].module == "", "the loss belongs to no layer"


def test_inputs_are_named_by_their_paths():
    loss, args = plain()
    assert [v.name for v in fm.trace(loss, *args).inputs] == ["params.b", "params.w[0]", "params.w[1]", "x"]
    graph = fm.trace(lambda x, n, *, scale: x[:n] * scale, jnp.ones(3), 2, scale=0.5)
    assert [v.name for v in graph.inputs] == ["x", "scale"], "a whole number is a setting"


COUNTS = [
    (lambda a, b: a @ b, [(2, 3), (3, 5)], 60),
    (lambda a, b: jnp.einsum("bij,bjk->bik", a, b), [(4, 2, 3), (4, 3, 5)], 240),
    (lambda x, k: lax.conv(x, k, (1, 1), "VALID"), [(2, 3, 8, 8), (5, 3, 3, 3)], 2 * 2 * 5 * 36 * 27),
    (lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "VALID", feature_group_count=3),
     [(2, 3, 8, 8), (6, 1, 3, 3)], 2 * 2 * 6 * 36 * 9),
    (lambda x: jnp.tanh(x) + 1, [(4, 5)], 40),
    (lambda x: x.T.reshape(-1), [(4, 5)], 0),
    (lambda x: x.sum(0), [(4, 5)], 15),
    (lambda x: x**3, [(5,)], 10),
    (lambda x: lax.scan(lambda c, u: (c + u, c * u), x[0], x), [(7, 5)], 70),
    (lambda x: lax.cond(x[0] > 0, lambda a: a + 1, lambda a: a * 2 + 1, x), [(5,)], 11),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(COUNTS)))
def test_operations(case):
    """Oracle: closed forms."""
    fn, shapes, count = COUNTS[case]
    graph = fm.trace(fn, *(jnp.ones(shape) for shape in shapes))
    assert graph.operations == count
    assert fm.trace(fn, *(jnp.ones(shape) for shape in shapes), open=False).operations == count


def test_opening_changes_what_is_seen_but_not_what_is_counted():
    loss, args = branches()
    graphs = {str(opened): fm.trace(loss, *args, open=opened) for opened in (None, True, False, 1, "scan")}
    assert len({graph.operations for graph in graphs.values()}) == 1
    assert (
        len(graphs["True"].nodes)
        > len(graphs["None"].nodes)
        > len(graphs["1"].nodes)
        > len(graphs["False"].nodes)
    )
    kinds = {node.kind for node in graphs["scan"].nodes}
    assert {"scan", "call"} <= kinds and "cond" not in kinds
    picked = fm.trace(loss, *args, open=lambda call: call.kind != "remat")
    assert not any(node.kind == "remat" for node in picked.nodes)
    with pytest.raises(UsageError, match=r"open='loop': not a kind of call; use kinds of jit"):
        fm.trace(loss, *args, open="loop")


def test_branches_record_the_one_that_was_taken_and_whiles_their_passes():
    def fn(x):
        y = lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x)
        return lax.while_loop(lambda s: (s < 100).all(), lambda s: s * 2, y)

    graph = fm.trace(fn, jnp.ones(2))
    cond, loop = (next(node for node in graph.nodes if node.kind == kind) for kind in ("cond", "while"))
    taken = int(graph.values[cond.inputs[0]])
    (inside,) = cond.blocks[taken].nodes
    np.testing.assert_allclose(graph.values[inside], np.sin(np.ones(2)), rtol=1e-6)
    (other,) = cond.blocks[1 - taken].nodes
    assert not graph.values[other].any()
    assert graph.values.passes(loop) == 7
    np.testing.assert_allclose(graph.values[loop.blocks[1].nodes[-1]], np.sin(np.ones(2)) * 128, rtol=1e-6)


def test_passes_and_branches_are_counted_by_running():
    """Oracle: by hand. A scan of 4, in it 3 passes of a while, in each 2 of another; conditions count, too."""

    def fn(x):
        def inner(c):
            return lax.while_loop(lambda t: t[1] < 2, lambda t: (t[0] * 2, t[1] + 1), (c, 0))[0]

        def step(c, _):
            return lax.while_loop(lambda s: s[1] < 3, lambda s: (inner(s[0]), s[1] + 1), (c, 0))[0], None

        return lax.scan(step, x, None, length=4)[0]

    graph = fm.trace(fn, jnp.ones(10))
    assert not graph.is_counted
    assert graph.measured_operations == 4 * (3 * (2 * (10 + 1) + 3 + 1) + 4)
    loss, args = FUNCTIONS["lstm"]()
    graph = fm.trace(loss, *args)
    assert graph.is_counted and graph.measured_operations == graph.operations


def test_what_cannot_be_called_is_refused():
    with pytest.raises(UsageError, match="fn=3: it cannot be called"):
        fm.trace(3, jnp.ones(2))


def test_a_closed_over_array_is_a_constant_once():
    table = draw(0, 4, 4)
    graph = fm.trace(lambda x: jax.jit(lambda y: y @ table)(x) @ table, jnp.ones((2, 4)))
    assert len(graph.constants) == 1


def test_random_keys_flow_through():
    def fn(key, x):
        def step(carry, key):
            return carry * jax.random.bernoulli(key, 0.5, x.shape), None

        return lax.scan(step, x, jax.random.split(key, 3))[0].sum()

    graph = fm.trace(fn, jax.random.key(0), jnp.ones(8))
    np.testing.assert_allclose(graph.values[graph.outputs[0]], fn(jax.random.key(0), jnp.ones(8)))
    np.testing.assert_allclose(graph.backward().gradient[1], jax.grad(fn, 1)(jax.random.key(0), jnp.ones(8)))


@pytest.mark.parametrize("by", ["module", "line", "function"])
@pytest.mark.parametrize("name", ["mlp", "branches", "lstm"])
def test_folding_loses_nothing(name, by):
    """Oracle: the sums over the whole graph. A cond counts all of its branches here."""
    loss, args = FUNCTIONS[name]()
    graph = fm.trace(loss, *args, open=("jit", "remat", "scan"))
    folded = graph.fold(by)
    assert sum(group.operations for group in folded.groups) == graph.operations
    assert sum(len(group.nodes) for group in folded.groups) == sum(not node.blocks for node in graph.nodes)
    assert all(edge.source != edge.target and edge.values for edge in folded.edges)


def test_folded_by_module_a_net_is_a_chain():
    loss, args = FUNCTIONS["mlp"]()
    folded = fm.trace(loss, *args).fold("module")
    assert [group.name for group in folded.groups] == ["layers[0]", "layers[1]", "layers[2]", ""]
    assert [(edge.source, edge.target) for edge in folded.edges] == [(0, 1), (1, 2), (2, 3)]
    with pytest.raises(UsageError, match="by='layer' is not known; use one of: module, line, function"):
        fm.trace(loss, *args).fold("layer")
