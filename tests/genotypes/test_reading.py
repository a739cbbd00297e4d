from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from helpers import matrix_of, needs, real_data, run_tool, vcf_text, write_vcf

from genovi.errors import ConfigError, DataError, GenoviError, MismatchError
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.filtering import apply_qc, filter_sources
from genovi.genotypes.matrix import InputFacts
from genovi.genotypes.memory import UNBOUNDED
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.querying import read_query
from genovi.genotypes.reading import describe, input_files, open_genotypes, open_sources
from genovi.genotypes.suitability import Demands, Target, fit_to_model
from genovi.genotypes.writing import write_plink1


@pytest.fixture
def whole():
    return matrix_of(np.random.default_rng(7).integers(-1, 3, size=(30, 6)).astype(np.int8))


def test_files_of_the_same_samples_are_one_input_whatever_their_formats(tmp_path: Path, whole) -> None:
    parts = [whole.take_variants(np.arange(start, start + 10)) for start in (0, 10, 20)]
    write_vcf(tmp_path / "a.vcf.gz", parts[0], "bgzf")
    write_plink1(parts[1], tmp_path / "b")
    write_vcf(tmp_path / "c.vcf", parts[2])
    matrix = open_genotypes([tmp_path / "a.vcf.gz", tmp_path / "b.bim", tmp_path / "c.vcf"])
    np.testing.assert_array_equal(matrix.dosages(), whole.dosages())
    assert matrix.facts.formats == ("VCF (BGZF)", "PLINK 1", "VCF (plain)")


@pytest.mark.parametrize("named", ["x", "x.bed", "x.fam"])
def test_an_input_stands_for_all_files_of_its_fileset(tmp_path: Path, whole, named: str) -> None:
    write_plink1(whole, tmp_path / "x")
    write_vcf(tmp_path / "a.vcf", whole)
    names = [file.name for file in input_files(tmp_path / named)]
    assert names == ["x.bed", "x.bim", "x.fam"]
    assert input_files(tmp_path / "a.vcf") == (tmp_path / "a.vcf",)
    assert input_files(tmp_path / "nowhere") == ()


def test_eigenstrat_files_belong_together_by_any_suffix(tmp_path: Path) -> None:
    for suffix in (".eigenstratgeno", ".snp", ".ind"):
        (tmp_path / f"x{suffix}").write_text("")
    (tmp_path / "x.eigenstratgeno").write_text("012\n")
    names = {file.name for file in input_files(tmp_path / "x")}
    assert names == {"x.eigenstratgeno", "x.snp", "x.ind"}


def test_samples_are_matched_by_name(tmp_path: Path, whole) -> None:
    order = np.array([3, 0, 5, 1, 2, 4])
    write_vcf(tmp_path / "a.vcf", whole)
    write_vcf(tmp_path / "b.vcf", whole.take_samples(order))
    matrix = open_genotypes([tmp_path / "a.vcf", tmp_path / "b.vcf"])
    assert matrix.samples == whole.samples
    np.testing.assert_array_equal(matrix.dosages(), np.concatenate([whole.dosages()] * 2))


def test_other_samples_are_a_mismatch_with_examples(tmp_path: Path, whole) -> None:
    write_vcf(tmp_path / "a.vcf", whole)
    write_vcf(tmp_path / "b.vcf", replace(whole, samples=("s1", "s2", "s3", "s4", "s5", "other")))
    with pytest.raises(MismatchError, match=r"1 only in .*a\.vcf, 1 only in .*b\.vcf \(other, s6\)") as caught:
        open_genotypes([tmp_path / "a.vcf", tmp_path / "b.vcf"])
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("form", "suffixes"), [("ped", (".ped", ".map")), ("tped", (".tped", ".tfam")), ("oxford", (".gen",))]
)
def test_the_command_that_converts_another_format_does_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole, form: str, suffixes: tuple[str, ...]
) -> None:
    plink2 = needs("plink2")
    monkeypatch.chdir(tmp_path)
    write_vcf(tmp_path / "a.vcf", whole)
    run_tool(plink2, "--vcf", "a.vcf", "--export", form, "--out", "b")
    for suffix in suffixes:
        with pytest.raises(DataError) as caught:
            open_genotypes([Path(f"b{suffix}")])
        words = str(caught.value).split("`")[1].replace("PREFIX", "b").split()
        files = iter(("b.gen", "b.sample"))
        run_tool(*(next(files) if word == "FILE" else word for word in words))
        found, expected = (np.abs(one.dosages() - 1) for one in (open_genotypes([Path("NEW")]), whole))
        np.testing.assert_array_equal(found, expected)  # 1: homozygous, whichever allele is counted; 2: missing


def test_a_raw_file_is_told_to_lack_places(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_text("FID IID PAT MAT SEX PHENOTYPE rs1_A\nf s 0 0 1 -9 2\n")
    with pytest.raises(DataError, match="lacks positions and alleles"):
        open_genotypes([tmp_path / "a.raw"])


@pytest.mark.parametrize("first", [0, 1])
def test_files_of_different_builds_are_refused_by_name(whole, first: int) -> None:
    headers = (InputFacts(contig_lengths={"2": 243199373, "3": 198022430}), InputFacts(references=("GRCh38.fa",)))
    parts = [
        replace(whole.take_variants(np.arange(start, start + 15)), source=f"{name}.vcf", facts=facts)
        for start, name, facts in zip((0, 15), "ab", headers, strict=True)
    ]
    inputs = [parts[first], parts[1 - first]]
    said = r"different genome builds .*a\.vcf is on GRCh37 .*b\.vcf is on GRCh38" if first == 0 else r"b\.vcf .*a\.vcf "
    config = QCConfig(maf=0, geno=1, mind=1, indep_pairwise=None)
    with pytest.raises(MismatchError, match=said):
        open_genotypes(inputs)
    with open_sources(inputs) as sources, pytest.raises(MismatchError, match=said):
        filter_sources(sources, config, UNBOUNDED)
    with open_sources(inputs) as sources:
        assert filter_sources(sources, replace(config, build="GRCh37"), UNBOUNDED)[1].build.build == "GRCh37"
    summary = describe(inputs)
    assert summary.build == "unknown"
    assert "a.vcf is on GRCh37 (2 contig lengths of the header)" in summary.build_reason
    assert "b.vcf is on GRCh38 (the header names the reference GRCh38.fa)" in summary.build_reason
    query, target = (
        read_query(inputs, whole.variants),
        Target(whole.variants, allele_counts(whole).frequency, "GRCh37", "run"),
    )
    with pytest.raises(MismatchError, match=said):
        fit_to_model(target, query)
    assert fit_to_model(target, query, Demands(build="GRCh37"))[1].usable == 1


def test_files_without_a_build_join_those_with_one(whole) -> None:
    parts = [whole.take_variants(np.arange(start, start + 15)) for start in (0, 15)]
    facts = InputFacts(references=("GRCh38.fa",))
    assert describe([replace(parts[0], facts=facts), parts[1]]).build == "GRCh38"
    beyond = parts[1].variants.pos.copy()
    beyond[-1] = 249_000_000  # chromosome 1 is shorter in GRCh38
    chrom = np.full(15, "1", dtype=object)
    moved = replace(parts[1], source="b", variants=replace(parts[1].variants, pos=beyond, chrom=chrom))
    with pytest.raises(MismatchError, match="1 variants lie beyond the ends of GRCh38"):
        open_genotypes([replace(parts[0], facts=facts), moved])


def test_the_same_input_twice_is_refused(tmp_path: Path, whole) -> None:
    path = write_vcf(tmp_path / "a.vcf", whole)
    with pytest.raises(ConfigError, match="given twice"):
        open_genotypes([path, path])
    with pytest.raises(ConfigError, match="no input"):
        open_genotypes([])


def test_one_file_of_several_may_be_without_records(tmp_path: Path, whole) -> None:
    write_vcf(tmp_path / "a.vcf", whole)
    header = "".join(line + "\n" for line in vcf_text(whole).splitlines() if line.startswith("#"))
    (tmp_path / "b.vcf").write_text(header)
    assert open_genotypes([tmp_path / "a.vcf", tmp_path / "b.vcf"]).n_variants == 30
    with pytest.raises(DataError, match="no variants"):
        describe([tmp_path / "b.vcf"])


def test_description_counts_what_is_there(tmp_path: Path) -> None:
    columns = "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b".replace(" ", "\t")
    header = f"##fileformat=VCFv4.2\n##contig=<ID=chr1,length=248956422>\n{columns}\n"
    rows = [
        ("chr1", "5", "A", "C", "0/1", "./."),
        ("chr1", "6", "A", "C,G", "0/2", "0/0"),
        ("chr2", "7", "AT", "A", "1", "./1"),
    ]
    body = "".join(f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t.\tGT\t{x}\t{y}\n" for c, p, r, a, x, y in rows)
    (tmp_path / "a.vcf").write_text(header + body)
    summary = describe([tmp_path / "a.vcf"])
    assert (summary.n_samples, summary.n_variants) == (2, 3)
    assert summary.contigs == (("chr1", 2), ("chr2", 1))
    assert summary.missing_share == pytest.approx(3 / 6)
    assert (summary.n_multiallelic, summary.n_non_snp) == (1, 1)
    assert (summary.half_calls, summary.haploid_calls) == (1, 1)
    assert summary.build == "GRCh38"
    assert [file.format for file in summary.files] == ["VCF (plain)"]
    json.dumps(asdict(summary))


@pytest.mark.real
def test_one_file_per_chromosome_of_real_data() -> None:
    folder = real_data("kgp_by_chromosome")
    paths = [folder / f"1KG_phase3_subset_chr{number}.vcf.gz" for number in range(1, 23)]
    summary = describe(paths)
    assert (summary.n_samples, summary.n_variants, summary.n_multiallelic) == (100, 24639, 547)
    assert [name for name, _ in summary.contigs] == [str(number) for number in range(1, 23)]
    assert summary.build == "GRCh37"


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "shape", "build"),
    [
        ("kgp3/kgp3.bed", (2504, 5793), "GRCh37"),
        ("kgp1_chr22/kgp1_chr22.phased.vcf.gz", (1092, 19773), "GRCh37"),
        ("ho249/HumanOrigins249_tiny.bed", (249, 9259), "GRCh37"),
        ("hapmap3/hapmap3.bed", (324, 13928), "unknown"),  # positions of NCBI36
        ("anole/anole.vcf.gz", (46, 3249), "unknown"),
        ("wolves/wolvesadmix.bed", (111, 17729), "unknown"),
    ],
)
def test_real_inputs_are_described(name: str, shape: tuple[int, int], build: str) -> None:
    summary = describe([real_data(name)])
    assert (summary.n_samples, summary.n_variants) == shape
    assert summary.build == build


@pytest.mark.real
def test_a_cut_real_file_never_passes_for_whole(tmp_path: Path) -> None:
    source = real_data("kgp3_805/kgp3_805.phased.vcf.gz")
    cut = tmp_path / "cut.vcf.gz"
    shutil.copy(source, cut)
    cut.chmod(0o644)
    size = cut.stat().st_size
    for share in (0.999, 0.5, 0.01):
        with open(cut, "r+b") as stream:
            stream.truncate(int(size * share))
        with pytest.raises(DataError, match="truncated"):
            open_genotypes([cut])


@pytest.mark.real
def test_ugly_files_are_read_or_refused_in_one_line() -> None:
    """Every seventh file of the suites that test VCF tools; what htslib calls broken may not slip through unseen."""
    paths = sorted(path for path in real_data("ugly").rglob("*") if path.is_file())[::7]
    n_read = 0
    for path in paths:
        try:
            matrix = open_genotypes([path])
            n_read += 1
            describe([path])
            apply_qc(matrix, QCConfig())
        except GenoviError as error:
            assert "\n" not in str(error), path
    assert 100 < n_read < len(paths)
