"""Suspicions. Oracle: what was planted, and clean data that raises none."""

import numpy as np
import pytest

from fathom.data import SOURCES, load
from fathom.data.suspicions import CHECKS

ROWS = 400


def clean(**more):
    random = np.random.default_rng(0)
    columns = {f"x{i}": random.normal(size=ROWS) for i in range(6)}
    label = np.where(columns["x0"] + random.normal(size=ROWS) > 0, "up", "down")
    return {**columns, "label": label, **more}


def only(data):
    assert len(data.suspicions) == 1, [str(s) for s in data.suspicions]
    return data.suspicions[0]


@pytest.mark.parametrize("name", SOURCES.names())
def test_clean_data_raises_none(name):
    assert load(name).suspicions == ()


def test_clean_tables_raise_none():
    assert load(clean(), "label").suspicions == ()
    assert load(clean(), "x0", columns={"label": "ignore"}).suspicions == ()


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_number_that_gives_the_class_away(noise):
    source = clean()
    flips = np.random.default_rng(1).uniform(size=ROWS) < noise / 10
    source["code"] = np.where((source["label"] == "up") ^ flips, 7.5, 3.25) + noise * np.random.default_rng(
        2
    ).normal(size=ROWS)
    found = only(load(source, "label"))
    assert (found.what, found.columns) == ("leak", ("code",))
    assert found.evidence["power"] > 0.98 > found.evidence["next"]
    assert "--columns code=ignore" in str(found)


def test_a_category_and_a_number_that_give_a_quantity_away():
    source = clean()
    source["copy"] = 3 * source["x0"] - 1
    assert [s.columns for s in load(source, "x0").suspicions if s.what == "leak"] == [("copy",)]
    levels = np.random.default_rng(3).integers(0, 8, ROWS)
    source = clean(level=np.array(list("abcdefgh"))[levels], y=levels * 1.5 + 0.01 * source["x1"])
    assert [s.columns for s in load(source, "y").suspicions if s.what == "leak"] == [("level",)]


def test_columns_that_are_the_target_again_whatever_others_reach():
    source = clean()
    source["code"] = np.where(source["label"] == "up", 2.0, 1.0)
    source["latin"] = np.where(source["label"] == "up", "sursum", "deorsum")
    source["latin"][:5] = None
    near = np.where(source["label"] == "up", 1.0, 0.0)
    source["near"] = near + 0.5 * np.random.default_rng(4).normal(size=ROWS)
    found = load(source, "label").suspicions
    assert [(s.what, s.columns) for s in found] == [("leak", ("code",)), ("leak", ("latin",))]
    assert "column 'code' is 'label' again, written otherwise" in str(found[0])
    source = clean()
    source["inches"] = (source["x0"] / 2.54).round(3)
    source["honest"] = source["x0"] + 0.3 * np.random.default_rng(4).normal(size=ROWS)
    assert [s.columns for s in load(source, "x0").suspicions if s.what == "leak"] == [("inches",)]


def with_holes(values: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(values)) % 7 == 0, np.nan, values)


@pytest.mark.parametrize("rows", [300, 3000])
@pytest.mark.parametrize(
    "copy", [lambda y: 2.54 * y + 1, np.exp, lambda y: -(y**3), lambda y: y.round(2), with_holes]
)
def test_a_quantity_again_on_any_scale_beside_a_strong_column(rows, copy):
    random = np.random.default_rng(6)
    strong, weak = random.normal(size=(2, rows))
    y = strong + 0.33 * random.normal(size=rows)
    found = load({"strong": strong, "weak": weak, "copy": copy(y), "y": y}, "y").suspicions
    assert [(s.what, s.columns) for s in found if s.what == "leak"] == [("leak", ("copy",))]
    assert "column 'copy' is 'y' again, written otherwise" in str(found[0])


@pytest.mark.parametrize(("noise", "found"), [(0.05, [("near",)]), (0.4, [])])
def test_a_column_much_nearer_to_a_quantity_than_the_next(noise, found):
    random = np.random.default_rng(6)
    strong = random.normal(size=2000)
    y = strong + 0.5 * random.normal(size=2000)
    near = y + noise * random.normal(size=2000)
    told = load({"strong": strong, "near": near, "y": y}, "y").suspicions
    assert [s.columns for s in told if s.what == "leak"] == found


def test_a_number_that_a_class_begins_at_is_no_leak_beside_others_as_good():
    source = clean()
    for name in ("a", "b", "c"):
        source[name] = np.where(source["label"] == "up", 5.0, 0.0) + np.random.default_rng(5).normal(
            size=ROWS
        )
    assert not [s for s in load(source, "label").suspicions if s.what == "leak"]


def test_a_column_named_like_a_prediction():
    source = clean()
    source["predicted x0"] = source["x0"] + 0.5 * np.random.default_rng(1).normal(size=ROWS)
    found = [s for s in load(source, "x0").suspicions if s.what == "leak"]
    assert [s.columns for s in found] == [("predicted x0",)]
    assert "named as if it were made from 'x0'" in str(found[0])
    source["predicted x0"] = np.random.default_rng(1).normal(size=ROWS)
    assert not [s for s in load(source, "x0").suspicions if s.what == "leak"]


def test_copies_of_rows():
    source = {name: np.concatenate([values, values[:40]]) for name, values in clean().items()}
    found = only(load(source, "label"))
    assert (found.what, found.evidence["copies"], found.evidence["rows"]) == ("duplicates", 40, 80)
    assert found.evidence["across"] == pytest.approx(0.8 * 80 / 440)
    assert found.evidence["different_targets"] == 0
    assert "--keep-duplicates-together" in str(found)
    source["label"] = np.concatenate(
        [source["label"][:400], np.where(source["label"][400:] == "up", "down", "up")]
    )
    assert only(load(source, "label")).evidence["different_targets"] == 40


def test_classes_that_are_lone_or_rare():
    label = np.array(["a", "b"] * (ROWS // 2), dtype=object)
    label[7] = "c"
    found = only(load(clean(label=label), "label"))
    assert (found.what, found.evidence) == ("lone class", {"classes": ["c"]})
    label = np.where(np.arange(ROWS) % 50 == 0, "sick", "well")
    found = only(load(clean(label=label), "label"))
    assert (found.what, found.evidence["smallest_share"]) == ("imbalance", 0.02)
    assert "always naming 'well' is right in 98.0" in str(found)


def test_a_target_that_was_cut_off():
    source = clean()
    source["price"] = np.minimum(np.exp(source["x1"] + source["x2"]), 4.0).round(3)
    found = only(load(source, "price"))
    assert (found.what, found.evidence["value"]) == ("capped", 4.0)
    assert found.evidence["rows"] == int((source["price"] == 4.0).sum())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.arange(ROWS) % 6, "its 6 whole numbers are read as classes; kind='regression'"),
        (np.arange(ROWS) % 20 + (np.arange(ROWS) > ROWS / 2) * 0, "its 20 whole numbers are read as classes"),
    ],
)
def test_a_target_that_looks_like_the_other_kind(values, said):
    found = only(load(clean(y=values), "y"))
    assert found.what == "kind"
    assert said in str(found)
    assert load(clean(y=values), "y", kind="classification").suspicions == ()


def test_a_target_of_numbers_but_for_a_word():
    values = [str(row % 150) for row in range(ROWS)]
    values[9] = "unknown"
    found = [s for s in load(clean(y=values), "y").suspicions if s.what == "kind"]
    assert found[0].evidence == {"words": ["unknown"], "rows": 1}


@pytest.mark.parametrize("code", [-999.0, 9999.0, 99.0])
def test_a_number_that_stands_for_nothing(code):
    source = clean()
    source["x3"][::40] = code
    found = only(load(source, "label"))
    assert (found.what, found.columns, found.evidence) == (
        "missing code",
        ("x3",),
        {"value": code, "rows": 10},
    )


def test_constants_and_identifiers():
    random = np.random.default_rng(5)
    source = clean(
        one=np.ones(ROWS), code=[f"k{row}" for row in range(ROWS)], user_id=random.integers(0, 90, ROWS)
    )
    told = {(s.what, s.columns): str(s) for s in load(source, "label").suspicions}
    assert set(told) == {("constant", ("one",)), ("identifier", ("code",)), ("identifier", ("user_id",))}
    assert "keep it: --columns code=categorical" in told["identifier", ("code",)]
    assert "--columns user_id=group" in told["identifier", ("user_id",)]


def test_a_test_file_from_elsewhere():
    source, other = clean(), clean()
    random = np.random.default_rng(8)
    for name in ("x0", "x1", "x2", "x3", "x4", "x5"):
        other[name] = random.normal(size=ROWS)
    assert load(source, "label", test=other).suspicions == ()
    other["x4"] = other["x4"] + 1
    found = only(load(source, "label", test=other))
    assert (found.what, found.columns) == ("drift", ("x4",))
    assert found.evidence["distances"]["x4"] == pytest.approx(0.38, abs=0.08)  # of two unit normals 1 apart


def test_more_inputs_than_rows():
    random = np.random.default_rng(0)
    source = {f"x{i}": random.normal(size=30) for i in range(40)}
    found = load({**source, "y": random.normal(size=30)}, "y").suspicions
    assert [(s.what, s.evidence) for s in found] == [("few rows", {"rows": 30, "inputs": 40})]


def test_two_numbers_of_which_not_all_are_whole():
    source = clean()
    source["y"] = np.where(source["x0"] > 0, 1.5, 2.5)
    assert any(
        s.what == "kind" and "its 2 different numbers are read as a quantity" in str(s)
        for s in load(source, "y").suspicions
    )


def test_every_check_has_its_words():
    names = CHECKS.names()
    assert len(names) == len(set(names)) == 16
    for check in CHECKS:
        assert check.find.__doc__


@pytest.mark.parametrize("size", [1e300, 1e-310])
def test_numbers_at_the_ends_of_double_precision(size):
    # Oracle: a copy of the target is one in any unit.
    y = np.random.default_rng(0).normal(size=ROWS)
    source = {f"x{i}": np.random.default_rng(i + 1).normal(size=ROWS) * size for i in range(4)}
    assert load({**source, "y": y}, "y").suspicions == ()
    assert only(load({**source, "copy": y * size, "y": y}, "y")).what == "leak"
