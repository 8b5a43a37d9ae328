"""Runs compared on the test rows that they share: paired differences, what each cost, what was set otherwise."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis import paired_differences, score_interval, scorer, wilson
from ..errors import RunError, UsageError, one_of
from ..objectives import METRICS
from .evidence import FOLDER, Evidence, Rows
from .run_folder import MODEL, RunFolder
from .stored import WEIGHTS
from .weights import effective_rows

# Settings of a study that are no choice of how to learn.
_NO_SETTING = ("data", "target", "kind", "model", "models", "recipe", "budget", "start_from")


@dataclasses.dataclass(frozen=True)
class Compared:
    """One of the runs that are compared.

    Attributes:
        run: its folder.
        score: of its ensemble on the shared rows.
        low: lower end of the 95 % interval of the score.
        high: its upper end.
        rows: test rows that the run kept.
        difference: its score less that of the first run; None for the first.
        difference_low: lower end of the 95 % interval of the difference, the rows paired.
        difference_high: its upper end.
        only_this_right: rows that this run's model names rightly and the first run's does not; None but for accuracy.
        only_first_right: the other way round.
        p: McNemar's: how often chance alone would split those rows at least as unevenly.
        seconds: that the run took.
        members: networks it trained.
        networks: networks in its ensemble.
        parameters: numbers in them.
        settings: settings of its chosen network and its study, by name.
    """

    run: str
    score: float
    low: float
    high: float
    rows: int
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    only_this_right: int | None
    only_first_right: int | None
    p: float | None
    seconds: float
    members: int
    networks: int
    parameters: int
    settings: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs compared on the test rows that they share.

    Attributes:
        metric: what they are compared by.
        greater_is_better: whether a greater score is better.
        target: what is predicted.
        rows: how many test rows all of them have; each is matched by its cells.
        runs: each of them; the first is what the others are compared with.
        differing: settings that are not the same in all, with the value in each run; None where a run has no such
            setting.
        notes: one sentence for each thing a reader should hear.
    """

    metric: str
    greater_is_better: bool
    target: str
    rows: int
    runs: tuple[Compared, ...]
    differing: Mapping[str, tuple[Any, ...]]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON says it; docs/json.md gives the shape."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class _Run:
    """What is read of a run."""

    path: str
    summary: dict[str, Any]
    rows: Rows
    settings: dict[str, Any]


def compare(*runs: str | os.PathLike[str], metric: str | None = None) -> Comparison:
    """Compare finished runs on the test rows that all of them have.

    The rows are matched by their cells, so the runs may divide the same data in different ways; only rows that are
    test rows in every run count. What is compared is each run's ensemble, with its own threshold. Differences are to
    the first run, with 95 % intervals from 1,000 drawings of the rows in which all are scored on the same rows.

    Args:
        runs: the folders of two or more runs.
        metric: what to compare by, one of the task's kind; that of the first run if None.

    Returns:
        The comparison.

    Raises:
        UsageError: if there are fewer than two runs, they predict different things, share no test row, or the metric
            is none of the task's kind.
        RunError: if a run is missing, not finished, or kept no predictions of its test rows.

    References:
        McNemar, "Note on the sampling error of the difference between correlated proportions", 1947 (here exact, from
        the binomial distribution).
    """
    if len(runs) < 2:
        raise UsageError(
            f"runs={[str(run) for run in runs]}: a comparison needs two runs or more; name another"
        )
    read = [_read(os.fspath(run)) for run in runs]
    first = read[0]
    for other in read[1:]:
        _check_alike(first, other)
    metric = _metric(first, metric)
    places, by_number = _matched(read)
    kept = [run.rows.take(place) for run, place in zip(read, places, strict=True)]
    notes = _notes(read, len(places[0]), by_number)
    weight = kept[0].weight
    scored = [_scores(run, rows, metric) for run, rows in zip(read, kept, strict=True)]
    differences = [None]
    for other in scored[1:]:
        differences += paired_differences(other, [scored[0]], len(kept[0]), weight)
    compared = tuple(
        _compared(run, rows, kept[0], first, metric, score, difference)
        for run, rows, score, difference in zip(read, kept, scored, differences, strict=True)
    )
    return Comparison(
        metric,
        METRICS[metric].greater_is_better,
        first.summary["target"],
        len(kept[0]),
        compared,
        _differing([run.settings for run in compared]),
        notes,
    )


def _read(path: str) -> _Run:
    run = RunFolder.open(path)
    summary = run.read_result()
    evidence = Evidence.read(run.path / FOLDER)
    if not summary["test"]["rows"]:
        raise RunError(
            f"run={path!r} kept no test rows, so there is nothing to compare it on; give it test rows"
        )
    if evidence is None or evidence.test is None:
        raise RunError(
            f"run={path!r} holds no predictions of its test rows (an older version made it); run it anew"
        )
    return _Run(path, summary, evidence.test, run.read_study())


def _check_alike(first: _Run, other: _Run) -> None:
    """Refuse runs whose answers do not mean the same."""
    mine, theirs = first.summary, other.summary
    if mine["target"] != theirs["target"]:
        raise UsageError(
            f"run={first.path!r} predicts {mine['target']!r} and {other.path!r} {theirs['target']!r}; "
            "compare runs that predict the same column"
        )
    if mine["task"] != theirs["task"] or mine["data"]["classes"] != theirs["data"]["classes"]:
        raise UsageError(
            f"run={first.path!r} and {other.path!r} predict {mine['target']!r} in different ways "
            f"({_described(mine)}; {_described(theirs)}); compare runs of one kind with the same classes"
        )


def _described(summary: Mapping[str, Any]) -> str:
    classes = summary["data"]["classes"]
    return f"{len(classes)} classes" if classes else "numbers"


def _metric(first: _Run, asked: str | None) -> str:
    metric = first.summary["metric"] if asked is None else asked
    known = [record.name for record in METRICS if record.kind == first.summary["task"]]
    if metric not in known:
        raise one_of("metric", metric, known)
    return metric


def _matched(runs: Sequence[_Run]) -> tuple[list[np.ndarray], bool]:
    """Where in each run the rows are that all have, and whether they had to be matched by their number."""
    places = _shared([run.rows.digest for run in runs])
    if len(places[0]):
        return places, False
    # Runs that read other columns of one file have no digest in common, but its rows' numbers and targets.
    if len({(run.settings.get("data"), run.summary["data"]["rows"]) for run in runs}) == 1:
        places = _shared([run.rows.row.astype(np.uint64) for run in runs])
        targets = [run.rows.target[place] for run, place in zip(runs, places, strict=True)]
        if len(places[0]) and all(np.array_equal(targets[0], other) for other in targets[1:]):
            return places, True
    raise UsageError(
        f"runs={runs[0].path!r} and the others share no test row: rows match where their cells do; compare runs on "
        "the same data, with the same test share and split_seed or with a given test file"
    )


def _shared(digests: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Where in each list of digests the ones are that all lists have; of equal ones as many as each list has."""
    keys = [_told_apart(digest) for digest in digests]
    common = keys[0]
    for key in keys[1:]:
        common = np.intersect1d(common, key, assume_unique=True)
    return [np.intersect1d(common, key, assume_unique=True, return_indices=True)[2] for key in keys]


def _told_apart(digest: np.ndarray) -> np.ndarray:
    """Digests of which the second, third, ... of equal ones are changed, each time to the same other one."""
    order = np.argsort(digest, kind="stable")
    ordered = digest[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    place = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.append(starts, len(ordered))))
    key = np.empty_like(digest)
    key[order] = ordered + place.astype(np.uint64) * np.uint64(
        0x9E3779B97F4A7C15
    )  # wraps; odd, so none is lost
    return key


def _found(run: _Run, rows: Rows) -> np.ndarray:
    """What the ensemble says: log-probabilities in the order of the run's classes, or values."""
    if rows.probability is None:
        assert rows.value is not None, "a regression has values"
        return rows.value
    return np.log(np.clip(rows.probability.astype(np.float64), 1e-30, None))


def _scores(run: _Run, rows: Rows, metric: str) -> Any:
    offsets = run.summary["decision"]["offsets"]
    return scorer(metric, _found(run, rows), rows.target, np.array(offsets) if offsets else None)


def _named(run: _Run, rows: Rows) -> np.ndarray:
    """The numbers of the classes that the ensemble names."""
    return (_found(run, rows) + np.array(run.summary["decision"]["offsets"] or 0.0)).argmax(1)


def _compared(run, rows, first_rows, first, metric, score, difference) -> Compared:
    count = len(rows)
    weight = first_rows.weight
    at = float(score(np.ones((1, count)) if weight is None else weight[None])[0])
    if metric == "accuracy":
        low, high = wilson(at, effective_rows(weight, count))
    else:
        low, high = score_interval(score, count, weight)
    apart, low_apart, high_apart = difference or (None, None, None)
    mine = theirs = p = None
    if difference is not None and metric == "accuracy":
        right, before = (_named(r, k) == k.target for r, k in ((run, rows), (first, first_rows)))
        mine, theirs = int((right & ~before).sum()), int((before & ~right).sum())
        p = mcnemar(mine, theirs)
    return Compared(
        run=run.path,
        score=at,
        low=low,
        high=high,
        rows=len(run.rows),
        difference=apart,
        difference_low=low_apart,
        difference_high=high_apart,
        only_this_right=mine,
        only_first_right=theirs,
        p=p,
        seconds=run.summary["seconds"]["total"],
        members=run.summary["members"],
        networks=len(run.summary["ensemble"]["members"]),
        parameters=_parameters(Path(run.path) / MODEL / WEIGHTS),
        settings=_settings(run),
    )


def mcnemar(only_one: int, only_other: int) -> float:
    """The two-sided probability of so uneven a split of the rows that just one of two models gets right.

    Args:
        only_one: rows that only the one gets right.
        only_other: rows that only the other gets right.

    Example:
        >>> mcnemar(0, 5), mcnemar(4, 4)
        (0.0625, 1.0)
    """
    from scipy.stats import binom

    return float(min(1.0, 2 * binom.cdf(min(only_one, only_other), only_one + only_other, 0.5)))


def _parameters(weights: Path) -> int:
    """How many numbers the networks of a saved predictor hold, from the head of the file alone."""
    try:
        with weights.open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (OSError, ValueError) as error:
        raise RunError(f"{weights} is missing or damaged ({error}); start the run anew") from None
    return sum(int(np.prod(about["shape"])) for name, about in head.items() if name.startswith("network."))


def _settings(run: _Run) -> dict[str, Any]:
    """What was chosen or set, by name: of the chosen network, and of the study."""
    study = {name: value for name, value in run.settings.items() if name not in _NO_SETTING}
    return {**run.summary["chosen"]["settings"], **study}


def _differing(settings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    names = dict.fromkeys(name for one in settings for name in one)
    values = {name: tuple(one.get(name) for one in settings) for name in names}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found)}


def _notes(runs: Sequence[_Run], shared: int, by_number: bool) -> tuple[str, ...]:
    notes = []
    if by_number:
        notes.append("the runs read different columns: rows are matched by their number in the same data")
    most = max(len(run.rows) for run in runs)
    if shared < most:
        counts = ", ".join(f"{run.path}: {len(run.rows)}" for run in runs)
        notes.append(f"{shared} test rows are shared by all runs ({counts}); only these are compared")
    chosen = [run.summary["metric"] for run in runs]
    if len(set(chosen)) > 1:
        notes.append(f"the runs chose by different metrics: {', '.join(chosen)}")
    if len(runs) > 2:
        notes.append(
            "each interval holds for its own difference; the more runs, the likelier that one is off by chance"
        )
    return tuple(notes)
