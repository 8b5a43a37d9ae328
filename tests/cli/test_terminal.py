"""Consoles, tables and JSON."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from fathom.cli import terminal


def test_json_has_null_for_what_is_no_finite_number(capsys):
    value = {
        "a": math.nan,
        "b": (math.inf, 1.5),
        "c": np.float32(2.0),
        "d": np.array([1.0, np.nan]),
        5: Path("x/y"),
    }
    terminal.print_json(value)
    read = json.loads(capsys.readouterr().out)
    assert read == {"a": None, "b": [None, 1.5], "c": 2.0, "d": [1.0, None], "5": str(Path("x/y"))}


def test_json_keeps_letters_as_they_are(capsys):
    terminal.print_json({"word": "größer"})
    assert "größer" in capsys.readouterr().out


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("100", 100), ("240", 100), (None, 100)])
def test_no_more_than_a_hundred_columns(monkeypatch, columns, width):
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    assert terminal.console().width == width


@pytest.mark.parametrize("columns", ["50", "80", "100"])
def test_a_table_folds_into_the_width(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", columns)
    terminal.print_table("title", ("name", "what it is"), [("a" * 30, "word " * 60)])
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= int(columns)
    assert sum(line.count("word") for line in lines) == 60


def test_markup_in_the_users_data_is_only_text(capsys):
    terminal.say("a column named [bold]x[/bold] :smile:")
    terminal.print_table("", ("name",), [("[red]y[/red]",)])
    out = capsys.readouterr().out
    assert "[bold]x[/bold] :smile:" in out
    assert "[red]y[/red]" in out


def test_color_only_where_it_is_wanted(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal.say("plain", style="red")
    assert "\x1b[31m" not in capsys.readouterr().out
