"""How members are laid out: how many advance together on a device, and what they take of its memory."""

import os
from collections.abc import Sequence
from typing import Any

from ..errors import UsageError

_TOGETHER_BELOW = 4096  # parameters: on a CPU, members smaller than this share a lane
_CPU_WIDTH = 8
_GPU_WIDTH = 256
_MEMORY_SHARE = 0.6


def power_of_two(least: int) -> int:
    """The smallest power of two that is no less: sizes that a few programs share.

    Example:
        >>> power_of_two(1), power_of_two(5), power_of_two(8)
        (1, 8, 8)
    """
    return 1 << max(0, least - 1).bit_length()


def lane_width(platform: str, parameters: int, members: int) -> int:
    """Members that one device advances together.

    On a CPU, members one after another keep a network's arrays in cache; only below about 4,000 parameters
    is the work of one step so small that eight together are faster (measured: 64-32-32-10, 12 against 18
    microseconds a step and member on two cores). A GPU needs all the work at once.

    Args:
        platform: "cpu", "gpu" or "tpu".
        parameters: numbers that a member learns.
        members: members of the cohort on one device.

    Returns:
        A power of two.

    Example:
        >>> lane_width("cpu", 30_000, 64), lane_width("cpu", 3_000, 64), lane_width("cpu", 3_000, 3)
        (1, 8, 4)
    """
    if platform == "cpu":
        limit = _CPU_WIDTH if parameters <= _TOGETHER_BELOW else 1
    else:
        limit = _GPU_WIDTH
    return min(limit, power_of_two(members))


def check_lane_width(width: int) -> int:
    """The width that a user asks for, if it can be one.

    Raises:
        UsageError: if it is not a power of two.
    """
    if isinstance(width, bool) or not isinstance(width, int) or width < 1 or width & (width - 1):
        raise UsageError(f"lane_width={width!r} is not allowed; give a power of two: 1, 2, 4, ...")
    return width


def device_memory(device: Any) -> int:
    """Bytes of memory that a device may fill: its own limit, or the machine's where it shares that."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_memory(needed: int, devices: Sequence[Any]) -> None:
    """Refuse, before anything is compiled, what the devices cannot hold.

    Args:
        needed: bytes of all members and of the examples, over all devices.
        devices: the devices.

    Raises:
        UsageError: saying how much is needed, how much there is, and what to change.
    """
    shared = devices[0].platform == "cpu"
    available = device_memory(devices[0]) * (1 if shared else len(devices))
    allowed = int(available * _MEMORY_SHARE)
    if needed > allowed:
        raise UsageError(
            f"this study needs {needed / 1e9:.1f} GB and the devices allow {allowed / 1e9:.1f} GB; "
            "train fewer members at a time, a smaller width, or fewer folds"
        )
