"""Records of a catalogue as rows of a table and as JSON, for `fathom models`, `optim` and `data`."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from ..look import format_setting
from ..settings import declarations
from .terminal import print_table

_PLAIN = (str, int, float, bool, tuple)


def as_json(record: Any) -> dict[str, Any]:
    """The fields of a record that are words, numbers or lists of them; functions are left out."""
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {name: value for name, value in values.items() if isinstance(value, _PLAIN)}


def print_records(title: str, records: Iterable[Any]) -> None:
    """A table of name, summary and reference."""
    rows = [(r.name, r.summary, getattr(r, "reference", "")) for r in records]
    print_table(title, ("name", "what it is", "reference"), rows)


def settings_of(described: Any) -> list[dict[str, Any]]:
    """The declared settings of an architecture or of the recipe.

    Args:
        described: the class; its defaults are shown.

    Returns:
        A mapping for each: name, default, kind, low, high, choices, help.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(described)}
    found = []
    for name, declared in declarations(described).items():
        about = {"kind": declared.kind, "low": declared.low, "high": declared.high}
        choices = list(declared.choices) if declared.choices else None
        found.append(
            {"name": name, "default": defaults[name], **about, "choices": choices, "help": declared.help}
        )
    return found


def print_settings(title: str, settings: Iterable[dict[str, Any]]) -> None:
    """A table of settings."""
    rows = [(s["name"], format_setting(s["default"]), s["kind"], _allowed(s), s["help"]) for s in settings]
    print_table(title, ("setting", "default", "kind", "allowed", "what it is"), rows)


def _allowed(setting: dict[str, Any]) -> str:
    if setting["choices"]:
        return ", ".join(setting["choices"])
    if isinstance(setting["default"], str):
        return "a name"
    low, high = setting["low"], setting["high"]
    if math.isinf(low) and math.isinf(high):
        return "true, false" if isinstance(setting["default"], bool) else "any"
    if math.isinf(high):
        return f"{format_setting(low)} or more"
    return f"{format_setting(low)} to {format_setting(high)}"
