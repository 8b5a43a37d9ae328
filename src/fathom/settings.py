"""Settings: what a field of an architecture or a recipe may be, and how a sweep over them is written.

Every field of a settings class is declared static (changes the compiled program) or dynamic (is only a
number in it). A user sweeps either kind by giving several values.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from .errors import UsageError, one_of

_KEY = "fathom"


@dataclasses.dataclass(frozen=True)
class Declaration:
    """What a field's declaration says.

    Attributes:
        kind: "static" or "dynamic".
        low: smallest value allowed (included).
        high: largest value allowed (included).
        neutral: for a dynamic field, the value at which it does nothing, where leaving the work out is
            cheaper than doing it (dropout 0); None where the work costs nothing.
        choices: for a static field, the words allowed.
        help: one line for the user.
    """

    kind: str
    low: float = -math.inf
    high: float = math.inf
    neutral: float | None = None
    choices: tuple[str, ...] | None = None
    help: str = ""


def dynamic(default: float, low: float, high: float, *, neutral: float | None = None, help: str = "") -> Any:
    """Declare a field that is only a number in the compiled program: sweeping it compiles nothing.

    Args:
        default: the value when none is given.
        low: smallest value allowed.
        high: largest value allowed.
        neutral: the value at which the field does nothing, if leaving it out saves work.
        help: one line for the user.

    Returns:
        A dataclass field.
    """
    declaration = Declaration("dynamic", low, high, neutral, None, help)
    return dataclasses.field(default=default, metadata={_KEY: declaration})


def static(
    default: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    choices: Sequence[str] | None = None,
    help: str = "",
) -> Any:
    """Declare a field that changes the compiled program: each value swept is one more program.

    Args:
        default: the value when none is given.
        low: smallest value allowed, for a number.
        high: largest value allowed, for a number.
        choices: the words allowed, for a word.
        help: one line for the user.

    Returns:
        A dataclass field.
    """
    declaration = Declaration("static", low, high, None, tuple(choices) if choices else None, help)
    return dataclasses.field(default=default, metadata={_KEY: declaration})


def declarations(settings: Any) -> dict[str, Declaration]:
    """The declared fields of a settings class or instance, by name."""
    return {f.name: f.metadata[_KEY] for f in dataclasses.fields(settings) if _KEY in f.metadata}


def names_of(settings: Any, kind: str) -> list[str]:
    """The names of the fields declared "static" or "dynamic"."""
    return [name for name, declared in declarations(settings).items() if declared.kind == kind]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Several values of one setting.

    Attributes:
        values: the values, in order.
        written: how a settings file says it ({"log": [1e-4, 1e-1, 8]}); None for a plain list.
    """

    values: tuple[Any, ...]
    written: Mapping[str, Any] | None = None

    def __iter__(self):
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)


@dataclasses.dataclass(frozen=True)
class Range:
    """An interval to draw values of one setting from; every value that is drawn makes one more candidate.

    Attributes:
        low: the smallest value.
        high: the largest value.
        log: whether the draw is uniform in the logarithm.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            zero = "0 < " if self.log else ""
            raise UsageError(f"range: low={self.low!r}, high={self.high!r}: give {zero}low < high")

    def at(self, share: float) -> float:
        """The value that a share (0 to 1) of the interval lies below."""
        if self.log:
            return float(f"{self.low * (self.high / self.low) ** share:.6g}")
        return float(f"{self.low + (self.high - self.low) * share:.6g}")


def log_range(low: float, high: float) -> Range:
    """An interval to draw from, uniformly in the logarithm (``{log = [low, high]}`` in a settings file)."""
    return Range(low, high, log=True)


def linear_range(low: float, high: float) -> Range:
    """An interval to draw from uniformly (``{linear = [low, high]}`` in a settings file)."""
    return Range(low, high)


def log_grid(low: float, high: float, count: int) -> Sweep:
    """Values evenly spaced in the logarithm, both ends included.

    Args:
        low: the smallest value, above zero.
        high: the largest value.
        count: how many values, at least 1.

    Returns:
        The sweep.

    Raises:
        UsageError: if `low` is not above zero, `high` not above `low`, or `count` below 1.

    Example:
        >>> log_grid(1e-3, 1e-1, 3).values
        (0.001, 0.01, 0.1)
    """
    if not 0 < low < high:
        raise UsageError(f"log_grid: low={low!r}, high={high!r}: give 0 < low < high")
    ratio = math.log(high / low)
    return _grid("log", low, high, count, lambda share: low * math.exp(ratio * share))


def linear_grid(low: float, high: float, count: int) -> Sweep:
    """Values evenly spaced, both ends included.

    Args:
        low: the smallest value.
        high: the largest value.
        count: how many values, at least 1.

    Returns:
        The sweep.

    Raises:
        UsageError: if `high` is not above `low` or `count` is below 1.

    Example:
        >>> linear_grid(0.0, 0.4, 3).values
        (0.0, 0.2, 0.4)
    """
    if not low < high:
        raise UsageError(f"linear_grid: low={low!r}, high={high!r}: give low < high")
    return _grid("linear", low, high, count, lambda share: low + (high - low) * share)


def _grid(kind: str, low: float, high: float, count: int, at) -> Sweep:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UsageError(f"{kind}_grid: count={count!r}: give a whole number, 1 or more")
    shares = [0.0] if count == 1 else [i / (count - 1) for i in range(count)]
    values = tuple(float(f"{at(share):.6g}") for share in shares)
    return Sweep(values, {kind: [low, high, count]})


def read_setting(value: Any) -> Any:
    """What a settings file writes for one field: a `Sweep`, a `Range`, or the value itself.

    ``{log = [from, to, how many]}`` and ``{linear = [...]}`` are grids; with two numbers they are ranges to
    draw from; a list is a sweep.

    Raises:
        UsageError: if a table is none of these.
    """
    if isinstance(value, (list, tuple)):
        return Sweep(tuple(value))
    if not isinstance(value, Mapping):
        return value
    kinds = {"log": (log_range, log_grid), "linear": (linear_range, linear_grid)}
    ((kind, numbers),) = value.items() if len(value) == 1 else ((None, ()),)
    if kind in kinds and isinstance(numbers, (list, tuple)) and len(numbers) in (2, 3):
        return kinds[kind][len(numbers) - 2](*numbers)
    raise UsageError(
        f"{dict(value)!r} is no sweep; write {{log = [from, to, how many]}} or {{linear = [...]}} for a grid, "
        "the same with two numbers for a range to draw from, or a list"
    )


def as_sweep(value: Any) -> Sweep | None:
    """The sweep that a field's value stands for, or None where it is a single value or a range."""
    read = read_setting(value)
    return read if isinstance(read, Sweep) else None


def as_range(value: Any) -> Range | None:
    """The range that a field's value stands for, or None."""
    read = read_setting(value)
    return read if isinstance(read, Range) else None


def as_written(value: Any) -> Any:
    """The value of a field as a settings file writes it."""
    read = read_setting(value)
    if isinstance(read, Range):
        return {"log" if read.log else "linear": [read.low, read.high]}
    if isinstance(read, Sweep):
        return dict(read.written) if read.written else list(read.values)
    return value


Settings = TypeVar("Settings")


def check(settings: Any) -> None:
    """Check every declared field of a settings object, each value of a sweep included.

    Raises:
        UsageError: naming the field, the value, what is allowed.
    """
    for name, declared in declarations(settings).items():
        value = getattr(settings, name)
        sweep, interval = as_sweep(value), as_range(value)
        if sweep is not None and not sweep.values:
            raise UsageError(f"{name}=[] has no value; give at least one")
        if interval is not None and declared.kind == "static":
            raise UsageError(f"{name}: a range to draw from needs a dynamic setting; give a list of values")
        if interval is not None:
            values = (interval.low, interval.high)
        else:
            values = sweep.values if sweep is not None else (value,)
        for single in values:
            _check_value(name, single, declared)


def _check_value(name: str, value: Any, declared: Declaration) -> None:
    if declared.choices is not None:
        if value not in declared.choices:
            raise one_of(name, value, declared.choices)
        return
    if value is None and declared.kind == "dynamic":
        off = "" if declared.neutral is None else f"; {declared.neutral:g} switches it off"
        raise UsageError(
            f"{name}=None is not a number; give one from {declared.low:g} to {declared.high:g}{off}"
        )
    if declared.low == -math.inf and declared.high == math.inf and declared.kind == "static":
        return
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not declared.low <= number <= declared.high:  # false for nan
        raise UsageError(
            f"{name}={value!r} is not allowed; give a number from {declared.low:g} to {declared.high:g}"
        )


def grid_size(settings: Any) -> int:
    """How many points the sweeps of a settings object span, what it draws from ranges aside."""
    sweeps = (as_sweep(getattr(settings, name)) for name in declarations(settings))
    return math.prod(len(sweep.values) for sweep in sweeps if sweep is not None)


def expand(settings: Settings, samples: int = 1, seed: int = 0) -> list[Settings]:
    """Every point that a settings object's sweeps and ranges stand for.

    Sweeps span a grid, the last field fastest. Where there are ranges, each grid point is joined with
    `samples` draws from them: a scrambled Sobol sequence, whose first draws are the same however many follow.

    Args:
        settings: a frozen settings object, any of whose declared fields may hold a sweep or a range.
        samples: draws from the ranges, if there are any.
        seed: of the draws.

    Returns:
        Settings objects of the same class whose fields hold single values.

    Raises:
        UsageError: if `samples` is below 1.

    References:
        Sobol 1967; Owen 1998 (the scrambling).
    """
    if samples < 1:
        raise UsageError(f"samples={samples!r} is not allowed; give a whole number, 1 or more")
    values = {name: getattr(settings, name) for name in declarations(settings)}
    swept = {name: sweep.values for name, value in values.items() if (sweep := as_sweep(value)) is not None}
    ranges = {name: interval for name, value in values.items() if (interval := as_range(value)) is not None}
    draws: list[dict[str, float]] = [{}]
    if ranges:
        from scipy.stats import qmc

        shares = qmc.Sobol(len(ranges), rng=seed).random_base2(math.ceil(math.log2(max(2, samples))))
        draws = [
            {n: r.at(float(u)) for (n, r), u in zip(ranges.items(), row, strict=True)}
            for row in shares[:samples]
        ]
    grid = itertools.product(*swept.values())
    points = [dict(zip(swept, point, strict=True)) for point in grid]
    return [dataclasses.replace(settings, **point, **draw) for point in points for draw in draws]  # pyright: ignore
