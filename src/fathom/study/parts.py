"""One network of a predictor: what is kept of it, the program that runs it, how it is written and read."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from ..engine.functions import Packer, abstract_key, is_array_or_shape
from ..engine.learner import LearnerSpec, answers, network_for
from ..engine.packing import LIMITS
from ..engine.program import Program
from ..errors import RunError, UsageError
from ..models import Architecture
from ..models import from_dict as architecture_from_dict
from ..objectives import outputs_for
from ..task import Task
from .scoring import bucket

MOST_ROWS = 4096  # that a network looks at in one call
_STEADY_ROWS = 256  # in each call, where all are to take as many and rows are few


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

    @functools.cached_property
    def answer(self) -> Callable[[Any], Any]:
        """What the network says about inputs [rows, ...]; its arrays stay on a device from the first call on."""
        kept, program = jax.device_put(self.kept), forward(self.spec)

        @functools.lru_cache
        def compiled(shape: tuple[int, ...], kind: Any) -> Callable[..., Any]:
            return program.compiled(kept, _shape_here(shape, kind))

        return lambda x: compiled(x.shape, x.dtype)(kept, x)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle holds: the fields, nothing on a device."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def stand_alone(spec: LearnerSpec) -> LearnerSpec:
    """The part of a spec that a trained network still needs."""
    return dataclasses.replace(spec, loss=None, active=frozenset(), blanks=False)


def call_sizes(rows: int, steady: bool) -> list[int]:
    """Rows that each call for some rows takes, the last one filled up.

    Args:
        rows: how many rows there are.
        steady: whether all calls take as many, so that what is said of a row does not depend, in its last bit, on
            how many are beside it, and there are two programs at most.

    Example:
        >>> call_sizes(5000, False), call_sizes(300, True)
        ([4096, 1024], [256, 256])
    """
    if steady:
        size = _STEADY_ROWS if rows <= MOST_ROWS else MOST_ROWS
        return [size] * -(-rows // size)
    full, rest = divmod(rows, MOST_ROWS)
    return [MOST_ROWS] * full + ([bucket(rest)] if rest else [])


def prepare(spec: LearnerSpec, rows: Sequence[int], steady: bool = False) -> None:
    """Compile ahead what predicting some numbers of rows will need.

    Args:
        spec: the network's.
        rows: numbers of rows that will be predicted.
        steady: as `call_sizes` takes it.
    """
    kept = jax.tree.map(
        lambda leaf: _shape_here(leaf.shape, leaf.dtype), eqx.filter(_abstract_kept(spec), is_array_or_shape)
    )
    for size in {size for count in rows for size in call_sizes(count, steady)}:
        forward(spec).compiled(kept, _shape_here((size, *spec.task.shape), np.float32))


def _shape_here(size: tuple[int, ...], kind: Any) -> jax.ShapeDtypeStruct:
    """An array on the device that predicts."""
    return jax.ShapeDtypeStruct(size, kind, sharding=SingleDeviceSharding(jax.local_devices()[0]))


@functools.lru_cache(maxsize=64)
def forward(spec: LearnerSpec) -> Program:
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
def layout_of(spec: LearnerSpec) -> Packer:
    """How the kept arrays of a network are named and ordered."""
    return Packer(_abstract_kept(spec))


_WORDS = ("optimizer", "schedule", "clip_by", "decay")


def part_config(part: Part) -> dict[str, Any]:
    """What is written of a network beside its arrays."""
    words = {name: getattr(part.spec, name) for name in _WORDS}
    model = part.spec.architecture.to_dict()
    words |= {"loss": part.spec.task.loss, "packed": list(part.spec.packed)}
    return {"member": part.member, "fold": part.fold, "model": model, **words}


def load_part(
    written: Mapping[str, Any],
    task: Task,
    arrays: Mapping[str, np.ndarray],
    architecture: Architecture | None,
) -> Part:
    """The network that `part_config` and its arrays describe.

    Raises:
        RunError: if its architecture is the user's own and not given.
    """
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
    spec = LearnerSpec(architecture, task, **words, packed=tuple(written.get("packed", LIMITS)))
    layout = layout_of(spec)
    leaves = [arrays[name] for name in layout.names]
    return Part(written["member"], written["fold"], spec, layout.unpack(leaves))
