"""The report in a real browser: what is drawn, what moves, what is said without eyes, scripts or colors."""

import math

import pytest

from fathom.report import write_report

from . import made
from .runs import make_run

pytestmark = pytest.mark.browser
CLASSES = tuple(f"class {i} <b>&" for i in range(100))


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """240 members, two classes and every part of the evidence."""
    rates = tuple(0.001 * 1.06**i for i in range(120))
    decays = [{"weight_decay": 0.01 * (1 + i % 7)} for i in range(120)]
    folder = tmp_path_factory.mktemp("usual") / "run"
    evidence = made.classification(columns=("x", "a long name " * 12, "<i>z</i>"))
    return write_report(make_run(folder, rates=rates, extra=decays, diverged=(119,), evidence=evidence))


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A hundred classes whose names look like HTML, and a target without a space to break at."""
    folder = tmp_path_factory.mktemp("wide") / "run"
    evidence = made.classification(CLASSES, rows=400, pictures=True)
    return write_report(make_run(folder, target="t" * 120, classes=CLASSES, evidence=evidence))


@pytest.fixture
def visit(watched):
    """Opens a page and fails where it logs an error or asks a network for anything."""
    with watched(bad=("error", "warning")) as opened:

        def visited(path, *charts, **how):
            page = opened(path.as_uri(), **how)
            for name in charts:
                come_alive(page.locator(f'.chart[data-chart="{name}"]'))
            return page

        yield visited


def come_alive(*charts):
    for chart in charts:
        chart.scroll_into_view_if_needed()
        chart.locator(".live svg").wait_for()


def colors(page, selector):
    return page.eval_on_selector(
        selector, "e => { const s = getComputedStyle(e); return [s.color, s.backgroundColor] }"
    )


def contrast(one, other):
    """The ratio of WCAG 2 between two colors as browsers write them."""

    def light(color):
        parts = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
        parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_chart_comes_alive_without_moving_the_page(visit, usual):
    page = visit(usual)
    before = page.evaluate("document.documentElement.scrollHeight")
    page.evaluate(
        "window.moved = 0; new PerformanceObserver(l => l.getEntries().forEach(e => { moved += e.value }))"
        ".observe({type: 'layout-shift', buffered: true})"
    )
    charts = page.locator(".chart").all()
    come_alive(*charts)
    assert page.evaluate("document.documentElement.scrollHeight") == before
    assert page.evaluate("moved") < 0.01
    # And each has words, and a place for the keyboard.
    for chart in charts:
        assert len(chart.get_attribute("aria-label")) > 40 and chart.get_attribute("tabindex") == "0"
        assert chart.get_attribute("aria-describedby") in ("walk", "walk-and-zoom")


@pytest.mark.parametrize("which", ["usual", "wide"])
def test_nothing_sticks_out_at_any_width(visit, request, which):
    page = visit(request.getfixturevalue(which), "scores", "confusion", "importance", "time", width=360)
    for width in (360, 1280, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        svg = "document.querySelector('[data-chart=confusion] .live svg').getBoundingClientRect()"
        page.wait_for_function(
            f"Math.abs({svg}.width - document.querySelector('[data-chart=confusion]').clientWidth) < 2"
        )
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for box in [chart.bounding_box() for chart in page.locator(".live svg").all()]:
            assert box["x"] >= 0 and box["x"] + box["width"] <= width


def test_dark_is_dark_and_both_can_be_read(visit, usual):
    grounds = {}
    for scheme in ("light", "dark"):
        page = visit(usual, color_scheme=scheme)
        ground = grounds[scheme] = colors(page, "body")[1]
        for selector in (
            "body",
            "h1",
            "p.lead",
            "figcaption",
            "summary",
            ".numbers .ours dd",
            "thead th",
            "nav a",
        ):
            assert contrast(colors(page, selector)[0], ground) >= 4.5, (scheme, selector)
    assert grounds["light"] == "rgb(255, 255, 255)" and contrast(grounds["dark"], "rgb(0, 0, 0)") < 1.5


def scores(page):
    cells = page.locator('table[data-table="members"] tbody tr td:nth-child(5)').all_text_contents()
    return [math.nan if cell == "–" else float(cell.replace("−", "-")) for cell in cells]


def test_members_sort_by_mouse_and_by_keyboard(visit, usual):
    page = visit(usual)
    head = page.locator('table[data-table="members"] th', has_text="best accuracy")
    head.get_by_role("button").click()
    page.wait_for_function("document.querySelector('th[aria-sort]')")
    found = scores(page)
    assert head.get_attribute("aria-sort") == "ascending" and found == sorted(found) and len(found) == 200
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('th[aria-sort=descending]')")
    assert scores(page) == sorted(scores(page), reverse=True) and scores(page)[0] > found[0]
    assert page.locator("th[aria-sort]").count() == 1
    page.get_by_role("button", name="Show more members").click()
    page.wait_for_function("document.querySelectorAll('table[data-table=members] tbody tr').length === 240")
    assert math.isnan(scores(page)[-1])  # a diverged member has no score and comes last


def test_the_settings_of_a_member_show_where_it_is_pointed_at_or_walked_to(visit, usual):
    page = visit(usual)
    row = page.locator('table[data-table="members"] tbody tr[tabindex="0"]')
    row.wait_for()
    row.hover()
    assert "weight_decay" in page.locator("#tip.shown").inner_text()
    page.mouse.move(0, 0)
    row.focus()
    first = page.locator("#tip.shown").inner_text()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    assert page.locator("#tip.shown").inner_text() != first
    assert page.evaluate("document.activeElement.rowIndex") == 3
    page.keyboard.press("Escape")
    assert page.locator("#tip.shown").count() == 0


def test_marks_are_told_by_mouse_and_by_keyboard(visit, usual):
    page = visit(usual, "scores", "learning-curves")
    chart = page.locator('.chart[data-chart="scores"]')
    box = chart.locator('path[aria-roledescription="point"], path').first
    assert box.count() == 1
    chart.focus()
    page.keyboard.press("ArrowRight")
    told = page.locator("#tip.shown").inner_text()
    assert "95 % interval" in told and "model" in told
    page.keyboard.press("End")
    assert page.locator("#tip.shown").inner_text() != told
    curve = page.locator('.chart[data-chart="learning-curves"]')
    curve.scroll_into_view_if_needed()
    area = curve.bounding_box()
    page.mouse.move(area["x"] + area["width"] / 2, area["y"] + 40)
    page.mouse.move(area["x"] + area["width"] / 2 + 5, area["y"] + 60)
    assert "mean accuracy" in page.locator("#tip.shown").inner_text()


def test_a_chart_zooms_by_keyboard_and_goes_back(visit, usual):
    page = visit(usual, "losses")
    chart = page.locator('.chart[data-chart="losses"]')
    labels = "[...document.querySelectorAll('[data-chart=losses] .live text')].map((t) => t.textContent).sort().join()"
    before = page.evaluate(labels)
    chart.focus()
    for _ in range(3):
        page.keyboard.press("+")
    page.wait_for_function(f"(before) => {labels} !== before", arg=before)
    page.keyboard.press("0")
    page.wait_for_function(f"(before) => {labels} === before", arg=before)


def test_the_key_chooses_whose_members_are_drawn(visit, usual):
    page = visit(usual, "learning-curves")
    figure = page.locator("figure", has=page.locator('[data-chart="learning-curves"]'))
    keys = figure.locator(".key button")
    area = figure.locator(".live svg .mark-area path").first
    before = area.get_attribute("fill")
    keys.nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "([area, before]) => area.getAttribute('fill') !== before", arg=[area.element_handle(), before]
    )
    assert [key.get_attribute("aria-pressed") for key in keys.all()][:2] == ["false", "true"]


def test_brushing_a_chart_keeps_its_candidates_in_the_table(visit, usual):
    page = visit(usual, "setting-learning-rate")
    chart = page.locator('.chart[data-chart="setting-learning-rate"]')
    chart.scroll_into_view_if_needed()
    area = chart.bounding_box()
    page.mouse.move(area["x"] + 120, area["y"] + 60)
    page.mouse.down()
    page.mouse.move(area["x"] + 220, area["y"] + 90, steps=4)
    page.mouse.up()
    said = page.locator(".said", has_text="chosen in a chart")
    said.wait_for()
    kept = page.locator('table[data-table="members"] tbody tr').count()
    assert 0 < kept < 200 and said.inner_text().startswith(f"{kept} members")


def test_what_scrolls_or_acts_can_be_reached_and_has_a_name(visit, usual):
    page = visit(usual)
    page.wait_for_selector(".scripted", state="attached")
    assert page.evaluate("[...document.querySelectorAll('.scroll, pre')].every((e) => e.tabIndex === 0)")
    assert page.evaluate(
        "[...document.querySelectorAll('button, summary, a')].every((e) => e.textContent.trim())"
    )


def test_without_scripts_the_page_is_whole(visit, usual):
    page = visit(usual, java_script_enabled=False)
    stills, charts = page.locator(".chart .still"), page.locator(".chart")
    assert stills.count() == charts.count() >= 12
    assert all(still.bounding_box()["height"] > 80 for still in stills.all())
    assert page.locator('table[data-table="members"] tbody tr').count() == 200


def test_print_is_light_and_shows_the_still_charts(visit, usual):
    page = visit(usual, "scores", color_scheme="dark")
    page.emulate_media(media="print")
    assert contrast(colors(page, "body")[0], "rgb(255, 255, 255)") > 12
    assert all(still.is_visible() for still in page.locator(".still").all())
    assert not any(live.is_visible() for live in page.locator(".live").all())
    sheet = page.pdf(format="A4")
    assert sheet.startswith(b"%PDF") and len(sheet) > 50_000
