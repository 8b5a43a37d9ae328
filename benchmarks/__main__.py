"""The benchmark suite: Fathom beside its peers, in turn, each in a process of its own.

    python -m benchmarks                              every workload and size, minutes each
    python -m benchmarks mlp images --sizes w32-m64-e20 --sides fathom "torch vmap compiled"
    python -m benchmarks --list

For each size of a workload every side is started three times:

- cold: with empty caches of compiled programs, from the start of the process to the end of its first round;
- warm: the same with the caches filled;
- steady: the warm process stays, and the sides do a round each in turn (A B C A B C ...).

Printed are medians (and minima) of the steady rounds, microseconds a step and network, what was reached, and how many
times as fast Fathom is as each side and as the strongest one. A side that needs a package which is not there is
left out by name. Results are kept in benchmarks/results/suite.json with the machine and the versions, and go on
where they stopped with --keep.
"""

import argparse
import datetime
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from .harness import END, GO, READY, WORKLOADS, serve, workload

RESULTS = Path(__file__).parent / "results" / "suite.json"
_CACHES = ("FATHOM_CACHE", "TORCHINDUCTOR_CACHE_DIR")
_PACKAGES = ("jax", "jaxlib", "torch", "scikit-learn", "keras", "numpy")


class Side:
    """A side in a process of its own.

    Args:
        name: workload, size and side.
        caches: folder of its caches of compiled programs.
    """

    def __init__(self, name: tuple[str, str, str], caches: Path):
        variables = {**os.environ, **{variable: str(caches / variable) for variable in _CACHES}}
        command = [sys.executable, "-m", "benchmarks", "--serve", *name]
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
        self._say(END)
        self._process.wait()

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()


def compare(name: str, size: str, sides: list[str], repeats: int, seconds: float) -> list[dict[str, Any]]:
    """Measure the sides of one size in turn.

    Args:
        name: the workload.
        size: the size.
        sides: which sides.
        repeats: steady rounds of each, at most.
        seconds: after which a side gets no more rounds, but for the first.

    Returns:
        One record for each side, one with "failed" where a side did.
    """
    found, running = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for side in sides:
            caches = Path(folder) / side.replace(" ", "-")
            record: dict[str, Any] = {"workload": name, "size": size, "side": side, "steady": []}
            found.append(record)
            try:
                cold = Side((name, size, side), caches)
                cold.end()
                running[side] = warm = Side((name, size, side), caches)
            except RuntimeError as error:
                record["failed"] = str(error)
                continue
            record |= {"cold": cold.whole, "warm": warm.whole, "steps": cold.first["steps"]}
            record["reached"] = warm.first["reached"]
        for _ in range(repeats):
            for record in found:
                if record["side"] in running and sum(record["steady"]) < seconds:
                    record["steady"].append(running[record["side"]].round()["seconds"])
        for side in running.values():
            side.end()
    return found


def table(found: list[dict[str, Any]]) -> str:
    """What was measured, a row for each side, Fathom's ratio beside it."""
    lines = []
    for name, size in dict.fromkeys((r["workload"], r["size"]) for r in found):
        rows = [r for r in found if (r["workload"], r["size"]) == (name, size)]
        ours = next((r for r in rows if r["side"] == "fathom" and r["steady"]), None)
        lines += [
            "",
            f"| {name} {size} | steady s, median (min) | us a step and network | warm s | cold s | reached |"
            " fathom, times as fast: steady | warm | cold |",
            "|---" * 9 + "|",
        ]
        for row in rows:
            if "failed" in row or not row["steady"]:
                lines.append(f"| {row['side']} | failed: {row.get('failed', 'no round')} |" + " |" * 7)
                continue
            middle = statistics.median(row["steady"])
            cells = [
                f"{middle:.3f} ({min(row['steady']):.3f})",
                f"{middle / row['steps'] * 1e6:.1f}",
                f"{row['warm']:.1f}",
                f"{row['cold']:.1f}",
                f"{row['reached']:.4f}",
            ]
            if ours and ours is not row:
                cells.append(f"{middle / statistics.median(ours['steady']):.2f}")
                cells += [f"{row[how] / ours[how]:.2f}" for how in ("warm", "cold")]
            else:
                cells += ["", "", ""]
            lines.append(f"| {row['side']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def environment() -> dict[str, Any]:
    """The machine and the versions that the figures hold for."""
    versions = {
        p: metadata.version(p) for p in _PACKAGES if importlib.util.find_spec(p.replace("scikit-", "sk"))
    }
    return {
        "when": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": versions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; all if none"
    )
    parser.add_argument("--sizes", nargs="*", help="sizes of the workloads; all if none")
    parser.add_argument("--sides", nargs="*", help="sides; all that are installed if none")
    parser.add_argument("--repeats", type=int, default=5, help="steady rounds of each side")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="steady seconds of a side after which it rests"
    )
    parser.add_argument("--keep", action="store_true", help="measure only what the results do not hold")
    parser.add_argument("--list", action="store_true", help="print workloads, sizes and sides")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(*args.serve)
        return
    kept = json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else []
    shown = []
    for name in args.workloads or WORKLOADS:
        module = workload(name)
        for size in args.sizes or module.SIZES:
            if size not in module.SIZES:
                continue
            if args.list:
                print(name, size, ":", ", ".join(sides_of(module, size, args.sides)))
                continue
            sides = installed(sides_of(module, size, args.sides), module.NEEDS)
            if args.keep:
                done = {(r["workload"], r["size"], r["side"]) for r in kept}
                sides = [side for side in sides if (name, size, side) not in done]
            found = compare(name, size, sides, args.repeats, args.seconds) if sides else []
            new = {(r["workload"], r["size"], r["side"]) for r in found}
            kept = [r for r in kept if (r["workload"], r["size"], r["side"]) not in new] + found
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps({**environment(), "runs": kept}, indent=1) + "\n")
            shown += found
            print(table(found), flush=True)


def sides_of(module: Any, size: str, wanted: list[str] | None) -> list[str]:
    """The sides of a size: those that are asked for, or all that do not take minutes a round there."""
    too_slow = getattr(module, "left_out", lambda size: ())(size)
    return [side for side in module.SIDES if side in (wanted or module.SIDES) and side not in too_slow]


def installed(sides: list[str], needs: dict[str, str]) -> list[str]:
    """The sides whose packages are there; the others are named."""
    for side in sides:
        if side in needs and importlib.util.find_spec(needs[side]) is None:
            print(f"left out: {side} ({needs[side]} is not installed)")
    return [side for side in sides if side not in needs or importlib.util.find_spec(needs[side])]


if __name__ == "__main__":
    main()
