"""Evidence made by hand, beside the runs of `runs.py`."""

import base64
import io

import numpy as np
from PIL import Image

from fathom.study.evidence import Evidence, Rows


def picture():
    """A small gray picture, as base64 PNG."""
    file = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def classification(classes=("a", "b"), columns=("x", "y", "z"), rows=60, pictures=False):
    """Evidence of a classification: a few errors, two columns that matter, a doubtful label."""
    random, count = np.random.default_rng(0), len(classes)
    target = np.arange(rows) % count
    taken = np.where(random.random(rows) < 0.15, random.integers(0, count, rows), target)
    probability = np.full((rows, count), 0.2 / count)
    probability[np.arange(rows), taken] += 0.8
    counts = np.zeros((count, count), dtype=int)
    np.add.at(counts, (target, taken), 1)
    held = Rows(
        np.arange(rows),
        np.arange(rows, dtype=np.uint64),
        target.astype(np.int32),
        probability=probability.astype(np.float32),
    )
    inputs = dict.fromkeys(columns, "1.5")
    example = {"row": 7, "target": classes[0], "predicted": classes[1], "probability": 0.9, "loss": 2.3}
    example |= {"inputs": inputs, "picture": picture() if pictures else None}
    bins = [
        {"low": p - 0.1, "high": p, "confidence": p - 0.04, "share": p - 0.1, "share_low": p - 0.2,
         "share_high": p, "rows": 10}
        for p in (0.6, 0.8, 1.0)
    ]  # fmt: skip
    grid = [0.0, 0.5, 1.0]
    line = np.stack([np.linspace(0.2, 0.8, 3) / (i + 1) for i in range(count)], axis=1).tolist()
    binary = count == 2
    edges = np.linspace(0, 1, 21)
    thresholds = [
        {"threshold": t, "precision": 0.5 + t / 2, "recall": 1 - t, "f1": t * (1 - t) * 3.2,
         "balanced_accuracy": 0.7, "flagged": 1 - t}
        for t in edges.tolist()
    ]  # fmt: skip
    cost = [
        {"ratio": r, "threshold": 1 / (1 + r), "cost": 0.1 * r**0.5, "default_cost": 0.1 * r}
        for r in (1, 10, 100)
    ]
    return Evidence(
        test=held,
        validation=held,
        rows_of={part: {"kept": rows, "all": rows} for part in ("test", "validation")},
        importance=[
            {"feature": n, "mean": 0.2 / (i + 1), "low": 0.1 - 0.06 * i, "high": 0.3, "repeats": 5}
            for i, n in enumerate(columns)
        ],
        importance_of="ensemble",
        dependence=[
            {"feature": columns[0], "kind": "numeric", "grid": grid, "mean": line, "low": line, "high": line,
             "rug": grid, "share": None},
            {"feature": columns[-1], "kind": "categorical", "grid": ["<i>", "ü", "z"], "mean": line, "low": None,
             "high": None, "rug": None, "share": [0.5, 0.3, 0.2]},
        ],
        hardest=[example],
        label_errors=[
            {"row": 3, "part": "test", "target": classes[0], "suggested": classes[1], "probability": 0.97,
             "self_confidence": 0.01, "z": None, "inputs": inputs, "picture": example["picture"]}
        ],
        label_error_count=1,
        calibration={"of": "predicted class", "bins": bins, "ece": 0.07, "ece_interval": [0.03, 0.1],
                     "before": {"bins": bins, "ece": 0.09, "ece_interval": [0.05, 0.12]}},
        confusion={"classes": list(classes), "counts": counts.tolist(), "weights": None},
        thresholds=thresholds if binary else None,
        cost=cost if binary else None,
        interval={"low": 0.88, "high": 0.98, "how": "Wilson"},
        against=[{"baseline": "linear", "difference": 0.04, "low": 0.01, "high": 0.08}],
        schema=[{"column": n, "kind": "numeric", "missing": 0.1, "distinct": 9,
                 "statistics": {"min": 0.0, "max": 2.0}, "reason": None} for n in columns],
        left_out=[],
        seconds=1.2,
    )  # fmt: skip


def regression(rows=80):
    """Evidence of a regression whose errors grow with the value."""
    random = np.random.default_rng(0)
    value = np.linspace(1, 10, rows)
    held = Rows(
        np.arange(rows),
        np.arange(rows, dtype=np.uint64),
        value + random.normal(size=rows) * value / 5,
        value=value,
        low=value - 2,
        high=value + 2,
    )
    asked = [0.5, 0.8, 0.9]
    return Evidence(
        test=held,
        validation=held,
        coverage=0.9,
        calibration={"asked": asked, "found": [0.3, 0.6, 0.7], "found_low": [0.2, 0.5, 0.6],
                     "found_high": [0.4, 0.7, 0.8], "rows": rows},
        hardest=[{"row": 1, "target": 9.0, "predicted": 5.0, "value": 5.0, "loss": 4.0, "inputs": {"x": "1"},
                  "picture": None}],
        label_errors=[],
        label_error_count=0,
        left_out=[{"what": "importance", "why": "it would have taken longer than the training"}],
    )  # fmt: skip
