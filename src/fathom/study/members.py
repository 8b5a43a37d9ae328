"""Who takes part in a study: candidates, members, and the cohorts that share a program."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import native
from ..engine import hosts
from ..engine.cohort import CohortSpec, Start
from ..engine.lanes import rules
from ..engine.learner import OPTIONAL, LearnerSpec, functions_for
from ..models import Architecture
from ..objectives import outputs_for
from ..optim import Recipe
from ..settings import declarations, expand, names_of
from ..task import Task


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One point of a study's grid; its members differ in seed and fold only.

    Attributes:
        index: its number.
        architecture: the network, every field a single value.
        recipe: how it is trained, every field a single value.
    """

    index: int
    architecture: Architecture
    recipe: Recipe

    def settings(self) -> dict[str, Any]:
        """What sets it apart, as a flat mapping: "model", the architecture's fields, the recipe's fields."""
        fields = self.architecture.to_dict()
        return {"model": fields.pop("name"), **fields, **self.recipe.to_dict()}


@dataclasses.dataclass(frozen=True)
class Member:
    """One network of a study.

    Attributes:
        index: its number.
        candidate: number of its candidate.
        seed: draws its first weights, its noise and the order of its examples.
        fold: which part of the rows it validates on.
    """

    index: int
    candidate: int
    seed: int
    fold: int


def candidates_of(
    architectures: Sequence[Architecture], recipe: Recipe, samples: int = 1, seed: int = 0
) -> list[Candidate]:
    """Every candidate that architectures and a recipe with sweeps stand for."""
    points = [point for architecture in architectures for point in expand(architecture)]
    recipes = expand(recipe, samples, seed)
    pairs = [(architecture, point) for architecture in points for point in recipes]
    return [Candidate(index, *pair) for index, pair in enumerate(pairs)]


def members_of(candidates: Sequence[Candidate], seeds: Sequence[int], folds: int) -> list[Member]:
    """Every member: candidates x seeds x folds."""
    places = [(c.index, seed, fold) for c in candidates for seed in seeds for fold in range(folds)]
    return [Member(index, *place) for index, place in enumerate(places)]


@dataclasses.dataclass(frozen=True)
class CohortMembers:
    """Candidates that share every static setting, and what their program is.

    Attributes:
        spec: what is static about them.
        candidates: who they are.
        recipe: the recipe of one of them, for its static fields.
    """

    spec: LearnerSpec
    candidates: tuple[Candidate, ...]
    recipe: Recipe

    def packed_as(self, limits: tuple[int, int]) -> "CohortMembers":
        """The same with small arrays laid out as a recorded plan says."""
        return dataclasses.replace(self, spec=dataclasses.replace(self.spec, packed=limits))


def cohorts_of(
    candidates: Sequence[Candidate], task: Task, loss: Any = None, blanks: bool = False
) -> list[CohortMembers]:
    """The candidates grouped by their static settings, in order of first appearance.

    Args:
        candidates: the candidates.
        task: what they learn.
        loss: the user's own loss, if there is one.
        blanks: whether some inputs may be blank.
    """
    static = names_of(Recipe, "static")
    groups: dict[Any, list[Candidate]] = {}
    for candidate in candidates:
        key = (candidate.architecture, *(getattr(candidate.recipe, name) for name in static))
        groups.setdefault(key, []).append(candidate)
    return [_cohort(group, task, loss, blanks) for group in groups.values()]


def _cohort(group: list[Candidate], task: Task, loss: Any, blanks: bool) -> CohortMembers:
    recipe = group[0].recipe
    neutral = {name: declarations(Recipe)[name].neutral for name in OPTIONAL}
    active = frozenset(n for n, v in neutral.items() if any(getattr(c.recipe, n) != v for c in group))
    name = recipe.loss or task.loss
    count = len(task.classes) if task.kind == "classification" else 1
    if blanks:  # shared with other data: a program must not hang on what the classes are called
        task = dataclasses.replace(task, classes=tuple(map(str, range(len(task.classes)))))
    task = dataclasses.replace(task, loss=name, outputs=outputs_for(name, count))
    words = {
        word: getattr(recipe, word) for word in ("optimizer", "schedule", "clip_by", "decay", "precision")
    }
    spec = LearnerSpec(
        group[0].architecture, task, **words, loss=loss, active=active, blanks=blanks, packed=rules().packed
    )
    return CohortMembers(spec, tuple(group), recipe)


def cohort_spec(
    cohort: CohortMembers,
    members: Sequence[Member],
    scales: np.ndarray,
    steps: int,
    width: int,
    epochs: int,
    start: Start | None = None,
    filled: tuple[int, int] = (0, 0),
) -> CohortSpec:
    """What the engine trains for a cohort.

    Args:
        cohort: the cohort.
        members: its members.
        scales: what one unit of output is in units of the target, for each fold.
        steps: steps in an epoch.
        width: lane width.
        epochs: how many to train.
        start: what its members start from, if not anew.
        filled: how many of the continuous inputs, and of the others, are not blank, where some may be.
    """
    recipes = {c.index: c.recipe for c in cohort.candidates}
    names = [name for name in names_of(Recipe, "dynamic") if name != "patience"]
    settings = {n: np.array([getattr(recipes[m.candidate], n) for m in members], np.float32) for n in names}
    folds = np.array([m.fold for m in members], np.int32)
    settings["total_steps"] = np.full(len(members), epochs * steps, np.float32)
    settings["target_scale"] = scales[folds].astype(np.float32)
    if cohort.spec.blanks:
        for name, count in zip(("filled", "filled_others"), filled, strict=True):
            settings[name] = np.full(len(members), count, np.float32)
    seeds = np.array([m.seed for m in members], np.uint32)
    numbers = tuple(m.index for m in members)
    label = " ".join(str(v) for v in cohort.spec.architecture.to_dict().values())
    functions = functions_for(cohort.spec)
    fused = functions.steps is not None and hosts.everywhere(native.ready(native.PERCEPTRON))
    return CohortSpec(
        functions,
        numbers,
        settings,
        seeds,
        folds,
        epochs,
        cohort.recipe.batch_size,
        width,
        label,
        start,
        fused,
    )
