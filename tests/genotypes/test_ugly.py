"""The test suites of VCF tools, good files and broken ones: each is read as htslib reads it, or refused in one line."""

from __future__ import annotations

import csv
import faulthandler
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers import real_data

from genovi.errors import GenoviError
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import describe, open_genotypes

SECONDS = 1200  # no machine is so busy; a hang ends the run

# Reasons to refuse a file that htslib reads; ugly_refused.tsv lists them one by one, except those without samples.
REASONS = {
    "no samples": "htslib reads sites without genotypes; there is nothing to embed",
    "no variants": "a header without records",
    "no genotypes (GT)": "FORMAT has no GT in any record",
    "more than two alleles": "polyploid calls, which genovi does not model",
    "an allele that the record does not have": "GT 0/3 of two alleles: htslib passes it on",
    "columns, expected": "too few or too many columns: htslib fills up or cuts",
    "is not a whole number of base pairs": "POS in words: htslib makes 0 of it",
}
# Ends of the names of files that htslib refuses and genovi reads.
READ_BY_GENOVI = {
    "convert.gs.noids.vcf": "no ##fileformat line",
    "convert.gs.vcf": "no ##fileformat line",
    "convert.gt.noHead.ids.vcf": "no ##fileformat line",
    "convert.gt.noHead.vcf": "no ##fileformat line",
    "failed_body_chrom_000.vcf": "an angle bracket in CHROM",
    "failed_body_chrom_002.vcf": "a comma in CHROM",
    "failed_body_chrom_003.vcf": "a comma in CHROM",
    "failed_body_sample_003.vcf": "more parts than FORMAT names, after GT",
    "failed_body_sample_007.vcf": "words in a numeric field beside GT",
    "failed_body_sample_008.vcf": "words in a numeric field beside GT",
    "passed_body_samples.vcf": "the leading phase mark of VCF 4.4, which htslib did not know",
    "passed_body_format.vcf": "the leading phase mark of VCF 4.4, which htslib did not know",
    "passed_body_alt.vcf": "the leading phase mark of VCF 4.4, which htslib did not know",
}


@dataclass(frozen=True)
class Outcome:
    """What became of a file: its genotypes, or why not."""

    matrix: GenotypeMatrix | None
    message: str


@pytest.fixture(scope="module")
def catalogue() -> dict[str, dict[str, str]]:
    with open(real_data("ugly/CATALOGUE.tsv"), encoding="utf-8", newline="") as stream:
        return {row["path"]: row for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)}


@pytest.fixture(scope="module")
def outcomes(catalogue: dict[str, dict[str, str]]) -> Iterator[dict[str, Outcome]]:
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    yield {name: outcome(real_data("ugly") / name) for name in catalogue}
    faulthandler.cancel_dump_traceback_later()


def outcome(path: Path) -> Outcome:
    """Read, describe and filter; anything but a GenoviError of one line fails the test that asked."""
    try:
        matrix = open_genotypes([path])
    except GenoviError as error:
        assert "\n" not in str(error)
        assert str(path) in str(error)
        return Outcome(None, str(error))
    summary = describe([path])
    assert (summary.n_samples, summary.n_variants) == (matrix.n_samples, matrix.n_variants)
    try:
        apply_qc(matrix, QCConfig())
    except GenoviError as error:
        assert "\n" not in str(error)
    return Outcome(matrix, "")


@pytest.mark.real
def test_every_file_is_read_or_refused_in_one_line(outcomes: dict[str, Outcome]) -> None:
    assert len(outcomes) > 2000
    n_read = sum(one.matrix is not None for one in outcomes.values())
    assert n_read > 900


@pytest.mark.real
def test_what_htslib_reads_is_refused_for_known_reasons(
    catalogue: dict[str, dict[str, str]], outcomes: dict[str, Outcome]
) -> None:
    refused = {}
    for name, one in outcomes.items():
        if one.matrix is None and catalogue[name]["cyvcf2"].startswith("ok"):
            reasons = [reason for reason in REASONS if reason in one.message]
            assert reasons, f"{name}: {one.message}"
            if reasons == ["no samples"]:
                assert catalogue[name]["n_samples"] == "0", name
            else:
                refused[name] = reasons[0]
    assert set(refused.values()) == set(REASONS) - {"no samples"}
    with open(Path(__file__).with_name("ugly_refused.tsv"), encoding="utf-8") as stream:
        assert refused == dict(line.rstrip("\n").split("\t") for line in list(stream)[1:])


@pytest.mark.real
def test_genotypes_are_those_of_htslib(catalogue: dict[str, dict[str, str]], outcomes: dict[str, Outcome]) -> None:
    from cyvcf2 import VCF

    n_same = 0
    for name, one in outcomes.items():
        # cyvcf2 crashes on some of the files where it finds no genotypes ("gt:").
        readable = catalogue[name]["cyvcf2"].startswith("ok") and "gt:" not in catalogue[name]["cyvcf2"]
        if one.matrix is None or not readable:
            continue
        reader = VCF(str(real_data("ugly") / name))
        assert tuple(sample.rstrip(" ") for sample in reader.samples) == one.matrix.samples, name
        dosages, table = one.matrix.dosages(), one.matrix.variants
        n_records = 0
        for i, record in enumerate(reader):
            n_records += 1
            assert dosages[i].tolist() == expected(record, one.matrix.n_samples), (name, i)
            assert (table.chrom[i], table.pos[i]) == (record.CHROM, record.POS), (name, i)
            assert table.ref[i].upper() == record.REF.upper(), (name, i)
            # htslib writes a dot for an allele that is left out between commas.
            alt = ["." if allele == "" else allele.upper() for allele in table.alt[i].split(",")]
            assert alt == ([allele.upper() for allele in record.ALT] or ["."]), (name, i)
        assert n_records == one.matrix.n_variants, name
        n_same += 1
    assert n_same > 850


def expected(record: object, n_samples: int) -> list[int]:
    """Dosages of the first ALT, from the alleles of cyvcf2; -1 where an allele is missing or another."""
    if "GT" not in record.FORMAT:
        return [-1] * n_samples
    alleles = record.genotype.array()[:, :-1]
    called = alleles != -2
    known = (~called | (alleles == 0) | (alleles == 1) & bool(record.ALT)).all(axis=1) & called.any(axis=1)
    n_counted = np.where(called, alleles, 0).sum(axis=1)
    return np.where(known, 2 * n_counted // np.maximum(1, called.sum(axis=1)), -1).tolist()


@pytest.mark.real
def test_files_that_htslib_refuses_are_read_for_known_reasons(
    catalogue: dict[str, dict[str, str]], outcomes: dict[str, Outcome]
) -> None:
    read = [name for name, one in outcomes.items() if one.matrix and not catalogue[name]["cyvcf2"].startswith("ok")]
    assert {Path(name).name for name in read} == set(READ_BY_GENOVI)
