"""From what scikit-learn's users hold (arrays, sparse matrices, data frames) to a dataset, and to new rows."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from ..data import Dataset
from ..data.load import build_dataset
from ..data.read.frames import array_column, is_frame, read_arrays, read_frame
from ..data.reading import Reading
from ..data.roles import read_columns


def dataset_of(
    x: Any,
    target: np.ndarray,
    *,
    weight: np.ndarray | None,
    classes: np.ndarray | None,
    name: str,
    columns: Mapping[str, str] | None,
) -> tuple[Dataset, list[str]]:
    """The dataset of inputs and a target, and the names of the columns of the inputs.

    Every column is an input but those of a frame that say nothing (one value only, or texts without repetition);
    numbers that merely count the rows stay in, since whoever chose the columns wanted them.

    Args:
        x: an array, a sparse matrix or a data frame, checked.
        target: class numbers or values [rows].
        weight: how much each row counts, or None.
        classes: the classes; None for a regression.
        name: of the target.
        columns: what some columns are, as `fathom.load` takes it.

    Raises:
        DataError: if nothing can be learned from it.
    """
    inputs = read_frame(x) if is_frame(x) else read_arrays(x)
    names = [column.name for column in inputs]
    goal = name
    while goal in names:
        goal += "_"
    given = read_columns(columns, [*names, goal], goal)
    kind = "regression" if classes is None else "classification"
    raw = [*inputs, array_column(goal, np.asarray(target))]
    reading = Reading("estimator", raw, goal, given, kind, positions=True)
    dataset = build_dataset(reading, kind)
    if classes is not None:
        dataset = _with_names(dataset, _labels(classes))
    return (dataset if weight is None else dataclasses.replace(dataset, weight=weight)), names


def new_rows(x: Any, names: Sequence[str]) -> Any:
    """New rows as a predictor reads them: a frame or columns, by the names that they had in `fit`.

    Args:
        x: what `predict` was given, checked: as many columns as in `fit`, in the same order.
        names: of the columns.
    """
    if is_frame(x):
        frame = nw.from_native(x)
        given = frame.columns
        return x if given == list(names) else frame.rename(dict(zip(given, names, strict=True))).to_native()
    columns = read_arrays(x)
    return {name: column.values for name, column in zip(names, columns, strict=True)}


def _labels(classes: np.ndarray) -> tuple[str, ...]:
    """The classes as words, for the tables and sentences of a result."""
    labels = tuple(str(label) for label in classes.tolist())
    return labels if len(set(labels)) == len(labels) else tuple(repr(label) for label in classes.tolist())


def _with_names(dataset: Dataset, labels: tuple[str, ...]) -> Dataset:
    goal = dataclasses.replace(dataset.schema.target, categories=labels)
    return dataclasses.replace(
        dataset, schema=dataclasses.replace(dataset.schema, target=goal), classes=labels
    )
