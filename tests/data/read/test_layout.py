import pytest

from fathom.data.read.layout import detect_layout, read_rows, unique_names


def written(path, text):
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,2\n", True),
        ("1,2\n3,4\n", False),
        ("a,b\nx,y\nz,y\n", True),
        ("x,y\nx,z\nw,y\n", False),
        ("39,Private\n50,Self\n38,Private\n", False),
        ("a,b\n", True),
        ("when\n2020-01-01\n", True),
        ("NA,x\n1,y\n2,x\n", False),
    ],
)
def test_header_is_found(tmp_path, text, header):
    assert detect_layout(written(tmp_path / "a.csv", text)).header is header


def test_a_name_expected_makes_a_header(tmp_path):
    path = written(tmp_path / "a.csv", "2019,2020\n1,2\n")
    assert not detect_layout(path).header
    assert detect_layout(path, ["2020"]).header


def test_a_wrong_delimiter_is_not_misled_by_quotes(tmp_path):
    path = written(tmp_path / "a.csv", '"number"\t":"\t";"\n"0"\t""\t""\n')
    assert detect_layout(path).delimiter == "\t"


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_end_is_found_outside_quotes(tmp_path, line_end):
    layout = detect_layout(written(tmp_path / "a.csv", f'a,"b\n\r"{line_end}1,2{line_end}'))
    assert layout.line_end == line_end
    assert layout.broken_first


def test_names_are_unique():
    assert unique_names(["", "a", "a", "a_2", "a"]) == ["column0", "a", "a_3", "a_2", "a_4"]


def test_a_delimiter_that_makes_many_columns_wins_over_one_within_the_cells(tmp_path):
    rows = "".join(f'{row}|"a;b"|' + "|".join("xyzuvw") + "\n" for row in range(9))
    assert detect_layout(written(tmp_path / "a.csv", rows)).delimiter == "|"
    numbers = "".join(f"1,{row}^2,{row}^" + "^".join("xyzuvwpqrs") + "\n" for row in range(9))
    assert detect_layout(written(tmp_path / "b.csv", numbers)).delimiter == "^"


@pytest.mark.parametrize("delimiter", ["||", "::", "|", "\x01"])
def test_rare_delimiters(tmp_path, delimiter):
    lines = [["a", "b", "c"], ["1", "", "one two"], ["2", "", "three four"]]
    text = "\n".join(delimiter.join(line) for line in lines)
    layout = detect_layout(written(tmp_path / "a.csv", text))
    assert (layout.delimiter, layout.names) == (delimiter, ("a", "b", "c"))


def test_a_backslash_alone_in_a_cell_escapes_nothing(tmp_path):
    lines = ["a,b,c"] + [f'"{row}","\\","\'\'"' for row in range(30)]
    layout = detect_layout(written(tmp_path / "a.csv", "\n".join(lines)))
    assert not layout.backslash
    assert layout.quote == '"'


def test_quotes_between_delimiters_of_two_characters(tmp_path):
    text = '"a"::"b"\n1::"x::y"\n2::"say ""hi"""\n3::\n'
    layout = detect_layout(written(tmp_path / "a.csv", text))
    rows = [row for _, row in read_rows(text.splitlines(keepends=True), layout)]
    assert (layout.delimiter, layout.names) == ("::", ("a", "b"))
    assert rows[1:] == [["1", "x::y"], ["2", 'say "hi"'], ["3", ""]]
