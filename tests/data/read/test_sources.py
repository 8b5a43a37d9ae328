import subprocess
import sys

import numpy as np
import pytest

from fathom.data import SOURCES, Encoder, load, make_split
from fathom.data.read import bundled


@pytest.mark.parametrize("name", SOURCES.names())
def test_every_source_is_what_its_record_says(name):
    record = SOURCES[name]
    data = load(name)
    assert (data.name, len(data), data.kind, data.schema.target.name) == (
        name,
        record.rows,
        record.kind,
        record.target,
    )
    assert data.notes == ()
    assert record.summary
    assert record.reference
    assert not record.shape or np.prod(record.shape) == len(data.schema.columns)
    split = make_split(data)
    encoder = Encoder.fit(data.schema, data.table, split.train[0])
    inputs = encoder.encode(data.table)
    assert inputs.shape == (record.rows, encoder.features)
    assert np.isfinite(inputs).all()


@pytest.mark.parametrize("name", SOURCES.names())
def test_a_source_is_the_same_each_time(name):
    first, second = load(name), load(name)
    np.testing.assert_array_equal(first.table.numeric, second.table.numeric)
    np.testing.assert_array_equal(first.target, second.target)


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast_cancer", "diabetes"])
@pytest.mark.parametrize("files", [True, False])
def test_bundled_data_is_that_of_scikit_learn(name, files, monkeypatch):
    # Oracle: scikit-learn's own loaders, bit for bit.
    import sklearn.datasets

    if not files:
        monkeypatch.setattr(bundled, "_from_files", lambda name: None)
    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(sklearn.datasets, f"load_{name}")(**options)
    *features, target = SOURCES[name].read()
    assert [column.name for column in features] == [str(feature) for feature in bunch.feature_names]
    np.testing.assert_array_equal(np.stack([column.values for column in features], axis=1), bunch.data)
    labels = bunch.target if target.kind == "number" else np.array(bunch.target_names)[bunch.target]
    assert target.values.tolist() == labels.tolist()


def test_loading_digits_imports_nothing_large():
    code = """import sys, fathom; fathom.load("digits")
assert not {"sklearn", "pandas", "scipy.stats", "duckdb", "jax", "PIL"} & set(sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_xor_is_the_sign_of_the_product():
    data = load("xor")
    np.testing.assert_array_equal(data.target, (np.prod(data.table.numeric, axis=1) < 0).astype(int))
