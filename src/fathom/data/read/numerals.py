"""Numbers as people write them: decimal commas, thousands held apart, signs of currency and percent.

"1.234" is a thousand in one country and a little over one in another: which it is follows from the whole table,
is kept with the schema as the column's style, and is not guessed again for new data.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# A blank, a no-break blank (plain or narrow) or an apostrophe may stand between thousands in any country.
_GAPS = " \u00a0\u202f'\u2019"
_BLANKS = "[ \u00a0\u202f]?"
_MINUS = "\u2212"  # as typesetters write it
_CURRENCIES = "$€£¥₹₽₩₺₪₫฿₴₱¢"

#: What means "no value" in a column that is otherwise numbers or dates; among words it is a category.
MARKERS = (
    *("-", "--", "---", "\u2013", "\u2014", "*", "..", "...", "\u2026", "?", "."),
    *("na", "n/a", "n.a.", "n.d.", "n/d", "none", "nil", "null", "missing", "unknown"),
)
#: A column counts as numbers (or dates) with some cells that are none only if it has at least so many numbers,
LEAST_NUMBERS = 20
#: if at most this share of its cells are none, markers aside,
MOST_ODD_SHARE = 0.05
#: and if these are of at most so many writings: many different ones are codes, not slips.
MOST_ODD = 10

_MARKERS = frozenset(MARKERS)


@dataclass(frozen=True)
class Numeral:
    """A way to write numbers.

    Attributes:
        point: between whole and broken part: "." or ",".
        group: what may stand between thousands, besides a blank or an apostrophe.
        percent: whether each has a percent sign; the number is what stands before it.

    Example:
        >>> COMMA.read("1.234,5 €"), POINT.read("(1,234)"), POINT.read("1.234.5")
        (1234.5, -1234.0, None)
    """

    point: str
    group: str
    percent: bool = False

    @cached_property
    def pattern(self) -> str:
        """What a whole cell must match."""
        thousands = rf"[1-9]\d{{0,2}}([\{self.group}{_GAPS}]\d{{3}})+"
        broken, power = rf"(\{self.point}\d*)?", r"([eE][+-]?\d+)?"
        number = rf"({thousands}{broken}|\d+{broken}{power}|\{self.point}\d+{power})"
        sign, money = rf"[+\-{_MINUS}]", rf"[{_CURRENCIES}]{_BLANKS}"
        before = rf"({sign}?({money})?|{money}{sign})"
        after = rf"{_BLANKS}%" if self.percent else rf"({_BLANKS}[{_CURRENCIES}])?"
        return rf"{before}{number}{after}|\(({money})?{number}{after}\)"

    @property
    def dropped(self) -> str:
        """The signs that a number has none of; a typesetter's minus is not among them."""
        return f"{self.group}{_GAPS}{_CURRENCIES}%()"

    def read(self, text: str) -> float | None:
        """The number that a text is; None where it is not written so."""
        if self._compiled.fullmatch(text) is None:
            return None
        number = float(text.translate(self._table).replace(self.point, "."))
        if np.isinf(number):
            return np.nan
        return -number if text.startswith("(") else number

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.ASCII)

    @cached_property
    def _table(self) -> dict[int, str | None]:
        return str.maketrans({_MINUS: "-", **dict.fromkeys(self.dropped)})


COMMA = Numeral(",", ".")
POINT = Numeral(".", ",")
#: The ways to write numbers that are none as they stand, by the style of a column.
NUMERALS = {
    "comma": COMMA,
    "point": POINT,
    "comma %": Numeral(",", ".", percent=True),
    "point %": Numeral(".", ",", percent=True),
}
#: How a column's numbers are written: a key of `NUMERALS`; "plain", as they stand; "unclear", as they stand, while
#: each point may as well hold thousands apart; "" where nothing tells (whole numbers, or no text).
STYLES = ("", "plain", "unclear", *NUMERALS)
#: The style of a column of text, all of whose cells are numbers as `unclear_commas` has them.
UNCLEAR_COMMAS = "unclear commas"


def read_number(text: str) -> float | None:
    """The number that a text is, NaN for an infinite one; None for other text.

    Python also reads "1_000" and digits of other scripts; the file reader does not, and neither does this.
    """
    if "_" in text or not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return np.nan if np.isinf(number) else number


def number_reader(style: str) -> Callable[[str], float | None]:
    """What reads the numbers of a style."""
    return NUMERALS[style].read if style in NUMERALS else read_number


def unclear_commas(texts: Collection[str]) -> bool:
    """Whether all are numbers whose commas may as well be decimal as hold thousands apart.

    Example:
        >>> unclear_commas(["1,234", "5"]), unclear_commas(["1,234", "1,5"]), unclear_commas(["5"])
        (True, False, False)
    """
    both = all(COMMA.read(text) is not None and POINT.read(text) is not None for text in texts)
    return both and any("," in text for text in texts)


def is_marker(text: str) -> bool:
    """Whether a text among numbers or dates means "no value"."""
    return text.lower() in _MARKERS


@dataclass(frozen=True)
class Fits:
    """How many cells of a column fit each way to write numbers.

    Attributes:
        filled: cells with a value; markers and writings known to be none are not among them.
        markers: cells that are such.
        counts: by style, "plain" first.
        commas: whether some cell holds a comma.
        points: whether some cell that is a number as it stands holds a point.
    """

    filled: int
    markers: int
    counts: Mapping[str, int]
    commas: bool
    points: bool

    def best(self, tolerant: bool) -> tuple[str, ...]:
        """The styles that the most cells fit, if these are all of them or, where asked, nearly all.

        Args:
            tolerant: whether cells that are no numbers may remain.
        """
        most = max(self.counts.values())
        if most == 0 or (most < self.filled and not (tolerant and nearly_all(most, self.filled))):
            return ()
        if tolerant and self.markers and most < LEAST_NUMBERS:
            return ()
        return tuple(style for style, count in self.counts.items() if count == most)


def nearly_all(fitting: int, filled: int) -> bool:
    """Whether so many of the cells fit that the others are slips."""
    return fitting >= LEAST_NUMBERS and filled - fitting <= MOST_ODD_SHARE * filled
