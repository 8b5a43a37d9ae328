"""A trained model that stands alone: schema, encoders, networks, temperature; needs neither data nor study."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from ..data import Encoder, Schema, read_table
from ..engine.checkpoint import read_arrays, write_arrays, write_whole
from ..engine.functions import Packer, abstract_key, is_array_or_shape
from ..engine.lanes import power_of_two
from ..engine.learner import LearnerSpec, answers, network_for
from ..engine.program import Program
from ..errors import DataError, RunError, UsageError
from ..models import Architecture
from ..models import from_dict as architecture_from_dict
from ..objectives import METRICS, outputs_for
from ..task import Task

FORMAT = 1
_ROWS = 4096
_LEAST_ROWS = 16


@dataclasses.dataclass(frozen=True)
class Part:
    """One network of a predictor.

    Attributes:
        member: its number in the study.
        fold: whose encoder it reads.
        spec: what is static about it.
        kept: its parameters, carried arrays and state, as the learner keeps them.
    """

    member: int
    fold: int
    spec: LearnerSpec
    kept: Any


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model: one network, or the mean of several.

    Classification: probabilities are softmax(logits / temperature), averaged over the networks, then brought
    to `ensemble_temperature` if there are several. Regression: the mean of the networks' values.

    Attributes:
        schema: what tables must look like.
        task: what is predicted.
        encoders: what turns a table into inputs, one a fold.
        scaling: how numeric columns were conditioned.
        parts: the networks; the first is the chosen one.
        temperatures: one for each network.
        ensemble_temperature: for the average of several.
    """

    schema: Schema
    task: Task
    encoders: tuple[Encoder, ...]
    scaling: str
    parts: tuple[Part, ...]
    temperatures: tuple[float, ...]
    ensemble_temperature: float = 1.0

    @property
    def chosen(self) -> "Predictor":
        """The predictor of the chosen network alone."""
        return dataclasses.replace(
            self, parts=self.parts[:1], temperatures=self.temperatures[:1], ensemble_temperature=1.0
        )

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
            kept, forward = jax.device_put(part.kept), _forward(part.spec)
            for start in range(0, rows, _ROWS):
                x = inputs[part.fold][start : start + _ROWS]
                padded = np.pad(x, [(0, _bucket(len(x)) - len(x))] + [(0, 0)] * (x.ndim - 1))
                found = np.asarray(forward(kept, jax.device_put(padded)))[: len(x)]
                results[index, start : start + len(x)] = found.reshape(len(x), -1)
        if self.task.kind == "regression":
            for index, part in enumerate(self.parts):
                results[index] = self.encoders[part.fold].decode_target(results[index])
        return results

    def log_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Calibrated log-probabilities [rows, classes] from `outputs`."""
        from scipy.special import log_softmax, softmax

        warm = np.array(self.temperatures)[:, None, None]
        if len(self.parts) == 1:
            return log_softmax(outputs[0] / warm[0], axis=1)
        mean = softmax(outputs / warm, axis=2).mean(0)
        return log_softmax(np.log(np.clip(mean, 1e-30, None)) / self.ensemble_temperature, axis=1)

    def combine(self, outputs: np.ndarray) -> np.ndarray:
        """From `outputs` to log-probabilities [rows, classes], or values [rows]."""
        if self.task.kind == "classification":
            return self.log_probabilities(outputs)
        return outputs[..., 0].mean(0)

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
        return self._names(found.argmax(1)) if self.task.kind == "classification" else found

    def frame(self, source: Any) -> dict[str, np.ndarray]:
        """Predictions as columns: "prediction", then "probability CLASS" for each class, then "spread".

        The spread is the standard deviation over the networks, of the predicted class's probability or of the
        value; it is left out where there is one network.
        """
        outputs = self.outputs(source)
        found = self.combine(outputs)
        if self.task.kind == "regression":
            spread = {"spread": outputs[..., 0].std(0)} if len(self.parts) > 1 else {}
            return {"prediction": found, **spread}
        winner = found.argmax(1)
        columns = {"prediction": self._names(winner)}
        columns.update(
            {f"probability {name}": np.exp(found[:, i]) for i, name in enumerate(self.task.classes)}
        )
        if len(self.parts) > 1:
            from scipy.special import softmax

            each = softmax(outputs / np.array(self.temperatures)[:, None, None], axis=2)
            columns["spread"] = each[:, np.arange(len(winner)), winner].std(0)
        return columns

    def evaluate(self, source: Any) -> dict[str, float]:
        """Every metric of the task on new data that has the target column.

        Raises:
            DataError: if the target column is missing.
        """
        table, target = read_table(source, self.schema)
        if target is None:
            raise DataError(
                f"target={self.schema.target.name!r} is missing from the data; evaluation needs it"
            )
        inputs = {fold: self.encoders[fold].encode(table) for fold in {part.fold for part in self.parts}}
        return score_all(self.task, self.combine(self.outputs_of(inputs, len(table))), target)

    def _names(self, numbers: np.ndarray) -> np.ndarray:
        return np.array(self.task.classes, dtype=object)[numbers]

    def save(self, folder: Path) -> None:
        """Write it to a folder: ``model.json`` and ``weights.safetensors``."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.ndarray] = {}
        for fold, encoder in enumerate(self.encoders):
            arrays.update({f"encoder.{fold}.{name}": array for name, array in encoder.arrays().items()})
        for index, part in enumerate(self.parts):
            layout = _layout(part.spec)
            pairs = zip(layout.names, layout.pack(part.kept), strict=True)
            arrays.update({f"network.{index}.{name}": np.asarray(leaf) for name, leaf in pairs})
        config = {
            "format": FORMAT,
            "schema": self.schema.to_dict(),
            "task": self.task.to_dict(),
            "scaling": self.scaling,
            "folds": len(self.encoders),
            "parts": [_part_config(part) for part in self.parts],
            "temperatures": list(self.temperatures),
            "ensemble_temperature": self.ensemble_temperature,
        }
        write_arrays(folder / "weights.safetensors", arrays)
        write_whole(folder / "model.json", json.dumps(config, indent=1))

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
            _load_part(written, task, _below(arrays, f"network.{index}."), architecture)
            for index, written in enumerate(config["parts"])
        )
        warm = tuple(config["temperatures"])
        return cls(schema, task, encoders, config["scaling"], parts, warm, config["ensemble_temperature"])


def score_all(task: Task, found: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Every metric of a task's kind.

    Args:
        task: the task.
        found: log-probabilities [rows, classes], or values [rows].
        target: class numbers, or values.
    """
    rows = len(target)
    kind = np.int32 if task.kind == "classification" else np.float32
    more = _bucket(rows, most=1 << 31) - rows
    outputs = np.pad(found.astype(np.float32), [(0, more)] + [(0, 0)] * (found.ndim - 1))
    targets, weight = np.pad(target.astype(kind), (0, more)), np.pad(np.ones(rows, np.float32), (0, more))
    scores = jax.device_get(_scores(task.kind)(*jax.device_put((outputs, targets, weight))))
    return {name: float(value) for name, value in scores.items()}


def prepare(spec: LearnerSpec, rows: Sequence[int], judged: int) -> None:
    """Compile ahead what predicting some numbers of rows will need, and scoring the last of them.

    Args:
        spec: the network's.
        rows: numbers of rows that will be predicted.
        judged: number of rows that will be scored.
    """
    place = SingleDeviceSharding(jax.local_devices()[0])

    def shape(size: tuple[int, ...], kind: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(size, kind, sharding=place)

    kept = jax.tree.map(
        lambda leaf: shape(leaf.shape, leaf.dtype), eqx.filter(_abstract_kept(spec), is_array_or_shape)
    )
    for count in {_bucket(min(count, _ROWS)) for count in rows if count}:
        _forward(spec).compiled(kept, shape((count, *spec.task.shape), np.float32))
    if judged:
        count, classes = _bucket(judged, most=1 << 31), spec.task.kind == "classification"
        outputs = shape((count, len(spec.task.classes)) if classes else (count,), np.float32)
        targets = shape((count,), np.int32 if classes else np.float32)
        _scores(spec.task.kind).compiled(outputs, targets, shape((count,), np.float32))


@functools.lru_cache(maxsize=2)
def _scores(kind: str) -> Program:
    """All metrics of a kind as one program."""
    metrics = [metric for metric in METRICS if metric.kind == kind]
    return Program(
        "scores", lambda found, targets, weight: {m.name: m.fn(found, targets, weight) for m in metrics}
    )


def _bucket(rows: int, most: int = _ROWS) -> int:
    """Rows that a program is compiled for: a power of two, so that a few programs serve any table."""
    return min(most, max(_LEAST_ROWS, power_of_two(rows)))


@functools.lru_cache(maxsize=64)
def _forward(spec: LearnerSpec) -> Program:
    """What a network says about inputs [rows, ...]."""
    network = network_for(spec)

    def run(kept: Any, x: Any) -> Any:
        return answers(spec, network.forward(kept["params"], kept["carried"], kept["net"], x))

    return Program("forward", run)


@functools.lru_cache(maxsize=64)
def _abstract_kept(spec: LearnerSpec) -> dict[str, Any]:
    """The shapes of what is kept of a network."""
    network = network_for(spec)
    params, carried, state = eqx.filter_eval_shape(network.initialize, abstract_key(), np.float32(1.0))
    return {"params": params, "carried": carried, "net": state}


@functools.lru_cache(maxsize=64)
def _layout(spec: LearnerSpec) -> Packer:
    """How the kept arrays of a network are named and ordered."""
    return Packer(_abstract_kept(spec))


_WORDS = ("optimizer", "schedule", "clip_by", "decay")


def _part_config(part: Part) -> dict[str, Any]:
    words = {name: getattr(part.spec, name) for name in _WORDS}
    model = part.spec.architecture.to_dict()
    return {"member": part.member, "fold": part.fold, "model": model, "loss": part.spec.task.loss, **words}


def _load_part(
    written: Mapping[str, Any],
    task: Task,
    arrays: Mapping[str, np.ndarray],
    architecture: Architecture | None,
) -> Part:
    if architecture is None:
        try:
            architecture = architecture_from_dict(written["model"])
        except UsageError as error:
            raise RunError(
                f"the model needs its own code: {error}; give load_model(..., architecture=...)"
            ) from None
    words = {name: written[name] for name in _WORDS}
    count = len(task.classes) if task.kind == "classification" else 1
    task = dataclasses.replace(task, loss=written["loss"], outputs=outputs_for(written["loss"], count))
    spec = LearnerSpec(architecture, task, **words)
    layout = _layout(spec)
    leaves = [arrays[name] for name in layout.names]
    return Part(written["member"], written["fold"], spec, layout.unpack(leaves))


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def stand_alone(spec: LearnerSpec) -> LearnerSpec:
    """The part of a spec that a trained network still needs."""
    return dataclasses.replace(spec, loss=None, active=frozenset())
