"""Files that DuckDB does not read right as they stand, rewritten as plain CSV in a temporary folder."""

import csv
import importlib
import shutil
import sys
from pathlib import Path

from ...errors import DataError
from .database import connect, escaped
from .layout import Layout, open_text, read_rows

#: The name of a rewritten file.
REWRITTEN = "rows.csv"
#: No line of text holds it, so that DuckDB reads a line as one cell.
_NOWHERE = "\x01\x02\x03\x04"


def rewrite_plain(path: Path, layout: Layout, shown: str, folder: Path) -> tuple[Path, Layout]:
    """The rows of a text table as UTF-8 CSV without a header, every cell in quotes.

    Cost: one pass in Python, a few MB a second.

    Args:
        path: the file, plain or .gz.
        layout: how it is written.
        shown: what a message calls the file.
        folder: where the new file goes.

    Returns:
        The new file and its layout.

    Raises:
        DataError: if a row has more or fewer cells than the table has columns; the message names its line.
    """
    target = folder / REWRITTEN
    width, number = len(layout.names), 0
    encoding = "utf-8-sig" if layout.encoding == "utf-8" else layout.encoding
    # Bytes after the first megabyte may fit no letter of the encoding.
    with (
        open_text(path)(path, "rt", encoding=encoding, errors="replace", newline="") as lines,
        target.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
        rows = read_rows(lines, layout)
        try:
            if layout.header:
                next(rows, None)
            for number, row in rows:
                if len(row) == width:
                    writer.writerow(row)
                elif not row[0].lstrip().startswith(("#", "%")):
                    noun = "cell" if len(row) == 1 else "cells"
                    raise DataError(
                        f"file {shown!r}, line {number}: {len(row)} {noun}; each row must have {width}, "
                        "so correct the line (a delimiter inside a cell needs quotes around the cell)"
                    )
        except csv.Error as error:
            raise DataError(f"file {shown!r}, after line {number}: {error}; correct its quotes") from None
    return target, Layout(",", names=layout.names)


def unpack_zst(path: Path, folder: Path) -> Path:
    """A text file packed by Zstandard, unpacked.

    Python reads the format from 3.14 on; before that DuckDB does, line by line and in UTF-8 or Latin-1 only.

    Args:
        path: the .zst file.
        folder: where the unpacked file goes.

    Returns:
        The new file.

    Raises:
        DataError: if it is written in an encoding that cannot be read here.
    """
    target = folder / path.stem
    if sys.version_info >= (3, 14):
        zstd = importlib.import_module("compression.zstd")
        with zstd.open(path, "rb") as packed, target.open("wb") as stream:
            shutil.copyfileobj(packed, stream)
        return target
    import duckdb

    for encoding in ("utf-8", "latin-1"):
        query = f"""SELECT line FROM read_csv($path, auto_detect = false, header = false, delim = '{_NOWHERE}',
            columns = {{'line': 'VARCHAR'}}, quote = '', escape = '', compression = 'zstd',
            strict_mode = false, max_line_size = 16777216, encoding = '{encoding}')"""
        try:
            with connect([path]) as connection, target.open("w", encoding="utf-8") as stream:
                cursor = connection.execute(query, {"path": escaped(path)})
                while lines := cursor.fetchmany(10_000):
                    stream.writelines(f"{line or ''}\n" for (line,) in lines)
            return target
        except duckdb.InvalidInputException as error:
            if "encod" not in str(error):
                raise
    raise DataError(
        f"file {str(path)!r} is written neither in UTF-8 nor in Latin-1; unpack it first (zstd -d)"
    )
