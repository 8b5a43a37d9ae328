"""The benchmark suite: Fathom beside its peers, in turn, each in a process of its own.

    python -m benchmarks                              every workload and size; about an hour on two cores
    python -m benchmarks mlp images --sizes w32-m64-e20 --sides fathom "torch vmap compiled"
    python -m benchmarks --list
    python -m benchmarks --check                      whether every side runs; nothing is kept

For each size of a workload every side is started twice or more:

- cold: with empty caches of compiled programs, from the start of the process to the end of its first round;
- warm: the same with the caches filled;
- steady: the warm process stays, and the sides do a round each in turn (A B C A B C ...).

Printed are medians (and minima), what was reached and whether Fathom reached the same, and how many times as fast
Fathom is as each side. A side that needs a package which is not there is left out by name. Results are kept in
benchmarks/results/suite.json with the machine and the versions, drawn in suite.svg, and go on where they stopped with
--keep. The exit status is 1 where a side failed or accuracies differ. docs/benchmarks.md tells more.
"""

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .harness import WORKLOADS, serve, smallest, workload
from .measure import check, compare, environment, machine
from .summary import minutes, sentence, table, verdicts

RESULTS = Path(__file__).parent / "results" / "suite.json"


def main() -> int:
    args = _arguments()
    if args.device == "cpu":
        os.environ |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}  # of every side
    if args.serve:
        serve(*args.serve, check=args.check)
        return 0
    if args.check:
        return _check(args)
    if args.list:
        _list(args)
        return 0
    shown = [] if args.draw else _measure(args)
    _draw()
    differing = [sentence(verdict) for verdict in verdicts(shown) if not verdict["equal"]]
    failed = [f"{r['workload']} {r['size']} {r['side']}: {r['failed']}" for r in shown if "failed" in r]
    print("\n".join(["", *differing, *failed, f"{minutes(shown):.0f} minutes" if shown else ""]))
    return 1 if differing or failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; all if none"
    )
    parser.add_argument("--sizes", nargs="*", help="sizes of the workloads; all if none")
    parser.add_argument("--sides", nargs="*", help="sides; all that are installed if none")
    parser.add_argument("--repeats", type=int, default=5, help="steady rounds of each side")
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="steady seconds of a side after which it rests"
    )
    parser.add_argument(
        "--starts", type=int, help="cold and warm starts of each side; the workload's own if none"
    )
    parser.add_argument(
        "--device", choices=("cpu",), help="compute on the processor where there is a GPU as well"
    )
    parser.add_argument("--keep", action="store_true", help="measure only what the results do not hold")
    parser.add_argument("--list", action="store_true", help="print workloads, sizes, sides and minutes")
    parser.add_argument("--check", action="store_true", help="start every side once, with little work")
    parser.add_argument("--draw", action="store_true", help="only draw what is kept")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _asked(args: argparse.Namespace) -> Iterator[tuple[str, Any, str]]:
    for name in args.workloads or WORKLOADS:
        module = workload(name)
        yield from ((name, module, size) for size in module.SIZES if size in (args.sizes or module.SIZES))


def _kept() -> list[dict[str, Any]]:
    return json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else []


def _measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure what is asked for, print and keep it."""
    shown, here = [], machine()
    print(
        f"{here['device']}, at most "
        + ", ".join(f"{v:.0f} GFLOP/s in {k}" for k, v in here["ceiling"].items())
    )
    for name, module, size in _asked(args):
        sides = installed(sides_of(module, size, args.sides), module.NEEDS)
        if args.keep:
            done = {(r["workload"], r["size"], r["side"]) for r in _kept() if "failed" not in r}
            sides = [side for side in sides if (name, size, side) not in done]
        found = compare(name, size, sides, here, args.repeats, args.seconds, args.starts) if sides else []
        # Read again, because another run may have written meanwhile.
        kept = [r for r in _kept() if not _replaced(r, found)] + found
        _write(kept)
        now = [r for r in kept if (r["workload"], r["size"]) == (name, size)]
        shown += now
        print(table(now, kept), flush=True)
    return shown


def _replaced(record: dict[str, Any], found: list[dict[str, Any]]) -> bool:
    """Whether a record's side was measured again, or others of its size on another machine."""
    same = [r for r in found if (r["workload"], r["size"]) == (record["workload"], record["size"])]
    return any(r["side"] == record["side"] or r["device"] != record["device"] for r in same)


def _write(kept: list[dict[str, Any]]) -> None:
    place = {name: (number, list(workload(name).SIZES)) for number, name in enumerate(WORKLOADS)}
    kept = [r for r in kept if r["workload"] in place and r["size"] in place[r["workload"]][1]]
    kept.sort(key=lambda r: (place[r["workload"]][0], place[r["workload"]][1].index(r["size"])))
    RESULTS.parent.mkdir(exist_ok=True)
    written = {**environment(), "accuracy": verdicts(kept), "runs": kept}
    RESULTS.write_text(json.dumps(written, indent=1) + "\n")


def _draw() -> None:
    if importlib.util.find_spec("altair") is None or not RESULTS.exists():
        print("nothing is drawn: that takes results and the package altair")
        return
    from .picture import draw

    draw(json.loads(RESULTS.read_text()), RESULTS.with_suffix(".svg"))


def _check(args: argparse.Namespace) -> int:
    """Start every side of every size once; sizes that are the same with the least work, once together."""
    failed, seen = [], set()
    for name, module, size in _asked(args):
        sides = installed(sides_of(module, size, args.sides), module.NEEDS)
        work = json.dumps(smallest(module, size))
        new = [side for side in sides if (name, side, work) not in seen]
        seen |= {(name, side, work) for side in sides}
        failed += check(name, size, new)
    print("\n".join([f"{len(failed)} failed", *failed]))
    return 1 if failed else 0


def _list(args: argparse.Namespace) -> None:
    kept, spent, missing = _kept(), [], 0
    for name, module, size in _asked(args):
        sides = sides_of(module, size, args.sides)
        here = [r for r in kept if (r["workload"], r["size"]) == (name, size) and r["side"] in sides]
        here = [r for r in here if "spent" in r]
        print(f"{name} {size}: {', '.join(sides)} ({minutes(here):.1f} min)")
        spent, missing = spent + here, missing + len(sides) - len(here)
    told = f", and {missing} sides that are not measured yet" if missing else ""
    print(f"about {minutes(spent):.0f} minutes in all, as it took last time{told}")


def sides_of(module: Any, size: str, wanted: list[str] | None) -> list[str]:
    """The sides of a size that are asked for, without those that have nothing to do there or take minutes a round."""
    left_out = getattr(module, "left_out", lambda size: ())(size)
    return [side for side in module.SIDES if side in (wanted or module.SIDES) and side not in left_out]


def installed(sides: list[str], needs: dict[str, str]) -> list[str]:
    """The sides whose packages are there; the others are named."""
    found = []
    for side in sides:
        missing = [
            package for package in needs.get(side, "").split() if not importlib.util.find_spec(package)
        ]
        if missing:
            print(f"left out: {side} ({', '.join(missing)} not installed)")
        else:
            found.append(side)
    return found


if __name__ == "__main__":
    sys.exit(main())
