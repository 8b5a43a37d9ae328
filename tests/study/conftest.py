"""Studies that several tests look at; each is trained once."""

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
