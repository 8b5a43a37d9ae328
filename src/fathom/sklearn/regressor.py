"""The regressor."""

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.validation import assert_all_finite

from ..study.intervals import COVERAGE
from .base import Population


class PopulationRegressor(RegressorMixin, Population):
    """A population of networks that is searched, trained, chosen by validation and averaged, as one regressor.

    Its predictions come with intervals that hold a given share of new rows. The parameters are those of
    `PopulationClassifier` without `class_weight`, `label_smoothing` and `tune_threshold`; `metric` is rmse if None.

    Attributes:
        result_: the study's `fathom.study.Result`: ``result_.table()`` is the population, ``result_.ensemble`` the
            networks; its `study`, which holds the data, is None.
        chosen_settings_: the settings of the chosen network.
        n_iter_: epochs that it trained up to its best one.
        n_features_in_: columns.
        feature_names_in_: their names, where X was a frame.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> x, y = load_diabetes(return_X_y=True)
        >>> model = PopulationRegressor(width=16, depth=1, samples=2, epochs=20, random_state=0).fit(x, y)
        >>> low, high = model.predict_interval(x, coverage=0.9)
        >>> bool(((low < y) & (y < high)).mean() > 0.8)
        True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "PopulationRegressor":
        """Search, train and choose.

        Args:
            X: array or sparse matrix [rows, columns], or a data frame; NaN is a missing cell.
            y: the value of each row.
            sample_weight: how much each row counts; a row of weight 0 is left out.

        Returns:
            Itself, with `result_`, `n_features_in_` and `n_iter_`.

        Raises:
            ValueError: if the data or a parameter is not allowed.
        """
        name = str(getattr(y, "name", None) or "y")
        X, y, weight = self._check_fit(X, y, sample_weight)
        self._train(X, y, weight, None, name)
        return self

    def _check_y(self, y: Any) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        if y.dtype.kind not in "fiub":
            y = y.astype(np.float64)
        assert_all_finite(y, input_name="y")
        return y.astype(np.float64)

    def predict(self, X: Any) -> np.ndarray:
        """The value of each row [rows], in units of the target."""
        return self._predictor().combine(self._outputs(X))

    def predict_interval(self, X: Any, coverage: float = COVERAGE) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends [rows] of intervals that hold the given share of new rows like those fitted.

        Args:
            X: as for `predict`.
            coverage: the share.

        Returns:
            Two arrays; infinite where there were too few rows to promise as much.

        Raises:
            ValueError: if the share is not between 0 and 1, or nothing was held out to measure it on (folds=0).
        """
        self._predictor().check_coverage(coverage)
        return self._predictor().interval_of(self._outputs(X), coverage)
