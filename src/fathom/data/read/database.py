"""DuckDB, locked: a database that may read the named files and nothing else."""

import re
from collections.abc import Collection, Sequence
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


def by_column(
    connection: "duckdb.DuckDBPyConnection",
    columns: Collection[str],
    asked: str,
    rows: int | None = None,
    row: str = "",
    each: str = "GROUP BY name",
) -> list[tuple[Any, ...]]:
    """What aggregates give for each of some columns of text of the table of cells.

    The columns are laid one under the other first: a query with expressions for each column is planned in a time
    that grows with the square of their number, tens of seconds for some thousands.

    Args:
        connection: holds the table.
        columns: the columns.
        asked: aggregates with commas between them, over `cell`, the cells that are filled, and `place`, their row.
        rows: how many rows are looked at; all of them if None.
        row: the SQL of a row's number; without it there is no `place`.
        each: which cells, and by what they are grouped.

    Returns:
        A row for each column with a filled cell: its name and the aggregates.
    """
    limit = "" if rows is None else f" LIMIT {rows}"
    names = ", ".join(columns)
    place = f"{row} AS place, " if row else ""
    looked_at = f"(UNPIVOT (SELECT {place}{names} FROM {CELLS}{limit}) ON {names} INTO NAME name VALUE cell)"
    return connection.execute(f"SELECT name, {asked} FROM {looked_at} {each}").fetchall()


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
