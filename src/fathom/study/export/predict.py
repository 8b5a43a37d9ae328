"""Predictions of an exported model, without Fathom: `python predict.py new.csv > predictions.csv`.

It needs what is in requirements.txt, and the files beside it. In Python:

    from predict import Model

    model = Model()
    model.predict({"age": [31, None], "color": ["red", "blue"]})

A column is a list of numbers, texts, booleans or None, or an array of NumPy; the names are in schema.json. A
file is CSV with commas, decimal points and a header line.
"""

import csv
import itertools
import json
import sys
from pathlib import Path

import jax
import jax.export
import numpy as np
from encoding.data.dataset import build_table, writing_of  # pyright: ignore[reportMissingImports]
from encoding.data.encode import Encoder  # pyright: ignore[reportMissingImports]
from encoding.data.read.columns import (  # pyright: ignore[reportMissingImports]
    RawColumn,
    clean_text,
    finite,
    read_texts,
)
from encoding.data.schema import Schema  # pyright: ignore[reportMissingImports]
from encoding.errors import DataError  # pyright: ignore[reportMissingImports]

_MOST = 4096  # rows of a call


class Model:
    """An exported model.

    Args:
        folder: where its files are; beside this one if not given.
    """

    def __init__(self, folder=None):
        folder = Path(__file__).parent if folder is None else Path(folder)
        self.about = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
        self.schema = Schema.from_dict(self.about["schema"])
        with np.load(folder / "encoding.npz") as numbers:
            arrays = dict(numbers)
        self.encoders = [
            Encoder.from_arrays(self.schema, _below(arrays, f"{place}."), self.about["scaling"])
            for place in range(self.about["encoders"])
        ]
        artifact = bytearray((folder / "predict.jax_export").read_bytes())
        self.function = jax.jit(jax.export.deserialize(artifact).call)

    def encode(self, columns):
        """The inputs of the frozen function, float32 [encoders, rows, inputs], from the cells of columns by name."""
        absent = [column.name for column in self.schema.columns if column.name not in columns]
        if absent:
            raise DataError(f"columns are missing that the model reads: {', '.join(absent)}")
        table = build_table({c.name: _raw(c, columns[c.name]) for c in self.schema.columns}, self.schema)
        return np.stack([encoder.encode(table) for encoder in self.encoders])

    def predict(self, columns):
        """Predictions as columns by name, NumPy arrays [rows], from the cells of columns by name."""
        inputs = self.encode(columns)
        parts = [self._call(inputs[:, start : start + _MOST]) for start in range(0, inputs.shape[1], _MOST)]
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        classes = self.about["classes"]
        if classes:
            found["prediction"] = np.array(classes, dtype=object)[found["prediction"]]
            chances = found.pop("probability")
            found |= {f"probability {name}": chances[:, place] for place, name in enumerate(classes)}
        order = ["prediction", *(name for name in found if name not in ("prediction", "spread")), "spread"]
        return {name: found[name] for name in order if name in found}

    def _call(self, inputs):
        """The frozen function; rows are filled up, so that a few compiled programs serve any number."""
        rows = inputs.shape[1]
        size = self.about["rows"] or min(_MOST, max(16, 1 << (rows - 1).bit_length()))
        found = []
        for start in range(0, rows, size):
            part = inputs[:, start : start + size]
            filled = np.pad(part, [(0, 0), (0, size - part.shape[1]), (0, 0)])
            answer = jax.device_get(self.function(filled))
            found.append({name: array[: part.shape[1]] for name, array in answer.items()})
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _below(arrays, prefix):
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _raw(column, cells):
    """The cells of a column as the encoding reads them."""
    array = np.asarray(cells)
    if array.dtype.kind in "iuf":
        return RawColumn(column.name, "number", finite(array.astype(np.float64)))
    if array.dtype.kind == "b":
        return RawColumn(column.name, "boolean", array.astype(np.float64))
    if array.dtype.kind == "M":
        days = (array - np.datetime64("1970-01-01")) / np.timedelta64(1, "D")
        return RawColumn(column.name, "date", days)
    return read_texts(column.name, clean_text(cells), writing_of(column))


def main(path, out=sys.stdout):
    """Predict for a CSV file, a stretch of rows at a time."""
    model, writer, done = Model(), csv.writer(out, lineterminator="\n"), 0
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        names = next(reader, [])
        while lines := list(itertools.islice(reader, _MOST)):
            rows = [line for line in lines if line]
            if any(len(row) != len(names) for row in rows):
                raise SystemExit(
                    f"a row before line {reader.line_num + 1} has not the {len(names)} cells of the header"
                )
            try:
                found = model.predict(dict(zip(names, zip(*rows, strict=True), strict=True)))
            except DataError as error:
                raise SystemExit(f"in the rows from {done + 1} on: {error}") from None
            if not done:
                writer.writerow(found)
            writer.writerows(zip(*(column.tolist() for column in found.values()), strict=True))
            done += len(rows)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
