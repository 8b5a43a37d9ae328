"""Why a study's programs are what they are: what `--explain` prints."""

import dataclasses
from collections.abc import Iterable, Sequence

import jax

from .. import native
from ..engine.fused import misfit
from ..engine.lanes import rules
from ..engine.learner import OPTIONAL, LearnerSpec, network_for
from ..engine.program import MOST_EFFORT, Made
from ..engine.work import LaneKind
from ..look import format_count
from ..optim import Recipe
from ..settings import declarations
from .members import CohortMembers


def reasons(
    spec: LearnerSpec, kind: LaneKind, parameters: int, effort: int, idle: int = 0
) -> tuple[str, ...]:
    """What was decided for a cohort's program, and why, a line each.

    Args:
        spec: what is static about its members.
        kind: how its lanes run.
        parameters: numbers that a member learns.
        effort: how hard the compiler tries, 0 to 3.
        idle: devices that no lane is left for.
    """
    unused = sorted(set(OPTIONAL) - spec.active)
    lines = [_lanes(kind, parameters), _native(spec, kind)]
    if idle:
        lines.append(
            f"{idle} {'device has' if idle == 1 else 'devices have'} no network to train; shard='batch' lets all share "
            "each batch, which pays where a step takes milliseconds"
        )
    if unused:
        lines.append(
            f"left out, as no member uses them: {', '.join(name.replace('_', ' ') for name in unused)}"
        )
    if effort < MOST_EFFORT:
        lines.append(
            f"compiled with less effort (level {effort}): so small a network is trained sooner that way"
        )
    return tuple(lines)


def why_apart(index: int, cohorts: Sequence[CohortMembers]) -> str:
    """The static settings by which a cohort differs from the study's other cohorts."""
    if len(cohorts) == 1:
        return "nothing: every member shares it"
    fields = [{**c.candidates[0].settings()} for c in cohorts]
    dynamic = {name for name, declared in declarations(Recipe).items() if declared.kind == "dynamic"}
    mine = fields[index]
    differing = [n for n in mine if n not in dynamic and any(f.get(n) != mine[n] for f in fields)]
    return ", ".join(f"{name}={mine[name]}" for name in differing) or "what it draws at random"


def _lanes(kind: LaneKind, parameters: int) -> str:
    """Why so many members advance together."""
    if kind.split > 1:
        return f"the {kind.split} devices share each batch, so members train one after another"
    if jax.default_backend() != "cpu":
        return f"lanes of {kind.width}: an accelerator is given the work of many members at once"
    load = f"{format_count(parameters)} parameters x {kind.batch} rows of a batch"
    limit = format_count(rules().together_up_to)
    if parameters * kind.batch > rules().together_up_to:
        return f"one after another: {load} are more than {limit}, and one network's arrays stay in a core's cache"
    share = f"lanes of {kind.width}: {load} are at most {limit}, and steps that small are faster together"
    return (
        share if kind.width > 1 else f"one after another: there are no members to share a lane with ({load})"
    )


def _native(spec: LearnerSpec, kind: LaneKind) -> str:
    """Why native code trains the members, or not."""
    if kind.fused:
        return "native code: it knows all that these members do, and takes an epoch's steps in one call"
    strange = misfit(spec)
    if strange and kind.split == 1 and network_for(spec).convolves_directly:
        return f"native code: convolutions; for whole steps it does not know {strange}"
    if strange:
        return f"no native code: it does not know {strange}"
    if kind.split > 1:
        return "no native code: it does not share batches"
    return f"no native code: {native.why_not()}"


def as_event(made: Iterable[tuple[str, Made]]) -> list[dict[str, object]]:
    """How programs came to be, each with the label of its cohort, as plain values for callbacks."""
    return [{"cohort": label, **dataclasses.asdict(one)} for label, one in made]
