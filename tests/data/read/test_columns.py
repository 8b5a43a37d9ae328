import numpy as np
import pytest

from fathom.data.read.columns import RawColumn, as_numbers, as_texts, clean_text, type_text
from fathom.errors import DataError


def texts(*cells):
    return clean_text(cells)


@pytest.mark.parametrize(
    "marker", ["", "  ", "NA", "N/A", "NaN", "null", "?", "None", None, float("nan"), "<NA>"]
)
def test_missing_markers(marker):
    assert texts(marker).tolist() == [None]


@pytest.mark.parametrize("word", ["none", "nothing", "0", "n", "Nan a"])
def test_words_that_are_no_markers(word):
    assert texts(word).tolist() == [word]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", None, "-3e4"], "number"),
        (["1", "two"], "text"),
        (["1_000"], "text"),
        (["2020-01-02", "1999-12-31 12:00"], "date"),
        (["2020-01-02", "5"], "text"),
        (["03/04/2020"], "text"),
        ([None, None], "text"),
    ],
)
def test_text_is_typed_only_if_every_cell_fits(cells, kind):
    assert type_text("a", texts(*cells)).kind == kind


def test_dates_are_days_since_1970():
    # Oracle: NumPy's own calendar.
    found = type_text(
        "day", texts("1970-01-02", "2020/3/1", "2020-03-01T06:00:00", "2020-03-01T06:00:00+06:00")
    )
    day = (np.datetime64("2020-03-01") - np.datetime64("1970-01-01")).astype(int)
    assert found.values.tolist() == [1.0, day, day + 0.25, day]


def test_infinities_count_as_missing():
    assert np.isnan(type_text("a", texts("1", "inf", "-Infinity")).values).tolist() == [False, True, True]


def test_numbers_as_categories_are_written_without_a_point():
    assert as_texts(RawColumn("a", "number", np.array([1.0, 2.5, np.nan]))).tolist() == ["1", "2.5", None]
    assert as_texts(RawColumn("a", "boolean", np.array([1.0, 0.0]))).tolist() == ["True", "False"]


@pytest.mark.parametrize(
    ("column", "kind", "message"),
    [
        (RawColumn("age", "text", texts("3", "x")), "numeric", r"column 'age', row 2: 'x' is no number"),
        (RawColumn("on", "text", texts("maybe")), "boolean", r"'maybe' is no true or false"),
        (RawColumn("day", "text", texts("soon")), "date", r"'soon' is no date"),
        (
            RawColumn("day", "number", np.array([1.0])),
            "date",
            r"column 'day' holds number values; it must hold date",
        ),
        (RawColumn("on", "number", np.array([2.0])), "boolean", r"numbers other than 0 and 1"),
    ],
)
def test_a_cell_that_does_not_fit_is_named(column, kind, message):
    with pytest.raises(DataError, match=message):
        as_numbers(column, kind)


def test_a_column_without_any_value_fits_every_kind():
    empty = RawColumn("a", "text", texts(None, "NA"))
    for kind in ("numeric", "boolean", "date"):
        assert np.isnan(as_numbers(empty, kind)).all()
