"""The command `fathom`: finds the verb, runs it, turns every failure into one sentence and an exit code."""

import os
import re
import sys
from collections.abc import Sequence
from textwrap import shorten

from cyclopts import App, CycloptsError, Parameter, UnknownCommandError, UnusedCliTokensError
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import Box

from .._version import __version__
from ..errors import FathomError, one_of
from ..process import fail

#: Exit codes that are no `FathomError`'s.
STOPPED, BROKEN_PIPE, BUG = 130, 141, 70

#: Each verb and what it does, in the order of the help. A verb is a module, loaded when it is asked for.
VERBS = {
    "fit": "Train a population of networks on data and keep the best.",
    "predict": "Predict for new data with a trained run.",
    "evaluate": "Measure a trained run on data with known answers.",
    "compare": "Compare runs on the test rows that they share.",
    "export": "Write a trained model as a folder that predicts with JAX alone.",
    "resume": "Go on with a run that was stopped.",
    "report": "Write the report of a run again.",
    "graph": "Draw what a JAX function computes, forward and backward.",
    "models": "List the architectures, or the settings of one.",
    "optim": "List the learning rules, schedules, clippings and training settings.",
    "data": "Show what Fathom reads in a source of data, or list the bundled ones.",
    "info": "Show versions, devices and the cache of compiled programs.",
}

_RULED = Box(" ── \n    \n    \n    \n    \n    \n    \n    \n")


def _app() -> App:
    made = App(
        name="fathom",
        help="Deep learning you can get to the bottom of: train whole populations of networks at once.",
        help_epilogue="Start with\n\n  fathom fit digits\n",
        version=__version__,
        help_format="plaintext",
        help_formatter=DefaultFormatter(panel_spec=PanelSpec(box=_RULED, padding=(0, 0))),
        default_parameter=Parameter(show_default=False),
        suppress_keyboard_interrupt=False,
    )
    for place, (name, summary) in enumerate(VERBS.items()):
        made.command(f"{__package__}.{name}:app", name=name, help=summary, sort_key=place)
    return made


app = _app()


def main() -> None:
    """The entry point of the command `fathom`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that has no "±" gets a "?" instead of a crash
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    code = run(sys.argv[1:])
    if code:
        fail(code)
    sys.exit(code)


def run(tokens: Sequence[str]) -> int:
    """Run one command line.

    Args:
        tokens: the arguments after `fathom`.

    Returns:
        The exit code; with `--debug` a failure raises instead.
    """
    from .terminal import console, say

    debug = "--debug" in tokens
    try:
        app(
            list(tokens),
            console=console(),
            error_console=console(stderr=True),
            print_error=False,
            exit_on_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has closed it; nothing may be written at the interpreter's end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (Exception, KeyboardInterrupt) as error:
        sentence, code = explain(error, tokens)
        if debug:
            import traceback

            traceback.print_exc()
        say(sentence, stderr=True)
        return code
    return 0


def explain(error: BaseException, tokens: Sequence[str]) -> tuple[str, int]:
    """The sentence for a failure, and the exit code.

    Args:
        error: what was raised.
        tokens: the command line's arguments.

    Returns:
        The sentence, without line breaks, and the code.
    """
    if isinstance(error, CycloptsError):
        return f"error: {_parse_sentence(error, tokens)}", 2
    if isinstance(error, FathomError):
        prefix = "" if error.exit_code == STOPPED else "error: "
        return f"{prefix}{_one_line(str(error))}", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "stopped.", STOPPED
    if isinstance(error, MemoryError):
        return "error: the machine has no memory left; use fewer members, smaller networks or less data", 1
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: {error.filename}: {error.strerror}; choose a place that can be read and written", 1
    described = shorten(f"{type(error).__name__}: {error}", 200, placeholder=" ...")
    hint = "the same command with --debug shows where; please report it with that output"
    return f"error: this is a bug in fathom ({described}); {hint}", BUG


def _parse_sentence(error: CycloptsError, tokens: Sequence[str]) -> str:
    chain = error.command_chain or [token for token in tokens[:1] if token in VERBS]
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        return _one_line(str(one_of("command", error.unused_tokens[0], VERBS)))
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        said = f"{error.unused_tokens[0]!r} is one argument too many"
    else:
        # Its sentences as parts of one: "Unknown option: --sed. Did you mean --seeds?"
        said = re.sub(r"[.?!] ([A-Z])", lambda found: f"; {found[1].lower()}", _one_line(str(error)))
    return f"{said.rstrip('.?!')}; see {' '.join(['fathom', *chain, '--help'])}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
