"""From a dataset and its division to what the engine reads."""

import dataclasses
from collections.abc import Iterable, Sequence

import jax
import numpy as np

from ..data import Dataset, Encoder, Split
from ..engine.feed import Feed, aligned
from ..engine.memory import device_memory
from ..errors import DataError
from ..objectives import outputs_for
from ..task import Task
from .weights import ClassWeight, check_weights, class_weights

_COPIES = 3  # of the inputs while they are laid out
_MEMORY_SHARE = 0.6
_LEAST_ROWS, _LEAST_TRAINED, _LEAST_JUDGED = (
    512,
    256,
    64,
)  # that there is room for: in all, to train, to validate
_LEAST_INPUTS, _LEAST_OTHERS = 32, 16  # continuous inputs, and the others


@dataclasses.dataclass(frozen=True)
class Inputs:
    """A dataset made ready to train on.

    Attributes:
        dataset: where it comes from.
        split: its division.
        encoders: what was fitted on the training rows of each fold.
        feed: what the engine reads; its rows are `rows` of the dataset and one blank row.
        rows: rows of the dataset that train or validate; those of weight 0 do neither.
        class_weights: what the training loss of each class is multiplied by; None for all alike.
    """

    dataset: Dataset
    split: Split
    encoders: tuple[Encoder, ...]
    feed: Feed
    rows: np.ndarray
    class_weights: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        split: Split,
        scaling: str = "standardize",
        counts: bool = False,
        encoders: tuple[Encoder, ...] | None = None,
        class_weight: ClassWeight = None,
        roomy: bool = False,
    ) -> "Inputs":
        """Fit the encoders, each on its own fold's training rows, and lay the rows out.

        Args:
            dataset: the data.
            split: its division.
            scaling: conditioning of the numeric columns.
            counts: whether the target is left as it is, because the loss takes counts.
            encoders: those of an earlier run, one a fold, in place of fitting.
            class_weight: weights of the classes, as `class_weights` takes them.
            roomy: whether rows and inputs get rooms of round sizes (`room_for`), the rest of which is blank: rows
                of weight 0 that no step reads, and inputs that are always 0.

        Raises:
            DataError: if a row's weight is not allowed, or the inputs do not fit into memory.
            UsageError: if the class weights are not allowed.
        """
        check_weights(dataset, split)
        if dataset.weight is not None:
            split = _weighing(split, dataset.weight)
        numbers = dataset.target if dataset.kind == "regression" and not counts else None
        counted = dataset.weight
        encoders = encoders or tuple(
            Encoder.fit(dataset.schema, dataset.table, rows, scaling=scaling, target=numbers, weight=counted)
            for rows in split.train
        )
        if roomy:
            filled, others = encoders[0].filled
            room = (room_for(filled, _LEAST_INPUTS) if filled else 0, room_for(others, _LEAST_OTHERS))
            encoders = tuple(dataclasses.replace(e, room=room) for e in encoders)
        rows = np.unique(np.concatenate([*split.train, *split.validation]))
        _check_memory(encoders, len(rows))
        place = np.full(len(dataset), -1, dtype=np.int32)
        place[rows] = np.arange(len(rows))
        blank = len(rows)
        table, target = dataset.table.take(rows), dataset.target[rows]
        weight = np.ones(len(rows)) if dataset.weight is None else dataset.weight[rows]
        weight = weight / weight.mean()  # so that learning rates keep their meaning
        examples = {
            "x": _with_blank(len(encoders), (e.encode(table) for e in encoders)),
            "y": _with_blank(len(encoders), (_targets(e, target, dataset.kind) for e in encoders)),
            "weight": np.append(weight, 0).astype(np.float32)[None],
        }
        of_classes = None
        if class_weight is not None:
            of_classes = class_weights(class_weight, dataset.classes or (), target, weight)
            examples["loss_weight"] = np.append(weight * of_classes[target], 0).astype(np.float32)[None]
        if dataset.kind == "classification":
            examples["y"] = examples["y"][:1]
        train = _equal([place[r] for r in split.train], blank)
        validation = _equal([place[r] for r in split.validation], blank)
        feed = Feed(examples, train, validation, blank)
        return cls(dataset, split, encoders, _with_room(feed) if roomy else feed, rows, of_classes)

    def task(self, metric: str, loss: str) -> Task:
        """The task that the dataset sets."""
        features = self.encoders[0].features
        if self.dataset.kind == "classification":
            classes = self.dataset.classes or ()
            outputs = outputs_for(loss or "cross_entropy", len(classes))
            task = Task.classification(features, classes, outputs=outputs, metric=metric, loss=loss)
        else:
            task = Task.regression(features, outputs_for(loss or "squared", 1), metric=metric, loss=loss)
        return dataclasses.replace(task, continuous=self.encoders[0].continuous)

    @property
    def scales(self) -> np.ndarray:
        """What one unit of the network's output is in units of the target, for each fold."""
        if self.dataset.kind == "classification":
            return np.ones(len(self.encoders))
        return np.array([float(np.asarray(e.target_scale).reshape(-1)[0]) for e in self.encoders])


def room_for(count: int, least: int) -> int:
    """The room that so many rows or inputs get: the next of 4, 5, 6 and 7 times a power of two, at least `least`.

    Example:
        >>> room_for(3, 32), room_for(100, 32), room_for(1000, 256)
        (32, 112, 1024)
    """
    if count <= least:
        return least
    eighth = 1 << max(0, (count - 1).bit_length() - 3)
    return -(-count // eighth) * eighth


def _with_room(feed: Feed) -> Feed:
    """The feed with blank rows up to rooms of round sizes."""
    assert feed.blank is not None and feed.validation is not None
    rows = room_for(feed.blank + 1, _LEAST_ROWS) - feed.blank - 1
    examples = {
        name: np.pad(array, [(0, 0), (0, rows)] + [(0, 0)] * (array.ndim - 2))
        for name, array in feed.examples.items()
    }
    judged = room_for(feed.validation.shape[1], _LEAST_JUDGED) - feed.validation.shape[1]
    validation = np.pad(feed.validation, [(0, 0), (0, judged)], constant_values=feed.blank)
    room = room_for(feed.train.shape[1], _LEAST_TRAINED)
    return dataclasses.replace(feed, examples=examples, validation=validation, room=room)


def _check_memory(encoders: Sequence[Encoder], rows: int) -> None:
    """Refuse inputs that would fill the memory, before they are made."""
    features = encoders[0].features
    needed = 4 * features * rows * len(encoders) * _COPIES
    allowed = _MEMORY_SHARE * device_memory(jax.local_devices()[0])
    if needed > allowed:
        folds = f" in {len(encoders)} folds" if len(encoders) > 1 else ""
        raise DataError(
            f"{features} inputs of {rows} rows{folds} need {needed / 1e9:.1f} GB and {allowed / 1e9:.1f} GB are "
            "allowed; leave out columns of many categories or read their words (--columns NAME=ignore, NAME=text)"
        )


def _weighing(split: Split, weight: np.ndarray) -> Split:
    """The split without rows of weight 0, but for the test rows, where they change nothing."""
    train, validation = (tuple(r[weight[r] > 0] for r in part) for part in (split.train, split.validation))
    return dataclasses.replace(split, train=train, validation=validation)


def _targets(encoder: Encoder, target: np.ndarray, kind: str) -> np.ndarray:
    if kind == "classification":
        return target.astype(np.int32)
    return encoder.encode_target(target).astype(np.float32).reshape(len(target))


def _with_blank(count: int, folds: Iterable[np.ndarray]) -> np.ndarray:
    """What each of `count` folds sees of the rows, and a blank row, [folds, rows + 1, ...]; one fold at a time."""
    found = np.empty(0)
    for fold, array in enumerate(folds):
        if fold == 0:
            found = aligned((count, len(array) + 1, *array.shape[1:]), array.dtype)
            found[:, -1] = 0
        found[fold, :-1] = array
    return found


def _equal(parts: list[np.ndarray], blank: int) -> np.ndarray:
    """The row lists as one array, the shorter ones filled up with the blank row."""
    longest = max(len(part) for part in parts)
    return np.stack([np.append(p, np.full(longest - len(p), blank)) for p in parts]).astype(np.int32)
