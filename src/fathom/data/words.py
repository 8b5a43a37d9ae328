"""Free text and rare categories as a fixed number of inputs: hashed into buckets, the same in every process."""

import re
import zlib
from collections.abc import Iterable

import numpy as np

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """The words of a text, in lower case: runs of letters and digits.

    Example:
        >>> words("Win a PRIZE, call 0800-123!")
        ['win', 'a', 'prize', 'call', '0800', '123']
    """
    return _WORD.findall(text.lower())


def bucket(text: str, buckets: int) -> int:
    """The bucket of a text among `buckets`: its CRC-32, which no process or machine draws otherwise.

    Example:
        >>> bucket("dog", 16), bucket("cat", 16)
        (15, 4)
    """
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) % buckets


def word_buckets(texts: Iterable[str | None], buckets: int) -> np.ndarray:
    """How often each bucket's words occur in each text (Weinberger et al., 2009, arXiv:0902.2206, unsigned).

    Args:
        texts: one a row; None has no words.
        buckets: how many inputs the words share.

    Returns:
        float32 [rows, buckets]. Cost: one hash for each different word.

    Example:
        >>> word_buckets(["a b a", None], 4).sum(axis=1).tolist()
        [3.0, 0.0]
    """
    known: dict[str, int] = {}
    rows, places = [], []
    count = 0
    for row, text in enumerate(texts):
        count = row + 1
        for word in words(text) if text else ():
            place = known.get(word)
            if place is None:
                place = known[word] = bucket(word, buckets)
            rows.append(row)
            places.append(place)
    flat = np.array(rows, dtype=np.int64) * buckets + np.array(places, dtype=np.int64)
    return np.bincount(flat, minlength=count * buckets).reshape(count, buckets).astype(np.float32)
