"""The viewer in a headless browser; skipped where Playwright or Chromium is not installed."""

from __future__ import annotations

import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.enable_socket,
]
ARGUMENTS = ("--no-sandbox", "--disable-background-networking", "--disable-gpu", "--disable-dev-shm-usage")


@pytest.fixture(scope="module")
def opened(server):
    """Opens a page of the server; nothing may be asked of others, and nothing go wrong."""
    troubles = []
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda m: troubles.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(server.url) else troubles.append(r.url))

        def open_page(path: str):
            page.goto(server.url + path)
            return page

        yield open_page
        browser.close()
    assert not troubles


def until(page, expression: str) -> None:
    """Waits without eval, which the pages forbid."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {expression}")


def until_drawn(page) -> None:
    until(page, "window.cryostatViewer?.world.getItemAt(0)?.getFullyLoaded()")


OPACITIES = "Array.from(cryostatViewer.world._items, (item) => item.opacity).join()"


def test_nuclei_are_switched_and_the_bar_follows_the_zoom(opened):
    page = opened("dataset/tiny/one/")
    until_drawn(page)
    until(page, f"{OPACITIES} == '1,1'")
    page.get_by_label("Hidden").check()
    assert page.evaluate(OPACITIES) == "1,0"
    page.keyboard.press("3")
    until(page, f"{OPACITIES} == '1,0,1'")
    before = page.locator("[data-zoom]").inner_text()
    page.get_by_label("Zoom out").click()
    until(page, f"document.querySelector('[data-zoom]').textContent != '{before}'")
    assert page.locator(".bar").is_visible()
    assert "µm" in page.locator(".bar span").inner_text()
    assert page.locator(".trouble").is_hidden()


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
