"""Encoding: from the cells of a table to the inputs of a network.

How many inputs there are, and what each means, follows from the schema alone; the numbers (medians, centers,
scales, the whitening matrix) are fitted on training rows only.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import DataError, one_of
from .dataset import Table
from .scaling import SCALINGS, Scaling, moments
from .schema import Column, Schema
from .words import word_buckets

_OWN_ARRAYS = ("median", "frequency", "target_center", "target_scale")


@dataclass(frozen=True, eq=False)
class Encoder:
    """Turns tables into network inputs, float32 [rows, features].

    The inputs come in blocks: numeric columns and the parts of a date (days, month, weekday, hour),
    imputed by the median and conditioned; booleans as 0 and 1; for each column that had missing cells, 1
    where one is missing; for each category 1 where it is the value, and slots for unseen and for
    missing ones; for each bucket of a text column log(1 + how many of its words occur).

    A category that no training row has (it is new, or another fold's) is encoded as what it may be: the share
    of the training rows that each of its column's slots has. A network then answers as for an average one.

    Attributes:
        schema: what the tables follow.
        median: float64 [numeric columns], what fills a missing cell.
        scaling: the conditioning of the numeric block.
        frequency: float64 [slots of all categories], the share of the training rows that each has.
        target_center: float64 [1], mean of the regression target on the training rows; 0 for classes.
        target_scale: float64 [1], its standard deviation; 1 for classes.
        room: continuous inputs and other inputs that there are at least: what the schema leaves over of them is
            blank, always 0, so that tables of different widths have inputs of one shape.
    """

    schema: Schema
    median: np.ndarray
    scaling: Scaling
    frequency: np.ndarray
    target_center: np.ndarray
    target_scale: np.ndarray
    room: tuple[int, int] = (0, 0)

    @classmethod
    def fit(
        cls,
        schema: Schema,
        table: Table,
        rows: np.ndarray,
        *,
        scaling: str = "standardize",
        target: np.ndarray | None = None,
        weight: np.ndarray | None = None,
    ) -> "Encoder":
        """Fit to some rows of a table.

        Args:
            schema: what the table follows.
            table: the table.
            rows: the training rows; no other row is looked at.
            scaling: how numeric inputs are conditioned, one of `fathom.data.SCALINGS`.
            target: float64 [rows of the table], to standardize a regression target; None for classes.
            weight: float64 [rows of the table], how often each row counts; once if None. Medians, and the
                quartiles of "robust", count every row once.

        Returns:
            The encoder. Cost: that of the scaling.

        Raises:
            DataError: if `rows` is empty.
            UsageError: if `scaling` is not a known word.

        Example:
            >>> from fathom.data import load
            >>> data = load("iris")
            >>> encoder = Encoder.fit(data.schema, data.table, np.arange(150), scaling="zca")
            >>> inputs = encoder.encode(data.table)
            >>> inputs.shape, bool(np.allclose(np.cov(inputs.T, bias=True), np.eye(4), atol=1e-4))
            ((150, 4), True)
        """
        if scaling not in SCALINGS:
            raise one_of("scaling", scaling, SCALINGS)
        if len(rows) == 0:
            raise DataError("rows=[]: an encoder needs at least one training row")
        numeric = table.numeric[rows]
        median = _medians(numeric)
        values = _continuous(schema, np.where(np.isnan(numeric), median, numeric))
        count = None if weight is None else weight[rows]
        counts = [
            np.bincount(table.categorical[rows, place], count, minlength=column.slots)
            for place, column in enumerate(schema.categorical)
        ]
        frequency = np.concatenate([np.zeros(0), *counts]) / (len(rows) if count is None else count.sum())
        goal = np.zeros((1, 1)) if target is None else np.asarray(target, dtype=np.float64)[rows][:, None]
        spread = moments(goal, None if target is None else count)
        return cls(schema, median, Scaling.fit(scaling, values, count), frequency, *spread)

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """What each input means, in order; under "pca" the numeric ones are pc1, pc2, …; "" for a blank one."""
        names = _continuous_names(self.schema)
        if self.scaling.name == "pca":
            names = [f"pc{place + 1}" for place in range(len(names))]
        names += [""] * (self.continuous - len(names))
        names += [column.name for column in self.schema.numeric if column.kind == "boolean"]
        names += [f"{column.name} is missing" for column in self.schema.numeric if column.has_missing]
        for column in self.schema.categorical:
            names += [f"{column.name}={category}" for category in _slot_names(column)]
        for column in self.schema.text:
            names += [f"{column.name} words {place}" for place in range(column.buckets)]
        return (*names, *[""] * (self.continuous + self.room[1] - len(names)))

    @cached_property
    def continuous(self) -> int:
        """How many inputs, the first ones, are conditioned numbers or blank; the others are flags and counts."""
        return max(len(_continuous_names(self.schema)), self.room[0])

    @property
    def features(self) -> int:
        """How many inputs there are; the same for every fold, since the schema decides it."""
        return len(self.feature_names)

    @cached_property
    def filled(self) -> tuple[int, int]:
        """How many of the continuous inputs, the first ones, and of the others are not blank."""
        continuous = len(_continuous_names(self.schema))
        names = dataclasses.replace(self, room=(0, 0)).feature_names
        return continuous, len(names) - continuous

    def encode(self, table: Table) -> np.ndarray:
        """The inputs of every row of a table that follows the schema.

        Args:
            table: the table; it may hold missing and unseen values.

        Returns:
            float32 [rows, features], finite.
        """
        kinds = self.schema.numeric
        missing = np.isnan(table.numeric)
        filled = np.where(missing, self.median, table.numeric)
        values = self.scaling.apply(_continuous(self.schema, filled))
        inputs = np.zeros((len(table), self.features), dtype=np.float32)
        inputs[:, : values.shape[1]] = values
        start = self.continuous
        for block in (
            filled[:, [column.kind == "boolean" for column in kinds]],
            missing[:, [column.has_missing for column in kinds]],
        ):
            inputs[:, start : start + block.shape[1]] = block
            start += block.shape[1]
        start = self._one_hot(table.categorical, inputs, start)
        for place, column in enumerate(self.schema.text):
            counts = word_buckets(table.text[:, place], column.buckets)
            inputs[:, start : start + column.buckets] = np.log1p(counts)
            start += column.buckets
        return inputs

    def encode_target(self, target: np.ndarray) -> np.ndarray:
        """A target as it is trained on: class indices unchanged, numbers centered and scaled, float32."""
        if self.schema.kind == "classification":
            return np.asarray(target, dtype=np.int32)
        return ((np.asarray(target, dtype=np.float64) - self.target_center) / self.target_scale).astype(
            np.float32
        )

    def decode_target(self, outputs: np.ndarray) -> np.ndarray:
        """Predictions of a regression target in the target's own units, float64, of the same shape."""
        return np.asarray(outputs, dtype=np.float64) * self.target_scale + self.target_center

    def arrays(self) -> dict[str, np.ndarray]:
        """The fitted numbers by name, to be stored beside the schema."""
        own = {name: getattr(self, name) for name in _OWN_ARRAYS}
        if any(self.room):
            own["room"] = np.array(self.room)
        return {**own, **{f"scaling.{name}": array for name, array in self.scaling.arrays().items()}}

    @classmethod
    def from_arrays(cls, schema: Schema, arrays: Mapping[str, np.ndarray], scaling: str) -> "Encoder":
        """The encoder whose `arrays` were stored.

        Args:
            schema: as it was fitted with.
            arrays: what `arrays` returned; other names are passed over.
            scaling: as it was fitted with.

        Returns:
            The encoder.

        Raises:
            DataError: if an array is missing.
        """
        within = {n.removeprefix("scaling."): a for n, a in arrays.items() if n.startswith("scaling.")}
        try:
            fitted = Scaling.from_arrays(scaling, within)
            median, frequency, center, scale = (np.asarray(arrays[n], dtype=np.float64) for n in _OWN_ARRAYS)
        except KeyError as absent:
            raise DataError(
                f"the stored encoder lacks {absent.args[0]}; it was written incompletely"
            ) from None
        filled, others = arrays.get("room", (0, 0))
        return cls(schema, median, fitted, frequency, center, scale, (int(filled), int(others)))

    @cached_property
    def _slot_lines(self) -> tuple[np.ndarray, ...]:
        """What the inputs of each categorical column are for each of its codes, float32 [slots, slots]."""
        lines, start = [], 0
        for column in self.schema.categorical:
            share = self.frequency[start : start + column.slots]
            lines.append(np.where(share[:, None] > 0, np.eye(column.slots), share).astype(np.float32))
            start += column.slots
        return tuple(lines)

    def _one_hot(self, codes: np.ndarray, inputs: np.ndarray, start: int) -> int:
        """Fill in one input a slot from `start` on; where the next block starts."""
        for place, column in enumerate(self.schema.categorical):
            inputs[:, start : start + column.slots] = self._slot_lines[place][codes[:, place]]
            start += column.slots
        return start


def shares_unit(table: Table) -> bool:
    """Whether the numeric columns look like measurements of one kind, such as the pixels of an image.

    They do where there are 32 or more, nothing else, every value is a whole number from 0 to 255, and at
    least half the columns reach half of the largest value. Dividing each by its own deviation would then blow
    up the columns that are almost always the same.

    Args:
        table: the table.

    Example:
        >>> from fathom.data import load
        >>> shares_unit(load("digits").table), shares_unit(load("wine").table)
        (True, False)
    """
    values = table.numeric
    if table.categorical.shape[1] or values.shape[1] < 32 or not np.isfinite(values).all():
        return False
    top = values.max()
    whole = values.min() >= 0 and top <= 255 and bool((values == np.round(values)).all())
    return whole and float((values.max(axis=0) >= top / 2).mean()) >= 0.5


def _medians(numeric: np.ndarray) -> np.ndarray:
    medians = np.zeros(numeric.shape[1])
    for place in range(numeric.shape[1]):
        present = numeric[:, place][~np.isnan(numeric[:, place])]
        if len(present):
            medians[place] = np.median(present)
    return medians


def _continuous(schema: Schema, filled: np.ndarray) -> np.ndarray:
    """The numeric block before conditioning: numeric columns as they are, three parts of each date."""
    if all(column.kind == "numeric" for column in schema.numeric):
        return filled
    parts = []
    for place, column in enumerate(schema.numeric):
        if column.kind == "numeric":
            parts.append(filled[:, place])
        elif column.kind == "date":
            days = np.floor(filled[:, place])
            months = (
                (np.datetime64("1970-01-01", "D") + days.astype(np.int64))
                .astype("datetime64[M]")
                .astype(np.int64)
            )
            made = {
                "days": filled[:, place],
                "month": months % 12 + 1.0,
                "weekday": (days + 3) % 7,
                "hour": (filled[:, place] - days) * 24,
            }
            parts += [made[part] for part in column.parts]
    return np.stack(parts, axis=1) if parts else np.zeros((len(filled), 0))


def _continuous_names(schema: Schema) -> list[str]:
    names = []
    for column in schema.numeric:
        if column.kind == "numeric":
            names.append(column.name)
        elif column.kind == "date":
            names += [f"{column.name} ({part})" for part in column.parts]
    return names


def _slot_names(column: Column) -> list[str]:
    """What each slot of a categorical column stands for."""
    shared = [f"(others {place})" for place in range(column.buckets)] or ["(other)"]
    return [*(column.categories or ()), *shared, "(missing)"]
