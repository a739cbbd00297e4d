from __future__ import annotations

import gzip
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers import bgzf, needs, real_data
from hypothesis import given
from hypothesis import strategies as st

from genovi.errors import DataError, GenoviError
from genovi.genotypes.reading import open_genotypes

HEADER = (
    '##fileformat=VCFv4.2\n##FILTER=<ID=PASS,Description="x">\n##reference=GRCh38\n##contig=<ID=7,length=99>\n'
    '##contig=<ID=8>\n##INFO=<ID=DP,Number=1,Type=Integer,Description="x">\n'
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">\n'
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t'
)
DP, GT = 1, 2  # places in the dictionary after PASS
MISSING, END = 0x80, 0x81


def typed(text: bytes) -> bytes:
    return (bytes([len(text) << 4 | 7]) if len(text) < 15 else bytes([0xF7, 0x11, len(text)])) + text


def record(
    gt: list[int] | None,
    ploidy: int = 2,
    alleles: tuple[bytes, ...] = (b"A", b"C"),
    contig: int = 1,
    pos: int = 9,
    n_samples: int = 3,
    key: int = GT,
) -> bytes:
    """One record; ``gt`` are the bytes of the GT vector."""
    counts = struct.pack("<II", len(alleles) << 16, (0 if gt is None else 1) << 24 | n_samples)
    shared = (
        struct.pack("<iiif", contig, pos, 1, 0.0) + counts + typed(b"rs1") + b"".join(map(typed, alleles)) + b"\x00"
    )
    individual = b"" if gt is None else bytes([0x11, key, ploidy << 4 | 1, *gt])
    return struct.pack("<II", len(shared), len(individual)) + shared + individual


def bcf(*records: bytes, samples: str = "a\tb\tc") -> bytes:
    text = (HEADER + samples + "\n").encode() + b"\x00"
    return b"BCF\x02\x02" + struct.pack("<I", len(text)) + text + b"".join(records)


def read(content: bytes, folder: Path):
    path = folder / "x.bcf"
    path.write_bytes(content)
    return open_genotypes([path])


GOOD = [2, 4, 5, 4, 0, 0]  # 0/1, 1|1, ./.


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bgzf])
def test_a_record_is_read_by_the_specification(tmp_path: Path, compress) -> None:
    long_allele = b"ACGTACGTACGTACGTACGT"
    content = bcf(record(GOOD), record([2, 2, 3, 2, 4, 4], alleles=(b"G", long_allele), contig=0, pos=0))
    matrix = read(compress(content), tmp_path)
    assert matrix.dosages().tolist() == [[1, 2, -1], [0, 0, 2]]
    assert matrix.samples == ("a", "b", "c")
    table = matrix.variants
    assert list(table.chrom) == ["8", "7"]
    assert table.pos.tolist() == [10, 1]
    assert list(table.id) == ["rs1", "rs1"]
    assert list(table.alt) == ["C", long_allele.decode()]
    assert matrix.facts.references == ("GRCh38",)
    assert matrix.facts.contig_lengths == {"7": 99}


def test_half_haploid_and_missing_calls(tmp_path: Path) -> None:
    matrix = read(bcf(record([4, END, 0, 4, MISSING, END]), record(None)), tmp_path)
    assert matrix.dosages().tolist() == [[2, -1, -1], [-1, -1, -1]]
    assert (matrix.facts.haploid_calls, matrix.facts.half_calls, matrix.facts.records_without_gt) == (1, 1, 1)


HOSTILE = {
    "triploid": (
        bcf(record([2, 2, 2, 2, 2, 2, 2, 2, 2], ploidy=3)),
        r"^a genotype of sample 'a' has more than two alleles \(.*record 1\): genovi models diploid .* give diploid",
    ),
    "no such allele": (bcf(record(GOOD), record([2, 6, 2, 2, 2, 2])), r"record 2\).*'a' names an allele"),
    "negative allele": (bcf(record([2, 0x90, 2, 2, 2, 2])), "names an allele"),
    "contig": (bcf(record(GOOD, contig=5)), "contig number 5"),
    "position": (bcf(record(GOOD, pos=-7)), "negative"),
    "samples": (bcf(record(GOOD, n_samples=2)), "it has 2 samples, the header 3"),
    "no alleles": (bcf(record(GOOD, alleles=())), "empty allele or none"),
    "no GT": (bcf(record([1, 1, 1, 1, 1, 1], key=DP)), r"no genotypes \(GT\)"),
    "cut in a record": (bcf(record(GOOD))[:-1], "ends inside record 1"),
    "cut in the lengths": (bcf(record(GOOD)) + b"\x01\x00", "ends inside record 2"),
    "cut in the header": (bcf()[:60], "ends inside the header"),
    "header without samples": (bcf(samples=""), "empty name"),
    "no header line": (b"BCF\x02\x02" + struct.pack("<I", 9) + b"##x=y\n\x00\x00\x00", "no #CHROM line"),
    "endless header": (b"BCF\x02\x02\xff\xff\xff\xff", "longer than 1 GiB"),
    "endless record": (bcf(b"\xff" * 8), "longer than 2 GiB"),
    "version 1": (b"BCF\x04" + bytes(50), "BCF version 1"),
    "no end block": (bgzf(bcf(record(GOOD)))[:-28], "end-of-file block"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_get_one_line_that_names_them(tmp_path: Path, what: str) -> None:
    content, message = HOSTILE[what]
    with pytest.raises(DataError, match=message) as caught:
        read(content, tmp_path)
    assert str(tmp_path / "x.bcf") in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_mutated_bytes_never_end_in_another_exception(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(bcf(record(GOOD), record([2, 2, 3, 2, 4, END]), record(GOOD, contig=0)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    try:
        matrix = read(bytes(content), tmp_path_factory.mktemp("mutated"))
    except GenoviError as error:
        assert "\n" not in str(error)
    else:
        assert set(np.unique(matrix.dosages())) <= {-1, 0, 1, 2}


@pytest.mark.real
def test_bcf_and_vcf_of_the_same_people_are_equal() -> None:
    one = open_genotypes([real_data("bcf/unphased.bcf")])
    other = open_genotypes([real_data("bcf/unphased.vcf.gz")])
    np.testing.assert_array_equal(one.packed, other.packed)
    assert one.samples == other.samples
    for column in ("chrom", "pos", "id", "ref", "alt"):
        np.testing.assert_array_equal(getattr(one.variants, column), getattr(other.variants, column))
    assert one.facts.contig_lengths == other.facts.contig_lengths


@pytest.mark.real
def test_what_bcftools_converts_is_equal(tmp_path: Path) -> None:
    bcftools, path = needs("bcftools"), real_data("hipster/hipster.vcf.bgz")
    for kind, source, name in (("v", path, "x.vcf"), ("b", tmp_path / "x.vcf", "x.bcf")):
        command = [
            bcftools,
            "view",
            f"-O{kind}",
            "-t",
            "5:126650000-126720000",
            "-o",
            str(tmp_path / name),
            str(source),
        ]
        run = subprocess.run(command, capture_output=True)
        assert run.returncode == 0, run.stderr
    one, other = open_genotypes([tmp_path / "x.vcf"]), open_genotypes([tmp_path / "x.bcf"])
    assert one.n_variants > 500
    assert any("," in alt for alt in one.variants.alt)
    np.testing.assert_array_equal(one.packed, other.packed)
    for column in ("chrom", "pos", "id", "ref", "alt"):
        np.testing.assert_array_equal(getattr(one.variants, column), getattr(other.variants, column))
