"""The order of the rows. Oracle: counting them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom.engine.feed import Feed, epoch_order
from fathom.errors import UsageError


def feed_of(rows, blank=False):
    train = np.arange(rows, dtype=np.int32)[None]
    return Feed({"x": np.zeros((1, rows + blank, 1))}, train, None, rows if blank else None)


@given(
    rows=st.integers(1, 60),
    batch=st.integers(1, 70),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 99),
)
def test_every_row_once_and_the_rest_blank(rows, batch, seed, epoch):
    feed = feed_of(rows, blank=True)
    length = feed.steps(batch) * feed.batch_rows(batch)
    order = epoch_order(feed, seed, 0, epoch, length)
    assert len(order) == length >= rows
    counts = np.bincount(order, minlength=rows + 1)
    assert (counts[:rows] == 1).all()
    assert counts[rows] == length - rows


@given(rows=st.integers(1, 60), batch=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
def test_without_a_blank_row_an_epoch_ends_with_its_own_start(rows, batch, seed):
    feed = feed_of(rows)
    length = feed.steps(batch) * feed.batch_rows(batch)
    order = epoch_order(feed, seed, 0, 3, length)
    assert sorted(order[:rows]) == list(range(rows))
    np.testing.assert_array_equal(order[rows:], order[: length - rows])


def test_order_depends_on_seed_fold_and_epoch_alone():
    feed = Feed({"x": np.zeros((1, 90, 1))}, np.stack([np.arange(45), np.arange(45)]).astype(np.int32), None)
    orders = {
        (seed, fold, epoch): tuple(epoch_order(feed, seed, fold, epoch, 45))
        for seed in (0, 1)
        for fold in (0, 1)
        for epoch in (0, 1)
    }
    assert len(set(orders.values())) == 8
    assert orders == {key: tuple(epoch_order(feed, *key, 45)) for key in orders}


def test_validation_rows_follow_the_training_rows():
    feed = Feed.of({"x": np.arange(4.0)}, {"x": np.arange(4.0, 6.0)})
    np.testing.assert_array_equal(feed.examples["x"], [[0, 1, 2, 3, 4, 5]])
    np.testing.assert_array_equal(feed.train, [[0, 1, 2, 3]])
    np.testing.assert_array_equal(feed.validation, [[4, 5]])
    assert feed.nbytes == 48


@pytest.mark.parametrize("size", [0, -1, True])
def test_batch_size_is_checked(size):
    with pytest.raises(UsageError, match=f"batch_size={size} is not allowed"):
        feed_of(5).steps(size)


def test_a_batch_is_no_larger_than_the_rows():
    assert (feed_of(5).steps(32), feed_of(5).batch_rows(32)) == (1, 5)
    assert (feed_of(33).steps(32), feed_of(33).batch_rows(32)) == (2, 32)
