"""Columns of every kind that a table may hold, drawn at random: what the cells are, and how they are written."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MARKERS = (
    *(
        "",
        "NA",
        "N/A",
        "NaN",
        "nan",
        "null",
        "NULL",
        "None",
        "none",
        "?",
        ".",
        "-",
        "--",
        "\\N",
        "#N/A",
        "NaT",
    ),
    *("missing", "-999", "9999", " ", "n.a.", "#DIV/0!", "''", "unknown"),
)
_ODD_TEXTS = (
    *(
        "",
        " ",
        "=1+1",
        "a=b",
        'say "hi"',
        "it's",
        "a,b",
        "a;b",
        "a|b",
        "a\tb",
        "line\nbreak",
        "cr\rhere",
        "\\",
    ),
    *(
        "'; DROP TABLE data; --",
        "🙂",
        "👩‍👩‍👧",
        "日本語",
        "עברית",
        "e\u0301",
        "\u200b",
        "\ufeff",
        "ﬁ",
        "İ",
        "ß",
    ),
    *(
        "#comment",
        "%d",
        "{x}",
        "<b>",
        "../../etc",
        "NULL ",
        "True",
        "1",
        "01",
        "1e5",
        "-",
        "nan?",
        "\x7f",
        "%s%n",
    ),
    *("x" * 3000, "word " * 400, '"', "''", "/", "C:\\new", "\u2028", "a  b", "٣", "½", "1,5", "1 000", "-0"),
)
_WORDS = (
    *(
        "red",
        "green",
        "blue",
        "dark",
        "light",
        "north",
        "south",
        "old",
        "new",
        "big",
        "small",
        "fast",
        "slow",
        "one",
    ),
)
_DAY = datetime.datetime(1970, 1, 1)
_DATE_FORMATS = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"),
    *("%b %d, %Y", "%d %B %Y", "%Y-%m", "%Y%m%d", "%H:%M", "%I:%M %p", "%d-%m-%y", "%Y-%m-%dT%H:%M:%S+02:00"),
)


@dataclass(frozen=True)
class Cells:
    """The cells of one column.

    Attributes:
        kind: the maker that drew them.
        pool: the different values, of Python's types.
        places: which of them each row has, -1 for a missing cell.
        write: how text files write a value.
    """

    kind: str
    pool: list
    places: np.ndarray
    write: Callable[[object], str] = str

    def texts(self, marker: str) -> np.ndarray:
        """The cells as text files write them, object [rows]."""
        written = np.empty(len(self.pool) + 1, dtype=object)
        written[:] = [*map(self.write, self.pool), marker]
        return written[self.places]

    def values(self) -> np.ndarray:
        """The cells as frames hold them, object [rows], None where one is missing."""
        held = np.empty(len(self.pool) + 1, dtype=object)
        for place, value in enumerate(self.pool):
            held[place] = value
        return held[self.places]

    def take(self, rows: np.ndarray) -> "Cells":
        """The cells of some rows."""
        return Cells(self.kind, self.pool, self.places[rows], self.write)


def with_missing(draw: np.random.Generator, cells: Cells, share: float) -> Cells:
    """The cells with about this share of them missing."""
    gone = draw.random(len(cells.places)) < share
    return Cells(cells.kind, cells.pool, np.where(gone, -1, cells.places), cells.write)


def _each(kind: str, values: np.ndarray, write: Callable[[object], str] = str) -> Cells:
    return Cells(kind, values.tolist(), np.arange(len(values)), write)


def _from_pool(draw: np.random.Generator, kind: str, pool: list, rows: int, write=str) -> Cells:
    weights = draw.dirichlet(np.full(len(pool), 0.5)) if draw.random() < 0.5 else None
    return Cells(kind, pool, draw.choice(len(pool), rows, p=weights), write)


def numbers(draw: np.random.Generator, rows: int) -> Cells:
    """Numbers of every size, inf and nan among them, written in many ways."""
    with np.errstate(all="ignore"):
        made = {
            "normal": lambda: draw.normal(size=rows).round(4),
            "huge": lambda: draw.normal(size=rows) * 10.0 ** draw.integers(20, 308),
            "tiny": lambda: draw.normal(size=rows) * 10.0 ** -draw.integers(20, 320),
            "both": lambda: 10.0 ** draw.uniform(-300, 300, rows),
            "far": lambda: 1e9 + draw.normal(size=rows) * 1e-3,
            "outlier": lambda: np.where(draw.random(rows) < 0.01, 1e300, draw.normal(size=rows)),
            "infinite": lambda: np.where(draw.random(rows) < 0.1, np.inf, draw.normal(size=rows)),
            "all infinite": lambda: np.where(draw.random(rows) < 0.5, np.inf, -np.inf),
            "sparse": lambda: np.where(draw.random(rows) < 0.98, 0.0, draw.normal(size=rows)),
            "whole": lambda: draw.integers(-100, 100, rows),
            "large whole": lambda: draw.integers(-(2**62), 2**62, rows),
            "few": lambda: draw.choice([0.5, 1.5, 2.5], rows),
            "coded": lambda: np.where(draw.random(rows) < 0.05, -999.0, draw.random(rows).round(2)),
            "bits": lambda: draw.integers(0, 2, rows),
            "single": lambda: draw.normal(size=rows).astype(np.float32).astype(np.float64),
        }
        values = made[str(draw.choice(list(made)))]()
    ways: list[Callable[[object], str]] = [
        *[str] * 12,
        lambda v: str(v).replace(".", ","),
        lambda v: f"{v:,}",
        lambda v: f"{v}%",
        lambda v: f"${v}",
        lambda v: f"+{v}",
        lambda v: f"  {v} ",
        lambda v: f"{v:.3e}",
        lambda v: f"{v:,}".replace(",", "\u00a0"),
        lambda v: f"{v}_0",
        lambda v: f"00{v}",
    ]
    return _each("numbers", values, ways[draw.integers(len(ways))])


def wide_numbers(draw: np.random.Generator, rows: int) -> Cells:
    """Whole numbers whose text may not fit a float: 1e400 and 40 digits."""
    pool = ["1e400", "-1e400", "9" * 40, "1e-400", "0x1f", "12", "3.5"]
    return _from_pool(draw, "wide numbers", pool, rows)


def booleans(draw: np.random.Generator, rows: int) -> Cells:
    """Two words for yes and no; a third one at times."""
    pairs = (
        ("true", "false"),
        ("T", "F"),
        ("yes", "no"),
        ("Y", "N"),
        ("on", "off"),
        ("1", "0"),
        ("TRUE", "fALSE"),
    )
    if draw.random() < 0.5:
        return Cells("booleans", [True, False], draw.integers(0, 2, rows), lambda v: str(v).lower())
    pool = list(pairs[draw.integers(len(pairs))]) + (["maybe"] if draw.random() < 0.1 else [])
    return _from_pool(draw, "booleans", pool, rows)


def categories(draw: np.random.Generator, rows: int) -> Cells:
    """From 1 to 100,000 different texts, odd ones among them."""
    count = int(np.exp(draw.uniform(0, np.log(1e5 if draw.random() < 0.3 else 300))))
    if draw.random() < 0.4:
        pool = list(draw.permutation(np.array(_ODD_TEXTS, dtype=object))[: max(1, count)])
    else:
        ending = str(draw.choice(["", "é", "🙂", " x", "-1", ".0"]))
        pool = [f"k{place}{ending}" for place in range(count)]
    return _from_pool(draw, "categories", pool, rows)


def dates(draw: np.random.Generator, rows: int) -> Cells:
    """Moments of some years, each column written in one style, or now and then in two."""
    span = float(np.exp(draw.uniform(0, np.log(36_500))))
    start = draw.uniform(-20_000, 20_000)
    pool = [_DAY + datetime.timedelta(days=float(day)) for day in start + span * draw.random(min(rows, 5000))]
    if draw.random() < 0.1:
        pool += [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)]
    style = str(draw.choice(_DATE_FORMATS))
    other = str(draw.choice(_DATE_FORMATS)) if draw.random() < 0.15 else style

    def seconds(value: datetime.datetime) -> str:
        return str(int((value - _DAY).total_seconds()))

    def february(value: datetime.datetime) -> str:  # the 30th among them
        return f"2024-02-{value.day:02d}"

    def write(value: datetime.datetime) -> str:
        return value.strftime(other if value.day == 7 else style)

    way = draw.random()
    write = seconds if way < 0.1 else february if way < 0.15 else write
    return _from_pool(draw, "dates", pool or [_DAY], rows, write)


def texts(draw: np.random.Generator, rows: int) -> Cells:
    """Free text of a few to some hundred words."""
    count, most = min(rows, 2000), int(draw.choice([3, 12, 200]))
    pool = [" ".join(draw.choice(_WORDS, draw.integers(1, most + 1))) for _ in range(count)]
    return _from_pool(draw, "texts", pool or [""], rows)


def constants(draw: np.random.Generator, rows: int) -> Cells:
    """One value in every row."""
    value = [1, 0.0, "same", True, "", "🙂", float("inf"), -999][draw.integers(8)]
    return Cells("constants", [value], np.zeros(rows, dtype=int))


def identifiers(draw: np.random.Generator, rows: int) -> Cells:
    """A value of its own in every row."""
    if draw.random() < 0.5:
        return _each("identifiers", np.arange(rows) + draw.integers(0, 2))
    return _each(
        "identifiers", draw.integers(0, 2**60, rows), lambda v: f"{v:x}" if isinstance(v, int) else str(v)
    )


def nested(draw: np.random.Generator, rows: int) -> Cells:
    """Lists and mappings."""
    pool = [[[1, 2], [3]], [{"a": 1}, {"a": None}], [[], [1.5]], [{"k": [1]}, {"k": []}]][draw.integers(4)]
    return _from_pool(draw, "nested", pool, rows)


def packed(draw: np.random.Generator, rows: int) -> Cells:
    """Bytes."""
    return _from_pool(draw, "bytes", [b"\x00\xff", b"abc", b""], rows)


MAKERS: dict[Callable[[np.random.Generator, int], Cells], float] = {
    numbers: 8,
    categories: 5,
    dates: 2,
    booleans: 2,
    texts: 1,
    constants: 0.6,
    identifiers: 0.6,
    nested: 0.25,
    wide_numbers: 0.3,
    packed: 0.1,
}


def any_cells(draw: np.random.Generator, rows: int, plain: bool = False) -> Cells:
    """A column of a kind drawn at random, with any share of its cells missing; plain ones are numbers mostly."""
    weights = np.array(list(MAKERS.values()))
    if plain:
        weights = weights * [40, 1, 0.1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01]
    maker = list(MAKERS)[draw.choice(len(MAKERS), p=weights / weights.sum())]
    cells = maker(draw, rows)
    share = float(
        draw.choice([0, 0, 0, 0.01, 0.1, 0.5, 0.95, 1.0], p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.08, 0.04, 0.03])
    )
    return with_missing(draw, cells, share)


def target_cells(draw: np.random.Generator, rows: int) -> Cells:
    """A column to predict, of every kind; some cannot be predicted."""
    with np.errstate(all="ignore"):
        made = {
            "two": (4, lambda: _from_pool(draw, "t", ["no", "yes"], rows)),
            "classes": (
                3,
                lambda: _from_pool(draw, "t", [f"c{i}" for i in range(draw.integers(3, 20))], rows),
            ),
            "many": (
                1,
                lambda: _from_pool(draw, "t", [f"c{i}" for i in range(draw.integers(20, 500))], rows),
            ),
            "whole": (2, lambda: _from_pool(draw, "t", list(range(int(draw.integers(2, 30)))), rows)),
            "odd": (1, lambda: _from_pool(draw, "t", list(_ODD_TEXTS[: draw.integers(2, 40)]), rows)),
            "boolean": (1, lambda: _from_pool(draw, "t", [True, False], rows)),
            "lone": (
                1,
                lambda: Cells("t", ["a", "b", "lone"], np.append(draw.integers(0, 2, rows), 2)[-rows:]),
            ),
            "normal": (4, lambda: _each("t", draw.normal(size=rows))),
            "counts": (1, lambda: _each("t", draw.poisson(50, rows))),
            "few floats": (1, lambda: _from_pool(draw, "t", [0.5, 1.25, 7.0], rows)),
            "huge": (0.3, lambda: _each("t", draw.normal(size=rows) * 10.0 ** draw.integers(30, 308))),
            "tiny": (0.3, lambda: _each("t", draw.normal(size=rows) * 10.0 ** -draw.integers(30, 320))),
            "far": (0.5, lambda: _each("t", 1e15 + draw.integers(0, 9, rows))),
            "infinite": (
                0.5,
                lambda: _each("t", np.where(draw.random(rows) < 0.2, np.inf, draw.normal(size=rows))),
            ),
            "outlier": (
                0.3,
                lambda: _each("t", np.where(draw.random(rows) < 0.01, 1e200, draw.random(rows))),
            ),
            "constant": (0.3, lambda: constants(draw, rows)),
            "own": (0.3, lambda: identifiers(draw, rows)),
            "dates": (0.3, lambda: dates(draw, rows)),
            "nested": (0.2, lambda: nested(draw, rows)),
            "none": (0.2, lambda: Cells("t", [1], np.full(rows, -1))),
        }
        weights = np.array([weight for weight, _ in made.values()])
        word = str(draw.choice(list(made), p=weights / weights.sum()))
        cells = made[word][1]()
    share = float(draw.choice([0.0, 0.05, 0.5], p=[0.75, 0.2, 0.05]))
    return with_missing(draw, Cells(f"target {word}", cells.pool, cells.places, cells.write), share)
