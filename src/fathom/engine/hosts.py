"""The processes that train together: their devices, what is fetched from all of them, what they agree on.

They meet through `jax.distributed`. Every process runs the same program on the same data and holds the members of its
own devices; what a process decides follows from numbers that all of them have, so that all decide the same. They
talk only where something is fetched, as one buffer of bytes, however many arrays it holds. With one process
nothing here talks to anyone.
"""

import atexit
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from ..errors import FathomError, RunError, UsageError
from ..process import fail
from .lanes import power_of_two

_PIECE = 1 << 26  # bytes sent at a time: each device holds those of every process
_LEAST = 1 << 12  # so that small reports of all sizes are sent by one program
_SENTENCE = 4000


class _Clock:
    """When the processes last met, on the clock of process 0."""

    met = 0.0


_clock = _Clock()


def alone() -> bool:
    """Whether there is no other process."""
    return jax.process_count() == 1


def first() -> bool:
    """Whether this is process 0, which writes the files and prints."""
    return jax.process_index() == 0


def devices() -> tuple[Any, ...]:
    """The devices of all processes, those of a process side by side.

    Raises:
        UsageError: if the processes have different numbers of devices.
    """
    found = sorted(jax.devices(), key=lambda device: device.process_index)
    if len(found) != jax.process_count() * jax.local_device_count():
        raise UsageError(
            f"processes={jax.process_count()} have {len(found)} devices, not {jax.local_device_count()} each as "
            f"process={jax.process_index()} has; give each process the same number"
        )
    return tuple(found)


def now() -> float:
    """Seconds on a clock that reads the same on every process: that of process 0, when they last met."""
    return time.monotonic() if alone() else _clock.met


def agree(*numbers: float) -> tuple[float, ...]:
    """What process 0 has: its clock decides for all.

    Example:
        >>> agree(0.25, 3)
        (0.25, 3.0)
    """
    return tuple(each(*numbers)[0].tolist())


def each(*numbers: float) -> np.ndarray:
    """The numbers of every process, float64 [processes, numbers]."""
    mine = np.array(numbers, np.float64)
    return mine[None] if alone() else _gather(mine.view(np.uint8)).view(np.float64)


def everywhere(here: bool) -> bool:
    """Whether something holds on every process."""
    return bool(each(here).all())


def meet() -> None:
    """Wait for every process."""
    each()


def check_alike(*described: object) -> None:
    """See that all processes are about to do the same.

    Raises:
        RunError: if they are not.
    """
    digest = hashlib.sha256(repr(described).encode()).digest()
    if len(set(each(int.from_bytes(digest[:6]))[:, 0].tolist())) > 1:
        raise RunError(
            "the processes are about to train different things; give each the same data, settings, version of Fathom "
            "and calibration (fathom info)"
        )


def check_same(found: float, folder: Path) -> None:
    """Wait until every process has read a folder, and see that all have found the same there.

    Raises:
        RunError: if they have not.
    """
    if len(set(each(found)[:, 0].tolist())) > 1:
        raise RunError(
            f"folder={str(folder)!r} is not the same on every process; keep it where all of them see it, or go on "
            "with one process"
        )


def on_first(work: Callable[[], Any]) -> None:
    """Do something on process 0 alone; where it is refused there, it is refused on every process.

    Raises:
        RunError: the sentence of what process 0 raised; with one process, what it raised.
    """
    if alone():
        work()
        return
    refused = None
    if first():
        try:
            work()
        except FathomError as error:
            refused = error
    sentence = str(refused or "").encode()[:_SENTENCE].ljust(_SENTENCE, b"\0")
    said = _gather(np.frombuffer(sentence, np.uint8))[0].tobytes().rstrip(b"\0").decode(errors="ignore")
    if said:
        raise RunError(said) from refused


def fetch(tree: Any) -> Any:
    """Arrays that are split over the devices along their first axis, whole, on the host of every process.

    Args:
        tree: pytree of `jax.Array`, or of what is on the hosts already; the same one on every process.

    Returns:
        The same tree of NumPy arrays.
    """
    leaves, structure = jax.tree.flatten(tree)
    if alone():
        return jax.device_get(tree)
    if all(isinstance(leaf, np.ndarray) or leaf.is_fully_replicated for leaf in leaves):
        found = jax.device_get(tree)
        meet()  # so that the clock goes on; afterwards, because two programs that both talk may not run side by side
        return found
    mine = [_local(leaf) for leaf in leaves]
    whole = _gather(np.concatenate([part.reshape(-1).view(np.uint8) for part in mine]))
    found, start = [], 0
    for part in mine:
        bytes_of_it = np.ascontiguousarray(whole[:, start : start + part.nbytes])
        shape = (len(whole) * part.shape[0], *part.shape[1:])
        found.append(bytes_of_it.reshape(-1).view(part.dtype).reshape(shape))
        start += part.nbytes
    return jax.tree.unflatten(structure, found)


def drain(arrays: Sequence[Any]) -> list[np.ndarray]:
    """What `fetch` gives, of arrays that are large: JAX keeps a copy of what it has fetched from several devices."""
    if not alone():
        return fetch(list(arrays))
    return [array if isinstance(array, np.ndarray) else _local(array) for array in arrays]


def _local(array: jax.Array) -> np.ndarray:
    """The part of an array that is on this process's devices; all of it where each device has all."""
    if array.is_fully_replicated:
        return np.asarray(array.addressable_data(0))
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.ascontiguousarray(np.concatenate([np.asarray(shard.data) for shard in shards]))


def _gather(mine: np.ndarray) -> np.ndarray:
    """The bytes of every process, uint8 [processes, bytes], and the time on the clock of process 0."""
    stamp = np.frombuffer(np.float64(time.monotonic()).tobytes(), np.uint8)
    sent = np.concatenate([stamp, mine])
    try:
        pieces = [_send(sent[start : start + _PIECE]) for start in range(0, len(sent), _PIECE)]
    except (ValueError, RuntimeError) as error:  # what JAX makes of a broken connection
        atexit.register(fail, 1)  # a farewell would wait for the one that is gone
        raise RunError(
            f"process={jax.process_index()} lost another process; see what that one said, then go on from the last "
            "save, with any number of processes"
        ) from error
    whole = np.concatenate(pieces, 1)
    _clock.met = float(whole[0, :8].copy().view(np.float64)[0])
    return np.ascontiguousarray(whole[:, 8:])


def _send(piece: np.ndarray) -> np.ndarray:
    """A piece of every process, sent in a buffer of one of few sizes, so that few programs send all."""
    room = np.zeros(power_of_two(max(_LEAST, len(piece))), np.uint8)
    room[: len(piece)] = piece
    return multihost_utils.process_allgather(room)[:, : len(piece)]
