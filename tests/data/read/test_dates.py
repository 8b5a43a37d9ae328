"""Dates as they are written. Oracles: NumPy's calendar, and Python's datetime for times with a zone."""

import datetime

import numpy as np
import pytest

from fathom.data.read.dates import date_style, days_of, days_of_numbers, number_style, style_of_most


def days(text):
    return (np.datetime64(text, "s") - np.datetime64("1970-01-01", "s")) / np.timedelta64(1, "D")


@pytest.mark.parametrize(
    ("text", "style", "iso"),
    [
        ("2024-03-05", "", "2024-03-05"),
        ("2024/3/5", "", "2024-03-05"),
        ("2024.03.05", "", "2024-03-05"),
        ("2024-03", "", "2024-03-01"),
        ("2024-03-05T13:45", "", "2024-03-05T13:45"),
        ("2024-03-05 13:45:10", "", "2024-03-05T13:45:10"),
        ("5.3.2024", "", "2024-03-05"),
        ("5/3/2024", "day first", "2024-03-05"),
        ("5/3/2024", "month first", "2024-05-03"),
        ("31-12-99", "day first", "1999-12-31"),
        ("12/31/68", "month first", "2068-12-31"),
        ("12/31/2024 3:45 PM", "month first", "2024-12-31T15:45"),
        ("Jan 5, 2024", "", "2024-01-05"),
        ("5 January 2024", "", "2024-01-05"),
        ("05-Jan-2024", "", "2024-01-05"),
        ("March 1st, 2024", "", "2024-03-01"),
        ("Sept 2024", "", "2024-09-01"),
        ("05-Jan-24", "", "2024-01-05"),
        ("29/Jan/2021 07:00", "", "2021-01-29T07:00"),
        ("20210129T070000", "", "2021-01-29T07:00"),
        ("20210129T0700Z", "", "2021-01-29T07:00"),
        ("Fri, 29 Jan 2021 07:00:00 GMT", "", "2021-01-29T07:00"),
        ("Fri, 29 Jan 2021 07:00:00 +0200", "", "2021-01-29T05:00"),
        ("Fri Jan 29 07:00:00 2021", "", "2021-01-29T07:00"),
        ("Tue Mar  5 13:45:10 UTC 2024", "", "2024-03-05T13:45:10"),
        ("20240229", "yyyymmdd", "2024-02-29"),
        ("12:00 am", "time", "1970-01-01T00:00"),
        ("13:45", "time", "1970-01-01T13:45"),
        ("1:45:30 pm", "time", "1970-01-01T13:45:30"),
    ],
)
def test_what_a_text_says(text, style, iso):
    assert days_of(text, style) == pytest.approx(days(iso), abs=1e-9)


@pytest.mark.parametrize(
    "text", ["2024-03-05T13:45:10.25+05:30", "2024-03-05T13:45:10-08:00", "2024-03-05T13:45:10Z"]
)
def test_a_zone_is_taken_off(text):
    seconds = datetime.datetime.fromisoformat(text).timestamp()
    assert days_of(text) == pytest.approx(seconds / 86400, abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "3/4/2024",
        "2024-13-01",
        "2023-02-29",
        "24:00",
        "5 Mai 2024",
        "1234-12",
        "20240131",
        "Jan 21",
        "20241301T070000",
        "Fri",
        "٢٠٢٤-٠١-٠١",
        "",
    ],
)
def test_what_is_no_date(text):
    assert days_of(text) is None


@pytest.mark.parametrize(
    ("texts", "style"),
    [
        (["2024-01-02", "5 March 2024"], ""),
        (["1/2/2024", "13/2/2024"], "day first"),
        (["1/2/2024", "2/13/2024"], "month first"),
        (["1/2/2024", "2/1/2024"], None),
        (["13/2/2024", "2/13/2024"], None),
        (["9:30", "17:05"], "time"),
        (["2024-01-02", "soon"], None),
    ],
)
def test_the_style_of_a_column(texts, style):
    assert date_style(texts) == style


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({"3/14/2024": 30, "3/4/2024": 9, "2/30/2024": 1}, ("month first", ("2/30/2024",))),
        ({"2024-01-02": 399, "2020-02-30": 1}, ("", ("2020-02-30",))),
        ({"2024-01-02": 20, "-": 400, "unknown": 9}, ("", ("-", "unknown"))),
        ({"2024-01-02": 19, "-": 1}, None),
        ({"2024-01-02": 90, "soon": 10}, None),
        ({"1/2/2024": 5, "2/1/2024": 5}, ("unclear", ())),
        ({"13/2/2024": 200, "2/13/2024": 2}, None),
        ({"red": 100, "blue": 100}, None),
    ],
)
def test_a_column_of_dates_with_slips(counts, found):
    assert style_of_most(counts) == found


def test_numbers_as_dates():
    found = days_of_numbers(np.array([20240131, np.nan, 19700102]), "yyyymmdd")
    assert found is not None
    np.testing.assert_array_equal(found, [days("2024-01-31"), np.nan, 1])
    assert days_of_numbers(np.array([20241331.0]), "yyyymmdd") is None
    assert number_style(np.array([20240131.0])) == "yyyymmdd"
    assert number_style(np.array([1.7e9])) == "unix s"
    assert number_style(np.array([1.7e12])) == "unix ms"
    assert days_of_numbers(np.array([86400e3 * 2]), "unix ms").tolist() == [2]  # pyright: ignore
