"""Encoding: from the cells of a table to the inputs of a network.

How many inputs there are, and what each means, follows from the schema alone; the numbers (medians, centers,
scales, the whitening matrix) are fitted on training rows only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import DataError, one_of
from .dataset import Table
from .schema import Schema

#: How the numeric inputs are conditioned (the whitenings: Kessy, Lewin & Strimmer, 2018, arXiv:1512.00809).
SCALINGS = ("standardize", "shared", "none", "pca", "zca", "cholesky")
#: A direction with less than this share of the largest variance is rounding, not data: it is not magnified.
NULL_VARIANCE = 1e-8
_DATE_PARTS = ("days", "month", "weekday")
_ARRAYS = ("median", "center", "scale", "rotation", "target_center", "target_scale")


@dataclass(frozen=True, eq=False)
class Encoder:
    """Turns tables into network inputs, float32 [rows, features].

    The inputs come in blocks: numeric columns and the three parts of a date (days, month, weekday),
    imputed by the median and conditioned; booleans as 0 and 1; for each column that had missing cells, 1
    where one is missing; for each category 1 where it is the value, and a slot for unseen and missing ones.

    With x the imputed numeric block of the training rows, z = (x - mean) / deviation (deviations and
    covariances are divided by n, not n - 1) and C = cov(z): "standardize" gives z, "shared" (x - mean) / the
    root mean square of all deviations, which keeps columns of one unit in proportion, "pca" Λ^(-1/2) Uᵀ z with
    C = U Λ Uᵀ, "zca" U Λ^(-1/2) Uᵀ z, "cholesky" L⁻¹ z with C = L Lᵀ. Each of the three has covariance I on
    the training rows, except in directions in which those do not vary (constant or linearly dependent
    columns), which stay near 0.

    Attributes:
        schema: what the tables follow.
        scaling: one of `SCALINGS`.
        median: float64 [numeric columns], what fills a missing cell.
        center: float64 [numeric inputs].
        scale: float64 [numeric inputs]; 1 for an input constant on the training rows.
        rotation: float64 [numeric inputs, numeric inputs], the whitening matrix; [0, 0] where none is used.
        target_center: float64 [1], mean of the regression target on the training rows; 0 for classes.
        target_scale: float64 [1], its standard deviation; 1 for classes.
    """

    schema: Schema
    scaling: str
    median: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    rotation: np.ndarray
    target_center: np.ndarray
    target_scale: np.ndarray

    @classmethod
    def fit(
        cls,
        schema: Schema,
        table: Table,
        rows: np.ndarray,
        *,
        scaling: str = "standardize",
        target: np.ndarray | None = None,
    ) -> "Encoder":
        """Fit to some rows of a table.

        Args:
            schema: what the table follows.
            table: the table.
            rows: the training rows; no other row is looked at.
            scaling: how numeric inputs are conditioned, one of `SCALINGS`.
            target: float64 [rows of the table], to standardize a regression target; None for classes.

        Returns:
            The encoder. Cost: O(rows x columns), and O(columns³) for a whitening.

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
        center, scale = np.zeros(values.shape[1]), np.ones(values.shape[1])
        rotation = np.zeros((0, 0))
        if scaling != "none":
            center, scale = _moments(values)
        if scaling == "shared" and scale.size:
            varying = np.ptp(values, axis=0) > 0
            size = float(scale[varying].max(initial=1e-300))  # out of the squares, which could overflow
            scale[varying] = size * np.sqrt(np.square(scale[varying] / size).mean())
        if scaling in ("pca", "zca", "cholesky") and values.shape[1]:
            rotation = whitening((values - center) / scale, scaling)
        goal = np.zeros((1, 1)) if target is None else np.asarray(target, dtype=np.float64)[rows][:, None]
        target_center, target_scale = _moments(goal)
        return cls(schema, scaling, median, center, scale, rotation, target_center, target_scale)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What each input means, in order; under "pca" the numeric ones are pc1, pc2, …."""
        names = _continuous_names(self.schema)
        if self.scaling == "pca":
            names = [f"pc{place + 1}" for place in range(len(names))]
        names += [column.name for column in self.schema.numeric if column.kind == "boolean"]
        names += [f"{column.name} is missing" for column in self.schema.numeric if column.has_missing]
        for column in self.schema.categorical:
            names += [f"{column.name}={category}" for category in (*_categories(column), "(other)")]
        return tuple(names)

    @property
    def features(self) -> int:
        """How many inputs there are; the same for every fold, since the schema decides it."""
        return len(self.feature_names)

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
        with np.errstate(over="ignore"):
            values = (_continuous(self.schema, filled) - self.center) / self.scale
        # A value far outside the training rows must stay finite in float32 and in the products that follow.
        values = np.clip(values, -1e6, 1e6) if self.scaling != "none" else np.clip(values, -1e30, 1e30)
        if self.rotation.size:
            values = values @ self.rotation.T
        inputs = np.zeros((len(table), self.features), dtype=np.float32)
        start = values.shape[1]
        inputs[:, :start] = values
        for block in (
            filled[:, [column.kind == "boolean" for column in kinds]],
            missing[:, [column.has_missing for column in kinds]],
        ):
            inputs[:, start : start + block.shape[1]] = block
            start += block.shape[1]
        self._one_hot(table.categorical, inputs, start)
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
        return {name: getattr(self, name) for name in _ARRAYS}

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
        absent = [name for name in _ARRAYS if name not in arrays]
        if absent:
            raise DataError(f"the stored encoder lacks {', '.join(absent)}; it was written incompletely")
        return cls(schema, scaling, **{name: np.asarray(arrays[name], dtype=np.float64) for name in _ARRAYS})

    def _one_hot(self, cells: np.ndarray, inputs: np.ndarray, start: int) -> None:
        rows = np.arange(len(cells))
        for place, column in enumerate(self.schema.categorical):
            categories = _categories(column)
            slot = {category: number for number, category in enumerate(categories)}
            other = len(categories)
            slots = np.fromiter((slot.get(cell, other) for cell in cells[:, place]), np.int64, len(cells))
            inputs[rows, start + slots] = 1.0
            start += other + 1


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


def whitening(values: np.ndarray, scaling: str) -> np.ndarray:
    """The matrix W for which cov(W z) = I over the rows of `values`.

    Args:
        values: float64 [rows, features], mean zero.
        scaling: "pca" (directions of falling variance), "zca" (symmetric: as near to z as can be), "cholesky"
            (lower triangular: feature k uses features 1…k).

    Returns:
        float64 [features, features].
    """
    covariance = values.T @ values / len(values)
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = variances[::-1], directions[:, ::-1]
    varies = variances > NULL_VARIANCE * max(variances[0], 1e-300)
    if scaling == "cholesky":
        # Directions without variance get one, so that the factor exists; the rows are zero in them.
        null = directions[:, ~varies]
        factor = np.linalg.cholesky(covariance + null @ null.T)
        return np.linalg.solve(factor, np.eye(len(factor)))
    # The sign of an eigenvector is arbitrary; fixing it makes a fit repeatable between libraries.
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(len(variances))]
    directions = directions * np.where(largest < 0, -1.0, 1.0)
    shrink = np.where(varies, 1.0 / np.sqrt(np.where(varies, variances, 1.0)), 1.0)
    rotated = shrink[:, None] * directions.T
    return directions @ rotated if scaling == "zca" else rotated


def _medians(numeric: np.ndarray) -> np.ndarray:
    medians = np.zeros(numeric.shape[1])
    for place in range(numeric.shape[1]):
        present = numeric[:, place][~np.isnan(numeric[:, place])]
        if len(present):
            medians[place] = np.median(present)
    return medians


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column; deviation 1 where it is constant."""
    if values.shape[1] == 0:
        return np.zeros(0), np.ones(0)
    # Divided by the largest magnitude first, so that squares neither overflow nor vanish.
    size = np.abs(values).max(axis=0)
    size = np.where(size > 0, size, 1.0)
    unit = values / size
    center, deviation = unit.mean(axis=0), unit.std(axis=0)
    constant = deviation <= 1e-12
    return center * size, np.where(constant, 1.0, deviation * size)


def _continuous(schema: Schema, filled: np.ndarray) -> np.ndarray:
    """The numeric block before conditioning: numeric columns as they are, three parts of each date."""
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
            parts += [filled[:, place], months % 12 + 1.0, (days + 3) % 7]
    return np.stack(parts, axis=1) if parts else np.zeros((len(filled), 0))


def _continuous_names(schema: Schema) -> list[str]:
    names = []
    for column in schema.numeric:
        if column.kind == "numeric":
            names.append(column.name)
        elif column.kind == "date":
            names += [f"{column.name} ({part})" for part in _DATE_PARTS]
    return names


def _categories(column) -> tuple[str, ...]:
    return column.categories or ()
