"""Data larger than memory: `fathom fit` on a Parquet file of many gigabytes, and the memory that it took.

Run: python benchmarks/stream.py [--gigabytes 10] [--folder /tmp/fathom-stream] [--epochs 13]

DuckDB writes the file (24 numbers that hardly compress, three columns of categories, missing cells, a target of
two classes that a network can learn); then `fathom fit` and `fathom predict` run on it as processes of their own,
and the largest resident set that the kernel counted for each is what is reported, DuckDB and JAX included.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROW_BYTES = 193  # of the Parquet file, about
NUMBERS = 24


def columns() -> list[str]:
    """The columns as SQL over `range`; `hash` is the same in every run."""
    uniform = "hash(range * 64 + {0}) / 18446744073709551616.0"
    numbers = [f"{uniform.format(i)} * 2 - 1 AS n{i}" for i in range(NUMBERS)]
    numbers[3] = f"CASE WHEN hash(range * 64 + 40) % 20 = 0 THEN NULL ELSE {uniform.format(3)} END AS n3"
    words = [
        "'city' || (hash(range * 64 + 41) % 40) AS city",
        "CASE WHEN hash(range * 64 + 42) % 10 = 0 THEN NULL ELSE 'k' || (hash(range * 64 + 42) % 5) END AS kind",
        "hash(range * 64 + 43) % 2 = 0 AS flag",
    ]
    return [*numbers, *words]


def make(path: Path, rows: int) -> None:
    """Write the file."""
    import duckdb

    signal = (
        "sin(3 * n0) + 2 * n1 * n2 + coalesce(n3, 0.5) - 0.5 + CASE WHEN flag THEN 0.5 ELSE -0.5 END * n4"
    )
    signal += " + CASE WHEN city IN ('city1', 'city2', 'city3') THEN 1 ELSE 0 END"
    noise = "0.3 * (hash(r * 64 + 44) / 18446744073709551616.0 - 0.5)"
    table = f"SELECT {', '.join(columns())}, range AS r FROM range({rows})"
    query = (
        f"SELECT * EXCLUDE (r), CASE WHEN {signal} + {noise} > 0 THEN 'yes' ELSE 'no' END AS y FROM ({table})"
    )
    with duckdb.connect(config={"memory_limit": "2GB"}) as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")


def measured(command: list[str]) -> dict[str, float]:
    """Run a command and report its seconds and its largest resident set in bytes."""
    print("+", " ".join(command), flush=True)
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return {"seconds": time.perf_counter() - start, "peak_bytes": used.ru_maxrss * 1024}


def main() -> None:
    """Make the file, fit, predict, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/fathom-stream"))
    parser.add_argument("--epochs", type=int, default=13)
    parser.add_argument("--keep", action="store_true", help="leave the file and the run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "stream.json")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    data, run = given.folder / "big.parquet", given.folder / "run"
    rows = round(given.gigabytes * 1e9 / ROW_BYTES)
    if not data.exists():
        make(data, rows)
    shutil.rmtree(run, ignore_errors=True)
    fathom = str(Path(sys.executable).with_name("fathom"))
    sets = [f"recipe.epochs={given.epochs}", "recipe.learning_rate=[1e-3, 3e-3]", "recipe.dropout=0"]
    sets += ["recipe.input_noise=0", "recipe.label_smoothing=0", "recipe.weight_decay=1e-3", "model.width=64"]
    options = [part for change in sets for part in ("--set", change)]
    fit = measured(
        [fathom, "fit", str(data), "--target", "y", "--model", "mlp", *options, "--stream", "--out", str(run)]
    )
    result = json.loads((run / "result.json").read_text())
    rows, phases = result["data"]["rows"], result["seconds"]
    ends = [line for line in map(json.loads, (run / "members.jsonl").open()) if line["event"] == "end"]
    settings = tomllib.loads((run / "study.toml").read_text())
    shown = sum(line["epochs"] for line in ends) * settings["epoch_rows"]
    size = data.stat().st_size
    record = {
        "file_bytes": size,
        "rows": rows,
        "inputs": result["data"]["features"],
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "window_rows": settings["window_rows"],
        "epoch_rows": settings["epoch_rows"],
        "fit": {**fit, "phases": phases, "members": result["members"]},
        "shuffle": {
            "rows_per_second": rows / phases["shuffle"],
            "bytes_per_second": size / phases["shuffle"],
        },
        "train": {"member_rows": shown, "member_rows_per_second": shown / phases["train"]},
        "share_of_training": phases["train"] / fit["seconds"],
        "test": {name: result["test"][name] for name in ("rows", "score", "ensemble_score")},
        "baselines": {name: entry["score"] for name, entry in result["baselines"].items()},
        "made": result["made"],
    }
    given.out.write_text(json.dumps(record, indent=1) + "\n")
    predict = measured([fathom, "predict", str(run), str(data), "--out", str(given.folder / "out.parquet")])
    record["predict"] = {**predict, "rows_per_second": rows / predict["seconds"]}
    given.out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))
    if not given.keep:
        shutil.rmtree(given.folder)


if __name__ == "__main__":
    main()
