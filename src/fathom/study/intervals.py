"""How far off predictions are: split conformal intervals from validation residuals."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import UsageError

_MOST = 1001  # residuals that are kept
_GAIN = 0.97  # a local scale must make intervals narrower by this factor to be worth it
_LEAST = 0.2  # the smallest local scale, as a share of the mean
_LOCAL_FROM = 100  # rows from which a local scale is tried
COVERAGE = 0.9


@dataclasses.dataclass(frozen=True)
class Intervals:
    """How far off a regression is, and how sure that is.

    An interval is the prediction ± radius, the radius a quantile of the validation residuals, so that a new row from
    the same source falls inside with at least the probability asked for, whatever the distribution. Residuals are
    measured in a local scale a + b u, where that makes them narrower.

    Attributes:
        residuals: sizes of the residuals over the local scale, ascending [kept].
        shares: the coverage that each of them promises, ascending, below 1 [kept].
        by: what the local scale grows with: "" (nothing), "spread" of the networks, or the "prediction".
        scale: a and b.

    References:
        Papadopoulos et al., "Inductive confidence machines for regression", 2002; Lei et al.,
        "Distribution-free predictive inference for regression", 2018; Barber et al., "Predictive inference with
        the jackknife+", 2021 (residuals pooled over folds).
    """

    residuals: np.ndarray
    shares: np.ndarray
    by: str = ""
    scale: tuple[float, float] = (1.0, 0.0)

    @classmethod
    def fit(
        cls,
        errors: np.ndarray,
        predictions: np.ndarray,
        spread: np.ndarray | None = None,
        weight: np.ndarray | None = None,
    ) -> "Intervals":
        """From the residuals of rows that the networks were not trained on.

        Args:
            errors: target less prediction [rows].
            predictions: [rows].
            spread: of the networks on each row [rows]; None where there is one.
            weight: weight of each row; None for all alike.
        """
        size = np.abs(errors)
        counts = np.ones(len(size)) if weight is None else weight / weight.mean()
        options = [("", (1.0, 0.0), np.ones(len(size)))]
        if len(size) >= _LOCAL_FROM and size.any():
            for by, growing in (("spread", spread), ("prediction", predictions)):
                if growing is not None and growing.std() > 0:
                    scale = _line(growing, size, counts)
                    options.append((by, scale, _local(scale, growing)))
        found = [cls(*_quantiles(size / local, counts), by, scale) for by, scale, local in options]
        widths = [
            one.radius(COVERAGE) * np.average(local, weights=counts)
            for one, (_, _, local) in zip(found, options, strict=True)
        ]
        best = int(np.argmin(widths))
        return found[best] if widths[best] < _GAIN * widths[0] else found[0]

    def radius(self, coverage: float) -> float:
        """Half the width where the local scale is 1; infinite where there are too few residuals to promise as much.

        Raises:
            UsageError: if the coverage is not between 0 and 1.
        """
        check_coverage(coverage)
        place = int(np.searchsorted(self.shares, coverage - 1e-12))
        return float(self.residuals[place]) if place < len(self.residuals) else np.inf

    def around(self, predictions: Any, spread: Any, coverage: float = COVERAGE) -> tuple[Any, Any]:
        """Lower and upper ends [rows] for predictions [rows]; arrays of NumPy or, in an exported function, of JAX.

        Args:
            predictions: [rows].
            spread: of the networks on each row; not looked at unless the local scale grows with it.
            coverage: the share of new rows that the intervals are to hold.
        """
        growing = spread if self.by == "spread" else predictions
        local = _local(self.scale, growing) if self.by and growing is not None else 1.0
        half = self.radius(coverage) * local
        return predictions - half, predictions + half

    @property
    def most(self) -> float:
        """The largest coverage that can be promised with an end to the interval."""
        return float(self.shares[-1])

    def arrays(self) -> dict[str, np.ndarray]:
        """What is kept in the file of weights."""
        return {"residuals": self.residuals, "shares": self.shares}

    def config(self) -> dict[str, Any]:
        """What is kept beside it."""
        return {"by": self.by, "scale": list(self.scale)}

    @classmethod
    def read(cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Intervals":
        """What `arrays` and `config` kept."""
        a, b = config["scale"]
        return cls(arrays["residuals"], arrays["shares"], config["by"], (a, b))


def check_coverage(coverage: float) -> None:
    """Refuse what is no share."""
    if isinstance(coverage, bool) or not isinstance(coverage, (int, float)) or not 0 < coverage < 1:
        raise UsageError(f"coverage={coverage!r} is not allowed; give a share between 0 and 1, such as 0.9")


def _quantiles(size: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sizes in order and the coverage each promises: the k-th of n promises k / (n + 1)."""
    order = np.argsort(size, kind="stable")
    shares = np.cumsum(weight[order]) / (weight.sum() + 1)
    # Thinned, the next larger one that is kept stands in: intervals only get wider.
    kept = np.unique(np.linspace(0, len(size) - 1, min(len(size), _MOST)).round().astype(int))
    return size[order][kept], shares[kept]


def _line(growing: np.ndarray, size: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """The line of the size of residuals, by least squares, in units of its mean."""
    mean = np.average(size, weights=weight)
    b, a = np.polyfit(growing, size / mean, 1, w=np.sqrt(weight))
    return float(a), float(b)


def _local(scale: tuple[float, float], growing: Any) -> Any:
    return (scale[0] + scale[1] * growing).clip(_LEAST)
