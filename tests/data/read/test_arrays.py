import gzip
import struct

import numpy as np
import pytest

from fathom.data.read.arrays import read_npz
from fathom.data.read.open import open_source
from fathom.errors import DataError

IMAGES = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
LABELS = np.array([0, 1, 2, 1, 0], dtype=np.uint8)


def matrix(opened):
    features = [column.values for column in opened.columns if column.name != opened.target]
    return np.stack(features, axis=1)


def target(opened):
    return next(column.values for column in opened.columns if column.name == opened.target)


def idx(array, kind=8):
    return (
        struct.pack(">HBB", 0, kind, array.ndim)
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@pytest.mark.parametrize(
    ("x", "y"), [("x", "y"), ("X", "Y"), ("features", "labels"), ("data", "target"), ("images", "label")]
)
def test_npz_names(tmp_path, x, y):
    values = np.linspace(0, 1, 12).reshape(4, 3)
    np.savez(tmp_path / "a.npz", **{x: values, y: np.array(["a", "b", "a", "b"]), "other": np.zeros(7)})
    opened = open_source(tmp_path / "a.npz")
    assert (opened.name, opened.target, opened.positions, opened.shape, opened.part) == (
        "a",
        y,
        True,
        (),
        None,
    )
    np.testing.assert_array_equal(matrix(opened), values)
    assert target(opened).tolist() == ["a", "b", "a", "b"]


@pytest.mark.parametrize("write", ["{}_{}", "{1}_{0}", "{}-{}"])
def test_npz_parts(tmp_path, write):
    parts = {"train": slice(0, 3), "val": slice(3, 4), "test": slice(4, 5)}
    arrays = {write.format("x", part): IMAGES[rows] for part, rows in parts.items()}
    arrays |= {write.format("y", part): LABELS[rows] for part, rows in parts.items()}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    opened = open_source(tmp_path / "a.npz")
    assert opened.shape == (4, 3)
    assert opened.part.tolist() == [0, 0, 0, 1, 2]
    np.testing.assert_array_equal(matrix(opened), IMAGES.reshape(5, 12))
    np.testing.assert_array_equal(target(opened), LABELS)
    assert opened.columns[0].values.dtype == np.uint8


def test_npy(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(3))
    opened = open_source(str(tmp_path / "x.npy"))
    assert opened.target is None
    np.testing.assert_array_equal(matrix(opened), np.eye(3))


@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path, packed):
    write = gzip.compress if packed else bytes
    end = ".gz" if packed else ""
    for part, rows in {"train": slice(0, 3), "t10k": slice(3, 5)}.items():
        (tmp_path / f"{part}-images-idx3-ubyte{end}").write_bytes(write(idx(IMAGES[rows])))
        (tmp_path / f"{part}-labels-idx1-ubyte{end}").write_bytes(write(idx(LABELS[rows])))
    opened = open_source(tmp_path)
    assert (opened.target, opened.positions, opened.shape, opened.kind) == (
        "label", True, (4, 3), "classification")  # fmt: skip
    assert opened.part.tolist() == [0, 0, 0, 2, 2]
    np.testing.assert_array_equal(matrix(opened), IMAGES.reshape(5, 12))
    np.testing.assert_array_equal(target(opened), LABELS)
    one = open_source(tmp_path / f"t10k-images-idx3-ubyte{end}")
    assert one.part is None
    np.testing.assert_array_equal(matrix(one), IMAGES[3:].reshape(2, 12))
    np.testing.assert_array_equal(target(one), LABELS[3:])


def test_idx_without_labels_and_of_other_types(tmp_path):
    reals = np.linspace(0, 1, 24).reshape(2, 4, 3)
    (tmp_path / "images").write_bytes(idx(reals.astype(">f4"), 13))
    opened = open_source(tmp_path / "images")
    assert opened.target is None
    np.testing.assert_array_equal(matrix(opened), reals.reshape(2, 12).astype(np.float32))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x": np.zeros((2, 2)), "y": np.zeros(3)},
            r"targets of shape \(3,\) do not fit features of shape \(2, 2\)",
        ),
        ({"a": np.zeros(2)}, r"holds the arrays a; give one called x or X or features or data"),
        ({"x": np.array([{}, 1], dtype=object)}, r"pickled Python objects, which may run code"),
        ({"x_train": np.zeros((2, 3)), "x_test": np.zeros((2, 4))}, r"parts differ in shape: \(3,\), \(4,\)"),
        (
            {"x_train": np.zeros((2, 3)), "y_train": np.zeros(2), "x_test": np.zeros((2, 3))},
            r"some of its parts",
        ),
    ],
)
def test_npz_refusals(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "a.npz")


def test_damaged_files(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    (tmp_path / "a.npy").write_bytes(b"nothing")
    (tmp_path / "a-images-idx3-ubyte").write_bytes(idx(IMAGES)[:-1])
    np.savez(tmp_path / "cut.npz", x=np.zeros((9, 2)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-30])
    for name, message in (
        ("a.npz", "cannot be"),
        ("cut.npz", "cannot be read: File is not a zip file"),
        ("a.npy", "pickled|cannot"),
        ("a-images-idx3-ubyte", "59 bytes"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            open_source(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.data
def test_mnist(data_folder):
    opened = open_source(data_folder / "mnist")
    assert opened.shape == (28, 28)
    assert np.bincount(opened.part).tolist() == [60000, 0, 10000]
    assert {column.values.dtype for column in opened.columns[:-1]} == {np.dtype(np.uint8)}
    # Oracle: the known counts of the ten classes.
    assert np.bincount(target(opened).astype(int)[:60000]).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]  # fmt: skip
