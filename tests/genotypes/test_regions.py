from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import matrix_of

from genovi.errors import ConfigError
from genovi.genotypes.matrix import GenotypeMatrix, InputFacts
from genovi.genotypes.regions import (
    BUILDS,
    CHROMOSOME_LENGTHS,
    LONG_RANGE_LD,
    BuildEvidence,
    BuildGuess,
    are_human,
    in_long_range_ld,
    normalise_chromosome,
    parse_chromosomes,
    why_not_human,
)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("chr1", "1"), ("1", "1"), ("Chr01", "1"), ("CHR22", "22"), ("chr23", "23"), ("chrX", "X"), ("x", "X"),
        ("26", "26"), ("PAR1", "XY"), ("chrM", "MT"), ("M", "MT"), ("MT", "MT"), ("NC_000001.11", "1"),
        ("NC_000023.10", "X"), ("NC_000024.9", "Y"), ("NC_012920.1", "MT"),
        ("NC_000067.6", "NC_000067.6"),
        ("27", "27"), ("2L", "2L"), ("chr2L", "2L"), ("locus_137", "locus_137"), ("chr", "chr"),
        ("GL000192.1", "GL000192.1"),
    ],
)  # fmt: skip
def test_chromosome_names(written: str, name: str) -> None:
    assert normalise_chromosome(written) == name
    assert normalise_chromosome(name) == name


@pytest.mark.parametrize(
    ("written", "name"),
    [("23", "X"), ("chr24", "Y"), ("25", "XY"), ("26", "MT"), ("27", "27"), ("22", "22"), ("X", "X")],
)
def test_numbers_that_plink_gives_to_human_chromosomes(written: str, name: str) -> None:
    assert normalise_chromosome(written, human=True) == name


@pytest.mark.parametrize(
    ("names", "human"),
    [
        (["1", "2", "22"], True), (["chr20"], True), (["chrX", "chrM"], True), (["1", "GL000192.1", "hs37d5"], True),
        (["chr1", "chr1_KI270706v1_random", "chrUn_KI270302v1", "chr6_GL000250v2_alt"], True),
        (["1", "38"], False), (["locus_1", "1"], False), (["2L", "X"], False), (["GL000192.1"], False), ([], False),
        (["0"], False), (["1", "23", "24", "25", "26"], True), (["23"], True), (["25"], False),
        (["1", "23", "24", "MT", "XY"], True),  # EIGENSTRAT, whose 90 and 91 are MT and XY
        ([*map(str, range(1, 27)), "X"], False), ([*map(str, range(1, 26)), "MT"], False),  # sheep, zebrafish
        ([*map(str, range(1, 30)), "X", "Y", "MT"], False), (["1", "24", "Y"], False),
        (["NC_000001.11", "NC_000023.11", "NC_012920.1"], True), (["NC_000001.11", "NC_001807.4"], True),
        (["NC_000067.6"], False),
    ],
)  # fmt: skip
def test_human_contigs(names: list[str], human: bool) -> None:
    assert are_human(names) is human


@pytest.mark.parametrize(
    "contig",
    ["CHR_HG107_PATCH", "GL383563.3", "KQ090016.1", "KN538361.1", "ML143345.1", "MU273354.1", "NC_001422.1", "phiX",
     "X_PAR", "chrUn_JTFH01000001v1_decoy", "HLA-A*01:01:01:01", "chrEBV", "NC_007605.1", "hs37d5", "chrMT", "par1"],
)  # fmt: skip
def test_odd_contigs_that_human_files_have(contig: str) -> None:
    assert are_human(["chr1", "chr2", contig])


@pytest.mark.parametrize("contig", ["GL343193.1", "KQ415657.1", "LGa", "NC_037328.1"])
def test_contigs_of_other_species(contig: str) -> None:
    assert why_not_human(["chr1", "chr2", contig]) == f"such as {contig}"


def test_what_speaks_against_humans_is_named() -> None:
    assert why_not_human(["1", "chr27"]) == "such as chr27"
    assert why_not_human(["chr1", "chr23", "chrX"]) == "chr23 beside chrX"
    assert why_not_human([]) == "no chromosome is named"
    assert why_not_human(["1"]) is None


def at(places: list[tuple[str, int]], facts: InputFacts | None = None) -> GenotypeMatrix:
    matrix = matrix_of(np.zeros((len(places), 2), dtype=np.int8))
    table = replace(
        matrix.variants,
        chrom=np.array([chrom for chrom, _ in places], dtype=object),
        pos=np.array([pos for _, pos in places]),
    )
    return replace(matrix, variants=table, facts=facts or InputFacts())


def guess_build(matrix: GenotypeMatrix) -> BuildGuess:
    evidence = BuildEvidence()
    evidence.add(matrix.variants)
    return evidence.guess(matrix.facts)


@pytest.mark.parametrize(
    ("facts", "build"),
    [
        (InputFacts(contig_lengths={"chr1": 248956422, "chrM": 16569}), "GRCh38"),
        (InputFacts(contig_lengths={"20": 63025520}), "GRCh37"),
        (InputFacts(references=("GRCh37",)), "GRCh37"),
        (InputFacts(references=("file:///ref/hs37d5.fa.gz",)), "GRCh37"),
        (InputFacts(references=("human_g1k_v37.fasta",)), "GRCh37"),
        (InputFacts(references=("/x/Homo_sapiens_assembly38.fasta", "hg38")), "GRCh38"),
        (InputFacts(references=("lifted from hg19 to hg38",)), "unknown"),
        (InputFacts(contig_lengths={"1": 123}), "unknown"),
        (InputFacts(contig_lengths={"20": 63025520}, references=("GRCh38",)), "GRCh37"),
    ],
)
def test_build_from_the_header(facts: InputFacts, build: str) -> None:
    assert guess_build(at([("1", 1000)], facts)).build == build


@pytest.mark.parametrize(
    ("places", "build"),
    [
        ([("1", 249000000), ("2", 5)], "GRCh37"),
        ([("chr17", 82000000)], "GRCh38"),
        ([("1", 249000000), ("17", 82000000)], "unknown"),
        ([("1", 260000000)], "unknown"),
        ([("1", 1000)], "unknown"),
        ([("locus_1", 249000000)], "unknown"),
    ],
)
def test_build_from_positions_beyond_the_ends(places: list[tuple[str, int]], build: str) -> None:
    assert guess_build(at(places)).build == build


def test_lengths_and_regions_hang_together() -> None:
    for build in BUILDS:
        assert len(CHROMOSOME_LENGTHS[build]) == 24
        for name, first, last in LONG_RANGE_LD[build]:
            assert 0 < first < last < CHROMOSOME_LENGTHS[build][name]
            assert 100_000 < last - first < 20_000_000
        assert list(LONG_RANGE_LD[build]) == sorted(
            LONG_RANGE_LD[build], key=lambda region: (int(region[0]), region[1])
        )
    assert CHROMOSOME_LENGTHS["GRCh37"] != CHROMOSOME_LENGTHS["GRCh38"]


@pytest.mark.parametrize("build", BUILDS)
def test_mhc_and_both_edges_lie_inside(build: str) -> None:
    name, first, last = next(region for region in LONG_RANGE_LD[build] if region[0] == "6")
    assert first < 29_000_000 < last
    pos = np.array([first - 1, first, 29_000_000, last, last + 1, 29_000_000])
    chrom = np.array([name] * 5 + ["7"], dtype=object)
    assert in_long_range_ld(chrom, pos, build).tolist() == [False, True, True, True, False, False]


def test_lists_of_chromosomes() -> None:
    assert parse_chromosomes("1-3, chr22,X,23") == ("1", "2", "3", "22", "X", "23")
    assert parse_chromosomes("1-3, chr22,X,23", human=True) == ("1", "2", "3", "22", "X")
    assert parse_chromosomes("chr1-2,locus_9") == ("1", "2", "locus_9")
    for wrong in ("", ",", "5-2", "0-3"):
        with pytest.raises(ConfigError):
            parse_chromosomes(wrong)
