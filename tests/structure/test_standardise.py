"""Standardiser: Patterson's scaling, counted allele ALT, missing genotypes at their expectation."""

from __future__ import annotations

import subprocess
import sys

import allel
import numpy as np
import pytest
from helpers import matrix_of, simulate_structure
from hypothesis import given
from hypothesis import strategies as st

from genovi.errors import DataError
from genovi.structure.standardise import Standardiser


def by_hand(dosages: np.ndarray) -> np.ndarray:
    """The definition, one variant at a time, in float64."""
    out = np.zeros(dosages.shape)
    for row, genotypes in enumerate(dosages.astype(float)):
        seen = genotypes >= 0
        p = genotypes[seen].mean() / 2
        out[row, seen] = (genotypes[seen] - 2 * p) / np.sqrt(2 * p * (1 - p))
    return out


@given(st.integers(2, 21), st.integers(1, 30), st.integers(0, 2**31))
def test_it_is_its_definition(n_samples: int, n_variants: int, seed: int) -> None:
    dosages = np.random.default_rng(seed).integers(-1, 3, size=(n_variants, n_samples)).astype(np.int8)
    dosages[:, :2] = (0, 1)  # observed, and varying
    matrix = matrix_of(dosages)
    standardiser = Standardiser.fit(matrix)
    np.testing.assert_allclose(standardiser.transform(matrix, slice(None)), by_hand(dosages), rtol=1e-5, atol=1e-6)


def test_it_is_the_scaling_of_scikit_allel() -> None:
    matrix, _ = simulate_structure(3, 2, 25, 200, 0.1)
    dosages = matrix.dosages()
    varies = (dosages.min(axis=1) < 2) & (dosages.max(axis=1) > 0)
    matrix = matrix.take_variants(varies)
    scaler = allel.stats.preprocessing.get_scaler("patterson", True, 2)
    # scikit-allel divides by sqrt(p (1 - p)), as EIGENSOFT does: the same up to one factor for all variants
    expected = scaler.fit(matrix.dosages()).transform(matrix.dosages().astype("f8")) / np.sqrt(2)
    standardiser = Standardiser.fit(matrix)
    np.testing.assert_allclose(standardiser.transform(matrix, slice(None)), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(standardiser.scale, scaler.std_[:, 0] * np.sqrt(2), rtol=1e-6)


def test_missing_genotypes_are_exactly_zero_and_do_not_count() -> None:
    dosages = np.array([[0, 1, 2, 1, -1], [2, 2, -1, -1, 0]], dtype=np.int8)
    matrix = matrix_of(dosages)
    standardiser = Standardiser.fit(matrix)
    np.testing.assert_allclose(standardiser.frequency, [0.5, 4 / 6])
    x = standardiser.transform(matrix, slice(None))
    assert x.dtype == np.float32
    assert (x[dosages < 0] == 0).all()
    np.testing.assert_allclose(x.sum(axis=1), 0, atol=1e-6)


def test_new_samples_are_scaled_by_the_old_frequencies() -> None:
    old, new = matrix_of(np.array([[0, 1, 1, 2]], dtype=np.int8)), matrix_of(np.array([[2, 2, -1]], dtype=np.int8))
    standardiser = Standardiser.fit(old)
    np.testing.assert_allclose(standardiser.transform(new, slice(None)), [[np.sqrt(2), np.sqrt(2), 0]], rtol=1e-6)


@pytest.mark.parametrize("n_samples", [1, 2, 3, 4, 5, 8, 9])
def test_ranges_of_variants_are_parts_of_the_whole(n_samples: int) -> None:
    dosages = np.random.default_rng(1).integers(-1, 3, size=(17, n_samples)).astype(np.int8)
    matrix = matrix_of(dosages)
    standardiser = Standardiser(matrix.variants, np.linspace(0.1, 0.9, 17))
    whole = standardiser.transform(matrix, slice(None))
    assert whole.shape == (17, n_samples)
    np.testing.assert_array_equal(standardiser.transform(matrix, slice(5, 11)), whole[5:11])


@pytest.mark.parametrize("row", [[0, 0, 0], [2, 2, -1], [-1, -1, -1]])
def test_variants_that_do_not_vary_are_refused_by_name(row: list[int]) -> None:
    matrix = matrix_of(np.array([[0, 1, 2], row], dtype=np.int8))
    with pytest.raises(DataError, match=r"1 variants do not vary .*2:50000"):
        Standardiser.fit(matrix)


def test_loops_are_compiled_where_nothing_can_be_kept() -> None:
    """As in a container whose files are only to be read."""
    code = (
        "import importlib, numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "for name in ('genotypes.kernels', 'genotypes.linekernels', 'genotypes.kingkernels', 'genotypes.hwekernels',\n"
        "             'structure.standardise', 'structure.gaps'): importlib.import_module(f'genovi.{name}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
