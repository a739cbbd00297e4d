"""The command line as its user sees it: words in; exit code, stdout and stderr out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from genovi.embedding import Embedding
from genovi_cli.app import app

POPULATIONS = {"GBR": "EUR", "FIN": "EUR", "YRI": "AFR", "LWK": "AFR"}


class Shell:
    """Types commands in a folder: ``shell("info", path)`` is ``genovi info path``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], prog_name="genovi")

    def refuses(self, exit_code: int, said: str, *words: object) -> None:
        """The command ends with ``exit_code``, one line on stderr that holds ``said``, and nothing left behind."""
        before = self.listing()
        result = self(*words)
        assert result.exit_code == exit_code, result.output
        counts = ("Warning: ", "read ")  # what the library counted before it met the error may stand above it
        lines = [line for line in result.stderr.splitlines() if not line.startswith(counts)]
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("genovi: error: ")
        assert said in lines[0]
        assert result.stdout == ""
        assert self.listing() == before

    def listing(self) -> dict[str, int]:
        """Everything in the folder, hidden files included, with sizes."""
        return {str(path.relative_to(self.folder)): path.stat().st_size for path in self.folder.rglob("*")}


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path)


@pytest.fixture
def embedding(tmp_path: Path) -> Path:
    """An embedding file of 4 populations of 30 samples."""
    rng = np.random.default_rng(0)
    centres = np.repeat(np.array([[0.0, 0], [3, 0], [10, 8], [12, 11]]), 30, axis=0)
    mean = centres + rng.normal(size=(120, 2))
    path = tmp_path / "toy.embedding.tsv"
    Embedding(tuple(f"s{i}" for i in range(120)), mean, std=np.full_like(mean, 0.2)).write_tsv(path)
    return path


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    """A panel in the 1000 Genomes format, trailing tabs and all, for ``embedding``."""
    lines = ["sample\tpop\tsuper_pop\tgender\t\t"]
    pops = [p for p in POPULATIONS for _ in range(30)]
    lines += [f"s{i}\t{p}\t{POPULATIONS[p]}\tmale" for i, p in enumerate(pops)]
    path = tmp_path / "toy.panel"
    path.write_text("\n".join(lines) + "\n")
    return path
