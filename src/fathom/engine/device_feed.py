"""A feed's arrays on the devices: all of them, or the window of rows that is trained on now."""

import concurrent.futures
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from .feed import Feed, aligned
from .program import device_mesh, put
from .work import REPLICATED


class DeviceFeed:
    """What the programs read, on every device.

    Where the feed has windows, the examples are the rows of one of them, a blank row, and the validation rows;
    until `hold` has read one they are shapes.

    Args:
        feed: the feed.
        devices: the devices.
    """

    def __init__(self, feed: Feed, devices: Sequence[Any]):
        self.host = feed
        self._mesh = device_mesh(tuple(devices))
        self._reader = concurrent.futures.ThreadPoolExecutor(1, "fathom-window")
        self._coming: tuple[int, concurrent.futures.Future[Any]] | None = None
        self._number = -1
        validation = feed.validation
        if feed.windows is None:
            self.examples = jax.tree.map(lambda a: self._put(np.asarray(a)), feed.examples)
        else:
            self.examples = self._shapes()
            if validation is not None:
                validation = np.arange(validation.size)[None] + feed.windows.rows + 1
        self.validation = None if validation is None else self._put(validation.astype(np.int32))

    def hold(self, number: int) -> None:
        """Bring a window to the devices and begin to read the next; nothing to do without windows."""
        if self.host.windows is None or number == self._number:
            return
        coming = self._coming
        if coming is None or coming[0] != number:
            self.let_go()
            coming = (number, self._reader.submit(self._read, number))
        read = coming[1].result()
        self.examples = None  # frees the last window before there is a third
        self.examples = jax.block_until_ready(jax.tree.map(self._put, read))
        self._number = number
        del read, coming
        self._coming = (number + 1, self._reader.submit(self._read, number + 1))

    def let_go(self) -> None:
        """Free the windows; `hold` reads them again."""
        if self._coming is not None:
            concurrent.futures.wait([self._coming[1]])
            self._coming = None
        if self.host.windows is not None:
            self.examples, self._number = self._shapes(), -1

    def _put(self, array: Any) -> Any:
        return put(self._mesh, array, REPLICATED)

    def _size(self) -> tuple[int, int]:
        """Rows of a window, and rows on the devices in all."""
        windows, validation = self.host.windows, self.host.validation
        assert windows is not None
        return windows.rows, windows.rows + 1 + (0 if validation is None else validation.size)

    def _shapes(self) -> Any:
        sharding, (_, size) = NamedSharding(self._mesh, REPLICATED), self._size()

        def shape(a: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((1, size, *a.shape[2:]), a.dtype, sharding=sharding)

        return jax.tree.map(shape, self.host.examples)

    def _read(self, number: int) -> Any:
        """A window on the host, [1, rows, ...]: never written to again, for a device may read it in place."""
        windows, (rows, size) = self.host.windows, self._size()
        assert windows is not None
        arrays = jax.tree.map(lambda a: aligned((1, size, *a.shape[2:]), a.dtype), self.host.examples)
        windows.fill(number, jax.tree.map(lambda a: a[0, :rows], arrays))
        validation = self.host.validation
        held = np.array([self.host.blank] if validation is None else [self.host.blank, *validation[0]])

        def rest(array: Any, example: Any) -> None:
            array[0, rows:] = example[0, held]

        jax.tree.map(rest, arrays, self.host.examples)
        return arrays
