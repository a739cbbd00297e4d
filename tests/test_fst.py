"""F_ST: against scikit-allel and known divergence, with genotypes and populations missing."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import matrix_of, simulate_structure

from genovi.errors import DataError, MismatchError
from genovi.fst import hudson_fst


def test_hudson_fst_agrees_with_scikit_allel() -> None:
    import allel

    matrix, labels = simulate_structure(3, n_populations=3, n_per=20, n_variants=500, fst=0.1, missing=0.05)
    names, fst = hudson_fst(matrix, list(labels))
    assert names == ("pop1", "pop2", "pop3")
    dosages = matrix.dosages()
    calls = np.stack([np.where(dosages < 0, -1, dosages > 0), np.where(dosages < 0, -1, dosages > 1)], axis=2)
    genotypes = allel.GenotypeArray(calls.astype(np.int8))
    counts = [genotypes.count_alleles(subpop=np.flatnonzero(labels == name)) for name in names]
    for i in range(3):
        for j in range(3):
            if i != j:
                numerator, denominator = allel.hudson_fst(counts[i], counts[j])
                assert fst[i, j] == pytest.approx(numerator.sum() / denominator.sum(), abs=1e-12)
    assert np.array_equal(np.diag(fst), np.zeros(3))
    assert np.array_equal(fst, fst.T)


def test_hudson_fst_sees_divergence_and_its_absence() -> None:
    for expected in (0.0, 0.15):
        matrix, labels = simulate_structure(5, n_populations=2, n_per=50, n_variants=3000, fst=expected)
        assert hudson_fst(matrix, list(labels))[1][0, 1] == pytest.approx(expected, abs=0.012)
    fixed = matrix_of(np.repeat([[0, 0, 2, 2]], 6, axis=0).astype(np.int8))
    assert hudson_fst(fixed, ["a", "a", "b", "b"])[1][0, 1] == 1.0


def test_hudson_fst_leaves_out_what_is_not_there() -> None:
    matrix, labels = simulate_structure(6, n_populations=3, n_per=10, n_variants=200, fst=0.2)
    blank = ["" if name == "pop3" else str(name) for name in labels]
    names, fst = hudson_fst(matrix, blank)
    assert names == ("pop1", "pop2")
    assert fst[0, 1] == pytest.approx(hudson_fst(matrix, list(labels))[1][0, 1])
    dosages = matrix.dosages().copy()
    dosages[:50, :10] = -1  # a variant that one population lacks says nothing about its pairs
    sparse = hudson_fst(matrix_of(dosages), list(labels))[1]
    assert sparse[0, 1] == pytest.approx(hudson_fst(matrix_of(dosages[50:]), list(labels))[1][0, 1])
    assert sparse[1, 2] == pytest.approx(hudson_fst(matrix, list(labels))[1][1, 2])
    assert np.isnan(hudson_fst(matrix_of(np.zeros((3, 4), dtype=np.int8)), ["a", "a", "b", "b"])[1][0, 1])
    with pytest.raises(DataError, match="at least two populations"):
        hudson_fst(matrix, ["a"] * 30)
    with pytest.raises(MismatchError, match="3 populations for 30 samples"):
        hudson_fst(matrix, ["a", "b", "c"])
