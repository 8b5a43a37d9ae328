"""Small estimators, and what their fits compile."""

import jax
import numpy as np
import pytest
from sklearn.datasets import load_iris, make_regression

from fathom.sklearn import PopulationClassifier, PopulationRegressor

SMALL = {"width": 16, "depth": 1, "samples": 1, "epochs": 8, "learning_rate": 0.01, "random_state": 0}


def classifier(**more):
    return PopulationClassifier(**{**SMALL, "dropout": 0.0, "weight_decay": 0.01, **more})


def regressor(**more):
    return PopulationRegressor(**{**SMALL, "dropout": 0.0, "weight_decay": 0.01, **more})


class Compilations:
    """How many programs JAX has compiled, or read from its cache, since it was made."""

    def __init__(self):
        self.count = 0

    def __call__(self, name, seconds, **_):
        self.count += name == "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compiled():
    """The compilations that JAX reports while a test runs."""
    seen = Compilations()
    jax.monitoring.register_event_duration_secs_listener(seen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(seen)


@pytest.fixture(scope="session")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="session")
def line():
    """90 rows of a noisy linear function of 4 columns."""
    x, y = make_regression(90, 4, noise=5.0, random_state=0)
    return x, y / np.std(y)


@pytest.fixture(scope="session")
def fitted(iris):
    """A classifier fitted on flowers that are called by their names."""
    x, y = iris
    return classifier(epochs=30, seeds=2).fit(x, np.array(["setosa", "versicolor", "virginica"])[y])


@pytest.fixture(scope="session")
def fitted_line(line):
    return regressor(epochs=60).fit(*line)
