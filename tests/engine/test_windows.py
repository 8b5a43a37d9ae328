"""Training on windows of rows. Oracle: the same members trained on rows that are all in memory, in the same order."""

import dataclasses

import jax
import numpy as np
import pytest

from broken_off import Killed, killed_at
from fathom.engine import Rung, cohort
from fathom.engine.checkpoint import Checkpoint
from fathom.engine.cohort import CohortSpec
from fathom.engine.feed import Feed
from fathom.engine.training import Training
from fathom.engine.windows import Windows

from .worlds import bits, net_population, regression

ROWS, GROUPS, BATCH, EPOCHS = 50, 3, 8, 4  # three windows of 17, 17 and 16 rows
TRAIN, HELD = regression(ROWS), regression(12, seed=8)
DATA = jax.tree.map(lambda a, b: np.concatenate([a, b, np.zeros_like(a[:1])]), TRAIN, HELD)
BLANK = ROWS + 12


def place(number):
    """Rows of a window: those of one of three groups, in turn; more than there are windows in an epoch."""
    return np.arange(ROWS)[number % GROUPS :: GROUPS]


def fill(number, arrays):
    rows = place(number)
    for name, array in arrays.items():
        array[: len(rows)] = DATA[name][rows]
        array[len(rows) :] = np.nan  # never read


def weighted(data):
    """A blank row must not count, but these functions know no weights: it is a row of zeros."""
    return jax.tree.map(lambda a: a[None], data)


def streamed_feed(per_epoch):
    windows = Windows(17, per_epoch, 5, lambda number: len(place(number)), fill)
    held = np.arange(ROWS, BLANK, dtype=np.int32)[None]
    return Feed(weighted(DATA), np.zeros((1, 0), np.int32), held, BLANK, windows)


def specs(rates=(0.01, 0.02, 1e30, 0.3), batches=(BATCH,), epochs=EPOCHS, width=2):
    population = net_population(learning_rate=rates)
    found, size = [], len(rates)
    for number, batch in enumerate(batches):
        members = tuple(range(number * size, (number + 1) * size))
        settings = {**population.settings}
        seeds, folds = np.arange(size, dtype=np.uint32), np.zeros(size, np.int32)
        found.append(
            CohortSpec(population.functions, members, settings, seeds, folds, epochs + number, batch, width)
        )
    return found


def train(feed, made, listeners=(), **more):
    groups = {member: member for spec in made for member in spec.members}
    training = Training(made, feed, groups, listeners=listeners, save_every=0.0, **more)
    training.restore()
    training.run()
    return training


def everything(training):
    """What every member ends with, but for where a diverged one waits."""
    kept = [m for m, r in training.records.items() if r.status not in ("dropped", "diverged")]
    return repr(training.records), [bits(training.slot(m)) for m in kept]


def resident_order(feed, per_epoch, epoch, length):
    """The order in which the windows of an epoch show their rows, as rows of the feed that holds them all."""
    orders = []
    for call in range(per_epoch):
        number = epoch * per_epoch + call
        order = feed.windows.order(number, length // per_epoch)
        orders.append(np.append(place(number), [BLANK] * 99)[np.minimum(order, 17)])
        orders[-1][order >= len(place(number))] = BLANK
    return np.concatenate(orders).astype(np.int32)


@pytest.mark.parametrize(("per_epoch", "width"), [(1, 2), (3, 1), (3, 2)])
def test_the_same_bits_as_in_memory(per_epoch, width, monkeypatch):
    feed = streamed_feed(per_epoch)
    streamed = train(feed, specs(width=width))
    length = feed.steps(BATCH) * BATCH

    def order(host, seed, fold, epoch, asked):
        assert asked == length
        return resident_order(feed, per_epoch, epoch, length)

    monkeypatch.setattr(cohort, "epoch_order", order)
    rows = np.resize(np.arange(ROWS), length).astype(np.int32)[None]  # as many as an epoch shows
    resident = train(dataclasses.replace(feed, windows=None, train=rows), specs(width=width))
    assert everything(streamed) == everything(resident)
    assert {record.status for record in streamed.records.values()} == {"diverged", "finished"}


def test_every_row_once_and_blank_rows_between():
    windows = streamed_feed(3).windows
    for number in range(6):
        order = windows.order(number, 24)
        counts = np.bincount(order, minlength=18)
        count = len(place(number))
        assert (counts[:count] == 1).all() and counts[17] == 24 - count
    assert not np.array_equal(windows.order(0, 24), windows.order(3, 24))
    np.testing.assert_array_equal(windows.order(1, 24), streamed_feed(1).windows.order(1, 24))


def test_a_window_is_read_once_for_all_cohorts():
    read = []

    def counting(number, arrays):
        read.append(number)
        fill(number, arrays)

    feed = streamed_feed(2)
    feed = dataclasses.replace(feed, windows=dataclasses.replace(feed.windows, fill=counting))
    train(feed, specs(batches=(8, 4), epochs=3))  # one cohort trains 3 epochs, the other 4
    assert read == list(range(4 * 2 + 1))  # and one ahead


@pytest.mark.parametrize("calls", [1, 2, 4, 7, 9])
def test_broken_off_and_resumed(calls, tmp_path):
    more = {"rungs": (Rung(0.5, 2),), "patience": dict.fromkeys(range(8), 2.0)}
    made = specs((0.01, 0.02, 0.3, 0.06), batches=(8, 4))
    whole = train(streamed_feed(3), made, checkpoint=Checkpoint(tmp_path / "whole"), **more)
    kill, store = killed_at("saving", calls + 1), Checkpoint(tmp_path / "killed")
    with pytest.raises(Killed):
        train(streamed_feed(3), made, [kill], checkpoint=store, **more)
    resumed = train(streamed_feed(3), made, checkpoint=store, **more)
    assert everything(resumed) == everything(whole)


def test_the_reports_of_an_epoch_are_the_same_after_a_resume(tmp_path):
    def losses(event):
        if event["event"] == "epoch":
            told.append(event["report"].train["loss"])

    told = []
    train(streamed_feed(3), specs(), [losses])
    whole, told = told, []
    store = Checkpoint(tmp_path)
    with pytest.raises(Killed):
        train(streamed_feed(3), specs(), [losses, killed_at("window", 4)], checkpoint=store)
    train(streamed_feed(3), specs(), [losses], checkpoint=store)
    np.testing.assert_array_equal(whole, told)


def test_an_error_while_reading_ends_the_run():
    def broken(number, arrays):
        if number == 2:
            raise OSError("the disk is gone")
        fill(number, arrays)

    feed = streamed_feed(2)
    feed = dataclasses.replace(feed, windows=dataclasses.replace(feed.windows, fill=broken))
    with pytest.raises(OSError, match="the disk is gone"):
        train(feed, specs())


def test_what_windows_take_of_memory():
    feed = streamed_feed(2)
    assert feed.nbytes == 2 * (17 + 1 + 12) * 4 * 4  # two windows with the blank row and the validation rows
    assert (feed.calls, feed.steps(8), feed.call_steps(8), feed.batch_rows(99)) == (2, 6, 3, 17)
