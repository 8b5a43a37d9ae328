"""How members are laid out: how many advance together on a device."""

import dataclasses
import functools
import json
import os
from pathlib import Path

from ..errors import UsageError, one_of
from ..process import cache_folder
from .packing import LIMITS

_GPU_WIDTH = 256
_FILE = "calibration.json"
#: What the devices divide among them.
SHARDS = ("members", "batch")


@dataclasses.dataclass(frozen=True)
class Rules:
    """What the planner chooses by a network's size, on a CPU.

    Measured as it stands on two cores (docs/planner.md); `fathom info --calibrate` measures it on another machine.

    Attributes:
        together_up_to: parameters times rows of a batch up to which members share a lane.
        width: members in such a lane.
        packed: how small arrays become one vector, as `Packing.of` takes it.
    """

    together_up_to: int = 400_000
    width: int = 8
    packed: tuple[int, int] = LIMITS

    @property
    def calibrated(self) -> bool:
        """Whether they were measured on this machine and came out other than they stand."""
        return self != Rules()


def rules_file() -> Path:
    """Where calibrated rules are kept: with the compiled programs for this processor and version of jaxlib."""
    return cache_folder(os.environ) / _FILE


def rules() -> Rules:
    """The planner's rules: those measured on this machine, if they were, or as they stand.

    Example:
        >>> Rules().width
        8
    """
    return _read(rules_file())


@functools.cache
def _read(path: Path) -> Rules:
    """What a process goes by from its first look to its end."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["rules"]
        first, second = map(int, found["packed"])
        return Rules(int(found["together_up_to"]), check_lane_width(found["width"]), (first, second))
    except (OSError, ValueError, KeyError, TypeError, UsageError):  # not there, or not to be relied on
        return Rules()


def power_of_two(least: int) -> int:
    """The smallest power of two that is no less: sizes that a few programs share.

    Example:
        >>> power_of_two(1), power_of_two(5), power_of_two(8)
        (1, 8, 8)
    """
    return 1 << max(0, least - 1).bit_length()


def lane_width(platform: str, parameters: int, members: int, rows: int = 32) -> int:
    """Members that one device advances together.

    On a CPU, members one after another keep a network's arrays and what it computes in cache; only where a step is so
    small that the steps between the products count are eight together faster (`Rules`). A GPU needs all the work at
    once.

    Args:
        platform: "cpu", "gpu" or "tpu".
        parameters: numbers that a member learns.
        members: members of the cohort on one device.
        rows: of a batch.

    Returns:
        A power of two.

    Example:
        >>> lane_width("cpu", 30_000, 64), lane_width("cpu", 3_000, 64), lane_width("cpu", 3_000, 3)
        (1, 8, 4)
        >>> lane_width("cpu", 3_000, 64, rows=256)
        1
    """
    if platform == "cpu":
        limit = rules().width if parameters * rows <= rules().together_up_to else 1
    else:
        limit = _GPU_WIDTH
    return min(limit, power_of_two(members))


def check_shard(shard: str) -> str:
    """What devices divide among them, if they can.

    Raises:
        UsageError: if it is neither members nor batches.
    """
    if shard not in SHARDS:
        raise one_of("shard", shard, SHARDS)
    return shard


def check_lane_width(width: int) -> int:
    """The width that a user asks for, if it can be one.

    Raises:
        UsageError: if it is not a power of two.
    """
    if isinstance(width, bool) or not isinstance(width, int) or width < 1 or width & (width - 1):
        raise UsageError(f"lane_width={width!r} is not allowed; give a power of two: 1, 2, 4, ...")
    return width
