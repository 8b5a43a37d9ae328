import re
from html.parser import HTMLParser

import pytest

import fathom as fm
from fathom.errors import RunError
from fathom.report import write_report
from fathom.report.chart import to_svg, to_vega
from fathom.report.record import Record
from fathom.report.sections import figures_of

from . import made
from .runs import make_run

VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """The elements of a page; fails where a tag is closed that is not open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open and "script" not in self.open:
            self.text.append((self.open[-1] if self.open else "", data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self, tag):
        return [text for where, text in self.text if where == tag]


def report(folder, **more):
    return write_report(make_run(folder / "run", **more)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return report(
        tmp_path_factory.mktemp("report"), notes=("2 rows have no value",), evidence=made.classification()
    )


def without_scripts(text):
    return re.sub(r"<(style|script).*?</\1>", "", text, flags=re.S)


def test_the_report_is_one_file_that_needs_no_other(usual):
    page = Page(usual)
    assert not any(attributes.get("src") for _, attributes in page.elements)
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert {a["href"][0] for a in page.all("a")} == {"#"}
    addresses = re.findall(r"https?://[^\"'\s<)]+", usual)
    assert set(addresses) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "url(" not in usual.replace("url(#", "") and "@import" not in usual


def test_the_answer_comes_first_then_three_numbers_then_one_picture(usual):
    page = Page(usual)
    order = [name for name, _ in page.elements if name in ("h1", "dd", "svg", "h2")]
    assert order[:5] == ["h1", "dd", "dd", "dd", "svg"]
    assert page.words("h1")[0].startswith("Predicts species with 95.0\u202f% accuracy")
    assert page.words("dd")[:3] == ["0.950", "0.940", "0.910"]


def test_the_rest_follows_in_the_order_that_a_careful_reader_asks_for(usual):
    assert Page(usual).words("h2") == [
        "How they learned",
        "What mattered",
        "Members",
        "Where it errs",
        "How far to trust it",
        "What it looks at",
        "Hardest rows and doubtful labels",
        "Data",
        "What it cost",
        "What to try next",
    ]


def test_every_picture_has_words_and_numbers_for_who_does_not_see_it(usual):
    pictures = [a for _, a in Page(usual).elements if a.get("class") == "chart"]
    assert len(pictures) >= 5
    assert all(picture["role"] == "img" and len(picture["aria-label"]) > 40 for picture in pictures)
    assert usual.count('<details class="numbers-of">') == len(pictures)


def test_no_two_elements_share_a_name(usual):
    names = [attributes["id"] for _, attributes in Page(usual).elements if "id" in attributes]
    assert len(names) == len(set(names))
    used = re.findall(r"url\(#([^)]+)\)|(?:aria-labelledby|href)=\"#?([^\":,]+)\"", usual)
    assert {one or other for one, other in used} <= set(names)


def test_the_page_is_for_every_ground_and_width(usual):
    for query in ("prefers-color-scheme: dark", "@media print", "max-width: 620px"):
        assert query in usual
    assert 'name="viewport"' in usual
    # Every color comes from the style sheet, but for the ink on cells whose color means a number.
    fixed = re.findall(r'(?:fill|stroke)="((?:#|black|white)[^"]*)"', without_scripts(usual))
    assert set(fixed) <= {"#16202e", "#ffffff"}


def test_what_scrolls_can_be_reached_by_keyboard(usual):
    page = Page(usual)
    scrolling = [
        a for name, a in page.elements if "scroll" in (a.get("class") or "").split() or name == "pre"
    ]
    assert scrolling and all(attributes.get("tabindex") == "0" for attributes in scrolling)


NASTY = ("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "ü \"quoted\" & 'more'")


def test_text_from_the_data_is_escaped(tmp_path):
    evidence = made.classification(classes=NASTY, columns=NASTY)
    text = report(tmp_path, target=NASTY[0], notes=NASTY[1:], classes=NASTY, evidence=evidence)
    page = Page(text)
    assert len(page.all("script")) == 3 and not page.all("img")
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert NASTY[2] in "".join(page.words("li")) and NASTY[1] in "".join(page.words("span"))


def test_the_table_of_members_is_best_first_and_at_most_200_rows(tmp_path):
    text = report(tmp_path, rates=tuple(0.001 * (i + 1) for i in range(120)), folds=2)
    table = text.split('aria-label="Members"')[1].split("</table>")[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.S)[1:]
    scores = [float(re.findall(r"<td[^>]*>(.*?)</td>", row)[3].replace("−", "-")) for row in rows]
    assert len(rows) == 200 and scores == sorted(scores, reverse=True)
    assert "240 networks" in text and "the first 200 are shown" in text


def test_a_large_study_is_gathered_before_it_is_drawn(tmp_path):
    """400 members of 60 epochs: the page stays small, so opening and drawing it stay quick."""
    text = report(tmp_path, rates=tuple(0.001 * 1.05**i for i in range(80)), folds=5, epochs=60)
    assert len(text) < 1_000_000


@pytest.mark.parametrize(
    ("options", "title"),
    [
        ({"rates": (0.01, 0.1, 1.0), "diverged": (2,)}, "Learning rates above 0.1 diverge; the best is 0.1"),
        ({"rates": (0.01, 0.1, 1.0)}, "The best learning rate is 0.1"),
        ({"rates": (0.1, 0.001, 0.01)}, "The best learning rate, 0.001, is the smallest tried"),
        ({"rates": (0.1, 1.0, 0.01)}, "The best learning rate, 1, is the largest tried"),
        ({"overfit": True}, "After epoch 4 training loss falls on and validation loss rises"),
        ({}, "Validation loss falls and stays down"),
        ({}, "The best candidate was still improving at its last epoch"),
        ({"baselines": {"linear": 0.97}}, "A baseline (linear) does better than the ensemble"),
        ({"baselines": {"linear": 0.95}}, "The ensemble and the best baseline (linear) score the same"),
        ({"baselines": {"linear": 0.50}}, "The ensemble is ahead of every baseline"),
        (
            {"baselines": {"linear": 0.94}},
            "The ensemble is ahead of every baseline, by less than the intervals",
        ),
        ({"baselines": {}}, "The ensemble reaches accuracy 0.950"),
        ({}, "Most of 8.0\u202fs went into compiling"),
    ],
)
def test_a_title_says_what_its_chart_shows(tmp_path, options, title):
    record = Record.read(make_run(tmp_path / "run", **options))
    assert any(title in figure.title for figure in figures_of(record))


@pytest.mark.parametrize(
    "options",
    [
        {"rates": (0.01,), "folds": 1, "epochs": 1},
        {"rates": (0.01, 0.1), "folds": 1, "epochs": 2, "diverged": (0,)},
        {"dropped": (0, 2), "epochs": 8},
        {"test": False},
        {"baselines": {}},
        {"kind": "regression", "metric": "rmse", "baselines": {"mean": 30.0, "linear": 9.0}},
        {"extra": [{"optimizer": "adamw"}, {"optimizer": "sgd"}, {"optimizer": "lion"}]},
        {"extra": [{"patience": None}, {"patience": 3.0}, {"patience": 5.0}]},
        {"extra": [{"width": 8}, {"width": 16, "momentum": 0.5}, {"model": "linear"}]},
    ],
    ids=[
        "one",
        "diverged",
        "dropped",
        "no test",
        "no baselines",
        "regression",
        "words",
        "infinity",
        "several models",
    ],
)
def test_whatever_a_run_holds_the_report_is_whole(tmp_path, options):
    text = report(tmp_path, **options)
    page = Page(text)
    assert page.words("h1") and page.all("svg") and "fathom predict" in text
    assert not re.search(r"\b(nan|NaN|None|undefined|inf)\b", without_scripts(text))


@pytest.mark.parametrize(
    ("evidence", "titles"),
    [
        (made.classification(), ("Ahead of the baseline beyond chance", "F1 is highest, 0.800, at threshold 0.50",
                                 "Where a miss costs 100 false alarms", "x matters most")),
        (made.classification(("a", "b", "c"), rows=90), ("is taken for", "Probabilities keep what they promise")),
        (made.regression(), ("Errors grow with the prediction", "Intervals are narrower than promised")),
    ],
    ids=["two classes", "three", "values"],
)  # fmt: skip
def test_what_evidence_shows_is_said(tmp_path, evidence, titles):
    kind = "classification" if evidence.confusion else "regression"
    metric, baselines = ("accuracy", None) if evidence.confusion else ("rmse", {"mean": 30.0, "linear": 9.0})
    classes = evidence.confusion["classes"] if evidence.confusion else ()
    folder = make_run(
        tmp_path / "run", kind=kind, metric=metric, baselines=baselines, classes=classes, evidence=evidence
    )
    found = [figure.title for figure in figures_of(Record.read(folder))]
    assert all(any(title in heading for heading in found) for title in titles), found


def with_evidence(folder, evidence):
    classes = evidence.confusion["classes"]
    return Record.read(make_run(folder / "run", kind="classification", classes=classes, evidence=evidence))


def test_a_class_without_a_test_row_is_not_the_one_found_least(tmp_path):
    evidence = made.classification(("a", "b", "c"), rows=90)
    evidence.confusion["counts"] = [[30, 1, 0], [1, 20, 0], [0, 0, 0]]
    found = {figure.name: figure.title for figure in figures_of(with_evidence(tmp_path, evidence))}
    assert found["confusion"] == "2 errors, no pair stands out; b is found least, 95.2\u202f%"


@pytest.mark.parametrize("size", [1e-318, 1e-200, 1e300, 8e307])
def test_dependence_on_numbers_that_no_axis_holds(tmp_path, size):
    evidence = made.classification()
    evidence.dependence[0]["grid"] = evidence.dependence[0]["rug"] = [-size, 0.0, 2 * size]
    found = {figure.name: figure for figure in figures_of(with_evidence(tmp_path, evidence))}
    figure = found["dependence-1"]
    svg = to_svg(to_vega(figure), figure.name)
    assert ("M" in svg) and not re.search(r"NaN|undefined|Infinity", svg)
    assert bool(figure.data["rug"]) == (size == 1e-200)


@pytest.mark.parametrize(
    "name", ["\\", 'a\\"b', "a\nb", "\u2028", "${x}", "`x`", "a.b[0]", "</script>", "'", '"']
)
def test_a_column_of_any_name_is_drawn(tmp_path, name):
    evidence = made.classification(columns=(name, name + "2"))
    found = [
        f for f in figures_of(with_evidence(tmp_path, evidence)) if f.name in ("dependence-1", "importance")
    ]
    assert len(found) == 2
    for figure in found:
        assert "<text" in to_svg(to_vega(figure), figure.name)


def test_pictures_are_shown_where_rows_are_pictures(tmp_path):
    text = report(tmp_path, evidence=made.classification(pictures=True))
    assert [a["alt"] for a in Page(text).all("img")] == ["row 7", "row 3"]


def test_an_empty_part_says_why_and_what_to_do(tmp_path):
    older = report(tmp_path / "older")
    assert "it is of an older version" in older and "fit the data again" in older
    text = report(
        tmp_path, kind="regression", metric="rmse", baselines={"mean": 30.0}, evidence=made.regression()
    )
    assert "Importance left out: it would have taken longer than the training." in text
    assert "No label stands out as wrong" in text
    without = report(tmp_path / "more", test=False, evidence=made.Evidence())
    assert "No test rows were kept" in without and "--test 0.2" in without


def test_what_to_try_next_is_derived_from_the_record(usual, tmp_path):
    def said(text):
        return text.split('id="next"')[1]

    assert "--set recipe.epochs=12" in said(usual) and "still improving at its last epoch, 6" in said(usual)
    assert re.search(r"fathom predict \S+ new.csv\nfathom fit iris --budget 1m", said(usual))
    edge = said(report(tmp_path, rates=(0.1, 0.001, 0.01), baselines={"linear": 0.97}))
    assert "at the low end" in edge and "recipe.learning_rate={log=[0.0001,0.003]}" in edge
    assert "The baseline linear scores 0.970, the networks 0.950" in edge


def test_an_unfinished_run_has_no_report(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "result.json").unlink()
    with pytest.raises(RunError, match=r"is not finished; go on with: fathom resume"):
        write_report(folder)
    with pytest.raises(RunError, match=r"holds no study\.toml"):
        fm.write_report(tmp_path)


def test_a_damaged_record_is_named(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "members.jsonl").write_text('{"event": ')
    with pytest.raises(RunError, match=r"members\.jsonl is damaged"):
        write_report(folder)
