"""What every verb takes, and how a verb's page of help is made."""

import dataclasses
from typing import Annotated

from cyclopts import App, Parameter

from .. import process
from ..errors import UsageError


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every verb.

    Attributes:
        json: print JSON on standard output instead of text.
        quiet: print nothing but the answer.
        debug: show the traceback of an error.
    """

    json: Annotated[
        bool, Parameter(negative=(), help="Print JSON, in the shape that docs/json.md gives.")
    ] = False
    quiet: Annotated[bool, Parameter(negative=(), help="Print the answer only: no progress, no hints.")] = (
        False
    )
    debug: Annotated[bool, Parameter(negative=(), help="Show the traceback of an error.")] = False


PLAIN = Common()


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Processes:
    """Where the processes meet that train together; as `fathom.configure` takes it."""

    coordinator: Annotated[
        str | None,
        Parameter(
            env_var="FATHOM_COORDINATOR",
            help="Train with other processes: HOST:PORT of process 0, or auto on a cluster.",
        ),
    ] = None
    processes: Annotated[
        int | None, Parameter(env_var="FATHOM_PROCESSES", help="How many processes there are.")
    ] = None
    process: Annotated[
        int | None, Parameter(env_var="FATHOM_PROCESS", help="Which of them this one is, from 0.")
    ] = None

    def configure(self) -> None:
        """Arrange this process, and meet the others if there are any."""
        process.configure(coordinator=self.coordinator, processes=self.processes, process=self.process)


ALONE = Processes()


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """How a source of data is read, by the names that a settings file uses."""

    target: Annotated[str | None, Parameter(help="The column to predict; needed for a data file.")] = None
    kind: Annotated[
        str | None, Parameter(help="classification or regression, where the data leaves it open.")
    ] = None
    positive: Annotated[
        str | None, Parameter(help="Which of two classes f1, precision and recall are about.")
    ] = None
    columns: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(),
            help="What columns are: 'zip=categorical,w=weight'. Kinds: numeric (decimal-comma, decimal-point), "
            "boolean, categorical, date (day-first, month-first), text, ignore; roles: weight, group, time, split.",
        ),
    ] = ()
    sql: Annotated[str | None, Parameter(help="A SELECT over the file, whose table is called data.")] = None
    test_file: Annotated[str | None, Parameter(help="A file with the test rows.")] = None
    validation_file: Annotated[str | None, Parameter(help="A file with the validation rows.")] = None


def read_columns(written: tuple[str, ...]) -> dict[str, str]:
    """The words of `--columns` by the name of the column; a name may hold commas and equals signs.

    Args:
        written: "NAME=WORD" or several with commas between them.

    Returns:
        The words by name, for `fathom.load`.

    Raises:
        UsageError: if a word has no name or a name no word.

    Example:
        >>> read_columns(("zip=categorical,w=weight", "a,b=ignore"))
        {'zip': 'categorical', 'w': 'weight', 'a,b': 'ignore'}
    """
    read = {}
    for text in written:
        name = ""
        for piece in text.split(","):
            name += piece
            start, equals, word = name.rpartition("=")
            if not equals:
                name += ","
                continue
            if not start.strip() or not word.strip():
                break
            read[start.strip()] = word.strip()
            name = ""
        if name:
            raise UsageError(f"columns={text!r} is not understood; write NAME=WORD, such as zip=categorical")
    return read


def verb(name: str, *examples: str) -> App:
    """The app of one verb, with examples at the end of its help.

    Args:
        name: the word a user types.
        examples: whole command lines.

    Returns:
        The app, for the verb's function to be its default.
    """
    lines = "\n".join(f"  {example}" for example in examples)
    return App(name=name, help_epilogue=f"Examples\n\n{lines}\n")
