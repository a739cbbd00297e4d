"""A report in a real browser: it loads from disk without the network, and every part of the map does its work."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import NASTY, POPULATIONS, cohort, write_panel, write_run

from genovi.labels import read_labels
from genovi.report.page import write_report

EMBEDDING = cohort(names=[name for name in NASTY if name.strip()])

# Contrast of every text that is seen with what lies behind it (WCAG 2.1), below the least that is asked for.
FAINT = """
const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const lum = (c) => { const f = c.map((v) => linear(v / 255)); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
const rgba = (text) => { const m = text.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
const behind = (e) => {
  const c = e ? rgba(getComputedStyle(e).backgroundColor) : [255, 255, 255, 1];
  return c[3] > 0.99 ? c : behind(e.parentElement); };
const faint = [];
let seen = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  const text = walker.currentNode.textContent.trim().slice(0, 30);
  if (!text || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(e.tagName) || !e.checkVisibility()) continue;
  const style = getComputedStyle(e);
  const [a, b] = [lum(rgba(e instanceof SVGElement ? style.fill : style.color)), lum(behind(e))].sort((p, q) => q - p);
  const ratio = (a + 0.05) / (b + 0.05);
  seen += 1;
  if (ratio < 4.5) faint.push([text, e.className, ratio.toFixed(2)].join(" | "));
}
return [seen, faint];
"""


class Page:
    """One report in one browser."""

    def __init__(self, driver: Any, path: Path, downloads: Path) -> None:
        self.driver, self.path, self.downloads = driver, path, downloads

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def load(self, scheme: str = "light") -> None:
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(self.path.as_uri())
        self.until("return document.documentElement.dataset.ready")

    def until(self, script: str, seconds: float = 8) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.run(script)
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"still not: {script}")

    def find(self, css: str) -> Any:
        return self.driver.find_element("css selector", css)

    def click(self, css: str) -> None:
        self.find(css).click()

    def place(self, x: float, y: float) -> tuple[int, int]:
        """Where the map shows (x, y), in pixels of the window."""
        script = """const {figure: f} = genoviReport, box = document.getElementById('plot').getBoundingClientRect();
        const at = (range, value) => (value - range.start) / (range.end - range.start);
        return [box.right - 12 - (1 - at(f.x_range, arguments[0])) * f.inner_width,
                box.top + 12 + (1 - at(f.y_range, arguments[1])) * f.inner_height].map(Math.round);"""
        across, down = self.run(script, float(x), float(y))
        return across, down

    def drag(self, *places: tuple[int, int], press: bool = True) -> None:
        """Move the pointer along ``places`` (window pixels) with its button down."""
        from selenium.webdriver.common.actions.action_builder import ActionBuilder

        actions = ActionBuilder(self.driver, duration=20)
        actions.pointer_action.move_to_location(*places[0])
        if press:
            actions.pointer_action.pointer_down()
        for place in places[1:]:
            actions.pointer_action.move_to_location(*place)
        if press:
            actions.pointer_action.pointer_up()
        actions.perform()

    def chosen(self) -> str:
        return str(self.find("#chosen").text)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A headless Chromium with a report of 120 samples, some with names that would be markup."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="the package selenium is not installed")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("chromium and chromedriver (Debian: chromium, chromium-driver) are not installed")
    from selenium.webdriver.chrome.service import Service

    folder = tmp_path_factory.mktemp("browser")
    run = write_run(folder / "my-run", EMBEDDING)
    panel = write_panel(folder / "toy.panel", EMBEDDING)
    head, *rows = panel.read_text(encoding="utf-8").split("\n")[:-1]
    ages = ["", *(f"{20 + i / 4}" for i in range(1, len(rows)))]
    lines = [f"{head}\tage", *(f"{row}\t{age}" for row, age in zip(rows, ages, strict=True))]
    panel.write_text("\n".join(lines) + "\n", encoding="utf-8")
    labels = read_labels(panel)
    out = write_report(run, folder / "report.html", labels=labels).path
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1300,1200",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    driver.set_script_timeout(30)
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    try:
        yield Page(driver, out, folder)
    finally:
        driver.quit()


@pytest.fixture
def page(browser: Page) -> Page:
    """The report as it is when it has just been opened."""
    browser.load()
    return browser


def test_it_loads_from_disk_in_silence(page: Page) -> None:
    entries = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]
    assert asked == [page.path.as_uri()]
    assert [entry for entry in page.driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")] == []
    assert page.driver.title == "my-run: genovi report"
    assert page.run("return genoviReport.source.data.x.length") == 120


def test_names_of_samples_run_nothing(page: Page) -> None:
    box = page.find("#find")
    box.send_keys("alert")
    assert page.find("#found li").text.startswith("<script>alert(1)</script>")
    box.send_keys("\n")
    assert "<script>alert(1)</script>" in page.find("#sample").text
    assert page.run("return document.querySelectorAll('script').length") == 3


def test_hovering_says_what_a_sample_is(page: Page) -> None:
    page.drag(page.place(*EMBEDDING.mean[70]), press=False)
    assert page.until("return !document.getElementById('tip').hidden")
    text = page.find("#tip").text
    # neighbours may lie on top of one another: whichever it is, all is said of it
    for words in (
        "pop: YRI (AFR)",
        "most similar reference population: ",
        "Z1: ",
        "\N{PLUS-MINUS SIGN}",
        "missing: ",
        "misfit: ",
    ):
        assert words in text


def test_a_click_shows_the_posterior(page: Page) -> None:
    page.drag(page.place(*EMBEDDING.mean[100]))
    page.until("return genoviReport.here.data.x.length === 1")
    name = page.find("#sample dd").text
    i = EMBEDDING.samples.index(name)
    assert EMBEDDING.std is not None
    drawn = page.run("const d = genoviReport.here.data; return [d.x[0], d.y[0], d.w[0] / 2, d.h[0] / 2, d.w2[0] / 4]")
    expected = [*EMBEDDING.mean[i], *EMBEDDING.std[i], EMBEDDING.std[i, 0]]
    assert drawn == pytest.approx(expected, rel=1e-4)
    page.find("#plot").send_keys("\ue00c")  # Escape
    assert page.run("return genoviReport.here.data.x.length") == 0


def test_search_finds_shows_and_goes_there(page: Page) -> None:
    page.click("#legend input")  # AFR
    page.find("#find").send_keys("s119")
    page.find("#find").send_keys("\n")
    assert page.find("#sample dd").text == "s119"
    assert page.run("return genoviReport.visible(119)")  # its population is shown again
    page.find("#find").clear()
    page.find("#find").send_keys("nobody")
    assert page.find("#found").text == "no such sample"


def test_the_legend_toggles_groups_and_populations(page: Page) -> None:
    count = "return genoviReport.names.filter((_, i) => genoviReport.visible(i)).length"
    boxes = page.driver.find_elements("css selector", "#legend input")
    names = [box.find_element("xpath", "..").text.split()[0] for box in boxes]
    assert names == ["AFR", "LWK", "YRI", "EUR", "FIN", "GBR", "no"]  # one name has a quote, which the panel unquotes
    assert page.run(count) == 120
    boxes[1].click()  # LWK
    assert page.run(count) == 90
    assert page.run("return arguments[0].indeterminate", boxes[0])
    boxes[3].click()  # EUR
    assert page.run(count) == 31
    assert not boxes[4].is_selected()
    page.click("#legend button")  # All
    assert page.run(count) == 120


@pytest.mark.parametrize("tool", ["lasso", "box"])
def test_chosen_samples_are_exported(page: Page, tool: str) -> None:
    page.click(f"[data-drag={tool}]")
    low, high = EMBEDDING.mean[:60].min(axis=0), EMBEDDING.mean[:60].max(axis=0)  # GBR and FIN
    (left, bottom), (right, top) = page.place(*low), page.place(*high)
    left, right, top, bottom = left - 4, right + 4, top - 4, bottom + 4
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    page.drag(*(corners if tool == "lasso" else corners[::2]))
    page.until("return genoviReport.source.selected.indices.length > 0")
    inside = [i for i, z in enumerate(EMBEDDING.mean) if (z >= low).all() and (z <= high).all()]
    assert page.chosen().startswith(f"{len(inside)} samples: ")
    page.click("#export")
    file = page.downloads / "my-run.chosen.tsv"
    end = time.monotonic() + 10
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.05)
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
    file.unlink()
    header = ["IID", "pop", "GROUP", "age", "MOST_SIMILAR", "Z1", "Z2", "SD1", "SD2", "CLUSTER", "MISSING", "MISFIT"]
    assert rows[0] == header
    assert [row[0] for row in rows[1:]] == [EMBEDDING.samples[i] for i in inside]  # in the order of the run
    for i, row in zip(inside, rows[1:], strict=True):
        if row[0] not in NASTY:
            assert row[1:4] == [*list(POPULATIONS.items())[i // 30], f"{20 + i / 4:g}"]
        assert [float(cell) for cell in row[5:7]] == pytest.approx(EMBEDDING.mean[i], rel=1e-5)
    page.click("#clear")
    assert page.chosen().startswith("None")


def test_colours_by_a_column_of_numbers(page: Page) -> None:
    from selenium.webdriver.support.ui import Select

    colors = "return genoviReport.source.data.color"
    before = page.run(colors)
    select = Select(page.find("#color-by"))
    assert [one.text for one in select.options] == ["pop", "age", "MISSING", "MISFIT", "CLUSTER_PROB"]
    assert not page.find("#scale").is_displayed()
    select.select_by_visible_text("age")
    assert page.find("#scale").text.split("\n") == ["age: 20.25", "49.75", "(2 without, in grey)"]
    order = int(np.argmin(np.abs(np.array(page.run("return genoviReport.source.data.x")) - EMBEDDING.mean[119, 0])))
    last = page.run("return JSON.parse(document.getElementById('data').textContent).scale.at(-1)")
    assert page.run(colors)[order] == last != before[order]
    page.click("#theme")
    assert page.run(colors)[order] == last  # the theme paints the same colours again
    select.select_by_visible_text("pop")
    page.click("#theme")
    assert page.run(colors) == before
    assert not page.find("#scale").is_displayed()


def test_everything_is_reached_by_keys(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    reached: list[str] = []
    for _ in range(60):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        name = page.run(
            "const e = document.activeElement; return e.id || e.dataset.drag || e.getAttribute('href') || e.tagName"
        )
        outlined = page.run("return getComputedStyle(document.activeElement).outlineStyle !== 'none'")
        assert outlined or name == "BODY", name
        reached.append(name)
        if name == "BODY" or "citation" in reached:
            break
    assert reached[0] == "#map"  # skips the navigation
    for name in (
        "theme",
        "pan",
        "lasso",
        "box",
        "zoom-in",
        "reset",
        "color-by",
        "find",
        "plot",
        "INPUT",
        "choose-shown",
    ):
        assert name in reached, name
    before = page.run("return genoviReport.figure.x_range.start")
    page.find("#plot").send_keys(Keys.ARROW_RIGHT)
    assert page.run("return genoviReport.figure.x_range.start") > before
    page.find("#plot").send_keys("0")
    assert page.run("return genoviReport.figure.x_range.start") == pytest.approx(before)
    page.find("#choose-shown").send_keys("\n")
    assert page.chosen().startswith("120 samples")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out(browser: Page, scheme: str) -> None:
    browser.load(scheme)
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    browser.find("#find").send_keys("s1")
    assert browser.run("return document.documentElement.dataset.theme") == scheme
    seen, faint = browser.run(FAINT)
    assert seen > 200
    assert faint == []
    browser.click("#theme")
    assert browser.run("return document.documentElement.dataset.theme") != scheme
    assert browser.run(FAINT)[1] == []


def test_axes_stay_equal_when_the_window_changes(page: Page) -> None:
    script = """const f = genoviReport.figure;
    const size = (range, pixels) => (range.end - range.start) / pixels;
    return [size(f.x_range, f.inner_width), size(f.y_range, f.inner_height), f.inner_width]"""
    width = page.run(script)[2]
    try:
        page.driver.set_window_size(800, 700)
        page.until(f"return genoviReport.figure.inner_width < {width} - 50")
        across, up, _ = page.run(script)
        assert across == pytest.approx(up, rel=1e-3)
        assert page.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    finally:
        page.driver.set_window_size(1300, 1200)
