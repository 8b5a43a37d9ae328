"""The data sets that come with Fathom: bundled through scikit-learn, or generated from a fixed seed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...catalogue import Catalogue
from .bundled import read_bundled
from .columns import RawColumn
from .frames import array_column

#: Every generated source draws from this seed, so that it is the same data everywhere.
SEED = 20240229


@dataclass(frozen=True)
class Source:
    """A data set that is always there.

    Attributes:
        name: the word a user types.
        kind: "classification" or "regression".
        rows: how many examples.
        summary: one line for the user.
        reference: where it comes from.
        target: the name of the column to predict.
        read: returns the columns, the target among them.
        shape: how the inputs of one example are arranged, where they are an image; () otherwise.
    """

    name: str
    kind: str
    rows: int
    summary: str
    reference: str
    target: str
    read: Callable[[], list[RawColumn]]
    shape: tuple[int, ...] = ()


#: Every source, by name.
SOURCES: Catalogue[Source] = Catalogue("dataset")


Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


def _generated(name: str, kind: str, rows: int, summary: str, draw: Draw) -> Source:
    target = "label" if kind == "classification" else "y"

    def read() -> list[RawColumn]:
        x, y = draw(np.random.default_rng(SEED))
        names = ["x"] if x.shape[1] == 1 else [f"x{place + 1}" for place in range(x.shape[1])]
        columns = [array_column(column, x[:, place]) for place, column in enumerate(names)]
        return [*columns, array_column(target, y)]

    return Source(name, kind, rows, summary, f"generated, seed {SEED}", target, read)


def _moons(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    label = np.arange(1000) % 2
    angle = np.pi * random.uniform(size=1000)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1.0 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    return np.where(label[:, None] == 0, upper, lower) + 0.2 * random.normal(size=(1000, 2)), label


def _circles(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    label = np.arange(1000) % 2
    angle = 2 * np.pi * random.uniform(size=1000)
    radius = np.where(label == 0, 1.0, 0.5)
    ring = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return ring + 0.1 * random.normal(size=(1000, 2)), label


def _spirals(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    label = np.arange(1000) % 2
    turn = np.sqrt(random.uniform(size=1000))
    angle = 3.5 * np.pi * turn + np.pi * label
    arm = turn[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return arm + 0.02 * random.normal(size=(1000, 2)), label


def _xor(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = random.uniform(-1.0, 1.0, size=(1000, 2))
    return x, (x[:, 0] * x[:, 1] < 0).astype(int)


def _gaussians(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    label = np.arange(900) % 3
    centers = np.array([[0.0, 0.0], [2.5, 0.5], [1.0, 2.5]])
    return centers[label] + 0.8 * random.normal(size=(900, 2)), label


def _polynomial(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = random.uniform(-2.0, 2.0, size=(500, 1))
    return x, x[:, 0] ** 3 - 2.0 * x[:, 0] + 0.5 + 0.3 * random.normal(size=500)


def _sine(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = random.uniform(-1.0, 1.0, size=(500, 1))
    return x, np.sin(2 * np.pi * x[:, 0]) + 0.1 * random.normal(size=500)


_CLASSES, _NUMBER = "classification", "regression"
for _source in (
    Source(
        "digits",
        _CLASSES,
        1797,
        "handwritten digits, 8 x 8 grey values, 10 classes",
        "Alpaydin & Kaynak (1998), UCI Optical Recognition of Handwritten Digits; scikit-learn",
        "digit",
        partial(read_bundled, "digits", "digit"),
        (8, 8),
    ),
    Source(
        "iris",
        _CLASSES,
        150,
        "three species of iris from four lengths of the flower",
        "Fisher (1936); scikit-learn",
        "species",
        partial(read_bundled, "iris", "species"),
    ),
    Source(
        "wine",
        _CLASSES,
        178,
        "three cultivars of wine from 13 chemical measurements",
        "Forina et al. (1991), UCI Wine; scikit-learn",
        "cultivar",
        partial(read_bundled, "wine", "cultivar"),
    ),
    Source(
        "breast_cancer",
        _CLASSES,
        569,
        "malignant or benign from 30 measurements of cell nuclei",
        "Street, Wolberg & Mangasarian (1993); scikit-learn",
        "diagnosis",
        partial(read_bundled, "breast_cancer", "diagnosis"),
    ),
    Source(
        "diabetes",
        _NUMBER,
        442,
        "progression of diabetes after a year from ten measurements",
        "Efron, Hastie, Johnstone & Tibshirani (2004); scikit-learn, unscaled",
        "progression",
        partial(read_bundled, "diabetes", "progression"),
    ),
    _generated("moons", _CLASSES, 1000, "two interleaved half circles with noise 0.2", _moons),
    _generated("circles", _CLASSES, 1000, "a circle inside another with noise 0.1", _circles),
    _generated("spirals", _CLASSES, 1000, "two interleaved spirals with noise 0.02", _spirals),
    _generated("xor", _CLASSES, 1000, "the sign of x1 * x2 on a square: no line separates it", _xor),
    _generated("gaussians", _CLASSES, 900, "three overlapping Gaussian clouds", _gaussians),
    _generated("polynomial", _NUMBER, 500, "x^3 - 2 x + 1/2 with noise 0.3", _polynomial),
    _generated("sine", _NUMBER, 500, "sin(2 pi x) with noise 0.1", _sine),
):
    SOURCES.add(_source)
