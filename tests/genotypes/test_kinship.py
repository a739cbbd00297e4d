from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import reference
from helpers import matrix_of, needs, real_data, run_tool, simulate_structure, with_children
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genovi.errors import ConfigError
from genovi.genotypes import kinship
from genovi.genotypes.kinship import (
    RelatedPairs,
    Relatives,
    check_king_cutoff,
    doubts,
    related_pairs,
    unrelated,
    warn_of_relatives,
)
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.writing import write_plink1

DOSAGES = hnp.arrays(np.int8, st.tuples(st.integers(1, 150), st.integers(1, 9)), elements=st.integers(-1, 2))


def families(n_variants: int = 3000, missing: float = 0.03) -> GenotypeMatrix:
    """Three populations of 30; behind them a child, its full sibling, a grandchild, a twin and their like."""
    matrix, _ = simulate_structure(1, 3, 30, n_variants, 0.1, missing)
    return with_children(matrix, [(0, 1), (0, 1), (90, 5), (7, 7), (40, 41), (93, 9), (70, 40), (96, 42)])


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several strips of samples and blocks of variants, the last ones not full."""
    monkeypatch.setattr(kinship, "_STRIP", 32)
    monkeypatch.setattr(kinship, "_BLOCK", 128)
    monkeypatch.setattr(kinship, "_ROWS", 7)


def pairs_of(edges: list[tuple[int, int]]) -> RelatedPairs:
    first, second = np.array(sorted(edges), dtype=np.int64).reshape(-1, 2).T
    nothing = np.zeros(len(first))
    return RelatedPairs(first, second, nothing, *[nothing.astype(np.int64)] * 4)


def assert_same_pairs(one: RelatedPairs, other: RelatedPairs) -> None:
    for name in ("first", "second", "kinship", "ibs0", "ibs1", "het_first", "het_second"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def check_against_reference(matrix: GenotypeMatrix) -> None:
    dosages = matrix.dosages()
    found = related_pairs(matrix, -math.inf)
    rows = iter(range(len(found)))
    for i in range(matrix.n_samples):
        for j in range(i + 1, matrix.n_samples):
            _, het_het, ibs0, first, second, phi = reference.king(dosages[:, i], dosages[:, j])
            if math.isnan(phi):
                continue
            row = next(rows)
            assert (found.first[row], found.second[row]) == (i, j)
            assert (found.ibs0[row], found.ibs1[row]) == (ibs0, first + second)
            assert (found.het_first[row], found.het_second[row]) == (het_het + first, het_het + second)
            assert found.kinship[row] == pytest.approx(phi, abs=1e-12)
    assert next(rows, None) is None


@given(DOSAGES)
def test_counts_and_kinship_are_those_of_the_definition(dosages: np.ndarray) -> None:
    check_against_reference(matrix_of(dosages))


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("missing", [0.0, 0.02])
def test_parts_add_up(missing: float) -> None:
    matrix = simulate_structure(2, 3, 25, 300, 0.1, 0.0)[0]
    dosages = matrix.dosages().copy()
    incomplete = np.random.default_rng(0).random(300) < 0.5  # some blocks complete, some not
    holes = np.random.default_rng(1).random(dosages.shape) < missing
    dosages[holes & incomplete[:, None]] = -1
    check_against_reference(matrix_of(dosages))


@given(DOSAGES, st.data())
def test_order_of_samples_and_the_counted_allele_make_no_difference(dosages: np.ndarray, data: st.DataObject) -> None:
    found = related_pairs(matrix_of(dosages), -math.inf)
    swap = data.draw(hnp.arrays(bool, len(dosages)))
    swapped = np.where((dosages >= 0) & swap[:, None], 2 - dosages, dosages)
    assert_same_pairs(related_pairs(matrix_of(swapped), -math.inf), found)
    backwards = related_pairs(matrix_of(dosages[:, ::-1].copy()), -math.inf)
    last = dosages.shape[1] - 1
    mirror = {(last - j, last - i): phi for i, j, phi in zip(backwards.first, backwards.second, backwards.kinship,
                                                            strict=True)}  # fmt: skip
    assert mirror == {(i, j): phi for i, j, phi in zip(found.first, found.second, found.kinship, strict=True)}


@given(DOSAGES)
def test_a_sample_and_its_copy_have_a_half(dosages: np.ndarray) -> None:
    doubled = np.concatenate([dosages, dosages], axis=1)
    n = dosages.shape[1]
    found = related_pairs(matrix_of(doubled), -math.inf)
    own = found.second == found.first + n
    assert own.sum() == (dosages == 1).any(axis=0).sum()
    assert (found.kinship[own] == 0.5).all()
    assert (found.kinship <= 0.5).all()


def test_degrees_have_the_kinship_of_theory() -> None:
    found = related_pairs(families(20_000, 0.01), 0.0884)
    phi = {
        (i, j): value for i, j, value in zip(found.first.tolist(), found.second.tolist(), found.kinship, strict=True)
    }
    first_degree = [(0, 90), (1, 91), (90, 91), (90, 92), (5, 92), (40, 94), (93, 95), (7, 95)]
    assert phi[7, 93] == 0.5
    assert all(phi[pair] == pytest.approx(0.25, abs=0.03) for pair in first_degree)
    assert all(phi[pair] == pytest.approx(0.125, abs=0.03) for pair in [(0, 92), (91, 92), (94, 96)])
    assert set(phi) == {*first_degree, (7, 93), (0, 91), (1, 90), (9, 95), (41, 94), (0, 92), (1, 92), (91, 92),
                        (40, 96), (70, 96), (94, 96), (96, 97), (42, 97), (40, 97)}  # fmt: skip


def plink(matrix: GenotypeMatrix, folder: Path, *words: object) -> Path:
    write_plink1(matrix, folder / "x")
    run_tool(needs("plink2"), "--bfile", folder / "x", *words, "--threads", 1, "--out", folder / "out")
    return folder / "out"


def check_against_plink(matrix: GenotypeMatrix, folder: Path) -> None:
    # without --chr plink2 counts chromosome 0, the unplaced variants
    out = plink(matrix, folder, "--chr", "1-22", "--make-king-table", "counts", "cols=id,nsnp,hethet,ibs0,ibs1,kinship")
    table = pd.read_csv(f"{out}.kin0", sep="\t", dtype={"#IID1": str, "IID2": str})
    place = {name: i for i, name in enumerate(matrix.samples)}
    one, other = table["#IID1"].map(place).to_numpy(), table["IID2"].map(place).to_numpy()
    assert (other < one).all()
    order = np.lexsort((one, other))
    table = table.iloc[order]
    found = related_pairs(matrix, -math.inf)
    np.testing.assert_array_equal(found.first, other[order])
    np.testing.assert_array_equal(found.second, one[order])
    np.testing.assert_array_equal(found.ibs0, table["IBS0"])
    np.testing.assert_array_equal(found.ibs1, table["HET1_HOM2"] + table["HET2_HOM1"])
    # which of the two columns is whose depends on the version of plink2
    alone = np.sort(table[["HET1_HOM2", "HET2_HOM1"]].to_numpy(), axis=1) + table[["HETHET"]].to_numpy()
    np.testing.assert_array_equal(np.sort(np.stack([found.het_first, found.het_second], axis=1), axis=1), alone)
    np.testing.assert_allclose(found.kinship, table["KINSHIP"], rtol=5.0001e-6, atol=1e-12)  # six digits are printed


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_plink2_has_the_same_table(tmp_path: Path, missing: float) -> None:
    check_against_plink(families(1000, missing), tmp_path)


@pytest.mark.real
@pytest.mark.parametrize("name", ["hapmap3/hapmap3.bed", "ho249/HumanOrigins249_tiny.bed"])
def test_plink2_has_the_same_table_of_real_data(tmp_path: Path, name: str) -> None:
    matrix = open_genotypes([real_data(name)])
    check_against_plink(replace(matrix, samples=tuple(f"i{k}" for k in range(matrix.n_samples))), tmp_path)


@pytest.mark.parametrize("cutoff", [0.04, 0.0884, 0.177, 0.354])
def test_plink2_keeps_the_same_samples(tmp_path: Path, cutoff: float) -> None:
    matrix = families()
    out = plink(matrix, tmp_path, "--king-cutoff", cutoff)
    expected = [line.split()[-1] for line in Path(f"{out}.king.cutoff.in.id").read_text().splitlines()[1:]]
    kept = unrelated(matrix.n_samples, related_pairs(matrix, cutoff))
    assert [matrix.samples[i] for i in np.flatnonzero(kept)] == expected


@pytest.mark.real
def test_plink2_keeps_the_same_people_of_hapmap3(tmp_path: Path) -> None:
    matrix = open_genotypes([real_data("hapmap3/hapmap3.bed")])
    out = plink(matrix, tmp_path, "--chr", "1-22", "--king-cutoff", 0.0442)
    expected = [line.split()[-1] for line in Path(f"{out}.king.cutoff.in.id").read_text().splitlines()[1:]]
    kept = unrelated(matrix.n_samples, related_pairs(matrix, 0.0442))
    assert [matrix.samples[i] for i in np.flatnonzero(kept)] == expected


GRAPHS = st.integers(2, 14).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1])),
    )
)


@given(GRAPHS)
def test_the_rule_is_the_documented_one(graph: tuple[int, set[tuple[int, int]]]) -> None:
    n, edges = graph
    kept = np.flatnonzero(unrelated(n, pairs_of(list(edges)))).tolist()
    assert kept == reference.unrelated(n, edges)
    assert not [edge for edge in edges if edge[0] in kept and edge[1] in kept]
    gone = set(range(n)) - set(kept)
    # nobody goes without a relative that stays, so that the set cannot grow
    assert all(any((i in edge) and (set(edge) - {i} <= set(kept)) for edge in edges) for i in gone)


def test_plink2_has_the_same_rule(tmp_path: Path) -> None:
    """plink2 takes a matrix of kinships, in which any graph can be written."""
    rng = np.random.default_rng(5)
    n = 22
    names = [f"s{i + 1}" for i in range(n)]
    for number, share in enumerate([0.03, 0.06, 0.1, 0.2, 0.4, 0.08, 0.12, 0.15]):
        edges = [(i, j) for j in range(n) for i in range(j) if rng.random() < share]
        matrix = np.zeros((n, n))
        for i, j in edges:
            matrix[j, i] = 0.25
        np.concatenate([matrix[j, :j] for j in range(1, n)]).astype("<f8").tofile(tmp_path / f"{number}.king.bin")
        (tmp_path / f"{number}.king.id").write_text("\n".join(["#IID", *names]) + "\n")
        genotypes = matrix_of(rng.integers(0, 3, (30, n)).astype(np.int8))
        out = plink(genotypes, tmp_path, "--king-cutoff", tmp_path / str(number), 0.1)
        expected = [line.split()[-1] for line in Path(f"{out}.king.cutoff.in.id").read_text().splitlines()[1:]]
        assert [names[i] for i in np.flatnonzero(unrelated(n, pairs_of(edges)))] == expected


def test_the_cutoff_itself_is_not_above_it() -> None:
    matrix = matrix_of(np.array([[1, 1], [1, 1], [0, 0], [1, 0]], dtype=np.int8))
    found = related_pairs(matrix, -math.inf)
    assert found.kinship.tolist() == [0.375]
    assert len(related_pairs(matrix, 0.375)) == 0
    assert len(related_pairs(matrix, 0.3749)) == 1


def test_only_autosomes_count_where_contigs_are_human() -> None:
    matrix = families(600)
    chrom = matrix.variants.chrom.copy()
    chrom[::3] = "chrX"
    mixed = replace(matrix, variants=replace(matrix.variants, chrom=chrom))
    autosomes = matrix.take_variants(np.arange(600) % 3 != 0)
    assert_same_pairs(related_pairs(mixed, 0.1), related_pairs(autosomes, 0.1))
    chrom = np.where(chrom == "chrX", "scaffold_7", "scaffold_8").astype(object)
    lizard = replace(matrix, variants=replace(matrix.variants, chrom=chrom))
    assert_same_pairs(related_pairs(lizard, 0.1), related_pairs(matrix, 0.1))


def test_fewer_variants_are_spread_evenly() -> None:
    matrix = families(900)
    thinned = matrix.take_variants(np.linspace(0, 899, 300).round().astype(int))
    assert_same_pairs(related_pairs(matrix, 0.1, 300), related_pairs(thinned, 0.1))
    assert_same_pairs(related_pairs(matrix, 0.1, 900), related_pairs(matrix, 0.1))


@pytest.mark.parametrize("n", [0, 1])
def test_one_sample_has_no_relatives(n: int) -> None:
    found = related_pairs(matrix_of(np.ones((70, n), dtype=np.int8)), 0.1)
    assert len(found) == 0
    assert unrelated(n, found).tolist() == [True] * n


@pytest.mark.parametrize("cutoff", [0, -0.1, 0.51, math.nan, math.inf])
def test_senseless_cutoffs_are_refused(cutoff: float) -> None:
    with pytest.raises(ConfigError, match=r"--king-cutoff .* outside \(0, 0.5\]"):
        check_king_cutoff(cutoff)


def chromosomes(*counts: int) -> np.ndarray:
    return np.repeat([str(i + 1) for i in range(len(counts))], counts).astype(object)


@pytest.mark.parametrize(
    ("chroms", "cutoff", "said"),
    [
        (chromosomes(2400, 2400), 0.0884, None),
        (chromosomes(2300, 2300), 0.0884, "4600 variants are too few for a cutoff of 0.0884, 4607 are needed"),
        (chromosomes(2300, 2300), 0.177, None),
        (chromosomes(9000, 1000), 0.177, "90% of the variants are on chromosome 1"),
        (chromosomes(), 0.5, "0 variants are too few"),
        (np.array(["X"] * 9000 + ["1"] * 10, dtype=object), 0.5, "10 variants are too few"),
    ],
)
def test_data_that_cannot_tell_are_named(chroms: np.ndarray, cutoff: float, said: str | None) -> None:
    found = doubts(chroms, cutoff)
    assert found is None if said is None else found is not None and found.startswith(said)


def test_relatives_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    found = warn_of_relatives(families(6000))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith(found.split(" have")[0])
    assert "s8 and s94" in record.message  # the twins
    assert "--king-cutoff 0.0884" in record.message


def test_few_variants_show_close_relatives_only(caplog: pytest.LogCaptureFixture) -> None:
    assert "above 0.19" in warn_of_relatives(families(1000, 0.0))
    assert "s8 and s94" in caplog.text


def test_unrelated_samples_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    for seed, n_variants in ((1, 300), (2, 1000), (3, 5000)):
        matrix = simulate_structure(seed, 3, 60, n_variants, 0.1, 0.02)[0]
        assert warn_of_relatives(matrix).startswith("0 pairs")
    assert not caplog.records


def test_where_relatives_cannot_be_seen_nobody_looks(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = families(6000)
    one = replace(matrix.variants, chrom=np.full(6000, "22", dtype=object))
    assert "not looked for: 100% of" in warn_of_relatives(replace(matrix, variants=one))
    assert "not looked for: 200 variants" in warn_of_relatives(families(200))
    monkeypatch.setattr(kinship, "_CHECKED_SAMPLES", 50)
    assert warn_of_relatives(matrix) == "not looked for among more than 50 samples"
    assert not caplog.records


def test_relatives_know_whom_of_the_training_samples_they_are_related_to() -> None:
    matrix = matrix_of(np.ones((3, 6), dtype=np.int8))
    kept = np.array([True, False, True, True, False, True])
    pairs = pairs_of([(0, 1), (1, 4), (1, 5), (3, 4), (2, 3)])
    pairs = replace(pairs, kinship=np.array([0.25, 0.2, 0.1, 0.3, 0.5])[np.argsort([0, 2, 3, 4, 1])])
    phi = {(a, b): value for a, b, value in zip(pairs.first, pairs.second, pairs.kinship, strict=True)}
    relatives = Relatives.of(matrix, kept, pairs)
    assert relatives.matrix.samples == ("s2", "s5")
    assert relatives.place.tolist() == [1, 4]
    scores = np.array([[1.0, 10], [2, 20], [3, 30], [4, 40]])  # of s1, s3, s4, s6
    shared = relatives.noise_shared(scores)
    assert shared[0].tolist() == pytest.approx((2 * (phi[0, 1] * scores[0] + phi[1, 5] * scores[3])).tolist())
    assert shared[1].tolist() == pytest.approx((2 * phi[3, 4] * scores[2]).tolist())
