"""A trained model that stands alone: schema, encoders, networks, calibration; needs neither data nor study."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..data import Encoder, Schema, read_new, read_table
from ..engine.checkpoint import read_arrays, write_arrays, write_whole
from ..errors import DataError, RunError, UsageError
from ..models import Architecture
from ..task import Task
from .decisions import offsets_of, threshold_of
from .intervals import COVERAGE, Intervals, check_coverage
from .parts import MOST_ROWS, Part, forward, layout_of, load_part, part_config
from .scoring import bucket, score_all

FORMAT = 2


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
    def threshold(self) -> float | None:
        """The probability from which the second of two classes is predicted; None for other tasks."""
        if len(self.task.classes) != 2:
            return None
        return threshold_of(np.array(self.offsets)) if self.offsets else 0.5

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
        table, _ = read_table(source, self.schema, with_target=False)
        inputs = {fold: self.encoders[fold].encode(table) for fold in {part.fold for part in self.parts}}
        return self.outputs_of(inputs, len(table))

    def outputs_of(self, inputs: Mapping[int, np.ndarray], rows: int) -> np.ndarray:
        """`outputs` for inputs that each fold's encoder made."""
        width = len(self.task.classes) if self.task.kind == "classification" else 1
        results = np.zeros((len(self.parts), rows, width))
        for index, part in enumerate(self.parts):
            kept, run = jax.device_put(part.kept), forward(part.spec)
            for start in range(0, rows, MOST_ROWS):
                x = inputs[part.fold][start : start + MOST_ROWS]
                padded = np.pad(x, [(0, bucket(len(x), MOST_ROWS) - len(x))] + [(0, 0)] * (x.ndim - 1))
                found = np.asarray(run(kept, jax.device_put(padded)))[: len(x)]
                results[index, start : start + len(x)] = found.reshape(len(x), -1)
        if self.task.kind == "regression":
            for index, part in enumerate(self.parts):
                results[index] = self.encoders[part.fold].decode_target(results[index])
        return results

    def log_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Calibrated log-probabilities [rows, classes] from `outputs`."""
        from scipy.special import log_softmax, softmax

        each = self._each(outputs)
        if len(self.parts) == 1:
            return log_softmax(each[0], axis=1)
        mean = softmax(each, axis=2).mean(0)
        return log_softmax(np.log(np.clip(mean, 1e-30, None)) / self.ensemble_temperature, axis=1)

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
        return np.exp(self.combine(self.outputs(source)))

    def predict(self, source: Any) -> np.ndarray:
        """Predictions [rows]: class names, or values in the target's units.

        Args:
            source: a path, a data frame, or an array of the columns in the schema's order.

        Raises:
            DataError: if a column is missing.
        """
        found = self.combine(self.outputs(source))
        return self._names(self.decide(found)) if self.task.kind == "classification" else found

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
        return self.interval_of(self.outputs(source), coverage)

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

    def local_spread(self, outputs: np.ndarray) -> np.ndarray | None:
        """How far the networks of a fold are apart on each row [rows], the mean over folds; None for one a fold.

        Networks of one fold, because a validation row has no others that were not trained on it.
        """
        folds = [
            [i for i, part in enumerate(self.parts) if part.fold == f] for f in range(len(self.encoders))
        ]
        folds = [places for places in folds if places]
        if max(map(len, folds)) == 1:
            return None
        return np.mean([outputs[places, :, 0].std(0) for places in folds], axis=0)

    def frame(self, source: Any, coverage: float = COVERAGE) -> dict[str, np.ndarray]:
        """Predictions as columns: "prediction"; "probability CLASS" for each class, or "lower" and "upper"; "spread".

        The spread is the standard deviation over the networks, of the predicted class's probability or of the
        value; it is left out where there is one network.

        Args:
            source: a path, a data frame, or an array of the columns in the schema's order.
            coverage: the share of values between "lower" and "upper".
        """
        outputs = self.outputs(source)
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
            from scipy.special import softmax

            each = softmax(self._each(outputs), axis=2)
            columns["spread"] = each[:, np.arange(len(winner)), winner].std(0)
        return columns

    def evaluate(self, source: Any) -> dict[str, float]:
        """Every metric of the task on new data that has the target column, weighed by the weight column if it has it.

        Raises:
            DataError: if the target column is missing.
        """
        new = read_new(source, self.schema)
        if new.target is None:
            raise DataError(
                f"target={self.schema.target.name!r} is missing from the data; evaluation needs it"
            )
        folds = {part.fold for part in self.parts}
        inputs = {fold: self.encoders[fold].encode(new.table) for fold in folds}
        return self.scores(self.outputs_of(inputs, len(new.table)), new.target, new.weight)

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
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.ndarray] = {}
        for fold, encoder in enumerate(self.encoders):
            arrays.update({f"encoder.{fold}.{name}": array for name, array in encoder.arrays().items()})
        for index, part in enumerate(self.parts):
            layout = layout_of(part.spec)
            pairs = zip(layout.names, layout.pack(part.kept), strict=True)
            arrays.update({f"network.{index}.{name}": np.asarray(leaf) for name, leaf in pairs})
        for name, kept in self._intervals().items():
            arrays.update({f"{name}.{key}": array for key, array in kept.arrays().items()})
        config = {
            "format": FORMAT,
            "schema": self.schema.to_dict(),
            "task": self.task.to_dict(),
            "scaling": self.scaling,
            "folds": len(self.encoders),
            "parts": [part_config(part) for part in self.parts],
            "temperatures": list(self.temperatures),
            "ensemble_temperature": self.ensemble_temperature,
            "shift": list(self.shift),
            "offsets": list(self.offsets),
            "intervals": {name: kept.config() for name, kept in self._intervals().items()},
        }
        write_arrays(folder / "weights.safetensors", arrays)
        write_whole(folder / "model.json", json.dumps(config, indent=1))

    def _intervals(self) -> dict[str, Intervals]:
        both = {"intervals": self.intervals, "chosen_intervals": self.chosen_intervals}
        return {name: kept for name, kept in both.items() if kept is not None}

    @classmethod
    def load(cls, folder: str | Path, architecture: Architecture | None = None) -> "Predictor":
        """Read a predictor that `save` wrote.

        Args:
            folder: the folder, or the run that holds it as ``model``.
            architecture: the architecture, for one that was built from the user's own module.

        Raises:
            RunError: if it is missing, damaged, or from a newer version.
        """
        folder = Path(folder)
        folder = folder / "model" if (folder / "model").is_dir() else folder
        try:
            config = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"{folder} holds no trained model; give the folder of a finished run") from None
        except json.JSONDecodeError as error:
            raise RunError(f"{folder / 'model.json'} is damaged ({error})") from None
        if config.get("format", 0) > FORMAT:
            raise RunError(f"{folder} was written by a newer version of fathom; update fathom")
        arrays = read_arrays(folder / "weights.safetensors")
        schema, task = Schema.from_dict(config["schema"]), Task.from_dict(config["task"])
        encoders = tuple(
            Encoder.from_arrays(schema, _below(arrays, f"encoder.{fold}."), config["scaling"])
            for fold in range(config["folds"])
        )
        parts = tuple(
            load_part(written, task, _below(arrays, f"network.{index}."), architecture)
            for index, written in enumerate(config["parts"])
        )
        written, warm = config.get("intervals", {}), tuple(config["temperatures"])
        whole, alone = (
            Intervals.read(written[name], _below(arrays, f"{name}.")) if name in written else None
            for name in ("intervals", "chosen_intervals")
        )
        return cls(
            schema,
            task,
            encoders,
            config["scaling"],
            parts,
            warm,
            config["ensemble_temperature"],
            shift=tuple(config.get("shift", ())),
            offsets=tuple(config.get("offsets", ())),
            intervals=whole,
            chosen_intervals=alone,
        )


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
