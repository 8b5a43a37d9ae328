"""Files of arrays: NPZ, NPY and IDX (the format of MNIST); and arrays of images as columns."""

import gzip
import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError
from .columns import RawColumn
from .frames import array_column, image_shape, read_arrays

#: What a feature and a target array may be called in an NPZ file, best first.
FEATURE_NAMES = ("x", "X", "features", "data", "images", "inputs")
TARGET_NAMES = ("y", "Y", "label", "labels", "target", "targets", "classes")
#: The target of images whose class is said by a label file or a folder.
LABEL = "label"

_PARTS = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}
_IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_IDX_NAME = re.compile(r"(.*[-_.])?images?([-_.]|$).*", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Arrays:
    """What a file or a folder of arrays holds.

    Attributes:
        x: [rows, ...].
        y: [rows], or None.
        part: int8 [rows]: 0 train, 1 validation, 2 test; or None.
    """

    x: np.ndarray
    y: np.ndarray | None = None
    part: np.ndarray | None = None

    def columns(self, target: str) -> list[RawColumn]:
        """The columns of x, then of y under the target's name."""
        columns = read_arrays(self.x)
        if self.y is None:
            return columns
        if self.y.ndim == 2 and self.y.shape[1] == 1:
            return [*columns, array_column(target, self.y[:, 0])]
        if self.y.shape != (len(self.x),):
            raise DataError(
                f"{target}: shape {self.y.shape} does not fit {len(self.x)} rows; give one value a row"
            )
        return [*columns, array_column(target, self.y)]

    @property
    def shape(self) -> tuple[int, ...]:
        """How one example is arranged, where it is an image; () otherwise."""
        return image_shape(self.x.shape)


def read_npy(path: Path) -> Arrays:
    """The feature array of an .npy file, [rows, ...].

    Raises:
        DataError: if it holds no array of numbers or text.
    """
    _check_start(path, b"\x93NUMPY")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _unreadable(path, error) from None
    return Arrays(np.atleast_1d(array))


def read_npz(path: Path) -> Arrays:
    """The arrays of an .npz file: x and y, or x_train, y_train, x_test, y_test and their like.

    Args:
        path: the file; nothing in it is unpickled.

    Returns:
        Its rows; where it holds several parts, one under the other.

    Raises:
        DataError: if it holds no features, or arrays that do not fit each other.
    """
    _check_start(path, b"PK\x03\x04")
    try:
        # Given a path, NumPy leaves the file of an archive open that it cannot read.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            names = list(archive.files)
            pairs = _pairs(names)
            if not pairs:
                raise DataError(
                    f"file {str(path)!r} holds the arrays {', '.join(names) or '(none)'}; give one called "
                    f"{' or '.join(FEATURE_NAMES[:4])} (or x_train and x_test)"
                )
            read = [(part, archive[x], archive[y] if y else None) for part, x, y in pairs]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, error) from None
    return _joined(read, str(path))


def npz_target(path: Path) -> str:
    """What the target array of an .npz file is called, without its part: "y" of y_train."""
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    found = next((y for _, _, y in _pairs(names) if y), "y")
    return next((name for name in TARGET_NAMES if name in (found, *re.split(r"[-_.]", found))), found)


def is_idx(path: Path) -> bool:
    """Whether a file starts as IDX does: two zero bytes, a known type, and its number of dimensions."""
    try:
        with _idx_opener(path)(path, "rb") as stream:
            head = stream.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in _IDX_TYPES and 1 <= head[3] <= 4


def read_idx(path: Path) -> Arrays:
    """An IDX file of images, with the labels of the file beside it where there is one.

    Args:
        path: the file of images, plain or .gz; its labels have "labels" and "idx1" in their name where it has
            "images" and "idx3".

    Returns:
        The images [rows, height, width] and their labels.

    Raises:
        DataError: if the file is cut or its labels are of another number.

    References:
        LeCun, Cortes & Burges, "The MNIST database of handwritten digits" (the IDX format).
    """
    labels = _labels_beside(path)
    return _joined([(None, _idx_array(path), None if labels is None else _idx_array(labels))], str(path))


def find_idx(folder: Path) -> list[Path]:
    """The IDX files of images in a folder, in the order of their names."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and _IDX_NAME.fullmatch(path.name))
    return [path for path in files if is_idx(path)]


def read_idx_folder(folder: Path, files: Sequence[Path]) -> Arrays:
    """The IDX files of a folder: those called train, and those called test or t10k.

    Args:
        folder: for messages.
        files: its files of images, as `find_idx` gives them.

    Returns:
        All rows, with their part where the names say it.

    Raises:
        DataError: if two files are of the same part.
    """
    parts = [_part_of(path.name.replace("t10k", "test")) for path in files]
    if len(set(parts)) < len(parts):
        raise DataError(
            f"source={str(folder)!r} holds more than one set of images; "
            f"give one file: {', '.join(path.name for path in files)}"
        )
    read = []
    for part, path in sorted(zip(parts, files, strict=True), key=lambda pair: pair[0] or 0):
        arrays = read_idx(path)
        read.append((part, arrays.x, arrays.y))
    return _joined(read, str(folder))


def _part_of(name: str) -> int | None:
    words = re.split(r"[^a-z]+", name.lower())
    return next((_PARTS[word] for word in words if word in _PARTS), None)


def _pairs(names: Sequence[str]) -> list[tuple[int | None, str, str | None]]:
    """Part, features and target for each part that the names of arrays say: one pair where they say none."""
    for x in FEATURE_NAMES:
        if x in names:
            return [(None, x, next((y for y in TARGET_NAMES if y in names), None))]
    pairs = []
    for part, number in _PARTS.items():
        of_part = {re.sub(rf"[-_.]?{part}[-_.]?", "", name): name for name in names if part in _words(name)}
        x = next((of_part[x] for x in FEATURE_NAMES if x in of_part), None)
        if x is not None:
            pairs.append((number, x, next((of_part[y] for y in TARGET_NAMES if y in of_part), None)))
    return pairs


def _words(name: str) -> list[str]:
    return re.split(r"[-_.]", name.lower())


def _joined(read: Sequence[tuple[int | None, np.ndarray, np.ndarray | None]], shown: str) -> Arrays:
    shapes = {x.shape[1:] for _, x, _ in read}
    if len(shapes) > 1:
        raise DataError(f"file {shown!r}: its parts differ in shape: {', '.join(map(str, sorted(shapes)))}")
    for _, x, y in read:
        if y is not None and (x.ndim == 0 or y.ndim == 0 or len(x) != len(y)):
            raise DataError(
                f"file {shown!r}: targets of shape {y.shape} do not fit features of shape {x.shape}; "
                "both need the same number of rows"
            )
    if len({y is None for _, _, y in read}) > 1:
        raise DataError(f"file {shown!r} has a target for some of its parts only; give one for each")
    if len(read) == 1:
        part, x, y = read[0]
        return Arrays(x, y, None if part is None else np.full(len(x), part, dtype=np.int8))
    numbers = [np.full(len(x), -1 if part is None else part, dtype=np.int8) for part, x, _ in read]
    targets = [y for _, _, y in read if y is not None]
    x = np.concatenate([x for _, x, _ in read])
    return Arrays(x, np.concatenate(targets) if targets else None, np.concatenate(numbers))


def _idx_opener(path: Path):
    return gzip.open if path.suffix.lower() == ".gz" else open


def _idx_array(path: Path) -> np.ndarray:
    try:
        with _idx_opener(path)(path, "rb") as stream:
            content = stream.read()
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from None
    start = 4 + 4 * content[3]
    shape = tuple(int(length) for length in np.frombuffer(content[4:start], dtype=">u4"))
    kind = np.dtype(_IDX_TYPES[content[2]])
    if len(content) - start != math.prod(shape) * kind.itemsize:
        raise DataError(
            f"file {str(path)!r} has {len(content) - start} bytes of values; its head says "
            f"{math.prod(shape) * kind.itemsize} for shape {shape}: get the whole file"
        )
    return np.frombuffer(content, dtype=kind, offset=start).reshape(shape).astype(kind.newbyteorder("="))


def _labels_beside(path: Path) -> Path | None:
    name = re.sub("idx[2-4]", "idx1", re.sub("images?", "labels", path.name))
    if name == path.name:
        return None
    packed = name.removesuffix(".gz")
    beside = (path.with_name(other) for other in (name, packed, packed + ".gz"))
    return next((other for other in beside if other.is_file() and is_idx(other)), None)


def _check_start(path: Path, start: bytes) -> None:
    """Refuse a file of another format: NumPy takes it for a pickle."""
    with path.open("rb") as stream:
        if stream.read(len(start)) != start:
            raise DataError(f"file {str(path)!r} cannot be read: it is no {path.suffix} file of NumPy")


def _unreadable(path: Path, error: Exception) -> DataError:
    if "allow_pickle" in str(error) or "pickle" in str(error).lower():
        return DataError(
            f"file {str(path)!r} holds pickled Python objects, which may run code and are not read; "
            "save arrays of numbers or text (np.savez with a numeric dtype)"
        )
    return DataError(f"file {str(path)!r} cannot be read: {str(error).splitlines()[0]}")
