"""Warm start: the networks of an earlier run as first weights."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..data import Dataset, Encoder
from ..engine.cohort import Start
from ..engine.learner import LearnerSpec, network_for
from ..errors import RunError, UsageError
from ..models import Architecture
from .members import Member
from .parts import Part
from .predictor import Predictor


@dataclasses.dataclass(frozen=True, eq=False)
class WarmStart:
    """What a study takes over from an earlier run: schema, encoders, architecture, weights.

    The architecture and the loss are those of the run's chosen network, and only networks that share them are
    started from. A network reads inputs as its own fold's encoder made them, so each fold of the study reads
    through one fold of the run and starts from the networks of that fold.

    Attributes:
        predictor: the run's.
        place: the run's folder; "" for a predictor in memory.
    """

    predictor: Predictor
    place: str = ""

    @classmethod
    def of(cls, given: Any, architectures: Any = None) -> "WarmStart":
        """What a user gave to start from.

        Args:
            given: the folder of a finished run, or a predictor; or what this made of one.
            architectures: the study's, needed where the run's was built from a module of the user's own.

        Raises:
            RunError: if the folder holds no trained model.
            UsageError: if it is neither.
        """
        if isinstance(given, WarmStart):
            return given
        if isinstance(given, Predictor):
            return cls(given)
        if not isinstance(given, (str, Path)):
            raise UsageError(
                f"start_from={type(given).__name__} is not allowed; give the folder of a finished run, or its model"
            )
        own = architectures[0] if isinstance(architectures, Sequence) and architectures else architectures
        own = own if isinstance(own, Architecture) and not _writable(own) else None
        return cls(Predictor.load(given, own), str(Path(given).resolve()))

    @functools.cached_property
    def fingerprint(self) -> str:
        """What tells whether the weights are the same as before: a digest of every network and encoder."""
        digest = hashlib.sha256()
        for part in self.predictor.parts:
            for leaf in jax.tree.leaves(part.kept):
                digest.update(np.ascontiguousarray(leaf).tobytes())
        for encoder in self.predictor.encoders:
            for array in encoder.arrays().values():
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def note(self) -> str:
        """What a user should hear."""
        number = len(self._parts)
        noun = "that of the network" if number == 1 else f"those of the {number} networks"
        place = self.place or "a model in memory"
        return f"the first weights are {noun} of {place}, and the data is read as that run read its own"

    def check_unchanged(self, fingerprint: str | None) -> None:
        """Refuse weights other than those that a recorded study began with.

        Raises:
            RunError: if they are others.
        """
        if fingerprint is not None and fingerprint != self.fingerprint:
            raise RunError(
                f"from={self.place or '(in memory)'!r}: its weights have changed since this study began; "
                "give those it began with, or start it anew"
            )

    def check_data(self, dataset: Dataset) -> None:
        """Refuse data that was read under a schema of its own.

        Raises:
            UsageError: if the columns or the classes mean something else than in the run.
        """
        if dataset.schema != self.predictor.schema:
            raise UsageError(
                "data: it was read under a schema of its own; give the path or the table, or "
                "load(..., like=model.schema), so that columns and classes mean what they mean to the weights"
            )

    @staticmethod
    def check_taken_over(name: str, given: Any, ours: Any) -> Any:
        """What a study has from the run.

        Raises:
            UsageError: if something else was asked for.
        """
        if given is not None and given != ours:
            raise UsageError(f"{name}={given} is not that of the run to start from, {ours}; leave {name} out")
        return ours

    def scaling(self, given: str | None) -> str:
        """The run's scaling.

        Raises:
            UsageError: if another was asked for.
        """
        return self.check_taken_over("scaling", given, self.predictor.scaling)

    def loss(self, given: Any) -> Any:
        """The loss asked for, or that of the run."""
        return given or self._chosen.spec.task.loss

    def architecture(self, given: Architecture | Sequence[Architecture] | None) -> Architecture:
        """The run's architecture.

        Raises:
            UsageError: if another was asked for.
        """
        ours = self._chosen.spec.architecture
        if isinstance(given, Sequence) and len(given) == 1:
            given = given[0]
        return self.check_taken_over("model", given, ours)

    def encoders(self, folds: int) -> tuple[Encoder, ...]:
        """The run's encoder that each fold of a study reads through."""
        return tuple(self.predictor.encoders[self._source(fold, folds)] for fold in range(folds))

    def start(self, spec: LearnerSpec, members: Sequence[Member], folds: int) -> Start:
        """What the members of a cohort start from: of the n networks of its fold, a fold's member i takes i mod n.

        Args:
            spec: what is static about them.
            members: the members.
            folds: of the study.

        Raises:
            UsageError: if their loss needs other outputs than the networks have.
        """
        task, theirs = spec.task, self._chosen.spec.task
        if task.outputs != theirs.outputs:
            raise UsageError(
                f"loss={task.loss!r} needs {task.outputs} outputs and the networks of the run have {theirs.outputs}; "
                "keep the run's loss, or train without a warm start"
            )
        places = {id(part): place for place, part in enumerate(self._parts)}
        which = []
        for member in members:
            mine = [part for part in self._parts if part.fold == self._source(member.fold, folds)]
            which.append(places[id(mine[member.index // folds % len(mine)])])
        packing = network_for(spec).packing
        networks = []
        for part in self._parts:
            params = network_for(part.spec).packing.unpack(part.kept["params"])
            networks.append({**part.kept, "params": jax.tree.map(np.asarray, packing.pack(params))})
        return Start(tuple(networks), np.array(which, dtype=np.int64))

    @property
    def _chosen(self) -> Part:
        return self.predictor.parts[0]

    @functools.cached_property
    def _parts(self) -> tuple[Part, ...]:
        """The networks that share the chosen one's architecture and outputs."""
        ours = self._chosen.spec
        return tuple(
            part
            for part in self.predictor.parts
            if (part.spec.architecture, part.spec.task) == (ours.architecture, ours.task)
        )

    def _source(self, fold: int, folds: int) -> int:
        """The run's fold that a fold of the study continues: the same where both have as many."""
        there = list(dict.fromkeys(part.fold for part in self._parts))
        if folds == len(self.predictor.encoders) and fold in there:
            return fold
        return there[fold % len(there)]


def _writable(architecture: Architecture) -> bool:
    """Whether a file can say what the architecture is."""
    return "factory" not in architecture.to_dict()
