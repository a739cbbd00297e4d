"""Matching new variants to a model's: by place and alleles, recoded where swapped, missing where absent."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from helpers import matrix_of, simulate_structure
from hypothesis import given
from hypothesis import strategies as st

from genovi.genotypes.matching import LEAST_EVIDENCE, STATUSES, align, match_variants
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable, pack
from genovi.genotypes.querying import _Wanted

Record = tuple[str, int, str, str]  # chromosome, position, REF, ALT

MODEL: list[Record] = [("1", 100, "A", "G"), ("1", 200, "A", "T"), ("2", 100, "C", "G"), ("2", 300, "G", "A")]


def table(records: list[Record]) -> VariantTable:
    chrom, pos, ref, alt = zip(*records, strict=True) if records else ((), (), (), ())
    names = tuple(f"v{i}" for i in range(len(records)))
    columns = [np.array(column, dtype=object) for column in (chrom, names, ref, alt)]
    return VariantTable(columns[0], np.array(pos, dtype=np.int64), *columns[1:])


def genotypes(records: list[Record], dosages: list[list[int]]) -> GenotypeMatrix:
    packed = pack(np.array(dosages, dtype=np.int8).reshape(len(records), -1))
    return GenotypeMatrix(packed, tuple(f"s{i}" for i in range(len(dosages[0]))), table(records))


def evidence(n: int, alleles: tuple[str, str] = ("A", "G"), first: int = 1) -> list[Record]:
    """Sites, away from all others, whose alleles tell the strand."""
    return [("21", first + i, *alleles) for i in range(n)]


def status_of(model: Record, *data: Record, strand: tuple[int, int] = (20, 0)) -> str:
    """Status of ``model`` in ``data`` with that many other sites on the same strand and on the other one."""
    same, other = strand
    known = [model, *evidence(same + other)]
    new = [*data, *evidence(same), *evidence(other, ("T", "C"), 1 + same)]
    found = match_variants(table(known), table(new))
    assert found.used[1:].all()
    return STATUSES[found.status[0]]


def aligned(model: list[Record], data: GenotypeMatrix) -> np.ndarray:
    return align(data, match_variants(table(model), data.variants)).dosages()


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        (("1", 100, "A", "G"), ("1", 100, "A", "G"), "matched"),
        (("1", 100, "A", "G"), ("1", 100, "G", "A"), "swapped"),
        (("1", 100, "A", "G"), ("1", 101, "A", "G"), "absent"),
        (("1", 100, "A", "G"), ("11", 100, "A", "G"), "absent"),
        (("1", 100, "A", "G"), ("1", 100, "A", "C"), "ambiguous"),
        (("1", 100, "A", "G"), ("1", 100, "T", "C"), "flipped"),
        (("1", 100, "A", "G"), ("1", 100, "C", "T"), "flipped+swapped"),
        (("1", 100, "G", "T"), ("1", 100, "C", "A"), "flipped"),
        (("1", 100, "A", "G"), ("1", 100, "T", "G"), "ambiguous"),
        (("1", 100, "A", "G"), ("1", 100, "A", "G,T"), "ambiguous"),
        (("1", 100, "A", "G"), ("1", 100, "AT", "GT"), "ambiguous"),
        (("1", 100, "A", "G"), ("1", 100, "A", "<DEL>"), "ambiguous"),
        # A/T and C/G: the strand is that of all other sites
        (("1", 100, "A", "T"), ("1", 100, "A", "T"), "matched"),
        (("1", 100, "A", "T"), ("1", 100, "T", "A"), "swapped"),
        (("1", 100, "C", "G"), ("1", 100, "G", "C"), "swapped"),
        (("1", 100, "G", "C"), ("1", 100, "G", "C"), "matched"),
        (("1", 100, "G", "C"), ("1", 100, "A", "T"), "ambiguous"),
        # PLINK's numbered alleles have no strand
        (("1", 100, "1", "2"), ("1", 100, "1", "2"), "matched"),
        (("1", 100, "1", "2"), ("1", 100, "2", "1"), "swapped"),
        (("1", 100, "1", "2"), ("1", 100, "3", "4"), "ambiguous"),
        # nobody has another allele: the one named says what all have; "." in VCF, "0" in PLINK 1, "X" in EIGENSTRAT
        (("1", 100, "A", "G"), ("1", 100, "A", "<NON_REF>"), "matched"),
        (("1", 100, "A", "G"), ("1", 100, "G", "<*>"), "swapped"),
        (("1", 100, "A", "G"), ("1", 100, "X", "G"), "matched"),
        (("1", 100, "A", "G"), ("1", 100, "0", "A"), "swapped"),
        (("1", 100, "A", "G"), ("1", 100, "0", "0"), "ambiguous"),
        (("1", 100, "A", "G"), ("1", 100, "A", "."), "matched"),
        (("1", 100, "A", "G"), ("1", 100, "G", "."), "swapped"),
        (("1", 100, "A", "G"), ("1", 100, "A", "0"), "matched"),
        (("1", 100, "A", "G"), ("1", 100, "G", "0"), "swapped"),
        (("1", 100, "A", "G"), ("1", 100, "T", "."), "flipped"),
        (("1", 100, "A", "G"), ("1", 100, "C", "."), "flipped+swapped"),
        (("1", 100, "A", "T"), ("1", 100, "A", "."), "matched"),
        (("1", 100, "A", "T"), ("1", 100, "T", "."), "swapped"),
        (("1", 100, "A", "T"), ("1", 100, "C", "."), "ambiguous"),
    ],
)
def test_alleles_decide(model: Record, data: Record, expected: str) -> None:
    assert status_of(model, data) == expected


@pytest.mark.parametrize(
    ("strand", "same_order", "exchanged"),
    [
        ((20, 0), "matched", "swapped"),
        ((0, 20), "flipped+swapped", "flipped"),
        ((19, 0), "ambiguous", "ambiguous"),  # too few to tell
        ((0, 0), "ambiguous", "ambiguous"),
        ((5000, 1), "ambiguous", "ambiguous"),  # mixed: no single site tells
        ((1, 50), "ambiguous", "ambiguous"),
    ],
)
def test_the_strand_of_palindromes_is_that_of_all_other_sites(
    strand: tuple[int, int], same_order: str, exchanged: str
) -> None:
    for a, b in (("A", "T"), ("G", "C")):
        assert status_of(("1", 100, a, b), ("1", 100, a, b), strand=strand) == same_order
        assert status_of(("1", 100, a, b), ("1", 100, b, a), strand=strand) == exchanged


@pytest.mark.parametrize(
    ("model", "data"), [("1", "chr1"), ("chr1", "1"), ("chr1", "chr1"), ("X", "chrX"), ("22", "Chr22"), ("X", "23")]
)
def test_prefixes_of_chromosomes_make_no_difference(model: str, data: str) -> None:
    assert status_of((model, 100, "A", "G"), (data, 100, "A", "G")) == "matched"


def test_contigs_that_are_not_human_match_by_their_own_name() -> None:
    assert status_of(("scaffold_7", 5, "A", "G"), ("scaffold_7", 5, "A", "G")) == "matched"
    assert status_of(("scaffold_7", 5, "A", "G"), ("scaffold_8", 5, "A", "G")) == "absent"


def test_numbers_are_sex_chromosomes_in_humans_alone() -> None:
    for model, data, status in (
        (("22", "X"), ("22", "23"), ["matched", "matched"]),
        (("22", "chr26"), ("22", "MT"), ["matched", "matched"]),
        (("22", "23", "27"), ("22", "X", "27"), ["matched", "absent", "matched"]),
        (("22", "23", "27"), ("22", "23", "27"), ["matched"] * 3),
    ):
        found = match_variants(*(table([(chrom, 5, "A", "G") for chrom in names]) for names in (model, data)))
        assert found.table()["STATUS"].tolist() == status
        others = replace(found.variants, id=np.full(len(model), ".", dtype=object))
        wanted = _Wanted(others).mask(table([(chrom, 5, "A", "G") for chrom in data]))
        assert wanted.tolist() == [one == "matched" for one in status]


def test_dosages_follow_the_counted_allele() -> None:
    data = genotypes(
        [("2", 300, "A", "G"), ("chr1", 100, "A", "G"), ("1", 200, "T", "A")],
        [[0, 1, 2, -1, 2], [0, 1, 2, -1, 0], [0, 0, 0, 0, 0]],
    )
    got = aligned(MODEL, data)
    np.testing.assert_array_equal(got[0], [0, 1, 2, -1, 0])  # matched
    np.testing.assert_array_equal(got[1], [-1] * 5)  # ambiguous: too few sites tell the strand
    np.testing.assert_array_equal(got[2], [-1] * 5)  # absent: missing, never homozygous for the reference
    np.testing.assert_array_equal(got[3], [2, 1, 0, -1, 0])  # swapped: 2 - dosage


def test_invariant_sites_are_homozygous_for_the_allele_they_name() -> None:
    data = genotypes([("1", 100, "A", "."), ("2", 300, "A", "0")], [[0, 0, -1], [0, -1, 0]])
    got = aligned(MODEL, data)
    np.testing.assert_array_equal(got[0], [0, 0, -1])  # all have the model's REF
    np.testing.assert_array_equal(got[3], [2, -1, 2])  # all have its counted allele


RIVALS = {
    "matched": ("1", 100, "A", "G"),
    "invariant": ("1", 100, "A", "."),
    "swapped": ("1", 100, "G", "A"),
    "other": ("1", 100, "A", "C"),
    "several": ("1", 100, "A", "G,T"),
}


@pytest.mark.parametrize("order", list(itertools.permutations(["invariant", "other", "several", "matched"])))
def test_the_best_record_of_a_position_counts_in_any_order(order: tuple[str, ...]) -> None:
    data = genotypes([RIVALS[name] for name in order], [[2, 1, 0] if name == "matched" else [0] * 3 for name in order])
    found = match_variants(table(MODEL[:1]), data.variants)
    assert found.row[0] == order.index("matched")
    np.testing.assert_array_equal(align(data, found).dosages()[0], [2, 1, 0])


@pytest.mark.parametrize("order", list(itertools.permutations(["swapped", "invariant", "other"])))
def test_a_record_with_both_alleles_beats_an_invariant_one(order: tuple[str, ...]) -> None:
    data = genotypes([RIVALS[name] for name in order], [[2, 1, 0] if name == "swapped" else [0] * 3 for name in order])
    np.testing.assert_array_equal(aligned(MODEL[:1], data)[0], [0, 1, 2])


def test_every_model_variant_has_one_verdict_and_they_add_up() -> None:
    model = [*MODEL, ("3", 7, "C", "A"), ("3", 8, "C", "A"), ("3", 9, "C", "A")]
    data = [("1", 100, "A", "G"), ("1", 200, "T", "A"), ("2", 300, "A", "G"), ("3", 7, "G", "T"), ("3", 8, "T", "G")]
    found = match_variants(table(model), table([*data, ("3", 9, "C", "G"), ("9", 9, "A", "G")]))
    assert found.counts() == {
        "matched": 1, "swapped": 1, "flipped": 1, "flipped+swapped": 1, "absent": 1, "ambiguous": 2
    }  # fmt: skip
    assert found.usable == 4 / 7
    assert found.strands == (2, 2)
    assert found.clashing == 1
    np.testing.assert_array_equal(found.row, [0, -1, -1, 2, 3, 4, -1])
    assert "57.1 % of the model's 7 variants (1 matched, 1 swapped, " in found.describe()
    written = found.table()
    assert list(written.columns) == ["CHROM", "POS", "ID", "REF", "ALT", "STATUS"]
    assert list(written["STATUS"]) == [
        "matched", "ambiguous", "absent", "swapped", "flipped", "flipped+swapped", "ambiguous"
    ]  # fmt: skip
    assert list(written["POS"]) == [100, 200, 100, 300, 7, 8, 9]


def test_genotypes_of_the_other_strand_are_recoded() -> None:
    model: list[Record] = [("1", 1, "A", "G"), ("1", 2, "A", "G"), ("1", 3, "A", "T"), *evidence(20)]
    data: list[Record] = [("1", 1, "T", "C"), ("1", 2, "C", "T"), ("1", 3, "T", "A"), *evidence(20, ("T", "C"))]
    got = aligned(model, genotypes(data, [[0, 1, 2, -1]] * len(data)))
    np.testing.assert_array_equal(got[:3], [[0, 1, 2, -1], [2, 1, 0, -1], [0, 1, 2, -1]])


def test_alleles_without_a_name_are_neither_of_the_models() -> None:
    data = genotypes([("1", 100, "A", "<NON_REF>"), ("2", 300, "X", "A")], [[0, 1, 2, -1], [2, 1, 0, -1]])
    got = aligned(MODEL, data)
    np.testing.assert_array_equal(got[0], [0, -1, -1, -1])  # whoever carries <NON_REF> carries something unknown
    np.testing.assert_array_equal(got[3], [2, -1, -1, -1])


def test_the_models_own_duplicates_are_told_apart_by_alleles() -> None:
    model = [("1", 100, "A", "G"), ("1", 100, "A", "C")]
    data = genotypes([("1", 100, "A", "C"), ("1", 100, "A", "G")], [[1, 2], [0, 1]])
    np.testing.assert_array_equal(aligned(model, data), [[0, 1], [1, 2]])


@pytest.mark.parametrize("data", [[], [("5", 1, "A", "G")]])
def test_nothing_in_common_is_all_absent(data: list[Record]) -> None:
    found = match_variants(table(MODEL), table(data))
    assert found.usable == 0
    assert found.counts()["absent"] == 4


@pytest.mark.parametrize("n_samples", range(1, 10))
def test_padding_bits_are_zero(n_samples: int) -> None:
    rng = np.random.default_rng(n_samples)
    data = genotypes(
        [("1", 100, "A", "G"), ("1", 200, "T", "A"), ("2", 300, "A", "G")],
        rng.integers(-1, 3, size=(3, n_samples)).tolist(),
    )
    mapped = data.packed.copy()
    if n_samples % 4:
        mapped[:, -1] |= np.uint8(0xFF & (0xFF << (2 * (n_samples % 4))))  # files may hold anything there
    dirty = GenotypeMatrix(mapped, data.samples, data.variants)
    got = align(dirty, match_variants(table(MODEL), dirty.variants))
    np.testing.assert_array_equal(got.packed, pack(got.dosages()))
    np.testing.assert_array_equal(got.dosages(), aligned(MODEL, data))


def test_the_input_is_not_changed() -> None:
    data = genotypes([("1", 100, "G", "A")], [[0, 1, 2]])
    before = data.packed.copy()
    aligned(MODEL, data)
    np.testing.assert_array_equal(data.packed, before)


def swapped(matrix: GenotypeMatrix, which: np.ndarray) -> GenotypeMatrix:
    """``matrix`` with REF and ALT exchanged at ``which``, and dosages with them."""
    v = matrix.variants
    dosages = matrix.dosages().copy()
    dosages[which] = np.where(dosages[which] < 0, -1, 2 - dosages[which])
    ref, alt = np.where(which, v.alt, v.ref), np.where(which, v.ref, v.alt)
    return GenotypeMatrix(pack(dosages), matrix.samples, VariantTable(v.chrom, v.pos, v.id, ref, alt))


def flipped(matrix: GenotypeMatrix) -> GenotypeMatrix:
    """``matrix`` with alleles named on the other strand."""
    v, pairs = matrix.variants, str.maketrans("ACGT", "TGCA")
    ref, alt = (np.array([allele.translate(pairs) for allele in column], dtype=object) for column in (v.ref, v.alt))
    return GenotypeMatrix(matrix.packed, matrix.samples, VariantTable(v.chrom, v.pos, v.id, ref, alt))


@given(st.integers(1, 13), st.integers(1, 60), st.integers(0, 2**31), st.booleans(), st.booleans())
def test_a_permuted_swapped_flipped_prefixed_copy_is_the_same(
    n_samples: int, n_variants: int, seed: int, sparse: bool, other_strand: bool
) -> None:
    rng = np.random.default_rng(seed)
    original = matrix_of(rng.integers(-1, 3, size=(n_variants, n_samples)).astype(np.int8), seed=seed)
    v = original.variants
    strand = {("A", "T"), ("T", "A"), ("C", "G"), ("G", "C")}
    palindromic = np.array([pair in strand for pair in zip(v.ref, v.alt, strict=True)])
    copy = swapped(original, rng.random(n_variants) < 0.5)
    kept = rng.permutation(n_variants)[: n_variants // 2 if sparse else n_variants]
    copy = copy.take_variants(kept)
    chrom = np.array([f"chr{c}" if rng.random() < 0.5 else c for c in copy.variants.chrom], dtype=object)
    table = VariantTable(chrom, copy.variants.pos, copy.variants.id, copy.variants.ref, copy.variants.alt)
    copy = GenotypeMatrix(copy.packed, copy.samples, table)
    copy = flipped(copy) if other_strand else copy
    found = match_variants(v, copy.variants)
    expected = np.full((n_variants, n_samples), -1)
    trusted = (~palindromic[kept]).sum() >= LEAST_EVIDENCE
    used = kept if trusted else kept[~palindromic[kept]]
    expected[used] = original.dosages()[used]
    np.testing.assert_array_equal(align(copy, found).dosages(), expected)
    assert found.counts()["absent"] == n_variants - len(kept)
    assert found.counts()["ambiguous"] == len(kept) - len(used)


def test_a_single_site_on_the_other_strand_loses_just_the_palindromes() -> None:
    original, _ = simulate_structure(1, 2, 5, 200, 0.1)
    v = original.variants
    strand = {("A", "T"), ("T", "A"), ("C", "G"), ("G", "C")}
    palindromic = np.array([pair in strand for pair in zip(v.ref, v.alt, strict=True)])
    assert 0.2 < palindromic.mean() < 0.5
    one = int(np.flatnonzero(~palindromic)[0])
    turned = flipped(original).variants
    mixed = replace(v, ref=v.ref.copy(), alt=v.alt.copy())
    mixed.ref[one], mixed.alt[one] = turned.ref[one], turned.alt[one]
    copy = GenotypeMatrix(original.packed, original.samples, mixed)
    found = match_variants(v, copy.variants)
    got = align(copy, found).dosages()
    assert (got[palindromic] == -1).all()
    np.testing.assert_array_equal(got[~palindromic], original.dosages()[~palindromic])
    assert found.counts()["flipped"] == 1
    whole = match_variants(v, original.variants)
    assert whole.usable == 1
    np.testing.assert_array_equal(whole.without_palindromes().status == STATUSES.index("ambiguous"), palindromic)


def named(records: list[Record], names: list[str]) -> VariantTable:
    return replace(table(records), id=np.array(names, dtype=object))


def test_identifiers_find_variants_at_other_positions() -> None:
    model = named([("1", 100, "A", "G"), ("1", 200, "C", "A"), ("2", 5, "C", "T")], ["rs1", "rs2", "."])
    data = named([("chr1", 9200, "T", "G"), ("chr1", 9100, "G", "A"), ("2", 5, "C", "T")], ["rs7;rs2", "rs1", "."])
    found = match_variants(model, data, "id")
    np.testing.assert_array_equal(found.row, [1, 0, -1])
    assert [STATUSES[code] for code in found.status] == ["swapped", "flipped+swapped", "absent"]  # "." is no name
    assert match_variants(model, data).counts()["matched"] == 1  # by position: the third one only


def test_an_identifier_at_several_places_is_ambiguous_unless_alleles_decide() -> None:
    model = named([("1", 100, "A", "G")], ["rs1"])
    twice = named([("1", 900, "A", "G"), ("1", 950, "A", "G")], ["rs1", "rs1"])
    assert STATUSES[match_variants(model, twice, "id").status[0]] == "ambiguous"
    other = named([("1", 900, "A", "C"), ("1", 950, "A", "G")], ["rs1", "rs1"])
    assert match_variants(model, other, "id").row[0] == 1
    again = named([("1", 900, "A", "G"), ("1", 900, "A", "G")], ["rs1", "rs1"])
    assert match_variants(model, again, "id").row[0] == 0
    elsewhere = named([("2", 100, "A", "G")], ["rs1"])
    assert STATUSES[match_variants(model, elsewhere, "id").status[0]] == "absent"


def test_the_models_own_repeated_identifiers_are_told_apart_by_alleles() -> None:
    model = named([("1", 100, "A", "G"), ("1", 100, "A", "C")], ["rs1", "rs1"])
    data = named([("1", 9, "A", "C"), ("1", 9, "A", "G")], ["rs1", "rs1"])
    np.testing.assert_array_equal(match_variants(model, data, "id").row, [1, 0])
