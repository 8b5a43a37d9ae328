"""A predictor as one frozen function of encoded inputs, through `jax.export`."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...engine.learner import answers, network_for
from ...errors import UsageError
from ..intervals import COVERAGE
from ..parts import Part
from ..predictor import Predictor

PLATFORMS = ("cpu", "cuda")
_ROWS = 256  # of a call, where the number has to be fixed


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A frozen function.

    Attributes:
        artifact: the bytes that `jax.export.deserialize` reads.
        folds: whose encoders make its inputs, in order.
        rows: how many rows a call takes; None for any number.
        platforms: what it can run on.
        convention: the version of JAX's calling convention.
    """

    artifact: bytes
    folds: tuple[int, ...]
    rows: int | None
    platforms: tuple[str, ...]
    convention: int


def freeze(predictor: Predictor, coverage: float = COVERAGE) -> Frozen:
    """Freeze a predictor: weights, calibration, thresholds and intervals become part of one function.

    The function takes float32 [folds, rows, inputs] and gives a dictionary: for classes "prediction" (int32 [rows],
    the number of the class), "probability" (float64 [rows, classes]); for a regression "prediction" (float64
    [rows]) and, where the model has intervals, "lower" and "upper"; for an ensemble "spread" (float64 [rows]).
    The networks compute in float32 at the highest precision the device has, what follows in float64.

    Args:
        predictor: the model.
        coverage: the share of values between "lower" and "upper".

    Returns:
        The function, for any number of rows on CPU and GPU; where a network's code does not allow that, for the
        first of these that works: any number on CPU, 256 on both, 256 on CPU.

    Raises:
        UsageError: if JAX cannot export the network.
    """
    from jax import export

    folds = tuple(predictor.by_fold)
    function = jax.jit(_function(predictor, folds, coverage))
    refused: Exception | None = None
    for rows, platforms in _attempts(export):
        shape = (len(folds), rows, predictor.encoders[0].features)
        try:
            with jax.enable_x64(True):
                found = export.export(function, platforms=platforms)(jax.ShapeDtypeStruct(shape, jnp.float32))
        except Exception as error:  # whatever a user's own module makes of a dimension that has no number
            refused = error
            continue
        fixed = rows if isinstance(rows, int) else None
        convention = found.calling_convention_version
        return Frozen(bytes(found.serialize()), folds, fixed, tuple(found.platforms), convention)
    raise UsageError(f"export: JAX cannot export this network ({refused}); use it with fathom.load_model")


def _attempts(export: Any) -> Iterator[tuple[Any, tuple[str, ...]]]:
    for rows in (export.symbolic_shape("rows")[0], _ROWS):
        for platforms in (PLATFORMS, PLATFORMS[:1]):
            yield rows, platforms


def _function(
    predictor: Predictor, folds: tuple[int, ...], coverage: float
) -> Callable[[Any], dict[str, Any]]:
    """The predictor as a function of arrays of JAX, to be traced with 64-bit numbers allowed."""

    def run(inputs: Any) -> dict[str, Any]:
        places = {fold: place for place, fold in enumerate(folds)}
        outputs = jnp.stack([_network(part, inputs[places[part.fold]]) for part in predictor.parts])
        if predictor.task.kind == "classification":
            return _classes(predictor, outputs)
        return _values(predictor, outputs, coverage)

    return run


def _network(part: Part, x: Any) -> Any:
    """What a network gives [rows, outputs], computed in 32 bits as it was trained, as float64."""
    network, kept = network_for(part.spec), part.kept
    with jax.enable_x64(False), jax.default_matmul_precision("highest"):
        module = network.module(kept["params"], kept["carried"])
        found, _ = module(x, key=None, state=kept["net"], inference=True)
        found = answers(part.spec, found).reshape(x.shape[0], -1)
    return found.astype(jnp.float64)


def _classes(predictor: Predictor, outputs: Any) -> dict[str, Any]:
    """As `Predictor.frame`, for logits [networks, rows, classes]."""
    warm = outputs / np.array(predictor.temperatures)[:, None, None]
    if predictor.shift:
        warm = warm + np.array(predictor.shift)[None, None]
    each = jax.nn.softmax(warm, axis=2)
    if len(predictor.parts) == 1:
        found = jax.nn.log_softmax(warm[0], axis=1)
    else:
        mean = jnp.log(each.mean(0).clip(1e-30))
        found = jax.nn.log_softmax(mean / predictor.ensemble_temperature, axis=1)
    winner = (found + np.array(predictor.offsets)[None] if predictor.offsets else found).argmax(1)
    columns = {"prediction": winner.astype(jnp.int32), "probability": jnp.exp(found)}
    if len(predictor.parts) > 1:
        columns["spread"] = jnp.take_along_axis(each, winner[None, :, None], axis=2)[..., 0].std(0)
    return columns


def _values(predictor: Predictor, outputs: Any, coverage: float) -> dict[str, Any]:
    """As `Predictor.frame`, for outputs [networks, rows, 1] in units of each fold's target scale."""
    fitted = [predictor.encoders[part.fold] for part in predictor.parts]
    center, scale = (
        np.array([np.asarray(getattr(e, name)).reshape(-1)[0] for e in fitted])[:, None, None]
        for name in ("target_center", "target_scale")
    )
    outputs = outputs * scale + center
    columns = {"prediction": outputs[..., 0].mean(0)}
    if predictor.intervals is not None:
        spread = predictor.local_spread(outputs)
        columns["lower"], columns["upper"] = predictor.intervals.around(
            columns["prediction"], spread, coverage
        )
    if len(predictor.parts) > 1:
        columns["spread"] = outputs[..., 0].std(0)
    return columns
