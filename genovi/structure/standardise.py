"""Standardiser: genotypes to zero mean and unit variance under Hardy-Weinberg, missing ones at their expectation.

    x_ij = (g_ij - 2 p_j) / sqrt(2 p_j (1 - p_j)),      x_ij = 0 where g_ij is missing

g_ij: dosage of the counted allele (ALT; A1 in PLINK 1) of sample i at variant j. p_j: its frequency among the
observed training genotypes. A missing genotype is replaced by its expectation 2 p_j, not by a random draw.
Source: Patterson, Price, Reich (2006), PLoS Genetics 2(12):e190, equation 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from genovi.errors import DataError
from genovi.genotypes.compiling import compiled_in_parallel
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable


@compiled_in_parallel
def _lookup(packed: np.ndarray, table: np.ndarray, n_samples: int, out: np.ndarray) -> None:
    for v in numba.prange(packed.shape[0]):
        for s in range(n_samples):
            out[v, s] = table[v, (packed[v, s >> 2] >> (2 * (s & 3))) & 3]


@dataclass(frozen=True)
class Standardiser:
    """Per-variant constants, fitted once on the training samples and kept in the model.

    Attributes:
        variants: The variants; ``alt`` is the counted allele.
        frequency: Frequency p_j of the counted allele, shape (n_variants,), float64, in (0, 1).
    """

    variants: VariantTable
    frequency: np.ndarray

    @staticmethod
    def fit(matrix: GenotypeMatrix) -> Standardiser:
        """Frequencies over the observed genotypes of ``matrix``.

        Raises:
            DataError: a variant is monomorphic or never observed (quality control removes such variants).
        """
        counts = allele_counts(matrix)
        frequency = counts.n_alt / np.maximum(2 * counts.n_observed, 1)
        flat = np.flatnonzero((frequency <= 0) | (frequency >= 1))
        if len(flat):
            raise DataError(
                f"{len(flat)} variants do not vary",
                where=f"{matrix.source}, {matrix.variants.chrom[flat[0]]}:{matrix.variants.pos[flat[0]]}",
                why="they cannot be standardised",
                fix="filter with --maf 0.01",
            )
        return Standardiser(matrix.variants, frequency)

    @property
    def scale(self) -> np.ndarray:
        """Standard deviation sqrt(2 p (1 - p)) under Hardy-Weinberg, shape (n_variants,), float64."""
        return np.sqrt(2 * self.frequency * (1 - self.frequency))

    def transform(self, matrix: GenotypeMatrix, rows: slice) -> np.ndarray:
        """Standardised genotypes of ``matrix`` at ``rows``, which must be aligned to this standardiser.

        Returns:
            shape (n_rows, n_samples), float32; 0 where missing.
        """
        centre, scale = 2 * self.frequency[rows], self.scale[rows]
        table = np.empty((len(centre), 4), dtype=np.float32)
        for code, dosage in ((0, 2.0), (2, 1.0), (3, 0.0)):
            table[:, code] = (dosage - centre) / scale
        table[:, 1] = 0.0
        out = np.empty((len(centre), matrix.n_samples), dtype=np.float32)
        _lookup(np.ascontiguousarray(matrix.packed[rows]), table, matrix.n_samples, out)
        return out
