"""What Fathom raises when it is asked for something it cannot do.

Misuse is an early error in one sentence: what was wrong (``name=value``), what is allowed, what to do.
Numerical failure is not an error but data: a diverged member is a record in the result. Each kind of
error carries the exit code that the command line ends with.
"""

import re
from collections.abc import Iterable

_LONGEST_QUOTE, _LONGEST = 120, 580  # characters that are shown of what is in quotes, and of a message
_QUOTE = re.compile(r"(?<!\w)(?:'[^']*'|\"[^\"]*\")(?!\w)")
_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class FathomError(Exception):
    """The root of every error that Fathom raises on purpose. Exit code 1.

    Names and cells of the data, which a message shows, may be of any length and hold any character: what is too
    long is cut, and what would break the line is written as its code.
    """

    exit_code = 1

    def __init__(self, message: str = ""):
        line = _BREAK.sub(lambda found: repr(found.group())[1:-1], message)
        line = _QUOTE.sub(lambda found: _shortened(found.group(), _LONGEST_QUOTE, 1), line)
        super().__init__(_shortened(line, _LONGEST, 170))


class UsageError(FathomError, ValueError):
    """A setting, an argument or a shape is not allowed. Exit code 2."""

    exit_code = 2


class DataError(FathomError, ValueError):
    """A file, a column or a value in the data cannot be used. Exit code 3."""

    exit_code = 3


class RunError(FathomError, RuntimeError):
    """A run folder is missing, damaged, or made by another version. Exit code 4."""

    exit_code = 4


class TrainingError(FathomError, RuntimeError):
    """Training left nothing to use: every member diverged. Exit code 5."""

    exit_code = 5


def one_of(name: str, value: object, allowed: Iterable[object]) -> UsageError:
    """The error for a name that is not in a list, with the nearest entry suggested.

    Args:
        name: the argument's name.
        value: what was given.
        allowed: every value that would have been accepted.

    Returns:
        The error, for the caller to raise.

    Example:
        >>> str(one_of("optimizer", "adm", ["adam", "sgd"]))
        "optimizer='adm' is not known; use one of: adam, sgd; did you mean 'adam'?"
    """
    import difflib

    names = [str(entry) for entry in allowed]
    close = difflib.get_close_matches(str(value), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return UsageError(f"{name}={value!r} is not known; use one of: {', '.join(names)}{hint}")


def _shortened(text: str, most: int, end: int) -> str:
    """The text, or its start and so many characters of its end."""
    return text if len(text) <= most else f"{text[: most - end - 1]}…{text[-end:]}"
