"""Pages that say what the code does."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import REPO

from genovi import errors
from genovi.embedding import Embedding
from genovi.ensemble import Ensemble, Member
from genovi.genotypes.matching import STATUSES
from genovi.manifest import Manifest
from genovi.training.monitor import EpochRecord

PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").glob("*.md"), *(REPO / "data").glob("*.md")])


def table(page: str, heading: str) -> list[str]:
    """First cells of the table under ``heading``."""
    section = (REPO / "docs" / page).read_text().split(f"## {heading}")[1].split("\n## ")[0]
    return [cell.replace("`", "") for cell in re.findall(r"^\| (`[^|]*`) \|", section, re.MULTILINE)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_every_page_is_listed() -> None:
    index = (REPO / "docs" / "index.md").read_text()
    assert not [
        page.name for page in (REPO / "docs").glob("*.md") if page.name != "index.md" and page.name not in index
    ]


def test_history_columns() -> None:
    assert table("files.md", "Training history") == EpochRecord.columns()


def test_embedding_columns() -> None:
    one, square = np.ones(1), np.ones((1, 1))
    columns = Embedding(("s",), square, square, one.astype(np.int64), one, one, one).table().columns
    documented = [column.split(" ")[0] for column in table("files.md", "Embedding")]
    assert documented == list(columns)


def test_columns_of_runs_compared() -> None:
    section = (REPO / "docs" / "files.md").read_text().split("## Runs compared")[1].split("\n## ")[0]
    columns = [cell for cell in re.findall(r"^\| (`.*?`) (?:\.\.|\|)", section, re.MULTILINE)]
    manifest = Manifest({}, 1, 2, 1, {}, 1.0, 1, "", {})
    member = Member(Path("run"), "run", manifest, Embedding(("a", "b"), np.zeros((2, 1))), 0.0, 0.0, 0.0, 1)
    found = Ensemble((member, member), np.zeros(2), np.zeros(2), 1)
    written = [*found.runs_table().columns, *found.stability_table().columns]
    assert [column.strip("`") for column in columns] == written


def test_match_statuses() -> None:
    assert tuple(table("files.md", "Matching")) == ("STATUS", *STATUSES)


def test_exit_codes() -> None:
    text = (REPO / "docs" / "exit-codes.md").read_text()
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    raised = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type)}
    assert documented == raised | {0}


def test_samples_that_pages_name_are_those_of_the_demo() -> None:
    with gzip.open(REPO / "data" / "demo_train.vcf.gz", "rt") as text:
        present = set(next(line for line in text if line.startswith("#CHROM")).split()[9:])
    named = {name for page in PAGES for name in re.findall(r"--sample (SIM\d+)", page.read_text())}
    assert named
    assert named <= present


@pytest.mark.parametrize("image", sorted((REPO / "docs" / "images").glob("*.png")), ids=lambda image: image.name)
def test_images_say_nothing_of_the_machine_that_drew_them(image: Path) -> None:
    from PIL import Image

    with Image.open(image) as picture:
        words = [word for value in picture.info.values() if isinstance(value, str) for word in value.split()]
    assert not [word for word in words if word.startswith("/")]
