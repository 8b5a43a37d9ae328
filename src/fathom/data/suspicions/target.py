"""Suspicions about the target: the kind of task, lone and rare classes, a cap."""

from collections.abc import Iterator

import numpy as np

from ...look import format_count, format_number, format_share
from ..dataset import Dataset
from ..read.columns import read_number
from .suspicion import Suspicion

_MOST_CLASSES = 20  # different whole numbers that may be classes
_MOST_BROKEN = 4  # different numbers, not all of them whole, that may be classes
_RARE_SHARE = 0.05  # of the rarer of two classes
_RARE_RATIO = 20  # of the largest class to the smallest
_CAP_SHARE = 0.01  # of the rows at the largest value
_CAP_RATIO = 3  # of their number to that of any other value


def kind(dataset: Dataset) -> Iterator[Suspicion]:
    """A target that looks like the other kind of task, where the user did not say which it is."""
    if dataset.asked is not None:
        return
    name = dataset.schema.target.name
    if dataset.classes is None:
        values = np.unique(dataset.target)
        whole = bool((values == np.round(values)).all())
        if len(values) <= (_MOST_CLASSES if whole else _MOST_BROKEN):
            numbers = "whole" if whole else "different"
            said = f"its {len(values)} {numbers} numbers are read as a quantity"
            yield _kind(name, len(values), said, "classification")
        return
    words = [label for label in dataset.classes if read_number(label) is None]
    if len(dataset.classes) == 2:
        return
    if not words:
        yield _kind(
            name,
            len(dataset.classes),
            f"its {len(dataset.classes)} whole numbers are read as classes",
            "regression",
        )
    elif len(words) <= 0.1 * len(dataset.classes):
        odd = int(np.isin(np.asarray(dataset.classes)[dataset.target], words).sum())
        said = f"target {name!r}: {format_count(odd)} of its cells are no numbers ({', '.join(map(repr, words[:3]))})"
        said += f", so its {len(dataset.classes)} different values are read as classes"
        yield Suspicion(
            "kind",
            (name,),
            said,
            "correct or empty those cells if it is a quantity",
            {"words": words[:20], "rows": odd},
        )


def _kind(name: str, count: int, said: str, other: str) -> Suspicion:
    advice = f"kind={other!r} (--kind {other}) reads them otherwise"
    return Suspicion("kind", (name,), f"target {name!r}: {said}", advice, {"values": count})


def lone_class(dataset: Dataset) -> Iterator[Suspicion]:
    """Classes with a single row, which cannot be both learned and tested."""
    if dataset.classes is None:
        return
    counts = np.bincount(dataset.target, minlength=len(dataset.classes))
    lone = [name for name, count in zip(dataset.classes, counts, strict=True) if count == 1]
    if lone:
        shown = ", ".join(repr(name) for name in lone[:5]) + (" …" if len(lone) > 5 else "")
        noun = f"class {shown} has" if len(lone) == 1 else f"{len(lone)} classes ({shown}) have"
        yield Suspicion(
            "lone class",
            (dataset.schema.target.name,),
            f"{noun} a single row, which is either trained on or tested on",
            "collect more such rows, join rare classes into one, or leave them out",
            {"classes": lone},
        )


def imbalance(dataset: Dataset) -> Iterator[Suspicion]:
    """A class so rare that always naming another one scores well."""
    if dataset.classes is None:
        return
    counts = np.bincount(dataset.target, minlength=len(dataset.classes))
    shares = np.sort(counts[counts > 1]) / counts.sum()
    if len(shares) < 2:
        return
    if shares[0] >= _RARE_SHARE if len(shares) == 2 else shares[-1] < _RARE_RATIO * shares[0]:
        return
    small = int(np.where(counts > 1, counts, counts.max()).argmin())
    large = int(counts.argmax())
    said = (
        f"class {dataset.classes[small]!r} has {format_count(counts[small])} rows ({format_share(shares[0])}) and "
        f"{dataset.classes[large]!r} {format_count(counts[large])}: always naming {dataset.classes[large]!r} is "
        f"right in {format_share(shares[-1])}"
    )
    metrics = "balanced_accuracy or f1"
    if len(dataset.classes) == 2:
        metrics = f"roc_auc, balanced_accuracy or f1 (which is about {dataset.classes[1]!r}; --positive changes that)"
    yield Suspicion(
        "imbalance",
        (dataset.schema.target.name,),
        said,
        f"judge by --metric {metrics}, and weigh rare rows more: --class-weight balanced, or a column of weights "
        "(--columns NAME=weight)",
        {"smallest_share": float(shares[0]), "largest_share": float(shares[-1])},
    )


def capped(dataset: Dataset) -> Iterator[Suspicion]:
    """A quantity that was cut off at a largest value."""
    if dataset.classes is not None:
        return
    values, counts = np.unique(dataset.target, return_counts=True)
    rows = len(dataset)
    if len(values) <= _MOST_CLASSES or counts[-1] < max(5, _CAP_SHARE * rows):
        return
    if counts[-1] <= _CAP_RATIO * counts[len(values) // 2 : -1].max():
        return
    name, most = dataset.schema.target.name, float(values[-1])
    shown = format_count(int(most)) if most.is_integer() else format_number(most, 6)
    yield Suspicion(
        "capped",
        (name,),
        f"target {name!r}: {format_count(counts[-1])} rows ({format_share(counts[-1] / rows)}) have exactly its "
        f"largest value, {shown}: it was cut off there",
        "no prediction above it can be learned; leave those rows out if it is the true value that counts",
        {"value": most, "rows": int(counts[-1]), "share": float(counts[-1] / rows)},
    )
