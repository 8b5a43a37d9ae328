"""What `fathom fit` is asked for, as one settings mapping: the file, then the options, then --set."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .common import read_columns

_WORD = re.compile(r"[A-Za-z_][\w.\-/]*")
_KEY = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*")


def settings_for(
    source: str, options: Mapping[str, Any], models: Iterable[str] = (), changes: Iterable[str] = ()
) -> dict[str, Any]:
    """The settings of a study.

    Args:
        source: a settings file (.toml), or what `fathom.load` opens.
        options: settings by name, "from_" for the word that Python keeps for itself; None is not given.
        models: names of architectures, in place of those in the file.
        changes: "name=value" for one setting each, the value in TOML.

    Returns:
        The settings, for `Study.from_settings`.

    Raises:
        UsageError: if the file or a change cannot be read.
    """
    settings: dict[str, Any] = read_settings(Path(source)) if source.endswith(".toml") else {"data": source}
    in_file = settings.get("columns")
    given = {name.rstrip("_"): value for name, value in options.items()}
    settings.update({name: value for name, value in given.items() if value not in (None, ())})
    if words := options.get("columns"):
        settings["columns"] = {**(in_file if isinstance(in_file, dict) else {}), **read_columns(words)}
    if names := list(models):
        tables = [_model(name, settings.get("model")) for name in names]
        settings["model"] = tables[0] if len(tables) == 1 else tables
    # Where no file gives a recipe, its settings are changes to the default search, not a recipe of their own.
    room = "recipe" if "recipe" in settings else "search"
    for change in changes:
        apply_change(settings, re.sub(r"^\s*recipe\.", f"{room}.", change))
    return settings


def read_settings(path: Path) -> dict[str, Any]:
    """A settings file; a data file named in it is looked for here, then beside it.

    Args:
        path: the TOML file.

    Returns:
        What it says.

    Raises:
        UsageError: if it is missing or no TOML.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"source={str(path)!r}: there is no such settings file; check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"source={str(path)!r} is not valid TOML: {error}; correct the file") from None
    for name in ("data", "test_file", "validation_file", "from"):
        file = settings.get(name)
        if isinstance(file, str) and not Path(file).exists() and (path.parent / file).exists():
            settings[name] = str(path.parent / file)
    return settings


def apply_change(settings: dict[str, Any], change: str) -> None:
    """Change one setting.

    Args:
        settings: what is changed, in place.
        change: "recipe.learning_rate=1e-3", "model.width=[64, 128]", "samples=8".

    Raises:
        UsageError: if it cannot be read.

    Example:
        >>> settings = {"data": "digits"}
        >>> apply_change(settings, "recipe.learning_rate={log = [1e-4, 1e-1, 8]}")
        >>> settings["recipe"]
        {'learning_rate': {'log': [0.0001, 0.1, 8]}}
    """
    key, equals, written = change.partition("=")
    key = key.strip()
    if not equals or not _KEY.fullmatch(key):
        raise UsageError(
            f"--set {change!r} is not understood; write NAME=VALUE, such as recipe.learning_rate=1e-3"
        )
    *path, last = key.split(".")
    table = settings
    for name in path:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise UsageError(
                f"--set {change!r}: {name} is no table with settings of its own; change it in the file"
            )
    table[last] = _value(change, written.strip())


def _value(change: str, written: str) -> Any:
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        if _WORD.fullmatch(written):
            return written
        example = "1e-3, true, adamw, [64, 128] or {log = [1e-4, 1e-1, 8]}"
        raise UsageError(
            f"--set {change!r}: the value is not understood; write one as in TOML: {example}"
        ) from None


def _model(name: str, given: Any) -> dict[str, Any]:
    """The table of a model by name, with the file's settings where they are for the same one."""
    for table in given if isinstance(given, list) else [given]:
        if isinstance(table, dict) and table.get("name") == name:
            return table
    return {"name": name}


def run_folder(out: str | None, settings: Mapping[str, Any]) -> Path:
    """Where to keep a run: `out`, or the next free ``runs/NAME``, ``runs/NAME-2``, ...

    Args:
        out: what the user asked for.
        settings: the study's; its data gives the name.

    Returns:
        The folder, which need not exist.
    """
    if out is not None:
        return Path(out)
    data = str(settings.get("data", "run"))
    name = re.sub(r"[^\w.-]+", "-", Path(data).name.split(".")[0]).strip("-") or "run"
    folder, number = Path("runs") / name, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder
