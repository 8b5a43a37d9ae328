"""Small files for the tests of streams, written by DuckDB."""

import duckdb

TABLE = """
    SELECT range AS r, sin(range) AS wave, range % 7 AS seven, range % 3 = 0 AS third, 'k' || (range % 5) AS kind,
        CASE WHEN range % 11 = 0 THEN 'NA' ELSE 'v' || (range % 2) END AS gaps,
        CASE WHEN range % 13 = 0 THEN NULL ELSE range / 2 END AS half, DATE '2024-01-01' + (range % 90)::INT AS day,
        [range] AS nested, CASE WHEN sin(range) > 0 THEN 'up' ELSE 'down' END AS y
    FROM range({rows})
"""


def write(path, rows=5000, query=TABLE, group=2048):
    """Write a table; the file's name says how."""
    if path.suffix == ".parquet":
        form = f"(FORMAT parquet, ROW_GROUP_SIZE {group})"
    elif path.suffix == ".jsonl":
        form = "(FORMAT json)"
    else:
        form = "(FORMAT csv, HEADER true)"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query.format(rows=rows)}) TO '{path}' {form}")
    return path
