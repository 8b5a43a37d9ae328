"""The page of a graph in a real browser: folding, pointing, searching, keys, small screens."""

import re

import jax
import jax.numpy as jnp
import pytest

import fathom as fm

from .functions import lstm, plain

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    with jax.numpy_rank_promotion("allow"):
        for name, function in (("plain", plain), ("lstm", lstm)):
            fn, args = function()
            made[name] = folder / f"{name}.html"
            fm.trace(fn, *args).draw(made[name])
        made["nan"] = folder / "nan.html"
        x = jnp.zeros(40)
        root = lambda x: jnp.sqrt(x - 1).sum()  # noqa: E731
        fm.trace(root, x).draw(made["nan"], nonfinite=fm.find_nonfinite(root, x))
    return made


@pytest.fixture
def visit(watched, files):
    """Opens a page; the test fails where the page logs an error or asks a network for anything."""
    with watched() as opened:
        yield lambda name, *size, at="", **how: opened(files[name].as_uri() + at, *size, **how)


def item(page, title):
    return page.locator(f'#view g[data-i][aria-label^="{title}"]').first


def count(page):
    return page.locator("#view g.item").count()


def overlaps(page):
    """Pairs of cards that cover each other."""
    return page.evaluate(
        """() => {
          const boxes = [...document.querySelectorAll("#view g.item > .s")].map((s) => s.getBoundingClientRect());
          let pairs = 0;
          boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
            if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) pairs++;
          }));
          return pairs;
        }"""
    )


def test_pointing_at_a_node_shows_its_numbers_its_rule_and_its_line(visit):
    page = visit("plain")
    item(page, "relu").hover()
    panel = page.locator("#panel").inner_text()
    assert "1.5 ± 1.6" in panel and "11 ± 15" in panel and "y = max(x, 0)" in panel
    assert "functions.py:" in panel and "jax.nn.relu" in panel and "kept for the backward pass" in panel
    item(page, "x,").hover()
    assert page.locator("#panel pre").first.inner_text().count("\n") == 3  # 4 rows of the whole array


def test_a_large_array_has_a_histogram(visit):
    page = visit("nan")
    item(page, "x,").hover()
    assert "all 0.00" in page.locator("#panel").inner_text()
    page = visit("lstm")
    page.evaluate("go(items.findIndex((item) => item.title === 'dot_general'))")
    assert page.locator("#panel .hist rect").count() == 2 * 24


def test_a_box_opens_and_closes_by_click_and_by_key_and_stays_where_it_is(visit):
    page = visit("plain")
    before = count(page)
    box = item(page, "affine")
    place = box.bounding_box()
    box.click()
    assert count(page) == before + 2 and overlaps(page) == 0
    header = page.locator('#view g.header[aria-label^="affine"]')
    assert header.get_attribute("aria-expanded") == "true"
    assert abs(header.bounding_box()["y"] - place["y"]) < 20
    page.keyboard.press("Enter")
    assert count(page) == before
    page.keyboard.press("Enter")
    assert count(page) == before + 2


def test_whatever_is_open_nothing_overlaps_and_lines_lead_down(visit):
    page = visit("lstm")
    for button in ("#less", "#less", "#less", "#more", "#more", "#more", "#more", "#more"):
        page.locator(button).click()
        assert overlaps(page) == 0
        falling = page.evaluate(
            """() => [...document.querySelectorAll("#view path.flow, #view path.light")].every((line) => {
              const end = line.getTotalLength(), at = (s) => line.getPointAtLength(s * end).y;
              return [0, .2, .4, .6, .8, 1].every((s) => at(s) <= at(Math.min(s + .1, 1)) + .5);
            })"""
        )
        assert falling
    assert page.locator("#view g.header").count() > 5


def test_the_first_open_boxes_are_those_of_the_picture(visit):
    fn, args = lstm()
    with jax.numpy_rank_promotion("allow"):
        drawing = fm.trace(fn, *args).draw(values=False)
    assert count(visit("lstm")) == len(drawing.scene.places)


def test_search_finds_and_goes_there(visit):
    page = visit("lstm")
    page.locator("#less").click()
    page.locator("#less").click()
    page.keyboard.press("/")
    page.keyboard.type("concatenate")
    assert "4 found" in page.locator("#hint").inner_text()
    page.keyboard.press("Enter")
    found = item(page, "concatenate").bounding_box()
    assert 0 < found["x"] < 900 and 0 < found["y"] < 900
    assert page.locator("#panel h2").inner_text() == "concatenate"


def test_the_wheel_zooms_about_the_pointer_and_dragging_moves(visit):
    page = visit("plain")
    card = item(page, "dot_general")
    before = card.bounding_box()
    x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    page.mouse.move(x, y)
    page.mouse.wheel(0, -300)
    after = card.bounding_box()
    assert after["width"] > 1.3 * before["width"]
    assert abs(after["x"] + after["width"] / 2 - x) < 3
    page.mouse.move(30, 700)
    page.mouse.down()
    page.mouse.move(90, 660, steps=4)
    page.mouse.up()
    moved = card.bounding_box()
    assert abs(moved["x"] - after["x"] - 60) < 2 and abs(moved["y"] - after["y"] + 40) < 2
    page.keyboard.press("0")
    assert abs(card.bounding_box()["width"] - before["width"]) < 2


def test_arrow_keys_follow_the_flow(visit):
    page = visit("plain")
    item(page, "relu").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#panel h2").inner_text() == "dot_general"
    page.keyboard.press("ArrowUp")
    assert page.locator("#panel h2").inner_text() in ("relu", "params.w[1]")


def test_the_address_keeps_what_is_open_and_the_color(visit):
    page = visit("plain")
    item(page, "affine").click()
    page.locator("#color").select_option("operations")
    address = page.evaluate("location.hash")
    again = visit("plain", at=address)
    assert count(again) == count(page)
    assert "operations of one call" in again.locator("#key").inner_text()


def test_the_bad_node_is_marked_with_words(visit):
    page = visit("nan")
    bad = page.locator("#view g.item > .s.bad")
    assert bad.count() == 1
    item(page, "sqrt").hover()
    assert "not finite" in page.locator("#panel .bad").first.inner_text()


def contrast(one, other):
    """The contrast ratio of WCAG 2.2 between two colors as a browser writes them."""

    def light(color):
        parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_on_cards_has_contrast(visit, scheme):
    page = visit("plain", color_scheme=scheme)
    found = page.evaluate(
        """() => [...document.querySelectorAll("#view g.item")].flatMap((g) => {
          const ground = getComputedStyle(g.querySelector(".s")).fill;
          return [...g.querySelectorAll("text")].map((text) => [getComputedStyle(text).fill, ground]);
        })"""
    )
    least = min(contrast(*pair) for pair in found)
    assert least >= 4.5


def test_a_phone(visit):
    page = visit("plain", 360, 740, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    item(page, "relu").tap()
    assert "Value y" in page.locator("#panel").inner_text()
    panel, card = page.locator("#panel").bounding_box(), item(page, "relu").bounding_box()
    assert panel["y"] + panel["height"] <= 741 and card["width"] > 40


def test_the_table_says_it_all_without_the_picture(visit):
    page = visit("plain")
    page.locator("summary").click()
    rows = page.locator("table tbody tr")
    assert rows.count() == 13 and "1.2 ± 1.9" in rows.nth(3).inner_text()
