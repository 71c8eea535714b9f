"""The site in a headless browser; skipped where Playwright or Chromium is not installed."""

from __future__ import annotations

import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
ARGUMENTS = ("--no-sandbox", "--disable-background-networking", "--disable-gpu", "--disable-dev-shm-usage")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        made = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield made
        made.close()


@pytest.fixture
def opened(browser, site):
    """Opens a page of the site; nothing may be asked of the network, and nothing go wrong."""
    troubles = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.route(
        "**/*", lambda route: route.continue_() if route.request.url.startswith(("file:", "data:")) else stop(route)
    )
    page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))

    def stop(route):
        troubles.append(f"asked for {route.request.url}")
        route.abort()

    def open_page(name: str, width: int = 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto((site / name).as_uri())
        return page

    yield open_page
    context.close()
    assert not troubles


@pytest.mark.parametrize("width", [1280, 768, 375])
def test_no_page_is_wider_than_the_screen_or_runs_what_names_say(opened, site, width):
    of_each_kind = {path.name.partition("-")[0]: path for path in sorted(site.glob("*.html"), reverse=True)}
    for path in of_each_kind.values():
        page = opened(path.name, width)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (path.name, width)
        assert page.evaluate("window.hacked") is None, path.name


def names_shown(page, board: int = 0) -> list[str]:
    rows = page.locator("table.board").nth(board).locator("tbody tr:visible th")
    return [text.split("\n")[0] for text in rows.all_inner_texts()]


def squares_board(page) -> int:
    captions = page.locator("table.board caption").all_inner_texts()
    return next(i for i, text in enumerate(captions) if "squares, split base" in text)


def test_tables_sort_by_mouse_and_keyboard(opened):
    page = opened("index.html")
    page.locator("[data-filter=fraction]").select_option("")
    board = squares_board(page)
    assert names_shown(page, board) == ["uni", "vit", "uni", "vit"]
    head = page.locator("table.board").nth(board).get_by_role("button", name="Accuracy")
    head.click()
    assert page.locator("table.board").nth(board).locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    best_first = page.locator("table.board").nth(board).locator("tbody td[data-label=Accuracy]").all_inner_texts()
    assert best_first == sorted(best_first, reverse=True)
    head.focus()
    page.keyboard.press("Enter")
    worst_first = page.locator("table.board").nth(board).locator("tbody td[data-label=Accuracy]").all_inner_texts()
    assert worst_first == best_first[::-1]


def test_rows_are_filtered(opened):
    page = opened("index.html")
    board = squares_board(page)
    assert names_shown(page, board) == ["uni", "vit"]  # of all training fields
    page.locator("[data-filter=encoder]").select_option("vit")
    assert names_shown(page, board) == ["vit"]
    assert "of" in page.locator("[data-count]").inner_text()
    page.get_by_role("button", name="Reset").click()
    page.locator("[data-filter=text]").fill("uni")
    assert names_shown(page, board) == ["uni"]
    page.locator("[data-filter=text]").fill("")
    before = page.locator("tr.published:visible").count()
    page.locator("[data-filter=published]").uncheck()
    assert before
    assert page.locator("tr.published:visible").count() == 0


def shown_layers(page) -> list[str]:
    return page.locator(".viewer").first.locator(".layer:visible").evaluate_all("all => all.map(i => i.dataset.layer)")


def test_layers_switch_by_click_and_key(opened):
    page = opened("gallery-squares.html")
    viewer = page.locator(".viewer").first
    assert shown_layers(page) == ["errors"]
    viewer.get_by_role("radio", name="Truth").check()
    assert shown_layers(page) == ["truth"]
    viewer.locator(".stage").focus()
    page.keyboard.press("3")
    assert shown_layers(page) == ["prediction"]
    page.keyboard.press("1")
    assert shown_layers(page) == []
    loaded = page.locator(".viewer img").evaluate_all("all => all.every(i => i.complete && i.naturalWidth > 0)")
    assert loaded


def test_fields_zoom_and_move(opened):
    page = opened("gallery-squares.html")
    world = page.locator(".viewer .world").first

    def matrix() -> list[float]:
        page.wait_for_timeout(300)
        text = world.evaluate("w => getComputedStyle(w).transform")
        return [float(part) for part in text.removeprefix("matrix(").removesuffix(")").split(",")]

    page.locator(".viewer").first.get_by_label("Zoom in").click()
    assert matrix()[0] == pytest.approx(1.6)
    page.locator(".stage").first.focus()
    before = matrix()[4]
    page.keyboard.press("ArrowRight")
    assert matrix()[4] == pytest.approx(before - 60)
    page.keyboard.press("0")
    assert matrix() == pytest.approx([1, 0, 0, 1, 0, 0])


def test_panels_of_methods_switch(opened):
    page = opened("cohort-glioma-grade-standard-kfold-mri-wsi.html")
    assert page.locator("[data-panel]:visible").count() == 1
    first = page.locator("[data-panel]:visible").get_attribute("data-panel")
    page.locator("[data-panel-choice]").select_option(index=1)
    assert page.locator("[data-panel]:visible").get_attribute("data-panel") != first


def test_curves_are_switched_off_by_key(opened):
    page = opened("dataset-squares.html")
    curves = page.locator("svg [data-series]")
    assert curves.count() == 2
    page.locator("[data-toggle]").first.focus()
    page.keyboard.press("Space")
    assert [curves.nth(i).is_visible() for i in range(2)] == [False, True]


def test_published_rows_are_hidden_on_the_page_of_a_dataset(opened):
    page = opened("dataset-lizard.html")
    assert page.locator("tr.published:visible").count() > 1
    page.locator("[data-filter=published]").uncheck()
    assert page.locator("tr.published:visible").count() == 0
    assert not page.locator("[data-published-notes]").first.is_visible()


def test_text_has_contrast_enough(browser, site):
    """WCAG AA: 4.5 to 1, of the soft and accent colours on paper and panels, light and dark."""
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        ratios = page.evaluate(CONTRASTS)
        context.close()
        assert min(ratios.values()) >= 4.5, (scheme, ratios)


CONTRASTS = """() => {
  const style = getComputedStyle(document.documentElement);
  const rgb = (name) => {
    const probe = document.createElement("i");
    probe.style.color = style.getPropertyValue(name);
    document.body.append(probe);
    return getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number);
  };
  const light = (name) => rgb(name).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const pairs = [["--ink", "--paper"], ["--soft", "--paper"], ["--soft", "--panel"], ["--accent", "--paper"],
    ["--accent", "--wash"], ["--paper", "--accent"], ["--warn", "--warn-wash"], ["--pub", "--pub-wash"],
    ["--soft", "--hair"]];
  return Object.fromEntries(pairs.map(([a, b]) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return [`${a} on ${b}`, (x + 0.05) / (y + 0.05)];
  }));
}"""
