"""Training on data larger than memory: the study's training rows, read in windows from a shuffled copy on disk."""

import dataclasses
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..data import Split
from ..data.stream import Shuffled, Shuffling, StreamedDataset, scratch_folder
from ..engine.feed import Feed
from ..engine.windows import Windows
from ..errors import UsageError
from .inputs import Inputs

FOLDER = "stream"  # of a run, until it is done
_WINDOW_BYTES = 128e6  # every device holds a window, and the host the next: with two devices 384 MB
_EPOCH_ROWS = 1 << 22  # a pass over more rows than this is several epochs


class Streaming:
    """The training rows of a study that stay on disk.

    Args:
        dataset: the data.
        split: the division of its rows in memory.
        inputs: what the study would train on if the rows in memory were all.
        window_rows: about how many rows are in memory at a time; chosen by their size if None.
        epoch_rows: about how many rows an epoch shows; all of them, but at most four million, if None.
        seed: decides the order of the rows, which all members share.
        copies: whether rows with the cells of a test or validation row are left out.

    Raises:
        UsageError: if there are several folds, or a number of rows is not allowed.
    """

    def __init__(
        self,
        dataset: StreamedDataset,
        split: Split,
        inputs: Inputs,
        window_rows: int | None,
        epoch_rows: int | None,
        seed: int,
        copies: bool = False,
    ):
        if split.folds > 1:
            raise UsageError(f"folds={split.folds}: data that is streamed has one division; use folds=1")
        for name, rows in (("window_rows", window_rows), ("epoch_rows", epoch_rows)):
            if rows is not None and (not isinstance(rows, int) or isinstance(rows, bool) or rows < 1):
                raise UsageError(f"{name}={rows!r} is not allowed; give a whole number of rows, 1 or more")
        resident = np.concatenate([split.test, split.validation[0]])
        held = dataset.copies_of(resident) if copies else np.sort(dataset.places[resident])
        self._copies = len(held) - len(resident)
        rows = dataset.labeled - len(held)
        self.shuffling = Shuffling(
            dataset.source,
            inputs.encoders[0],
            held,
            dataset.labeled,
            min(window_rows or _window_rows(inputs.feed), rows),
            seed,
            _weight_scale(dataset, inputs),
        )
        shown = min(epoch_rows or _EPOCH_ROWS, rows)
        self.per_epoch = max(1, round(shown * self.shuffling.windows / rows))
        self._shuffled: Shuffled | None = None
        windows = Windows(
            self.shuffling.group_rows * self.shuffling.window_groups,
            self.per_epoch,
            seed,
            lambda number: self._ready.count(number),
            self._fill,
        )
        self._class_weights = inputs.class_weights
        self.feed = dataclasses.replace(inputs.feed, windows=windows)

    def _fill(self, number: int, arrays: Any) -> None:
        """Read a window, and weigh its rows by their classes where these are weighed."""
        self._ready.fill(number, arrays)
        if self._class_weights is not None:
            arrays["loss_weight"][:] = arrays["weight"] * self._class_weights[arrays["y"]]

    @property
    def _ready(self) -> Shuffled:
        assert self._shuffled is not None, "windows are read after `prepare`"
        return self._shuffled

    @property
    def rows(self) -> int:
        """Rows to train on."""
        return self.shuffling.rows

    @property
    def epochs_of_a_pass(self) -> int:
        """Epochs after which every row was shown."""
        return -(-self.shuffling.windows // self.per_epoch)

    @property
    def settings(self) -> dict[str, Any]:
        """What repeats the order of the rows."""
        return {
            "stream": True,
            "window_rows": self.shuffling.window_rows,
            "epoch_rows": round(self.rows * self.per_epoch / self.shuffling.windows),
        }

    @property
    def note(self) -> str:
        """What a user should hear of it."""
        share = self.per_epoch / self.shuffling.windows
        epoch = "the whole file" if share == 1 else f"{100 * share:.2g} % of the file"
        copies = f"{self._copies:,} more rows of the file have the cells of a test or validation row and are left out"
        return (f"{copies}; " if self._copies else "") + (
            f"an epoch reads {epoch} in {self.per_epoch} window{'s' * (self.per_epoch > 1)} of "
            f"{self.shuffling.window_rows:,} rows; all members share the order of the rows, so the spread over "
            "seeds does not hold it"
        )

    def prepare(self, run: Path | None, tell: Callable[[float], None]) -> None:
        """Shuffle the rows, or take what an earlier start of the run has shuffled.

        Args:
            run: the folder of the run; a scratch folder if None.
            tell: called with the share of the file that is done.
        """
        folder = scratch_folder() if run is None else run / FOLDER
        if run is None:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._shuffled = self.shuffling.shuffle(folder, tell)

    def remove(self) -> None:
        """Delete the shuffled rows, once they are trained on."""
        if self._shuffled is not None:
            self._shuffled.remove()
            self._shuffled = None


def _weight_scale(dataset: StreamedDataset, inputs: Inputs) -> float:
    """What a weight of the file is multiplied by, as it is for the rows in memory."""
    if dataset.weight is None:
        return 1.0
    given = dataset.weight[inputs.rows]
    heaviest = int(given.argmax())
    return float(inputs.feed.examples["weight"][0, heaviest] / given[heaviest])


def _window_rows(feed: Feed) -> int:
    """Rows of a window that nobody asked for; the devices have no say, for they must not change a result."""
    row = sum(int(np.asarray(leaf)[:1, :1].nbytes) for leaf in jax.tree.leaves(feed.examples))
    return max(1, int(_WINDOW_BYTES / row))
