"""What a study is given: checked, and filled in where it is left out."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ..data import Dataset, Split
from ..data.stream import StreamedDataset
from ..errors import UsageError, one_of
from ..models import Architecture
from ..objectives import METRICS
from ..optim import Recipe
from .defaults import FOLDS, FOLDS_BELOW, default_architectures, default_recipe


def training_rows_of(dataset: Dataset, split: Split) -> int:
    """Rows that the first fold trains on, those that stay on disk included."""
    return dataset.labeled if isinstance(dataset, StreamedDataset) else len(split.train[0])


def folds_of(dataset: Dataset) -> int:
    """How many folds there are unless a user says otherwise."""
    if isinstance(dataset, StreamedDataset):
        return 1
    if dataset.time is not None or (dataset.part is not None and (dataset.part == 1).any()):
        return 1
    return FOLDS if len(dataset) < FOLDS_BELOW else 1


def recipe_of(
    given: Recipe | Mapping[str, Any] | None, rows: int, architectures: Sequence[Architecture]
) -> Recipe:
    """The recipe given, or the default search, some of its fields changed where a mapping is given."""
    if isinstance(given, Recipe):
        return given
    standard = default_recipe(rows, architectures)
    if not given:
        return standard
    Recipe.from_dict(given)  # refuses unknown names
    return dataclasses.replace(standard, **given)


def seeds_of(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds: those given, or the first of a number.

    Raises:
        UsageError: if they are no different whole numbers from 0.
    """
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    whole = all(isinstance(s, int) and not isinstance(s, bool) and 0 <= s < 2**32 for s in chosen)
    if isinstance(seeds, bool) or not chosen or not whole or len(set(chosen)) != len(chosen):
        todo = "give how many (1 or more), or different whole numbers from 0"
        raise UsageError(f"seeds={seeds!r} is not allowed; {todo}")
    return chosen


def architectures_of(
    given: Architecture | Sequence[Architecture] | None, dataset: Dataset
) -> tuple[Architecture, ...]:
    """The architectures given, or those that suit the data.

    Raises:
        UsageError: if one is no architecture, or there is none.
    """
    if given is None:
        return default_architectures(dataset)
    several = (given,) if isinstance(given, Architecture) else tuple(given)
    for one in several:
        if not isinstance(one, Architecture):
            raise UsageError(
                f"architectures={one!r} is no architecture; give one of fathom.models, such as MLP(width=64), "
                "or wrap your own module: models.FromModule(build)"
            )
    if not several:
        raise UsageError("architectures=[] is empty; give at least one, or None for the default")
    return several


def metric_of(metric: str | None, kind: str) -> str:
    """The metric that chooses: the one given, or accuracy or rmse.

    Raises:
        UsageError: if it is unknown, or for another kind of task.
    """
    name = metric or ("accuracy" if kind == "classification" else "rmse")
    fitting = [record.name for record in METRICS if record.kind == kind]
    if name in METRICS and name not in fitting:
        raise UsageError(f"metric={name!r} is not for {kind}; use one of: {', '.join(fitting)}")
    if name not in METRICS:
        raise one_of("metric", name, fitting)
    return name
