"""The rules of the house: floors, file and function lengths, no global state."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "fathom"
FLOORS = [
    {"errors", "catalogue", "settings", "look", "process", "native", "_version"},
    {"data"},
    {"graph"},
    {"task", "nn"},
    {"models"},
    {"objectives"},
    {"optim"},
    {"engine"},
    {"analysis"},
    {"study"},
    {"report"},
    {"sklearn"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
# A run writes its report when it is done; the import is inside the function that does.
ALLOWED = {("study", "report")}


def room_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path):
    depth = len(path.relative_to(SOURCE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            yield from names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_floors(path):
    mine = room_of(path)
    assert mine in LEVEL, f"{mine} is on no floor: add it to docs/architecture.md and to this test"
    for room in imported_rooms(path):
        if (mine, room) not in ALLOWED and room in LEVEL:
            assert LEVEL[room] <= LEVEL[mine], f"{path} imports {room}, a floor above its own"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_lengths(path):
    text = path.read_text()
    assert text.count("\n") <= 600
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 100, f"{node.name} has over 100 lines"
        assert not isinstance(node, ast.Global), "global state"


def test_importing_fathom_starts_no_jax():
    code = "import sys, fathom; assert not {'jax', 'sklearn', 'duckdb'} & set(sys.modules); print(fathom.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_public_name_exists():
    import fathom

    for name in fathom.__all__:
        assert getattr(fathom, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fathom.nothing
