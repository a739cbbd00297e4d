"""The Snakemake workflow of docs/workflow, run on the demo data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import REPO
from typer.testing import CliRunner

from genovi_cli.app import app

WORKFLOW = REPO / "docs" / "workflow" / "Snakefile"
SNAKEMAKE = shutil.which("snakemake")


@pytest.mark.skipif(SNAKEMAKE is None, reason="snakemake is not installed")
def test_from_chromosomes_to_pictures(tmp_path: Path) -> None:
    for chromosome in ("1", "2"):
        words = ["convert", REPO / "data" / "demo_train.vcf.gz", "--chr", chromosome, "--out"]
        prefix = tmp_path / f"a cohort.chr{chromosome}"
        assert CliRunner().invoke(app, [str(word) for word in (*words, prefix)]).exit_code == 0
    shutil.copy(WORKFLOW, tmp_path)
    config = [
        "cohort: 'a cohort.chr{chromosome}.bed'",
        "chromosomes: [1, 2]",
        f"new: {REPO / 'data' / 'demo_new.vcf.gz'}",
        f"labels: {REPO / 'data' / 'demo.panel'}",
        "seed: 1",
        "train: --epochs 2 --device cpu",
    ]
    (tmp_path / "config.yaml").write_text("\n".join(config) + "\n")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # snakemake may live in an environment of its own: this one is not to be seen by it
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"PATH": path, "HOME": str(tmp_path)}
    words = [str(SNAKEMAKE), "--cores", "2", "--configfile", "config.yaml"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("plink/chr2.bed", "run/model.json", "new.embedding.tsv", "ancestry.png", "training.png"):
        assert (tmp_path / name).stat().st_size > 0
    again = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "Nothing to be done" in again.stdout + again.stderr
