"""What one suspicion says."""

import shlex
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: Beyond so many rows, what needs sorting or fitting is looked at on a sample.
SAMPLE_ROWS = 20_000


@dataclass(frozen=True)
class Suspicion:
    """Something about a dataset that may spoil what is learned from it, or how well it seems to be learned.

    Attributes:
        what: the check that found it, a name of `CHECKS`.
        columns: the columns that it is about; () for the rows as a whole.
        said: what was found, with its numbers.
        advice: what to do.
        evidence: the numbers by name.

    Example:
        >>> print(Suspicion("constant", ("unit",), "column 'unit' has one value", "nothing is lost without it"))
        column 'unit' has one value; nothing is lost without it
    """

    what: str
    columns: tuple[str, ...]
    said: str
    advice: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.said}; {self.advice}"

    def to_dict(self) -> dict[str, Any]:
        """The suspicion as JSON-safe values."""
        return {
            "what": self.what,
            "columns": list(self.columns),
            "said": self.said,
            "advice": self.advice,
            "evidence": self.evidence,
        }


def sample(rows: np.ndarray, most: int = SAMPLE_ROWS) -> np.ndarray:
    """At most so many of the rows, in order, drawn with a fixed seed: the same data raises the same suspicions."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def asked(name: str, word: str) -> str:
    """The option that says what a column is, as a shell takes it.

    Example:
        >>> asked("zip", "categorical"), asked("zip code", "ignore")
        ('--columns zip=categorical', "--columns 'zip code=ignore'")
    """
    return f"--columns {shlex.quote(f'{name}={word}')}"


def quoted(names: tuple[str, ...] | list[str], most: int = 5) -> str:
    """The names in quotes, the first ones of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more


def columns_are(names: tuple[str, ...] | list[str], one: str, several: str) -> str:
    """A sentence about one column or several: their names between "column" and what it or they are."""
    return (
        f"column {quoted(names)} {one}"
        if len(names) == 1
        else f"{len(names)} columns ({quoted(names)}) {several}"
    )
