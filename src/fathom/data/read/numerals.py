"""Numbers as people write them: decimal commas, and thousands held apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .database import aggregates, literal

if TYPE_CHECKING:
    import duckdb

# A blank, a no-break blank (plain or narrow) or an apostrophe may stand between thousands in any country.
_GAPS = " \u00a0\u202f'\u2019"
_TRIAL = 1000


@dataclass(frozen=True)
class Numeral:
    """A way to write numbers.

    Attributes:
        point: between whole and broken part: "." or ",".
        group: what may stand between thousands, besides a blank or an apostrophe.
    """

    point: str
    group: str

    @property
    def pattern(self) -> str:
        """What a whole cell must match."""
        thousands = rf"[1-9]\d{{0,2}}([\{self.group}{_GAPS}]\d{{3}})+"
        return rf"[+-]?((\d+|{thousands})(\{self.point}\d*)?|\{self.point}\d+)([eE][+-]?\d+)?"

    def sql(self, cell: str) -> str:
        """The SQL that reads a cell as a number."""
        bare = f"translate({cell}, {literal(self.group + _GAPS)}, '')"
        return f"CAST(replace({bare}, {literal(self.point)}, '.') AS DOUBLE)"


COMMA = Numeral(",", ".")
POINT = Numeral(".", ",")


def find_numerals(
    connection: "duckdb.DuckDBPyConnection", texts: Sequence[str], plain: Sequence[str], delimiter: str
) -> dict[str, Numeral]:
    """Which columns of the table of cells, read as text, are numbers written with commas or gaps.

    "1,234" alone may be either: in a table whose delimiter is a comma it is a thousand; elsewhere the other
    columns decide, by the commas or points that they hold; where they do not, it stays text.

    Args:
        connection: holds the table of cells.
        texts: the columns read as text.
        plain: the columns that are numbers as they stand.
        delimiter: the delimiter of the table.

    Returns:
        How the numbers of each such column are written.
    """
    found = _fitting(connection, texts, _TRIAL)
    found = _fitting(connection, [cell for cell, fits in found.items() if any(fits)], None)
    numerals: dict[str, Numeral] = {}
    unclear = []
    for cell, (comma, point, has_comma) in found.items():
        if comma and point and has_comma:
            unclear.append(cell)
        elif comma or point:
            numerals[cell] = POINT if point else COMMA
    if unclear:
        chosen = POINT if delimiter == "," or _has_point(connection, plain) else None
        chosen = COMMA if COMMA in numerals.values() and delimiter != "," else chosen
        if chosen is not None:
            numerals.update(dict.fromkeys(unclear, chosen))
    return numerals


def _fitting(
    connection: "duckdb.DuckDBPyConnection", cells: Sequence[str], rows: int | None
) -> dict[str, tuple[bool, bool, bool]]:
    """For each column: whether all cells fit `COMMA`, all fit `POINT`, and some holds a comma."""
    asked = {
        cell: f"coalesce(bool_and(regexp_full_match({cell}, {literal(COMMA.pattern)})), false), "
        f"coalesce(bool_and(regexp_full_match({cell}, {literal(POINT.pattern)})), false), "
        f"coalesce(bool_or(contains({cell}, ',')), false)"
        for cell in cells
    }
    answer = aggregates(connection, asked, rows)
    return {cell: tuple(answer[3 * i : 3 * i + 3]) for i, cell in enumerate(cells)}  # pyright: ignore


def _has_point(connection: "duckdb.DuckDBPyConnection", plain: Sequence[str]) -> bool:
    return any(aggregates(connection, {cell: f"bool_or(contains({cell}, '.'))" for cell in plain}))
