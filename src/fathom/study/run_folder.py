"""A run: a study's folder on disk, resumable, readable, portable."""

import datetime
import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from ..data import Dataset
from ..engine.checkpoint import Checkpoint, write_whole
from ..errors import RunError
from .plan import Plan

STUDY, PLAN, MEMBERS, RESULT, MODEL, CARD, REPORT, STATE = (
    "study.toml",
    "plan.json",
    "members.jsonl",
    "result.json",
    "model",
    "README.md",
    "report.html",
    "state",
)


class RunFolder:
    """The files of a run.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.checkpoint = Checkpoint(self.path / STATE)

    @classmethod
    def create(cls, path: str | Path) -> "RunFolder":
        """A new run's folder.

        Raises:
            RunError: if the folder exists and is not empty, or cannot be made.
        """
        path = Path(path)
        try:
            if path.exists() and any(path.iterdir()):
                todo = f"give a new one, or go on with: fathom resume {path}"
                raise RunError(f"folder={str(path)!r} is not empty; {todo}")
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"folder={str(path)!r} cannot be written ({error.strerror}); give another"
            ) from None
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """A run that exists.

        Raises:
            RunError: if there is none.
        """
        if not (Path(path) / STUDY).is_file():
            raise RunError(
                f"run={str(path)!r} holds no {STUDY}; give the folder of a run, as `fathom fit` printed it"
            )
        return cls(path)

    @property
    def finished(self) -> bool:
        """Whether the run has its result."""
        return (self.path / RESULT).is_file()

    def write_study(self, settings: Mapping[str, Any]) -> None:
        """Write the settings file that repeats the run."""
        write_whole(self.path / STUDY, tomli_w.dumps(dict(settings)))

    def read_study(self) -> dict[str, Any]:
        """The settings of the run.

        Raises:
            RunError: if the file is damaged.
        """
        try:
            return tomllib.loads((self.path / STUDY).read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise RunError(
                f"{self.path / STUDY} is damaged ({error}); mend it or start the run anew"
            ) from None

    def write_plan(self, plan: Plan, fingerprint: str) -> None:
        """Write the plan that resumption follows."""
        record = {"data_fingerprint": fingerprint, **plan.to_dict()}
        write_whole(self.path / PLAN, json.dumps(record, indent=1))

    def read_plan(self) -> tuple[Plan, str] | None:
        """The plan and the data's fingerprint; None where the run was stopped before it had one."""
        if not (self.path / PLAN).is_file():
            return None
        record = self._json(PLAN)
        return Plan.from_dict({k: v for k, v in record.items() if k != "data_fingerprint"}), record[
            "data_fingerprint"
        ]

    def write_result(self, summary: Mapping[str, Any]) -> None:
        """Write the result; from then on the run is finished."""
        write_whole(self.path / RESULT, json.dumps(summary, indent=1, allow_nan=False))

    def read_result(self) -> dict[str, Any]:
        """The result.

        Raises:
            RunError: if the run is not finished, or the file is damaged.
        """
        if not self.finished:
            raise RunError(f"run={str(self.path)!r} is not finished; go on with: fathom resume {self.path}")
        return self._json(RESULT)

    def read_members(self) -> list[dict[str, Any]]:
        """The lines of the stream of metrics.

        Raises:
            RunError: if the file is damaged.
        """
        path = self.path / MEMBERS
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        try:
            return [json.loads(line) for line in lines if line]
        except json.JSONDecodeError as error:
            raise RunError(f"{path} is damaged ({error}); start the run anew") from None

    def _json(self, name: str) -> dict[str, Any]:
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise RunError(f"{self.path / name} is damaged ({error}); start the run anew") from None


class Stream:
    """The stream of metrics of a run: one JSON line for each member and event, only ever added to.

    Args:
        path: the file; without one the lines that begin and end a member are kept in memory.
        size: bytes that a save vouches for; what follows them is cut off and written again.
    """

    def __init__(self, path: Path | None, size: int = 0):
        self._file = None
        self.kept: list[dict[str, Any]] = []
        if path is not None:
            self._file = path.open("ab")
            os.truncate(path, size)
            self._file.seek(0, os.SEEK_END)

    @property
    def saved(self) -> bool:
        """Whether every line is kept; without a file those of epochs are not."""
        return self._file is not None

    def write(self, **values: Any) -> None:
        """Add a line; numbers that are not finite become null."""
        if self._file is not None:
            line = json.dumps({name: clean(value) for name, value in values.items()})
            self._file.write(line.encode() + b"\n")
        elif values["event"] in ("member", "end"):
            self.kept.append({name: clean(value) for name, value in values.items()})

    def checkpoint(self) -> dict[str, Any]:
        """What a save has to know: how many bytes count."""
        if self._file is None:
            return {"stream_bytes": 0}
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"stream_bytes": self._file.tell()}

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def clean(value: Any) -> Any:
    """A value as JSON can say it: NumPy numbers as numbers, what is not finite as None, seven digits."""
    if isinstance(value, Mapping):
        return {str(name): clean(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.7g}") if np.isfinite(value) else None
    return value


def fingerprint(dataset: Dataset) -> str:
    """What tells whether data is the same as before: a digest of every cell that is used."""
    digest, table = hashlib.sha256(), dataset.table
    digest.update(json.dumps(dataset.schema.to_dict(), sort_keys=True).encode())
    blocks = (table.numeric, table.categorical, dataset.target, dataset.weight, dataset.group, dataset.time)
    for block in (*blocks, dataset.part):
        if block is not None:
            digest.update(np.ascontiguousarray(block).tobytes())
    cells = ("\x00" if cell is None else cell for cell in table.text.flat)
    digest.update("\x1f".join(cells).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def now() -> str:
    """The time, as the run's record says it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
