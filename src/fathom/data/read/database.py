"""DuckDB, locked: a database that may read the named files and nothing else."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

#: The table that a file is read into, its columns called c0, c1, …; no file of a user is called so.
CELLS = '"fathom cells"'

# Columns of one query: the time that it is planned in grows with the square of their number.
_AT_ONCE = 100

_MEMORY = "768MB"  # that a database with a scratch folder may fill


def connect(paths: Sequence[Path], scratch: Path | None = None) -> "duckdb.DuckDBPyConnection":
    """A database that may read these files and nothing else; no setting of it can be changed.

    Args:
        paths: the files.
        scratch: a folder to keep its tables in, so that little memory is needed; in memory if None.
    """
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        # Its time grows with the square of the number of expressions: minutes for 5,000 columns.
        "disabled_optimizers": "common_subexpressions",
    }
    if scratch is not None:
        config |= {"memory_limit": _MEMORY, "temp_directory": str(scratch / "spilled")}
    connection = duckdb.connect(
        ":memory:" if scratch is None else str(scratch / "rows.duckdb"), config=config
    )
    allowed = sorted({name for path in paths for name in (str(path), escaped(path))})
    connection.execute(f"SET allowed_paths = [{', '.join(map(literal, allowed))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def aggregates(
    connection: "duckdb.DuckDBPyConnection", asked: Mapping[str, str], rows: int | None = None
) -> list[Any]:
    """What aggregates over the table of cells give, in their order.

    Args:
        connection: holds the table.
        asked: for each column an aggregate, or several with commas between them.
        rows: how many rows are looked at; all of them if None.
    """
    limit = "" if rows is None else f" LIMIT {rows}"
    found: list[Any] = []
    for cells in several(list(asked)):
        looked_at = f"(SELECT {', '.join(cells)} FROM {CELLS}{limit})"
        query = f"SELECT {', '.join(asked[cell] for cell in cells)} FROM {looked_at}"
        found += connection.execute(query).fetchall()[0]
    return found


def several(columns: Sequence[str], most: int = _AT_ONCE) -> list[Sequence[str]]:
    """Columns in stretches of a few, at most so many, for a query each."""
    step = min(max(most, 1), _AT_ONCE)
    return [columns[start : start + step] for start in range(0, len(columns), step)]


def escaped(path: Path) -> str:
    """The path as a pattern that matches only itself: DuckDB reads *, ? and [ as wildcards."""
    return re.sub(r"[*?\[]", lambda found: f"[{found.group()}]", str(path))


def literal(text: str) -> str:
    """The text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """The name of a table or a column as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def one_line(error: Exception) -> str:
    """What DuckDB says of a failure, in one line without its advice, which may name its own tables."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    advice = ("Possible", "Did you mean", "*", "file =", "LINE", "^")
    kept = [line.rstrip("!") for line in lines[:3] if not line.startswith(advice)]
    return re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", "; ".join(kept))
