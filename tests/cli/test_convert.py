"""``genovi convert``: once to a fileset, from which training starts at once; and standard input."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_same, needs, run_tool, simulate_structure, write_vcf

from genovi.embedding import Embedding
from genovi.genotypes import keeping
from genovi.genotypes.matrix import GenotypeMatrix, pack
from genovi.genotypes.memory import MemoryPlan
from genovi.genotypes.reading import open_genotypes

FAST = ("--epochs", "2", "--batch-size", "32", "--steps", "1", "--device", "cpu", "--threads", "1", "--seed", "1")


@pytest.fixture
def cohort() -> GenotypeMatrix:
    return simulate_structure(4, 3, 12, 220, 0.15, 0.01)[0]


def test_convert_says_what_it_wrote(shell: Any, tmp_path: Path, cohort: GenotypeMatrix) -> None:
    write_vcf(tmp_path / "a.vcf.gz", cohort, "bgzf")
    result = shell("convert", "a.vcf.gz", "--out", "all")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "wrote 36 samples x 220 variants to all.bed\n"
        "genome build: unknown (neither header nor positions tell GRCh37 from GRCh38)\n"
    )
    assert_same(open_genotypes([tmp_path / "all.bed"]), cohort)
    some = shell("convert", "all", "--out", "some", "--chr", "3,5-6", "--quiet")
    assert (some.exit_code, some.stderr) == (0, "")
    assert some.stdout.startswith("wrote 36 samples x 30 variants to some.bed; left out 190 on other chromosomes\n")


def test_training_from_the_fileset_gives_the_same_map(shell: Any, tmp_path: Path, cohort: GenotypeMatrix) -> None:
    write_vcf(tmp_path / "a.vcf.gz", cohort, "bgzf")
    assert shell("convert", "a.vcf.gz", "--out", "all").exit_code == 0
    for name, run in (("a.vcf.gz", "vcf"), ("all", "bed")):
        result = shell("train", name, "--out", run, *FAST)
        assert result.exit_code == 0, result.output
    one, other = (Embedding.read_tsv(tmp_path / run / "embedding.tsv") for run in ("vcf", "bed"))
    np.testing.assert_array_equal(one.mean, other.mean)
    assert one.samples == other.samples


def test_convert_refuses(shell: Any, tmp_path: Path, cohort: GenotypeMatrix) -> None:
    write_vcf(tmp_path / "a.vcf", cohort)
    (tmp_path / "taken.bim").write_text("mine")
    shell.refuses(2, "--force", "convert", "a.vcf", "--out", "taken")
    shell.refuses(2, "--out", "convert", "a.vcf")
    shell.refuses(2, "--chr", "convert", "a.vcf", "--out", "x", "--chr", "9-2")
    shell.refuses(3, "--chr removed 220 of 220", "convert", "a.vcf", "--out", "x", "--chr", "X", "--quiet")
    shell.refuses(3, "no such file", "convert", "absent", "--out", "x")
    shell.refuses(5, "cannot write", "convert", "a.vcf", "--out", "a.vcf/x")


# Files that are there, and what is said when one of them is named.
INCOMPLETE: dict[str, tuple[dict[str, bytes], str]] = {
    "x.pgen": ({"x.pgen": b"\x6c\x1b\x10"}, "no .psam file beside the fileset (x.psam)"),
    "x.pvar": ({"x.pvar": b"#CHROM\n", "x.psam": b"#IID\ns1\n"}, "no .pgen file beside the fileset (x.pgen)"),
    "x.psam": ({"x.pgen": b"0", "x.pvar": b"#CHROM\n", "x.psam": b"#IID\ns\n"}, "not a PLINK 2 .pgen file (x.pgen)"),
    "x.geno": ({"x.geno": b"GENO 1 1 0 0", "x.ind": b"s U p\n"}, "no .snp file beside the fileset (x.snp)"),
    "x.ind": (
        {"x.geno": b"01\n", "x.ind": b"s U p\n", "x.snp": b"v 1 0 5 A C\n"},
        "2 genotypes, expected 1 (x.geno, line 1)",
    ),
    "x.vcz": ({"x.vcz/.zgroup": b"{", "x.vcz/.zattrs": b"{}"}, "(x.vcz)"),
    "x.ped": ({"x.ped": b"f s 0 0 0 0 A A\n"}, "plink2 --pedmap PREFIX --make-bed"),
}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_incomplete_inputs_are_told_in_one_line(shell: Any, tmp_path: Path, name: str) -> None:
    files, said = INCOMPLETE[name]
    for file, content in files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content)
    shell.refuses(3, said, "info", name)
    shell.refuses(3, said, "convert", name, "--out", "new")


@pytest.mark.parametrize(
    "words", [["info", "-"], ["convert", "-", "--out", "new"], ["train", "-", "--out", "run", *FAST]]
)
def test_standard_input(tmp_path: Path, cohort: GenotypeMatrix, words: list[str]) -> None:
    content = write_vcf(tmp_path / "a.vcf.gz", cohort, "bgzf").read_bytes()
    command = [sys.executable, "-m", "genovi", *words]
    result = subprocess.run(command, input=content, capture_output=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr.decode()
    assert b"standard input" in result.stdout + result.stderr


def test_convert_filters_as_plink2_does(shell: Any, tmp_path: Path) -> None:
    cohort, _ = simulate_structure(7, 3, 40, 500, 0.15, 0.03)
    write_vcf(tmp_path / "a.vcf", cohort)
    (tmp_path / "remove.txt").write_text("s3\ns9\n")
    (tmp_path / "exclude.txt").write_text("v3\nv100\n")
    filters = ["--maf", "0.2", "--geno", "0.04", "--remove", "remove.txt", "--exclude", "exclude.txt", "--chr", "1-12"]
    result = shell("convert", "a.vcf", "--out", "ours", "--quiet", *filters)
    assert result.exit_code == 0, result.output
    said = result.stdout.splitlines()[0]
    assert said.startswith("wrote 118 samples x ")
    assert "left out 2 samples on the --remove list, 224 on other chromosomes, 2 on the --exclude list, " in said
    run_tool(needs("plink2"), "--vcf", "a.vcf", "--make-bed", "--out", "theirs", "--bad-freqs", *filters)
    assert (tmp_path / "ours.bed").read_bytes() == (tmp_path / "theirs.bed").read_bytes()
    ids = [[line.split()[1] for line in (tmp_path / f"{name}.bim").read_text().splitlines()]
           for name in ("ours", "theirs")]  # fmt: skip
    assert ids[0] == ids[1]
    assert len(ids[0]) > 50


def test_samples_that_fail_mind_do_not_count_for_other_filters(shell: Any, tmp_path: Path) -> None:
    cohort, _ = simulate_structure(7, 3, 10, 300, 0.15, 0.01)
    dosages = cohort.dosages()
    dosages[:200, 4] = -1
    write_vcf(tmp_path / "a.vcf", replace(cohort, packed=pack(dosages)))
    result = shell("convert", "a.vcf", "--out", "ours", "--mind", "0.5", "--geno", "0.04")
    assert result.exit_code == 0, result.output
    assert "reading once more, because 1 samples fail --mind" in result.stderr
    run_tool(needs("plink2"), "--vcf", "a.vcf", "--make-bed", "--out", "one", "--mind", "0.5")
    run_tool(needs("plink2"), "--bfile", "one", "--make-bed", "--out", "theirs", "--geno", "0.04")
    assert (tmp_path / "ours.bed").read_bytes() == (tmp_path / "theirs.bed").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["convert", "a.vcf", "--out", "x", "--region", "1:9-2"], "--region"),
        (["convert", "a.vcf", "--out", "x", "--region", "1:1-9", "--chr", "1"], "--chr and --region"),
        (["convert", "a.vcf", "--out", "x", "--maf", "0.7"], "--maf 0.7"),
        (["train", "a.vcf", "--out", "x", "--region", ""], "no region named"),
        (["train", "a.vcf", "--out", "x", "--memory", "-3"], "--memory -3"),
        (["train", "a.vcf", "--out", "x", "--memory", "nan"], "--memory nan"),
        (["train", "a.vcf", "--out", "x", "--memory", "80"], "the program itself takes"),
    ],
)
def test_senseless_ways_to_read_are_refused(
    shell: Any, tmp_path: Path, cohort: GenotypeMatrix, words: list[str], said: str
) -> None:
    write_vcf(tmp_path / "a.vcf", cohort)
    shell.refuses(2, said, *words)


def test_regions_and_memory_of_training(shell: Any, tmp_path: Path, cohort: GenotypeMatrix) -> None:
    write_vcf(tmp_path / "a.vcf.gz", cohort, "bgzf")
    common = ("a.vcf.gz", "--region", "1:1-200000,3", "--region", "5:50000-", *FAST)
    for name, more in (("one", ()), ("other", ("--memory", "4000"))):
        result = shell("train", *common, "--out", name, *more)
        assert result.exit_code == 0, result.output
    qc = [json.loads((tmp_path / name / "qc.json").read_text()) for name in ("one", "other")]
    assert qc[0] == qc[1]
    assert qc[0]["thresholds"]["regions"] == ["1:1-200000", "3", "5:50000-"]
    assert qc[0]["steps"][0] == {
        "name": "--region",
        "kind": "variants",
        "before": 220,
        "removed": 196,
        "kept": 24,
        "reason": "outside of the regions",
    }
    assert "--memory" in shell("train", "--help").stdout


def test_training_from_a_temporary_file_is_the_same(
    shell: Any, tmp_path: Path, cohort: GenotypeMatrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_vcf(tmp_path / "a.vcf.gz", cohort, "bgzf")
    assert shell("train", "a.vcf.gz", "--out", "one", *FAST).exit_code == 0
    monkeypatch.setattr(keeping, "_BYTES_OF_VARIANT", 0)
    monkeypatch.setattr(keeping, "_BYTES_OF_NAME", 0)
    monkeypatch.setattr("genovi.pipeline.plan_memory", lambda _, folder: MemoryPlan(500, 300, folder))
    result = shell("train", "a.vcf.gz", "--out", "other", *FAST)
    assert result.exit_code == 0, result.output
    assert "goes to a temporary file in" in result.stderr
    one, other = (Embedding.read_tsv(tmp_path / run / "embedding.tsv") for run in ("one", "other"))
    np.testing.assert_array_equal(one.mean, other.mean)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.vcf.gz", "one", "other"]
