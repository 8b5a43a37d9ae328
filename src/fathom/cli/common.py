"""What every verb takes, and how a verb's page of help is made."""

import dataclasses
from typing import Annotated

from cyclopts import App, Parameter


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
