"""Finding the verb, the help, and every way to fail."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from fathom import __version__, errors
from fathom.cli import main
from fathom.cli.outcome import Stopped

SOURCE = str(Path(main.__file__).parents[2])


def spawn(code, *arguments):
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "tokens", [["--help"], ["--version"], [], *([verb, "--help"] for verb in main.VERBS)]
)
def test_help_and_version_import_no_jax(tokens):
    code = "import sys; from fathom.cli.main import run; code = run(sys.argv[1:]); "
    code += "heavy = {'jax', 'numpy', 'sklearn', 'duckdb'} & set(sys.modules); "
    code += "sys.exit(code or ' '.join(heavy) or 0)"
    ended = spawn(code, *tokens)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_version_is_the_packages(fathom):
    assert fathom("--version").out.strip() == __version__


def test_the_help_lists_every_verb_in_its_order(fathom):
    lines = fathom("--help").out.splitlines()
    listed = [line.split()[0] for line in lines if line.split() and line.split()[0] in main.VERBS]
    assert listed == list(main.VERBS)


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_has_examples_that_parse(verb, fathom):
    text = fathom(verb, "--help").out
    examples = [line.strip() for line in text.partition("Examples")[2].splitlines() if line.strip()]
    assert examples
    for example in examples:
        name, *tokens = shlex.split(example)
        assert name == "fathom" and tokens[0] == verb
        main.app.parse_args(tokens, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_takes_the_common_options(verb, fathom):
    text = fathom(verb, "--help").out
    assert all(option in text for option in ("--json", "--quiet", "--debug"))


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        (["fitt"], "error: command='fitt' is not known; use one of: fit, predict"),
        (["fit"], "SOURCE requires an argument; see fathom fit --help"),
        (["fit", "digits", "--sed", "3"], "Unknown option: --sed; did you mean"),
        (["fit", "digits", "--seeds", "many"], "Invalid value for --seeds"),
        (["data", "a", "b"], "error: 'b' is one argument too many; see fathom data --help"),
        (["fit", "digits", "--set", "seeds"], "--set 'seeds' is not understood; write NAME=VALUE"),
        (["fit", "none.toml"], "there is no such settings file"),
        (["models", "perceptrn"], "model='perceptrn' is not known; use one of: "),
    ],
)
def test_misuse_is_one_sentence_with_exit_code_2(fathom, tokens, sentence):
    ended = fathom(*tokens)
    assert ended.code == 2
    assert ended.out == ""
    assert sentence in ended.err
    assert not re.search(r"[.?!] [A-Z]", ended.err)
    assert len(ended.err.splitlines()) == 1


def test_a_file_that_is_not_there_is_a_data_error(fathom):
    ended = fathom("data", "nowhere.csv", "--target", "y")
    assert ended.code == errors.DataError.exit_code
    assert ended.err.startswith("error: source='nowhere.csv'")


KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FathomError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_each_error_ends_with_its_code(kind):
    assert main.explain(kind("x=1: too\n small; give 2"), []) == (
        "error: x=1: too\\n small; give 2",
        kind.exit_code,
    )


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "stopped."),
        (Stopped("stopped; go on with: fathom resume r"), 130, "stopped; go on with: fathom resume r"),
        (
            OSError(28, "No space left on device", "runs/a"),
            1,
            "error: runs/a: No space left on device; choose a place",
        ),
        (MemoryError(), 1, "error: the machine has no memory left"),
        (ZeroDivisionError("by zero"), 70, "error: this is a bug in fathom (ZeroDivisionError: by zero)"),
        (CycloptsError(msg="odd"), 2, "error: odd; see fathom --help"),
    ],
)
def test_other_failures_have_a_sentence_and_a_code_too(error, code, said):
    sentence, ended = main.explain(error, [])
    assert ended == code
    assert sentence.startswith(said)


def test_debug_adds_the_traceback(fathom):
    assert "Traceback" not in fathom("data", "nowhere.csv").err
    shown = fathom("data", "nowhere.csv", "--debug")
    assert shown.code == errors.DataError.exit_code
    assert "Traceback" in shown.err
    assert shown.err.splitlines()[-1].startswith("error: ")


def test_a_reader_that_closes_early_is_no_error():
    code = "import sys; from fathom.cli.main import run; sys.exit(run(['data']))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        assert (process.wait(60), said) == (main.BROKEN_PIPE, b"")
