"""The commands of the README and of the pages, typed as they stand there, in one folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from helpers import REPO, simulate_structure, write_vcf
from typer.testing import CliRunner
from webserver import Site, serving

from genovi import releases
from genovi.releases import RELEASES
from genovi_cli.app import app

SHORT = ["--epochs", "3", "--batch-size", "256"]  # pages train as they do at length what the README has trained already
DEMO = REPO / "data"


def commands(page: str) -> list[str]:
    """Lines of the blocks that a page marks as bash."""
    blocks = re.findall(r"```bash\n(.*?)```", (REPO / page).read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def shown(page: str) -> list[str]:
    """Lines that a page says the commands print: blocks that it marks as text."""
    blocks = re.findall(r"```text\n(.*?)```", (REPO / page).read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@dataclass
class Typist:
    """Types commands in a folder and keeps what they print; a command that has been typed there is not typed again."""

    folder: Path
    typed: dict[str, str]

    def shell(self, command: str) -> None:
        """In a shell of its own, as a user does."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        line, environment = ["bash", "-c", command], os.environ | {"PATH": path}
        done = subprocess.run(line, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        self.typed[command] = done.stdout + done.stderr

    def page(self, page: str) -> None:
        """All commands of a page, in this process where no shell is needed; training is cut short."""
        for command in commands(page):
            if command in self.typed:
                continue
            words = shlex.split(command)
            if words[0] != "genovi":
                self.shell(command)
                continue
            words = [
                word for part in words for word in (sorted(map(str, Path().glob(part))) if "*" in part else [part])
            ]
            more = SHORT if words[1] == "train" and "--dry-run" not in words else []
            result = CliRunner().invoke(app, [*words[1:], *more], prog_name="genovi")
            assert result.exit_code == 0, f"{page}: {command}\n{result.output}"
            self.typed[command] = result.output
        said = {line.strip() for command in commands(page) for line in self.typed[command].splitlines()}
        assert not [line for line in shown(page) if line.strip() not in said]


@pytest.fixture(scope="module")
def typist(tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A folder with the demo's data in which the README's commands have been typed."""
    folder = tmp_path_factory.mktemp("first-run")
    (folder / "data").symlink_to(DEMO)
    typist = Typist(folder, {})
    for command in commands("README.md"):
        typist.shell(command)
    return typist


@pytest.fixture
def there(typist: Typist, monkeypatch: pytest.MonkeyPatch) -> Typist:
    """The same, and this process works in that folder."""
    monkeypatch.chdir(typist.folder)
    return typist


def test_there_is_a_first_run() -> None:
    assert [command.split()[1] for command in commands("README.md")] == [
        "info",
        "train",
        "plot",
        "embed",
        "evaluate",
        "plot",
        "report",
    ]


def test_first_run(typist: Typist) -> None:
    assert {
        "run",
        "ancestry.png",
        "new.embedding.tsv",
        "new.match.tsv",
        "training.pdf",
        "report.html",
        "report.log",
    } <= {path.name for path in typist.folder.iterdir()}


@pytest.mark.parametrize(
    "page",
    [
        "tutorial.md",
        "reading.md",
        "faq.md",
        pytest.param("own-cohort.md", marks=pytest.mark.verification),  # trains on the whole demo once more
    ],
)
def test_pages_on_the_demo(there: Typist, page: str) -> None:
    there.page(f"docs/{page}")


def test_page_on_other_species(there: Typist) -> None:
    matrix, labels = simulate_structure(5, 3, 14, 400, 0.2, 0.12)
    names = np.array([f"scaffold_{chrom}" for chrom in matrix.variants.chrom.tolist()], dtype=object)
    write_vcf(Path("lizards.vcf.gz"), replace(matrix, variants=replace(matrix.variants, chrom=names)), "bgzf")
    people = enumerate(zip(matrix.samples, labels.tolist(), strict=True))
    rows = [f"{name},{pop},{-3 - k / 10},{-50 + k % 7}" for k, (name, pop) in people]
    Path("lizards.csv").write_text("\n".join(["id,pop,latitude,longitude", *rows]) + "\n")
    there.page("docs/non-model.md")


@pytest.fixture
def public_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server of phase 3 in the place of the public ones, whose chromosome 22 holds the demo's genotypes."""
    labels, vcf, index = RELEASES["phase3"].files(["22"])
    files = dict(zip((labels, vcf, index), ("demo.panel", "demo_new.vcf.gz", "demo_new.vcf.gz.tbi"), strict=True))
    with serving(Site({path: (DEMO / name).read_bytes() for path, name in files.items()})) as site:
        here = replace(RELEASES["phase3"], servers=(site.root,))
        monkeypatch.setitem(releases.RELEASES, "phase3", here)
        yield site


def test_page_on_1000_genomes(there: Typist, public_server: Site) -> None:
    there.page("docs/thousand-genomes.md")
    assert public_server.gets(".vcf.gz") == [""]
    assert Path("kg22.png").is_file()


@pytest.mark.verification
def test_page_on_figures(there: Typist) -> None:
    there.page("docs/tutorial.md")
    there.shell("genovi train data/demo_train.vcf.gz --out other --seed 2 --epochs 30")
    panel = [line.split() for line in Path("data/demo.panel").read_text().splitlines()[1:]]
    Path("new_ids.txt").write_text("\n".join(row[0] for row in panel[:5]) + "\n")
    sites = sorted({row[1] for row in panel})
    places = [f"{name}\t{-20 + 3 * k}\t{5 * k}" for k, name in enumerate(sites)]
    Path("places.tsv").write_text("\n".join(["pop\tlatitude\tlongitude", *places]) + "\n")
    there.page("docs/figures.md")
