"""The folder that a model is exported to: everything that is needed to use it, with and without Fathom."""

import importlib.resources
import json
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..._version import __version__
from ...engine.checkpoint import write_whole
from ...errors import RunError
from ..card import card, short_card
from ..evidence import Evidence
from ..intervals import COVERAGE, check_coverage
from ..predictor import Predictor
from ..run_folder import CARD, now
from ..stored import CONFIG, WEIGHTS
from .frozen import Frozen, freeze

FORMAT = 1
FUNCTION, SCHEMA, NUMBERS, SCRIPT, NEEDED, ENCODING = (
    "predict.jax_export",
    "schema.json",
    "encoding.npz",
    "predict.py",
    "requirements.txt",
    "encoding",
)
#: What is in the folder, and what for.
FILES = {
    CARD: "the model card",
    CONFIG: "what `fathom.load_model` reads: schema, task, networks",
    WEIGHTS: "the weights, as safetensors",
    SCHEMA: "the columns that the model reads and what it gives, as JSON",
    FUNCTION: "the frozen function, from encoded inputs to predictions; `jax.export.deserialize` reads it",
    NUMBERS: "the numbers that the encoding of inputs needs",
    ENCODING: "the encoding of inputs, Fathom's own code for it, which needs NumPy and SciPy alone",
    SCRIPT: "predicts with these, without Fathom",
    NEEDED: "what `predict.py` needs",
}
# The modules that turn the cells of a table into inputs. They import nothing but each other, NumPy and SciPy.
_MODULES = (
    "errors.py",
    "data/dataset.py",
    "data/encode.py",
    "data/scaling.py",
    "data/schema.py",
    "data/words.py",
    "data/read/columns.py",
    "data/read/dates.py",
    "data/read/numerals.py",
)
_PACKAGES = (".", "data", "data/read")


def export_model(
    predictor: Predictor,
    folder: str | Path,
    summary: Mapping[str, Any] | None = None,
    evidence: Evidence | None = None,
    coverage: float = COVERAGE,
) -> Path:
    """Write a model as a folder that is of use without Fathom, whole or not at all.

    Args:
        predictor: the model.
        folder: the folder, which must not exist or be empty.
        summary: the run's, for the model card; None where no result is known.
        evidence: likewise.
        coverage: the share of values between the ends of the frozen function's intervals.

    Returns:
        The folder.

    Raises:
        UsageError: if the coverage is not between 0 and 1, or the function cannot be frozen.
        RunError: if the folder is taken or cannot be written.
    """
    folder = Path(folder)
    check_coverage(coverage)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"folder={str(folder)!r} is not empty; give a new one")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name[:100]}.", dir=folder.parent) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            frozen = freeze(predictor, coverage)
            use = _use(folder, frozen)
            task = predictor.task
            text = short_card(predictor.schema.target.name, task.kind, use)
            write_whole(made / CARD, text if summary is None else card(summary, evidence, use))
            _fill(made, predictor, frozen, coverage)
            made.replace(folder)
    except OSError as error:
        raise RunError(f"folder={str(folder)!r} cannot be written ({error.strerror}); give another") from None
    return folder


def _use(folder: Path, frozen: Frozen) -> str:
    """The section of the card that says how the folder is used, and how long."""
    listed = "\n".join(f"- `{name}`: {what}" for name, what in FILES.items())
    rows = "any number of rows" if frozen.rows is None else f"{frozen.rows} rows a call"
    where = " and ".join(f"`{platform}`" for platform in frozen.platforms)
    return (
        "With Fathom:\n\n"
        f"```sh\nfathom predict {shlex.quote(folder.name)} new.csv --out predictions.csv\n```\n\n"
        "Without it, on new data as CSV with the columns of `schema.json`, in any order:\n\n"
        f"```sh\npip install -r {NEEDED}\npython {SCRIPT} new.csv > predictions.csv\n```\n\n"
        f"{listed}\n\n"
        f"The frozen function takes float32 [{len(frozen.folds)}, rows, inputs], {rows}, on {where}. It was written by "
        f"JAX {jax.__version__}, which promises that a JAX whose jaxlib was built up to 6 months later reads it, or "
        "up to 3 weeks earlier ([JAX: compatibility guarantees](https://docs.jax.dev/en/latest/export/export.html"
        "#compatibility-guarantees)). After that, export again: `model.json` and `weights.safetensors` have no such "
        "limit."
    )


def _fill(folder: Path, predictor: Predictor, frozen: Frozen, coverage: float) -> None:
    predictor.save(folder)
    (folder / FUNCTION).write_bytes(frozen.artifact)
    write_whole(
        folder / SCHEMA, json.dumps(_schema(predictor, frozen, coverage), indent=1, ensure_ascii=False)
    )
    numbers = {
        f"{place}.{name}": array
        for place, fold in enumerate(frozen.folds)
        for name, array in predictor.encoders[fold].arrays().items()
    }
    np.savez(folder / NUMBERS, **numbers)  # pyright: ignore[reportArgumentType]
    package = importlib.resources.files(__name__.partition(".")[0])
    for name in _PACKAGES:
        (folder / ENCODING / name).mkdir()
        (folder / ENCODING / name / "__init__.py").touch()
    for name in _MODULES:
        with importlib.resources.as_file(package / name) as module:
            shutil.copyfile(module, folder / ENCODING / name)
    script = importlib.resources.files(__package__ or __name__) / SCRIPT
    with importlib.resources.as_file(script) as module:
        shutil.copyfile(module, folder / SCRIPT)
    write_whole(folder / NEEDED, f"jax>={jax.__version__}\nflatbuffers\n")


def _schema(predictor: Predictor, frozen: Frozen, coverage: float) -> dict[str, Any]:
    """What is read and what comes out, for people and for `predict.py`."""
    columns = {
        "prediction": "number of the class" if predictor.task.classes else "value, in units of the target"
    }
    if predictor.task.classes:
        columns["probability"] = "calibrated, one column a class"
    elif predictor.intervals is not None:
        columns["lower"] = columns["upper"] = (
            f"ends of an interval that holds {100 * coverage:g} % of the values"
        )
    if len(predictor.parts) > 1:
        columns["spread"] = (
            "standard deviation over the networks, of the predicted class's probability or the value"
        )
    return {
        "format": FORMAT,
        "kind": predictor.task.kind,
        "classes": list(predictor.task.classes),
        "schema": predictor.schema.to_dict(),
        "scaling": predictor.scaling,
        "encoders": len(frozen.folds),
        "inputs": list(predictor.encoders[0].feature_names),
        "outputs": columns,
        "coverage": coverage if predictor.intervals is not None else None,
        "threshold": predictor.threshold,
        "rows": frozen.rows,
        "platforms": list(frozen.platforms),
        "made": {
            "at": now(),
            "fathom": __version__,
            "jax": jax.__version__,
            "calling_convention": frozen.convention,
        },
    }
