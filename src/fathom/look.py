"""The one visual language: how numbers are written and what each color means, everywhere.

The terminal, the report, the figures and the page take their words for a number and their colors from here,
so that a score or a color means the same wherever it is seen.
"""

import math
import numbers

#: The training rows and what is measured on them.
TRAINING = "#64748b"
#: The validation rows, which choose.
VALIDATION = "#0f6fb3"
#: The test rows, which judge once.
TEST = "#d97706"
#: As hoped; always with a second sign (a shape, a word).
GOOD = "#2f855a"
#: Worth a look; always with a second sign.
WARNING = "#b7791f"
#: Wrong; always with a second sign.
BAD = "#c0362c"
#: Headings and the mark.
NAVY = "#0b2545"
#: Members and classes: the palette of Okabe and Ito (2008), which color-blind readers can tell apart.
CATEGORICAL = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")
#: Ordered quantities.
SEQUENTIAL = "viridis"
#: Signed quantities, from low to high, the middle at zero.
DIVERGING = ("#0f6fb3", "#ffffff", "#c0362c")

#: Between the thousands, and between a number and its unit: narrow, and never at the end of a line.
THIN_SPACE = "\u202f"

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def _grouped(digits: str) -> str:
    return digits.replace(",", THIN_SPACE)


def _unspeakable(value: float) -> str | None:
    """The word for what is no finite number; None for a number."""
    if math.isnan(value):
        return "none"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return None


def _decimals(value: float, digits: int) -> int:
    """Decimal places that show `digits` significant digits of a finite number; negative before the point."""
    if value == 0:
        return digits - 1
    # Rounding first: 0.9996 to three digits is 1.00, which has one decimal fewer than 0.999.
    rounded = float(f"{abs(value):.{digits - 1}e}")
    return digits - 1 - math.floor(math.log10(rounded))


def _fixed(value: float, decimals: int) -> str:
    text = _grouped(f"{round(value, decimals):,.{max(decimals, 0)}f}")
    return text.replace("-", "−", 1)


def format_count(value: int) -> str:
    """A whole number in full, thin spaces between thousands.

    Args:
        value: how many.

    Returns:
        The text.

    Example:
        >>> format_count(1234567).replace(THIN_SPACE, "_")
        '1_234_567'
    """
    return _grouped(f"{int(value):,}")


def format_number(value: float, digits: int = 3) -> str:
    """A measured number to three significant digits; a whole number of type int in full.

    Args:
        value: the number.
        digits: significant digits.

    Returns:
        The text; powers of ten beyond a million and below a ten-thousandth.

    Example:
        >>> format_number(0.97444), format_number(12.3456), format_number(0.1), format_number(0.0000123)
        ('0.974', '12.3', '0.100', '1.23e-05')
    """
    if isinstance(value, numbers.Integral):
        return format_count(int(value))
    if word := _unspeakable(value):
        return word
    decimals = _decimals(value, digits)
    if value != 0 and (decimals > digits + 3 or decimals < digits - 7):
        return f"{value:.{digits - 1}e}".replace("-", "−", 1) if value < 0 else f"{value:.{digits - 1}e}"
    return _fixed(value, decimals)


def format_setting(value: object) -> str:
    """The value of a setting as a user would type it, numbers to three significant digits.

    Args:
        value: a number, a word, or a tuple of them.

    Returns:
        The text, without zeros that say nothing.

    Example:
        >>> format_setting(0.001), format_setting(64), format_setting((64, 128)), format_setting("relu")
        ('0.001', '64', '64, 128', 'relu')
    """
    if isinstance(value, (list, tuple)):
        return ", ".join(format_setting(entry) for entry in value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return str(value)
    return f"{float(value):.3g}" if not isinstance(value, numbers.Integral) else str(value)


def format_uncertain(value: float, spread: float) -> str:
    """A number with its uncertainty: three significant digits, the uncertainty to at most two.

    Both have the same decimals, and never so few that the uncertainty reads as zero.

    Args:
        value: the number.
        spread: its uncertainty, in the same unit; not below zero.

    Returns:
        The text; the number alone where the uncertainty is unknown (nan) or zero.

    Example:
        >>> format_uncertain(0.97412, 0.00812), format_uncertain(0.974, 0.123)
        ('0.974 ± 0.008', '0.97 ± 0.12')
    """
    if not math.isfinite(value) or not math.isfinite(spread) or spread == 0:
        return format_number(float(value))
    places = min(_decimals(value, 3), _decimals(spread, 2)) if value else _decimals(spread, 2)
    places = max(places, _decimals(spread, 1))
    return f"{_fixed(value, places)} ± {_fixed(spread, places)}"


def format_share(value: float) -> str:
    """A share of one as a percentage to three significant digits.

    Example:
        >>> format_share(0.9744).replace(THIN_SPACE, " ")
        '97.4 %'
    """
    if word := _unspeakable(value):
        return word
    percent = 100.0 * value
    return f"{_fixed(percent, min(_decimals(percent, 3), 2))}{THIN_SPACE}%"


def format_seconds(seconds: float) -> str:
    """A duration in the units a person would say.

    Example:
        >>> [format_seconds(s).replace(THIN_SPACE, " ") for s in (0.0123, 1.42, 42.4, 130, 3900, 93600)]
        ['12 ms', '1.4 s', '42 s', '2 min 10 s', '1 h 5 min', '1 d 2 h']
    """
    if word := _unspeakable(seconds):
        return word
    if seconds < 0.0995:
        return (
            f"{seconds * 1000:.0f}{THIN_SPACE}ms"
            if seconds >= 0.0005 or seconds <= 0
            else f"<1{THIN_SPACE}ms"
        )
    if seconds < 9.95:
        return f"{seconds:.1f}{THIN_SPACE}s"
    whole = round(seconds)
    for unit, size, part, part_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        rounded = round(whole / part_size) * part_size
        if rounded >= size:
            count, rest = divmod(rounded, size)
            tail = f" {rest // part_size}{THIN_SPACE}{part}" if rest else ""
            return f"{count}{THIN_SPACE}{unit}{tail}"
    return f"{whole}{THIN_SPACE}s"


def format_bytes(count: int) -> str:
    """A size in bytes, in powers of 1000.

    Example:
        >>> [format_bytes(n).replace(THIN_SPACE, " ") for n in (512, 3_200_000, 64_000_000_000)]
        ['512 B', '3.2 MB', '64 GB']
    """
    size = float(count)
    for unit in _BYTE_UNITS:
        if size < 999.5 or unit == _BYTE_UNITS[-1]:
            break
        size /= 1000.0
    decimals = 1 if unit != "B" and size < 9.95 else 0
    return f"{size:.{decimals}f}{THIN_SPACE}{unit}"
