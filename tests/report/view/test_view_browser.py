"""The viewer in a headless browser; skipped where Playwright or Chromium is not installed."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pytest

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.enable_socket,
]
ARGUMENTS = ("--no-sandbox", "--disable-background-networking", "--disable-gpu", "--disable-dev-shm-usage")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@contextmanager
def watched(browser, server):
    """Opens pages of a server; nothing may be asked of others, and nothing go wrong."""
    troubles = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("console", lambda m: troubles.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(server.url) else troubles.append(r.url))

    def open_page(path: str):
        page.goto(server.url + path)
        return page

    yield open_page
    page.close()
    assert not troubles


@pytest.fixture
def opened(browser, server):
    with watched(browser, server) as open_page:
        yield open_page


@pytest.fixture
def judged_page(browser, judging):
    with watched(browser, judging) as open_page:
        yield open_page


def until(page, expression: str) -> None:
    """Waits without eval, which the pages forbid."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {expression}")


def until_drawn(page) -> None:
    until(page, "window.cryostatViewer?.world.getItemAt(0)?.getFullyLoaded()")


DRAWN = "Number(document.querySelector('#over').dataset.drawn)"
CLICK = """([x, y]) => { const at = cryostatViewer.world.getItemAt(0).imageToWindowCoordinates(
  new OpenSeadragon.Point(x, y)); return [at.x, at.y]; }"""


def at(page, x: float, y: float) -> tuple[float, float]:
    """Where a point of the picture is in the window."""
    left, top = page.evaluate(CLICK, [x, y])
    return left, top


def test_nuclei_are_switched_and_the_bar_follows_the_zoom(opened):
    page = opened("dataset/tiny/one/")
    until_drawn(page)
    until(page, f"{DRAWN} == 1")
    page.get_by_label("Hidden").check()
    until(page, f"{DRAWN} == 0")
    page.keyboard.press("1")
    until(page, f"{DRAWN} == 1")
    before = page.locator("[data-zoom]").inner_text()
    page.get_by_label("Zoom out").click()
    until(page, f"document.querySelector('[data-zoom]').textContent != '{before}'")
    assert page.locator(".bar").is_visible()
    assert "µm" in page.locator(".bar span").inner_text()
    assert page.locator(".trouble").is_hidden()


def test_layers_of_a_model_are_switched_and_a_click_tells_of_a_nucleus(judged_page):
    page = judged_page("dataset/squares/a/")
    until_drawn(page)
    until(page, "document.querySelector('input[value=errors]').checked")
    assert page.locator("[data-note]").inner_text().startswith("2 of 4 wrong · 50.0")
    assert "squares-2fold-0-vit-linear-aa" in page.locator("[data-note]").inner_text()
    page.mouse.move(*at(page, 70, 20))
    assert page.locator(".tip").inner_text().split("\n") == ["red", "taken for", "<b>blue"]
    page.mouse.click(*at(page, 70, 20))
    card = page.locator(".card")
    assert card.locator("h2").inner_text().split("\n") == ["Nucleus 2", "wrong"]
    assert [line.inner_text() for line in card.locator(".line").all()] == ["True\nred", "Predicted\n<b>blue"]
    assert card.locator(".chances .said").inner_text().split("\n") == ["<b>blue", "0.900"]
    page.mouse.click(*at(page, 20, 70))
    assert card.locator("h2").inner_text().split("\n") == ["Nucleus 3", "taken for background"]
    page.keyboard.press("Escape")
    assert card.is_hidden()
    for key, layer in (("1", "truth"), ("2", "prediction"), ("h", ""), ("3", "errors")):
        page.keyboard.press(key)
        assert page.locator("input[name=layer]:checked").get_attribute("value") == layer
        assert f"layer={layer or 'hidden'}" in page.url or layer == "truth"
    page.keyboard.press("f")
    assert page.locator("input[name=fill]").is_checked()
    page.locator("input[name=opacity]").fill("40")
    assert page.evaluate("document.querySelector('#over').style.opacity") == "0.4"


def test_the_table_counts_and_hides_classes(judged_page):
    page = judged_page("dataset/squares/a/")
    until(page, f"{DRAWN} == 4 && document.querySelectorAll('.tally td').length > 4")
    rows = [row.inner_text().split() for row in page.locator(".tally tbody tr").all()]
    assert rows == [["red", "2", "1", "0.667"], ["<b>blue", "2", "2", "0.500"]]
    assert page.locator(".tally tfoot").inner_text().split()[-1] == "0.583"
    page.locator(".tally input").nth(1).uncheck()
    until(page, f"{DRAWN} == 1")  # nucleus 1 alone is red: 2 and 4 were taken for blue, and 3 is


def test_errors_are_walked_through_the_surest_first(judged_page):
    page = judged_page("dataset/squares/a/")
    until(page, "document.querySelector('input[value=errors]').checked")
    page.keyboard.press("n")
    assert page.locator(".walk span").inner_text() == "Error 1 of 2, surest first"
    first = page.locator(".card h2").inner_text()
    page.get_by_label("Next error").click()
    assert page.locator(".card h2").inner_text() != first
    page.keyboard.press("n")
    assert page.locator(".card h2").inner_text() == first


def test_another_model_has_layers_of_its_own_and_its_own_nuclei(judged_page):
    page = judged_page("dataset/squares/a/?run=m1&sort=errors")
    until(page, "document.querySelector('input[value=errors]').checked")
    assert page.get_by_text("Found by the model itself").is_hidden()
    page.keyboard.press("]")
    until(page, "document.querySelector('[data-note]').textContent.includes('squares-hover')")
    page.get_by_text("Found by the model itself").click()
    until(page, f"{DRAWN} == 1")
    page.mouse.click(*at(page, 40, 40))
    assert page.locator(".card h2").inner_text() == "Nucleus 9"
    assert page.locator("[data-found]").inner_text().startswith("1 nuclei found by the model itself")
    assert "run=m2" in page.url
    page.keyboard.press("j")
    page.wait_for_url("**/b/?*")
    assert "run=m2" in page.url


def test_a_field_outside_the_test_part_says_so(judged_page):
    page = judged_page("dataset/squares/b/?run=m2&layer=errors")
    until(page, "document.querySelector('[data-note]').classList.contains('absent')")
    assert page.locator("[data-note]").inner_text() == "This field is not in the test part of this run."
    assert page.get_by_label("Errors").is_disabled()
    until(page, f"{DRAWN} == 4")


def test_the_worst_field_is_the_first_of_the_list(judged_page):
    page = judged_page("dataset/squares/")
    page.locator("select[name=run]").select_option("m1")
    page.wait_for_url("**run=m1**")
    card = page.locator(".fields a").first
    assert "50 %" in card.inner_text()
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    card.click()
    until(page, "document.querySelector('input[value=errors]').checked")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_canvas_goes_with_the_picture(judged_page):
    page = judged_page("dataset/squares/a/")
    until_drawn(page)
    until(page, f"{DRAWN} == 4")
    page.evaluate("cryostatViewer.viewport.panBy(new OpenSeadragon.Point(0.05, 0), true)")
    until(page, "document.querySelector('#over').style.transform.startsWith('translate(-')")
    page.evaluate("cryostatViewer.viewport.zoomBy(1.5)")
    until(page, "document.querySelector('#over').style.transform == ''")


def test_cells_over_a_slide_are_switched_and_tell_of_themselves(judged_page):
    page = judged_page("slide/slide%20one.tiff/")
    until_drawn(page)
    until(page, f"{OPACITIES} == '1,1'")
    page.keyboard.press("h")
    until(page, f"{OPACITIES} == '1,0'")
    page.keyboard.press("2")
    until(page, f"{OPACITIES} == '1,0,1'")
    page.mouse.click(*at(page, 130, 130))
    page.locator(".card dl").wait_for()
    assert page.locator(".card h2").inner_text() == "Cell 1"
    assert "<i>area\n3600" in page.locator(".card").inner_text()
    page.mouse.click(*at(page, 410, 410))
    until(page, "document.querySelector('.card').textContent.includes('<script>alert(1)')")
    page.get_by_label("Close").click()
    assert page.locator(".card").is_hidden()


OPACITIES = "Array.from(cryostatViewer.world._items, (item) => item.opacity).join()"


def test_a_slide_is_drawn(opened):
    page = opened("slide/slide%20one.tiff/")
    until_drawn(page)
    assert page.evaluate("cryostatViewer.world.getItemAt(0).getContentSize().x") == 1500
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_from_a_report_into_a_field(opened):
    page = opened("report/report/dataset-tiny.html")
    page.get_by_role("link", name="Deep zoom into the fields of tiny").click()
    page.get_by_role("link", name="one").first.click()
    until_drawn(page)
    page.get_by_role("link", name="Next").click()
    until_drawn(page)
    assert page.locator("aside h1").inner_text().startswith("a <b>")
