"""Delimited text in every form that people write it in. Oracle: the same table written by hand."""

import gzip
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fathom.data.read.tables import read_file
from fathom.errors import DataError


def read(path, content, expected=()):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return {column.name: column for column in read_file(path, expected)}


def cells(columns):
    return {name: column.values.tolist() for name, column in columns.items()}


TABLE = {"n": [1.0, 2.0, 3.0], "word": ["red", "big blue", "it's"]}


@pytest.mark.parametrize(
    "text",
    [
        "n,word\n1,red\n2,big blue\n3,it's\n",
        "n;word\n1;red\n2;big blue\n3;it's\n",
        "n\tword\n1\tred\n2\tbig blue\n3\tit's\n",
        "n|word\n1|red\n2|big blue\n3|it's\n",
        "n:word\n1:red\n2:big blue\n3:it's\n",
        "n::word\n1::red\n2::big blue\n3::it's\n",
        "n^word\n1^red\n2^big blue\n3^it's\n",
        'n   word\n 1  "red"\n 2\t"big blue"\n 3     "it\'s"   \n',
        '"n","word"\n"1","red"\n"2","big blue"\n"3","it\'s"\n',
        '"n", "word"\n1, "red"\n2, "big blue"\n3, "it\'s"\n',
        "'n','word'\n1,'red'\n2,'big blue'\n3,'it\\'s'\n",
        "'n','word'\n1,'red'\n2,'big blue'\n3,'it''s'\n",
        "sep=;\nn;word\n1;red\n2;big blue\n3;it's\n",
        '"sep=\t"\r\nn\tword\r\n1\tred\r\n2\tbig blue\r\n3\tit\'s\r\n',
        "// made by hand, 2020\n// in two lines\nn,word\n1,red\n2,big blue\n3,it's\n",
        "# made by hand, 2020\n# in two lines\nn,word\n1,red\n2,big blue\n3,it's\n",
        "#n,word\n1,red\n2,big blue\n3,it's\n",
        "% a note\n\nn,word\n1,red\n% another\n2,big blue\n\n3,it's\n",
        "n,word\n1,red\n2,big blue\n# a remark\n3,it's\n",
        "n,word\n1,red,\n2,big blue,\n3,it's,\n",
        "\n\nn,word\r\n1,red\r\n\r\n2,big blue\r\n3,it's",
    ],
)
def test_one_table_in_many_writings(tmp_path, text):
    found = cells(read(tmp_path / "a.txt", text))
    assert {name: found[name] for name in ("n", "word")} == TABLE
    assert len(found) == 2 or np.isnan(np.array(list(found.values())[2], dtype=float)).all()


def test_backslash_before_a_quote(tmp_path):
    assert cells(read(tmp_path / "a.csv", 'n,word\n1,"a \\"b\\", c"\n2,"d"\n')) == {
        "n": [1.0, 2.0], "word": ['a "b", c', "d"]}  # fmt: skip


def test_quotes_that_are_letters(tmp_path):
    text = 'ham\t"come, he said\nspam\tno quote\nham\tthe end" she said\nham\tfour\n'
    found = cells(read(tmp_path / "a.tsv", text))
    assert found["column1"] == ['"come, he said', "no quote", 'the end" she said', "four"]


def test_a_first_line_that_is_a_remark(tmp_path):
    found = read(tmp_path / "a.test", "|1x3 Cross validator\n25, Private, <=50K.\n38, State, <=50K.\n")
    assert cells(found)["column0"] == [25.0, 38.0]


def test_blanks_and_a_tab_before_a_quoted_name(tmp_path):
    text = '18.0   8   307.0      130.0\t"chevrolet malibu"\n15.0   8   350.0      ?\t"buick 320"\n'
    found = cells(read(tmp_path / "auto.data", text))
    assert found["column2"] == [307.0, 350.0]
    assert found["column4"] == ["chevrolet malibu", "buick 320"]
    assert np.isnan(found["column3"][1])


def test_row_names_without_a_name(tmp_path):
    found = cells(read(tmp_path / "r.txt", '"mpg" "cyl"\n"Mazda RX4" 21 6\n"Fiat 128" 32.4 4\n'))
    assert found == {"row": ["Mazda RX4", "Fiat 128"], "mpg": [21.0, 32.4], "cyl": [6.0, 4.0]}


def test_long_cells(tmp_path):
    assert cells(read(tmp_path / "a.csv", f"# x\nn,word\n1,{'x' * 200_000}\n"))["word"] == ["x" * 200_000]


def test_times_of_day_are_no_columns(tmp_path):
    assert len(read(tmp_path / "a.csv", "12:30:00\n12:45:10\n")) == 1


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_encodings(tmp_path, encoding, packed):
    content = "place,n\ncafé – “Zoë” €,1\nthé,2\n".encode(encoding)
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    found = read(path, gzip.compress(content) if packed else content)
    assert cells(found) == {"place": ["café – “Zoë” €", "thé"], "n": [1.0, 2.0]}


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs the command zstd")
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_zst(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes('n;word\n1;"é\n\nè"\n\n2;b\n'.encode(encoding))
    subprocess.run(["zstd", "-q", tmp_path / "a.csv"], check=True)
    (tmp_path / "a.csv").unlink()
    found = {column.name: column.values.tolist() for column in read_file(tmp_path / "a.csv.zst")}
    assert found == {"n": [1.0, 2.0], "word": ["é\n\nè", "b"]}


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs the command zstd")
@pytest.mark.parametrize(("rows", "kept"), [(3, 20), (100_000, 0.5), (100_000, -1)])
def test_a_zst_that_was_cut_off_is_said_to_be(tmp_path, rows, kept):
    path = tmp_path / "a.csv.zst"
    (tmp_path / "a.csv").write_text("".join(f"{row},{row * 7919 % 9973}\n" for row in range(rows)))
    subprocess.run(["zstd", "-q", tmp_path / "a.csv"], check=True)
    content = path.read_bytes()
    path.write_bytes(content * 2)
    assert len(read_file(path)[0].values) == 2 * rows
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(DataError, match="is truncated"):
        read_file(path)


def test_a_zst_in_another_encoding_is_to_be_unpacked(tmp_path):
    if shutil.which("zstd") is None or sys.version_info >= (3, 14):
        pytest.skip("needs the command zstd, and a Python that leaves the format to DuckDB")
    for encoding in ("cp1252", "utf-16-be", "utf-32"):
        (tmp_path / "a.csv").write_bytes("n,word\n1,“a”\n".encode(encoding))
        subprocess.run(["zstd", "-qf", tmp_path / "a.csv"], check=True)
        with pytest.raises(DataError, match=r"unpack it first"):
            read_file(tmp_path / "a.csv.zst")


def test_first_cells_that_start_with_the_mark_of_a_comment(tmp_path):
    found = cells(read(tmp_path / "a.csv", "#ff0000,1\n#00ff00,2\nred,3\n"))
    assert found == {"column0": ["#ff0000", "#00ff00", "red"], "column1": [1.0, 2.0, 3.0]}


def test_words_of_which_some_are_quotes(tmp_path):
    found = cells(read(tmp_path / "a.tsv", 'word\ttag\n"\tPUNCT\nHi\tUH\n"\tPUNCT\nyou\tPRP\n'))
    assert found == {"word": ['"', "Hi", '"', "you"], "tag": ["PUNCT", "UH", "PUNCT", "PRP"]}


def test_apostrophes_that_pair_by_chance_join_no_rows(tmp_path):
    text = "id,a,b\n1,'90s music,5\n2,the dogs',7\n3,x,8\n4,y,9\n"
    assert cells(read(tmp_path / "a.csv", text))["a"] == ["'90s music", "the dogs'", "x", "y"]


def test_a_cell_with_a_delimiter_in_its_second_line(tmp_path):
    found = cells(read(tmp_path / "a.csv", 'id,note\n1,"hello\nyou, there"\n2,x\n3,"a\nb,c"\n4,y\n'))
    assert found == {"id": [1.0, 2.0, 3.0, 4.0], "note": ["hello\nyou, there", "x", "a\nb,c", "y"]}


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("2020-01-01;5;Smith, J, K, L\n2020-01-02;6;Smit, J, Q, L\n", 3),
        ("5,7,a; b\n6,8,c; d\n", 3),
        ('x "a, b" 1\ny "c, d" 2\n', 3),
        ('1;{"a": 1, "b": 2}\n2;{"a": 3, "b": 4}\n', 2),
    ],
)
def test_of_two_delimiters_in_every_row_the_one_that_explains_the_cells(tmp_path, text, width):
    assert len(read(tmp_path / "a.csv", text)) == width


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("a;b\n3,14;x\n-2,5;y\n7;z\n", "a", [3.14, -2.5, 7.0]),
        ("a;b\n1.234,5;x\n12;y\n", "a", [1234.5, 12.0]),
        ("a\tb\n0,5e3\tx\n,25\ty\n", "a", [500.0, 0.25]),
        ('a,b\n"1,234",x\n"12,345,678.5",y\n', "a", [1234.0, 12345678.5]),
        ("a;b\n1 234;x\n1 234 567;y\n", "a", [1234.0, 1234567.0]),
        ("a;b\n1'234.5;x\n17;y\n", "a", [1234.5, 17.0]),
        # Another column says what the comma is.
        ("a;b\n1,234;0,5\n2,345;0,25\n", "a", [1.234, 2.345]),
        ("a;b\n1,234;0.5\n2,345;0.25\n", "a", [1234.0, 2345.0]),
        ("3,5;1,5\n4,5;2,5\n", "column1", [1.5, 2.5]),
    ],
)
def test_commas_in_numbers(tmp_path, text, name, values):
    column = read(tmp_path / "a.csv", text)[name]
    assert column.kind == "number"
    assert column.values.tolist() == values


@pytest.mark.parametrize("text", ["a;b\n1,234;x\n2,345;y\n", "a;b\n1,2,3;x\n2,3;y\n", "a;b\n1,5;x\nred;y\n"])
def test_commas_that_say_nothing_stay_text(tmp_path, text):
    assert read(tmp_path / "a.csv", text)["a"].kind == "text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n1,2,3\n4,5\n", r"line 3: 3 cells; each row must have 2, so correct the line"),
        ("a,b\n1,2\n\n4\n5,6\n", r"line 4: 1 cell; each row must have 2"),
        ('a,b\nx,he said "hi", ok\ny,no\nz,no\n', r"line 2: 3 cells; each row must have 2"),
        (
            "Sales\n\na,b,c\n1,2,3\n",
            r"line 3: 3 cells; each row must have 1, as the lines above; if these are a title",
        ),
        ("# x\na;b;c\n1;2;3\n1;2\n4;5;6\n", r"line 4: 2 cells; each row must have 3"),
    ],
)
def test_ragged_rows_are_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / "a.csv", text)
    assert "\n" not in str(caught.value)
