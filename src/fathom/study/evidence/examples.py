"""Single rows that a person should look at, with their cells or their picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...analysis import hardest, label_errors, losses, outlying
from ...data import Dataset
from ...data.stream import StreamedDataset
from ..predictor import Predictor
from ..study import Study
from .cells import picture, texts
from .record import Rows

MOST = 24


def hardest_rows(
    study: Study, rows: Rows | None, predictor: Predictor, columns: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows predicted worst, the worst first.

    Args:
        study: the study.
        rows: the test rows.
        predictor: the ensemble, which names the classes.
        columns: whose cells are shown.
    """
    assert rows is not None
    found = _predicted(rows)
    loss = losses(found.astype(float), rows.target)
    named = predictor.decide(np.log(np.clip(found, 1e-30, None))) if rows.value is None else None
    made = []
    for place in hardest(loss, min(MOST, len(rows))).tolist():
        answer = found[place] if named is None else study.task.classes[named[place]]
        about = {"target": _target(study, rows, place), "predicted": answer}
        if named is None:
            about["value"] = found[place]
        else:
            about["probability"] = found[place, named[place]]
        made.append(
            {"row": rows.row[place], **about, "loss": loss[place], **_look(study, rows, place, columns)}
        )
    return made


def likely_errors(
    study: Study, parts: Mapping[str, Rows | None], columns: Sequence[str]
) -> tuple[list[dict[str, Any]], int]:
    """The rows whose target is likely wrong, the likeliest first, and how many there are.

    Args:
        study: the study.
        parts: the rows by what they are for.
        columns: whose cells are shown.
    """
    every = []
    for part, rows in parts.items():
        if rows is not None:
            find = outlying if rows.value is not None else label_errors
            every += [(part, rows, one) for one in find(_predicted(rows).astype(float), rows.target)]
    values = study.dataset.classes is None
    every.sort(key=lambda entry: -abs(entry[2].score) if values else entry[2].score)
    made = []
    for part, rows, one in every[:MOST]:
        about: dict[str, Any] = {"probability": None, "self_confidence": None, "z": None}
        if values:
            about = {**about, "suggested": one.suggested, "z": one.score}
        else:
            held = int(one.suggested)
            chance = _predicted(rows)[one.row, held]
            about = {
                **about,
                "suggested": study.task.classes[held],
                "probability": chance,
                "self_confidence": one.score,
            }
        first = {"row": rows.row[one.row], "part": part, "target": _target(study, rows, one.row)}
        made.append({**first, **about, **_look(study, rows, one.row, columns)})
    return made, len(every)


def _predicted(rows: Rows) -> np.ndarray:
    found = rows.probability if rows.value is None else rows.value
    assert found is not None
    return found


def _target(study: Study, rows: Rows, place: int) -> Any:
    target = rows.target[place]
    return float(target) if study.dataset.classes is None else study.dataset.classes[target]


def _look(study: Study, rows: Rows, place: int, columns: Sequence[str]) -> dict[str, Any]:
    """The cells and the picture of a row."""
    dataset: Dataset = study.dataset
    row = int(rows.row[place])
    if isinstance(dataset, StreamedDataset):
        row = int(np.searchsorted(dataset.places, row))
    return {"inputs": texts(dataset, row, columns), "picture": picture(dataset, row)}
