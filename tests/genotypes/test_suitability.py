"""Data that do not suit a model are refused or warned of, each in its own words; data that do are not."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from helpers import simulate_structure

from genovi.errors import ConfigError, MismatchError
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.matching import VariantMatch, align, match_variants
from genovi.genotypes.matrix import GenotypeMatrix, InputFacts, VariantTable, pack
from genovi.genotypes.querying import Query
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.suitability import Demands, Target, fit_to_model, shared_identifiers, variant_sites_only

GRCH37 = InputFacts(references=("GRCh37",))
GRCH38 = InputFacts(references=("GRCh38",))
PAIRS = {"A": "T", "C": "G", "G": "C", "T": "A"}


def cohort(n_per: int = 20, n_variants: int = 600, fst: float = 0.1) -> GenotypeMatrix:
    matrix, _ = simulate_structure(5, 3, n_per, n_variants, fst)
    frequency = allele_counts(matrix).frequency
    kept = matrix.take_variants((frequency > 0.02) & (frequency < 0.98))
    names = np.array([f"rs{i + 1}" for i in range(kept.n_variants)], dtype=object)
    return replace(kept, variants=replace(kept.variants, id=names), source="new.vcf")


def target_of(matrix: GenotypeMatrix, build: str = "GRCh37") -> Target:
    return Target(matrix.variants, allele_counts(matrix).frequency, build, "run")


def fits(target: Target, matrix: GenotypeMatrix, demands: Demands | None = None) -> tuple[GenotypeMatrix, VariantMatch]:
    return fit_to_model(target, Query.of(matrix), demands)


def moved(matrix: GenotypeMatrix, by: int = 1) -> GenotypeMatrix:
    return replace(matrix, variants=replace(matrix.variants, pos=matrix.variants.pos + by))


def palindromes(table: VariantTable) -> np.ndarray:
    return np.array([PAIRS[a] == b for a, b in zip(table.ref, table.alt, strict=True)])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"min_overlap": 2}, "--min-overlap 2"),
        ({"min_overlap": float("nan")}, "--min-overlap nan"),
        ({"match_by": "name"}, "position or id"),
        ({"build": "hg19"}, "GRCh37, GRCh38 or none"),
    ],
)
def test_demands_that_make_no_sense(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Demands(**options)  # type: ignore[arg-type]


def test_the_same_data_suit_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    matrix = cohort()
    with caplog.at_level(logging.INFO, "genovi"):
        aligned, found = fits(target_of(matrix), replace(matrix, facts=GRCH37))
    np.testing.assert_array_equal(aligned.dosages(), matrix.dosages())
    assert found.usable == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "agreement of allele frequencies with training: 1.00" in caplog.text


def test_another_build_is_refused_with_advice() -> None:
    matrix = cohort()
    for least in (0.0, 0.5):
        with pytest.raises(MismatchError, match=r"input is on GRCh38, the model on GRCh37 .* --match-by id") as caught:
            fits(target_of(matrix), replace(moved(matrix), facts=GRCH38), Demands(least))
        assert caught.value.exit_code == 4
    aligned, found = fits(target_of(matrix), replace(moved(matrix), facts=GRCH38), Demands(match_by="id", build="auto"))
    assert found.usable == 1
    np.testing.assert_array_equal(aligned.dosages(), matrix.dosages())


def test_a_build_that_is_told_beats_the_header() -> None:
    matrix = cohort()
    few = replace(matrix.take_variants(np.arange(0, matrix.n_variants, 3)), facts=GRCH38)
    with pytest.raises(MismatchError, match="input is on GRCh38"):
        fits(target_of(matrix), few, Demands(0.2))
    for told in ("GRCh37", "none"):
        assert fits(target_of(matrix), few, Demands(0.2, build=told))[1].usable > 0.3
    with pytest.raises(MismatchError, match=r"input is on GRCh38, .* as told"):
        fits(target_of(matrix), matrix, Demands(build="GRCh38"))


def test_positions_and_alleles_beat_the_header(caplog: pytest.LogCaptureFixture) -> None:
    matrix = cohort()
    with caplog.at_level(logging.WARNING, "genovi"):
        assert fits(target_of(matrix), replace(matrix, facts=GRCH38))[1].usable == 1
    assert "GRCh37 is taken to be right" in caplog.text


@pytest.mark.parametrize("build", ["GRCh37", "unknown"])
def test_identifiers_at_other_positions_betray_another_build(build: str) -> None:
    matrix = cohort()
    with pytest.raises(MismatchError, match=r"rs identifiers that input and model share .* the genome builds differ"):
        fits(target_of(matrix, build), moved(matrix))


def test_an_unknown_build_is_said_where_little_fits() -> None:
    matrix = cohort()
    other = moved(replace(matrix, variants=replace(matrix.variants, id=np.full(matrix.n_variants, ".", dtype=object))))
    with pytest.raises(MismatchError, match=r"the model is on GRCh37, and of the input neither header nor positions"):
        fits(target_of(matrix), other)


def test_builds_of_other_species_are_nobodys_business(caplog: pytest.LogCaptureFixture) -> None:
    matrix = cohort()
    chrom = np.array([f"scaffold_{name}" for name in matrix.variants.chrom], dtype=object)
    lizard = replace(matrix, variants=replace(matrix.variants, chrom=chrom))
    with caplog.at_level(logging.INFO, "genovi"):
        fits(target_of(lizard, "unknown"), lizard)
    assert "build" not in caplog.text


def test_identifiers_that_repeat_or_are_no_rs_numbers_are_not_counted() -> None:
    matrix = cohort().take_variants(np.arange(6))
    ours = replace(matrix.variants, id=np.array(["rs1", "rs2", "rs2", ".", "v5", "rs6"], dtype=object))
    theirs = replace(moved(matrix).variants, id=np.array(["rs1", "rs2", "rs9", ".", "v5", "rs6"], dtype=object))
    assert shared_identifiers(ours, theirs) == (2, 2)
    assert shared_identifiers(ours, ours) == (2, 0)


def test_alleles_that_clash_betray_another_build_whatever_the_overlap_asked() -> None:
    matrix = cohort()
    rng = np.random.default_rng(1)
    bases = np.array(list("ACGT"), dtype=object)
    ref = rng.integers(4, size=matrix.n_variants)
    alt = (ref + rng.integers(1, 4, size=matrix.n_variants)) % 4
    names = np.full(matrix.n_variants, ".", dtype=object)
    chance = replace(matrix, variants=replace(matrix.variants, ref=bases[ref], alt=bases[alt], id=names))
    with pytest.raises(MismatchError, match=r"alleles are others than the model's at \d+ of \d+ positions"):
        fits(target_of(matrix), chance, Demands(0.0))


def test_genotypes_that_count_the_other_allele_are_refused() -> None:
    matrix = cohort()
    turned = replace(matrix, packed=pack(2 - matrix.dosages()))
    with pytest.raises(MismatchError, match=r"agreement -[01]\.\d+.* count the other allele"):
        fits(target_of(matrix), turned)
    one = turned.take_samples(np.array([7]))
    with pytest.raises(MismatchError, match="count the other allele"):
        fits(target_of(matrix), one)


def test_alleles_at_random_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    matrix = cohort()
    half = (np.arange(matrix.n_variants) % 2 == 0)[:, None]
    with caplog.at_level(logging.WARNING, "genovi"):
        fits(target_of(matrix), replace(matrix, packed=pack(np.where(half, 2 - matrix.dosages(), matrix.dosages()))))
    assert "little to do with those of training" in caplog.text


@pytest.mark.parametrize("one", [False, True])
def test_palindromes_against_all_other_frequencies_are_left_out(caplog: pytest.LogCaptureFixture, one: bool) -> None:
    """Somebody flipped what did not fit, which leaves A/T and C/G sites as they were: half of them wrong."""
    matrix = cohort()
    rng = np.random.default_rng(2)
    ours = palindromes(matrix.variants)
    wrong = (ours & (rng.random(matrix.n_variants) < 0.5))[:, None]
    query = replace(matrix, packed=pack(np.where(wrong, 2 - matrix.dosages(), matrix.dosages())))
    query = query.take_samples(np.array([3])) if one else query
    with caplog.at_level(logging.WARNING, "genovi"):
        aligned, found = fits(target_of(matrix), query)
    assert "A/T and C/G sites contradict" in caplog.text
    assert found.counts()["ambiguous"] == ours.sum()
    assert (aligned.dosages()[ours] == -1).all()
    np.testing.assert_array_equal(aligned.dosages()[~ours], query.dosages()[~ours])


def test_variants_that_come_twice_are_warned_of_where_they_contradict(caplog: pytest.LogCaptureFixture) -> None:
    matrix = cohort()
    again = matrix.take_variants(np.arange(3))
    for genotypes, said in (
        (again.dosages(), False),
        (np.full_like(again.dosages(), -1), False),
        (again.dosages(), True),
    ):
        if said:
            genotypes[1, 4] = (genotypes[1, 4] + 1) % 3
        caplog.clear()
        twice = open_genotypes([matrix, replace(again, packed=pack(genotypes))])
        with caplog.at_level(logging.WARNING, "genovi"):
            aligned, _ = fits(target_of(matrix), twice)
        np.testing.assert_array_equal(aligned.dosages(), matrix.dosages())
        assert ("1 of the model's variants are in the input more than once" in caplog.text) == said


def carried(matrix: GenotypeMatrix, samples: np.ndarray) -> GenotypeMatrix:
    """``samples`` as a caller that writes variant sites only would have them."""
    some = matrix.take_samples(samples)
    return some.take_variants(np.flatnonzero((some.dosages() > 0).any(axis=1)))


@pytest.mark.parametrize("n", [1, 3])
def test_a_call_set_of_variant_sites_is_told(caplog: pytest.LogCaptureFixture, n: int) -> None:
    matrix = cohort(n_variants=3000, fst=0.05)
    query = carried(matrix, np.arange(n))
    with caplog.at_level(logging.WARNING, "genovi"):
        _, found = fits(target_of(matrix), query, Demands(0.2))
    assert found.usable < 0.98
    assert "variant sites only (somebody carries ALT at nearly all of them)" in caplog.text
    with pytest.raises(MismatchError, match="variant sites only, and what is absent is missing"):
        fits(target_of(matrix), query, Demands(0.99))


def test_variant_sites_are_not_taken_for_exchanged_alleles(caplog: pytest.LogCaptureFixture) -> None:
    """Where ALT is the rarer allele everywhere, ALT that is there nearly always looks as if it were REF."""
    matrix = cohort(n_variants=6000, fst=0.05)
    rare = matrix.take_variants(allele_counts(matrix).frequency < 0.4)
    query = carried(rare, np.arange(1))
    with caplog.at_level(logging.WARNING, "genovi"):
        fits(target_of(rare), query, Demands(0.1))
    assert "variant sites only" in caplog.text
    assert "have little to do" not in caplog.text


@pytest.mark.parametrize("n", [1, 3])
def test_exchanged_alleles_are_not_taken_for_variant_sites(n: int) -> None:
    """Rare alleles counted the wrong way round are there nearly always, as ALT is where only its sites are listed."""
    matrix = cohort(n_variants=15_000, fst=0.05)
    rare = matrix.take_variants(allele_counts(matrix).frequency < 0.1)
    half = rare.take_samples(np.arange(n)).take_variants(np.arange(0, rare.n_variants, 2))
    dosages = half.dosages()
    turned = replace(half, packed=pack(np.where(dosages >= 0, 2 - dosages, dosages)))
    with pytest.raises(MismatchError, match="genotypes count the other allele"):
        fits(target_of(rare), turned, Demands(0.1))


def test_variant_sites_are_told_with_alleles_exchanged_and_beside_missing_genotypes() -> None:
    matrix = cohort(n_variants=3000, fst=0.05)
    frequency = allele_counts(matrix).frequency
    some = matrix.take_samples(np.arange(3))
    dosages = np.where(some.dosages() == 0, -1, some.dosages()).astype(np.int8)  # `bcftools merge` of three such files
    merged = GenotypeMatrix(pack(dosages), some.samples, some.variants)
    merged = merged.take_variants(np.flatnonzero((dosages > 0).any(axis=1)))
    v = matrix.variants
    for model, p in ((v, frequency), (replace(v, ref=v.alt, alt=v.ref), 1 - frequency)):
        found = match_variants(model, merged.variants)
        assert variant_sites_only(p, found, allele_counts(align(merged, found)))


@pytest.mark.parametrize("n", [1, 3, 60])
def test_half_of_the_sites_at_random_are_no_call_set_of_variant_sites(caplog: pytest.LogCaptureFixture, n: int) -> None:
    matrix = cohort(n_variants=3000, fst=0.05)
    query = matrix.take_samples(np.arange(n)).take_variants(np.arange(0, matrix.n_variants, 2))
    with caplog.at_level(logging.WARNING, "genovi"):
        fits(target_of(matrix), query, Demands(0.2))
    assert "variant sites only" not in caplog.text


def test_a_large_joint_call_set_without_invariant_sites_is_no_such_thing(caplog: pytest.LogCaptureFixture) -> None:
    matrix = cohort(n_per=40, n_variants=3000, fst=0.05)
    target = target_of(matrix)
    query = carried(matrix, np.arange(100)).take_variants(np.arange(2000))
    with caplog.at_level(logging.WARNING, "genovi"):
        fits(target, query, Demands(0.2))
    assert "variant sites only" not in caplog.text


def test_a_gvcf_is_called_one() -> None:
    matrix = cohort()
    blocks = matrix.take_variants(np.arange(0, matrix.n_variants, 10))
    alt = np.full(blocks.n_variants, "<NON_REF>", dtype=object)
    query = replace(blocks, variants=replace(blocks.variants, alt=alt), packed=pack(np.zeros((len(alt), 60), np.int8)))
    with pytest.raises(MismatchError, match=r"the input is a gVCF; expand it"):
        fits(target_of(matrix), query)


@pytest.mark.parametrize("model_lacks", [True, False])
def test_matching_by_identifier_needs_some(model_lacks: bool) -> None:
    matrix = cohort()
    nameless = replace(matrix, variants=replace(matrix.variants, id=np.full(matrix.n_variants, ".", dtype=object)))
    ours, theirs = (nameless, matrix) if model_lacks else (matrix, nameless)
    with pytest.raises(MismatchError, match=rf"no variant has an identifier \({'run' if model_lacks else 'new.vcf'}\)"):
        fits(target_of(ours), theirs, Demands(match_by="id"))


def test_identifiers_of_another_kind_are_named_as_the_reason() -> None:
    matrix = cohort()
    v = matrix.variants
    places = np.array([f"{chrom}:{pos}" for chrom, pos in zip(v.chrom, v.pos, strict=True)], dtype=object)
    query = replace(matrix, variants=replace(v, id=places))
    with pytest.raises(MismatchError, match=r"can be used .* names of one kind, such as rs numbers"):
        fits(target_of(matrix), query, Demands(match_by="id"))
