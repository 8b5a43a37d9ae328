"""How a study's data is read, there and back through its settings. Oracle: what was written down."""

import numpy as np
import pytest

from fathom.errors import UsageError
from fathom.study import Study
from fathom.study.run_folder import fingerprint


@pytest.fixture
def files(tmp_path):
    random = np.random.default_rng(0)
    for name, rows in (("train.csv", 60), ("test.csv", 20)):
        lines = [
            f"{x:.4f},{9000 + row % 3},{1 + row % 2},{row % 2}"
            for row, x in enumerate(random.normal(size=rows))
        ]
        (tmp_path / name).write_text("x,zip,w,y\n" + "\n".join(lines) + "\n")
    return tmp_path


def test_settings_say_how_the_data_is_read(files, monkeypatch):
    monkeypatch.chdir(files)
    settings = {
        "data": "train.csv",
        "target": "y",
        "test_file": "test.csv",
        "columns": {"zip": "categorical", "w": "weight"},
        "folds": 2,
    }
    study = Study.from_settings(settings)
    assert study.split.test.tolist() == list(range(60, 80))
    written = study.to_settings()
    assert written["test_file"] == str(files / "test.csv")
    assert written["columns"] == settings["columns"]
    monkeypatch.chdir(files.parent)
    again = Study.from_settings(written)
    assert fingerprint(again.dataset) == fingerprint(study.dataset)
    other = Study.from_settings({**written, "columns": {"zip": "categorical"}})
    assert fingerprint(other.dataset) != fingerprint(study.dataset)


def test_columns_that_are_no_table_are_refused():
    with pytest.raises(UsageError, match=r"columns='a=b' is no table of names and words"):
        Study.from_settings({"data": "iris", "columns": "a=b"})
