import csv
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from fathom.errors import UsageError
from fathom.report import export, write_figures
from fathom.report.record import Record
from fathom.report.sections import figures_of

from . import made
from .runs import make_run

NAMES = {"scores", "learning-curves", "confusion"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    evidence = made.classification(("<b>a</b>", "ü & ö"))
    return make_run(tmp_path_factory.mktemp("run") / "run", classes=("<b>a</b>", "ü & ö"), evidence=evidence)


@pytest.fixture(scope="module")
def files(folder, tmp_path_factory):
    """Those of three figures: pictures take their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "figures_of", lambda record: [f for f in figures_of(record) if f.name in NAMES])
        return write_figures(folder, tmp_path_factory.mktemp("figures") / "new")


def test_every_chart_is_there_in_every_form_with_its_data_and_a_caption(files):
    by_kind = {
        kind: [f for f in files if f.suffix == kind] for kind in (".svg", ".png", ".pdf", ".csv", ".md")
    }
    assert [len(by_kind[kind]) for kind in (".svg", ".png", ".pdf", ".md")] == [3, 3, 3, 1]
    assert {f.stem[3:] for f in by_kind[".svg"]} == NAMES
    captions = by_kind[".md"][0].read_text(encoding="utf-8")
    assert captions.count("\n## ") == 3 and "n = 60 rows" in captions
    assert all(f.read_bytes().startswith(b"%PDF") for f in by_kind[".pdf"])


def test_pictures_are_sharp_enough_for_a_paper(files):
    for file in files:
        if file.suffix == ".png":
            with Image.open(file) as picture:
                assert picture.width >= 1400
                assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)


def test_an_svg_stands_alone_and_has_its_title_and_key(files):
    for file in files:
        if file.suffix == ".svg":
            text = file.read_text(encoding="utf-8")
            root = ElementTree.fromstring(text)  # well-formed, whatever a class is called
            assert "var(--" not in text and root.findtext("{http://www.w3.org/2000/svg}title")
    curves = next(f for f in files if f.name.endswith("learning-curves.svg")).read_text(encoding="utf-8")
    assert "1: rate 0.01" in curves


def test_the_data_are_the_numbers_that_are_drawn(folder, files):
    file = next(f for f in files if f.name.endswith("scores.csv"))
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    drawn = next(f for f in figures_of(Record.read(folder)) if f.name == "scores").data["rows"]
    assert [float(row["score"]) for row in rows] == [row["score"] for row in drawn]
    assert not {"color", "text", "say_interval"} & set(rows[0])
    confusion = next(f for f in files if f.name.endswith("confusion.csv")).read_text(encoding="utf-8")
    assert "<b>a</b>,ü & ö" in confusion


def test_a_folder_that_cannot_be_made_is_refused(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"figures='\S+file/x' cannot be made .*; give another folder"):
        write_figures(folder, tmp_path / "file" / "x")
