"""From trained members to the predictor: which networks, how calibrated, chosen on validation rows alone."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from ..engine.training import Training
from .choose import Standing, ensemble_members, temperature
from .members import CohortMembers, Member
from .predictor import Part, Predictor, stand_alone
from .study import Study

MOST = 25  # networks of an ensemble


def build_predictor(
    study: Study,
    cohorts: Sequence[CohortMembers],
    members: Sequence[Member],
    training: Training,
    ranking: Sequence[Standing],
) -> Predictor:
    """The predictor of a study: the chosen network first, then the rest of the ensemble.

    The chosen network is the member of the best candidate with the lowest validation loss. The ensemble holds
    all members of the best k candidates, k being where the loss of the average is lowest: each member judged
    on the validation rows of its own fold, which it was not trained on.

    Args:
        study: the study.
        cohorts: its cohorts.
        members: its members.
        training: what was trained.
        ranking: the candidates that were trained to the end, best first.

    Returns:
        The predictor, calibrated.
    """
    specs = {c.index: stand_alone(cohort.spec) for cohort in cohorts for c in cohort.candidates}
    numbers = ensemble_members(ranking, MOST)
    slots = training.slots(numbers)
    parts = tuple(
        Part(m, members[m].fold, specs[members[m].candidate], jax.tree.map(np.asarray, slots[m]["best"]))
        for m in numbers
    )
    ones = (1.0,) * len(parts)
    whole = Predictor(study.dataset.schema, study.task, study.inputs.encoders, study.scaling, parts, ones)
    held = _Held(study, whole)
    keep = held.best_prefix([s.members for s in ranking])
    first = min(ranking[0].members, key=lambda m: (training.records[m].best_loss, m))
    order = sorted(range(keep), key=lambda i: (parts[i].member != first, i))
    return dataclasses.replace(
        whole,
        parts=tuple(parts[i] for i in order),
        temperatures=tuple(held.temperatures[i] for i in order),
        ensemble_temperature=held.ensemble_temperature(keep),
    )


class _Held:
    """What each network of a predictor says about the validation rows of its own fold."""

    def __init__(self, study: Study, whole: Predictor):
        feed = study.inputs.feed
        folds = feed.validation if feed.validation is not None else np.zeros((0, 0), np.int32)
        rows = [fold[fold != feed.blank] for fold in folds]
        target = study.dataset.target[study.inputs.rows]
        self._classes = study.task.kind == "classification"
        self._folds = [part.fold for part in whole.parts]
        self._targets = [target[r] for r in rows]
        self._outputs, self.temperatures = [], []
        for part in whole.parts:
            alone = dataclasses.replace(whole, parts=(part,), temperatures=(1.0,))
            inputs = {part.fold: feed.examples["x"][part.fold, rows[part.fold]]}
            outputs = alone.outputs_of(inputs, len(rows[part.fold]))
            warm = temperature(outputs[0], self._targets[part.fold]) if self._classes else 1.0
            alone = dataclasses.replace(alone, temperatures=(warm,))
            self.temperatures.append(warm)
            self._outputs.append(alone.combine(outputs))

    def best_prefix(self, groups: Sequence[Sequence[int]]) -> int:
        """How many networks of the best groups, taken in order, average to the lowest loss."""
        sizes = np.cumsum([len(group) for group in groups])
        sizes = [int(size) for size in sizes if size <= len(self._outputs)]
        return min(sizes, key=lambda size: (self._loss(size), size))

    def _loss(self, count: int) -> float:
        found, target = self._average(count)
        if self._classes:
            return -float(found[np.arange(len(target)), target].mean())
        return float(np.square(found - target).mean())

    def ensemble_temperature(self, count: int) -> float:
        """The temperature of the average of the first networks."""
        return temperature(*self._average(count)) if self._classes else 1.0

    def _average(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The average over the first networks, the folds one after another, and the targets."""
        averages, targets = [], []
        for fold in sorted(set(self._folds[:count])):
            mine = np.stack([self._outputs[i] for i in range(count) if self._folds[i] == fold])
            mean = np.log(np.clip(np.exp(mine).mean(0), 1e-30, None)) if self._classes else mine.mean(0)
            averages.append(mean)
            targets.append(self._targets[fold])
        return np.concatenate(averages), np.concatenate(targets)
