"""Everything that is read becomes the same PLINK 1 fileset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_same, matrix_of, needs, real_data, run_tool, simulate_structure, write_vcf

from genovi.errors import ConfigError, DataError
from genovi.genotypes.converting import EVERYTHING, convert
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import describe, open_genotypes
from genovi.genotypes.writing import write_plink1

FORMATS = ("VCF", "BCF", "PLINK 1", "PLINK 2", "EIGENSTRAT", "VCF Zarr")


def cohort() -> GenotypeMatrix:
    return simulate_structure(2, 2, 12, 88, 0.1, missing=0.05)[0]


def write_as(format_: str, matrix: GenotypeMatrix, folder: Path, name: str) -> Path:
    """``matrix`` in one of ``FORMATS``; returns what names it."""
    if format_ == "PLINK 1":
        write_plink1(matrix, folder / name)
        return folder / f"{name}.bed"
    if format_ == "EIGENSTRAT":
        lines = np.array(list("0129"))[matrix.dosages()]
        (folder / f"{name}.geno").write_text("".join("".join(line) + "\n" for line in lines))
        table = matrix.variants
        rows = zip(table.id, table.chrom, table.pos, table.alt, table.ref, strict=True)
        (folder / f"{name}.snp").write_text("".join(f"{i} {c} 0 {p} {a} {r}\n" for i, c, p, a, r in rows))
        (folder / f"{name}.ind").write_text("".join(f"{sample} U pop\n" for sample in matrix.samples))
        return folder / f"{name}.geno"
    vcf = write_vcf(folder / f"{name}.vcf.gz", matrix, "bgzf")
    if format_ == "PLINK 2":
        pytest.importorskip("pgenlib", reason="the extra 'pgen' is not installed")
        run_tool(needs("plink2"), "--vcf", vcf, "--make-pgen", "--out", folder / name)
        return folder / f"{name}.pgen"
    if format_ == "BCF":
        run_tool(needs("bcftools"), "view", "-Ob", "-o", folder / f"{name}.bcf", vcf)
        return folder / f"{name}.bcf"
    if format_ == "VCF Zarr":
        bio2zarr = pytest.importorskip("bio2zarr.vcf", reason="the extra 'zarr' is not installed")
        run_tool(needs("bcftools"), "index", "--tbi", vcf)
        bio2zarr.convert([vcf], folder / f"{name}.vcz", worker_processes=0)
        return folder / f"{name}.vcz"
    return vcf


@pytest.mark.parametrize("format_", FORMATS)
def test_several_files_of_every_format_become_one_fileset(tmp_path: Path, format_: str) -> None:
    matrix = cohort()
    order = np.random.default_rng(1).permutation(matrix.n_samples)
    parts = [matrix.take_variants(np.arange(44)), matrix.take_variants(np.arange(44, 88)).take_samples(order)]
    paths = [write_as(format_, part, tmp_path, f"part{i}") for i, part in enumerate(parts)]
    done = convert(paths, tmp_path / "out" / "all")
    assert_same(open_genotypes([tmp_path / "out" / "all"]), matrix)
    assert (done.n_samples, done.n_variants, done.n_multiallelic, done.n_elsewhere) == (24, 88, 0, 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["all.bed", "all.bim", "all.fam"]
    assert [one.format.split(" (")[0] for one in describe(paths).files] == [format_] * 2


@pytest.mark.parametrize("format_", FORMATS)
def test_chromosomes_are_chosen_in_every_format(tmp_path: Path, format_: str) -> None:
    matrix = cohort()
    path = write_as(format_, matrix, tmp_path, "a")
    wanted = ("2", "21")
    done = convert([path], tmp_path / "b", replace(EVERYTHING, chromosomes=("chr2", "21")))
    expected = matrix.take_variants(np.isin(matrix.variants.chrom, wanted))
    assert_same(open_genotypes([tmp_path / "b.bed"]), expected)
    assert (done.n_variants, done.n_elsewhere) == (8, 80)
    everything = QCConfig(maf=0, geno=1, mind=1, indep_pairwise=None, long_range_ld=False, chromosomes=wanted)
    filtered, _ = apply_qc(open_genotypes([path]), everything)
    assert set(filtered.variants.chrom) == set(wanted)


def test_multiallelic_variants_are_left_out_and_counted(tmp_path: Path) -> None:
    matrix = matrix_of(np.zeros((4, 5), dtype=np.int8))
    alt = np.array(["T,C", ".", "<DEL>", "ACGT"], dtype=object)
    odd = replace(matrix, variants=replace(matrix.variants, alt=alt, ref=np.array(["A", "C", "G", "T"], dtype=object)))
    write_vcf(tmp_path / "a.vcf", odd)
    done = convert([tmp_path / "a.vcf"], tmp_path / "b")
    assert (done.n_variants, done.n_multiallelic) == (3, 1)
    assert done.lines()[0].endswith("b.bed; left out 1 multi-allelic")
    assert open_genotypes([tmp_path / "b"]).variants.alt.tolist() == [".", "<DEL>", "ACGT"]


def test_nothing_is_written_of_bad_input(tmp_path: Path) -> None:
    matrix = matrix_of(np.zeros((2, 3), dtype=np.int8))
    several = replace(matrix, variants=replace(matrix.variants, alt=np.array(["A,C"] * 2, dtype=object)))
    write_vcf(tmp_path / "multi.vcf", several)
    write_vcf(tmp_path / "a.vcf", matrix)
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"no variants left .*2 of 2 \(2 multi-allelic\).*bcftools norm"):
        convert([tmp_path / "multi.vcf"], tmp_path / "out" / "x")
    with pytest.raises(DataError, match=r"no variants left .*--chr removed 2 of 2"):
        convert([tmp_path / "a.vcf"], tmp_path / "out" / "x", replace(EVERYTHING, chromosomes=("X", "Y")))
    assert not list((tmp_path / "out").iterdir())
    (tmp_path / "out" / "x.fam").write_text("mine")
    with pytest.raises(ConfigError, match=r"output exists .*x\.fam"):
        convert([tmp_path / "a.vcf"], tmp_path / "out" / "x")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.fam"]


def test_a_fileset_may_take_its_own_place(tmp_path: Path) -> None:
    matrix = cohort()
    write_plink1(matrix, tmp_path / "a")
    convert([tmp_path / "a.bed"], tmp_path / "a", replace(EVERYTHING, chromosomes=("1", "2", "3")), force=True)
    assert_same(open_genotypes([tmp_path / "a"]), matrix.take_variants(np.arange(12)))


@pytest.mark.real
def test_real_vcf_becomes_what_plink2_makes_of_it(tmp_path: Path) -> None:
    source = real_data("kgp_by_chromosome/1KG_phase3_subset_chr22.vcf.gz")
    done = convert([source], tmp_path / "a")
    assert (done.n_multiallelic, done.build.build) == (30, "GRCh37")
    run_tool(needs("plink2"), "--vcf", source, "--max-alleles", "2", "--make-bed", "--out", tmp_path / "b")
    assert (tmp_path / "a.bed").read_bytes() == (tmp_path / "b.bed").read_bytes()
    assert_same(open_genotypes([tmp_path / "a"]), open_genotypes([tmp_path / "b"]))
