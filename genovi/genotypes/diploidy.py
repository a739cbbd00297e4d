"""Whether genotypes are those of diploids that mate at random, as a likelihood of two allele draws takes them to be.

    F = 1 - sum_ij [g_ij = 1] / sum_ij 2 p_j (1 - p_j)      over observed genotypes

is the share of heterozygotes that is missing against Hardy-Weinberg proportions of the whole cohort. Populations that
differ make it positive (0.1 for people of all continents), selfing and inbred lines bring it near 1, and haploid calls,
which are coded as two copies, to 1.
"""

from __future__ import annotations

import logging

import numpy as np

from genovi.errors import MismatchError
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.matrix import GenotypeMatrix

logger = logging.getLogger("genovi")

MOST_MISSING = 0.9
_MANY_MISSING = 0.5


def heterozygote_deficit(matrix: GenotypeMatrix) -> float:
    """F of all samples and variants; 0 where nothing varies."""
    counts = allele_counts(matrix)
    frequency = counts.n_alt / np.maximum(2 * counts.n_observed, 1)
    expected = float((counts.n_observed * 2 * frequency * (1 - frequency)).sum())
    return 1 - float(counts.n_het.sum()) / expected if expected > 0 else 0.0


def check_diploid(matrix: GenotypeMatrix) -> None:
    """Refuse genotypes that are no two draws of alleles.

    Raises:
        MismatchError: next to no heterozygotes.
    """
    deficit = heterozygote_deficit(matrix)
    if deficit > MOST_MISSING:
        raise MismatchError(
            f"{deficit:.0%} of the expected heterozygotes are missing",
            where=matrix.source,
            why="--likelihood binomial is of diploids, not of haploid calls or inbred lines",
            fix="leave out --likelihood",
        )
    if deficit > _MANY_MISSING:
        logger.warning(
            "%.0f %% of the expected heterozygotes are missing: --likelihood binomial takes inbred samples for "
            "mixtures of alleles that they are not", 100 * deficit,
        )  # fmt: skip
