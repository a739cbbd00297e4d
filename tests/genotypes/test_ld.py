from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import matrix_of, needs, real_data, variant_kinds
from hypothesis import given, settings
from hypothesis import strategies as st

from genovi.errors import ConfigError
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.ld import indep_pairwise
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.writing import write_plink1


def linked(seed: int, n_samples: int, n_variants: int, missing: float, n_chromosomes: int = 2) -> GenotypeMatrix:
    """Genotypes whose neighbours are copies of each other with errors."""
    rng = np.random.default_rng(seed)
    haplotypes = np.empty((n_variants, 2 * n_samples), dtype=np.int8)
    current = rng.random(2 * n_samples) < 0.4
    for row in haplotypes:
        renewed = rng.random(2 * n_samples) < rng.choice([0.02, 0.2, 0.9])
        current = np.where(renewed, rng.random(2 * n_samples) < rng.uniform(0.05, 0.95), current)
        row[:] = current
    dosages = haplotypes[:, ::2] + haplotypes[:, 1::2]
    dosages[rng.random(dosages.shape) < missing] = -1
    matrix = matrix_of(dosages)
    chrom = np.sort(rng.integers(1, n_chromosomes + 1, n_variants)).astype(str).astype(object)
    return replace(matrix, variants=replace(matrix.variants, chrom=chrom, pos=np.arange(1, n_variants + 1)))


def named(matrix: GenotypeMatrix) -> GenotypeMatrix:
    ids = np.array([f"v{i}" for i in range(matrix.n_variants)], dtype=object)
    return replace(matrix, variants=replace(matrix.variants, id=ids))


def kept_by(program: str, matrix: GenotypeMatrix, folder: Path, window: int, step: int, r2: float) -> np.ndarray:
    write_plink1(named(matrix), folder / "x")
    command = [needs(program), "--bfile", str(folder / "x"), "--indep-pairwise", str(window), str(step), str(r2)]
    command += ["--allow-extra-chr", "--threads", "1", "--out", str(folder / "out")]
    run = subprocess.run(command + (["--bad-ld"] if program == "plink2" else []), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    kept = set((folder / "out.prune.in").read_text().split())
    return np.array([f"v{i}" in kept for i in range(matrix.n_variants)])


def r2_matrix(matrix: GenotypeMatrix) -> np.ndarray:
    """Squared correlations over pairwise complete samples; 0 where not defined."""
    x = matrix.dosages().astype(float)
    seen = (x >= 0).astype(float)
    x[x < 0] = 0
    n = seen @ seen.T
    sum_x, square = x @ seen.T, (x * x) @ seen.T
    covariance = n * (x @ x.T) - sum_x * sum_x.T
    variance = n * square - sum_x**2
    product = variance * variance.T
    return np.divide(covariance**2, product, out=np.zeros_like(product), where=product > 0)


@given(
    st.integers(0, 10**6), st.sampled_from([0.0, 0.02, 0.3]), st.sampled_from([(50, 5, 0.2), (7, 3, 0.5), (2, 1, 0.0)])
)
@settings(max_examples=25)
def test_no_kept_pair_of_a_window_exceeds_the_limit(
    seed: int, missing: float, parameters: tuple[int, int, float]
) -> None:
    window, step, r2 = parameters
    matrix = linked(seed, 70, 120, missing)
    kept = indep_pairwise(matrix, window, step, r2)
    squared = r2_matrix(matrix)
    chrom = matrix.variants.chrom
    for name in dict.fromkeys(chrom):
        rows = np.flatnonzero(chrom == name)
        for start in range(0, len(rows), step):
            inside = rows[start : start + window]
            inside = inside[kept[inside]]
            pairs = squared[np.ix_(inside, inside)][np.triu_indices(len(inside), 1)]
            assert np.all(pairs <= r2 + 1e-9)
            if start + window >= len(rows):
                break


@given(st.integers(0, 10**6))
@settings(max_examples=10)
def test_every_pruned_variant_is_correlated_with_a_more_common_one(seed: int) -> None:
    matrix = linked(seed, 70, 80, 0.0, n_chromosomes=1)
    kept = indep_pairwise(matrix, 10, 2, 0.3)
    counts = allele_counts(matrix)
    squared = r2_matrix(matrix)
    for i in np.flatnonzero(~kept):
        near = slice(max(0, i - 9), i + 10)
        reason = (squared[i, near] > 0.3) & (counts.minor_frequency[near] >= counts.minor_frequency[i] * (1 - 1e-9))
        reason[i - near.start] = False
        assert reason.any() or counts.minor_frequency[i] == 0


@given(
    st.integers(0, 10**6),
    st.integers(2, 40),
    st.integers(1, 40),
    st.sampled_from([0.1, 0.2, 0.5]),
    st.sampled_from([0.0, 0.05, 0.4]),
)
@settings(max_examples=12)
def test_plink2_keeps_the_same_variants_of_simulated_data(
    tmp_path_factory: pytest.TempPathFactory, seed: int, window: int, step: int, r2: float, missing: float
) -> None:
    matrix = linked(seed, 61, 150, missing, n_chromosomes=4)
    step = min(step, window)
    expected = kept_by("plink2", matrix, tmp_path_factory.mktemp("ld"), window, step, r2)
    np.testing.assert_array_equal(indep_pairwise(matrix, window, step, r2), expected)


@pytest.mark.real
@pytest.mark.parametrize("program", ["plink2", "plink1.9"])
@pytest.mark.parametrize(
    "name", ["kgp1_chr22/kgp1_chr22.phased.vcf.gz", "kgp3/kgp3.bed", "hapmap3/hapmap3.bed", "anole/anole.vcf.gz"]
)
def test_plink_keeps_the_same_variants_of_real_data(tmp_path: Path, name: str, program: str) -> None:
    matrix = open_genotypes([real_data(name)])
    matrix = matrix.take_variants(variant_kinds(matrix.variants) == "SNP")
    matrix = matrix.take_variants(allele_counts(matrix).minor_frequency >= 0.01)
    kept = indep_pairwise(matrix, 50, 5, 0.2)
    expected = kept_by(program, matrix, tmp_path, 50, 5, 0.2)
    jaccard = np.sum(kept & expected) / np.sum(kept | expected)
    assert jaccard == 1.0, f"{np.sum(kept != expected)} variants differ"


def test_chromosomes_do_not_see_each_other_and_order_of_rows_does_not_matter() -> None:
    matrix = linked(3, 80, 60, 0.02, n_chromosomes=3)
    kept = indep_pairwise(matrix)
    for name in dict.fromkeys(matrix.variants.chrom):
        rows = matrix.variants.chrom == name
        np.testing.assert_array_equal(indep_pairwise(matrix.take_variants(rows)), kept[rows])
    shuffled = np.random.default_rng(0).permutation(matrix.n_variants)
    np.testing.assert_array_equal(indep_pairwise(matrix.take_variants(shuffled)), kept[shuffled])


def test_chr1_and_1_are_one_chromosome() -> None:
    matrix = matrix_of(np.tile(np.random.default_rng(0).integers(0, 3, 30).astype(np.int8), (2, 1)))
    chrom = np.array(["chr1", "1"], dtype=object)
    table = replace(matrix.variants, chrom=chrom, pos=np.array([1, 2]))
    assert indep_pairwise(replace(matrix, variants=table)).tolist() == [True, False]


def test_the_memory_map_of_a_file_is_pruned_as_it_lies(tmp_path: Path) -> None:
    matrix = linked(5, 33, 50, 0.1)
    write_plink1(matrix, tmp_path / "x")
    np.testing.assert_array_equal(indep_pairwise(open_genotypes([tmp_path / "x"])), indep_pairwise(matrix))


@pytest.mark.parametrize("parameters", [(1, 1, 0.2), (50, 0, 0.2), (50, 51, 0.2), (50, 5, 1.1), (50, 5, -0.1)])
def test_senseless_parameters_are_refused(parameters: tuple[int, int, float]) -> None:
    with pytest.raises(ConfigError, match="indep-pairwise"):
        indep_pairwise(matrix_of(np.zeros((2, 2), dtype=np.int8)), *parameters)
