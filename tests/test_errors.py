"""The errors. Oracle: the promise that each has its own exit code and is caught as what it is."""

import pytest

from fathom import errors
from fathom.errors import DataError, FathomError, RunError, TrainingError, UsageError, one_of

KINDS = [FathomError, UsageError, DataError, RunError, TrainingError]


def test_every_kind_has_its_own_exit_code():
    assert [kind.exit_code for kind in KINDS] == [1, 2, 3, 4, 5]
    declared = {thing for thing in vars(errors).values() if isinstance(thing, type)}
    assert {kind for kind in declared if issubclass(kind, Exception)} == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (UsageError, ValueError),
        (DataError, ValueError),
        (RunError, RuntimeError),
        (TrainingError, RuntimeError),
    ],
)
def test_a_kind_is_caught_as_the_builtin_it_is(kind, builtin):
    for caught in (FathomError, builtin):
        with pytest.raises(caught, match="said"):
            raise kind("said")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("adm", "optimizer='adm' is not known; use one of: adam, sgd; did you mean 'adam'?"),
        ("xyz", "optimizer='xyz' is not known; use one of: adam, sgd"),
        (3, "optimizer=3 is not known; use one of: adam, sgd"),
        (None, "optimizer=None is not known; use one of: adam, sgd"),
    ],
)
def test_the_nearest_name_is_suggested(value, said):
    error = one_of("optimizer", value, ["adam", "sgd"])
    assert isinstance(error, UsageError)
    assert str(error) == said


def test_a_message_is_one_line_of_a_few_hundred_characters():
    said = str(DataError(f"column {'n' * 3000!r}: {'a' + chr(10) + 'b' * 5000!s} is no number; correct it"))
    assert said.startswith("column 'nnn")
    assert said.endswith("is no number; correct it")
    assert len(said) < 600
    assert "\n" not in said
    shown = "'a' is neither this nor that of the 'b' and the source's 'c'"
    assert str(UsageError(shown)) == shown
    assert str(UsageError("line\u2028break\x00")) == r"line\u2028break\x00"
