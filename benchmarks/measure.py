"""Measuring the sides of one size: cold and warm starts, then rounds in turn."""

import contextlib
import datetime
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from .harness import END, GO, READY, smallest, workload

#: Where compiled programs are kept, for Fathom and for the others.
_OURS = ("FATHOM_CACHE",)
_THEIRS = ("TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")
_KEEP_ALL = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}  # JAX's own keeps only what took a second
_PACKAGES = ("jax", "jaxlib", "torch", "scikit-learn", "keras", "numpy")
#: How often a side is started with empty and with filled caches, by what a workload measures.
STARTS = {"rounds": 1, "starts": 3, "memory": 1}


def machine() -> dict[str, Any]:
    """The device of JAX and PyTorch and its ceilings (`benchmarks.ceiling`), from a process of its own.

    Raises:
        SystemExit: if JAX and PyTorch would compute on different devices.
    """
    command = [sys.executable, "-m", "benchmarks.ceiling"]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    theirs = found.pop("torch")
    if theirs not in (None, found["device"]):
        raise SystemExit(
            f"PyTorch would compute on {theirs}, JAX on {found['device']}: that compares devices. Install both for one "
            "device, or give --device cpu."
        )
    return found


class Side:
    """A side in a process of its own.

    Args:
        name: workload, size and side.
        caches: folder of its caches of compiled programs.
        check: whether to do the least that shows that it runs.
    """

    def __init__(self, name: tuple[str, str, str], caches: Path, check: bool = False):
        kept = {variable: str(caches / variable) for variable in (_OURS if name[2] == "fathom" else _THEIRS)}
        variables = {**os.environ, **kept, **({} if name[2] == "fathom" else _KEEP_ALL)}
        flags = ["--check"] if check else []
        command = [sys.executable, "-m", "benchmarks", *flags, "--serve", *name]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        start = time.perf_counter()
        self._process = subprocess.Popen(
            command, env=variables, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        self.first = self._read()
        self.whole = time.perf_counter() - start

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(READY):
                return json.loads(line.removeprefix(READY))
        self._process.wait()
        self._log.seek(0)
        raise RuntimeError((self._log.read().strip().splitlines() or ["it said nothing"])[-1])

    def round(self) -> dict[str, Any]:
        """One more round."""
        self._say(GO)
        return self._read()

    def end(self) -> None:
        """Let the process end."""
        with contextlib.suppress(BrokenPipeError):
            self._say(END)
        self._process.wait()

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()


def compare(
    name: str,
    size: str,
    sides: list[str],
    machine: dict[str, Any],
    repeats: int,
    seconds: float,
    starts: int | None = None,
) -> list[dict[str, Any]]:
    """Measure the sides of one size in turn.

    Args:
        name: the workload.
        size: the size.
        sides: which sides.
        machine: the device that they compute on and its ceilings.
        repeats: steady rounds of each, at most.
        seconds: after which a side gets no more rounds, but for the first.
        starts: cold and warm starts of each side; as many as the workload asks for if None.

    Returns:
        One record for each side, one with "failed" where a side did.
    """
    module = workload(name)
    if hasattr(module, "prepare"):
        module.prepare(**module.SIZES[size])
    noted: dict[str, Any] = {"when": datetime.date.today().isoformat(), "load": round(os.getloadavg()[0], 2)}
    noted["device"] = machine["device"]
    if hasattr(module, "operations"):
        noted["operations"] = module.operations(**module.SIZES[size])
        noted["ceiling"] = machine["ceiling"][module.SIZES[size].get("precision", "float32")]
    found: list[dict[str, Any]] = []
    running: dict[str, Side] = {}
    with tempfile.TemporaryDirectory() as folder:
        for side in sides:
            record = {"workload": name, "size": size, "side": side, **noted}
            record |= {"cold": [], "warm": [], "steady": []}
            found.append(record)
            start = time.perf_counter()
            try:
                running[side] = _starts(record, Path(folder), starts or STARTS[module.MEASURES])
            except RuntimeError as error:
                record["failed"] = str(error)
            record["spent"] = time.perf_counter() - start
        try:
            for _ in range(repeats if module.MEASURES == "rounds" else 0):
                for record in found:
                    if "failed" not in record and sum(record["steady"]) < seconds:
                        _one_more(record, running[record["side"]])
        finally:
            for side in running.values():
                side.end()
    return found


def _one_more(record: dict[str, Any], side: Side) -> None:
    """A steady round of a side."""
    try:
        record["steady"].append(side.round()["seconds"])
        record["spent"] += record["steady"][-1]
    except (RuntimeError, BrokenPipeError) as error:
        record["failed"] = str(error)


def _starts(record: dict[str, Any], folder: Path, times: int) -> Side:
    """Start a side several times with empty caches and with filled ones; the last stays."""
    name, warm = (record["workload"], record["size"], record["side"]), None
    for number in range(times):
        caches = folder / f"{record['side'].replace(' ', '-')}-{number}"
        for how in ("cold", "warm"):
            if warm is not None:
                warm.end()
            warm = Side(name, caches)
            record[how].append(warm.whole)
    assert warm is not None
    record |= {"steps": warm.first["steps"], "reached": warm.first["reached"], "peak": warm.first["peak"]}
    return warm


def check(name: str, size: str, sides: list[str]) -> list[str]:
    """Start each side once with the least that shows that it runs.

    Returns:
        Those that failed.
    """
    module, failed = workload(name), []
    if hasattr(module, "prepare"):
        module.prepare(**smallest(module, size))
    with tempfile.TemporaryDirectory() as folder:
        for side in sides:
            try:
                process = Side((name, size, side), Path(folder), check=True)
                process.end()
                told = (
                    f"runs, reached {process.first['reached']:.3f}, {process.whole:.0f} s from start to end"
                )
            except RuntimeError as error:
                told = f"FAILED: {error}"
                failed.append(f"{name} {size} {side}")
            print(f"{name:10} {size:16} {side:26} {told}", flush=True)
    return failed


def environment() -> dict[str, Any]:
    """The machine and the versions that the figures hold for."""
    versions = {
        p: metadata.version(p) for p in _PACKAGES if importlib.util.find_spec(p.replace("scikit-", "sk"))
    }
    return {
        "when": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": versions,
    }
