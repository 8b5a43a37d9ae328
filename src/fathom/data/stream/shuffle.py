"""The training rows of a file, encoded and shuffled once into groups on disk, to be read back in windows.

Rows are dealt to groups so that every group is a sample of the whole file; a window is a few groups. Each pass
over the data puts the groups in another order, so that windows hold other rows each time. Everything that is
drawn follows from the seed, the number of the stretch and the number of the pass.
"""

import concurrent.futures
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError
from ..dataset import build_table, build_target
from ..encode import Encoder
from ..read.columns import RawColumn, as_texts
from ..roles import row_weights
from .pack import Format, Unfit
from .source import TableSource

_GROUPS = 8  # of a window
_LEAST_GROUP = 256  # rows; smaller ones would only make more of them
_DEALING, _PASSES = 1 << 62, 1 << 61  # keep what is drawn for one thing apart from all else
_ROWS, _ABOUT = "rows.bin", "rows.json"

Tell = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Shuffling:
    """What is to be shuffled, and how.

    Attributes:
        source: the file.
        encoder: turns its cells into inputs; fitted already.
        left_out: int64, rows of the file that are not for training, ascending.
        labeled: rows of the file that have a target.
        window_rows: about how many rows a window shall have.
        seed: decides which row goes where.
        weight_scale: what a row's weight is multiplied by.
    """

    source: TableSource
    encoder: Encoder
    left_out: np.ndarray
    labeled: int
    window_rows: int
    seed: int
    weight_scale: float = 1.0

    @property
    def rows(self) -> int:
        """Rows to train on; a few less where some are of a class that no row in memory is of."""
        return self.labeled - len(self.left_out)

    @property
    def windows(self) -> int:
        """Windows of a pass over the data."""
        return max(1, -(-self.rows // self.window_rows))

    @property
    def window_groups(self) -> int:
        """Groups of a window."""
        return max(1, min(_GROUPS, self.window_rows // _LEAST_GROUP))

    @property
    def groups(self) -> int:
        """Groups in all."""
        return self.windows * self.window_groups

    @property
    def group_rows(self) -> int:
        """The most rows of a group."""
        return -(-self.rows // self.groups)

    def shuffle(self, folder: Path, tell: Tell = lambda share: None) -> "Shuffled":
        """Write the groups to a folder, or take those that an earlier run wrote there whole.

        Args:
            folder: where; made if it is not there.
            tell: called with the share of the file that is done.

        Raises:
            DataError: if a cell of the file does not fit the schema.
        """
        folder.mkdir(parents=True, exist_ok=True)
        about = folder / _ABOUT
        if about.is_file():
            written = json.loads(about.read_text(encoding="utf-8"))
            if written["digest"] == self.digest:
                return Shuffled(self, folder / _ROWS, Format.from_dict(written["format"]), written["rows"])
        about.unlink(missing_ok=True)
        start, stop = self.source.stretches()[0]
        first = Format.of(self._encoded(start, self.source.read(start, stop, self._names)))
        while True:
            try:
                rows = self._write(folder / _ROWS, first, tell)
                break
            except Unfit as unfit:  # an input that was 0 or 1 in the first rows is something else further on
                first = first.widened(unfit.places)
        part = about.with_suffix(".part")
        part.write_text(json.dumps({"digest": self.digest, "rows": rows, "format": first.to_dict()}))
        part.replace(about)
        return Shuffled(self, folder / _ROWS, first, rows)

    @functools.cached_property
    def digest(self) -> str:
        """What tells whether groups on disk are these."""
        schema = json.dumps(self.encoder.schema.to_dict(), sort_keys=True)
        plain = [
            self.source.identity,
            schema,
            repr(self.encoder.scaling),
            self.labeled,
            self.window_rows,
            self.seed,
            self.weight_scale,
        ]
        digest = hashlib.sha256(json.dumps(plain).encode())
        for array in (*self.encoder.arrays().values(), self.left_out):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def _names(self) -> set[str]:
        schema, weight = self.encoder.schema, self.encoder.schema.role("weight")
        more = {weight.name} if weight is not None else set()
        return {column.name for column in schema.columns} | {schema.target.name} | more

    def _write(self, path: Path, form: Format, tell: Tell) -> int:
        stretches, done, group_bytes = self.source.stretches(), 0, self.group_rows * form.width
        read = functools.partial(self.source.read, names=self._names)
        with path.open("wb", buffering=0) as file, concurrent.futures.ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(read, *stretches[0])
            for number, (start, stop) in enumerate(stretches):
                columns = coming.result()
                if number + 1 < len(stretches):
                    coming = ahead.submit(read, *stretches[number + 1])
                packed = form.pack(self._encoded(start, columns))
                draw = _generator(self.seed, _DEALING | number)
                packed = packed[draw.permutation(len(packed))]
                for group in range(min(self.groups, len(packed))):
                    place, which = divmod(done + group, self.groups)
                    file.seek(which * group_bytes + place * form.width)
                    file.write(packed[group :: self.groups].tobytes())
                done += len(packed)
                tell(stop / self.source.rows)
        return done

    def _encoded(self, start: int, columns: list[RawColumn]) -> dict[str, np.ndarray]:
        """The training rows of a stretch as a network reads them."""
        schema, by_name = self.encoder.schema, {column.name: column for column in columns}
        goal = by_name[schema.target.name]
        keep = ~goal.missing()
        first, last = np.searchsorted(self.left_out, [start, start + len(keep)])
        keep[self.left_out[first:last] - start] = False
        if schema.target.categories is not None:
            keep &= _known(goal, schema.target.categories)
        by_name = {name: column.take(keep) for name, column in by_name.items()}
        try:
            table = build_table(by_name, schema)
            target = build_target(by_name[schema.target.name], schema)
        except DataError as error:
            raise DataError(f"in the rows from {start + 1:,} on: {error}") from None
        weight = np.ones(len(table))
        if (role := schema.role("weight")) is not None:
            weight = row_weights(by_name[role.name]) * self.weight_scale
        return {
            "x": self.encoder.encode(table),
            "y": self.encoder.encode_target(target).reshape(len(table)),
            "weight": weight.astype(np.float32),
        }


@dataclass(frozen=True, eq=False)
class Shuffled:
    """Groups of rows on disk.

    Attributes:
        made: how they were made.
        path: the file.
        form: how a row is written.
        rows: how many there are.
    """

    made: Shuffling
    path: Path
    form: Format
    rows: int

    def groups_of(self, window: int) -> np.ndarray:
        """The groups of a window, numbered from 0 over all passes."""
        turn, place = divmod(window, self.made.windows)
        order = _generator(self.made.seed, _PASSES | turn).permutation(self.made.groups)
        return order[place * self.made.window_groups : (place + 1) * self.made.window_groups]

    def size_of(self, groups: np.ndarray) -> np.ndarray:
        """Rows of each group."""
        return (self.rows - groups + self.made.groups - 1) // self.made.groups

    def count(self, window: int) -> int:
        """Rows of a window."""
        return int(self.size_of(self.groups_of(window)).sum())

    def fill(self, window: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the rows of a window to the beginning of arrays "x", "y" and "weight", [rows, ...]."""
        groups, done = self.groups_of(window), 0
        group_bytes = self.made.group_rows * self.form.width
        with self.path.open("rb", buffering=0) as file:
            for group, size in zip(groups.tolist(), self.size_of(groups).tolist(), strict=True):
                file.seek(group * group_bytes)
                raw = np.fromfile(file, np.uint8, size * self.form.width).reshape(size, self.form.width)
                place = slice(done, done + size)
                self.form.unpack(raw, {name: array[place] for name, array in arrays.items()})
                done += size

    def remove(self) -> None:
        """Delete the groups."""
        for file in (self.path.with_name(_ABOUT), self.path):
            file.unlink(missing_ok=True)
        self.path.parent.rmdir()


def _generator(seed: int, what: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, what], dtype=np.uint64)))


def _known(goal: RawColumn, classes: tuple[str, ...]) -> np.ndarray:
    """Which cells are one of the classes; a class so rare that no row drawn is of it is not learned."""
    texts = as_texts(goal)
    if set(texts.tolist()) - {None} <= set(classes):
        return np.ones(len(texts), bool)
    return np.isin(texts.astype(str), np.array(classes))
