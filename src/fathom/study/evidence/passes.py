"""What asks a model again and again: importance and dependence, within what a run's training allows.

What is affordable is counted and not timed, so that the same run leaves the same evidence on any machine.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ...analysis import RawPlace, partial_dependence, permutation_importance, places, quantile_grid, scorer
from ...data import Column, Table
from ...engine.learner import network_for
from ...engine.training import MemberRecord
from ...objectives import METRICS
from ..members import CohortMembers, Member
from ..parts import MOST_ROWS, Part
from ..plan import Plan
from ..predictor import Predictor
from ..study import Study
from .cells import number_text, slot_text

# Multiplications, as the products inside a network are counted: about 3e10 of them take a second on a core.
_LEAST_WORK = 6e10  # that any run may spend on importance, and again on dependence
_MOST_WORK = 1e12  # and no run more
_SHARE = 0.05  # of the work of training, likewise
_PER_INPUT = 150  # that encoding one number of a row costs as much as
_PER_OUTPUT = 300  # that one call's overhead costs, for each row and network
_TRAINING = 3  # passes over a row that training on it comes to
_FEW_ROWS = 500  # a sample below which importance is chance
_MOST_ROWS = 10_000
_REPEATS = (5, 3)  # of a permutation
_MOST_ALONG, _FEW_ALONG = 500, 100  # rows that are followed along a column
_POINTS = 20
_CATEGORIES = 12
_BATCH_NUMBERS, _BATCH_ROWS = 1 << 26, 1 << 15
_SEED = 0


class LeftOut(Exception):
    """A part that cannot be had, because it would cost too much or means nothing; its text says why."""


def training_work(
    plan: Plan,
    cohorts: Sequence[CohortMembers],
    members: Sequence[Member],
    records: Mapping[int, MemberRecord],
) -> float:
    """The multiplications that training took, about, if every weight is used once a row."""
    cost = {
        candidate.index: c.steps * c.batch * c.parameters
        for c, cohort in zip(plan.cohorts, cohorts, strict=True)
        for candidate in cohort.candidates
    }
    return float(sum(_TRAINING * records[m.index].epochs * cost[m.candidate] for m in members))


@dataclasses.dataclass(frozen=True, eq=False)
class Asked:
    """A model that can be asked often, and on how many rows.

    Attributes:
        predictor: the ensemble, or the chosen network.
        name: "ensemble" or "chosen".
        rows: how many rows.
        passes: how often each row may be asked.
    """

    predictor: Predictor
    name: str
    rows: int
    passes: int

    @property
    def most_rows(self) -> int:
        """Rows that are asked about at once, such that inputs and outputs stay below 256 MB."""
        parts, encoders = self.predictor.parts, self.predictor.encoders
        width = len(self.predictor.by_fold) * encoders[0].features
        width += 4 * (1 + len(parts)) * max(1, len(self.predictor.task.classes))
        return int(np.clip(_BATCH_NUMBERS // width, 1, _BATCH_ROWS))

    def predict(self, table: Table) -> np.ndarray:
        """Log-probabilities [rows, classes], or values [rows]."""
        return self.predictor.combine(self._outputs(table))

    def each(self, table: Table) -> np.ndarray:
        """Probabilities or values of the whole and of each network, [rows, 1 + networks, outputs]."""
        outputs = self._outputs(table)
        whole = self.predictor.combine(outputs)
        if self.predictor.task.kind == "regression":
            return np.concatenate([whole[:, None, None], outputs.transpose(1, 0, 2)], axis=1)
        alone = [self._network(i).combine(outputs[i : i + 1]) for i in range(len(outputs))]
        return np.exp(np.stack([whole, *alone], axis=1))

    def _network(self, index: int) -> Predictor:
        parts, warm = self.predictor.parts[index : index + 1], self.predictor.temperatures[index : index + 1]
        return dataclasses.replace(self.predictor, parts=parts, temperatures=warm, ensemble_temperature=1.0)

    def _outputs(self, table: Table) -> np.ndarray:
        # Calls of one size, whose program was compiled while the networks trained.
        full = -(-len(table) // MOST_ROWS) * MOST_ROWS if self.most_rows >= MOST_ROWS else len(table)
        inputs = {
            fold: np.pad(self.predictor.encoders[fold].encode(table), [(0, full - len(table)), (0, 0)])
            for fold in self.predictor.by_fold
        }
        return self.predictor.outputs_of(inputs, full)[:, : len(table)]


def _cost(predictor: Predictor) -> float:
    """Multiplications that one row costs."""
    inputs = predictor.encoders[0].features
    encoding = _PER_INPUT * inputs * len(predictor.by_fold)
    of_spec = {part.spec: part for part in predictor.parts}
    products = {spec: _products(part) for spec, part in of_spec.items()}
    return encoding + sum(_PER_OUTPUT + products[part.spec] for part in predictor.parts)


def _products(part: Part) -> float:
    """Multiplications of one row's way through a network, as XLA counts them before it compiles."""
    network = network_for(part.spec)

    def run(kept: Any, x: Any) -> Any:
        return network.forward(kept["params"], kept["carried"], kept["net"], x)

    x = jax.ShapeDtypeStruct((MOST_ROWS, *part.spec.task.shape), np.float32)
    counted = jax.jit(run).lower(part.kept, x).cost_analysis() or {}
    return max(float(counted.get("flops", 0.0)) / 2 / MOST_ROWS, _parameters(part))


def _parameters(part: Part) -> float:
    return float(sum(np.size(leaf) for leaf in jax.tree.leaves(part.kept["params"])))


def affordable(
    predictor: Predictor, rows: int, passes: Sequence[int], work: float, few: int = _FEW_ROWS
) -> Asked:
    """Who is asked about how many rows how often, such that it stays within the work allowed.

    Args:
        predictor: the ensemble.
        rows: how many there are.
        passes: how often each row is asked; fewer times where the first number is too many.
        work: of the training, as `training_work` counts it.
        few: rows below which the answer is chance.

    Raises:
        LeftOut: if even the chosen network on few rows would take longer.
    """
    chosen = predictor.parts[0]
    reuse = _products(chosen) / max(1.0, _parameters(chosen))  # of a weight within a row, as convolutions do
    allowed = float(np.clip(_SHARE * reuse * work, _LEAST_WORK, _MOST_WORK))
    for name, model in (("ensemble", predictor), ("chosen", predictor.chosen)):
        cost = _cost(model)
        for often in passes:
            count = int(allowed / (cost * max(1, often)))
            if count >= min(rows, few):
                return Asked(model, name, min(count, rows), often)
    raise LeftOut(
        f"asking the chosen network {passes[-1]} times about each row would take longer than the training allows"
    )


def drawn(rows: int, count: int) -> np.ndarray:
    """Some of the rows, at random from a fixed seed, in their order."""
    return np.sort(np.random.default_rng(_SEED).permutation(rows)[:count])


def importance(study: Study, predictor: Predictor, work: float) -> tuple[list[dict[str, Any]], Asked]:
    """The permutation importance of every input column on the test rows.

    Raises:
        LeftOut: if it would take too long.
    """
    dataset, columns = study.dataset, places(study.dataset.schema)
    if len(study.split.test) < 2:
        raise LeftOut("one test row has no other to trade cells with")
    most = min(len(study.split.test), _MOST_ROWS)
    asked = affordable(predictor, most, [repeats * len(columns) for repeats in _REPEATS], work)
    rows = study.split.test[drawn(len(study.split.test), asked.rows)]
    table, target = dataset.table.take(rows), dataset.target[rows]
    metric = METRICS[study.task.metric]
    offsets = np.array(predictor.offsets) if predictor.offsets else None
    found = permutation_importance(
        asked.predict,
        table,
        columns,
        lambda found: scorer(metric.name, found, target, offsets),
        rising=metric.greater_is_better,
        weight=None if dataset.weight is None else dataset.weight[rows],
        repeats=asked.passes // max(1, len(columns)),
        most_rows=asked.most_rows,
    )
    if any(np.isnan(one.mean) for one in found):
        raise LeftOut(f"{metric.name} has no value on the test rows")
    return [dataclasses.asdict(one) for one in found], asked


def dependence(
    study: Study, predictor: Predictor, features: Sequence[str], work: float
) -> list[dict[str, Any]]:
    """The mean prediction along each column, over rows that trained or validated.

    Args:
        study: the study.
        predictor: the ensemble.
        features: names of the columns.
        work: multiplications of the training.

    Raises:
        LeftOut: if it would take too long.
    """
    pool = study.inputs.rows
    asked = affordable(predictor, min(len(pool), _MOST_ALONG), [len(features) * _POINTS], work, _FEW_ALONG)
    table = study.dataset.table.take(pool[drawn(len(pool), asked.rows)])
    by_name = {column.name: column for column in study.dataset.schema.columns}
    found = []
    for column in places(study.dataset.schema):
        if column.name in features and column.block != "text":
            every = column.cells(study.dataset.table)[pool]
            found.append(_along(asked, table, column, by_name[column.name], every))
    return sorted(found, key=lambda one: features.index(one["feature"]))


def _along(asked: Asked, table: Table, place: RawPlace, column: Column, every: np.ndarray) -> dict[str, Any]:
    """The dependence on one column."""
    if place.block == "numeric":
        grid = quantile_grid(every, _POINTS)
        if column.kind == "boolean":
            kind, shown, more = "categorical", [number_text(column, v) for v in grid], _shares(every, grid)
        else:
            present = every[~np.isnan(every)]
            rug = np.quantile(present, np.linspace(0, 1, 11)).tolist()
            kind, shown, more = "numeric", grid.tolist(), {"rug": rug, "share": None}
            if column.kind == "date":
                kind, shown = "date", [number_text(column, v) for v in grid]
                more["rug"] = [number_text(column, v) for v in rug]
    else:
        codes, counts = np.unique(every, return_counts=True)
        grid = codes[np.argsort(-counts, kind="stable")][:_CATEGORIES]
        kind, shown = "categorical", [slot_text(column, int(code)) for code in grid]
        more = _shares(every, grid)
    # [grid, 1 + networks, outputs]
    curves = partial_dependence(asked.each, table, place, grid, asked.most_rows)
    if asked.predictor.task.kind == "regression":
        curves = curves[..., 0]
    low = high = None
    if len(asked.predictor.parts) > 1:
        low, high = (np.quantile(curves[:, 1:], q, axis=1).tolist() for q in (0.025, 0.975))
    about = {"feature": place.name, "kind": kind, "grid": shown, "mean": curves[:, 0].tolist()}
    return {**about, "low": low, "high": high, **more}


def _shares(every: np.ndarray, grid: np.ndarray) -> dict[str, Any]:
    return {"rug": None, "share": [float((every == value).mean()) for value in grid]}
