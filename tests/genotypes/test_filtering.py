from __future__ import annotations

import itertools
import json
import logging
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_same, matrix_of, needs, real_data, run_tool, simulate_structure, variant_kinds, with_children
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genovi.errors import ConfigError, DataError
from genovi.genotypes import batches
from genovi.genotypes.batches import source_of
from genovi.genotypes.converting import convert
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.filtering import apply_qc, filter_sources
from genovi.genotypes.hardyweinberg import HardyWeinberg
from genovi.genotypes.matrix import GenotypeMatrix, InputFacts
from genovi.genotypes.memory import MemoryPlan
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.regions import parse_chromosomes
from genovi.genotypes.writing import write_plink1

OPEN = QCConfig(maf=0, geno=1, mind=1, indep_pairwise=None, build="none")


def with_variants(matrix: GenotypeMatrix, **columns: list[Any]) -> GenotypeMatrix:
    arrays = {name: np.array(values, dtype=np.int64 if name == "pos" else object) for name, values in columns.items()}
    return replace(matrix, variants=replace(matrix.variants, **arrays))


@given(hnp.arrays(np.int8, st.tuples(st.integers(0, 9), st.integers(1, 13)), elements=st.integers(-1, 2)))
def test_counts_are_those_of_the_decoded_dosages(dosages: np.ndarray) -> None:
    counts = allele_counts(matrix_of(dosages))
    seen = dosages >= 0
    np.testing.assert_array_equal(counts.n_observed, seen.sum(1))
    np.testing.assert_array_equal(counts.n_alt, np.where(seen, dosages, 0).sum(1))
    np.testing.assert_array_equal(counts.n_het, (dosages == 1).sum(1))
    np.testing.assert_array_equal(counts.sample_missing, (~seen).sum(0))


def test_frequency_is_nan_where_nobody_is_observed() -> None:
    frequency = allele_counts(matrix_of(np.array([[0, 1, 2, 2, -1], [-1] * 5], dtype=np.int8))).frequency
    np.testing.assert_array_equal(frequency, [5 / 8, np.nan])


def test_kinds_of_variants() -> None:
    pairs = [("A", "C"), ("1", "2"), ("0", "2"), ("A", "A"), ("A", "C,G"), ("AT", "A"), ("AT", "GC"), ("A", "."),
             ("A", "<DEL>"), ("A", "*"), ("N", "A"), ("A", "A[2:5["), ("1", "C"), ("A", "AN"), ("A", "Ω"), ("C", ""),
             ("Ä", "A"), ("G", "T")]  # fmt: skip
    matrix = matrix_of(np.zeros((len(pairs), 1), dtype=np.int8))
    matrix = with_variants(matrix, ref=[ref for ref, _ in pairs], alt=[alt for _, alt in pairs])
    assert variant_kinds(matrix.variants).tolist() == [
        "SNP", "SNP", "SNP", "other", "multi-allelic", "indel or MNV", "indel or MNV", "no ALT", "other",
        "other", "other", "other", "other", "indel or MNV", "other", "no ALT", "other", "SNP",
    ]  # fmt: skip
    odd = with_variants(matrix_of(np.zeros((3, 1), dtype=np.int8)), ref=["A", "\n", "C"], alt=["C", "A", "G\nT"])
    assert variant_kinds(odd.variants).tolist() == ["SNP", "other", "other"]
    assert variant_kinds(odd.variants.take(slice(0, 0))).tolist() == []


def test_each_step_takes_its_own_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    dosages = rng.integers(0, 3, size=(12, 40)).astype(np.int8)
    dosages[5] = dosages[4]  # in LD with the one before
    dosages[6, :10] = -1  # --geno
    dosages[7] = 2  # monomorphic
    dosages[8] = 0
    dosages[8, 1] = 1  # --maf 0.02
    dosages[:, 39] = -1  # --mind
    matrix = with_variants(
        matrix_of(dosages),
        chrom=["1", "1", "1", "1", "2", "2", "3", "3", "3", "6", "X", "chr1"],
        pos=[10, 10, 30, 40, 10, 20, 10, 20, 30, 29_000_000, 10, 30],
        alt=["C", "C", "C,G", "AT", *"CCCCCCCC"],
        ref=["A"] * 12,
    )
    config = QCConfig(maf=0.02, mind=0.5, build="GRCh38", remove=frozenset({"s1", "nobody"}))
    with caplog.at_level(logging.INFO, logger="genovi"):
        filtered, report = apply_qc(matrix, config)
    removed = {step.name: (step.before, step.removed) for step in report.steps}
    assert removed == {
        "--remove": (40, 1),
        "autosomes": (12, 1),
        "biallelic SNPs": (11, 2),
        "--mind": (39, 1),
        "--geno": (9, 1),
        "monomorphic": (8, 1),
        "--maf": (7, 1),
        "duplicate positions": (6, 1),
        "relatives": (38, 0),
        "long-range LD": (5, 1),
        "--indep-pairwise": (4, 1),
    }
    assert list(filtered.variants.id) == ["v1", "v5", "v12"]
    assert filtered.samples == tuple(f"s{i}" for i in range(2, 40))
    np.testing.assert_array_equal(filtered.dosages(), dosages[[0, 4, 11]][:, 1:39])
    steps = {step.name: step for step in report.steps}
    assert steps["--mind"].examples == ("s40",)
    assert "1 multi-allelic, 1 indel or MNV" in steps["biallelic SNPs"].reason
    assert "s40 (100.0%)" in caplog.text
    assert "1 of 2 identifiers on the --remove list match nothing: nobody" in caplog.text
    for step in report.steps:
        lines = [record.message for record in caplog.records if record.message.startswith(f"{step.name}: ")]
        assert len(lines) == 1
        assert f"{step.removed} of {step.before} {step.kind} removed, {step.kept} kept" in lines[0]


def test_the_report_is_json_without_listed_names() -> None:
    matrix, _ = simulate_structure(1, 2, 30, 200, 0.1)
    facts = InputFacts(half_calls=3)
    _, report = apply_qc(
        replace(matrix, facts=facts), QCConfig(keep=frozenset(matrix.samples), exclude=frozenset({"v1"}))
    )
    written = json.loads(json.dumps(report.to_dict()))
    assert written["n_samples"] == {"before": 60, "after": 60}
    assert written["n_variants"]["before"] == 200
    assert written["thresholds"]["maf"] == 0.01
    assert written["thresholds"]["n_keep"] == 60
    assert written["calls"]["half_calls"] == 3
    assert written["build"]["build"] == "unknown"
    kept = [step["kept"] for step in written["steps"] if step["kind"] == "variants"]
    assert kept[-1] == written["n_variants"]["after"]
    assert "s17" not in json.dumps(written)


def test_variants_before_and_after_each_step_chain() -> None:
    matrix, _ = simulate_structure(2, 3, 30, 400, 0.2, missing=0.03)
    _, report = apply_qc(matrix, QCConfig(maf=0.1, geno=0.02))
    for kind in ("samples", "variants"):
        steps = [step for step in report.steps if step.kind == kind]
        for one, following in itertools.pairwise(steps):
            assert one.kept == following.before


def test_nothing_is_filtered_when_everything_is_off() -> None:
    matrix, _ = simulate_structure(3, 2, 20, 100, 0.1, missing=0.2)
    varies = allele_counts(matrix)
    assert np.all((varies.n_alt > 0) & (varies.n_alt < 2 * varies.n_observed))
    filtered, _ = apply_qc(matrix, OPEN)
    np.testing.assert_array_equal(filtered.packed, matrix.packed)


def split(counts: list[tuple[int, str, str, int, int]]) -> GenotypeMatrix:
    """Rows with position, REF, ALT, number of heterozygotes and of missing genotypes, among 20 samples."""
    dosages = np.zeros((len(counts), 20), dtype=np.int8)
    for row, (*_, n_het, n_missing) in zip(dosages, counts, strict=True):
        row[:n_het] = 1
        row[20 - n_missing :] = -1
    pos, ref, alt = ([one[place] for one in counts] for place in range(3))
    return with_variants(matrix_of(dosages), chrom=["1"] * len(counts), pos=pos, ref=ref, alt=alt)


SPLIT = [
    (10, "A", "C", 1, 0), (10, "A", "G", 8, 0), (10, "A", "T", 9, 0),  # the first is rare, the others are not
    (20, "A", "C", 0, 0), (20, "A", "G", 8, 0),  # the first does not vary
    (30, "A", "C", 8, 9), (30, "A", "C", 8, 0), (30, "A", "C", 9, 0),  # again and again, first with gaps
    (40, "A", "C", 1, 0), (40, "A", "G", 0, 0),  # none passes
    (50, "A", "C", 8, 0), (50, "A", "C", 8, 0),
]  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("pending", [None, 0])
def test_a_rare_allele_does_not_hide_a_common_one(order: int, pending: int | None) -> None:
    matrix = split(SPLIT)
    places = np.argsort(order * matrix.variants.pos, kind="stable")
    config = replace(OPEN, maf=0.05, geno=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "BATCH_ROWS", 1)
        source = source_of(matrix.take_variants(places))
        kept, report = filter_sources([source], config, MemoryPlan(None, pending, None))
    assert sorted(kept.variants.id, key=lambda name: int(name[1:])) == ["v2", "v5", "v7", "v11"]
    steps = {step.name: (step.before, step.removed) for step in report.steps if step.kind == "variants"}
    assert steps["--geno"] == (12, 1)
    assert steps["monomorphic"] == (11, 2)
    assert steps["--maf"] == (9, 2)
    assert steps["duplicate positions"] == (7, 3)


def test_plink2_keeps_the_common_allele_of_a_split_record(tmp_path: Path) -> None:
    matrix = split([one for one in SPLIT if one[0] in (10, 20, 40) and one[2] != "T"])
    write_plink1(matrix, tmp_path / "in")
    run_tool(needs("plink2"), "--bfile", tmp_path / "in", "--maf", "0.05", "--nonfounders", "--write-snplist",
             "--out", tmp_path / "out")  # fmt: skip
    expected = (tmp_path / "out.snplist").read_text().split()
    assert apply_qc(matrix, replace(OPEN, maf=0.05))[0].variants.id.tolist() == expected


def test_a_position_counts_once_for_mind() -> None:
    dosages = np.tile(np.array([0, 1, 2, 1], dtype=np.int8), (3, 1))
    dosages[1:, 0] = -1
    matrix = with_variants(matrix_of(dosages), chrom=["1"] * 3, pos=[10, 20, 20], ref=["A"] * 3, alt=["C", "C", "G"])
    assert apply_qc(matrix, replace(OPEN, mind=0.5))[0].n_samples == 4
    assert apply_qc(matrix, replace(OPEN, mind=0.49))[0].n_samples == 3


@pytest.mark.parametrize(("geno", "n_missing"), [(0.29, 29), (0.57, 57), (0.58, 58), (0.07, 7), (0.28, 28), (0.14, 14)])
def test_shares_that_equal_the_threshold_stay_as_in_plink2(tmp_path: Path, geno: float, n_missing: int) -> None:
    dosages = np.zeros((2, 100), dtype=np.int8)
    dosages[:, -30:] = 1
    dosages[0, :n_missing] = dosages[1, : n_missing + 1] = -1
    matrix = matrix_of(dosages)
    assert apply_qc(matrix, replace(OPEN, geno=geno))[0].variants.id.tolist() == ["v1"]
    write_plink1(matrix, tmp_path / "in")
    run_tool(
        needs("plink2"), "--bfile", tmp_path / "in", "--geno", str(geno), "--write-snplist", "--out", tmp_path / "o"
    )
    assert (tmp_path / "o.snplist").read_text().split() == ["v1"]


def test_variants_at_negative_positions_go_as_in_plink2(tmp_path: Path) -> None:
    matrix = matrix_of(np.array([[0, 1, 2, 1]] * 4, dtype=np.int8))
    matrix = with_variants(matrix, chrom=["1", "1", "1", "X"], pos=[-5, 0, 7, -1])
    write_plink1(matrix, tmp_path / "in")
    run_tool(needs("plink2"), "--bfile", tmp_path / "in", "--write-snplist", "--out", tmp_path / "out")
    for config in (replace(OPEN, autosomes_only=False), replace(OPEN, chromosomes=("1", "X"))):
        kept, report = apply_qc(matrix, config)
        assert kept.variants.id.tolist() == (tmp_path / "out.snplist").read_text().split() == ["v2", "v3"]
        assert [step.removed for step in report.steps if step.name == "negative positions"] == [2]
    written = convert([tmp_path / "in.bed"], tmp_path / "out")
    assert written.n_variants == 2
    assert "left out 2 at negative positions" in written.lines()[0]


def test_thresholds_are_inclusive_as_in_plink() -> None:
    dosages = np.zeros((2, 50), dtype=np.int8)
    dosages[0, 0] = 1  # frequency 0.01 exactly
    dosages[1, :5] = 2
    dosages[1, 5:10] = -1  # 10 % missing exactly
    filtered, _ = apply_qc(matrix_of(dosages), replace(OPEN, maf=0.01, geno=0.1))
    assert filtered.n_variants == 2
    with pytest.raises(DataError, match="no variants left"):
        apply_qc(matrix_of(dosages[:1]), replace(OPEN, maf=0.0101))


def test_keep_extract_and_chr_select() -> None:
    matrix, _ = simulate_structure(4, 2, 10, 44, 0.1)
    config = replace(OPEN, keep=frozenset({"s3", "s5", "s7", "s9"}), chromosomes=("chr2", "3"))
    filtered, _ = apply_qc(matrix, config)
    assert set(filtered.variants.chrom) <= {"2", "3"}
    assert filtered.samples == ("s3", "s5", "s7", "s9")
    filtered, _ = apply_qc(
        matrix, replace(OPEN, extract=frozenset({"v1", "chr2:50000", "v9"}), exclude=frozenset({"v9"}))
    )
    assert list(filtered.variants.id) == ["v1", "v3"]


def test_chromosomes_that_are_not_there_are_named(caplog: pytest.LogCaptureFixture) -> None:
    matrix, _ = simulate_structure(4, 2, 10, 44, 0.1)
    apply_qc(matrix, replace(OPEN, chromosomes=("1", "X")))
    assert "without variants: X" in caplog.text


def test_autosomes_only_where_contigs_are_human() -> None:
    matrix, _ = simulate_structure(5, 2, 10, 3, 0.1)
    human = with_variants(matrix, chrom=["1", "chrX", "22"])
    lizard = with_variants(matrix, chrom=["1", "scaffold_2", "X"])
    assert list(apply_qc(human, OPEN)[0].variants.chrom) == ["1", "22"]
    assert apply_qc(lizard, OPEN)[0].n_variants == 3
    assert apply_qc(human, replace(OPEN, autosomes_only=False))[0].n_variants == 3
    assert list(apply_qc(human, replace(OPEN, chromosomes=("23",)))[0].variants.chrom) == ["chrX"]


CATTLE = [*map(str, range(1, 30)), "X", "Y", "MT"]


def cattle() -> GenotypeMatrix:
    """A variant on each chromosome, all at the same position."""
    matrix, _ = simulate_structure(5, 2, 10, len(CATTLE), 0.1)
    return with_variants(matrix, chrom=CATTLE, pos=[100] * len(CATTLE))


def test_numbers_of_another_species_are_no_sex_chromosomes(caplog: pytest.LogCaptureFixture) -> None:
    assert list(apply_qc(cattle(), OPEN)[0].variants.chrom) == CATTLE
    filtered, _ = apply_qc(cattle(), replace(OPEN, build="auto", chromosomes=parse_chromosomes("1-22")))
    assert list(filtered.variants.chrom) == CATTLE[:22]
    assert not caplog.records  # nothing of human regions of long-range LD
    for text, chosen in (
        ("1-29", CATTLE[:29]),
        ("23", ["23"]),
        ("X,24", ["24", "X"]),
        ("1-22,MT", [*CATTLE[:22], "MT"]),
    ):
        filtered, _ = apply_qc(cattle(), replace(OPEN, chromosomes=parse_chromosomes(text)))
        assert list(filtered.variants.chrom) == chosen
    for listed, found in (("X:100", "X"), ("23:100", "23"), ("chr26:100", "26")):
        filtered, _ = apply_qc(cattle(), replace(OPEN, extract=frozenset({listed})))
        assert list(filtered.variants.chrom) == [found]


def test_numbers_of_humans_are_sex_chromosomes(caplog: pytest.LogCaptureFixture) -> None:
    matrix, _ = simulate_structure(5, 2, 10, 4, 0.1)
    numbered = with_variants(matrix, chrom=["1", "2", "23", "26"])
    lettered = with_variants(matrix, chrom=["1", "2", "X", "MT"])
    for human, other in ((numbered, ("X", "MT")), (lettered, ("23", "26"))):
        for names in (("23", "26"), ("X", "MT")):
            assert apply_qc(human, replace(OPEN, chromosomes=names))[0].n_variants == 2
        listed = frozenset(f"{name}:{pos}" for name, pos in zip(other, human.variants.pos[2:], strict=True))
        assert apply_qc(human, replace(OPEN, autosomes_only=False, exclude=listed))[0].n_variants == 2
    assert not caplog.records
    assert list(apply_qc(numbered, OPEN)[0].variants.chrom) == ["1", "2"]
    assert "2 variants on chromosomes 23, 26 are left out" in caplog.text
    assert "--all-contigs --build none" in caplog.text
    caplog.clear()
    assert list(apply_qc(lettered, OPEN)[0].variants.chrom) == ["1", "2"]
    assert not caplog.records


def test_long_range_ld_stays_with_a_warning_where_the_build_is_unknown(caplog: pytest.LogCaptureFixture) -> None:
    matrix, _ = simulate_structure(6, 2, 10, 2, 0.1)
    matrix = with_variants(matrix, chrom=["6", "6"], pos=[29_000_000, 100])
    _, report = apply_qc(matrix, replace(OPEN, build="auto"))
    assert "name the build with --build" in caplog.text
    assert report.steps[-1].removed == 0
    caplog.clear()
    assert apply_qc(matrix, replace(OPEN, build="GRCh37"))[0].n_variants == 1
    assert apply_qc(matrix, replace(OPEN, build="GRCh37", long_range_ld=False))[0].n_variants == 2
    assert not caplog.records


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(OPEN, geno=0.05), r"no variants left.*--geno removed.*raise --geno"),
        (replace(OPEN, chromosomes=("Y",)), r"no variants left.*--chr removed"),
        (replace(OPEN, extract=frozenset({"x"})), r"no variants left.*--extract removed"),
        (replace(OPEN, keep=frozenset({"x"})), r"no samples left.*--keep removed"),
        (replace(OPEN, mind=0.0), r"no samples left.*--mind removed.*raise --mind"),
    ],
)
def test_when_nothing_is_left_the_greatest_step_is_blamed(config: QCConfig, message: str) -> None:
    matrix, _ = simulate_structure(7, 2, 20, 60, 0.1, missing=0.3)
    with pytest.raises(DataError, match=message) as caught:
        apply_qc(matrix, config)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "wrong",
    [{"maf": 0.6}, {"maf": -0.1}, {"maf": float("nan")}, {"geno": 1.1}, {"mind": -1}, {"build": "hg19"},
     {"indep_pairwise": (0, 1, 0.2)}, {"chromosomes": ()}, {"king_cutoff": 0}, {"king_cutoff": 0.6}],
)  # fmt: skip
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        QCConfig(**wrong)


def test_relatives_are_set_aside_and_named(caplog: pytest.LogCaptureFixture) -> None:
    matrix = simulate_structure(1, 2, 30, 5000, 0.1, 0.01)[0]
    matrix = with_children(matrix, [(0, 1), (0, 1), (40, 41), (9, 9)] + [(50 + k, 50 + k) for k in range(10)] * 3)
    matrix = matrix.take_samples(np.random.default_rng(2).permutation(matrix.n_samples))
    with caplog.at_level(logging.INFO, logger="genovi"):
        kept, report = apply_qc(matrix, replace(OPEN, king_cutoff=0.0884, maf=0.05, indep_pairwise=(50, 5, 0.2)))
    relatives = report.relatives
    assert relatives is not None
    gone = relatives.matrix.samples
    assert len(gone) > 20  # more than other steps name
    assert set(kept.samples) | set(gone) == set(matrix.samples)
    assert tuple(s for s in matrix.samples if s not in gone) == kept.samples
    assert tuple(matrix.samples[i] for i in relatives.place) == gone
    step = next(step for step in report.steps if step.name == "--king-cutoff")
    assert (step.kind, step.before, step.removed, step.examples) == ("samples", matrix.n_samples, len(gone), gone)
    assert "pairs have a kinship above 0.0884" in step.reason
    assert report.n_samples == (matrix.n_samples, kept.n_samples)
    assert report.thresholds["king_cutoff"] == 0.0884
    assert "relatives" not in report.to_dict()
    assert relatives.matrix.variants.id.tolist() == kept.variants.id.tolist()
    columns = matrix.take_variants(np.isin(matrix.variants.id, kept.variants.id))
    assert_same(columns.take_samples(relatives.place), relatives.matrix)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_without_relatives_a_list_of_the_others_gives_the_same(caplog: pytest.LogCaptureFixture) -> None:
    matrix = with_children(simulate_structure(1, 2, 30, 5000, 0.1)[0], [(0, 1), (0, 1), (40, 41), (9, 9)])
    config = QCConfig(king_cutoff=0.0884, maf=0.05, build="none")
    cut, report = apply_qc(matrix, config)
    listed, _ = apply_qc(matrix, replace(config, king_cutoff=None, keep=frozenset(cut.samples)))
    # variants near --maf may differ: the cut comes after a first --maf over all samples
    common = set(cut.variants.id) & set(listed.variants.id)
    assert len(common) > 0.98 * max(cut.n_variants, listed.n_variants)
    assert allele_counts(cut).minor_frequency.min() >= 0.05
    names = [step.name for step in report.steps]
    assert (
        names.index("--maf") < names.index("--king-cutoff") < names.index("--maf again") < names.index("long-range LD")
    )
    assert names.index("--king-cutoff") < names.index("--indep-pairwise")


def test_a_variant_of_one_family_goes_with_it() -> None:
    matrix = with_children(simulate_structure(1, 1, 30, 5000, 0.0)[0], [(3, 3)] * 3)
    dosages = matrix.dosages().copy()
    dosages[7] = 0
    dosages[7, [3, 30, 32]] = 1  # three of four copies, of whom the other stays
    matrix = GenotypeMatrix(matrix_of(dosages).packed, matrix.samples, matrix.variants)
    kept, report = apply_qc(matrix, replace(OPEN, king_cutoff=0.354))
    assert report.relatives is not None
    assert "v8" in apply_qc(matrix, OPEN)[0].variants.id
    assert "v8" not in kept.variants.id
    assert next(step.removed for step in report.steps if step.name == "--maf again") == 1
    assert report.relatives.matrix.n_variants == kept.n_variants


def test_few_variants_for_a_cutoff_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    matrix = simulate_structure(1, 2, 30, 500, 0.1)[0]
    apply_qc(matrix, replace(OPEN, king_cutoff=0.0884))
    assert "--king-cutoff may take unrelated samples for relatives: 499 variants are too few" in caplog.text


def test_kinship_needs_autosomes() -> None:
    matrix = with_variants(simulate_structure(1, 2, 30, 3, 0.1)[0], chrom=["X", "X", "X"])
    with pytest.raises(DataError, match=r"no variants to estimate kinship from.*keep autosomes") as caught:
        apply_qc(matrix, replace(OPEN, king_cutoff=0.0884, chromosomes=("X",)))
    assert caught.value.exit_code == 3


def test_relatives_stay_with_a_warning_unless_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    matrix = with_children(simulate_structure(1, 2, 30, 5000, 0.1)[0], [(0, 1), (9, 9)])
    kept, report = apply_qc(matrix, OPEN)
    assert kept.samples == matrix.samples
    assert report.relatives is None
    step = next(step for step in report.steps if step.name == "relatives")
    assert (step.removed, step.kept) == (0, 62)
    assert step.reason.startswith("3 pairs have a kinship above 0.0884")
    assert "3 pairs of close relatives" in caplog.text


def excess(n_variants: int = 300) -> GenotypeMatrix:
    """Two populations; everybody is heterozygous at the first ten variants."""
    dosages = simulate_structure(1, 2, 60, n_variants, 0.3)[0].dosages().copy()
    dosages[:10] = 1
    dosages[10:, 0] = 1  # nothing is constant
    return matrix_of(dosages)


def test_hwe_filters_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    both, report = apply_qc(excess(), replace(OPEN, hwe=HardyWeinberg(1e-6)))
    step = next(step for step in report.steps if step.name == "--hwe")
    assert step.kind == "variants"
    assert step.removed == 300 - both.n_variants > 20
    assert f"--hwe removes {step.removed - 10} variants with too few heterozygotes" in caplog.text
    assert step.reason.endswith(f", {step.removed - 10} of them with too few heterozygotes")  # in qc.json, too
    assert "keep-fewhet" in caplog.text
    caplog.clear()
    kept, report = apply_qc(excess(), replace(OPEN, hwe=HardyWeinberg(1e-6, 0.001, keep_fewhet=True)))
    step = next(step for step in report.steps if step.name == "--hwe")
    assert (step.removed, kept.n_variants) == (10, 290)
    assert step.reason == (
        "the p-value of Hardy-Weinberg equilibrium is below 1e-06 10^(-0.001 n), too many heterozygotes"
    )
    assert report.thresholds["hwe"] == {"p": 1e-6, "k": 0.001, "midp": False, "keep_fewhet": True}
    assert not caplog.records


def test_hwe_looks_at_autosomes_only() -> None:
    matrix = excess()
    mixed = with_variants(matrix, chrom=["X"] * 5 + matrix.variants.chrom[5:].tolist())
    config = replace(OPEN, hwe=HardyWeinberg(1e-6, keep_fewhet=True), autosomes_only=False)
    assert apply_qc(mixed, config)[0].n_variants == 295
    assert "--hwe" not in [step.name for step in apply_qc(mixed, OPEN)[1].steps]


def test_one_sample_passes_where_filters_allow() -> None:
    filtered, _ = apply_qc(matrix_of(np.array([[1], [0]], dtype=np.int8)), OPEN)
    assert (filtered.n_samples, filtered.n_variants) == (1, 1)


@pytest.mark.real
@pytest.mark.parametrize("name", ["ho249/HumanOrigins249_tiny", "hapmap3/hapmap3", "wolves/wolvesadmix"])
def test_plink2_keeps_the_same_samples_and_variants(tmp_path: Path, name: str) -> None:
    """plink2 filters with --geno before --mind when both are given, so each runs on its own."""
    prefix = real_data(f"{name}.bed").with_suffix("")
    matrix = open_genotypes([Path(f"{prefix}.bed")])
    command = [needs("plink2"), "--bfile", str(prefix), "--threads", "1", "--chr-set", "38"]
    if matrix.n_samples < 300:
        command += ["--bad-freqs"]
    first, second = str(tmp_path / "mind"), str(tmp_path / "rest")
    steps = [[*command, "--mind", "0.08", "--make-bed", "--out", first]]
    command[2] = first
    steps.append([*command, "--geno", "0.03", "--maf", "0.05", "--write-snplist", "--write-samples", "--out", second])
    for step in steps:
        run = subprocess.run(step, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
    config = replace(OPEN, mind=0.08, geno=0.03, maf=0.05, autosomes_only=False)
    filtered, report = apply_qc(matrix, config)
    assert [step.removed for step in report.steps if step.name == "duplicate positions"] == [0]
    assert list(filtered.variants.id) == Path(f"{second}.snplist").read_text().split()
    samples = [line.split()[-1] for line in Path(f"{second}.id").read_text().splitlines()[1:]]
    assert list(filtered.samples) == samples
