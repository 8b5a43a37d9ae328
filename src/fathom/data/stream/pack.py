"""How a row of inputs is written on disk: numbers as float32, an input that is only ever 0 or 1 as a bit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


class Unfit(Exception):
    """Inputs that were to be bits are not only 0 and 1.

    Args:
        places: which inputs.
    """

    def __init__(self, places: np.ndarray):
        super().__init__(f"inputs {places.tolist()}")
        self.places = places


@dataclass(frozen=True, eq=False)
class Format:
    """The bytes of a row: inputs that are numbers, the target, the weight, inputs that are bits.

    Attributes:
        numbers: places of the inputs that are written as float32.
        bits: places of the inputs that are written as a bit.
        target: "int32" or "float32".
    """

    numbers: np.ndarray
    bits: np.ndarray
    target: str

    @classmethod
    def of(cls, rows: Mapping[str, np.ndarray]) -> "Format":
        """The format for rows such as these: "x" [rows, inputs], "y" and "weight" [rows]."""
        bits = _binary(rows["x"])
        return cls(np.flatnonzero(~bits), np.flatnonzero(bits), str(rows["y"].dtype))

    def widened(self, places: np.ndarray) -> "Format":
        """The format with some more inputs as numbers."""
        return Format(np.sort(np.append(self.numbers, places)), np.setdiff1d(self.bits, places), self.target)

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return 4 * len(self.numbers) + 8 + -(-len(self.bits) // 8)

    def pack(self, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        """Rows as bytes, uint8 [rows, width]."""
        x, end = rows["x"], 4 * len(self.numbers)
        bits = x[:, self.bits]
        if not (fits := _binary(bits)).all():
            raise Unfit(self.bits[~fits])
        packed = np.empty((len(x), self.width), np.uint8)
        packed[:, :end] = np.ascontiguousarray(x[:, self.numbers]).view(np.uint8).reshape(len(x), end)
        packed[:, end : end + 4] = rows["y"].astype(self.target)[:, None].view(np.uint8)
        packed[:, end + 4 : end + 8] = rows["weight"].astype(np.float32)[:, None].view(np.uint8)
        packed[:, end + 8 :] = np.packbits(bits != 0, axis=1)
        return packed

    def unpack(self, packed: np.ndarray, rows: Mapping[str, np.ndarray]) -> None:
        """Write rows of bytes into arrays "x", "y" and "weight" of as many rows."""
        end = 4 * len(self.numbers)
        rows["x"][:, _run(self.numbers)] = _read(packed[:, :end], np.float32)
        rows["x"][:, _run(self.bits)] = np.unpackbits(packed[:, end + 8 :], axis=1, count=len(self.bits))
        rows["y"][:] = _read(packed[:, end : end + 4], np.dtype(self.target))[:, 0]
        rows["weight"][:] = _read(packed[:, end + 4 : end + 8], np.float32)[:, 0]

    def to_dict(self) -> dict[str, Any]:
        """The format as JSON says it."""
        return {"numbers": self.numbers.tolist(), "bits": self.bits.tolist(), "target": self.target}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> "Format":
        """The format that `to_dict` wrote."""
        numbers, bits = (np.array(written[name], dtype=np.int64) for name in ("numbers", "bits"))
        return cls(numbers, bits, written["target"])


def _binary(x: np.ndarray) -> np.ndarray:
    """Which columns hold only 0 and 1."""
    return ((x == 0) | (x == 1)).all(axis=0)


def _read(packed: np.ndarray, kind: Any) -> np.ndarray:
    return np.ascontiguousarray(packed).view(kind)


def _run(places: np.ndarray) -> Any:
    """The places as a slice where they follow one another, which is faster to write to."""
    if len(places) and places[-1] - places[0] + 1 == len(places):
        return slice(int(places[0]), int(places[-1]) + 1)
    return places
