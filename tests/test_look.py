import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom import look

THIN = look.THIN_SPACE


def plain(text: str) -> str:
    return text.replace(THIN, " ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.974444, "0.974"),
        (0.9996, "1.00"),
        (9.996, "10.0"),
        (0.0, "0.00"),
        (-1.5, "−1.50"),
        (123.4, "123"),
        (1234.5, "1 230"),
        (12345, "12 345"),
        (1.5e7, "1.50e+07"),
        (0.00012345, "0.000123"),
        (0.000012345, "1.23e-05"),
        (math.nan, "none"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert plain(look.format_number(value)) == text


@given(st.floats(min_value=1e-4, max_value=9e5))
def test_a_number_is_written_within_half_a_unit_of_its_third_digit(value):
    written = float(look.format_number(value).replace(THIN, ""))
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    assert abs(written - value) <= 0.51 * unit


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (0.974, 0.008, "0.974 ± 0.008"),
        (0.974, 0.0081, "0.974 ± 0.008"),
        (12.34, 1.234, "12.3 ± 1.2"),
        (0.974, 0.0002, "0.9740 ± 0.0002"),
        (0.0, 0.0123, "0.000 ± 0.012"),
        (1234.5, 321.0, "1 230 ± 320"),
        (0.974, 0.0, "0.974"),
        (0.974, math.nan, "0.974"),
        (math.nan, 0.1, "none"),
    ],
)
def test_uncertainty_has_at_most_two_digits_and_never_reads_as_zero(value, spread, text):
    assert plain(look.format_uncertain(value, spread)) == text


@given(st.floats(0.001, 1000.0), st.floats(1e-6, 1000.0))
def test_both_parts_of_an_uncertain_number_have_the_same_decimals(value, spread):
    left, right = look.format_uncertain(value, spread).split(" ± ")
    assert len(left.partition(".")[2]) == len(right.partition(".")[2])
    assert float(right.replace(THIN, "")) > 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.0001, "<1 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.1 s"),
        (1.44, "1.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (130.0, "2 min 10 s"),
        (3599.9, "1 h"),
        (3661.0, "1 h 1 min"),
        (86399.0, "1 d"),
        (90000.0, "1 d 1 h"),
        (math.nan, "none"),
    ],
)
def test_seconds_are_written_as_a_person_says_them(seconds, text):
    assert plain(look.format_seconds(seconds)) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (3_200_000, "3.2 MB"),
        (9_960_000, "10 MB"),
        (999_999, "1.0 MB"),
    ],
)
def test_bytes_are_in_powers_of_a_thousand(count, text):
    assert plain(look.format_bytes(count)) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.974, "97.4 %"), (1.0, "100 %"), (0.0123, "1.23 %"), (0.0, "0.00 %")]
)
def test_shares_are_percentages(value, text):
    assert plain(look.format_share(value)) == text


def test_settings_are_written_as_typed():
    assert look.format_setting(1e-3) == "0.001"
    assert look.format_setting(True) == "True"
    assert look.format_setting([1e-4, "adam"]) == "0.0001, adam"


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    "color", [look.TRAINING, look.VALIDATION, look.TEST, look.GOOD, look.WARNING, look.BAD]
)
def test_colors_stand_out_from_paper_and_from_a_dark_ground(color):
    # Oracle: the contrast ratio of WCAG 2; 3 is the least for parts of a figure.
    for ground in (1.0, _luminance("#0b0f14")):
        lighter, darker = sorted((_luminance(color), ground), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3.0
