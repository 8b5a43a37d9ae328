"""The classifier."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite

from .base import Population


class PopulationClassifier(ClassifierMixin, Population):
    """PLACE
    """

    def __init__(
        self,
        model: Any = "auto",
        *,
        width: Any = None,
        depth: Any = None,
        activation: Any = None,
        optimizer: Any = None,
        learning_rate: Any = None,
        weight_decay: Any = None,
        batch_size: Any = None,
        epochs: Any = None,
        patience: Any = None,
        dropout: Any = None,
        input_noise: Any = None,
        label_smoothing: Any = None,
        recipe: Any = None,
        scaling: Any = None,
        columns: Any = None,
        loss: Any = None,
        metric: Any = None,
        samples: Any = None,
        seeds: Any = 1,
        folds: Any = None,
        budget: Any = None,
        ensemble: bool = True,
        class_weight: Any = None,
        tune_threshold: bool = False,
        random_state: Any = None,
        verbose: Any = 0,
    ):
        super().__init__(
            model=model,
            width=width,
            depth=depth,
            activation=activation,
            optimizer=optimizer,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            batch_size=batch_size,
            epochs=epochs,
            patience=patience,
            dropout=dropout,
            input_noise=input_noise,
            recipe=recipe,
            scaling=scaling,
            columns=columns,
            loss=loss,
            metric=metric,
            samples=samples,
            seeds=seeds,
            folds=folds,
            budget=budget,
            ensemble=ensemble,
            random_state=random_state,
            verbose=verbose,
        )
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.tune_threshold = tune_threshold

    classes_: np.ndarray

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "PopulationClassifier":
        """Search, train and choose.

        Args:
            X: array or sparse matrix [rows, columns], or a data frame; NaN is a missing cell.
            y: the class of each row: numbers or strings.
            sample_weight: how much each row counts; a row of weight 0 is left out.

        Returns:
            Itself, with `result_`, `classes_`, `n_features_in_` and `n_iter_`.

        Raises:
            ValueError: if the data or a parameter is not allowed.
        """
        X, y, weight = self._check_fit(X, y, sample_weight)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only ({self.classes_[0]!r}); a classifier needs rows of two or more classes"
            )
        if self.class_weight is not None:
            of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
            weight = of_class[codes] * (1.0 if weight is None else weight)
        self._train(X, codes, weight, self.classes_, str(getattr(y, "name", None) or "y"))
        return self

    def _check_y(self, y: Any) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        return y

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Log-probabilities [rows, classes], classes in the order of `classes_`."""
        return self._predictor().combine(self._outputs(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated probabilities [rows, classes], classes in the order of `classes_`."""
        return np.exp(self.predict_log_proba(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """What decides: for two classes the log-odds of the second [rows], above 0 where it is predicted; for more

        log-probabilities [rows, classes], of which the largest is predicted. With `tune_threshold` the line
        between the classes, drawn for the metric, is taken into account.
        """
        found = self.predict_log_proba(X)
        if self.tune_threshold and self._predictor().offsets:
            found = found + np.array(self._predictor().offsets)
        return found[:, 1] - found[:, 0] if len(self.classes_) == 2 else found

    def predict(self, X: Any) -> np.ndarray:
        """The class of each row [rows]."""
        found = self.decision_function(X)
        return self.classes_[(found > 0).astype(int) if found.ndim == 1 else found.argmax(1)]
