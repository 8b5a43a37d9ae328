"""Rungs. Oracles: cases by hand, and what must hold for every case."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom.engine import Rung, halving
from fathom.engine.rungs import rung_work, survivors
from fathom.errors import UsageError

SCORES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=32), st.just(math.nan), st.just(math.inf)
)


@pytest.mark.parametrize(
    ("scores", "keep", "rising", "left"),
    [
        ({0: [0.1], 1: [0.9], 2: [0.5]}, 2, True, [1, 2]),
        ({0: [0.1], 1: [0.9], 2: [0.5]}, 2, False, [0, 2]),
        ({0: [0.0, 1.0], 1: [0.6, 0.6], 2: [0.9, 0.1]}, 1, True, [1]),  # by the mean, not by the best
        ({0: [0.9, math.nan], 1: [0.1, 0.1]}, 1, True, [1]),  # a diverged member counts against its candidate
        ({0: [math.nan], 1: [math.inf]}, 1, False, [1]),  # even the worst score is better than none
        ({0: [math.nan], 1: [-math.inf]}, 1, True, [1]),
        ({3: [0.5], 1: [0.5], 2: [0.5]}, 2, True, [1, 2]),  # ties go to the first
        ({0: [1.0]}, 5, True, [0]),
    ],
)
def test_survivors_by_hand(scores, keep, rising, left):
    assert survivors(scores, keep, rising) == left


@given(
    st.dictionaries(st.integers(0, 50), st.lists(SCORES, min_size=1, max_size=3)),
    st.integers(1, 60),
    st.booleans(),
)
def test_the_best_survive(scores, keep, rising):
    left = survivors(scores, keep, rising)
    assert left == sorted(set(left)) and set(left) <= set(scores)
    assert len(left) == min(keep, len(scores))
    mean = {c: sum(values) / len(values) for c, values in scores.items()}
    for gone in set(scores) - set(left):
        for kept in left:
            assert math.isnan(mean[gone]) or not math.isnan(mean[kept])
            if not math.isnan(mean[gone]):
                close = 1e-6 * max(1.0, abs(mean[gone])) if math.isfinite(mean[gone]) else 0.0
                assert mean[kept] >= mean[gone] - close if rising else mean[kept] <= mean[gone] + close


@given(st.integers(1, 500), st.floats(0.05, 0.95), st.integers(1, 20))
def test_halving_drops_and_never_below_the_least(candidates, share, least):
    rungs = halving(candidates, share=share, least=least)
    counts = [candidates, *(rung.keep for rung in rungs)]
    assert counts == sorted(set(counts), reverse=True)
    assert all(rung.keep >= least for rung in rungs)
    work = rung_work(rungs, candidates)
    assert 0 < work <= 1
    assert (work == 1) == (not rungs)


def test_halving_and_its_work_by_hand():
    rungs = halving(64)
    assert rungs == (Rung(0.2, 26), Rung(0.5, 11))
    assert rung_work(rungs, 64) == pytest.approx((64 * 0.2 + 26 * 0.3 + 11 * 0.5) / 64)
    assert halving(4) == ()


@pytest.mark.parametrize(("at", "keep"), [(0.0, 1), (1.0, 1), (math.nan, 1), (0.5, 0)])
def test_an_impossible_rung_is_refused(at, keep):
    with pytest.raises(UsageError, match=r"rung: (at|keep)=.*(is not allowed)"):
        Rung(at, keep)
