"""``genovi evaluate --bounds``, and training with every posterior and prior, as a user types them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import simulate_structure, write_vcf

from genovi.training.config import OBJECTIVES

FAST = ["--epochs", "2", "--batch-size", "32", "--steps", "1", "--device", "cpu", "--threads", "1", "--seed", "1"]


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    return write_vcf(tmp_path / "good.vcf.gz", simulate_structure(4, 3, 12, 200, 0.15, 0.01)[0], "bgzf")


def test_bounds_are_printed_and_written_with_standard_errors(shell: Any, vcf: Path, tmp_path: Path) -> None:
    shell("train", vcf, "--out", "run", *FAST)
    result = shell("evaluate", "--bounds", "run", vcf, "--draws", "16", "--json", "bounds.json", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("36 of 36 samples have names of samples of the training run") == 1
    record = json.loads((tmp_path / "bounds.json").read_text())
    bounds = record["bounds"]
    assert (bounds["n"], bounds["draws"], bounds["on"], bounds["unresolved"]) == (36, 16, "input", 0)
    assert bounds["elbo"] < bounds["iwae"] < bounds["log_evidence"] + 0.1
    assert bounds["gap"] == pytest.approx(bounds["kl"] + bounds["auxiliary"])
    assert set(bounds["errors"]) == {"elbo", "iwae", "log_evidence", "gap", "kl", "auxiliary"}
    assert record["provenance"]["command"].startswith("genovi evaluate --bounds run")
    assert all(name in result.stdout for name in ("log p(x), quadrature", "ELBO", "IWAE-16", "KL(q(z|x) || p(z|x))"))
    assert f"{bounds['elbo']:.3f}" in result.stdout and f"{bounds['errors']['elbo']:.3f}" in result.stdout
    manifest = json.loads((tmp_path / "run" / "model.json").read_text())["summary"]["bounds"]
    assert manifest["gap"] == pytest.approx(manifest["log_evidence"] - manifest["elbo"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--bounds", "RUN"], 2, "genotypes are missing"),
        (["--bounds", "RUN", "VCF", "--labels", "VCF"], 2, "--labels"),
        (["--bounds", "RUN", "VCF", "--color", "pop"], 2, "--color"),
        (["--bounds", "RUN", "VCF", "--draws", "0"], 2, "--draws must be at least 1"),
        (["--bounds", "RUN", "VCF", "--device", "tpu"], 2, "unknown --device"),
        (["--bounds", "absent", "VCF"], 3, "absent"),
        (["--bounds", "RUN", "absent.vcf"], 3, "absent.vcf"),
        (["--bounds", "RUN", "VCF", "--json", "VCF"], 2, "--force"),
        (["e.tsv", "--labels", "VCF", "--draws", "4"], 2, "--draws belongs to --bounds"),
        (["e.tsv", "--labels", "VCF", "--min-overlap", "0.1"], 2, "--min-overlap belongs to --bounds"),
        (["e.tsv", "--labels", "VCF", "--threads", "1"], 2, "--threads belongs to --bounds"),
        (["--bounds", "RUN", "VCF", "--match-by", "name"], 2, "choose position or id"),
        (["e.tsv", "VCF", "--labels", "VCF"], 2, "one embedding at a time"),
        (["e.tsv"], 2, "--labels"),
    ],
)
def test_what_makes_no_sense_is_refused(shell: Any, vcf: Path, words: list[str], code: int, said: str) -> None:
    if "RUN" in words and code == 3:
        shell("train", vcf, "--out", "run", *FAST)
    paths = {"RUN": "run", "VCF": str(vcf)}
    shell.refuses(code, said, "evaluate", *[paths.get(word, word) for word in words])


def test_new_samples_are_not_taken_for_those_of_training(shell: Any, vcf: Path, tmp_path: Path) -> None:
    shell("train", vcf, "--out", "run", *FAST)
    matrix = simulate_structure(4, 3, 13, 200, 0.15, 0.01)[0]
    new = replace(matrix, samples=(*matrix.samples[:2], *(f"new{i}" for i in range(37))))
    result = shell("evaluate", "--bounds", "run", write_vcf(tmp_path / "new.vcf.gz", new, "bgzf"), "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert (
        f"2 of 39 samples have names of samples of the training run ({', '.join(matrix.samples[:2])})" in result.stderr
    )


def test_too_few_variants_are_refused_unless_fewer_are_asked_for(shell: Any, vcf: Path, tmp_path: Path) -> None:
    """As by ``genovi embed``."""
    shell("train", vcf, "--out", "run", *FAST)
    some = simulate_structure(4, 3, 12, 200, 0.15, 0.01)[0].take_variants(np.arange(60))
    few = write_vcf(tmp_path / "few.vcf", some)
    result = shell("evaluate", "--bounds", "run", few, "--device", "cpu")
    assert result.exit_code == 4 and "can be used" in result.stderr and "--min-overlap" in result.stderr
    result = shell("evaluate", "--bounds", "run", few, "--device", "cpu", "--min-overlap", "0.1")
    assert result.exit_code == 0, result.stderr
    assert "IWAE-64" in result.stdout


@pytest.mark.parametrize("posterior", ["hiaf", "aae", "ddvi-simple"])
def test_posteriors_train_embed_and_say_what_they_are_worth(
    shell: Any, vcf: Path, tmp_path: Path, posterior: str
) -> None:
    result = shell("train", vcf, "--out", "run", *FAST, "--posterior", posterior)
    assert result.exit_code == 0, result.stderr
    header = (tmp_path / "run" / "embedding.tsv").read_text().split("\n", 1)[0].split("\t")
    assert ("SD1" in header) == (posterior != "aae")
    assert ("no training bound" in result.stderr) == (posterior == "aae")
    assert "log p(x)" in result.stderr and "nan" not in result.stderr
    assert ("--steps 1 has no effect" in result.stderr) == (posterior != "ddvi-simple")
    result = shell("embed", "run", vcf, "--out", "new", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    result = shell("evaluate", "--bounds", "run", vcf, "--device", "cpu")
    assert result.exit_code == 0 and ("no density" in result.stdout) == (posterior == "aae")
    if posterior == "aae":  # whose history lacks bounds
        assert shell("plot", "training", "run", "--out", "h.png").exit_code == 0


@pytest.mark.parametrize("prior", ["mixture-free", "vamp", "flow"])
def test_priors_are_saved_and_loaded(shell: Any, vcf: Path, prior: str) -> None:
    assert shell("train", vcf, "--out", "run", *FAST, "--prior", prior).exit_code == 0
    result = shell("embed", "run", vcf, "--out", "new", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "36 samples are training samples" in result.stderr


def test_objectives_and_their_refusals(shell: Any, vcf: Path) -> None:
    for objective in OBJECTIVES:
        words = ["--out", objective, *FAST, "--objective", objective, "--draws", "3"]
        result = shell("train", vcf, *words)
        assert result.exit_code == 0
        assert ("--draws 3 has no effect" in result.stderr) == (objective == "elbo")
        assert "--steps" not in result.stderr
    shell.refuses(2, "elbo, iwae", "train", vcf, "--out", "new", *FAST, "--objective", "vi")
    shell.refuses(2, "hiaf", "train", vcf, "--out", "new", *FAST, "--posterior", "vae")
    shell.refuses(
        2, "needs the density", "train", vcf, "--out", "new", *FAST, "--objective", "iwae", "--posterior", "aae"
    )
    shell.refuses(2, "--latent-dim 2", "train", vcf, "--out", "new", *FAST, "--prior", "square", "--latent-dim", "3")
