"""F_ST between populations, from genotypes.

Hudson's estimator as a ratio of averages over variants (Bhatia et al. 2013, Genome Res 23:1514):

    sum (p1 - p2)^2 - p1 (1 - p1) / (n1 - 1) - p2 (1 - p2) / (n2 - 1)  over  sum p1 (1 - p2) + p2 (1 - p1)

    p1, p2  frequency of the counted allele in each population
    n1, n2  its called alleles, two for each sample
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genovi.errors import DataError, MismatchError
from genovi.genotypes.matrix import GenotypeMatrix


def hudson_fst(matrix: GenotypeMatrix, populations: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Hudson's F_ST between all pairs of populations, as a ratio of averages.

    Args:
        matrix: Genotypes; missing ones are left out variant by variant.
        populations: Population of each of its samples, "" to leave a sample out.

    Returns:
        Names in alphabetical order, and F_ST, shape (n_populations, n_populations), float64, symmetric, 0 on the
        diagonal; estimates of undifferentiated populations may be slightly negative. NaN for pairs that share no
        polymorphic variant.

    Raises:
        MismatchError: labels and samples differ in number.
        DataError: fewer than two populations.
    """
    if len(populations) != matrix.n_samples:
        raise MismatchError(
            f"{len(populations)} populations for {matrix.n_samples} samples", fix="give one, or '', for each sample"
        )
    names = tuple(sorted(set(populations) - {""}))
    if len(names) < 2:
        raise DataError("F_ST needs at least two populations", where=matrix.source, fix="check the label column")
    member = (np.array(populations, dtype=object)[:, None] == np.array(names, dtype=object)).astype(np.float64)
    numerator = np.zeros((len(names), len(names)))
    denominator = np.zeros_like(numerator)
    for _, dosages in matrix.blocks():
        n_alleles = 2 * ((dosages >= 0).astype(np.float64) @ member)
        count = np.maximum(dosages, 0).astype(np.float64) @ member
        called = (n_alleles > 0).astype(np.float64)
        p = count / np.maximum(n_alleles, 1)
        own = called * (p**2 - p * (1 - p) / np.maximum(n_alleles - 1, 1))
        # Sums over variants of products of two populations' terms: all pairs at once by matrix products.
        product = p.T @ p
        numerator += own.T @ called + called.T @ own - 2 * product
        denominator += p.T @ called + called.T @ p - 2 * product
    with np.errstate(invalid="ignore", divide="ignore"):
        fst = np.where(denominator > 0, numerator / denominator, np.nan)
    np.fill_diagonal(fst, 0.0)
    return names, fst
