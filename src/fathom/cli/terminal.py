"""What the command line writes with: consoles, tables and JSON."""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import Box
from rich.console import Console
from rich.table import Table

from ..look import format_count

#: No text is set wider than this.
MAX_WIDTH = 100

_HEAD_RULE = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")


class _Console(Console):
    """A console that leaves it to `main` what it means that nobody reads on."""

    def on_broken_pipe(self) -> None:
        raise


def console(*, stderr: bool = False) -> Console:
    """A console for standard output or standard error, at most 100 columns wide.

    Color follows the terminal and NO_COLOR.
    """
    made = _Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    known = made.is_terminal or "COLUMNS" in os.environ
    made.width = min(made.width, MAX_WIDTH) if known else MAX_WIDTH
    return made


def say(text: str, *, stderr: bool = False, style: str = "") -> None:
    """Print a sentence: wrapped in a terminal, one line elsewhere."""
    out = console(stderr=stderr)
    out.print(text, style=style or None, soft_wrap=not out.is_terminal)


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> None:
    """Print a table on standard output.

    Args:
        title: what it shows; none is printed if empty.
        columns: the headings.
        rows: a text for each column.
        right: the columns that are numbers.
    """
    table = Table(
        box=_HEAD_RULE, title=title or None, title_justify="left", title_style="bold", padding=(0, 1, 0, 0)
    )
    table.show_edge = False
    for column in columns:
        justify = "right" if column in right else "left"
        table.add_column(column, justify=justify, header_style="bold", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


@contextlib.contextmanager
def counting(what: str, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Count on standard error while something long goes on, in a terminal only; the line goes when it is done.

    Args:
        what: what is counted.
        shown: whether to show anything.

    Yields:
        A function that takes how many more there are.
    """
    out = console(stderr=True)
    with contextlib.ExitStack() as stack:
        done = 0
        status = stack.enter_context(out.status("")) if shown and out.is_terminal else None

        def count(more: int) -> None:
            nonlocal done
            done += more
            if status is not None:
                status.update(f"{format_count(done)} {what}")

        yield count


def print_json(value: Any) -> None:
    """Print JSON on standard output: what is no finite number is null."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def plain(value: Any) -> Any:
    """A value as JSON has it: mappings, lists, texts, finite numbers, null."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # an array of numpy, or one of its numbers
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value
