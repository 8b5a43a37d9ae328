"""Rows as a person reads them: cells as text, pictures as PNG, columns in numbers."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data import Column, Dataset

MOST_COLUMNS = 12  # of a row that are shown
_LENGTH = 120  # characters of a cell
_SIDE = 96  # pixels of a picture
_SUMMARY_ROWS = 100_000
_SHOWN = 8  # categories


def texts(dataset: Dataset, row: int, columns: Sequence[str]) -> dict[str, str]:
    """Some cells of a row as text, by column; a missing one is empty."""
    by_name = {column.name: column for column in dataset.schema.columns}
    table, found = dataset.table, {}
    for name in columns:
        column = by_name[name]
        if column.kind == "categorical":
            code = int(table.categorical[row, dataset.schema.categorical.index(column)])
            found[name] = slot_text(column, code)
        elif column.kind == "text":
            cell = table.text[row, dataset.schema.text.index(column)]
            found[name] = "" if cell is None else _short(cell)
        else:
            found[name] = number_text(column, table.numeric[row, dataset.schema.numeric.index(column)])
    return found


def slot_text(column: Column, code: int) -> str:
    """What a slot of a categorical column stands for; "" for a missing cell."""
    names = column.categories or ()
    if code < len(names):
        return _short(names[code])
    return "" if code == column.slots - 1 else "(other)"


def number_text(column: Column, value: float) -> str:
    """A cell of a numeric, boolean or date column; "" where it is missing."""
    if np.isnan(value):
        return ""
    if column.kind == "date":
        return _moment(value, column.style)
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e12 else f"{value:.6g}"


def _moment(days: float, style: str) -> str:
    """A date, with its time of day where it has one; under style "time" that alone."""
    minutes = np.datetime64("1970-01-01T00:00") + np.timedelta64(round(days * 1440), "m")
    date, time = str(minutes).split("T")
    if style == "time":
        return time
    return date if days == np.floor(days) else f"{date} {time}"


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LENGTH else plain[: _LENGTH - 1] + "…"


def picture(dataset: Dataset, row: int) -> str | None:
    """An example as a PNG, base64; None where examples are no pictures.

    Small ones are made larger by a whole number, so that pixels stay sharp, large ones smaller. Grey values reach
    from the data's lowest to its highest.
    """
    shape = dataset.shape
    if len(shape) not in (2, 3) or dataset.table.numeric.shape[1] == 0 or (*shape, 1)[2] not in (1, 3):
        return None
    from PIL import Image

    height, width = shape[:2]
    values = np.zeros(int(np.prod(shape)))
    for place, column in enumerate(dataset.schema.numeric):
        at = tuple(int(number) for number in column.name.split("_")[1:])
        values[np.ravel_multi_index(at, shape)] = dataset.table.numeric[row, place]
    low, high = _range(dataset)
    pixels = np.clip(255 * (np.nan_to_num(values) - low) / max(high - low, 1e-12), 0, 255).round()
    image = Image.fromarray(pixels.astype(np.uint8).reshape(shape))
    times = max(1, _SIDE // max(height, width))
    if times > 1:
        image = image.resize((times * width, times * height), Image.Resampling.NEAREST)
    elif max(height, width) > _SIDE:
        image.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _range(dataset: Dataset) -> tuple[float, float]:
    """What is black and what is white: 0 and 255 for bytes, else the lowest and the highest value."""
    values = dataset.table.numeric[:_SUMMARY_ROWS]
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return (0.0, 255.0) if low >= 0 and 16 < high <= 255 else (min(low, 0.0), high)


def summary(dataset: Dataset) -> list[dict[str, Any]]:
    """Each column and what it holds, the target first, those that are no input last.

    Args:
        dataset: the data; of more than 100,000 rows evenly spaced ones are looked at.
    """
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), _SUMMARY_ROWS)).astype(int))
    table, schema = dataset.table.take(rows), dataset.schema
    found = [{"column": schema.target.name, "kind": "target", **_target(dataset, rows)}]
    for column in schema.columns:
        if column.kind == "categorical":
            codes = table.categorical[:, schema.categorical.index(column)]
            about = _categories(column, codes)
        elif column.kind == "text":
            about = _words(table.text[:, schema.text.index(column)])
        else:
            about = _numbers(column, table.numeric[:, schema.numeric.index(column)])
        found.append({"column": column.name, "kind": column.kind, **about})
    ignored = [{"column": c.name, "kind": c.kind, "reason": c.reason} for c in schema.ignored]
    return [*found, *ignored]


def _target(dataset: Dataset, rows: np.ndarray) -> dict[str, Any]:
    target = dataset.target[rows]
    if dataset.classes is None:
        return _numbers(Column(dataset.schema.target.name, "numeric"), target)
    shares = np.bincount(target, minlength=len(dataset.classes)) / len(target)
    named = sorted(zip(dataset.classes, shares.tolist(), strict=True), key=lambda pair: -pair[1])
    top = [{"value": name, "share": share} for name, share in named[:_SHOWN]]
    return {"missing": 0.0, "distinct": int((shares > 0).sum()), "statistics": {"top": top}}


def _numbers(column: Column, values: np.ndarray) -> dict[str, Any]:
    present = values[~np.isnan(values)]
    about = {"missing": 1 - len(present) / max(1, len(values)), "distinct": len(np.unique(present))}
    if not len(present):
        return {**about, "statistics": {}}
    if column.kind == "boolean":
        return {**about, "statistics": {"mean": float(present.mean())}}
    names = ("min", "q25", "median", "q75", "max")
    found: dict[str, Any] = dict(
        zip(names, np.quantile(present, [0, 0.25, 0.5, 0.75, 1]).tolist(), strict=True)
    )
    if column.kind == "date":
        return {**about, "statistics": {n: number_text(column, v) for n, v in found.items()}}
    return {**about, "statistics": {**found, "mean": float(present.mean()), "std": float(present.std())}}


def _categories(column: Column, codes: np.ndarray) -> dict[str, Any]:
    counts = np.bincount(codes, minlength=column.slots)
    present = counts[:-1]
    order = np.argsort(-present, kind="stable")[:_SHOWN]
    top = [
        {"value": slot_text(column, int(c)), "share": present[c] / max(1, present.sum())}
        for c in order
        if present[c]
    ]
    return {
        "missing": counts[-1] / max(1, len(codes)),
        "distinct": int((present > 0).sum()),
        "statistics": {"top": top},
    }


def _words(cells: np.ndarray) -> dict[str, Any]:
    present = [cell for cell in cells if cell is not None]
    lengths = np.array([len(cell.split()) for cell in present] or [0])
    words = {"words_mean": float(lengths.mean()), "words_max": int(lengths.max())}
    missing = 1 - len(present) / max(1, len(cells))
    return {"missing": missing, "distinct": len(set(present)), "statistics": words}
