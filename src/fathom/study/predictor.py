"""A trained model that stands alone: schema, encoders, networks, calibration; needs neither data nor study."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..data import Encoder, NewData, Schema, Table
from ..data.stream import STRETCH, new_batches
from ..errors import DataError, UsageError
from ..models import Architecture
from ..objectives import log_softmax
from ..task import Task
from .decisions import offsets_of, threshold_of
from .intervals import COVERAGE, Intervals, check_coverage
from .parts import Part, call_sizes
from .scoring import Judged, score_all

_BATCH_CELLS = 1 << 25  # of 4 bytes, of a batch's inputs and outputs
_LEAST_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model: one network, or the mean of several.

    Classification: probabilities are softmax(logits / temperature + shift), averaged over the networks, then
    brought to `ensemble_temperature` if there are several; the class of the largest log-probability + offset is
    predicted. Regression: the mean of the networks' values.

    Attributes:
        schema: what tables must look like.
        task: what is predicted.
        encoders: what turns a table into inputs, one a fold.
        scaling: how numeric columns were conditioned.
        parts: the networks; the first is the chosen one.
        temperatures: one for each network.
        ensemble_temperature: for the average of several.
        shift: what brings the classes back to their own shares after class weights; nothing if empty.
        offsets: where the line between classes is drawn; nothing if empty.
        intervals: how far off the values are; None for classes.
        chosen_intervals: the same for the chosen network alone.
    """

    schema: Schema
    task: Task
    encoders: tuple[Encoder, ...]
    scaling: str
    parts: tuple[Part, ...]
    temperatures: tuple[float, ...]
    ensemble_temperature: float = 1.0
    shift: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    intervals: Intervals | None = None
    chosen_intervals: Intervals | None = None

    @property
    def chosen(self) -> "Predictor":
        """The predictor of the chosen network alone."""
        return dataclasses.replace(
            self,
            parts=self.parts[:1],
            temperatures=self.temperatures[:1],
            ensemble_temperature=1.0,
            intervals=self.chosen_intervals,
        )

    @property
    def steady(self) -> bool:
        """Whether its programs take calls of one size; so where inputs have room, to be shared by many models."""
        return any(self.encoders[0].room)

    @property
    def threshold(self) -> float | None:
        """The probability from which the second of two classes is predicted; None for other tasks."""
        if len(self.task.classes) != 2:
            return None
        return threshold_of(np.array(self.offsets)) if self.offsets else 0.5

    @property
    def target_spread(self) -> float | None:
        """Standard deviation of the target in training, the least of the folds'; None for classes."""
        if self.task.kind == "classification":
            return None
        return min(float(encoder.target_scale[0]) for encoder in self.encoders)

    def with_threshold(self, threshold: float) -> "Predictor":
        """The same model with the line between its two classes drawn elsewhere.

        Args:
            threshold: the probability from which the second class is predicted.

        Raises:
            UsageError: if it is not between 0 and 1, or there are not two classes.
        """
        if self.threshold is None:
            raise UsageError(f"threshold={threshold!r} is for two classes; leave it out for this task")
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 < threshold < 1:
            raise UsageError(f"threshold={threshold!r} is not allowed; give a probability between 0 and 1")
        return dataclasses.replace(self, offsets=offsets_of(threshold))

    def outputs(self, source: Any) -> np.ndarray:
        """What each network gives, float64 [networks, rows, outputs]: logits, or values in target units."""
        return np.concatenate([outputs for _, outputs in self.batches(source)], axis=1)

    def batches(self, source: Any, *, with_target: bool = False) -> Iterator[tuple[NewData, np.ndarray]]:
        """New data a batch of rows at a time, and its `outputs`; a file larger than memory is never held whole.

        Args:
            source: a path, a data frame, or an array of the columns in the schema's order.
            with_target: also read the target and the weights, where the source has them.

        Yields:
            Batches in the order of the rows, at least one. They are as large as 128 MB of inputs and outputs
            allow, between 256 and 131,072 rows.

        Raises:
            DataError: if a column is missing or a cell cannot be read as in training.
        """
        width = len(self.by_fold) * self.encoders[0].features + 4 * len(self.parts) * self._width
        rows = 1 << int(np.clip(_BATCH_CELLS // width, _LEAST_BATCH, STRETCH)).bit_length() - 1
        for new in new_batches(source, self.schema, rows, with_target=with_target):
            yield new, self.table_outputs(new.table)

    @property
    def by_fold(self) -> dict[int, list[int]]:
        """The places of the networks of each fold that has any, in the order of the folds."""
        found: dict[int, list[int]] = {}
        for place, part in enumerate(self.parts):
            found.setdefault(part.fold, []).append(place)
        return dict(sorted(found.items()))

    @property
    def _width(self) -> int:
        """Outputs of a network."""
        return len(self.task.classes) if self.task.kind == "classification" else 1

    def table_outputs(self, table: Table) -> np.ndarray:
        """`outputs` for the cells of a table that follows the schema."""
        return self._run(len(table), lambda fold, at: self.encoders[fold].encode(table.take(at)))

    def outputs_of(self, inputs: Mapping[int, np.ndarray], rows: int) -> np.ndarray:
        """`outputs` for inputs that each fold's encoder made."""
        return self._run(rows, lambda fold, at: inputs[fold][at])

    def _run(self, rows: int, inputs_of: Callable[[int, slice], np.ndarray]) -> np.ndarray:
        """`outputs` for some rows, given what makes a fold's inputs of a stretch of them.

        A device works on one stretch while the inputs of the next are made.
        """
        results = np.zeros((len(self.parts), rows, self._width))
        by_fold, begun, start = self.by_fold, [], 0
        for size in call_sizes(rows, self.steady):
            at = slice(start, min(start + size, rows))
            for fold, places in by_fold.items():
                x = _filled_up(inputs_of(fold, at), size)
                x = jax.device_put(x) if len(places) > 1 else x  # a single call brings it there sooner
                begun += [(place, at, self.parts[place].answer(x)) for place in places]
            start += size
        for place, at, found in begun:
            results[place, at] = np.asarray(found)[: at.stop - at.start].reshape(-1, self._width)
        if self.task.kind == "regression":
            for index, part in enumerate(self.parts):
                results[index] = self.encoders[part.fold].decode_target(results[index])
        return results

    def log_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Calibrated log-probabilities [rows, classes] from `outputs`."""
        each = log_softmax(self._each(outputs))
        if len(self.parts) == 1:
            return each[0]
        mean = np.exp(each).mean(0)
        return log_softmax(np.log(np.clip(mean, 1e-30, None)) / self.ensemble_temperature)

    def _each(self, outputs: np.ndarray) -> np.ndarray:
        """The calibrated logits [networks, rows, classes] of each network."""
        warm = outputs / np.array(self.temperatures)[:, None, None]
        return warm + np.array(self.shift) if self.shift else warm

    def combine(self, outputs: np.ndarray) -> np.ndarray:
        """From `outputs` to log-probabilities [rows, classes], or values [rows]."""
        if self.task.kind == "classification":
            return self.log_probabilities(outputs)
        return outputs[..., 0].mean(0)

    def decide(self, found: np.ndarray) -> np.ndarray:
        """The numbers of the predicted classes [rows] from log-probabilities [rows, classes]."""
        return (found + np.array(self.offsets) if self.offsets else found).argmax(1)

    def predict_proba(self, source: Any) -> np.ndarray:
        """Calibrated probabilities [rows, classes].

        Args:
            source: a path, a data frame, or an array of the columns in the schema's order.

        Raises:
            UsageError: if the task is regression.
            DataError: if a column is missing.
        """
        if self.task.kind != "classification":
            raise UsageError("predict_proba: the task is regression; use predict")
        return np.concatenate([np.exp(self.combine(outputs)) for _, outputs in self.batches(source)])

    def predict(self, source: Any) -> np.ndarray:
        """Predictions [rows]: class names, or values in the target's units.

        Args:
            source: a path, a data frame, or an array of the columns in the schema's order.

        Raises:
            DataError: if a column is missing.
        """
        found = (self.combine(outputs) for _, outputs in self.batches(source))
        if self.task.kind == "classification":
            found = (self._names(self.decide(one)) for one in found)
        return np.concatenate(list(found))

    def interval(self, source: Any, coverage: float = COVERAGE) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends [rows] of intervals that hold the given share of new rows like the training rows.

        Args:
            source: a path, a data frame, or an array of the columns in the schema's order.
            coverage: the share; the ends are infinite where the validation rows were too few to promise it.

        Raises:
            UsageError: if the task is classification, or the coverage is not between 0 and 1.
            DataError: if a column is missing.
        """
        self.check_coverage(coverage)
        ends = [self.interval_of(outputs, coverage) for _, outputs in self.batches(source)]
        low, high = (np.concatenate(parts) for parts in zip(*ends, strict=True))
        return low, high

    def check_coverage(self, coverage: float) -> None:
        """Refuse a coverage that no interval has.

        Raises:
            UsageError: if the task is classification, or it is not between 0 and 1.
        """
        if self.intervals is None:
            raise UsageError(
                f"coverage={coverage!r}: the model has no intervals; they are for regression, so leave it out"
            )
        check_coverage(coverage)

    def interval_of(self, outputs: np.ndarray, coverage: float = COVERAGE) -> tuple[np.ndarray, np.ndarray]:
        """`interval` from `outputs`."""
        assert self.intervals is not None, "looked at by check_coverage"
        return self.intervals.around(self.combine(outputs), self.local_spread(outputs), coverage)

    def local_spread(self, outputs: Any) -> Any:
        """How far the networks of a fold are apart on each row [rows], the mean over folds; None for one a fold.

        Networks of one fold, because a validation row has no others that were not trained on it. Arrays of NumPy or,
        in a function that is exported, of JAX.
        """
        folds = self.by_fold.values()
        if max(map(len, folds)) == 1:
            return None
        return sum(outputs[np.array(places), :, 0].std(0) for places in folds) / len(folds)

    def frame(self, source: Any, coverage: float = COVERAGE) -> dict[str, np.ndarray]:
        """Predictions as columns: "prediction"; "probability CLASS" for each class, or "lower" and "upper"; "spread".

        Images have their "file" first. The spread is the standard deviation over the networks, of the predicted
        class's probability or of the value; it is left out where there is one network.

        Args:
            source: a path, a data frame, or an array of the columns in the schema's order.
            coverage: the share of values between "lower" and "upper".

        Raises:
            DataError: if a column is missing or a cell cannot be read as in training.
        """
        frames = [{**new.names, **self.frame_of(outputs, coverage)} for new, outputs in self.batches(source)]
        return {name: np.concatenate([frame[name] for frame in frames]) for name in frames[0]}

    def frame_of(self, outputs: np.ndarray, coverage: float = COVERAGE) -> dict[str, np.ndarray]:
        """`frame` from `outputs`."""
        found = self.combine(outputs)
        if self.task.kind == "regression":
            columns = {"prediction": found}
            if self.intervals is not None:
                columns["lower"], columns["upper"] = self.interval_of(outputs, coverage)
            return {**columns, "spread": outputs[..., 0].std(0)} if len(self.parts) > 1 else columns
        winner = self.decide(found)
        columns = {"prediction": self._names(winner)}
        columns.update(
            {f"probability {name}": np.exp(found[:, i]) for i, name in enumerate(self.task.classes)}
        )
        if len(self.parts) > 1:
            each = np.exp(log_softmax(self._each(outputs)))
            columns["spread"] = each[:, np.arange(len(winner)), winner].std(0)
        return columns

    def evaluate(self, source: Any) -> dict[str, float]:
        """Every metric of the task on new data that has the target column, weighed by the weight column if it has it.

        Rows without a target are left out. A file is read a batch of rows at a time; what is kept of a row are 4
        bytes for each class, or 8 for a value, and 16 more.

        Args:
            source: a path, a data frame, or (x, y).

        Raises:
            DataError: if the target column is missing, or has no value in any row.
        """
        return self.judge(source).scores

    def judge(self, source: Any) -> Judged:
        """`evaluate`, and what a reader of the scores has to know."""
        found, targets, weights, notes, left_out = [], [], [], [], 0
        for new, outputs in self.batches(source, with_target=True):
            notes += new.notes
            if new.target is None:
                left_out += len(new.table)
                continue
            known = new.target >= 0 if self.task.kind == "classification" else ~np.isnan(new.target)
            left_out += int((~known).sum())
            combined = self.combine(outputs)[known]
            found.append(combined.astype(np.float32) if combined.ndim == 2 else combined)
            targets.append(new.target[known])
            weights.append(None if new.weight is None else new.weight[known])
        rows = sum(map(len, targets))
        if not rows:
            raise DataError(
                f"target={self.schema.target.name!r} is missing from the data; evaluation needs it"
            )
        weight = None if weights[0] is None else np.concatenate(weights)
        offsets = np.array(self.offsets) if self.offsets else None
        scores = score_all(self.task, np.concatenate(found), np.concatenate(targets), weight, offsets)
        return Judged(scores, rows, left_out, tuple(notes))

    def scores(
        self, outputs: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None
    ) -> dict[str, float]:
        """Every metric of the task, from `outputs`, class numbers or values, and weights of the rows."""
        offsets = np.array(self.offsets) if self.offsets else None
        return score_all(self.task, self.combine(outputs), target, weight, offsets)

    def _names(self, numbers: np.ndarray) -> np.ndarray:
        return np.array(self.task.classes, dtype=object)[numbers]

    def save(self, folder: Path) -> None:
        """Write it to a folder: ``model.json`` and ``weights.safetensors``."""
        from .stored import write_predictor

        write_predictor(self, folder)

    def export(self, folder: str | Path, coverage: float = COVERAGE) -> Path:
        """Write it as a folder that is of use without Fathom: weights, schema, and a function frozen by `jax.export`.

        Args:
            folder: the folder, which must not exist or be empty.
            coverage: the share of values between the ends of the frozen function's intervals (regression).

        Returns:
            The folder; its README.md says what each file is for.

        Raises:
            UsageError: if the coverage is not between 0 and 1, or JAX cannot export a network.
            RunError: if the folder is taken or cannot be written.
        """
        from .export import export_model

        return export_model(self, folder, coverage=coverage)

    @classmethod
    def load(cls, folder: str | Path, architecture: Architecture | None = None) -> "Predictor":
        """Read a predictor that `save` wrote.

        Args:
            folder: the folder, or the run that holds it as ``model``.
            architecture: the architecture, for one that was built from the user's own module.

        Raises:
            RunError: if it is missing, damaged, or from a newer version.
        """
        from .stored import read_predictor

        return read_predictor(Path(folder), architecture)


def _filled_up(x: np.ndarray, rows: int) -> np.ndarray:
    """Inputs with rows of 0 under them up to a number of rows."""
    return x if len(x) == rows else np.pad(x, [(0, rows - len(x))] + [(0, 0)] * (x.ndim - 1))
