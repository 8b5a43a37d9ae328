"""How a predictor is kept on disk: ``model.json`` says what it is, ``weights.safetensors`` holds the numbers."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..data import Encoder, Schema
from ..engine.checkpoint import read_arrays, write_arrays, write_whole
from ..errors import RunError
from ..models import Architecture
from ..task import Task
from .intervals import Intervals
from .parts import layout_of, load_part, part_config
from .predictor import Predictor

FORMAT = 2
CONFIG, WEIGHTS = "model.json", "weights.safetensors"


def write_predictor(predictor: Predictor, folder: Path) -> None:
    """Write a predictor to a folder, which is made.

    Args:
        predictor: the predictor.
        folder: the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    for fold, encoder in enumerate(predictor.encoders):
        arrays.update({f"encoder.{fold}.{name}": array for name, array in encoder.arrays().items()})
    for index, part in enumerate(predictor.parts):
        layout = layout_of(part.spec)
        pairs = zip(layout.names, layout.pack(part.kept), strict=True)
        arrays.update({f"network.{index}.{name}": np.asarray(leaf) for name, leaf in pairs})
    for name, kept in _intervals(predictor).items():
        arrays.update({f"{name}.{key}": array for key, array in kept.arrays().items()})
    config = {
        "format": FORMAT,
        "schema": predictor.schema.to_dict(),
        "task": predictor.task.to_dict(),
        "scaling": predictor.scaling,
        "folds": len(predictor.encoders),
        "parts": [part_config(part) for part in predictor.parts],
        "temperatures": list(predictor.temperatures),
        "ensemble_temperature": predictor.ensemble_temperature,
        "shift": list(predictor.shift),
        "offsets": list(predictor.offsets),
        "intervals": {name: kept.config() for name, kept in _intervals(predictor).items()},
    }
    write_arrays(folder / WEIGHTS, arrays)
    write_whole(folder / CONFIG, json.dumps(config, indent=1))


def read_predictor(folder: Path, architecture: Architecture | None = None) -> Predictor:
    """Read what `write_predictor` wrote.

    Args:
        folder: the folder, or the run that holds it as ``model``.
        architecture: the architecture, for one that was built from the user's own module.

    Raises:
        RunError: if it is missing, damaged, or from a newer version.
    """
    folder = folder / "model" if (folder / "model").is_dir() else folder
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{folder} holds no trained model; give the folder of a finished run") from None
    except json.JSONDecodeError as error:
        raise RunError(f"{folder / 'model.json'} is damaged ({error})") from None
    if config.get("format", 0) > FORMAT:
        raise RunError(f"{folder} was written by a newer version of fathom; update fathom")
    arrays = read_arrays(folder / WEIGHTS)
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
    return Predictor(
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


def _intervals(predictor: Predictor) -> dict[str, Intervals]:
    both = {"intervals": predictor.intervals, "chosen_intervals": predictor.chosen_intervals}
    return {name: kept for name, kept in both.items() if kept is not None}


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
