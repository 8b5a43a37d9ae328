"""Conditioning: what is done to the numeric columns before a network reads them, fitted on training rows."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from ..errors import UsageError

#: How the numeric inputs are conditioned; see `Scaling`.
SCALINGS = ("quantile", "robust", "standardize", "shared", "none", "pca", "zca", "cholesky")
#: A direction with less than this share of the largest variance is rounding, not data: it is not magnified.
NULL_VARIANCE = 1e-8
#: The numbers of all columns' quantiles together stay below this; a column has 32 to 512 of them.
_QUANTILES = 1 << 17
_MOST_QUANTILES, _LEAST_QUANTILES = 512, 32
_TAIL = 1e-3  # the share of rows at each end that "quantile" no longer tells apart
_MOST_WHITENED = 4096  # columns
_WHITENINGS = ("pca", "zca", "cholesky")


@dataclass(frozen=True, eq=False)
class Scaling:
    """A conditioning of n numeric columns, fitted on some rows; the arrays have one shape for every fold.

    With x a column of those rows, m its mean and s its deviation (divided by the number of rows, not one
    less):

    - "quantile": z = Φ⁻¹(u), u the value's place among the rows from 0 to 1, in which a value that c rows
      share takes up √c times the room of a single one. Rare values among many equal ones (a gain that most
      people do not have) so stay apart, and a value without twins has its ordinary quantile. Between values u
      is linear; the outermost thousandths are clipped.
    - "robust": v / √(1 + (v/3)²) with v = (x - median) / (upper - lower quartile), so that no value is far
      from the others (Holzmüller, Grinsztajn & Steinwart, 2024, arXiv:2407.04491).
    - "standardize": z = (x - m) / s.
    - "shared": (x - m) / the root mean square of all s, which keeps columns of one unit in proportion.
    - "pca", "zca", "cholesky": with C = cov(z), the rows have covariance I after Λ^(-1/2) Uᵀ z with
      C = U Λ Uᵀ, or U Λ^(-1/2) Uᵀ z, or L⁻¹ z with C = L Lᵀ, except in directions in which the rows do not
      vary, which stay near 0 (Kessy, Lewin & Strimmer, 2018, arXiv:1512.00809).
    - "none": x.

    Attributes:
        name: one of `SCALINGS`.
        center: float64 [n].
        scale: float64 [n]; 1 for a column constant on the rows.
        rotation: float64 [n, n], the whitening matrix; [0, 0] where none is used.
        knots: float64 [n, quantiles], values of each column in ascending order; [0, 0] where not used.
        places: float64 [n, quantiles], the place of each knot among the rows.

    Example:
        >>> values = np.array([[0.0], [0.0], [0.0], [0.0], [5.0], [7.0]])
        >>> Scaling.fit("quantile", values).apply(values)[3:, 0].round(2).tolist()
        [-0.67, 0.32, 1.15]
    """

    name: str
    center: np.ndarray
    scale: np.ndarray
    rotation: np.ndarray
    knots: np.ndarray
    places: np.ndarray

    @classmethod
    def fit(cls, name: str, values: np.ndarray, weight: np.ndarray | None = None) -> "Scaling":
        """Fit to the training rows.

        Args:
            name: one of `SCALINGS`.
            values: float64 [rows, n], finite.
            weight: how often each row counts, above 0; once if None. "robust" counts every row once.

        Returns:
            The scaling. Cost: O(rows n), times log rows for the quantiles, O(n³) for a whitening.

        Raises:
            UsageError: if there are more than 4,096 columns to whiten.
        """
        count = values.shape[1]
        if name in _WHITENINGS and count > _MOST_WHITENED:
            raise UsageError(
                f"scaling={name!r} would take minutes for {count} numeric inputs, and takes at most {_MOST_WHITENED}; "
                "use 'standardize' or 'quantile'"
            )
        center, scale = np.zeros(count), np.ones(count)
        rotation, knots, places = np.zeros((0, 0)), np.zeros((0, 0)), np.zeros((0, 0))
        if name == "quantile" and count:
            knots, places = _places(values, weight)
        elif name == "robust" and count:
            center, scale = _quartiles(values)
        elif name not in ("quantile", "robust", "none"):
            center, scale = moments(values, weight)
        if name == "shared" and scale.size:
            varying = np.ptp(values, axis=0) > 0
            size = float(scale[varying].max(initial=1e-300))  # out of the squares, which could overflow
            if varying.any():
                scale[varying] = size * np.sqrt(np.square(scale[varying] / size).mean())
        if name in _WHITENINGS and count:
            rotation = whitening((values - center) / scale, name, weight)
        return cls(name, center, scale, rotation, knots, places)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The values as a network reads them.

        Args:
            values: float64 [rows, n], finite.

        Returns:
            float64 [rows, n], finite in float32 and in the products that follow.
        """
        if self.knots.size:
            return self._quantile(values)
        with np.errstate(over="ignore"):
            values = (values - self.center) / self.scale
        if self.name == "none":
            return np.clip(values, -1e30, 1e30)
        # A value far outside the training rows must stay finite.
        values = np.clip(values, -1e6, 1e6)
        if self.name == "robust":
            values = values / np.sqrt(1.0 + np.square(values / 3.0))
        return values @ self.rotation.T if self.rotation.size else values

    def arrays(self) -> dict[str, np.ndarray]:
        """The fitted numbers by name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, np.ndarray]) -> "Scaling":
        """The scaling whose `arrays` were stored; other names are passed over."""
        names = [field.name for field in fields(cls) if field.name != "name"]
        return cls(name, **{key: np.asarray(arrays[key], dtype=np.float64) for key in names})

    def _quantile(self, values: np.ndarray) -> np.ndarray:
        from scipy.special import ndtri

        found = np.empty_like(values)
        for column in range(values.shape[1]):
            found[:, column] = np.interp(values[:, column], self.knots[column], self.places[column])
        return ndtri(np.clip(found, _TAIL, 1.0 - _TAIL))


def whitening(values: np.ndarray, scaling: str, weight: np.ndarray | None = None) -> np.ndarray:
    """The matrix W for which cov(W z) = I over the rows of `values`.

    Args:
        values: float64 [rows, features], mean zero.
        scaling: "pca" (directions of falling variance), "zca" (symmetric: as near to z as can be), "cholesky"
            (lower triangular: feature k uses features 1…k).
        weight: how often each row counts; once if None.

    Returns:
        float64 [features, features].
    """
    counted = values if weight is None else values * (weight / weight.mean())[:, None]
    covariance = counted.T @ values / len(values)
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


def moments(values: np.ndarray, weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, rows counted by weight; deviation 1 where it is constant."""
    if values.shape[1] == 0:
        return np.zeros(0), np.ones(0)
    # Divided by the largest magnitude first, so that squares neither overflow nor vanish.
    size = np.abs(values).max(axis=0)
    size = np.where(size > 0, size, 1.0)
    unit = values / size
    if weight is None:
        center, deviation = unit.mean(axis=0), unit.std(axis=0)
    else:
        center = np.average(unit, axis=0, weights=weight)
        deviation = np.sqrt(np.average(np.square(unit - center), axis=0, weights=weight))
    constant = deviation <= 1e-12
    return center * size, np.where(constant, 1.0, deviation * size)


def _quartiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and the distance of the quartiles; half the range where they are equal, 1 for a constant."""
    lower, center, upper = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    reach = values.max(axis=0) / 2 - values.min(axis=0) / 2
    scale = np.where(upper > lower, upper - lower, reach)
    return center, np.where(scale > 0, scale, 1.0)


def _places(values: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Knots and their places among the rows, [n, quantiles]; a column with fewer values repeats its last."""
    count = values.shape[1]
    most = int(np.clip(_QUANTILES // count, _LEAST_QUANTILES, _MOST_QUANTILES))
    knots, places = np.empty((count, most)), np.empty((count, most))
    for column in range(count):
        distinct, which = np.unique(values[:, column], return_inverse=True)
        room = np.sqrt(np.bincount(which, weight))
        place = (np.cumsum(room) - room / 2) / room.sum()
        if len(distinct) > most:
            even = np.linspace(place[0], place[-1], most)
            distinct, place = np.interp(even, place, distinct), even
        knots[column] = np.append(distinct, np.full(most - len(distinct), distinct[-1]))
        places[column] = np.append(place, np.full(most - len(place), place[-1]))
    return knots, places
