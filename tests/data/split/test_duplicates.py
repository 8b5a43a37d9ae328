"""Oracle: comparing the cells of each pair of rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fathom.data import load
from fathom.data.split.duplicates import twins

CELLS = st.sampled_from([0.0, -0.0, 1.0, 1.0 + 2**-52, float("nan"), 1e300])
WORDS = st.sampled_from(["a", "b", "", "c c"])


def same(one, other):
    return all(a == b or (a != a and b != b) for a, b in zip(one, other, strict=True))


@given(arrays(np.float64, st.tuples(st.integers(2, 12), st.integers(1, 20)), elements=CELLS), st.data())
def test_rows_share_a_number_exactly_where_their_cells_are_equal(cells, data):
    rows = len(cells)
    words = data.draw(st.lists(WORDS, min_size=rows, max_size=rows))
    columns = {f"n{i}": cells[:, i] for i in range(cells.shape[1])}
    columns["n0"] = np.where(np.arange(rows) < 1, 7.5, columns["n0"])  # no column is constant
    table = load({**columns, "w": words, "y": np.arange(rows) % 2}, "y").table
    found = twins(table)
    for i in range(rows):
        first = next(j for j in range(rows) if same(table.numeric[i], table.numeric[j])
                     and (table.categorical[i] == table.categorical[j]).all())  # fmt: skip
        assert found[i] == first


def test_wide_tables_with_a_late_difference():
    cells = np.zeros((4, 100))
    cells[1, 99] = cells[3, 99] = 1.0
    table = load((cells, np.arange(4.0))).table
    assert twins(table).tolist() == [0, 1, 0, 1]
