"""Allele counts per variant and missing genotypes per sample, straight from packed data.

With observed genotypes g in {0, 1, 2} of a variant: n_observed counts them, n_alt is their sum and the frequency of the
counted allele is n_alt / (2 n_observed).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genovi.genotypes.matrix import GenotypeMatrix

_BLOCK = 65536  # variants at a time: a memory-mapped matrix is never wholly in memory


@dataclass(frozen=True, eq=False)
class AlleleCounts:
    """Counts of a GenotypeMatrix.

    Attributes:
        n_alt: Copies of the counted allele, shape (n_variants,), int64.
        n_observed: Samples with a genotype, shape (n_variants,), int64.
        n_het: Heterozygous samples, shape (n_variants,), int64.
        sample_missing: Variants missing in each sample, shape (n_samples,), int64.
    """

    n_alt: np.ndarray
    n_observed: np.ndarray
    n_het: np.ndarray
    sample_missing: np.ndarray

    @property
    def frequency(self) -> np.ndarray:
        """Frequency of the counted allele, shape (n_variants,), float64; NaN where nobody is observed."""
        with np.errstate(invalid="ignore"):
            return self.n_alt / (2.0 * self.n_observed)

    @property
    def minor_frequency(self) -> np.ndarray:
        """Frequency of the rarer allele, shape (n_variants,), float64; NaN where nobody is observed."""
        return np.minimum(self.frequency, 1.0 - self.frequency)

    @property
    def varies(self) -> np.ndarray:
        """Whether a variant has more than one allele, shape (n_variants,), bool."""
        return (self.n_alt > 0) & (self.n_alt < 2 * self.n_observed)

    def is_common(self, maf: float) -> np.ndarray:
        """Whether the minor allele is at least as frequent as ``maf``, shape (n_variants,), bool."""
        with np.errstate(invalid="ignore"):
            # The margin of float64 keeps frequencies that equal the threshold, such as 25 of 2,500 at 0.01.
            return self.minor_frequency >= maf * (1 - 1e-12)


def allele_counts(matrix: GenotypeMatrix) -> AlleleCounts:
    """Count alleles and missing genotypes of ``matrix``."""
    return count_alleles(matrix.packed, matrix.n_samples)


def count_alleles(packed: np.ndarray, n_samples: int) -> AlleleCounts:
    """Count alleles and missing genotypes of packed rows, shape (n_variants, ceil(n_samples / 4)), uint8."""
    from genovi.genotypes import kernels

    codes = np.empty((len(packed), 4), dtype=np.int64)
    sample_missing = np.zeros(n_samples, dtype=np.int64)
    for start in range(0, len(packed), _BLOCK):
        rows = slice(start, start + _BLOCK)
        kernels.count_codes(np.ascontiguousarray(packed[rows]), n_samples, codes[rows], sample_missing)
    return AlleleCounts(
        n_alt=2 * codes[:, 0] + codes[:, 2],
        n_observed=n_samples - codes[:, 1],
        n_het=codes[:, 2].copy(),
        sample_missing=sample_missing,
    )
