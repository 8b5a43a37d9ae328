"""A budget as the user writes it: a time, a number of members, or a number of epochs."""

import dataclasses
import re

from ..errors import UsageError

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h)")
_COUNT = re.compile(r"(\d+)\s*(member|epoch)s?")


@dataclasses.dataclass(frozen=True)
class Budget:
    """What a study may cost.

    Attributes:
        kind: "seconds", "members" or "epochs".
        amount: how much.
    """

    kind: str
    amount: float

    @classmethod
    def parse(cls, written: "str | float | Budget") -> "Budget":
        """The budget that a user writes.

        Args:
            written: "60s", "5m", "1h", "64 members", "30 epochs", or a number of seconds.

        Returns:
            The budget.

        Raises:
            UsageError: if it is none of these, or not above zero.

        Example:
            >>> Budget.parse("5m"), Budget.parse("64 members")
            (Budget(kind='seconds', amount=300.0), Budget(kind='members', amount=64.0))
        """
        if isinstance(written, Budget):
            return written
        if isinstance(written, (int, float)) and not isinstance(written, bool):
            budget = cls("seconds", float(written))
        else:
            budget = cls._parse_text(str(written).strip().lower())
        if budget is None or not 0 < budget.amount < float("inf"):
            raise UsageError(
                f"budget={written!r} is not allowed; write a time (60s, 5m, 1h), '64 members' or '30 epochs'"
            )
        return budget

    @classmethod
    def _parse_text(cls, text: str) -> "Budget | None":
        if match := _TIME.fullmatch(text):
            return cls("seconds", float(match[1]) * _UNITS[match[2]])
        if match := _COUNT.fullmatch(text):
            return cls(match[2] + "s", float(match[1]))
        return None

    def __str__(self) -> str:
        return f"{self.amount:.15g} {'s' if self.kind == 'seconds' else self.kind}"
