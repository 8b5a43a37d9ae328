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
#: What the first line holds if it is read in an encoding of the wrong width or order of bytes (the last, a line end).
_NO_TEXT = ("\0", "\ufffe", "\u0a00")
#: What a frame of Zstandard starts with, and the end of that of a frame to pass over.
_FRAME, _FRAME_PASSED_OVER = b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18"


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
                    todo = "so correct the line (a delimiter inside a cell needs quotes around the cell)"
                    if width == 1:
                        todo = "as the lines above; if these are a title, delete them or begin them with #"
                    raise DataError(
                        f"file {shown!r}, line {number}: {len(row)} {noun}; each row must have {width}, {todo}"
                    )
        except csv.Error as error:
            raise DataError(f"file {shown!r}, after line {number}: {error}; correct its quotes") from None
    return target, Layout(",", names=layout.names)


def unpack_zst(path: Path, folder: Path) -> Path:
    """A text file packed by Zstandard, unpacked.

    Python reads the format from 3.14 on; before that DuckDB does, line by line and in UTF-8, Latin-1 or UTF-16 only.

    Args:
        path: the .zst file.
        folder: where the unpacked file goes.

    Returns:
        The new file.

    Raises:
        DataError: if it was cut off, or is written in an encoding that cannot be read here.
    """
    if _is_cut(path):
        raise DataError(f"file {str(path)!r} is truncated, its last Zstandard frame not whole; copy it again")
    target = folder / path.stem
    if sys.version_info >= (3, 14):
        zstd = importlib.import_module("compression.zstd")
        with zstd.open(path, "rb") as packed, target.open("wb") as stream:
            shutil.copyfileobj(packed, stream)
        return target
    if any(_unpack_lines(path, target, encoding) for encoding in ("utf-8", "latin-1", "utf-16")):
        return target
    raise DataError(
        f"file {str(path)!r} is written neither in UTF-8 nor in Latin-1 nor in UTF-16; unpack it first (zstd -d)"
    )


def _unpack_lines(path: Path, target: Path, encoding: str) -> bool:
    """Write the lines of a packed file as UTF-8, and whether they can be written in that encoding."""
    import duckdb

    query = f"""SELECT line FROM read_csv($path, auto_detect = false, header = false, delim = '{_NOWHERE}',
        columns = {{'line': 'VARCHAR'}}, quote = '', escape = '', compression = 'zstd',
        strict_mode = false, max_line_size = 16777216, encoding = '{encoding}')"""
    try:
        with connect([path]) as connection, target.open("w", encoding="utf-8") as stream:
            cursor = connection.execute(query, {"path": escaped(path)})
            first = True
            while lines := cursor.fetchmany(10_000):
                if first and any(mark in (lines[0][0] or "") for mark in _NO_TEXT):
                    return False
                stream.writelines(f"{line or ''}\n" for (line,) in lines)
                first = False
        return True
    except duckdb.InvalidInputException as error:
        if "encod" not in str(error):
            raise
        return False


def _is_cut(path: Path) -> bool:
    """Whether a Zstandard file ends before the last block of its last frame (RFC 8878); DuckDB does not say so."""
    with path.open("rb") as stream:
        size, place = stream.seek(0, 2), 0
        while place < size:
            stream.seek(place)
            head = stream.read(8).ljust(8, b"\0")
            if head[:4] != _FRAME:
                skipped = head[0] & 0xF0 == 0x50 and head[1:4] == _FRAME_PASSED_OVER
                if not skipped:
                    return False
                place += 8 + int.from_bytes(head[4:], "little")
                continue
            single, length, dictionary = head[4] >> 5 & 1, head[4] >> 6, head[4] & 3
            place += 6 - single + (0, 1, 2, 4)[dictionary] + (single, 2, 4, 8)[length]
            last = 0
            while not last:
                stream.seek(place)
                block = int.from_bytes(stream.read(3), "little")
                if stream.tell() < place + 3:
                    return True
                last, kind = block & 1, block >> 1 & 3
                place += 3 + (1 if kind == 1 else block >> 3)
            place += 4 * (head[4] >> 2 & 1)  # its checksum
    return place > size
