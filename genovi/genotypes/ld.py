"""Pruning of variants in linkage disequilibrium, after PLINK's ``--indep-pairwise``.

r2 of two variants is the squared Pearson correlation of their dosages over samples observed in both. A window of a
fixed number of variants slides along each chromosome; of a pair in it whose r2 exceeds the limit, the variant with the
smaller minor allele frequency goes (the later one if they are equal), until no such pair is left. The kept set is that
of ``plink2 --indep-pairwise``.
"""

from __future__ import annotations

import numpy as np

from genovi.errors import ConfigError
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.regions import normalise_chromosomes


def check_indep_pairwise(window: int, step: int, r2: float) -> None:
    """Refuse parameters that make no sense.

    Raises:
        ConfigError: a window below 2 variants, a step outside 1..window, or r2 outside [0, 1].
    """
    if window < 2 or not 1 <= step <= window or not 0 <= r2 <= 1:
        raise ConfigError(
            f"--indep-pairwise {window} {step} {r2:g}",
            why="the window has at least 2 variants, the step 1 to the window's size, and r2 lies in [0, 1]",
            fix="--indep-pairwise 50 5 0.2 is usual",
        )


def indep_pairwise(matrix: GenotypeMatrix, window: int = 50, step: int = 5, r2: float = 0.2) -> np.ndarray:
    """Variants left after pruning.

    Args:
        matrix: Genotypes; variants of a chromosome need not be adjacent or sorted.
        window: Variants in a window.
        step: Variants by which the window moves on.
        r2: Largest r2 of a pair that may stay.

    Returns:
        Mask of the kept variants, shape (n_variants,), bool.

    Raises:
        ConfigError: the parameters make no sense.
    """
    from genovi.genotypes import kernels

    check_indep_pairwise(window, step, r2)
    counts = allele_counts(matrix)
    # Where all observed dosages are equal no r2 exists; such a variant tells nothing and goes, unless it is alone on
    # its contig, as in PLINK.
    constant = (counts.n_alt == 0) | (counts.n_alt == 2 * counts.n_observed) | (counts.n_het == counts.n_observed)
    kept = np.ones(matrix.n_variants, dtype=bool)
    minor_frequency = counts.minor_frequency
    chroms = normalise_chromosomes(matrix.variants.chrom)
    numbers = {name: i for i, name in enumerate(dict.fromkeys(chroms.tolist()))}
    number = np.array([numbers[name] for name in chroms.tolist()], dtype=np.int64)
    order = np.lexsort((matrix.variants.pos, number))  # stable: equal positions keep the order of the file
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        if len(rows) < 2:
            continue
        kept[rows] = ~constant[rows]
        kernels.prune(matrix.packed, rows, matrix.n_samples, minor_frequency, window, step, r2, kept)
    return kept
