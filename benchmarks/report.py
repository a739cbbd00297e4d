"""How large reports are, how long a browser takes to show them, and the picture of one for the documentation.

    python benchmarks/report.py RUN --labels PANEL [--screenshot docs/images/report.png]

Measures the report of RUN, and one of the same run with a made-up embedding of 50,000 samples. Each is opened six times
in a headless Chromium without a graphics card (Debian: chromium, chromium-driver); the slowest time, mostly the first,
which also loads the browser itself, is left out. "Shown" is from opening the file to the map's first picture.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from figures import made_up
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from genovi.labels import SampleLabels, read_labels
from genovi.report.page import write_report

MANY = 50_000
OPENED = 6
_CHOOSE = """
const report = window.genoviReport, name = arguments[0], find = document.getElementById("find");
find.value = name;
find.dispatchEvent(new Event("input"));
document.querySelector("#found li").dispatchEvent(new MouseEvent("mousedown", { cancelable: true }));
"""


def browser(width: int, height: int) -> Any:
    """A headless Chromium."""
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    options.add_argument(f"--window-size={width},{height}")
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def shown(driver: Any, page: Path) -> float:
    """Seconds from opening ``page`` to the map's first picture."""
    driver.get(page.absolute().as_uri())
    while not driver.execute_script("return document.documentElement.dataset.ready"):
        time.sleep(0.05)
    return float(driver.execute_script("return genoviReport.ready")) / 1000


def measure(run: Path, labels: SampleLabels, page: Path) -> str:
    """One row of the table."""
    start = time.process_time()
    summary = write_report(run, page, labels=labels, force=True)
    seconds = time.process_time() - start
    driver = browser(1400, 1000)
    try:
        times = sorted(shown(driver, page) for _ in range(OPENED))[:-1]
    finally:
        driver.quit()
    middle = statistics.median(times)
    return f"| {summary.samples:,} | {summary.size / 1e6:.1f} | {seconds:.1f} | {middle:.1f} |"


def screenshot(page: Path, out: Path, sample: str) -> None:
    """The top of ``page``, with the posterior of one sample."""
    driver = browser(1240, 1190)
    try:
        shown(driver, page)
        driver.execute_script(_CHOOSE, sample)
        time.sleep(1)
        driver.save_screenshot(str(out))
    finally:
        driver.quit()


def main() -> None:
    """Measure, print, and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--screenshot", type=Path)
    parser.add_argument("--sample", default="HG02479", help="sample whose posterior the picture shows")
    options = parser.parse_args()
    labels = read_labels(options.labels)
    with tempfile.TemporaryDirectory() as folder:
        page, many = Path(folder, "report.html"), Path(folder, options.run.name)
        print("| samples | file, MB | written, CPU s | shown, s |\n| --- | --- | --- | --- |")
        print(measure(options.run, labels, page), flush=True)
        if options.screenshot:
            screenshot(page, options.screenshot, options.sample)
        embedding, known = made_up(MANY)
        rng = np.random.default_rng(2)
        embedding = replace(
            embedding,
            cluster=rng.integers(1, 30, MANY),
            cluster_prob=rng.random(MANY),
            missing=0.05 * rng.random(MANY),
            misfit=rng.uniform(0.5, 1.5, MANY),
        )
        shutil.copytree(options.run, many)
        embedding.write_tsv(many / "embedding.tsv")
        print(measure(many, known, page))


if __name__ == "__main__":
    main()
