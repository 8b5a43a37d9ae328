"""Studies that several tests look at; each is trained once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fathom as fm
from fathom.models import MLP, Linear


def small_grid(**more):
    """Iris, two architectures, two learning rates, two seeds, two folds: 16 members in two programs."""
    recipe = fm.Recipe(learning_rate=[0.003, 0.03], epochs=4)
    return fm.Study("iris", [MLP(width=8, depth=1), Linear()], recipe, seeds=2, folds=2, **more)


def small_regression(**more):
    """Diabetes, one architecture, two learning rates, one division of the rows."""
    recipe = fm.Recipe(learning_rate=[0.003, 0.03], epochs=4)
    return fm.Study(more.pop("data", "diabetes"), MLP(width=8, depth=1), recipe, folds=1, **more)


def in_a_process_of_its_own(code, *arguments, cwd):
    """Run a program with this library and these tests in reach, whatever the folder."""
    here = Path(__file__).parents[2], Path(__file__).parents[1], Path(fm.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, here))}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture(scope="session")
def grid(tmp_path_factory):
    """The small grid, run with baselines, a folder and a callback; its events beside the result."""
    events = []
    folder = tmp_path_factory.mktemp("runs") / "grid"
    result = small_grid().run(folder, callbacks=[events.append], save_every=0)
    return result, events


@pytest.fixture(scope="session")
def regression(tmp_path_factory):
    """The small regression, run into a folder."""
    return small_regression().run(tmp_path_factory.mktemp("runs") / "regression")
