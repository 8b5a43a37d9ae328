"""The rows of a run and what was predicted for each by networks that were not trained on it."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data import Dataset, Schema, Table
from ...data.stream import StreamedDataset
from ...objectives import log_softmax
from ..final import FinalLook
from ..predictor import Predictor
from ..study import Study
from .record import Rows

MOST_ROWS = 100_000
_SEED = 0


def sample(rows: int) -> np.ndarray:
    """The places of the rows that are kept: all, or as many as are kept of more, ascending."""
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(_SEED).choice(rows, MOST_ROWS, replace=False))


def test_rows(study: Study, predictor: Predictor, look: FinalLook) -> Rows | None:
    """The test rows; None where there are none."""
    places = sample(len(study.split.test))
    if not len(places):
        return None
    outputs, alone = look.outputs[:, places], predictor.chosen
    found: dict[str, Any] = _named(predictor, predictor.combine(outputs))
    chosen: dict[str, Any] = _named(alone, alone.combine(outputs[:1]), "chosen_")
    shown = predictor.frame_of(outputs)
    sure: dict[str, Any] = {
        "low": shown.get("lower"),
        "high": shown.get("upper"),
        "spread": shown.get("spread"),
    }
    theirs = {
        name: next(iter(_named(predictor, each[places]).values())) for name, each in look.baselines.items()
    }
    if sure["spread"] is not None:
        sure["spread"] = sure["spread"].astype(np.float32)
    return Rows(**about(study.dataset, study.split.test[places]), **found, **chosen, **sure, baselines=theirs)


def validation_rows(study: Study, predictor: Predictor, best: Sequence[int]) -> Rows | None:
    """The rows that chose, each predicted by the networks of other folds, as the threshold was drawn on them.

    Args:
        study: the study.
        predictor: the ensemble.
        best: members of the chosen candidate.
    """
    feed = study.inputs.feed
    if feed.validation is None:
        return None
    folds = [fold[fold != feed.blank] for fold in feed.validation]
    parts = [[i for i, p in enumerate(predictor.parts) if p.fold == fold] for fold in range(len(folds))]
    of = np.concatenate([np.full(len(rows), fold) for fold, rows in enumerate(folds)])
    asked = np.stack([of, np.concatenate(folds)], axis=1)[np.isin(of, [p.fold for p in predictor.parts])]
    kept = asked[sample(len(asked))]
    if not len(kept):
        return None
    blocks: list[dict[str, np.ndarray]] = []
    for fold in np.unique(kept[:, 0]):
        rows = kept[kept[:, 0] == fold, 1]
        mine = parts[fold]
        spoken = _of(predictor, mine)
        outputs = spoken.outputs_of({int(fold): feed.examples["x"][fold, rows]}, len(rows))
        chosen = [place for place, i in enumerate(mine) if predictor.parts[i].member in best]
        block = _named(predictor, _pooled(predictor, spoken, outputs))
        if chosen:
            alone = _of(predictor, [mine[place] for place in chosen])
            block.update(_named(alone, alone.combine(outputs[chosen]), "chosen_"))
        if len(mine) > 1:
            block["spread"] = spoken.frame_of(outputs)["spread"].astype(np.float32)
        blocks.append(block)
    names = set.intersection(*(set(block) for block in blocks))
    joined: dict[str, Any] = {name: np.concatenate([block[name] for block in blocks]) for name in names}
    # Folds come one after another; the rows come in the order of the data.
    numbers = study.inputs.rows[np.concatenate([kept[kept[:, 0] == f, 1] for f in np.unique(kept[:, 0])])]
    order = np.argsort(numbers, kind="stable")
    return Rows(**about(study.dataset, numbers[order]), **{n: found[order] for n, found in joined.items()})


def _of(predictor: Predictor, places: Sequence[int]) -> Predictor:
    """Some networks of a predictor, their average as it is."""
    return dataclasses.replace(
        predictor,
        parts=tuple(predictor.parts[i] for i in places),
        temperatures=tuple(predictor.temperatures[i] for i in places),
        ensemble_temperature=1.0,
    )


def _pooled(predictor: Predictor, spoken: Predictor, outputs: np.ndarray) -> np.ndarray:
    """The average of a fold's networks, warmed as the whole ensemble is."""
    found = spoken.combine(outputs)
    if predictor.task.kind == "regression":
        return found
    return log_softmax(found / predictor.ensemble_temperature)


def _named(predictor: Predictor, found: np.ndarray, prefix: str = "") -> dict[str, np.ndarray]:
    """Log-probabilities or values under the name that `Rows` has for them."""
    if predictor.task.kind == "regression":
        return {f"{prefix}value": found.astype(np.float64)}
    return {f"{prefix}probability": np.exp(found).astype(np.float32)}


def about(dataset: Dataset, rows: np.ndarray) -> dict[str, Any]:
    """Number, digest, target and weight of some rows."""
    numbers = dataset.places[rows] if isinstance(dataset, StreamedDataset) else rows
    target = dataset.target[rows]
    return {
        "row": np.asarray(numbers, np.int64),
        "digest": digests(dataset.schema, dataset.table.take(rows), target),
        "target": target,
        "weight": None if dataset.weight is None else dataset.weight[rows],
    }


def digests(schema: Schema, table: Table, target: np.ndarray) -> np.ndarray:
    """A number for each row that tells whether rows are equal: uint64 [rows].

    It is made of the cells by the columns' names, whatever their order, and of the target.

    Args:
        schema: what the table follows.
        table: the inputs.
        target: class numbers or values.

    Example:
        >>> from fathom.data import load
        >>> data = load("iris")
        >>> found = digests(data.schema, data.table, data.target)
        >>> len(set(found.tolist())), bool(found[101] == found[142])  # the copy that iris is known for
        (149, True)
    """
    cells = {c.name: _numbers(table.numeric[:, i]) for i, c in enumerate(schema.numeric)}
    for place, column in enumerate(schema.categorical):
        shared = column.slots - len(column.categories or ()) - 1
        words = [*(column.categories or ()), *(f"\0other {i}" for i in range(shared)), "\0missing"]
        cells[column.name] = _texts(words)[table.categorical[:, place]]
    for place, column in enumerate(schema.text):
        cells[column.name] = _texts(["\0missing" if text is None else text for text in table.text[:, place]])
    classes = schema.target.categories
    cells[f"\0{schema.target.name}"] = (
        _numbers(np.asarray(target, float)) if classes is None else _texts(classes)[target]
    )
    total = np.zeros(len(table), np.uint64)
    for name in sorted(cells):
        total = _mixed(total ^ _mixed(cells[name] + _texts([name])[0]))
    return total


def _numbers(values: np.ndarray) -> np.ndarray:
    """The bits of numbers, one way for zero and one for none."""
    return np.where(np.isnan(values), np.nan, values + 0.0).view(np.uint64)


def _texts(words: Sequence[str]) -> np.ndarray:
    found = [hashlib.blake2b(w.encode("utf-8", "surrogatepass"), digest_size=8).digest() for w in words]
    return np.frombuffer(b"".join(found), "<u8").astype(np.uint64)


def _mixed(bits: np.ndarray) -> np.ndarray:
    """Bits well mixed: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014)."""
    with np.errstate(over="ignore"):
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return bits ^ (bits >> np.uint64(31))
