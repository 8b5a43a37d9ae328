import json
from pathlib import Path

from report.runs import make_run


def test_figures_are_written_where_they_are_asked_for(fathom, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "run", rates=(0.01,), folds=1)
    ended = fathom("report", str(run), "--figures", "figures", "--json")
    files = [Path(name) for name in json.loads(ended.out)["figures"]]
    assert ended.code == 0 and all(file.is_file() for file in files)
    assert {file.suffix for file in files} == {".svg", ".png", ".pdf", ".csv", ".md"}
    said = fathom("report", str(run), "--figures", "figures").out
    assert "charts as SVG, PNG and PDF" in said and "open it in a browser" in said


def test_a_folder_for_figures_that_is_a_file_is_refused(fathom, tmp_path):
    (tmp_path / "taken").write_text("")
    run = make_run(tmp_path / "run", rates=(0.01,), folds=1)
    ended = fathom("report", str(run), "--figures", str(tmp_path / "taken"))
    assert ended.code == 2 and "give another folder" in ended.err
