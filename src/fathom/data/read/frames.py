"""Data frames (pandas, Polars, Arrow and others, through narwhals) and arrays as raw columns."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import DataError, UsageError
from .columns import (
    UNNAMED_INDEX,
    RawColumn,
    Writing,
    as_texts,
    clean_text,
    number_column,
    read_texts,
    unsupported,
)

#: The name of the target where (x, y) arrays are given.
ARRAY_TARGET = "y"
_MOST_DENSE = 2 << 30  # bytes of a sparse matrix with its zeros written out


def read_frame(frame: Any, known: Mapping[str, Writing] | None = None) -> list[RawColumn]:
    """The columns of a data frame, in its order.

    Args:
        frame: any eager or lazy frame that narwhals knows, a record batch of Arrow, or a mapping of names to
            one-dimensional arrays. An index is passed over, as is one without a name that pandas has made a
            column of; a moment in a time zone is read in UTC; a duration is its seconds.
        known: what is known of the cells of some columns, by name.

    Returns:
        One raw column for each column of the frame.

    Raises:
        DataError: if the frame is empty or two of its columns share a name.
        UsageError: if it is no data frame.
    """
    if isinstance(frame, Mapping):
        cells = [(str(name), np.asarray(values)) for name, values in frame.items()]
        columns = [array_column(name, values, _known(known, name)) for name, values in cells]
    else:
        columns = [
            _series_column(str(name), series, _known(known, str(name))) for name, series in _series(frame)
        ]
    _check_unique([column.name for column in columns])
    if not columns or len(columns[0].values) == 0:
        raise DataError("the data frame is empty; give at least one column and one row")
    if len({len(column.values) for column in columns}) > 1:
        raise DataError("the columns differ in length; give each one value a row")
    return columns


def read_arrays(x: Any, y: Any = None, known: Mapping[str, Writing] | None = None) -> list[RawColumn]:
    """The columns of a feature array and a target array.

    Columns are views of the array where it holds bytes or float32, as images do: `values` keeps that type.

    Args:
        x: [rows, features] or [rows]; a SciPy sparse matrix; a data frame; or images, [rows, height, width] or
            [rows, height, width, channels] (also [rows, channels, height, width] with 1 or 3 channels).
        y: [rows] target, or None.
        known: what is known of the cells of some columns, by name.

    Returns:
        Columns x0, x1, … (pixel_0_0, pixel_0_1, … of images; the frame's own), then y if it is given.

    Raises:
        DataError: if the shapes do not fit each other, or a sparse matrix is too large.

    Example:
        >>> [column.name for column in read_arrays(np.zeros((4, 2)), np.arange(4))]
        ['x0', 'x1', 'y']
    """
    columns = _features(x, known)
    if y is None:
        return columns
    target = np.asarray(y)
    if target.ndim == 2 and target.shape[1] == 1:
        target = target[:, 0]
    if target.ndim != 1 or len(target) != len(columns[0].values):
        raise DataError(
            f"y: shape {np.shape(y)} does not fit {len(columns[0].values)} rows of x; give one value a row"
        )
    if any(column.name == ARRAY_TARGET for column in columns):
        raise DataError(f"x has a column named {ARRAY_TARGET!r}, the name that the target gets; rename it")
    return [*columns, array_column(ARRAY_TARGET, target, Writing("text"))]


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """How one example of an array of images is arranged; () where the array is no images.

    Args:
        shape: [rows, height, width], or with channels last; or channels, 1 or 3, first.

    Returns:
        (height, width), or (height, width, channels) with more than one channel.

    Example:
        >>> image_shape((60, 28, 28)), image_shape((60, 3, 32, 24)), image_shape((60, 28, 28, 1))
        ((28, 28), (32, 24, 3), (28, 28))
    """
    if len(shape) not in (3, 4) or 0 in shape:
        return ()
    example = shape[1:]
    if _channels_first(shape):
        example = (*example[1:], example[0])
    return example[:2] if len(example) == 3 and example[2] == 1 else example


def pixel_names(shape: tuple[int, ...]) -> list[str]:
    """The names of the inputs of an image: pixel_0_0, pixel_0_1, … by row and column (and channel)."""
    return ["pixel_" + "_".join(map(str, place)) for place in np.ndindex(*shape)]


def array_column(name: str, values: np.ndarray, known: Writing | None = None) -> RawColumn:
    """The raw column that a one-dimensional array is.

    Args:
        name: its name.
        values: [rows]: booleans, numbers, dates or text.
        known: what is known of its cells.

    Returns:
        The column.

    Raises:
        DataError: if the array is not one-dimensional.
    """
    if values.ndim != 1:
        raise DataError(f"column {name!r} has shape {values.shape}; give one value a row")
    if values.dtype.kind == "b":
        return RawColumn(name, "boolean", values.astype(np.float64))
    if values.dtype.kind in "iuf":
        return number_column(name, values.astype(np.float64))
    if values.dtype.kind == "M":
        return RawColumn(name, "date", _days(values))
    if values.dtype.kind == "m":
        return RawColumn(name, "number", _seconds(values))
    if values.dtype.kind in "USO":
        return read_texts(name, clean_text(values.tolist()), known)
    return unsupported(name, len(values), f"its values are of type {values.dtype}")


def _known(known: Mapping[str, Writing] | None, name: str) -> Writing | None:
    return None if known is None else known.get(name)


def _features(x: Any, known: Mapping[str, Writing] | None) -> list[RawColumn]:
    if isinstance(x, Mapping) or is_frame(x):
        return read_frame(x, known)
    try:
        array = _dense(x) if hasattr(x, "toarray") and hasattr(x, "nnz") else np.asarray(x)
    except ValueError as error:
        raise DataError(f"x is no array: {error}; give rows of one length") from None
    if array.ndim == 1:
        array = array[:, None]
    shape = image_shape(array.shape)
    names = pixel_names(shape) if shape else None
    if shape:
        array = np.moveaxis(array, 1, -1) if _channels_first(array.shape) else array
        array = array.reshape(len(array), -1)
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(
            f"x: shape {array.shape} is no table; give [rows, features], or images [rows, height, width] "
            "or [rows, height, width, channels], with at least one of each"
        )
    names = names or [f"x{place}" for place in range(array.shape[1])]
    if array.dtype in (np.uint8, np.float32):
        # One transposed copy: each column lies in one piece, and is as small as it came.
        rows = np.ascontiguousarray(array.T)
        if array.dtype == np.float32:
            rows[np.isinf(rows)] = np.nan
        return [RawColumn(name, "number", row) for name, row in zip(names, rows, strict=True)]
    return [array_column(name, array[:, place], _known(known, name)) for place, name in enumerate(names)]


def _channels_first(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 2, 3, 4)


def _dense(matrix: Any) -> np.ndarray:
    """A SciPy sparse matrix with its zeros written out."""
    size = 8 * math.prod(matrix.shape)
    if size > _MOST_DENSE:
        raise DataError(
            f"x is a sparse matrix whose dense form takes {size / 2**30:.1f} GiB; at most "
            f"{_MOST_DENSE >> 30} GiB: keep fewer columns or project them "
            "(sklearn.decomposition.TruncatedSVD)"
        )
    return matrix.toarray()


def _check_unique(names: list[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(
            f"column {repeated[0]!r} occurs more than once in the data frame; give each column its own name"
        )


def is_frame(candidate: Any) -> bool:
    """Whether something is a data frame that narwhals knows."""
    if isinstance(candidate, np.ndarray):
        return False
    import narwhals as nw  # here and below, for most sources are no frames and need not wait for it

    wrapped = nw.from_native(_as_table(candidate), pass_through=True)
    return isinstance(wrapped, (nw.DataFrame, nw.LazyFrame))


def _as_table(frame: Any) -> Any:
    """A record batch of Arrow, which narwhals does not know, as a table; anything else as it is."""
    import narwhals as nw

    arrow = nw.dependencies.get_pyarrow()
    if arrow is None or not isinstance(frame, arrow.RecordBatch):
        return frame
    return arrow.Table.from_batches([frame])


def _series(frame: Any) -> list[tuple[str, Any]]:
    import narwhals as nw

    levels = getattr(getattr(frame, "columns", None), "nlevels", 1)
    if levels > 1:
        raise DataError(
            f"the columns of the data frame have {levels} levels; give each one name "
            "(frame.columns = frame.columns.map('_'.join))"
        )
    _check_unique([str(name) for name in getattr(frame, "columns", ())])
    try:
        wrapped = nw.from_native(_as_table(frame))
    except TypeError:
        raise UsageError(
            f"source of type {type(frame).__name__!r} is no data; "
            "give a bundled name, a path, a data frame or (x, y) arrays"
        ) from None
    except (nw.exceptions.NarwhalsError, ValueError) as error:
        raise DataError(f"the data frame cannot be read: {str(error).splitlines()[0]}") from None
    try:
        eager = wrapped.collect() if isinstance(wrapped, nw.LazyFrame) else wrapped
        names = [name for name in eager.columns if not re.fullmatch(UNNAMED_INDEX, str(name))]
        return [(name, eager.get_column(name)) for name in names]
    except (nw.exceptions.NarwhalsError, ImportError, ValueError) as error:
        raise DataError(f"the data frame cannot be read: {str(error).splitlines()[0]}") from None


def _series_column(name: str, series: Any, known: Writing | None) -> RawColumn:
    import narwhals as nw

    kind = series.dtype
    if kind.is_numeric():
        return number_column(name, _floats(series))
    if kind == nw.Boolean:
        cells = [np.nan if _absent(value) else float(value) for value in series.to_list()]
        return RawColumn(name, "boolean", np.array(cells, dtype=np.float64))
    if kind == nw.Date or kind == nw.Datetime:
        if kind == nw.Datetime and kind.time_zone is not None:
            series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        values = np.array(
            [None if _absent(v) else np.datetime64(v) for v in series.to_list()], dtype="datetime64[us]"
        )
        return RawColumn(name, "date", _days(values))
    if kind == nw.Duration:
        spans = [None if _absent(v) else np.timedelta64(v) for v in series.to_list()]
        return RawColumn(name, "number", _seconds(np.array(spans, dtype="timedelta64[us]")))
    if kind == nw.Time:
        return RawColumn(name, "number", np.array([_clock_seconds(v) for v in series.to_list()]))
    if kind == nw.Categorical or kind == nw.Enum:
        # Declared categories stay categories, even where each is written as a number.
        return RawColumn(name, "text", clean_text(_label(value) for value in series.to_list()))
    if kind in (nw.String, nw.Object, nw.Unknown):
        return read_texts(name, clean_text(series.to_list()), known)
    return unsupported(name, len(series), f"its values are of type {kind}")


def _floats(series: Any) -> np.ndarray:
    import narwhals as nw

    values = series.cast(nw.Float64).to_numpy()
    if values.dtype == np.float64:
        return values
    return np.array(
        [np.nan if _absent(value) else float(value) for value in series.to_list()], dtype=np.float64
    )


def _label(value: Any) -> Any:
    """A category as its text: a whole number without a point, as the file readers write it."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return as_texts(RawColumn("", "number", np.array([value], dtype=np.float64)))[0]
    return value


def _absent(value: Any) -> bool:
    return value is None or str(value) in ("NaT", "<NA>", "nan")


def _seconds(spans: np.ndarray) -> np.ndarray:
    microseconds = spans.astype("timedelta64[us]")
    return np.where(np.isnat(microseconds), np.nan, microseconds.astype(np.int64) / 1e6)


def _clock_seconds(time: Any) -> float:
    if _absent(time):
        return np.nan
    return 3600.0 * time.hour + 60.0 * time.minute + time.second + time.microsecond / 1e6


def _days(values: np.ndarray) -> np.ndarray:
    microseconds = values.astype("datetime64[us]")
    days = microseconds.astype(np.int64) / 86_400e6
    return np.where(np.isnat(microseconds), np.nan, days)
