"""Dates and times as they are written: every usual form, as days since 1970-01-01.

"03/04/2024" is April in most countries and March in one: which it is follows from the whole column (some day
is above 12), is kept with the schema as the column's style, and is not guessed again for new data.
"""

import datetime
import re
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from .numerals import LEAST_NUMBERS, MOST_ODD, is_marker, nearly_all

#: How a column's dates are written, where that is not plain from each cell.
STYLES = ("", "day first", "month first", "time", "yyyymmdd", "unix s", "unix ms")
#: The style of dates that have the day or the month first, no row telling which; they are not read.
UNCLEAR = "unclear"

_TRIAL = 20  # texts that show whether a column may be dates
_FARTHEST = 3_000_000  # days: some 8,000 years
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = (
    r"(?P<name>jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|"
    r"nov(ember)?|dec(ember)?)\.?"
)
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(:(?P<second>\d\d)(\.(?P<part>\d+))?)?"
    r"( ?(?P<half>[ap]m))?( ?(?P<zone>z|utc|gmt|[+-]\d\d(:?\d\d)?))?"
)
_AFTER = rf"([ t]\s*{_CLOCK})?"
_FLAGS = re.IGNORECASE | re.ASCII
_ISO = re.compile(rf"(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})([-/.](?P<day>\d{{1,2}}){_AFTER})?", _FLAGS)
_PARTS = re.compile(
    rf"(?P<a>\d{{1,2}})(?P<mark>[-/.])(?P<b>\d{{1,2}})(?P=mark)(?P<year>\d{{4}}|\d\d){_AFTER}", _FLAGS
)
_BASIC = re.compile(
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)t(?P<hour>\d\d)(?P<minute>\d\d)"
    r"((?P<second>\d\d)(\.(?P<part>\d+))?)?(?P<half>)(?P<zone>z|[+-]\d\d(:?\d\d)?)?",
    _FLAGS,
)
_WEEKDAY = r"((mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6}\.?,? )?"
_NTH = r"\d{1,2})(st|nd|rd|th)?"
_NAMED = re.compile(
    rf"{_WEEKDAY}((?P<day>{_NTH}[ /-])?{_NAME}[ /-]((?P<day2>{_NTH},? )?(?P<year>\d{{4}}){_AFTER}", _FLAGS
)
# Without a day before it, "Jan 21" may be a day.
_SHORT_YEAR = re.compile(
    rf"{_WEEKDAY}(?P<day>{_NTH}[ /-]{_NAME}[ /-](?P<day2>)(?P<year>\d\d){_AFTER}", _FLAGS
)
_YEAR_LAST = re.compile(rf"{_WEEKDAY}{_NAME} +(?P<day>{_NTH}(?P<day2>) {_CLOCK} (?P<year>\d{{4}})", _FLAGS)
_TIME = re.compile(_CLOCK, _FLAGS)


def days_of(text: str, style: str = "") -> float | None:
    """The days since 1970-01-01 (UTC where a zone is given) that a text says; None where it says none.

    Args:
        text: "2024-03-05", "2024-03-05T13:45+01:00", "2024-03", "5.3.2024", "3/5/2024", "5 March 2024",
            "Mar 5, 2024", "5-Mar-24", "20240305T134500", "Tue, 5 Mar 2024 13:45:00 GMT", "Tue Mar  5 13:45:00 2024",
            and under style "time" "13:45" or "1:45 pm", the share of a day.
        style: one of `STYLES`; where it is "" "3/5/2024" says nothing, and "5.3.2024" has the day first.

    Example:
        >>> days_of("1970-01-02 12:00"), days_of("3/1/1970", "day first"), days_of("3/1/1970")
        (1.5, 2.0, None)
    """
    if style == "yyyymmdd":
        return _packed(text)
    if style.startswith("unix"):
        return None
    if style == "time":
        return _clock(found) if (found := _TIME.fullmatch(text)) else None
    if found := _ISO.fullmatch(text):
        if found["day"] is None and not "1500" <= found["year"] <= "2500":
            return None  # a number with a hyphen
        return _moment(found, found["year"], found["month"], found["day"] or "1")
    if found := _PARTS.fullmatch(text):
        first = style == "day first" or (style == "" and found["mark"] == ".")
        if style == "" and not first:
            return None
        day, month = (found["a"], found["b"]) if first else (found["b"], found["a"])
        return _moment(found, found["year"], month, day)
    if found := _BASIC.fullmatch(text):
        return _moment(found, found["year"], found["month"], found["day"])
    if found := _NAMED.fullmatch(text) or _SHORT_YEAR.fullmatch(text) or _YEAR_LAST.fullmatch(text):
        month = _MONTHS.index(found["name"][:3].lower()) + 1
        if found["day"] and found["day2"]:
            return None
        return _moment(found, found["year"], month, found["day"] or found["day2"] or "1")
    return None


def date_style(texts: Iterable[str]) -> str | None:
    """The style in which each text is a date; None where some is none, or the day cannot be told.

    Args:
        texts: the different cells of a column.

    Example:
        >>> date_style(["3/4/2024", "3/14/2024"]), date_style(["3/4/2024", "3/5/2024"]), date_style(["9:30"])
        ('month first', None, 'time')
    """
    texts = list(texts)
    fits = lambda style: all(days_of(text, style) is not None for text in texts)  # noqa: E731
    if fits(""):
        return ""
    fitting = [style for style in ("day first", "month first", "time") if fits(style)]
    return fitting[0] if len(fitting) == 1 else None


def style_of_most(
    counts: Mapping[str, int], styles: Collection[str] = ()
) -> tuple[str, tuple[str, ...]] | None:
    """The style in which texts are dates, all of them or nearly all, and those that are none.

    Args:
        counts: how often each text occurs; what means "no value" among dates may be among them.
        styles: those that it may be; any if none is given.

    Returns:
        The style, `UNCLEAR` where the day or the month may be first; and the texts that are no dates. None where
        the texts are no dates.

    Example:
        >>> style_of_most({"3/14/2024": 30, "2/30/2024": 1}), style_of_most({"3/4/2024": 30})
        (('month first', ('2/30/2024',)), ('unclear', ()))
    """
    rest = [text for text in counts if not is_marker(text)]
    styles = styles or ("", "day first", "month first", "time")
    trial = rest[:_TRIAL]
    if not any(2 * sum(days_of(text, style) is not None for text in trial) >= len(trial) for style in styles):
        return None
    fits = {style: {text for text in rest if days_of(text, style) is not None} for style in styles}
    sizes = {style: sum(counts[text] for text in found) for style, found in fits.items()}
    most, filled = max(sizes.values()), sum(counts[text] for text in rest)
    if most == 0 or (len(rest) < len(counts) and most < LEAST_NUMBERS):
        return None
    chosen = [style for style, size in sizes.items() if size == most]
    odd = tuple(sorted(counts.keys() - fits[chosen[0]]))
    slips = [text for text in odd if not is_marker(text)]
    if slips and (not nearly_all(most, filled) or len(slips) > MOST_ODD):
        return None
    if any(text in found for text in slips for found in fits.values()):
        return None  # two ways to write dates in one column
    return (chosen[0] if len(chosen) == 1 or chosen[0] == "" else UNCLEAR), odd


def days_of_numbers(values: np.ndarray, style: str) -> np.ndarray | None:
    """Days since 1970-01-01 of numbers such as 20240131 or Unix time; None where one is no such date.

    Args:
        values: float64 [rows], NaN = missing.
        style: "yyyymmdd", "unix s" or "unix ms".
    """
    if style.startswith("unix"):
        days = values / (86_400.0 if style == "unix s" else 86_400_000.0)
        return days if np.nanmax(np.abs(days), initial=0.0) < _FARTHEST else None
    days = {value: _packed(f"{value:.0f}") for value in np.unique(values[~np.isnan(values)])}
    if any(day is None or value != round(value) for value, day in days.items()):
        return None
    return np.array([np.nan if np.isnan(value) else days[value] for value in values], dtype=np.float64)


def number_style(values: np.ndarray) -> str:
    """The style that numbers said to be dates have: 20240131, or Unix time in seconds or milliseconds."""
    if days_of_numbers(values, "yyyymmdd") is not None:
        return "yyyymmdd"
    return "unix ms" if np.nanmax(np.abs(values), initial=0.0) > 1e11 else "unix s"


def _packed(text: str) -> float | None:
    if len(text) != 8 or not text.isdigit() or not "1800" <= text[:4] <= "2200":
        return None
    return _ordinal(int(text[:4]), int(text[4:6]), int(text[6:]))


def _moment(found: re.Match[str], year: str, month: str | int, day: str) -> float | None:
    number = int(year)
    if len(year) == 2:  # as POSIX reads it
        number += 1900 if number >= 69 else 2000
    date = _ordinal(number, int(month), int(day))
    time = 0.0 if found["hour"] is None else _clock(found)
    return None if date is None or time is None else date + time


def _ordinal(year: int, month: int, day: int) -> float | None:
    try:
        return float(datetime.date(year, month, day).toordinal() - _EPOCH)
    except ValueError:
        return None


def _clock(found: re.Match[str]) -> float | None:
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    zone = (found["zone"] or "z").lower()
    shift = 0
    if zone[0] in "+-":
        shift = int(zone[:3]) * 60 + int(zone[0] + (zone[3:].strip(":") or "0"))
    exact = second + float(f"0.{found['part'] or 0}")
    return ((hour * 60 + minute - shift) * 60 + exact) / 86_400.0
