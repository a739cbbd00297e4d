"""VCF that genovi writes, read back by genovi and by everybody else."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import matrix_of, needs

from genovi.errors import DataError
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.vcfwriting import check_alleles, write_vcf


@pytest.fixture(scope="module")
def matrix() -> GenotypeMatrix:
    """More text than one block holds, some of it missing."""
    rng = np.random.default_rng(1)
    return matrix_of(rng.choice(4, size=(700, 50), p=[0.4, 0.3, 0.2, 0.1]).astype(np.int8) - 1)


@pytest.fixture(scope="module")
def path(matrix: GenotypeMatrix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vcf") / "x.vcf.gz"
    write_vcf(matrix, path, "test")
    return path


def test_genovi_reads_it_back(matrix: GenotypeMatrix, path: Path) -> None:
    read = open_genotypes([path])
    assert read.samples == matrix.samples and read.facts.formats == ("VCF (BGZF)",)
    for name in ("chrom", "pos", "id", "ref", "alt"):
        np.testing.assert_array_equal(getattr(read.variants, name), getattr(matrix.variants, name))
    np.testing.assert_array_equal(read.dosages(), matrix.dosages())


def test_cyvcf2_reads_it(matrix: GenotypeMatrix, path: Path) -> None:
    cyvcf2 = pytest.importorskip("cyvcf2")
    vcf = cyvcf2.VCF(str(path), gts012=True)
    assert tuple(vcf.samples) == matrix.samples
    codes = np.array([record.gt_types.copy() for record in vcf])
    np.testing.assert_array_equal(np.where(codes == 3, -1, codes), matrix.dosages())


def test_bcftools_indexes_it_and_finds_no_fault(matrix: GenotypeMatrix, path: Path, tmp_path: Path) -> None:
    bcftools = needs("bcftools")
    index = ["index", "--tbi", "--output", str(tmp_path / "x.tbi"), str(path)]
    done = subprocess.run([bcftools, *index], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    query = ["query", "--format", "%CHROM %POS %REF %ALT\n", str(path)]
    done = subprocess.run([bcftools, *query], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    v = matrix.variants
    assert done.stdout.splitlines() == [
        f"{c} {p} {r} {a}" for c, p, r, a in zip(v.chrom, v.pos, v.ref, v.alt, strict=True)
    ]


def test_plink2_counts_the_same_alleles(matrix: GenotypeMatrix, path: Path, tmp_path: Path) -> None:
    words = ["--vcf", str(path), "--freq", "counts", "--threads", "1", "--out", str(tmp_path / "x")]
    subprocess.run([needs("plink2"), *words], capture_output=True, check=True)
    rows = [line.split("\t") for line in (tmp_path / "x.acount").read_text().splitlines()]
    column = rows[0].index("ALT_CTS")
    dosages = matrix.dosages()
    assert [int(row[column]) for row in rows[1:]] == np.where(dosages < 0, 0, dosages).sum(1).tolist()


def test_records_are_sorted_within_contigs(tmp_path: Path) -> None:
    matrix = matrix_of(np.arange(24, dtype=np.int8).reshape(6, 4) % 3)
    v = matrix.variants
    mixed = replace(matrix, variants=VariantTable(
        np.array(["2", "1", "2", "1", "2", "1"], dtype=object), np.array([5, 9, 3, 7, 4, 8]), v.id, v.ref, v.alt
    ))  # fmt: skip
    write_vcf(mixed, tmp_path / "x.vcf.gz", "test")
    read = open_genotypes([tmp_path / "x.vcf.gz"])
    assert list(zip(read.variants.chrom, read.variants.pos.tolist(), strict=True)) == [
        ("2", 3), ("2", 4), ("2", 5), ("1", 7), ("1", 8), ("1", 9)
    ]  # fmt: skip
    np.testing.assert_array_equal(read.dosages(), matrix.dosages()[[2, 4, 0, 3, 5, 1]])


@pytest.mark.parametrize(("ref", "alt"), [("1", "2"), ("A", "0"), ("A", "."), ("A", "C,G"), ("", "C"), ("A", "C\tG")])
def test_alleles_that_are_no_bases_are_refused(ref: str, alt: str, tmp_path: Path) -> None:
    matrix = matrix_of(np.zeros((1, 2), dtype=np.int8))
    v = matrix.variants
    bad = VariantTable(v.chrom, v.pos, v.id, np.array([ref], dtype=object), np.array([alt], dtype=object))
    with pytest.raises(DataError, match="cannot be written as VCF"):
        write_vcf(replace(matrix, variants=bad), tmp_path / "x.vcf.gz", "test")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("ref", "alt"), [("A", "<DEL>"), ("ACT", "A"), ("a", "n"), ("T", "*")])
def test_what_the_format_allows_is_written(ref: str, alt: str) -> None:
    v = matrix_of(np.zeros((1, 2), dtype=np.int8)).variants
    ok = VariantTable(v.chrom, v.pos, v.id, np.array([ref], dtype=object), np.array([alt], dtype=object))
    check_alleles(ok, "test")


def test_names_that_would_break_lines_are_refused(tmp_path: Path) -> None:
    matrix = matrix_of(np.zeros((1, 2), dtype=np.int8))
    with pytest.raises(DataError, match="tab"):
        write_vcf(replace(matrix, samples=("a\tb", "c")), tmp_path / "x.vcf.gz", "test")
    v = matrix.variants
    spaced = VariantTable(np.array(["chr 1"], dtype=object), v.pos, v.id, v.ref, v.alt)
    with pytest.raises(DataError, match="no name of a contig"):
        write_vcf(replace(matrix, variants=spaced), tmp_path / "x.vcf.gz", "test")
