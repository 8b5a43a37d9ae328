"""An exported folder, used where Fathom cannot be imported; the oracle is `Predictor.frame`."""

import csv
import dataclasses
import json
import subprocess
import sys

import equinox as eqx
import jax
import numpy as np
import pytest
import yaml

import fathom as fm
from fathom.errors import RunError, UsageError
from fathom.study.export import FILES, freeze

#: Everything but JAX, what JAX needs, and flatbuffers is out of reach.
ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"fathom", "equinox", "optax", "duckdb", "sklearn", "safetensors", "narwhals", "PIL"}:
            raise ImportError(f"{name} is out of reach")

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
import predict

with open(sys.argv[3], "w", newline="") as out:
    predict.main(sys.argv[2], out)
"""

WORDS = ["red fox", "blue bird, small", "Red RED whale", None, "fox"]


def rows(count=90):
    """A table with a column of every kind, and holes in each."""
    random = np.random.default_rng(3)
    size = random.normal(50, 20, count).round(3)
    table = {
        "size": ["" if i % 11 == 5 else f"{v}" for i, v in enumerate(size)],
        "grade": [("02", "7", "11")[i % 3] for i in range(count)],
        "color": [("red", "green", "NA")[i % 3] for i in range(count)],
        "open": [("yes", "no")[i % 2] if i % 13 else "" for i in range(count)],
        "day": [f"2024-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(count)],
        "said": [WORDS[i % 5] or "" for i in range(count)],
    }
    table["price"] = [f"{3 * v + 4000 + (i % 3) * 20:.2f}" for i, v in enumerate(size)]
    table["kind"] = [("a", "b|b", "c")[(i + int(v > 50)) % 3] for i, v in enumerate(size)]
    return table


def write(path, table):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A classification and a regression of the same mixed table, by target."""
    folder, results = tmp_path_factory.mktemp("export"), {}
    recipe = fm.Recipe(learning_rate=[0.01, 0.03], epochs=3)
    for target, other in (("kind", "price"), ("price", "kind")):
        table = rows()
        del table[other]
        path = write(folder / f"{target}.csv", table)
        data = fm.load(path, target, columns={"said": "text:8", "grade": "categorical"})
        model = fm.models.Linear()
        study = fm.Study(data, model, recipe, folds=2, split_seed=1)
        results[target] = study.run(folder / f"run-{target}", baselines=False)
    return folder, results


def start(exported, data, out):
    command = [sys.executable, "-c", ALONE, str(exported), str(data), str(out)]
    return subprocess.run(command, capture_output=True, text=True)


def alone(exported, data, out):
    done = start(exported, data, out)
    assert done.returncode == 0, done.stderr
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("target", ["kind", "price"])
def test_without_fathom_the_numbers_are_those_of_fathom(fitted, tmp_path, target):
    folder, results = fitted
    made = results[target].export(tmp_path / "model")
    expected = results[target].ensemble.frame(folder / f"{target}.csv")
    found = alone(made, folder / f"{target}.csv", tmp_path / "found.csv")
    assert list(found[0]) == list(expected)
    for name, column in expected.items():
        texts = [row[name] for row in found]
        if column.dtype == object:
            assert texts == column.tolist()
        else:
            scale = max(1.0, float(np.abs(column).max()))
            np.testing.assert_allclose(np.array(texts, float), column, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda table: table.pop("size"),
            "in the rows from 1 on: columns are missing that the model reads: size",
        ),
        (lambda table: table["size"].__setitem__(3, "big"), "column 'size', row 4: 'big' is no number"),
    ],
)
def test_without_fathom_a_mistake_is_one_sentence_too(fitted, tmp_path, change, said):
    table = rows()
    change(table)
    made = fitted[1]["kind"].export(tmp_path / "model")
    done = start(made, write(tmp_path / "new.csv", table), tmp_path / "found.csv")
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("target", ["kind", "price"])
def test_fathom_loads_the_folder(fitted, tmp_path, target):
    folder, results = fitted
    made = fm.load_model(results[target].run.path).export(tmp_path / "model")
    expected = results[target].ensemble.frame(folder / f"{target}.csv")
    for name, column in fm.load_model(made).frame(folder / f"{target}.csv").items():
        np.testing.assert_array_equal(column, expected[name])


def test_the_folder_holds_what_its_card_says_and_only_that(fitted, tmp_path):
    made = fitted[1]["kind"].export(tmp_path / "model")
    assert {path.name for path in made.iterdir()} == set(FILES)
    card = (made / "README.md").read_text()
    assert all(f"- `{name}`: " in card for name in FILES)
    assert "6 months later" in card and "3 weeks earlier" in card and "`cpu` and `cuda`" in card
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["model-index"][0]["results"][0]["task"]["type"] == "tabular-classification"
    about = json.loads((made / "schema.json").read_text())
    assert about["rows"] is None and about["classes"] == ["a", "b|b", "c"]
    assert set(about["outputs"]) == {"prediction", "probability", "spread"}


def test_the_chosen_network_alone(fitted, tmp_path):
    folder, results = fitted
    made = results["kind"].export(tmp_path / "model", chosen=True)
    found = fm.load_model(made).frame(folder / "kind.csv")
    np.testing.assert_array_equal(found["prediction"], results["kind"].best.predict(folder / "kind.csv"))
    assert "spread" not in json.loads((made / "schema.json").read_text())["outputs"]
    assert "| ensemble of 1 |" in (made / "README.md").read_text()


def test_the_ends_of_intervals_hold_what_was_asked(fitted):
    folder, results = fitted
    model = results["price"].ensemble
    frozen = freeze(model, 0.7)
    call = jax.export.deserialize(bytearray(frozen.artifact)).call
    table = fm.data.read_table(folder / "price.csv", model.schema, with_target=False)[0]
    inputs = np.stack([model.encoders[fold].encode(table) for fold in frozen.folds])
    low, high = model.interval(folder / "price.csv", 0.7)
    for rows in (1, 5, 90):  # one function for any number of rows
        found = call(inputs[:, :rows])
        np.testing.assert_allclose(found["lower"], low[:rows], rtol=1e-6)
        np.testing.assert_allclose(found["upper"], high[:rows], rtol=1e-6)
    assert set(frozen.platforms) == {"cpu", "cuda"}


class Stubborn(eqx.Module):
    """A network that asks how many rows it gets, which a symbol cannot say."""

    layer: eqx.nn.Linear

    def __call__(self, x, *, key=None, state=None, inference=True):
        assert x.shape[0] * 4 == int(np.prod(x.shape))
        return jax.vmap(self.layer)(x), state


def test_a_network_that_needs_a_number_of_rows_gets_one(tmp_path):
    def build(task, key):
        return Stubborn(eqx.nn.Linear(4, 3, key=key))

    architecture = fm.models.FromModule(build, batched=True)
    result = fm.Study("iris", architecture, fm.Recipe(epochs=2), folds=1).run(baselines=False)
    frozen = freeze(result.ensemble)
    assert frozen.rows == 256
    made = result.export(tmp_path / "model")
    data = fm.load("iris")
    names = [column.name for column in data.schema.columns]
    table = {name: data.table.numeric[:, place].tolist() for place, name in enumerate(names)}
    found = alone(made, write(tmp_path / "iris.csv", table), tmp_path / "found.csv")
    expected = result.ensemble.frame(data.table.numeric)
    for name in expected:
        if name != "prediction":
            np.testing.assert_allclose([float(row[name]) for row in found], expected[name], atol=1e-6)


def test_what_is_wrong_is_said_before_anything_is_written(fitted, tmp_path):
    _, results = fitted
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(RunError, match="is not empty; give a new one"):
        results["kind"].export(tmp_path / "taken")
    with pytest.raises(UsageError, match="give a share between 0 and 1"):
        results["price"].export(tmp_path / "new", coverage=2.0)
    model = results["kind"].ensemble
    broken = dataclasses.replace(model, parts=(dataclasses.replace(model.parts[0], kept={}),))
    with pytest.raises(UsageError, match="JAX cannot export this network"):
        broken.export(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
