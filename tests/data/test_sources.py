import numpy as np
import pytest

from fathom.data import SOURCES, Encoder, load, make_split


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


def test_bundled_classes_match_their_labels():
    # Oracle: scikit-learn's own labels.
    from sklearn.datasets import load_breast_cancer, load_digits

    np.testing.assert_array_equal(load("digits").target, load_digits().target)
    cancer = load_breast_cancer()
    assert (
        [load("breast_cancer").classes[i] for i in load("breast_cancer").target[:50]]
        == [  # pyright: ignore
            cancer.target_names[i] for i in cancer.target[:50]
        ]
    )


def test_xor_is_the_sign_of_the_product():
    data = load("xor")
    np.testing.assert_array_equal(data.target, (np.prod(data.table.numeric, axis=1) < 0).astype(int))
