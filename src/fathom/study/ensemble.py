"""From trained members to the predictor: which networks, how calibrated, chosen on validation rows alone."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from ..engine.training import Training
from ..objectives import log_softmax
from .choose import Standing, ensemble_members, temperature
from .decisions import decision_offsets
from .intervals import Intervals
from .members import CohortMembers, Member
from .parts import Part, stand_alone
from .predictor import Predictor
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
    on the validation rows of its own fold, which it was not trained on. (Greedy selection with replacement,
    Caruana et al. 2004, was no better on test rows.) On those rows the probabilities are calibrated, the line
    between the classes is drawn and the intervals are measured.

    Args:
        study: the study.
        cohorts: its cohorts.
        members: its members.
        training: what was trained.
        ranking: the candidates that were trained to the end, best first.

    Returns:
        The predictor.
    """
    specs = {c.index: stand_alone(cohort.spec) for cohort in cohorts for c in cohort.candidates}
    numbers = ensemble_members(ranking, MOST)
    networks = training.kept(numbers)
    parts = tuple(
        Part(m, members[m].fold, specs[members[m].candidate], jax.tree.map(np.asarray, networks[m]))
        for m in numbers
    )
    ones, of_classes = (1.0,) * len(parts), study.inputs.class_weights
    shift = () if of_classes is None else tuple((-np.log(of_classes)).tolist())
    encoders, schema = study.inputs.encoders, study.dataset.schema
    whole = Predictor(schema, study.task, encoders, study.scaling, parts, ones, shift=shift)
    first = min(ranking[0].members, key=lambda m: (training.records[m].best_loss, m))
    if not study.split.held_out:
        # Rows that were trained on would flatter every further choice: the best candidate's networks, as they are.
        mine = sorted(parts[: len(ranking[0].members)], key=lambda part: (part.member != first, part.member))
        return dataclasses.replace(whole, parts=tuple(mine), temperatures=(1.0,) * len(mine))
    held = _Held(study, whole)
    keep = held.best_prefix([s.members for s in ranking])
    order = sorted(range(keep), key=lambda i: (parts[i].member != first, i))
    kept = dataclasses.replace(
        whole,
        parts=tuple(parts[i] for i in order),
        temperatures=tuple(held.temperatures[i] for i in order),
    )
    return held.finish(kept, order, range(len(ranking[0].members)))


class _Held:
    """What each network of a predictor says about the validation rows of its own fold."""

    def __init__(self, study: Study, whole: Predictor):
        feed = study.inputs.feed
        folds = feed.validation if feed.validation is not None else np.zeros((0, 0), np.int32)
        rows = [fold[fold != feed.blank] for fold in folds]
        target = study.dataset.target[study.inputs.rows]
        self._metric = study.task.metric
        self._classes = study.task.kind == "classification"
        self._folds = [part.fold for part in whole.parts]
        self._targets = [target[r] for r in rows]
        self._weights = [feed.examples["weight"][0, r].astype(float) for r in rows]
        raw: dict[int, np.ndarray] = {}
        for fold, places in whole.by_fold.items():
            alike = dataclasses.replace(whole, parts=tuple(whole.parts[place] for place in places))
            inputs = {fold: feed.examples["x"][fold, rows[fold]]}
            raw |= zip(places, alike.outputs_of(inputs, len(rows[fold])), strict=True)
        self._outputs, self.temperatures = [], []
        for place, part in enumerate(whole.parts):
            outputs, fold, warm = raw[place], part.fold, 1.0
            if self._classes:
                warm = temperature(outputs, self._targets[fold], self._weights[fold], whole.shift)
            alone = dataclasses.replace(whole, parts=(part,), temperatures=(warm,))
            self.temperatures.append(warm)
            self._outputs.append(alone.combine(outputs[None]))

    def best_prefix(self, groups: Sequence[Sequence[int]]) -> int:
        """How many networks of the best groups, taken in order, average to the lowest loss."""
        sizes = np.cumsum([len(group) for group in groups])
        sizes = [int(size) for size in sizes if size <= len(self._outputs)]
        return min(sizes, key=lambda size: (self._loss(size), size))

    def _loss(self, count: int) -> float:
        found, target = self._pooled(range(count)), self._target()
        losses = -found[np.arange(len(target)), target] if self._classes else np.square(found - target)
        return float(np.average(losses, weights=self._weight()))

    def finish(self, predictor: Predictor, places: Sequence[int], best: Sequence[int]) -> Predictor:
        """The predictor of some networks, calibrated, decided and measured.

        Args:
            predictor: of those networks.
            places: which they are of those that this one knows.
            best: those of the best candidate.
        """
        found, target, weight = self._pooled(places), self._target(), self._weight()
        if self._classes:
            last = temperature(found, target, weight) if len(places) > 1 else 1.0
            predictor = dataclasses.replace(predictor, ensemble_temperature=last)
            offsets = decision_offsets(self._metric, log_softmax(found / last), target, weight)
            return dataclasses.replace(predictor, offsets=tuple(offsets.tolist()) if offsets.any() else ())
        # The chosen network's own rows are those it does best on; its siblings' rows are no such choice.
        alone = np.concatenate([self._outputs[i] for i in best])
        folds = [self._folds[i] for i in best]
        errors = np.concatenate([self._targets[fold] for fold in folds]) - alone
        counts = np.concatenate([self._weights[fold] for fold in folds])
        return dataclasses.replace(
            predictor,
            intervals=Intervals.fit(target - found, found, self._spread(predictor, places), weight),
            chosen_intervals=Intervals.fit(errors, alone, None, counts),
        )

    def _spread(self, predictor: Predictor, places: Sequence[int]) -> np.ndarray | None:
        """The local spread of the networks on the pooled rows."""
        found = []
        for fold in self._present(places):
            mine = [place for place, i in enumerate(places) if self._folds[i] == fold]
            parts = tuple(predictor.parts[place] for place in mine)
            outputs = np.stack([self._outputs[places[place]][:, None] for place in mine])
            found.append(dataclasses.replace(predictor, parts=parts).local_spread(outputs))
        return None if any(part is None for part in found) else np.concatenate(found)

    def _pooled(self, places: Sequence[int]) -> np.ndarray:
        """The average over some networks, the folds one after another."""
        averages = []
        for fold in self._present(places):
            each = np.stack([self._outputs[i] for i in places if self._folds[i] == fold])
            mean = (np.exp(each) if self._classes else each).mean(0)
            averages.append(np.log(np.clip(mean, 1e-30, None)) if self._classes else mean)
        return np.concatenate(averages)

    def _present(self, places: Sequence[int]) -> list[int]:
        return sorted({self._folds[i] for i in places})

    def _target(self) -> np.ndarray:
        return np.concatenate(self._targets)

    def _weight(self) -> np.ndarray:
        return np.concatenate(self._weights)
