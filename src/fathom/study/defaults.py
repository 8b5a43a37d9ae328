"""What a study does where it is not told: network, conditioning and search, from what the data is."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..data import Dataset, shares_unit
from ..models import MLP, Architecture, Tabular
from ..optim import Recipe
from ..settings import linear_range, log_range

FOLDS_BELOW = 5000  # rows; smaller data is cross-validated
FOLDS = 5
SAMPLES = 16
_PATIENCE = 12.0  # epochs
_VISITS = 600_000  # of an example by a network, over all epochs


def default_architectures(dataset: Dataset) -> tuple[Architecture, ...]:
    """A perceptron for measurements of one kind, such as pixels; embedded columns for other tables.

    Args:
        dataset: the data.
    """
    if shares_unit(dataset.table):
        return (MLP(width=128 if len(dataset) < FOLDS_BELOW else 512, depth=2),)
    columns = len(dataset.schema.columns)
    return (Tabular(size=16 if columns <= 32 else 8),)


def default_scaling(dataset: Dataset, architectures: Sequence[Architecture]) -> str:
    """The conditioning of the numeric columns that suits data and networks.

    Args:
        dataset: the data.
        architectures: the networks.
    """
    if shares_unit(dataset.table):
        return "shared"
    return "quantile" if any(isinstance(one, Tabular) for one in architectures) else "standardize"


def default_recipe(rows: int, architectures: Sequence[Architecture] = ()) -> Recipe:
    """The default search: the standard recipe, with what matters most drawn from ranges.

    Args:
        rows: training rows; larger data gets larger batches and fewer epochs.
        architectures: the networks.
    """
    tabular = any(isinstance(one, Tabular) for one in architectures)
    batch = 32 if rows <= 2_000 else 64 if rows <= 5_000 else 256 if tabular or rows > 50_000 else 128
    epochs = int(np.clip(_VISITS / max(rows, 1), 10, 60))
    common = Recipe(batch_size=batch, epochs=epochs, dropout=linear_range(0.0, 0.5))
    if tabular:
        # Noise and smoothed labels cost accuracy on embedded columns; see docs/tables.md.
        # Small tables are learned by heart in a few epochs; a member that gets no better for so many rests.
        ranges = {
            "learning_rate": log_range(1e-3, 8e-3),
            "weight_decay": log_range(1e-3, 0.5),
            "patience": _PATIENCE,
        }
    else:
        ranges = {
            "learning_rate": log_range(5e-4, 1e-2),
            "weight_decay": log_range(1e-3, 1.0),
            "input_noise": linear_range(0.0, 0.5),
            "label_smoothing": linear_range(0.0, 0.2),
        }
    return dataclasses.replace(common, **ranges)
