"""Rows as bytes. Oracle: what was written."""

import numpy as np
import pytest

from fathom.data.stream.pack import Format, Unfit


def rows(count=20, kind=np.int32):
    random = np.random.default_rng(3)
    x = random.normal(size=(count, 6)).astype(np.float32)
    x[:, [1, 4, 5]] = x[:, [1, 4, 5]] > 0
    return {
        "x": x,
        "y": np.arange(count).astype(kind),
        "weight": random.uniform(size=count).astype(np.float32),
    }


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_what_is_packed_comes_back(kind):
    written = rows(kind=kind)
    form = Format.of(written)
    assert (form.numbers.tolist(), form.bits.tolist(), form.width) == ([0, 2, 3], [1, 4, 5], 3 * 4 + 8 + 1)
    read = {name: np.full_like(array, 7) for name, array in written.items()}
    form.unpack(form.pack(written), read)
    for name, array in written.items():
        np.testing.assert_array_equal(read[name], array)
    assert Format.from_dict(form.to_dict()).to_dict() == form.to_dict()


def test_what_is_no_bit_is_told_and_can_be_a_number():
    first, later = rows(), rows()
    later["x"][3, 4] = 0.5
    form = Format.of(first)
    with pytest.raises(Unfit) as caught:
        form.pack(later)
    wider = form.widened(caught.value.places)
    assert wider.bits.tolist() == [1, 5]
    read = {name: np.zeros_like(array) for name, array in later.items()}
    wider.unpack(wider.pack(later), read)
    np.testing.assert_array_equal(read["x"], later["x"])


@pytest.mark.parametrize("columns", [[0, 2, 3], [1, 4, 5]])
def test_all_numbers_or_all_bits(columns):
    written = rows()
    written["x"] = np.ascontiguousarray(written["x"][:, columns])
    form = Format.of(written)
    read = {name: np.zeros_like(array) for name, array in written.items()}
    form.unpack(form.pack(written), read)
    np.testing.assert_array_equal(read["x"], written["x"])
