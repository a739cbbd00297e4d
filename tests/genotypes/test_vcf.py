from __future__ import annotations

import gzip
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import bgzf, matrix_of, needs, real_data, vcf_text, write_vcf
from hypothesis import example, given
from hypothesis import strategies as st
from vcfs import HEADER, read, vcf

from genovi.errors import DataError, GenoviError
from genovi.genotypes.reading import open_genotypes


def naive_dosage(genotype: str) -> int:
    """Copies of allele 1; -1 where an allele is missing or is neither 0 nor 1."""
    alleles = re.split(r"[/|]", genotype.lstrip("/|"))
    if any(allele not in ("0", "1") for allele in alleles):
        return -1
    return sum(map(int, alleles)) * 2 // len(alleles)


alleles = st.sampled_from(["0", "1", "2", "."])
genotype_texts = st.one_of(
    alleles, st.tuples(st.sampled_from(["", "/", "|"]), alleles, st.sampled_from("/|"), alleles).map("".join)
)


@given(st.lists(genotype_texts, min_size=1, max_size=11), st.sampled_from(["GT", "GT:DP", "DP:GT:GQ"]), st.booleans())
@example(["0/1"], "GT", True)
def test_every_way_to_write_a_genotype(
    tmp_path_factory: pytest.TempPathFactory, genotypes: list[str], format_: str, crlf: bool
) -> None:
    keys = format_.split(":")
    columns = [":".join(text if key == "GT" else "7" for key in keys) for text in genotypes]
    text = vcf(*columns, alt="C,G", format_=format_)
    matrix = read(text.replace("\n", "\r\n") if crlf else text, tmp_path_factory.mktemp("vcf"))
    assert matrix.dosages()[0].tolist() == [naive_dosage(text) for text in genotypes]
    assert matrix.samples == tuple(f"s{i + 1}" for i in range(len(genotypes)))
    half = sum("." in text and any(digit in text for digit in "012") for text in genotypes)
    assert matrix.facts.half_calls == half
    assert matrix.facts.haploid_calls == sum(text in ("0", "1", "2") for text in genotypes)


@pytest.mark.parametrize("compress", [None, "gzip", "bgzf"])
def test_compression_is_told_by_content(tmp_path: Path, compress: str | None) -> None:
    whole = matrix_of(np.random.default_rng(3).integers(-1, 3, size=(300, 7)).astype(np.int8))
    read_back = open_genotypes([write_vcf(tmp_path / "misleading.name", whole, compress)])
    np.testing.assert_array_equal(read_back.packed, whole.packed)
    for column in ("chrom", "pos", "id", "ref", "alt"):
        np.testing.assert_array_equal(getattr(read_back.variants, column), getattr(whole.variants, column))
    assert read_back.facts.formats == ({None: "VCF (plain)", "gzip": "VCF (gzip)", "bgzf": "VCF (BGZF)"}[compress],)


def test_more_records_than_the_first_buffer(tmp_path: Path) -> None:
    matrix = read(vcf("0/1", "1/1", "./.", "0/0", "0|1", n_records=5000), tmp_path)
    assert matrix.n_variants == 5000
    assert np.unique(matrix.dosages(), axis=0).tolist() == [[1, 2, -1, 0, 1]]


def test_header_evidence_of_the_build(tmp_path: Path) -> None:
    extra = "##reference=file:///x/hs37d5.fa\n##contig=<ID=1,assembly=b37,length=249250621>\n##contig=<ID=2>\n"
    facts = read(vcf("0/1").replace("#CHROM", extra + "#CHROM"), tmp_path).facts
    assert facts.references == ("file:///x/hs37d5.fa", "b37")
    assert facts.contig_lengths == {"1": 249250621}


def test_alleles_are_capitals_except_symbolic_ones(tmp_path: Path) -> None:
    text = vcf("0/1", alt="c,g") + vcf("0/1", alt="<del>").splitlines()[-1] + "\n"
    assert list(read(text, tmp_path).variants.alt) == ["C,G", "<del>"]


def test_without_alt_only_the_reference_is_observed(tmp_path: Path) -> None:
    assert read(vcf("0/0", "0/1", "1", alt="."), tmp_path).dosages().tolist() == [[0, -1, -1]]


def test_a_record_without_gt_is_missing_and_counted(tmp_path: Path) -> None:
    text = vcf("0/1", "1/1") + "1\t99\t.\tA\tG\t.\t.\t.\tDP\t3\t4\n"
    matrix = read(text, tmp_path)
    assert matrix.dosages().tolist() == [[1, 2], [-1, -1]]
    assert matrix.facts.records_without_gt == 1
    assert matrix.packed[1, 0] == 0b0101  # nothing in the padding


def test_a_last_line_without_end_is_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read(vcf("0/1").rstrip("\n"), tmp_path).n_variants == 1
    assert "may be truncated" in caplog.text


def test_half_and_haploid_calls_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="genovi"):
        read(vcf("./1", "1"), tmp_path)
    assert "half calls (such as ./1) taken as missing: 1" in caplog.text
    assert "haploid calls counted as homozygous: 1" in caplog.text


HOSTILE = {
    "no genotype column": (vcf("0/1").replace("\tFORMAT\ts1", ""), "no samples"),
    "no sample": (HEADER.rstrip("\t") + "\n", "no samples"),
    "empty sample name": (vcf("0/1", "0/1").replace("s1\ts2", "s1\t"), "sample 2 of 2 has an empty name"),
    "sample twice": (vcf("0/1", "0/1").replace("s2", "s1"), "'s1' occurs twice"),
    "header by spaces": (vcf("0/1").replace("\t", " "), "separated by spaces"),
    "other header": (vcf("0/1").replace("\tQUAL", ""), "eight fixed columns"),
    "no FORMAT column": (vcf("0/1").replace("FORMAT", "FORM"), "ninth column"),
    "no header line": ("##fileformat=VCFv4.2\n1\t10\t.\tA\tC\t.\t.\t.\tGT\t0/1\n", "no #CHROM line"),
    "second header": (vcf("0/1") + vcf("0/1"), r"line 4\): files were joined"),
    "no records": (vcf("0/1", n_records=0), "no variants"),
    "no GT": (vcf("0.5", format_="DS"), r"no genotypes \(GT\).*DS"),
    "no FORMAT": (vcf("7", format_="DP"), r"no genotypes \(GT\).*never names GT"),
    "short row": (vcf("0/1", "0/1").replace("\t0/1\n", "\n"), r"line 3\).*truncated"),
    "very short row": (vcf("0/1") + "1\t20\t.\n", r"3 columns, expected 10 .*line 4"),
    "row by spaces": (vcf("0/1") + "1 20 . A C . . . GT 0/1\n", "spaces, not tabs"),
    "long row": (vcf("0/1").replace("0/1\n", "0/1\t0/1\n"), "11 columns, expected 10"),
    "empty genotype": (vcf("0/1", ""), "'' of sample 's2' is not a genotype"),
    "letters": (vcf("0/A"), "is not a genotype"),
    "open end": (vcf("0/"), "is not a genotype"),
    "triploid": (vcf("0/1", "0/0/1"), "'0/0/1' of sample 's2' has more than two alleles"),
    "no such allele": (vcf("0/2"), "'0/2' of sample 's1' names an allele"),
    "huge allele": (vcf("0/99999999999999999999"), "names an allele"),
    "position": (vcf("0/1").replace("\t10\t", "\t1e3\t"), "POS '1e3'"),
    "huge position": (vcf("0/1").replace("\t10\t", "\t99999999999999999999\t"), "POS '99"),
    "empty REF": (vcf("0/1").replace("\tA\t", "\t\t"), "empty"),
    "text": ("sample\tpop\nHG1\tGBR\n", "text without a VCF header"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG picture"),
    "zeros": (bytes(100), "first bytes"),
    "nothing": (b"", "empty file"),
    "nothing, compressed": (gzip.compress(b""), "not a VCF"),
    "index": (gzip.compress(b"TBI\x01" + bytes(50)), "tabix index"),
    "bzip2": (b"BZh91AY&SY", "bunzip2"),
    "gzip in gzip": (gzip.compress(gzip.compress(b"x")), "twice"),
    "gzip without end": (gzip.compress(vcf("0/1", n_records=50).encode())[:-9], "truncated"),
    "gzip cut in the header": (gzip.compress(vcf("0/1").encode())[:12], "truncated"),
    "gzip with rubbish behind": (gzip.compress(vcf("0/1").encode()) + b"rubbish" * 4, "damaged gzip"),
    "BGZF without end block": (bgzf(vcf("0/1").encode())[:-28], "end-of-file block is missing"),
    "BGZF cut in a block": (bgzf(vcf("0/1", n_records=9000).encode())[:-200], "end-of-file block is missing"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_get_one_line_that_names_them(tmp_path: Path, what: str) -> None:
    content, message = HOSTILE[what]
    with pytest.raises(DataError, match=message) as caught:
        read(content, tmp_path)
    assert str(tmp_path / "x.vcf") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_damaged_byte_in_a_compressed_file_is_found(tmp_path: Path) -> None:
    data = bytearray(bgzf(vcf("0/1", n_records=3000).encode()))
    data[200] ^= 0xFF
    with pytest.raises(DataError, match="corrupt BGZF block"):
        read(bytes(data), tmp_path)


def test_no_such_file_folder_and_pipe(tmp_path: Path) -> None:
    import os

    with pytest.raises(DataError, match="no such file"):
        open_genotypes([tmp_path / "absent.vcf"])
    with pytest.raises(DataError, match="folder"):
        open_genotypes([tmp_path])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a regular file"):
        open_genotypes([tmp_path / "pipe"])


@given(st.data())
def test_mutated_bytes_never_end_in_another_exception(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = vcf_text(matrix_of(np.random.default_rng(4).integers(-1, 3, size=(4, 5)).astype(np.int8))).encode()
    content = bytearray(data.draw(st.sampled_from([text, gzip.compress(text, mtime=0), bgzf(text)])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        matrix = read(bytes(content), tmp_path_factory.mktemp("mutated"))
    except GenoviError as error:
        assert "\n" not in str(error)
    else:
        assert set(np.unique(matrix.dosages())) <= {-1, 0, 1, 2}


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "step"),
    [("kgp3_805/kgp3_805.phased.vcf.gz", 1), ("hipster/hipster.vcf.bgz", 20), ("anole/anole.vcf.gz", 1)],
)
def test_cyvcf2_reads_the_same(name: str, step: int) -> None:
    from cyvcf2 import VCF

    path = real_data(name)
    matrix = open_genotypes([path])
    reader = VCF(str(path), gts012=True)
    assert tuple(reader.samples) == matrix.samples
    n_compared = 0
    for i, record in enumerate(reader):
        assert tuple(getattr(matrix.variants, column)[i] for column in ("chrom", "pos", "ref")) == (
            record.CHROM,
            record.POS,
            record.REF,
        )
        assert ",".join(record.ALT) == matrix.variants.alt[i]
        if i % step == 0 and len(record.ALT) == 1:  # cyvcf2 counts all ALT alleles as one
            expected = np.where(record.gt_types == 3, -1, record.gt_types)
            np.testing.assert_array_equal(matrix.dosages(slice(i, i + 1))[0], expected)
            n_compared += 1
    assert i == matrix.n_variants - 1
    assert n_compared > 0.9 * matrix.n_variants / step


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")  # of scikit-allel's own making
def test_scikit_allel_reads_the_same() -> None:
    import allel

    path = real_data("kgp3_805/kgp3_805.phased.vcf.gz")
    matrix = open_genotypes([path])
    callset = allel.read_vcf(str(path), fields=["samples", "calldata/GT", "variants/POS"])
    np.testing.assert_array_equal(callset["variants/POS"], matrix.variants.pos)
    assert tuple(callset["samples"]) == matrix.samples
    np.testing.assert_array_equal(allel.GenotypeArray(callset["calldata/GT"]).to_n_alt(fill=-1), matrix.dosages())


@pytest.mark.real
def test_bgzip_of_htslib_is_read(tmp_path: Path) -> None:
    import subprocess

    bgzip = needs("bgzip")
    whole = matrix_of(np.random.default_rng(5).integers(-1, 3, size=(2000, 50)).astype(np.int8))
    path = write_vcf(tmp_path / "x.vcf", whole)
    subprocess.run([bgzip, str(path)], check=True)
    np.testing.assert_array_equal(open_genotypes([tmp_path / "x.vcf.gz"]).packed, whole.packed)
