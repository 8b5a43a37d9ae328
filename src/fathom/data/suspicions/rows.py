"""Suspicions about the rows as a whole: copies, and more inputs than rows."""

from collections.abc import Iterator

import numpy as np

from ...look import format_count, format_share
from ..dataset import Dataset
from ..split.duplicates import twins
from .suspicion import Suspicion

_COPIES_SHARE = 0.01  # of the rows
_TEST_SHARE = 0.2  # what a split keeps for the test unless told otherwise


def duplicates(dataset: Dataset) -> Iterator[Suspicion]:
    """Rows whose cells are all equal: a test row whose copy was trained on is no test."""
    first = twins(dataset.table)
    size = np.bincount(first, minlength=len(first))[first]
    extra = len(first) - len(np.unique(first))
    if extra < max(2, _COPIES_SHARE * len(first)):
        return
    test = dataset.part == 2 if dataset.part is not None else np.zeros(len(first), dtype=bool)
    if test.any():
        across = float(np.isin(first[test], first[~test]).mean())
        where = f"of the test rows, {format_share(across)} have a copy among the others"
        advice = "leave them out of one side for a score on rows that are new"
    else:
        across = float((1 - _TEST_SHARE ** (size - 1.0)).mean())
        where = (
            f"of the test rows that chance draws, about {format_share(across)} have a copy among the others"
        )
        advice = "keep copies on one side of the split: --keep-duplicates-together"
    said = (
        f"{format_count(extra)} rows ({format_share(extra / len(first))}) are copies of another row: {where}"
    )
    torn = len(np.unique(first[dataset.target != dataset.target[first]]))
    if torn:
        differ = "set of copies differs" if torn == 1 else "sets of copies differ"
        said += f", and {format_count(torn)} {differ} in the target"
    yield Suspicion(
        "duplicates",
        (),
        said,
        advice,
        {"copies": extra, "rows": int((size > 1).sum()), "across": across, "different_targets": torn},
    )


def few_rows(dataset: Dataset) -> Iterator[Suspicion]:
    """As many inputs as rows, or more: noise is then learned as easily as what matters."""
    schema = dataset.schema
    inputs = sum(len(column.parts) or 1 for column in schema.numeric)
    inputs += sum(column.slots for column in schema.categorical) + sum(
        column.buckets for column in schema.text
    )
    if inputs >= len(dataset):
        yield Suspicion(
            "few rows",
            (),
            f"there are {format_count(len(dataset))} rows for {format_count(inputs)} inputs",
            "leave out columns that cannot matter (--columns NAME=ignore), and trust no small difference in scores",
            {"rows": len(dataset), "inputs": inputs},
        )
