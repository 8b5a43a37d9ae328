"""What the evidence of a run holds, and how it is kept: arrays in one file, the parts made of them in another."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...engine.checkpoint import read_arrays, write_arrays, write_whole
from ...errors import RunError

FOLDER = "evidence"  # of a run
FORMAT = 1
_ARRAYS, _PARTS = "rows.safetensors", "evidence.json"

Part = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of the data and what was predicted for them by networks that were not trained on them.

    Attributes:
        row: int64 [rows], their numbers in the data, from 0; in the file, where the data was streamed.
        digest: uint64 [rows], of the cells of inputs and target; equal for equal rows, whatever the run.
        target: int32 [rows] class numbers, or float64 values.
        weight: float64 [rows]; None where all count the same.
        probability: float32 [rows, classes], the ensemble's, calibrated; None for regression.
        value: float64 [rows], the ensemble's; None for classification.
        chosen_probability: as `probability`, of the chosen network alone. Of validation rows: of the networks of
            the chosen candidate.
        chosen_value: as `value`, likewise.
        spread: float32 [rows], standard deviation over the networks of the predicted class's probability, or
            of the value; None where one network spoke.
        low: float64 [rows], lower end of the interval that holds `Evidence.coverage` of new rows; None for
            classification and for validation rows.
        high: its upper end.
        baselines: by name, what each predicts, in the shape of `probability` or `value`; of test rows alone.
    """

    row: np.ndarray
    digest: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None = None
    probability: np.ndarray | None = None
    value: np.ndarray | None = None
    chosen_probability: np.ndarray | None = None
    chosen_value: np.ndarray | None = None
    spread: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    baselines: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.row)

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by name, those of baselines as "baseline NAME"."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "baselines"}
        named = {f"{_BASELINE}{name}": found for name, found in self.baselines.items()}
        return {name: array for name, array in {**fields, **named}.items() if array is not None}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "Rows":
        """The rows whose `arrays` were kept."""
        own = {name: array for name, array in arrays.items() if not name.startswith(_BASELINE)}
        theirs = {n.removeprefix(_BASELINE): a for n, a in arrays.items() if n.startswith(_BASELINE)}
        return cls(**own, baselines=theirs)

    def take(self, places: np.ndarray) -> "Rows":
        """Some of the rows, by their places among these."""
        return Rows.of({name: array[places] for name, array in self.arrays().items()})


_BASELINE = "baseline "


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What a run's report stands on; docs/evidence.md says what is in each part.

    Every part is None where it does not apply or could not be had; `left_out` then says why.

    Attributes:
        test: the test rows, at most `gather.MOST_ROWS` of them.
        validation: the rows that chose, each predicted by the networks that were not trained on it.
        rows_of: of "test" and "validation": rows "kept" and rows there are ("all").
        coverage: the share of rows that the intervals were asked to hold; None for classification.
        importance: how much worse the metric gets on the test rows when a column is permuted.
        importance_of: "ensemble" or "chosen", whose importance and dependence it is.
        dependence: the mean prediction along the most important columns.
        hardest: the test rows predicted worst.
        label_errors: rows whose target is likely wrong.
        label_error_count: how many there are in all.
        calibration: how far probabilities, or intervals, keep what they promise.
        confusion: which test rows of a class were taken for which.
        thresholds: of two classes, what each threshold brings on the validation rows.
        cost: of two classes, the best threshold for each price of a miss.
        interval: the 95 % interval of the metric on the test rows.
        against: differences to each baseline, with their 95 % intervals, the rows paired.
        schema: the columns and what they hold.
        left_out: what is not there, and why.
        seconds: that gathering it took.
    """

    test: Rows | None = None
    validation: Rows | None = None
    rows_of: dict[str, Any] = dataclasses.field(default_factory=dict)
    coverage: float | None = None
    importance: Part | None = None
    importance_of: str | None = None
    dependence: Part | None = None
    hardest: Part | None = None
    label_errors: Part | None = None
    label_error_count: int | None = None
    calibration: dict[str, Any] | None = None
    confusion: dict[str, Any] | None = None
    thresholds: Part | None = None
    cost: Part | None = None
    interval: dict[str, Any] | None = None
    against: Part | None = None
    schema: Part | None = None
    left_out: Part = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def save(self, folder: Path) -> None:
        """Write it to a folder: ``rows.safetensors`` and ``evidence.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = {"test": self.test, "validation": self.validation}
        arrays = {f"{p}.{n}": a for p, r in rows.items() if r is not None for n, a in r.arrays().items()}
        write_arrays(folder / _ARRAYS, arrays)
        parts = {name: getattr(self, name) for name in _part_names()}
        write_whole(folder / _PARTS, json.dumps({"format": FORMAT, **parts}, indent=1, allow_nan=False))

    @classmethod
    def read(cls, folder: Path) -> "Evidence | None":
        """What `save` wrote; None where there is none, as in a run of an older version.

        Args:
            folder: the folder "evidence" of a run.

        Raises:
            RunError: if it is damaged, or from a newer version.
        """
        try:
            parts = json.loads((folder / _PARTS).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise RunError(f"{folder / _PARTS} is damaged ({error}); start the run anew") from None
        if not isinstance(parts, dict) or parts.get("format", 0) > FORMAT:
            raise RunError(f"{folder} was written by a newer version of fathom; update fathom")
        arrays = read_arrays(folder / _ARRAYS)
        rows = {}
        for part in ("test", "validation"):
            mine = {n.removeprefix(f"{part}."): a for n, a in arrays.items() if n.startswith(f"{part}.")}
            rows[part] = Rows.of(mine) if mine else None
        return cls(**rows, **{name: parts[name] for name in _part_names() if name in parts})


def _part_names() -> list[str]:
    return [f.name for f in dataclasses.fields(Evidence) if f.name not in ("test", "validation")]
