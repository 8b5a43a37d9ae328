"""The classifier."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite

from .base import Population


class PopulationClassifier(ClassifierMixin, Population):
    """A population of networks that is searched, trained, chosen by validation and averaged, as one classifier.

    Every parameter of the network and of the training takes one value; a list (each value is tried), or a range such
    as ``fathom.log_range(1e-4, 1e-2)`` (values are drawn from it). The whole search trains as a few compiled programs.
    None leaves a parameter to the default search for such data. See docs/sklearn.md.

    Args:
        model: "auto", a name in `fathom.models`, an architecture, or a list of them. "auto" is a perceptron on
            embedded columns, `models.Tabular`: 2 x 128 below 5,000 rows, 3 x 256 above; a plain perceptron for columns
            of one unit such as pixels.
        width: units of each hidden layer.
        depth: hidden layers.
        activation: what each hidden unit applies.
        optimizer: learning rule, a name in `fathom.optim`.
        learning_rate: peak learning rate.
        weight_decay: weight decay.
        batch_size: rows of a step; more than there are is all of them.
        epochs: passes through the training rows.
        patience: epochs without a better validation value before a network stops.
        dropout: probability that a hidden unit is left out.
        input_noise: standard deviation of the noise added to scaled inputs.
        label_smoothing: share of a label that is spread over all classes.
        recipe: a mapping of further fields of `fathom.Recipe`, or a whole recipe in place of the default search.
        scaling: conditioning of the numeric columns, one of `fathom.data.SCALINGS`.
        columns: what some columns of a frame are, as in `fathom.load`: ``{"zip": "categorical"}``.
        loss: name of a loss, or ``loss(outputs, targets) -> [batch]``.
        metric: what chooses; accuracy if None.
        samples: draws from the ranges; 8 below 5,000 rows and 16 above if None.
        seeds: how many seeds for each candidate, drawn from `random_state`; or which, a list.
        folds: parts of the rows that validate in turn, each candidate trained once for each: five below 5,000 rows
            if None; 1 for one division, and above; 0 to hold nothing out, for a single candidate.
        budget: "60s" or seconds, "64 members", "30 epochs"; a time makes a fit depend on the machine.
        ensemble: whether the best candidates' networks answer together (default), or the chosen one alone.
        class_weight: "balanced", or a weight for each class: multiplies the weight of its rows everywhere.
        tune_threshold: whether `predict` draws the line between classes where validation rows score best by the
            metric; if not, the class of the largest probability is predicted.
        random_state: decides folds, first weights, order of the rows and dropout.
        verbose: 1 says what the fit does.

    Attributes:
        classes_: the classes in order.
        result_: the study's `fathom.study.Result`: ``result_.table()`` is the population, ``result_.ensemble`` the
            networks; its `study`, which holds the data, is None.
        chosen_settings_: the settings of the chosen network.
        n_iter_: epochs that it trained up to its best one.
        n_features_in_: columns.
        feature_names_in_: their names, where X was a frame.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> x, y = load_iris(return_X_y=True)
        >>> model = PopulationClassifier(width=16, depth=1, samples=2, epochs=20, random_state=0).fit(x, y)
        >>> model.score(x, y) > 0.9, model.result_.summary()["members"]
        (True, 10)
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
        name = str(getattr(y, "name", None) or "y")
        X, y, weight = self._check_fit(X, y, sample_weight)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only ({self.classes_.tolist()[0]!r}); a classifier needs rows of two or more classes"
            )
        if self.class_weight is not None:
            of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
            weight = of_class[codes] * (1.0 if weight is None else weight)
        self._train(X, codes, weight, self.classes_, name)
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
        """What decides which class is predicted.

        For two classes the log-odds of the second [rows], above 0 where it is predicted; for more log-probabilities
        [rows, classes], the largest of which is predicted. With `tune_threshold` they are moved by the line that
        was drawn for the metric.
        """
        found = self.predict_log_proba(X)
        if self.tune_threshold and self._predictor().offsets:
            found = found + np.array(self._predictor().offsets)
        return found[:, 1] - found[:, 0] if len(self.classes_) == 2 else found

    def predict(self, X: Any) -> np.ndarray:
        """The class of each row [rows]."""
        found = self.decision_function(X)
        return self.classes_[(found > 0).astype(int) if found.ndim == 1 else found.argmax(1)]
