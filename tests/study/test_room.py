"""Rooms of round sizes. Oracles: the study without them; what their documentation promises."""

import dataclasses

import numpy as np
import pytest

import fathom as fm
from fathom.data import load, make_split
from fathom.engine.cohort import lane_kind
from fathom.errors import UsageError
from fathom.models import MLP, FromModule
from fathom.study import inputs as of_study
from fathom.study.inputs import Inputs, room_for

RECIPE = fm.Recipe(learning_rate=[0.003, 0.03], epochs=6)


def study(**more):
    return fm.Study("iris", MLP(width=8, depth=1), RECIPE, folds=3, **more)


def test_rooms_are_at_most_a_third_larger_than_what_they_hold():
    for least in (16, 256):
        rooms = [room_for(count, least) for count in range(1, 3000)]
        assert rooms == sorted(rooms) and rooms[0] == least
        for count, room in enumerate(rooms, 1):
            assert room == least or count <= room < count * 4 / 3
    assert len({room_for(count, 256) for count in range(1, 65537)}) == 1 + 4 * 8


def test_rows_left_over_change_nothing(monkeypatch):
    """Inputs without room, so that the first weights are the same; rows, steps and validation with it."""
    monkeypatch.setattr(of_study, "_LEAST_INPUTS", 4)
    monkeypatch.setattr(of_study, "_LEAST_OTHERS", 0)
    plain, roomy = study(), study(roomy=True)
    feeds = plain.inputs.feed, roomy.inputs.feed
    kinds = [lane_kind(feed, 1, 32) for feed in feeds]
    assert (kinds[0].steps, kinds[1].steps) == (3, 8) and feeds[0].steps(32) == feeds[1].steps(32) == 3
    assert feeds[1].validation.shape[1] == 64 and feeds[1].examples["x"].shape == (3, 512, 4)
    ours, theirs = roomy.run(baselines=False), plain.run(baselines=False)
    rows = [sorted(result.table(), key=lambda row: row["member"]) for result in (ours, theirs)]
    for one, other in zip(*rows, strict=True):
        assert one["best_epoch"] == other["best_epoch"]
        for name in ("best_score", "best_loss", "last_loss"):
            assert one[name] == pytest.approx(other[name], rel=1e-4)
    x = load("iris").table.numeric
    np.testing.assert_allclose(ours.ensemble.predict_proba(x), theirs.ensemble.predict_proba(x), atol=1e-4)


def test_inputs_left_over_are_always_zero_and_are_kept_with_the_model(tmp_path):
    result = study(roomy=True).run(tmp_path / "run")
    assert result.summary()["data"]["features"] == 4
    encoder = result.ensemble.encoders[0]
    assert encoder.room == (32, 16) and encoder.filled == (4, 0)
    assert encoder.features == len(encoder.feature_names) == 48 and encoder.continuous == 32
    assert encoder.feature_names[4:] == ("",) * 44
    encoded = encoder.encode(load("iris").table)
    plain = dataclasses.replace(encoder, room=(0, 0)).encode(load("iris").table)
    np.testing.assert_array_equal(encoded[:, :4], plain)
    assert (encoded[:, 4:] == 0).all()
    x = load("iris").table.numeric
    again = fm.load_model(tmp_path / "run")
    np.testing.assert_array_equal(again.predict_proba(x), result.ensemble.predict_proba(x))
    warm = fm.Study("iris", recipe=fm.Recipe(epochs=1), folds=3, start_from=tmp_path / "run")
    assert warm.roomy and warm.run(baselines=False).ensemble.encoders[0].room == (32, 16)


def test_a_study_with_room_is_repeated_by_its_settings():
    settings = study(roomy=True).to_settings()
    assert settings["roomy"] is True and fm.Study.from_settings(settings, "iris").roomy
    assert "roomy" not in study().to_settings()


def test_without_held_out_rows_every_row_trains_and_nothing_is_fitted_on_top():
    split = make_split(load("iris"), test=0.2, folds=0)
    np.testing.assert_array_equal(split.train[0], split.validation[0])
    assert len(split.train[0]) == 120 and not split.held_out
    whole = fm.Study(
        "iris", MLP(width=8, depth=1), fm.Recipe(learning_rate=0.02, epochs=15), folds=0, seeds=2
    )
    result = whole.run(baselines=False)
    assert result.summary()["members"] == 2 and len(result.ensemble.parts) == 2
    assert result.ensemble.temperatures == (1.0, 1.0) and result.ensemble.offsets == ()
    assert any("what chooses has been trained on" in note for note in result.summary()["data"]["notes"])
    assert result.summary()["test"]["score"] > 0.8


def test_room_is_refused_for_what_has_none():
    with pytest.raises(UsageError, match=r"roomy=True: the architecture .* cannot have blank inputs"):
        fm.Study("iris", FromModule(lambda task, key: None), RECIPE, roomy=True)


def test_encoders_count_rows_by_weight():
    """The encoder of weighted rows is that of the rows written as often."""
    dataset = load("wine")
    times = np.random.default_rng(0).integers(1, 4, len(dataset))
    weighted = dataclasses.replace(dataset, weight=times.astype(float))
    rows = np.repeat(np.arange(len(dataset)), times)
    repeated = dataclasses.replace(dataset, table=dataset.table.take(rows), target=dataset.target[rows])
    for scaling in ("standardize", "quantile", "shared", "zca"):
        fitted = [
            Inputs.of(data, make_split(data, test=0.0, folds=0), scaling).encoders[0].encode(dataset.table)
            for data in (weighted, repeated)
        ]
        np.testing.assert_allclose(*fitted, rtol=1e-4, atol=1e-5)
