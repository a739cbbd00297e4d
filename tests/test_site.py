"""The site of the documentation: strict, current, and complete without network."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from helpers import REPO

needs_mkdocs = pytest.mark.skipif(
    importlib.util.find_spec("material") is None, reason="mkdocs-material (extra docs) is not installed"
)


def test_page_of_commands_is_current() -> None:
    path = REPO / "docs" / "site" / "commands.py"
    spec = importlib.util.spec_from_file_location("commands_page", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (REPO / "docs" / "commands.md").read_text() == module.page(), "run: python docs/site/commands.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; dead links and anchors, and pages that the menu lacks, are errors of the build."""
    folder = tmp_path_factory.mktemp("built") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=REPO,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Loaded(HTMLParser):
    """What a browser loads for a page; links that a reader may follow are not among it."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(given.get("href") or "")
        self.addresses += [given["src"] or ""] if "src" in given else []


@needs_mkdocs
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert loaded.addresses
        assert not [address for address in loaded.addresses if re.match(r"(https?:)?//", address)], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


@needs_mkdocs
@pytest.mark.skipif(not (shutil.which("chromium") and shutil.which("chromedriver")), reason="chromium is not installed")
def test_pages_open_from_a_folder_and_can_be_searched(site: Path) -> None:
    from selenium import webdriver
    from selenium.webdriver.common.by import By

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.get((site / "docs" / "faq.html").as_uri())
        assert "Questions and answers" in driver.title
        driver.execute_script("document.querySelector('#__search').click()")
        box = driver.find_element(By.CSS_SELECTOR, "input.md-search__input")
        wait_for(lambda: box.is_displayed() and box.is_enabled())
        box.send_keys("kinship")
        found = wait_for(lambda: driver.find_elements(By.CSS_SELECTOR, ".md-search-result__item a"))
        assert "method.html" in " ".join(link.get_attribute("href") or "" for link in found)
        driver.set_window_size(500, 900)  # headless Chromium has no narrower window
        for page in ("docs/faq.html", "docs/files.html", "docs/commands.html", "index.html"):
            driver.get((site / page).as_uri())
            assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth"), page
        assert not [line for line in driver.get_log("browser") if line["level"] == "SEVERE"]
        events = [json.loads(line["message"])["message"] for line in driver.get_log("performance")]
        asked = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        assert {address.split(":")[0] for address in asked} <= {"file", "data", "blob"}
    finally:
        driver.quit()


def wait_for(condition: Any, seconds: float = 30.0) -> Any:
    """What ``condition`` gives once it is true."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return value
