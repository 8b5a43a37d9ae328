"""Lanes. Oracles: the rules of the docstrings, for every size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom.engine.cohort import block_lanes
from fathom.engine.lanes import Rules, check_lane_width, lane_width
from fathom.errors import UsageError


@given(
    st.sampled_from(["cpu", "gpu", "tpu"]),
    st.integers(1, 10**8),
    st.integers(1, 5000),
    st.integers(1, 4096),
)
def test_a_lane_is_a_power_of_two_and_wastes_less_than_half(platform, parameters, members, rows):
    width = lane_width(platform, parameters, members, rows)
    assert check_lane_width(width) == width
    assert width < 2 * members
    if platform == "cpu":
        assert width == 1 if parameters * rows > Rules().together_up_to else width <= Rules().width
    else:
        assert width <= 256


@given(st.integers(1, 5000), st.sampled_from([1, 2, 8]), st.integers(1, 4))
def test_a_block_is_a_power_of_two_of_lanes(members, width, devices):
    lanes = block_lanes(members, width, devices)
    assert lanes in (1, 2, 4, 8, 16)
    assert lanes == 16 or lanes * width * devices >= members


@pytest.mark.parametrize("width", [0, -2, 3, 12, True])
def test_other_widths_are_refused(width):
    with pytest.raises(UsageError, match=f"lane_width={width} is not allowed; give a power of two"):
        check_lane_width(width)
