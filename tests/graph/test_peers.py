"""What Fathom and its peers get right on the same functions; docs/graph.md prints these tables.

Oracle for the counts: closed forms. The peers' numbers are golden (`tests/golden/make_graph.py`).
"""

import inspect
import json
from pathlib import Path

import pytest

import fathom as fm

from .peers import CASES, nan_cases

HERE = Path(__file__)
GOLDEN = json.loads((HERE.parents[1] / "golden" / "graph.json").read_text())
DOCS = (HERE.parents[2] / "docs" / "graph.md").read_text()
COUNTERS = ("XLA", "Flax tabulate", "torchinfo", "fvcore", "torch's counter")
FINDERS = ("jax.debug_nans", "checkify")
PRODUCTS = ("dot_general", "conv_general_dilated")


def products(node):
    if node.primitive in PRODUCTS:
        return node.operations * node.times
    return node.operations * node.times if node.kind == "call" else 0


@pytest.mark.parametrize("name", CASES)
def test_fathom_counts_right(name):
    """Oracle: closed forms; a while's passes are measured by running it."""
    case = CASES[name]()
    graph = fm.trace(case.fn, case.params, *case.args)
    if graph.is_counted:
        # Of a cond the dearer branch is taken; its other one is not counted.
        other = 2 * 8 * 64 * 64 if name == "cond" else 0
        assert sum(map(products, graph.nodes)) - other == case.operations
    assert graph.measured_operations == pytest.approx(case.operations, rel=0.08)
    assert fm.summary(case.params, *case.args, call=case.fn).parameters == case.parameters


def cell(found, wanted):
    """Right within what element-wise operations add, or by which factor not."""
    if found is None:
        return ""
    ratio = found / wanted
    return "right" if abs(ratio - 1) < 0.08 else "0" if not found else f"×{ratio:.2f}"


def row(name):
    """A row of the table of counts."""
    case = CASES[name]()
    cells = []
    for tool in COUNTERS:
        found = GOLDEN[tool]["cases"][name]
        text = cell(found["operations"], case.operations)
        if found.get("parameters", case.parameters) != case.parameters:
            text += f", parameters ×{found['parameters'] / case.parameters:.0f}"
        cells.append(text)
    mine = "right, by running it" if name == "while_loop" else "right"
    return f"| {name.replace('_', ' ')} | {mine} | {' | '.join(cells)} |"


@pytest.mark.parametrize("name", CASES)
def test_the_table_of_counts_says_what_was_measured(name):
    assert row(name) in DOCS


def line_of(fn):
    lines, first = inspect.getsourcelines(fn)
    return next((first + i for i, line in enumerate(lines) if "# here" in line), None)


@pytest.mark.parametrize("name", nan_cases())
def test_fathom_finds_each_non_finite_number_and_no_other(name):
    fn, x = nan_cases()[name]
    found = fm.find_nonfinite(fn, x)
    assert found.found == (name != "harmless_mask")
    if found.found:
        assert found.line.number == line_of(fn)
        is_backward = name in ("backward_only", "where_trick", "custom_rule_backward")
        assert found.direction == ("backward" if is_backward else "forward")
    where = {"inside_of_a_scan": ((2,), 0, ()), "inside_of_a_while": ((), 5, ()), "one_member": ((), 0, (2,))}
    if name in where:
        assert (found.step, found.passes, found.index) == where[name]


def nan_row(name):
    """A row of the table of non-finite numbers."""
    cells = []
    for tool in FINDERS:
        said = GOLDEN[tool]["cases"][name]
        if name == "harmless_mask":
            cells.append("false alarm" if said["raised"] else "silent")
        else:
            cells.append("line" if said["line"] else "raised, no line" if said["raised"] else "missed")
    mine = {"harmless_mask": "silent", "inside_of_a_scan": "line and step", "inside_of_a_while": "line and pass",
            "one_member": "line and entry"}.get(name, "line")  # fmt: skip
    return f"| {name.replace('_', ' ')} | {mine} | {' | '.join(cells)} |"


@pytest.mark.parametrize("name", nan_cases())
def test_the_table_of_non_finite_numbers_says_what_was_measured(name):
    assert nan_row(name) in DOCS
