"""What the classifier and the regressor share: parameters, the study, the checks of what comes in."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    _num_samples,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from ..data import Dataset
from ..data.read.frames import is_frame
from ..errors import UsageError
from ..models import MODELS, Architecture, Tabular
from ..optim import Recipe
from ..study import Predictor, Result, Study
from ..study.defaults import FOLDS_BELOW, default_architectures
from .reading import dataset_of, new_rows

_LARGEST_SEED = 2**31 - 1
_SMALL_WIDTH, _SMALL_DEPTH, _SMALL_SAMPLES = 128, 2, 8  # below 5,000 rows
#: Parameters that are fields of the architecture, and of the recipe.
ARCHITECTURE = ("width", "depth", "activation")
RECIPE = (
    "optimizer",
    "learning_rate",
    "weight_decay",
    "batch_size",
    "epochs",
    "patience",
    "dropout",
    "input_noise",
    "label_smoothing",
)
#: What scikit-learn's checks ask for that this cannot hold, and why; for its argument `expected_failed_checks`.
_NOT_WITH_CHOICE = (
    "a row of weight 2 is twice in the loss, but once in the division of the rows into folds and in the order "
    "and dropout of the batches; with folds=0, one batch and no dropout the two fits are equal, which is tested"
)
EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": _NOT_WITH_CHOICE,
    "check_sample_weight_equivalence_on_sparse_data": _NOT_WITH_CHOICE,
}


class Population(BaseEstimator, abc.ABC):
    """What both estimators do; see `PopulationClassifier` and `PopulationRegressor`."""

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
        random_state: Any = None,
        verbose: Any = 0,
    ):
        self.model = model
        self.width = width
        self.depth = depth
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.dropout = dropout
        self.input_noise = input_noise
        self.recipe = recipe
        self.scaling = scaling
        self.columns = columns
        self.loss = loss
        self.metric = metric
        self.samples = samples
        self.seeds = seeds
        self.folds = folds
        self.budget = budget
        self.ensemble = ensemble
        self.random_state = random_state
        self.verbose = verbose

    result_: Result

    @property
    def n_iter_(self) -> int:
        """Epochs that the chosen network trained up to its best one."""
        check_is_fitted(self, "result_")
        return int(self.result_.summary()["chosen"]["best_epoch"])

    @property
    def chosen_settings_(self) -> dict[str, Any]:
        """The settings of the chosen network: the point of the search that won."""
        check_is_fitted(self, "result_")
        return dict(self.result_.summary()["chosen"]["settings"])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "result_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    def _check_x(self, x: Any, reset: bool) -> Any:
        """Inputs that scikit-learn's rules allow: a frame as it is, anything else as an array or a CSR matrix."""
        if is_frame(x):
            return validate_data(self, x, reset=reset, skip_check_array=True)
        return validate_data(
            self, x, reset=reset, accept_sparse="csr", ensure_all_finite="allow-nan", ensure_min_samples=1
        )

    def _check_fit(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """Inputs, target and weights, without the rows of weight 0."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; give the answers"
            )
        x = self._check_x(x, reset=True)
        rows = _num_samples(x)
        if rows < 2:
            raise ValueError(f"n_samples={rows} (1 sample) is too few to learn from; give two or more")
        y = self._check_y(y)
        check_consistent_length(x, y)
        if sample_weight is None:
            return x, y, None
        weight = _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)
        kept = weight > 0
        if not kept.any():
            raise ValueError(
                "sample_weight=0 for every row leaves nothing to learn from; give some rows a weight"
            )
        return (
            (x, y, weight) if kept.all() else (_safe_indexing(x, np.flatnonzero(kept)), y[kept], weight[kept])
        )

    @abc.abstractmethod
    def _check_y(self, y: Any) -> np.ndarray:
        """The target [rows], if it is one that the estimator learns."""

    def _train(
        self, x: Any, y: np.ndarray, weight: np.ndarray | None, classes: np.ndarray | None, name: str
    ) -> None:
        """Run the study and keep its result."""
        dataset, self._names = dataset_of(
            x, y, weight=weight, classes=classes, name=name, columns=self.columns
        )
        random = check_random_state(self.random_state)
        architectures, small = self._architectures(dataset), len(dataset) < FOLDS_BELOW
        study = Study(
            dataset,
            architectures,
            self._recipe(),
            seeds=self._seeds(random),
            folds=_plain(self.folds),
            samples=_SMALL_SAMPLES if self.samples is None and small else _plain(self.samples),
            metric=self.metric,
            loss=self.loss,
            test=0.0,
            split_seed=int(random.randint(_LARGEST_SEED)),
            scaling=self.scaling,
            roomy=small and all(one.takes_blanks for one in architectures),
        )
        if self.folds == 0 and len(study.cohorts(study.resolve(None))[1]) > len(study.seeds):
            raise UsageError(
                "folds=0 holds no rows out, and there is a choice to make; give every parameter one value "
                "(learning_rate=0.003), or folds of 1 or more"
            )
        callbacks = [_tell] if self.verbose else []
        result = study.run(budget=self.budget, baselines=False, callbacks=callbacks)
        result.study = None  # it holds the data, once for each fold
        self.result_ = result

    def _architectures(self, dataset: Dataset) -> list[Architecture]:
        """The architectures that the parameters say."""
        if self.model == "auto":
            chosen: list[Any] = _suited(dataset)
        else:
            given = (
                self.model
                if isinstance(self.model, Sequence) and not isinstance(self.model, str)
                else [self.model]
            )
            chosen = [MODELS[one].factory() if isinstance(one, str) else one for one in given]
        fields = self._given(ARCHITECTURE)
        for one in chosen:
            if not isinstance(one, Architecture):
                raise UsageError(
                    f"model={one!r} is no architecture; give 'auto', one of {', '.join(MODELS.names())}, "
                    "or one of fathom.models such as MLP(width=64)"
                )
            own = [field.name for field in dataclasses.fields(one)]
            for name in fields:
                if name not in own:
                    raise UsageError(
                        f"{name}={fields[name]!r}: the model {one.name!r} has no {name}; leave it out"
                    )
        return [dataclasses.replace(one, **fields) for one in chosen]

    def _recipe(self) -> Recipe | dict[str, Any]:
        """The recipe, or what of the default search the parameters change."""
        fields = self._given(RECIPE)
        if isinstance(self.recipe, Recipe):
            return dataclasses.replace(self.recipe, **fields)
        given = {} if self.recipe is None else dict(self.recipe)
        for name in given:
            if name in fields:
                raise UsageError(f"recipe={name!r} is given as a parameter too; keep one of the two")
        return {**given, **fields}

    def _given(self, names: Sequence[str]) -> dict[str, Any]:
        """The parameters that are given, in Python's own numbers: searches set NumPy's."""
        values = {name: getattr(self, name, None) for name in names}
        return {name: _plain(value) for name, value in values.items() if value is not None}

    def _seeds(self, random: np.random.RandomState) -> list[int]:
        """Seeds of the members, drawn from `random_state` where a number of them is asked for."""
        if isinstance(self.seeds, Sequence):
            return list(self.seeds)
        if isinstance(self.seeds, bool) or not isinstance(self.seeds, (int, np.integer)) or self.seeds < 1:
            raise UsageError(f"seeds={self.seeds!r} is not allowed; give how many (1 or more), or which")
        return [int(seed) for seed in random.randint(_LARGEST_SEED, size=self.seeds)]

    def _predictor(self) -> Predictor:
        """The networks that predict."""
        check_is_fitted(self, "result_")
        return self.result_.ensemble if self.ensemble else self.result_.best

    def _outputs(self, x: Any) -> np.ndarray:
        """What each network says of new rows, [networks, rows, outputs]."""
        predictor = self._predictor()
        x = self._check_x(x, reset=False)
        return predictor.outputs(new_rows(x, self._names))


def _plain(value: Any) -> Any:
    """A parameter with NumPy's scalars and arrays as numbers and lists."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _suited(dataset: Dataset) -> list[Architecture]:
    """The study's own choice; a smaller network for tables below 5,000 rows, which are fitted often and in passing."""
    chosen = default_architectures(dataset)
    small = {"width": _SMALL_WIDTH, "depth": _SMALL_DEPTH} if len(dataset) < FOLDS_BELOW else {}
    return [dataclasses.replace(one, **small) if isinstance(one, Tabular) else one for one in chosen]


def _tell(event: dict[str, Any]) -> None:
    """Say what a fit does, one line for each thing that a user waits for."""
    if event["event"] == "plan":
        print(event["plan"])
    elif event["event"] == "compile" and event["state"] == "end":
        print(f"compiled in {event['seconds']:.1f} s")
    elif event["event"] == "rung":
        print(f"after {event['at']:.0%} of the epochs {len(event['kept'])} candidates go on")
    elif event["event"] == "done":
        print(f"done in {event['seconds']:.1f} s")
