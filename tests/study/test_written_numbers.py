"""Numbers as they are written, from training over a saved model to predictions. Oracle: the same numbers, plain."""

import sys

import numpy as np
import pytest

import fathom as fm
from fathom.data.stream import batches
from fathom.errors import DataError
from fathom.models import MLP

ROWS = 120
AMOUNTS = np.round(np.random.default_rng(0).uniform(100, 5000, ROWS), 1)


def german(value):
    return f"{value:,.1f}".translate(str.maketrans(",.", ".,"))


def write(path, head, rows):
    path.write_text("\n".join(";".join(map(str, row)) for row in [head, *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Trained on amounts in German writing, and on a column of which a few cells are no numbers."""
    folder = tmp_path_factory.mktemp("written")
    other = ["k.A." if row in (3, 50) else german(row % 11 / 2) for row in range(ROWS)]
    rows = zip(map(german, AMOUNTS), other, np.where(AMOUNTS > 2500, "viel", "wenig"), strict=True)
    path = write(folder / "train.csv", ("menge", "zahl", "y"), rows)
    recipe = fm.Recipe(learning_rate=0.03, epochs=1)
    study = fm.Study(fm.load(path, "y"), MLP(width=8, depth=1), recipe, folds=1)
    study.run(folder / "run", baselines=False)
    return fm.load_model(folder / "run")


PLAIN = {"menge": [1234.0, 999.5, 2500.0], "zahl": [np.nan, 1.5, np.nan]}


@pytest.mark.parametrize("amounts", [["1.234", "999,5", "2.500"], ["1.234,0", "999,50 €", "2 500"]])
def test_a_saved_model_reads_new_files_as_it_read_its_own(model, amounts, tmp_path):
    expected = model.predict_proba(PLAIN)
    new = write(tmp_path / "n.csv", ("menge", "zahl"), zip(amounts, ["k.A.", "1,5", "-"], strict=True))
    np.testing.assert_array_equal(model.predict_proba(new), expected)
    for row, amount in enumerate(amounts):  # a row alone, beside which nothing tells
        one = write(tmp_path / "one.csv", ("menge", "zahl"), [(amount, ["k.A.", "1,5", "-"][row])])
        np.testing.assert_allclose(model.predict_proba(one), expected[row : row + 1], rtol=1e-6)


def test_new_data_read_in_batches_reads_the_same(model, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "_WHOLE", 0.0)
    rows = [("1.234", "k.A."), ("999,5", "1,5"), ("2.500", "-")]
    new = write(tmp_path / "n.csv", ("menge", "zahl"), rows)
    found = list(batches.new_batches(new, model.schema, 2))
    cells = np.concatenate([part.table.numeric for part in found])
    np.testing.assert_array_equal(cells, np.transpose(list(PLAIN.values())))


def test_a_cell_that_does_not_fit_is_named(model, tmp_path):
    new = write(tmp_path / "n.csv", ("menge", "zahl"), [("1.234", "1,5"), ("1.5", "1")])
    with pytest.raises(DataError, match=r"column 'menge', row 2: '1.5' is no number with a decimal comma"):
        model.predict(new)
    new = write(tmp_path / "n.csv", ("menge", "zahl"), [("1.234", "n.v."), ("1,5", "1")])
    with pytest.raises(DataError, match=r"column 'zahl', row 1: 'n.v.' is no number"):
        model.predict(new)


def test_the_exported_encoding_reads_the_same(model, tmp_path, monkeypatch):
    model.export(tmp_path / "export")
    monkeypatch.syspath_prepend(tmp_path / "export")
    import predict  # pyright: ignore[reportMissingImports]

    written = {"menge": ["1.234", "999,5", "2.500"], "zahl": ["k.A.", "1,5", "-"]}
    exported = predict.Model()
    np.testing.assert_array_equal(exported.encode(written), exported.encode(PLAIN))
    for name in [name for name in sys.modules if name == "predict" or name.split(".")[0] == "encoding"]:
        monkeypatch.delitem(sys.modules, name)
