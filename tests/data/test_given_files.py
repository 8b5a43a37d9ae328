"""Given validation and test files. Oracle: the rows that were written to them."""

import numpy as np
import pytest

from fathom.data import load
from fathom.errors import DataError, UsageError


def write(path, rows, header="a,color,y"):
    lines = ([header] if header else []) + [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def files(tmp_path):
    rows = [(row, "red" if row % 3 else "blue", "yes" if row % 2 else "no") for row in range(60)]
    train = write(tmp_path / "train.csv", [(row + 0.5, *rest) for row, *rest in rows[:40]])
    test = write(
        tmp_path / "test.csv", [(rest[1], row + 0.5, rest[0]) for row, *rest in rows[40:]], "y,a,color"
    )
    return train, test


def test_rows_are_joined_by_name_and_keep_their_part(files):
    data = load(files[0], "y", test=files[1])
    assert data.part is not None
    assert data.part.tolist() == [-1] * 40 + [2] * 20
    assert data.table.numeric[:, 0].tolist() == [row + 0.5 for row in range(60)]
    assert data.target.tolist() == [row % 2 for row in range(60)]
    both = load(files[0], "y", test=files[1], validation=files[1])
    assert both.part is not None
    assert both.part.tolist() == [0] * 40 + [1] * 20 + [2] * 20


def test_files_without_a_header_are_joined_by_position(tmp_path):
    rows = [(row, "xyz"[row % 3], row % 7 + 0.5) for row in range(50)]
    train, test = write(tmp_path / "a.csv", rows[:30], ""), write(tmp_path / "b.csv", rows[30:], "n,c,t")
    data = load(train, "column2", test=test)
    assert data.target.tolist() == [row % 7 + 0.5 for row in range(50)]
    wide = write(tmp_path / "c.csv", [(*row, 1) for row in rows], "")
    with pytest.raises(DataError, match=r"test file: it has 4 columns without names, the source 3"):
        load(train, "column2", test=wide)


def test_the_schema_is_inferred_without_the_test_rows(tmp_path):
    train = write(
        tmp_path / "a.csv", [(row + 0.5, "red" if row % 3 else "blue", row % 2) for row in range(40)]
    )
    test = write(
        tmp_path / "b.csv", [(row + 0.5, "green", row % 2) for row in range(40)] + [("NA", "red", 1)]
    )
    data = load(train, "y", test=test)
    assert data.schema.categorical[0].categories == ("blue", "red")
    assert not data.schema.numeric[0].has_missing
    assert data.table.categorical[40:80, 0].tolist() == [2] * 40
    assert [(s.what, s.columns) for s in data.suspicions if s.what == "new categories"] == [
        ("new categories", ("color",))
    ]


def test_labels_written_otherwise_are_matched(files, tmp_path):
    text = files[1].read_text().replace("yes", " YES.").replace("no", "No.")
    (tmp_path / "dots.csv").write_text(text)
    data = load(files[0], "y", test=tmp_path / "dots.csv")
    assert data.classes == ("no", "yes")
    assert data.target.tolist() == [row % 2 for row in range(60)]
    assert data.notes == (
        "test file: labels that are written otherwise are matched: 'No.' is 'no', 'YES.' is 'yes'",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "color",
            "colour",
            r"test file: it lacks the column color of the source; did you mean its column 'colour'",
        ),
        ("40.5", "forty", r"test file: column 'a', row 1: 'forty' is no number"),
        ("yes", "ja", None),
        ("no", "", None),
    ],
)
def test_what_does_not_fit(files, tmp_path, old, new, message):
    (tmp_path / "bad.csv").write_text(files[1].read_text().replace(old, new))
    if message is None:
        data = load(files[0], "y", test=tmp_path / "bad.csv")
        assert len(data) == (60 if new else 50)
        return
    with pytest.raises(DataError, match=message):
        load(files[0], "y", test=tmp_path / "bad.csv")


def test_labels_that_never_meet_are_refused(files, tmp_path):
    (tmp_path / "bad.csv").write_text(files[1].read_text().replace("yes", "1").replace("no", "0"))
    with pytest.raises(
        DataError, match=r"none of its labels in 'y' \(0, 1\) is one of the source's \(no, yes\)"
    ):
        load(files[0], "y", test=tmp_path / "bad.csv")


def test_two_divisions_at_once_are_refused(files):
    source = {"a": np.arange(8.0), "s": ["train", "test"] * 4, "y": [0, 1] * 4}
    with pytest.raises(UsageError, match=r"test: column 's' says already which rows are for what"):
        load(source, "y", columns={"s": "split"}, test=files[1])


def test_more_columns_are_passed_over_with_a_note(files, tmp_path):
    lines = files[1].read_text().splitlines()
    more = tmp_path / "more.csv"
    more.write_text("\n".join([lines[0] + ",extra", *(line + ",1" for line in lines[1:])]) + "\n")
    assert load(files[0], "y", test=more).notes == ("test file: 1 column is passed over: extra",)
