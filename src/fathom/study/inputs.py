"""From a dataset and its division to what the engine reads."""

import dataclasses

import numpy as np

from ..data import Dataset, Encoder, Split
from ..engine.feed import Feed
from ..objectives import outputs_for
from ..task import Task


@dataclasses.dataclass(frozen=True)
class Inputs:
    """A dataset made ready to train on.

    Attributes:
        dataset: where it comes from.
        split: its division.
        encoders: what was fitted on the training rows of each fold.
        feed: what the engine reads; its rows are `rows` of the dataset and one blank row.
        rows: rows of the dataset that train or validate.
    """

    dataset: Dataset
    split: Split
    encoders: tuple[Encoder, ...]
    feed: Feed
    rows: np.ndarray

    @classmethod
    def of(
        cls, dataset: Dataset, split: Split, scaling: str = "standardize", counts: bool = False
    ) -> "Inputs":
        """Fit the encoders, each on its own fold's training rows, and lay the rows out.

        Args:
            dataset: the data.
            split: its division.
            scaling: conditioning of the numeric columns.
            counts: whether the target is left as it is, because the loss takes counts.
        """
        numbers = dataset.target if dataset.kind == "regression" and not counts else None
        encoders = tuple(
            Encoder.fit(dataset.schema, dataset.table, rows, scaling=scaling, target=numbers)
            for rows in split.train
        )
        rows = np.unique(np.concatenate([*split.train, *split.validation]))
        place = np.full(len(dataset), -1, dtype=np.int32)
        place[rows] = np.arange(len(rows))
        blank = len(rows)
        table, target = dataset.table.take(rows), dataset.target[rows]
        examples = {
            "x": np.stack([_with_blank(e.encode(table)) for e in encoders]),
            "y": np.stack([_with_blank(_targets(e, target, dataset.kind)) for e in encoders]),
            "weight": np.append(np.ones(len(rows), np.float32), np.float32(0))[None],
        }
        if dataset.kind == "classification":
            examples["y"] = examples["y"][:1]
        train = _equal([place[r] for r in split.train], blank)
        validation = _equal([place[r] for r in split.validation], blank)
        return cls(dataset, split, encoders, Feed(examples, train, validation, blank), rows)

    def task(self, metric: str, loss: str) -> Task:
        """The task that the dataset sets."""
        features = self.encoders[0].features
        if self.dataset.kind == "classification":
            classes = self.dataset.classes or ()
            outputs = outputs_for(loss or "cross_entropy", len(classes))
            return Task.classification(features, classes, outputs=outputs, metric=metric, loss=loss)
        return Task.regression(features, outputs_for(loss or "squared", 1), metric=metric, loss=loss)

    @property
    def scales(self) -> np.ndarray:
        """What one unit of the network's output is in units of the target, for each fold."""
        if self.dataset.kind == "classification":
            return np.ones(len(self.encoders))
        return np.array([float(np.asarray(e.target_scale).reshape(-1)[0]) for e in self.encoders])


def _targets(encoder: Encoder, target: np.ndarray, kind: str) -> np.ndarray:
    if kind == "classification":
        return target.astype(np.int32)
    return encoder.encode_target(target).astype(np.float32).reshape(len(target))


def _with_blank(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, np.zeros_like(array[:1])])


def _equal(parts: list[np.ndarray], blank: int) -> np.ndarray:
    """The row lists as one array, the shorter ones filled up with the blank row."""
    longest = max(len(part) for part in parts)
    return np.stack([np.append(p, np.full(longest - len(p), blank)) for p in parts]).astype(np.int32)
