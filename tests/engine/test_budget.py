"""Budgets as users write them. Oracle: the numbers that made the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom.engine import Budget
from fathom.errors import UsageError

UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600}
SPACE = st.sampled_from(["", " ", "  "])


@given(st.integers(1, 10**6), st.integers(0, 999), st.sampled_from(sorted(UNITS)), SPACE, st.booleans())
def test_times(whole, part, unit, space, upper):
    written = f"{whole}.{part:03d}{space}{unit}"
    budget = Budget.parse(written.upper() if upper else written)
    assert budget.kind == "seconds"
    assert budget.amount == pytest.approx((whole + part / 1000) * UNITS[unit])
    assert Budget.parse(str(budget)).amount == pytest.approx(budget.amount, rel=1e-12)


@given(st.integers(1, 10**6), st.sampled_from(["member", "epoch"]), st.booleans(), SPACE)
def test_counts(count, word, plural, space):
    budget = Budget.parse(f" {count}{space}{word}{'s' * plural} ")
    assert budget == Budget(f"{word}s", count)
    assert Budget.parse(budget) is budget
    assert Budget.parse(str(budget)) == budget


@given(st.floats(1e-3, 1e9))
def test_numbers_are_seconds(seconds):
    assert Budget.parse(seconds) == Budget("seconds", seconds)


@pytest.mark.parametrize(
    "wrong", ["", "0s", "-5m", "5 parsecs", "1e3s", "0 members", "members", 0, -1, True, float("inf")]
)
def test_anything_else_is_refused(wrong):
    with pytest.raises(UsageError, match=r"budget=.* is not allowed; write a time \(60s, 5m, 1h\)"):
        Budget.parse(wrong)


@given(st.text(max_size=12))
def test_no_text_does_anything_but_parse_or_refuse(text):
    try:
        assert 0 < Budget.parse(text).amount < float("inf")
    except UsageError as error:
        assert "\n" not in str(error)
