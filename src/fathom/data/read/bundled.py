"""The small data sets that scikit-learn ships, read from its files without importing it.

Its import takes longer than everything else that `load("digits")` does.
"""

import importlib.util
from pathlib import Path

import numpy as np

from .columns import RawColumn
from .frames import array_column, pixel_names

# The file of each, and how many lines stand above its numbers.
_FILES = {
    "digits": ("digits.csv.gz", 0),
    "iris": ("iris.csv", 1),
    "wine": ("wine_data.csv", 1),
    "breast_cancer": ("breast_cancer.csv", 1),
    "diabetes": ("diabetes_data_raw.csv.gz", 0),
}
_NUCLEUS = (
    *("radius", "texture", "perimeter", "area", "smoothness"),
    *("compactness", "concavity", "concave points", "symmetry", "fractal dimension"),
)
_FEATURES = {
    "digits": tuple(pixel_names((8, 8))),
    "iris": ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
    "wine": (
        *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
        *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue"),
        *("od280/od315_of_diluted_wines", "proline"),
    ),
    "breast_cancer": (
        *(f"mean {word}" for word in _NUCLEUS),
        *(f"{word} error" for word in _NUCLEUS),
        *(f"worst {word}" for word in _NUCLEUS),
    ),
    "diabetes": ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
}
_CLASSES = {
    "iris": ("setosa", "versicolor", "virginica"),
    "wine": ("class_0", "class_1", "class_2"),
    "breast_cancer": ("malignant", "benign"),
}


def read_bundled(name: str, target: str) -> list[RawColumn]:
    """The columns of a data set of scikit-learn.

    Args:
        name: as its loader is called there, without "load_"; diabetes is unscaled.
        target: what to call the column to predict.

    Returns:
        The features under scikit-learn's names, then the target.
    """
    x, y = _from_files(name) or _from_sklearn(name)
    columns = [array_column(feature, x[:, place]) for place, feature in enumerate(_FEATURES[name])]
    labels = np.array(_CLASSES[name])[y.astype(int)] if name in _CLASSES else y
    return [*columns, array_column(target, labels)]


def _from_files(name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Features [rows, features] and target [rows]; None where the files are not where they used to be."""
    spec = importlib.util.find_spec("sklearn")  # finds it without running it
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "datasets" / "data"
    file, above = _FILES[name]
    try:
        if name == "diabetes":
            return np.loadtxt(folder / file), np.loadtxt(folder / "diabetes_target.csv.gz")
        rows = np.loadtxt(folder / file, delimiter=",", skiprows=above)
    except OSError:
        return None
    return rows[:, :-1], rows[:, -1]


def _from_sklearn(name: str) -> tuple[np.ndarray, np.ndarray]:
    import sklearn.datasets

    options = {"scaled": False} if name == "diabetes" else {}
    return getattr(sklearn.datasets, f"load_{name}")(return_X_y=True, **options)
