"""Any table either fits or says in one sentence why not.

The oracle is the promise itself: a case ends with finite predictions of a saved model, one a row, or with a
`FathomError` of one short sentence. Any other exception, any warning and any wait is a failure. A case is drawn from
its number alone: `FATHOM_FUZZ=17,23 pytest tests/fuzz -k chosen` repeats two.
"""

import datetime
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import fathom as fm
from fathom.data.read.tables import read_file
from fathom.errors import FathomError
from fathom.models import MLP, Tabular

from .tables import CASES, FITTED_CELLS, Case, Sheet, TextStyle, make_case, size_of

# A case may take so many seconds of the processor, and of the clock.
_LIMITS = ((signal.ITIMER_PROF, signal.SIGPROF, 120), (signal.ITIMER_REAL, signal.SIGALRM, 1200))
_MOST_CHARACTERS = 600
_SMALL = 30_000  # cells
_DELIMITERS = (",", ";", "\t", "|", "^", "~", "\x01")
_PLAIN = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_INTERNALS = re.compile(r"Traceback|<class|<function| object at 0x|Error:|__\w+__|\bnumpy\.|\bdtype\(")


@dataclass(frozen=True)
class Outcome:
    """How a case ended: "fitted", "planned" or "refused"; where it was refused, at what and with which sentence."""

    word: str
    said: str = ""
    at: str = ""


def attempt(case: Case, folder: Path) -> Outcome:
    """Open, look at, divide, encode and plan a table, and at times train on it, save, load and predict."""
    at = "load"
    try:
        data = fm.load(case.source, **case.arguments)
        if case.written is not None:
            check_cells(case.source, *case.written)
        at = "suspicions"
        assert all(isinstance(str(suspicion), str) for suspicion in data.suspicions)
        at = "study"
        model = Tabular(width=16, depth=1, size=2) if case.number % 2 else MLP(width=8, depth=1)
        settings = dict(case.settings)
        if data.time is not None or data.part is not None:
            settings["folds"] = 1
        study = fm.Study(data, model, fm.Recipe(learning_rate=0.01, epochs=1), **settings)
        features = study.inputs.encoders[0].features
        assert np.isfinite(study.inputs.feed.examples["x"]).all(), "an input is not finite"
        study.plan()
        if not case.fits or features * len(data) > 10 * FITTED_CELLS:
            return Outcome("planned")
        at = "run"
        study.run(folder / "run", baselines=case.number % 5 == 0)
        at = "predict"
        model = fm.load_model(folder / "run")
        check_predictions(model, model.predict(case.head), case.head_rows)
        return Outcome("fitted")
    except FathomError as error:
        said = str(error)
        assert len(said) < _MOST_CHARACTERS, f"{len(said)} characters: {said[:300]} ... {said[-200:]}"
        assert not _BREAKS.search(said), f"not one line: {said!r}"
        assert not _INTERNALS.search(said), said
        return Outcome("refused", said, at)


def check_cells(path: Path, sheet: Sheet, style: TextStyle) -> None:
    """Every column that was written is there, and the plain numbers read are the numbers written."""
    if style.delimiter not in _DELIMITERS:  # with a rarer one, some files say something else
        return
    columns = read_file(path)
    assert len(columns) == len(sheet.names) + style.trailing, [column.name[:40] for column in columns]
    header = len(columns[0].values) == sheet.rows
    for column, cells in zip(columns, sheet.columns, strict=False):
        if not header or column.kind != "number" or {type(value) for value in cells.pool} != {float}:
            continue
        texts = cells.texts("").tolist()
        if all(_PLAIN.fullmatch(text) for text in texts if text):
            numbers = np.array([float(text or "nan") for text in texts])
            same = np.isnan(numbers) | ~np.isfinite(numbers) | (numbers == column.values)
            assert same.all(), f"{column.name!r:.40}: {column.values[~same][:3]} was {numbers[~same][:3]}"


def check_predictions(model, found: np.ndarray, rows: int) -> None:
    """One finite number or one class a row."""
    assert len(found) == rows
    if model.task.kind == "classification":
        assert set(found) <= set(model.task.classes)
    else:
        assert np.isfinite(found).all()


def run_case(number: int, folder: Path) -> Outcome:
    """A case from its number, under a limit on its time."""

    def stop(number, _):
        raise TimeoutError(f"it takes too long ({signal.Signals(number).name})")

    case = make_case(number, folder)
    before = [signal.signal(name, stop) for _, name, _ in _LIMITS]
    for clock, _, seconds in _LIMITS:
        signal.setitimer(clock, seconds)
    try:
        return attempt(case, folder)
    finally:
        for (clock, name, _), handler in zip(_LIMITS, before, strict=True):
            signal.setitimer(clock, 0)
            signal.signal(name, handler)


def sample(day: int) -> list[int]:
    """Twenty small cases, others every day, three of which train."""
    order = np.random.default_rng(day).permutation(CASES).tolist()
    small = [number for number in order if np.prod(size_of(number)[:2]) <= _SMALL]
    fitted = [number for number in small if size_of(number)[2]][:3]
    return [*fitted, *[number for number in small if not size_of(number)[2]][:17]]


TODAY = int(os.environ.get("FATHOM_FUZZ_DAY", datetime.date.today().toordinal()))


@pytest.mark.parametrize("number", sample(TODAY))
def test_tables_of_the_day(number, tmp_path):
    print(f"repeat with FATHOM_FUZZ={number} pytest tests/fuzz -k chosen; the day is FATHOM_FUZZ_DAY={TODAY}")
    run_case(number, tmp_path)


@pytest.mark.parametrize("number", [int(n) for n in os.environ.get("FATHOM_FUZZ", "").split(",") if n])
def test_chosen_tables(number, tmp_path):
    outcome = run_case(number, tmp_path)
    print(outcome)


@pytest.fixture(scope="module")
def words():
    """How each case ended."""
    return []


@pytest.mark.slow
@pytest.mark.parametrize("number", range(CASES))
def test_every_table(number, tmp_path, words):
    words.append(run_case(number, tmp_path).word)


@pytest.mark.slow
def test_the_tables_are_not_all_refused(words):
    if len(words) == CASES:
        assert words.count("fitted") > CASES / 5
        assert words.count("refused") < 0.6 * CASES
