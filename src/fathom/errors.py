"""What Fathom raises when it is asked for something it cannot do.

Misuse is an early error in one sentence: what was wrong (``name=value``), what is allowed, what to do.
Numerical failure is not an error but data: a diverged member is a record in the result. Each kind of
error carries the exit code that the command line ends with.
"""

from collections.abc import Iterable


class FathomError(Exception):
    """The root of every error that Fathom raises on purpose. Exit code 1."""

    exit_code = 1


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
        "optimizer='adm' is not known; use one of: adam, sgd. Did you mean 'adam'?"
    """
    import difflib

    names = [str(entry) for entry in allowed]
    close = difflib.get_close_matches(str(value), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UsageError(f"{name}={value!r} is not known; use one of: {', '.join(names)}.{hint}")
