"""Nothing of validation and test rows reaches what is fitted, and copies and groups do not carry answers across.

Oracles: the same fit on data whose other rows are wildly different; and planted data in which a leak, made on purpose
here, scores high while an honest fit can only guess.
"""

import dataclasses

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

import fathom as fm
from fathom.data import SCALINGS, load, make_split
from fathom.models import MLP
from fathom.study.inputs import Inputs

ROWS = 120


def every_kind(seed=0, wild=None):
    """Columns of every kind; the rows `wild` are of another world, the schema is that of the tame ones."""
    draw = np.random.default_rng(seed)
    count = draw.normal(size=ROWS)
    gaps = np.where(draw.random(ROWS) < 0.2, np.nan, draw.gamma(1.0, size=ROWS))
    day = np.datetime64("2020-01-01") + draw.integers(0, 900, ROWS).astype("timedelta64[D]")
    word = draw.choice(["p", "q", "r"], ROWS).astype(object)
    columns = {"count": count, "gaps": gaps, "sum": count + gaps, "day": day, "word": word}
    target = draw.normal(size=ROWS)
    schema = load({**columns, "y": target}, "y").schema
    if wild is not None:
        columns["count"][wild] = 1e6 * draw.normal(size=len(wild))
        columns["gaps"][wild] = np.nan
        columns["sum"][wild] = -1e9
        columns["day"][wild] = np.datetime64("1875-05-05")
        columns["word"][wild] = "never seen"
        target[wild] = 1e7
    return load({**columns, "y": target}, "y", like=schema)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_what_is_fitted_depends_on_the_training_rows_of_its_fold_alone(scaling):
    tame = every_kind()
    split = make_split(tame, folds=3)
    expected = Inputs.of(tame, split, scaling)
    place = {row: index for index, row in enumerate(expected.rows.tolist())}
    for fold, train in enumerate(split.train):
        others = np.setdiff1d(np.arange(ROWS), train)
        found = Inputs.of(every_kind(wild=others), split, scaling)
        ours, theirs = (inputs.encoders[fold].arrays() for inputs in (found, expected))
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
        rows = [place[row] for row in train.tolist()]
        for name in ("x", "y"):
            mine, others_too = found.feed.examples[name][fold], expected.feed.examples[name][fold]
            np.testing.assert_array_equal(mine[rows], others_too[rows])
        assert np.isfinite(found.feed.examples["x"][fold]).all()


def test_a_category_absent_from_a_folds_training_rows():
    draw = np.random.default_rng(0)
    columns = {"x": draw.normal(size=ROWS), "word": draw.choice(["p", "q"], ROWS).astype(object)}
    columns["y"] = np.where(columns["x"] > 0, "yes", "no")
    split = make_split(load(columns, "y"), folds=3)
    columns["word"][split.validation[1]] = "only here"
    data = load(columns, "y")
    inputs = Inputs.of(data, split)
    shapes = [{name: array.shape for name, array in e.arrays().items()} for e in inputs.encoders]
    assert shapes[0] == shapes[1] == shapes[2]
    assert len({encoder.features for encoder in inputs.encoders}) == 1
    study = fm.Study(data, MLP(width=8, depth=1), fm.Recipe(learning_rate=0.01, epochs=8), folds=3)
    assert all(np.array_equal(a, b) for a, b in zip(study.split.train, split.train, strict=True))
    result = study.run(baselines=False)
    assert result.summary()["validation"]["score"] > 0.7
    assert len(result.best.predict({"x": [1.0, -1.0], "word": ["only here", "nowhere"]})) == 2


def test_answers_planted_in_noise_are_not_found():
    """Words of two rows each, labels by chance: the mean label of a word over all rows tells most of the answers."""
    draw = np.random.default_rng(0)
    rows = 400
    word = draw.permutation(np.repeat([f"w{number}" for number in range(rows // 2)], 2))
    label = draw.permutation(rows) % 2
    columns = {"word": word, "x": draw.normal(size=rows), "y": np.where(label, "yes", "no")}
    mean = {name: label[word == name].mean() for name in set(word.tolist())}
    leaky = np.array([mean[name] for name in word.tolist()]) > 0.5
    assert (leaky == label).mean() > 0.7
    recipe = fm.Recipe(learning_rate=0.01, epochs=10)
    result = fm.Study(load(columns, "y"), MLP(width=16, depth=1), recipe, folds=4).run(baselines=False)
    assert result.summary()["test"]["score"] < 0.65
    assert result.summary()["validation"]["score"] < 0.65  # the best of ten epochs is a little above chance


def nearest(data, split):
    """What a classifier that only remembers gets right among the test rows."""
    rest = np.setdiff1d(np.arange(len(data)), split.test)
    model = KNeighborsClassifier(1).fit(data.table.numeric[rest], data.target[rest])
    return model.score(data.table.numeric[split.test], data.target[split.test])


def test_copies_and_groups_give_nothing_away():
    """Labels by chance, copied with their rows: remembering scores high unless twins are kept on one side."""
    draw = np.random.default_rng(0)
    source = np.repeat(np.arange(100), 4)
    cells, label = (
        draw.normal(size=(100, 3))[source],
        np.where(draw.permutation(100) % 2, "yes", "no")[source],
    )
    data = load({"a": cells[:, 0], "b": cells[:, 1], "c": cells[:, 2], "y": label}, "y")
    assert nearest(data, make_split(data)) > 0.95
    assert nearest(data, make_split(data, duplicates=True)) < 0.7
    noisy = cells + 0.001 * draw.normal(size=cells.shape)  # no copies any more, but groups
    data = load({"a": noisy[:, 0], "b": noisy[:, 1], "c": noisy[:, 2], "y": label}, "y")
    assert nearest(data, make_split(data)) > 0.95
    grouped = dataclasses.replace(data, group=source)
    assert nearest(grouped, make_split(grouped)) < 0.7


def test_a_study_keeps_copies_together_and_says_so():
    draw = np.random.default_rng(0)
    cells = draw.normal(size=60)[np.arange(90) % 60]
    data = load({"a": cells, "y": np.arange(90) % 2}, "y")
    options = {"recipe": fm.Recipe(epochs=1), "folds": 2}
    study = fm.Study(data, MLP(width=4), keep_duplicates_together=True, **options)
    assert any(
        "60 rows have a twin with the same cells; twins are kept" in note for note in study.split.notes
    )
    assert study.to_settings()["keep_duplicates_together"] is True
    again = fm.Study.from_settings(study.to_settings(), data)
    np.testing.assert_array_equal(again.split.test, study.split.test)
    apart = fm.Study(data, MLP(width=4), **options)
    assert any("--keep-duplicates-together" in note for note in apart.split.notes)
    assert "keep_duplicates_together" not in apart.to_settings()
