from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import reference
from helpers import matrix_of, needs, real_data, run_tool, simulate_structure
from hypothesis import given
from hypothesis import strategies as st

from genovi.errors import ConfigError
from genovi.genotypes.counting import AlleleCounts, allele_counts
from genovi.genotypes.hardyweinberg import HardyWeinberg, few_heterozygotes, hardy_weinberg_log_p, passes_hwe
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.writing import write_plink1


def counts_of(het: list[int], alt: list[int], n: list[int]) -> AlleleCounts:
    columns = [np.array(values, dtype=np.int64) for values in (alt, n, het)]
    return AlleleCounts(*columns, sample_missing=np.zeros(1, dtype=np.int64))


@pytest.mark.parametrize("midp", [False, True])
def test_every_outcome_of_small_samples_has_the_p_value_of_the_definition(midp: bool) -> None:
    outcomes = [(h, r, n) for n in range(1, 28) for r in range(n + 1) for h in range(r % 2, r + 1, 2)]
    het, rare, n = (list(column) for column in zip(*outcomes, strict=True))
    p = np.exp(hardy_weinberg_log_p(counts_of(het, rare, n), midp))
    expected = [reference.hardy_weinberg(*outcome, midp) for outcome in outcomes]
    np.testing.assert_allclose(p, expected, rtol=1e-10)


@given(st.integers(30, 300), st.data())
def test_either_allele_may_be_counted(n: int, data: st.DataObject) -> None:
    het = data.draw(st.integers(0, n))
    alt = het + 2 * data.draw(st.integers(0, n - het))
    one, other = hardy_weinberg_log_p(counts_of([het, het], [alt, 2 * n - alt], [n, n]))
    assert one == other
    assert one == pytest.approx(math.log(reference.hardy_weinberg(het, min(alt, 2 * n - alt), n)), abs=1e-9)


def test_p_values_beyond_float64_are_told_apart() -> None:
    n = 500_000  # nobody is heterozygous at frequency 1/2: P = n! n! / ((n / 2)!^2 (2n)! / n!)
    g = math.lgamma
    exact = 2 * g(n + 1) + g(n + 1) - 2 * g(n / 2 + 1) - g(2 * n + 1)
    few, many, fair = hardy_weinberg_log_p(counts_of([0, n, n // 2], [n, n, n], [n, n, n]))
    assert few == pytest.approx(exact, rel=1e-9)
    assert few < math.log(1e-308)
    assert many < few / 2
    assert fair == pytest.approx(0, abs=1e-6)


def test_variants_without_observations_pass() -> None:
    counts = counts_of([0, 0], [0, 0], [0, 9])
    assert hardy_weinberg_log_p(counts).tolist() == [0, 0]
    assert passes_hwe(counts, HardyWeinberg(0.9)).all()


def odd_cohort() -> GenotypeMatrix:
    """Two populations, some variants with too many heterozygotes, some constant."""
    matrix, _ = simulate_structure(3, 2, 150, 400, 0.2, 0.03)
    dosages = matrix.dosages().copy()
    rng = np.random.default_rng(0)
    mistyped = rng.random(dosages[:60].shape) < rng.uniform(0, 0.6, (60, 1))
    dosages[:60][mistyped & (dosages[:60] != 1)] = 1
    dosages[60], dosages[61] = 0, 1
    return matrix_of(dosages)


def hardy_table(prefix: Path, *words: str) -> pd.DataFrame:
    run_tool(needs("plink2"), "--bfile", prefix, "--hardy", *words, "--nonfounders", "--out", prefix, "--threads", 1,
             "--chr", "1-22")  # fmt: skip
    return pd.read_csv(f"{prefix}.hardy", sep="\t")


@pytest.mark.parametrize("words", [(), ("midp",)])
def test_plink2_has_the_same_p_values(tmp_path: Path, words: tuple[str, ...]) -> None:
    matrix = odd_cohort()
    write_plink1(matrix, tmp_path / "x")
    expected = hardy_table(tmp_path / "x", *words)["MIDP" if words else "P"].to_numpy()
    p = np.exp(hardy_weinberg_log_p(allele_counts(matrix), bool(words)))
    np.testing.assert_allclose(p, expected, rtol=1e-5)
    assert (expected < 1e-20).sum() > 3


@pytest.mark.real
def test_plink2_has_the_same_p_values_of_real_data(tmp_path: Path) -> None:
    prefix = real_data("kgp3/kgp3.bed").with_suffix("")
    matrix = open_genotypes([Path(f"{prefix}.bed")])
    write_plink1(matrix, tmp_path / "x")
    expected = hardy_table(tmp_path / "x")["P"].to_numpy()
    log_p = hardy_weinberg_log_p(allele_counts(matrix))
    seen = expected > 1e-300  # plink2 prints 0 below
    np.testing.assert_allclose(np.exp(log_p[seen]), expected[seen], rtol=1e-5)
    assert (log_p[~seen] < math.log(1e-299)).all()


@pytest.mark.parametrize("words", [[], ["midp"], ["keep-fewhet"], ["midp", "keep-fewhet"]])
@pytest.mark.parametrize("p", [1e-6, 0.05])
def test_plink2_keeps_the_same_variants(tmp_path: Path, p: float, words: list[str]) -> None:
    matrix = odd_cohort()
    write_plink1(matrix, tmp_path / "x")
    run_tool(needs("plink2"), "--bfile", tmp_path / "x", "--hwe", p, *words, "--nonfounders", "--write-snplist",
             "--threads", 1, "--out", tmp_path / "x")  # fmt: skip
    kept = passes_hwe(allele_counts(matrix), HardyWeinberg(p, 0, "midp" in words, "keep-fewhet" in words))
    assert matrix.variants.id[kept].tolist() == (tmp_path / "x.snplist").read_text().split()
    assert 0 < kept.sum() < len(kept)


def test_structure_makes_too_few_heterozygotes_and_errors_too_many() -> None:
    matrix = odd_cohort()
    counts = allele_counts(matrix)
    fails = ~passes_hwe(counts, HardyWeinberg(1e-3))
    assert few_heterozygotes(counts)[62:][fails[62:]].all()
    assert fails[62:].sum() > 50
    lenient = ~passes_hwe(counts, HardyWeinberg(1e-3, keep_fewhet=True))
    assert not lenient[62:].any()
    assert lenient[:60].sum() > 20
    assert lenient[61]


def test_k_lowers_the_threshold_with_the_number_of_samples() -> None:
    counts = counts_of([20, 200, 2000], [100, 1000, 10000], [100, 1000, 10000])
    log10_p = hardy_weinberg_log_p(counts) / math.log(10)
    threshold = np.log10(1e-3) - 0.08 * counts.n_observed
    assert passes_hwe(counts, HardyWeinberg(1e-3, 0.08)).tolist() == (log10_p >= threshold).tolist() == [
        True, False, False
    ]  # fmt: skip
    assert passes_hwe(counts, HardyWeinberg(1e-3, 0.09)).all()
    assert not passes_hwe(counts, HardyWeinberg(1e-3)).any()


def test_a_p_value_that_equals_the_threshold_stays() -> None:
    p = reference.hardy_weinberg(2, 4, 9)
    counts = counts_of([2], [4], [9])
    assert passes_hwe(counts, HardyWeinberg(p)).all()
    assert not passes_hwe(counts, HardyWeinberg(p * 1.000001)).any()


@pytest.mark.parametrize(("p", "k"), [(-0.1, 0), (1.1, 0), (math.nan, 0), (0.1, -1), (0.1, math.inf), (0.1, math.nan)])
def test_senseless_settings_are_refused(p: float, k: float) -> None:
    with pytest.raises(ConfigError, match="--hwe"):
        HardyWeinberg(p, k)
