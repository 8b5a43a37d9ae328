"""Real tables: Fathom's default against its rivals, each on the same rows, on several splits.

    python -m benchmarks.tables --data FOLDER [--sets adult abalone] [--sides fathom trees] [--splits 10]

The sides, each as its users run it, none told anything about the data but its columns:

- fathom: the default study of `fathom fit` (search, halving, ensemble), no baselines;
- mlp grid: scikit-learn's MLPClassifier/MLPRegressor, early stopping, over 3 shapes x 3 rates x 3 penalties by
  3-fold cross-validation, columns imputed, standardized and one-hot encoded;
- trees: scikit-learn's HistGradientBoosting, categories native, early stopping;
- realmlp, tabm: pytabkit's RealMLP_TD and TabM_D with their tuned defaults (Holzmueller et al. 2024; Gorishniy
  et al. 2024).

A fifth of the rows is the test (adult, mnist: the given files), divided by seed; the rivals see all other rows and
make their own validation rows from them. Every measurement is a process of its own; its seconds are those of
fitting and predicting, imports left out; its processor seconds are of the whole process, and barely depend on what else
the machine does. Results are kept one by one in results/tables.json, so a stopped run goes on.
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results" / "tables.json"
NEEDS = {"realmlp": "pytabkit", "tabm": "pytabkit"}


def sources(folder: Path) -> dict:
    """Each data set's arguments for `fathom.load`."""
    return {
        "penguins": (folder / "penguins" / "penguins.csv", "species", {}),
        "auto_mpg": (folder / "auto_mpg" / "mpg.csv", "mpg", {}),
        "credit_g": (folder / "credit_g" / "credit.csv", "default", {}),
        "wine_red": (folder / "wine_quality" / "winequality-red.csv", "column11", {"kind": "regression"}),
        "wine_white": (folder / "wine_quality" / "winequality-white.csv", "column11", {"kind": "regression"}),
        "abalone": (folder / "abalone" / "abalone.csv", "column8", {"kind": "regression"}),
        "spambase": (folder / "spambase" / "spam.data.gz", "column57", {}),
        "california": (folder / "california_housing" / "housing.csv.gz", "median_house_value", {}),
        "adult": (
            folder / "adult" / "adult-train.csv.gz",
            "column14",
            {"test": folder / "adult" / "adult-test.csv.gz"},
        ),
        "mnist": (folder / "mnist", None, {}),
    }


def open_set(name: str, folder: Path):
    """A data set by its name here."""
    import fathom as fm

    path, target, options = sources(folder)[name]
    return fm.load(path, target, **options)


def run_fathom(dataset, split, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The default study; its ensemble's predictions of the test rows."""
    import fathom as fm

    result = fm.Study(dataset, split_seed=seed).run(baselines=False)
    found = result.ensemble.combine(result.ensemble.table_outputs(dataset.table.take(split.test)))
    return found.argmax(1) if dataset.kind == "classification" else found


def frame(dataset):
    """The features as a pandas frame: numbers and strings, missing cells imputed where they are numbers."""
    import pandas as pd

    table, columns = dataset.table, {}
    for place, column in enumerate(dataset.schema.numeric):
        columns[column.name] = table.numeric[:, place]
    for place, column in enumerate(dataset.schema.categorical):
        columns[column.name] = pd.Categorical([str(code) for code in table.categorical[:, place]])
    return pd.DataFrame(columns)


def run_mlp_grid(dataset, split, seed: int):
    """scikit-learn's perceptron by grid search."""
    import warnings

    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    warnings.simplefilter("ignore")
    x, train = frame(dataset), others(dataset, split)
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
        sparse_threshold=0,
    )
    classes = dataset.kind == "classification"
    model = (MLPClassifier if classes else MLPRegressor)(early_stopping=True, max_iter=200, random_state=seed)
    name = type(model).__name__.lower()
    grid = {
        f"{name}__hidden_layer_sizes": [(64,), (128, 128), (256, 256)],
        f"{name}__learning_rate_init": [3e-4, 1e-3, 3e-3],
        f"{name}__alpha": [1e-4, 1e-2, 1.0],
    }
    y = dataset.target
    center, scale = (0, 1) if classes else (y[train].mean(), y[train].std())
    search = GridSearchCV(make_pipeline(columns, model), grid, cv=3, n_jobs=2)
    search.fit(x.iloc[train], y[train] if classes else (y[train] - center) / scale)
    found = search.predict(x.iloc[split.test])
    return found if classes else found * scale + center


def run_trees(dataset, split, seed: int):
    """scikit-learn's boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x, train = frame(dataset), others(dataset, split)
    kind = (
        HistGradientBoostingClassifier if dataset.kind == "classification" else HistGradientBoostingRegressor
    )
    model = kind(categorical_features="from_dtype", early_stopping=True, max_iter=500, random_state=seed)
    return model.fit(x.iloc[train], dataset.target[train]).predict(x.iloc[split.test])


def run_pytabkit(kind: str):
    """One of pytabkit's networks with its tuned defaults."""

    def run(dataset, split, seed: int):
        from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor, TabM_D_Classifier, TabM_D_Regressor

        models = {
            "realmlp": (RealMLP_TD_Classifier, RealMLP_TD_Regressor),
            "tabm": (TabM_D_Classifier, TabM_D_Regressor),
        }
        classes = dataset.kind == "classification"
        x, train = frame(dataset), others(dataset, split)
        numeric = list(x.select_dtypes("number").columns)
        medians = x.iloc[train][numeric].median()
        flags = {f"{c} is missing": x[c].isna().astype(float) for c in numeric if x[c].isna().any()}
        x = x.fillna(medians).assign(**flags)
        model = models[kind][0 if classes else 1](random_state=seed, device="cpu", n_threads=2)
        y = dataset.target if classes else dataset.target.astype(np.float32)
        model.fit(x.iloc[train], y[train])
        return np.asarray(model.predict(x.iloc[split.test])).reshape(-1)

    return run


SIDES = {
    "fathom": run_fathom,
    "mlp grid": run_mlp_grid,
    "trees": run_trees,
    "realmlp": run_pytabkit("realmlp"),
    "tabm": run_pytabkit("tabm"),
}


def others(dataset, split) -> np.ndarray:
    """The rows that are no test rows."""
    return np.setdiff1d(np.arange(len(dataset)), split.test)


def measure(side: str, name: str, folder: Path, seed: int) -> dict:
    """One side on one split, in this process: its test score and its seconds."""
    import fathom as fm

    if side == "fathom":
        fm.configure()
    dataset = open_set(name, folder)
    split = fm.data.make_split(dataset, seed=seed)
    if side in NEEDS:
        importlib.import_module("pytabkit")
    elif side != "fathom":
        importlib.import_module("sklearn.ensemble")
    start = time.perf_counter()
    found = SIDES[side](dataset, split, seed)
    seconds = time.perf_counter() - start
    target = dataset.target[split.test]
    if dataset.kind == "classification":
        score = float((found == target).mean())
    else:
        score = float(np.sqrt(np.square(found - target).mean()))
    return {"set": name, "side": side, "seed": seed, "score": score, "seconds": seconds, "kind": dataset.kind}


def table(found: list[dict]) -> str:
    """Mean score and median processor seconds of every side on every set; and Fathom against the grid, paired."""
    sets = list(dict.fromkeys(entry["set"] for entry in found))
    sides = [side for side in SIDES if any(entry["side"] == side for entry in found)]
    lines = [
        "| data | " + " | ".join(sides) + " | fathom better than mlp grid by |",
        "|---" * (len(sides) + 2) + "|",
    ]
    for name in sets:
        cells = []
        mine = {s: {e["seed"]: e for e in found if e["set"] == name and e["side"] == s} for s in sides}
        for side in sides:
            entries = list(mine[side].values())
            if not entries:
                cells.append("-")
                continue
            mean = statistics.mean(e["score"] for e in entries)
            seconds = statistics.median(e["cpu_seconds"] for e in entries)
            cells.append(f"{mean:.5g} ({seconds:.0f} s, n={len(entries)})")
        cells.append(_paired(mine.get("fathom", {}), mine.get("mlp grid", {})))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _paired(ours: dict, theirs: dict) -> str:
    from scipy.stats import t

    seeds = sorted(set(ours) & set(theirs))
    if len(seeds) < 2:
        return "-"
    rising = ours[seeds[0]]["kind"] == "classification"
    gain = np.array([ours[s]["score"] - theirs[s]["score"] for s in seeds]) * (1 if rising else -1)
    half = t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
    return f"{gain.mean():.3g} ± {half:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder for each set")
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=list(SIDES))
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--one", nargs=3, metavar=("SIDE", "SET", "SEED"), help="measure one, print JSON")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], args.one[1], args.data, int(args.one[2]))))
        return
    found = json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else []
    done = {(e["set"], e["side"], e["seed"]) for e in found}
    for seed in range(args.splits):
        for name in args.sets or list(sources(args.data)):
            for side in args.sides:
                if (name, side, seed) in done:
                    continue
                if side in NEEDS and importlib.util.find_spec(NEEDS[side]) is None:
                    print(f"skipped: {side} ({NEEDS[side]} is not installed)")
                    continue
                command = [sys.executable, "-m", "benchmarks.tables", "--data", str(args.data)]
                command += ["--one", side, name, str(seed)]
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                run = subprocess.run(command, capture_output=True, text=True)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                if run.returncode:
                    print(f"{side} on {name}, split {seed}, failed: {run.stderr.strip().splitlines()[-1]}")
                    continue
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                found.append({**json.loads(run.stdout.strip().splitlines()[-1]), "cpu_seconds": cpu})
                print(" ".join(str(value) for value in found[-1].values()), flush=True)
                RESULTS.parent.mkdir(exist_ok=True)
                machine = {"cores": len(os.sched_getaffinity(0)), "when": time.strftime("%Y-%m-%d")}
                RESULTS.write_text(json.dumps({**machine, "runs": found}, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
