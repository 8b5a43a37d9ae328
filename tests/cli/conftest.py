"""A command line run in this process: what it printed and how it ended."""

from typing import NamedTuple

import pytest

from fathom import process
from fathom.cli import main


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def fathom(monkeypatch, capsys, tmp_path):
    """Runs `fathom TOKENS` here; the process belongs to the tests, so it is not set up again."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(
        process, "configure", lambda **together: process.arrange({"FATHOM_CACHE": str(cache)})
    )
    monkeypatch.setenv("COLUMNS", "100")

    def run(*tokens: str) -> Ended:
        code = main.run(tokens)
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return run
