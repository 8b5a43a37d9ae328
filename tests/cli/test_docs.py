"""The pages are what the commands print, and the README's commands are what CI runs."""

import importlib.util
import os
import re
import stat
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_blocks(text):
    return [block.strip() for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)]


def test_the_page_of_the_command_line_is_what_help_prints():
    spec = importlib.util.spec_from_file_location("make_cli", ROOT / "docs" / "make_cli.py")
    assert spec is not None and spec.loader is not None
    make_cli = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_cli)
    assert make_cli.PAGE.read_text(encoding="utf-8") == make_cli.page(), "run: python docs/make_cli.py"


def test_ci_runs_the_readmes_own_test_command():
    command = next(block for block in shell_blocks(README) if "/pytest" in block)
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert lines[-1] == command
    assert script.stat().st_mode & stat.S_IXUSR or os.name == "nt"


def test_the_readme_sets_up_and_trains_in_one_command():
    first = shell_blocks(README)[0]
    assert first.startswith("python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/fathom fit digits")
    assert "\n" not in first


def test_every_page_that_is_linked_is_there():
    for name in ("README.md", "CONTRIBUTING.md", "docs/json.md", "docs/cli.md"):
        page = ROOT / name
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{name} links to {link}"


def test_the_license_is_the_apache_license():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert (
        "Apache License" in text
        and "Version 2.0, January 2004" in text
        and "END OF TERMS AND CONDITIONS" in text
    )
