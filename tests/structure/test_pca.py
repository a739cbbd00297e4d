"""Principal axes against NumPy's SVD and plink2, exact against randomised, with their conventions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import matrix_of, needs, real_data, simulate_structure

from genovi.errors import DataError
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.writing import write_plink1
from genovi.seeding import Seeds
from genovi.structure import pca
from genovi.structure.pca import PrincipalAxes, fit_axes
from genovi.structure.standardise import Standardiser


def common(matrix: GenotypeMatrix, least: float = 0.02) -> GenotypeMatrix:
    """The variants whose minor allele is not too rare."""
    dosages = matrix.dosages().astype(float)
    dosages[dosages < 0] = np.nan
    frequency = np.nanmean(dosages, axis=1) / 2
    return matrix.take_variants(np.minimum(frequency, 1 - frequency) >= least)


def fitted(matrix: GenotypeMatrix, axes: int = 10, seed: int = 0) -> tuple[PrincipalAxes, np.ndarray]:
    return fit_axes(matrix, Standardiser.fit(matrix), axes, Seeds(seed))


def svd(matrix: GenotypeMatrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U, S, V of the standardised genotypes, samples x variants, in float64, by NumPy."""
    x = Standardiser.fit(matrix).transform(matrix, slice(None)).T.astype(np.float64)
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    return left, singular, right.T


def match_signs(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """``got`` with the sign of each column turned to that of ``expected``."""
    return got * np.sign((got * expected).sum(axis=0))


@pytest.mark.parametrize("missing", [0.0, 0.05])
@pytest.mark.parametrize(("n_per", "n_variants"), [(10, 300), (50, 40)], ids=["few samples", "few variants"])
def test_exact_axes_are_those_of_the_svd(n_per: int, n_variants: int, missing: float) -> None:
    matrix = common(simulate_structure(5, 3, n_per, n_variants, 0.1, missing)[0])
    left, singular, right = svd(matrix)
    axes, scores = fitted(matrix, 6)
    np.testing.assert_allclose(axes.singular_values, singular[:6], rtol=1e-5)
    np.testing.assert_allclose(match_signs(axes.loadings, right[:, :6]), right[:, :6], atol=1e-3)
    expected = left[:, :6] * singular[:6]
    np.testing.assert_allclose(match_signs(scores, expected), expected, atol=1e-3 * singular[0])
    np.testing.assert_allclose(axes.eigenvalues, singular[:6] ** 2 / matrix.n_samples, rtol=1e-5)


@pytest.mark.parametrize("exact", [True, False])
def test_conventions_hold_for_both_methods(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pca, "EXACT_SAMPLES", 10_000 if exact else 10)
    matrix = common(simulate_structure(6, 4, 25, 500, 0.1, 0.02)[0])
    standardiser = Standardiser.fit(matrix)
    axes, scores = fit_axes(matrix, standardiser, 8, Seeds(0))
    loadings = axes.loadings.astype(np.float64)
    assert axes.loadings.dtype == np.float32
    assert scores.shape == (100, 8)
    # left vectors of the randomised method are orthonormal; loadings only as far as its subspace has converged
    np.testing.assert_allclose(loadings.T @ loadings, np.eye(8), atol=1e-5 if exact else 0.01)
    strongest = np.abs(axes.loadings).argmax(axis=0)
    assert (axes.loadings[strongest, np.arange(8)] > 0).all()
    assert (np.diff(axes.singular_values) <= 0).all()
    np.testing.assert_allclose((scores**2).sum(axis=0), axes.singular_values**2, rtol=1e-5)
    projected = standardiser.transform(matrix, slice(None)).T @ axes.loadings
    np.testing.assert_allclose(projected, scores, atol=0.05 if exact else 0.5)


def test_the_randomised_method_agrees_with_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = common(simulate_structure(1, 5, 40, 1200, 0.05, 0.02)[0])
    exact, exact_scores = fitted(matrix, 20)
    monkeypatch.setattr(pca, "EXACT_SAMPLES", 10)
    random, random_scores = fitted(matrix, 20)
    assert not np.array_equal(exact.loadings, random.loadings)  # it did run
    assert exact.noise.significant == random.noise.significant == 4
    np.testing.assert_allclose(random.singular_values[:4], exact.singular_values[:4], rtol=1e-5)
    np.testing.assert_allclose(random.singular_values, exact.singular_values, rtol=0.02)
    np.testing.assert_allclose(random_scores[:, :4], exact_scores[:, :4], atol=0.05)
    np.testing.assert_allclose(random.loadings[:, :4], exact.loadings[:, :4], atol=1e-3)
    for name in ("variance", "edge", "effective_variants"):
        assert getattr(random.noise, name) == pytest.approx(getattr(exact.noise, name), rel=0.05)


def test_the_randomised_method_goes_by_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pca, "EXACT_SAMPLES", 10)
    matrix = common(simulate_structure(2, 2, 30, 200, 0.05)[0])
    np.testing.assert_array_equal(fitted(matrix, 5, seed=1)[1], fitted(matrix, 5, seed=1)[1])
    assert not np.array_equal(fitted(matrix, 5, seed=1)[1], fitted(matrix, 5, seed=2)[1])


@pytest.mark.parametrize("exact", [True, False])
def test_blocks_of_variants_make_no_difference(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pca, "EXACT_SAMPLES", 10_000 if exact else 10)
    matrix = common(simulate_structure(7, 3, 20, 300, 0.1, 0.02)[0])
    whole, whole_scores = fitted(matrix, 4)
    monkeypatch.setattr(pca, "_BLOCK_VALUES", 60 * 7)
    assert len(pca.row_blocks(matrix)) > 30
    parts, parts_scores = fitted(matrix, 4)
    np.testing.assert_allclose(parts.singular_values, whole.singular_values, rtol=1e-4)
    np.testing.assert_allclose(parts_scores[:, :2], whole_scores[:, :2], atol=0.05)
    assert parts.noise.effective_variants == pytest.approx(whole.noise.effective_variants, rel=1e-3)


@pytest.mark.parametrize(("n_samples", "n_variants", "most"), [(8, 100, 7), (40, 5, 5)])
def test_there_are_no_more_axes_than_the_data_have(n_samples: int, n_variants: int, most: int) -> None:
    dosages = np.random.default_rng(0).binomial(2, 0.4, size=(n_variants, n_samples)).astype(np.int8)
    axes, scores = fitted(matrix_of(dosages), 20)
    assert axes.n_axes == most
    assert axes.loadings.shape == (n_variants, most)
    assert scores.shape == (n_samples, most)
    assert np.isfinite(axes.loadings).all()


def test_axes_without_variance_are_left_out() -> None:
    dosages = np.repeat(np.array([[0, 1, 2, 1], [2, 0, 1, 1]], dtype=np.int8), 10, axis=0)  # rank 2
    axes, _ = fitted(matrix_of(dosages), 3)
    assert axes.n_axes == 2


def test_first_keeps_the_leading_axes() -> None:
    axes, _ = fitted(common(simulate_structure(8, 2, 20, 100, 0.1)[0]), 6)
    few = axes.first(2)
    np.testing.assert_array_equal(few.loadings, axes.loadings[:, :2])
    np.testing.assert_array_equal(few.singular_values, axes.singular_values[:2])
    assert (few.n_axes, few.n_samples, few.noise) == (2, axes.n_samples, axes.noise)


def test_one_sample_has_no_axes() -> None:
    matrix = matrix_of(np.array([[1], [1]], dtype=np.int8))
    with pytest.raises(DataError, match="only one sample"):
        fit_axes(matrix, Standardiser(matrix.variants, np.array([0.5, 0.5])), 2, Seeds(0))


def plink2_pca(matrix: GenotypeMatrix, folder: Path, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of ``plink2 --pca``."""
    plink2 = needs("plink2")
    write_plink1(matrix, folder / "in")
    words = [plink2, "--bfile", "in", "--pca", str(k), "--threads", "1", "--memory", "1000", "--out", "out"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    values = np.loadtxt(folder / "out.eigenval")
    return values, pd.read_csv(folder / "out.eigenvec", sep="\t").filter(regex=r"^PC\d+$").to_numpy()


def compare_with_plink2(matrix: GenotypeMatrix, folder: Path, k: int, tolerance: float) -> None:
    values, vectors = plink2_pca(matrix, folder, k)
    axes, scores = fitted(matrix, k)
    # plink2 takes the mean over variants where genovi takes the sum
    ours = axes.singular_values**2 / matrix.n_variants
    np.testing.assert_allclose(ours, values, rtol=tolerance)
    np.testing.assert_allclose(match_signs(scores / axes.singular_values, vectors), vectors, atol=10 * tolerance)


@pytest.mark.parametrize(("missing", "tolerance"), [(0.0, 1e-4), (0.01, 0.03)])
def test_axes_are_those_of_plink2(tmp_path: Path, missing: float, tolerance: float) -> None:
    # Missing genotypes: plink2 takes means over the sites that both samples of a pair have, genovi expectations.
    matrix = common(simulate_structure(9, 4, 25, 1000, 0.1, missing)[0])
    compare_with_plink2(matrix, tmp_path, 3, tolerance)


@pytest.mark.real
def test_axes_of_real_genotypes_are_those_of_plink2(tmp_path: Path) -> None:
    path = real_data("ho249/HumanOrigins249_tiny.bed")
    matrix, _ = apply_qc(open_genotypes([path]), QCConfig(geno=0.0, mind=1.0, maf=0.05))
    assert matrix.n_variants > 1000
    compare_with_plink2(matrix, tmp_path, 5, 1e-4)
