"""Resumable state on disk: a killed run loses at most what it did since the last save.

Every file is written whole under another name and then renamed, and a save counts only from the moment when
its index has been renamed into place, so that a kill at any instant leaves the save before it.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ..errors import RunError

INDEX = "state.json"


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole, then rename it into place."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole, then rename it into place."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays whole to a safetensors file, then rename it into place."""
    part = path.with_name(path.name + ".part")
    save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, part)
    # safetensors lets nobody else read its files, whoever may see the folder.
    part.chmod(path.parent.stat().st_mode & 0o666)
    part.replace(path)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise RunError(f"{path} is missing; the run is not whole") from None
    except SafetensorError as error:
        raise RunError(f"{path} is damaged ({error}); start the run anew") from None


class Checkpoint:
    """The resumable state of a run, in a folder.

    Args:
        folder: where it is kept; made when first needed.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, record: Mapping[str, Any], groups: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Save a JSON-safe record and groups of arrays; they replace the last save as one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        generation = self.generation + 1
        files = {name: f"{name}.{generation:06d}.safetensors" for name in groups}
        for name, arrays in groups.items():
            write_arrays(self.folder / files[name], arrays)
        index = {"generation": generation, "files": files, "record": record}
        write_whole(self.folder / INDEX, json.dumps(index))
        for old in self.folder.glob("*.safetensors*"):
            if old.name not in files.values():
                old.unlink(missing_ok=True)

    def load(self) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]] | None:
        """The last save, or None where there is none.

        Raises:
            RunError: if a file is damaged.
        """
        index = self._index()
        if index is None:
            return None
        return index["record"], {n: read_arrays(self.folder / f) for n, f in index["files"].items()}

    def clear(self) -> None:
        """Remove the saved state, once the run is done."""
        if self.folder.exists():
            for file in (*self.folder.glob(f"{INDEX}*"), *self.folder.glob("*.safetensors*")):
                file.unlink(missing_ok=True)
            self.folder.rmdir()

    def _index(self) -> dict[str, Any] | None:
        try:
            index = json.loads((self.folder / INDEX).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise RunError(f"{self.folder / INDEX} is damaged ({error}); start the run anew") from None
        if not isinstance(index, dict) or not {"generation", "files", "record"} <= index.keys():
            raise RunError(f"{self.folder / INDEX} is damaged (entries are missing); start the run anew")
        return index

    @property
    def record(self) -> dict[str, Any]:
        """The record of the last save; empty where there is none."""
        index = self._index()
        return {} if index is None else index["record"]

    @property
    def generation(self) -> int:
        """The number of the last save; 0 where there is none."""
        index = self._index()
        return 0 if index is None else int(index["generation"])
