"""Studies on rows that stay on disk. Oracles: the same study in memory, shown its rows in the same order; a run
that was not broken off."""

import json
import os
import signal
from pathlib import Path

import duckdb
import numpy as np
import pytest

import fathom as fm
from broken_off import Killed, killed_at
from fathom import process
from fathom.cli.main import run as command
from fathom.data.stream import load as stream_load
from fathom.engine import cohort
from fathom.errors import UsageError
from fathom.models import MLP, Linear

from .conftest import in_a_process_of_its_own

ROWS = 2000  # 400 for the test, 400 for validation, 1200 to train on: four windows of six batches of 50
QUERY = """
    SELECT sin(range) AS a, cos(range * 7) AS b, CASE WHEN range % 9 = 0 THEN NULL ELSE sin(range * 3) END AS c,
        'k' || (range % 4) AS kind, CASE WHEN sin(range) + cos(range * 7) > 0.1 THEN 'up' ELSE 'down' END AS y
    FROM range({rows})
"""
RECIPE = {"learning_rate": [0.003, 0.03], "epochs": 3, "batch_size": 50}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FATHOM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "table.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY ({QUERY.format(rows=ROWS)}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 512)"
        )
    return path


def study(path, models=None, stream=True, **more):
    models = models or [MLP(width=8, depth=1), Linear()]
    more = {"window_rows": 300, **more} if stream else more
    return fm.Study(fm.load(path, "y", stream=stream), models, fm.Recipe(**RECIPE), folds=1, **more)


def outcome(result, folder):
    """Everything that a run found, but for times and places."""
    lines = [json.loads(line) for line in (folder / "members.jsonl").read_text().splitlines()]
    summary = result.summary()
    # In memory one cohort trains after the other; on windows they take turns.
    lines.sort(
        key=lambda line: (line["event"], line.get("member", line.get("index", 0)), line.get("epoch", 0))
    )
    return summary["test"]["metrics"], summary["chosen"], lines


@pytest.fixture(scope="module")
def whole(table, tmp_path_factory):
    """The streamed study, run to its end."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    made, events = study(table), []
    result = made.run(folder, callbacks=[events.append], save_every=0, baselines=False)
    return made, result, folder, events


def shown(streamed, resident):
    """The order of an epoch of the streamed study, as rows of the study in memory."""
    examples = resident.inputs.feed.examples
    place = {row.tobytes(): index for index, row in enumerate(examples["x"][0])}
    assert len(place) == len(examples["x"][0])
    feed, blank = streamed.feed, resident.inputs.feed.blank

    def order(host, seed, fold, epoch, length):
        found = []
        for number in range(epoch * feed.calls, (epoch + 1) * feed.calls):
            arrays = {n: np.zeros((feed.call_rows, *a.shape[2:]), a.dtype) for n, a in examples.items()}
            feed.windows.fill(number, arrays)
            rows = np.array([place[row.tobytes()] for row in arrays["x"][: feed.windows.count(number)]])
            rows = np.append(rows, np.full(feed.call_rows + 1 - len(rows), blank))
            found.append(rows[feed.windows.order(number, length // feed.calls)])
        return np.concatenate(found).astype(np.int32)

    return order


def test_the_same_results_as_in_memory_in_the_same_order(whole, table, tmp_path, monkeypatch):
    _, result, folder, _ = whole
    streamed, resident = study(table).streaming, study(table, stream=False)
    streamed.prepare(tmp_path, lambda share: None)
    assert (streamed.feed.calls, streamed.feed.steps(50)) == (4, resident.inputs.feed.steps(50))
    monkeypatch.setattr(cohort, "epoch_order", shown(streamed, resident))
    in_memory = resident.run(tmp_path / "run", baselines=False)
    theirs, ours = outcome(in_memory, tmp_path / "run"), outcome(result, folder)
    assert ours[:2] == theirs[:2]
    for line, other in zip(ours[2], theirs[2], strict=True):
        # The mean over an epoch's steps is a mean of means of windows, which rounds otherwise.
        rounded = {name for name in line if name.startswith("train_")}
        assert {n: line[n] for n in line if n not in rounded} == {
            n: other[n] for n in other if n not in rounded
        }
        assert [line[n] for n in rounded] == pytest.approx([other[n] for n in rounded], rel=1e-6)


def test_what_is_told_and_left_behind(whole):
    made, result, folder, events = whole
    assert not (folder / "stream").exists() and not (folder / "state").exists()
    data = result.summary()["data"]
    assert (data["rows"], data["train_rows"], data["test_rows"]) == (2000, [1200], 400)
    assert "an epoch reads the whole file in 4 windows of 300 rows" in "".join(data["notes"])
    kinds = [event["event"] for event in events]
    assert kinds.index("data") < kinds.index("shuffle") < kinds.index("plan") < kinds.index("window")
    assert set(result.summary()["seconds"]) >= {"shuffle", "train"}
    assert result.summary()["test"]["score"] > 0.8
    assert made.streaming.settings == {"stream": True, "window_rows": 300, "epoch_rows": 1200}


@pytest.mark.parametrize("window", [1, 6])
def test_resumed_at_a_window(window, whole, table, tmp_path):
    _, result, folder, _ = whole
    run = tmp_path / "run"
    with pytest.raises(Killed):
        study(table).run(run, callbacks=[killed_at("window", window)], save_every=0, baselines=False)
    assert (run / "stream" / "rows.json").is_file()
    told = []
    resumed = fm.resume(run, [told.append], data=fm.load(table, "y", stream=True))
    assert "shuffle" not in [event["event"] for event in told]  # the rows on disk were taken as they were
    assert outcome(resumed, run) == outcome(result, folder)


VICTIM = """
import os, signal, sys
from pathlib import Path
from tests.study.test_streaming import study
def kill(event):
    if event["event"] == "shuffle" and event["share"] == 1.0:
        os.kill(os.getpid(), signal.SIGKILL)
study(Path(sys.argv[1])).run(sys.argv[2], callbacks=[kill], baselines=False)
"""


def test_killed_while_shuffling(whole, table, tmp_path):
    _, result, folder, _ = whole
    ran = in_a_process_of_its_own(VICTIM, table, tmp_path / "run", cwd=tmp_path)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    resumed = fm.resume(tmp_path / "run", data=fm.load(table, "y", stream=True))
    assert outcome(resumed, tmp_path / "run") == outcome(result, folder)


def test_without_a_folder_nothing_is_left(table):
    result = study(table, Linear(), epoch_rows=600).run(baselines=False)
    assert result.summary()["test"]["rows"] == 400
    assert not list((Path(os.environ["FATHOM_CACHE"]) / "streams").glob("*/rows.bin"))


def test_a_file_too_large_is_streamed_by_itself(table, tmp_path, monkeypatch):
    assert study(table, stream=None).streaming is None
    monkeypatch.setattr(stream_load, "_memory", lambda: 100_000)
    csv = tmp_path / "table.csv"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{table}') TO '{csv}'")
    assert study(table, stream=None, window_rows=300).streaming is not None
    settings = {"data": str(csv), "target": "y", "model": {"name": "linear"}, "epoch_rows": 500}
    made = fm.Study.from_settings({**settings, "window_rows": 250})
    again = fm.Study.from_settings(made.to_settings())
    assert made.streaming.settings == again.streaming.settings
    assert again.streaming.per_epoch == 2 and again.recipe.epochs == made.recipe.epochs >= 3


def test_fit_and_predict_from_the_command_line(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "configure", lambda **together: None)  # the process belongs to the tests
    sets = ["samples=1", "recipe.epochs=2", "window_rows=400", "baselines=false"]
    options = ["--model", "linear", *(part for change in sets for part in ("--set", change))]
    assert command(["fit", str(table), "--target", "y", "--stream", *options, "--out", "run", "--quiet"]) == 0
    assert command(["predict", "run", str(table), "--out", "whole.csv", "--quiet"]) == 0
    monkeypatch.setattr(stream_load, "_memory", lambda: 100_000)
    monkeypatch.setattr("fathom.study.predictor.STRETCH", 512)
    for name in ("parts.csv", "parts.parquet"):
        assert command(["predict", "run", str(table), "--out", name, "--quiet"]) == 0
    with duckdb.connect() as connection:
        whole, *parts = (
            connection.execute(f"FROM '{tmp_path / name}'").fetchnumpy()
            for name in ("whole.csv", "parts.csv", "parts.parquet")
        )
    for found in parts:
        assert list(found) == list(whole)
        assert (found.pop("prediction") == whole["prediction"]).all()
        for name, column in found.items():
            np.testing.assert_allclose(column, whole[name], rtol=2e-5)


TWINS = """
    SELECT a, kind, y FROM (SELECT sin(i) AS a, 'k' || (i % 4) AS kind, copy,
        CASE WHEN sin(i) > (i % 5) / 5 THEN 'up' WHEN i % 50 = 7 AND copy > 0 THEN NULL ELSE 'down' END AS y
        FROM (SELECT range AS i FROM range(700)), (SELECT range AS copy FROM range(4)) WHERE i % 3 > 0 OR copy = 0)
    ORDER BY hash(a * 1000 + copy)
"""


def shown_rows(streaming, folder):
    """Every row that a pass of the windows shows, inputs as bytes."""
    streaming.prepare(folder, lambda share: None)
    feed, found = streaming.feed, []
    for number in range(streaming.shuffling.windows):
        arrays = {n: np.zeros((feed.call_rows, *a.shape[2:]), a.dtype) for n, a in feed.examples.items()}
        feed.windows.fill(number, arrays)
        found += [row.tobytes() for row in arrays["x"][: feed.windows.count(number)]]
    return found


def test_copies_of_a_test_row_are_not_trained_on(tmp_path):
    # Oracle: the inputs of all rows, and SQL that counts the rows of the file whose cells no row held out has.
    path = tmp_path / "twins.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({TWINS}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 512)")
        data = stream_load.load_stream(str(path), "y", resident=400)
        made = fm.Study(data, Linear(), fm.Recipe(epochs=1), window_rows=300, keep_duplicates_together=True)
        held = np.concatenate([made.split.test, made.split.validation[0]])
        places = data.places[held].tolist()
        (expected,), (labeled,) = connection.execute(
            f"""WITH held AS (SELECT a, kind FROM '{path}' WHERE file_row_number IN (SELECT unnest($1::BIGINT[])))
                SELECT count(*) FROM '{path}' AS t ANTI JOIN held USING (a, kind) WHERE y IS NOT NULL
                UNION ALL SELECT count(y) FROM '{path}'""",
            [places],
        ).fetchall()
    trained = shown_rows(made.streaming, tmp_path / "shuffled")
    inputs = {row.tobytes() for row in made.inputs.encoders[0].encode(data.table.take(held))}
    assert not inputs & set(trained)
    assert (len(trained), made.training_rows) == (expected, [expected])
    assert expected > len(data) - len(held) and labeled == data.labeled
    more = labeled - len(held) - expected
    assert more > 100
    assert f"{more:,} more rows of the file have the cells of a test or validation row" in made.streaming.note
    assert f"of the {len(data)} rows in memory have a twin among them" in "".join(made.split.notes)
    apart = fm.Study(data, Linear(), fm.Recipe(epochs=1), window_rows=300)
    tested = apart.inputs.encoders[0].encode(data.table.take(apart.split.test))
    assert {row.tobytes() for row in tested} & set(shown_rows(apart.streaming, tmp_path / "apart"))
    assert "more rows" not in apart.streaming.note
    assert "those that stay in the file are not counted" in "".join(apart.split.notes)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"folds": 3}, "folds=3: data that is streamed has one division"),
        ({"window_rows": 0}, "window_rows=0 is not allowed"),
        ({"epoch_rows": -3}, "epoch_rows=-3 is not allowed"),
    ],
)
def test_what_cannot_be_is_refused(table, more, said):
    with pytest.raises(UsageError, match=said):
        fm.Study(fm.load(table, "y", stream=True), Linear(), **more)


def test_windows_are_for_streams(table):
    with pytest.raises(UsageError, match="window_rows and epoch_rows are for data that is streamed"):
        study(table, stream=False, window_rows=300)
    with pytest.raises(UsageError, match="columns: 'kind' is 'group', which needs every row in memory"):
        fm.load(table, "y", stream=True, columns={"kind": "group"})
    with pytest.raises(UsageError, match="stream=True is for one file alone"):
        fm.load(table, "y", stream=True, test=table)
