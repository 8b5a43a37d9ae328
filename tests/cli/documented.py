"""What docs/json.md promises, for the tests that hold the commands to it."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "json.md"


def keys_of(section: str) -> list[str]:
    """The keys in the table under a heading, such as "test.score"."""
    text = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    body = next(part for part in text if part.partition("\n")[0] == section)
    return re.findall(r"^\| `([^`]+)` \|", body, flags=re.MULTILINE)


def lacking(printed: dict[str, Any], keys: Iterable[str]) -> list[str]:
    """Keys that are documented and not printed, and top-level ones that are printed and not documented."""
    keys = list(keys)
    wrong = [key for key in keys if not _has(printed, key)]
    known = {key.partition(".")[0] for key in keys}
    return wrong + [f"{key} (not documented)" for key in printed if key not in known]


def _has(value: Any, key: str) -> bool:
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True
