import csv
import gzip
import io

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fathom.data.read.columns import BLANKS, Odd, clean_text, read_texts, type_text
from fathom.data.read.database import connect
from fathom.data.read.tables import read_file, read_files
from fathom.data.stream import TableSource
from fathom.errors import DataError


def written(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def kinds(columns):
    return {column.name: column.kind for column in columns}


def test_a_plain_table(tmp_path):
    path = written(
        tmp_path / "a.csv", "size, color,day,on\n1,red,2020-01-02,true\n 2.5 ,?,2020-01-03,\nNA,blue,,false\n"
    )
    columns = read_file(path)
    assert kinds(columns) == {"size": "number", "color": "text", "day": "date", "on": "text"}
    np.testing.assert_array_equal(columns[0].values, [1.0, 2.5, np.nan])
    assert columns[1].values.tolist() == ["red", None, "blue"]
    np.testing.assert_array_equal(columns[2].values, [18263.0, 18264.0, np.nan])
    assert columns[3].values.tolist() == ["true", None, "false"]


@pytest.mark.parametrize(
    ("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.txt", "|"), ("a.tsv", "\t"), ("a", " ")]
)
def test_delimiters(tmp_path, name, delimiter):
    text = "\n".join(delimiter.join(row) for row in [["a", "b"], ["1", "x"], ["2", "y"]])
    assert kinds(read_file(written(tmp_path / name, text))) == {"a": "number", "b": "text"}


def test_without_a_header_columns_are_numbered(tmp_path):
    columns = read_file(written(tmp_path / "a.csv", "1,x\n2,x\n"))
    assert [column.name for column in columns] == ["column0", "column1"]
    assert columns[0].values.tolist() == [1.0, 2.0]


def test_repeated_and_empty_names(tmp_path):
    columns = read_file(written(tmp_path / "a.csv", ",a,a,a_2,A\n1,2,3,4,5\n"))
    assert [column.name for column in columns] == ["column0", "a", "a_3", "a_2", "A"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path, encoding):
    path = written(tmp_path / "a.csv", "prénom,n\ncafé,1\nthé,2\n".encode(encoding))
    columns = read_file(path)
    assert [column.name for column in columns] == ["prénom", "n"]
    assert columns[0].values.tolist() == ["café", "thé"]


def test_line_ends_and_quotes(tmp_path):
    columns = read_file(written(tmp_path / "a.csv", '"a ""x""","b\nc"\r\n"1","p, q"\r\n\r\n2,"r\r\ns"\r\n'))
    assert [column.name for column in columns] == ['a "x"', "b\nc"]
    assert columns[0].values.tolist() == [1.0, 2.0]
    assert columns[1].values.tolist() == ["p, q", "r\r\ns"]


def test_gzip_parquet_and_json_agree(tmp_path):
    # Oracle: the same table written three ways.
    text = "a,b,c\n1,x,true\n2.5,,false\n"
    with gzip.open(tmp_path / "a.csv.gz", "wt") as stream:
        stream.write(text)
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as stream:
        stream.write('{"a":1,"b":"x","c":true}\n{"a":2.5,"c":false}\n')
    query = "SELECT * FROM (VALUES (1.0, 'x', true), (2.5, NULL, false)) AS t(a, b, c)"
    duckdb.connect().execute(f"COPY ({query}) TO '{tmp_path / 'a.parquet'}'")
    for name in ("a.csv.gz", "a.jsonl.gz", "a.parquet"):
        a, b, c = read_file(tmp_path / name)
        assert [column.name for column in (a, b, c)] == ["a", "b", "c"]
        assert a.values.tolist() == [1.0, 2.5]
        assert b.values.tolist() == ["x", None]
        assert c.kind == ("text" if name == "a.csv.gz" else "boolean")


def test_nested_columns_are_passed_over_with_a_reason(tmp_path):
    columns = read_file(written(tmp_path / "a.jsonl", '{"a":1,"n":{"q":[1]},"l":[1,2],"d":"2020-01-01"}\n'))
    assert kinds(columns) == {"a": "number", "n": "unsupported", "l": "unsupported", "d": "date"}
    assert "STRUCT" in columns[1].reason


def test_wildcards_in_a_name_are_letters(tmp_path):
    written(tmp_path / "d1.csv", "wrong\n1\n")
    path = written(tmp_path / "d[1]*'?.csv", "right\n1\n")
    assert kinds(read_file(path)) == {"right": "number"}


def test_texts_beyond_the_sample_still_decide_the_kind(tmp_path):
    rows = [f"{i},{i},{i}" for i in range(300_000)]
    rows += [f"x,1,{'abcdefghijkl'[i]}" for i in range(12)]
    columns = read_file(written(tmp_path / "a.csv", "\n".join(["a,b,c", *rows])))
    # Twelve writings that are no numbers are codes, one is a slip.
    assert kinds(columns) == {"a": "number", "b": "number", "c": "text"}
    assert columns[1].values[:300_000].tolist() == list(range(300_000))
    assert columns[2].values[-1] == "l"
    assert np.isnan(columns[0].values[-12:]).all()
    assert columns[0].odd == Odd({"x": (12, 300_000)}, 300_012)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"is empty"),
        ("a,b\n", r"has no rows"),
        ("a,b\n1,2\n3\n4,5\n", r"line 3: 1 cell; each row must have 2"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", r"is no text table"),
    ],
)
def test_a_file_that_is_no_table(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read_file(written(tmp_path / "a.csv", content))
    assert "\n" not in str(caught.value)


def test_damaged_files(tmp_path):
    for name in ("a.parquet", "a.csv.gz", "a.jsonl"):
        with pytest.raises(DataError, match=r"cannot be read") as caught:
            read_file(written(tmp_path / name, "{nothing: of the kind"))
        assert "\n" not in str(caught.value)


cells = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8
)
names = cells.map(lambda name: name.strip(BLANKS)).filter(
    lambda name: name and type_text("", clean_text([name])).kind == "text"
)
names = names.filter(lambda name: clean_text([name])[0] is not None and not name.startswith("\ufeff"))


@st.composite
def tables(draw):
    header = draw(st.lists(names, min_size=2, max_size=4, unique=True))
    rows = draw(st.lists(st.lists(cells, min_size=len(header), max_size=len(header)), min_size=1, max_size=6))
    # One column of numbers, so that the first row is a header beyond doubt.
    return ["number", *header], [[str(place), *row] for place, row in enumerate(rows)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from([",", ";", "\t"]))
def test_what_the_csv_module_writes_is_read_back(tmp_path, table, line_end, delimiter):
    # Oracle: Python's csv writer and the typing of text in Python.
    header, rows = table
    if "number" in header[1:]:
        return
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator=line_end)
    writer.writerows([header, *rows])
    columns = read_file(written(tmp_path / "t.csv", buffer.getvalue()), expected=["number"])
    assert [column.name for column in columns] == header
    for place, column in enumerate(columns):
        expected = read_texts("", clean_text(row[place] for row in rows))
        assert column.kind == expected.kind
        if column.kind == "text":
            assert column.values.tolist() == expected.values.tolist()
        else:
            np.testing.assert_array_equal(column.values, expected.values)


def test_nothing_but_the_named_file_can_be_read(tmp_path):
    named = written(tmp_path / "named.csv", "a\n1\n")
    other = written(tmp_path / "other.csv", "a\n1\n")
    with connect([named]) as connection:
        connection.execute("SELECT * FROM read_csv(?)", [str(named)]).fetchall()
        with pytest.raises(duckdb.PermissionException):
            connection.execute("SELECT * FROM read_csv(?)", [str(other)])
        with pytest.raises(duckdb.Error):
            connection.execute("SET enable_external_access = true")


@pytest.mark.parametrize("width", [350, 1050])
def test_a_wide_table_is_read_in_several_queries(tmp_path, width):
    # Oracle: what was written, of columns of several kinds beyond those of one query.
    kinds = [
        lambda i: str(i),
        lambda i: f"k{i}",
        lambda i: f"{i},5",
        lambda i: f"2024-01-0{i + 1}",
        lambda i: "",
        lambda i: f" {i}.5 ",
        lambda i: "NA" if i else " x\t",
    ]
    names = [f"c{place}" for place in range(width)]
    lines = [";".join(kinds[place % 7](row) for place in range(width)) for row in range(3)]
    columns = read_file(written(tmp_path / "a.csv", "\n".join([";".join(names), *lines])))
    assert [column.name for column in columns] == names
    found = ["number", "text", "number", "date", "text", "number", "text"]
    assert [column.kind for column in columns] == found * (width // 7)
    assert columns[343].values.tolist() == [0.0, 1.0, 2.0]
    assert columns[348].values.tolist() == [0.5, 1.5, 2.5]
    assert columns[349].values.tolist() == ["x", None, None]
    assert columns[344].values.tolist() == ["k0", "k1", "k2"]
    assert columns[345].values.tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize("name", ["wild*card?.json.gz", "[1].jsonl.gz"])
def test_a_packed_file_with_wildcards_in_its_name(tmp_path, name):
    with gzip.open(tmp_path / name, "wt") as stream:
        stream.write('[{"a": 1}, {"a": 2}]' if name.endswith("json.gz") else '{"a": 1}\n{"a": 2}\n')
    (column,) = read_file(tmp_path / name)
    assert column.values.tolist() == [1.0, 2.0]


def test_many_keys_of_one_type_are_columns(tmp_path):
    line = "{" + ", ".join(f'"k{place}": {place}' for place in range(300)) + "}\n"
    columns = read_file(written(tmp_path / "a.jsonl", line * 3))
    assert [column.name for column in columns] == [f"k{place}" for place in range(300)]
    assert columns[299].values.tolist() == [299.0] * 3


def test_json_values_of_several_types_are_text_or_numbers_with_gaps(tmp_path):
    lines = [
        f'{{"a": {row if row else quoted}, "b": {["1", quoted, "true"][row % 3]}}}'
        for quoted in ['"n/a"']
        for row in range(60)
    ]
    number, mixed = read_file(written(tmp_path / "a.jsonl", "\n".join(lines) + "\n"))
    assert number.kind == "number"
    assert np.isnan(number.values[0])
    assert number.values[1:].tolist() == list(range(1, 60))
    assert mixed.values[:3].tolist() == ["1", None, "true"]
    nested = read_file(written(tmp_path / "b.jsonl", '{"a": 1, "b": 2}\n{"a": {"c": 1}, "b": 2}\n'))
    assert nested[0].reason == "its values are of type JSON"


def test_json_without_names_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no JSON objects with a name for each value"):
        read_file(written(tmp_path / "a.jsonl", '{"": 1, "b": 2}\n{"": 3, "b": 4}\n'))


def test_what_is_wrong_with_a_packed_file_names_it(tmp_path):
    path = tmp_path / "empty.csv.zst"
    duckdb.connect().execute(f"COPY (SELECT 1 WHERE false) TO '{path}' (HEADER false, COMPRESSION zstd)")
    with pytest.raises(DataError, match=r"empty\.csv\.zst' is empty") as caught:
        read_file(path)
    assert str(path) in str(caught.value)


def test_an_index_that_pandas_wrote_to_parquet_is_passed_over(tmp_path):
    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    with duckdb.connect() as connection:
        for file in (path, other):
            connection.execute(
                f"""COPY (SELECT range AS a, 5 * range AS "__index_level_0__", 'x' || range AS b,
                    range AS "__index_level_1__" FROM range(9)) TO '{file}' (FORMAT parquet)"""
            )
    for columns in (read_file(path), read_files([path, other]), read_file(path, sql="SELECT * FROM data")):
        assert [column.name for column in columns] == ["a", "b"]
        assert columns[0].values.tolist()[:9] == list(range(9))
    streamed = TableSource([path])
    assert streamed.names == ("a", "b")
    assert [column.values.tolist() for column in streamed.read(3, 5)] == [[3, 4], ["x3", "x4"]]
