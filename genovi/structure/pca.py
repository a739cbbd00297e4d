"""Principal components of standardised genotypes, with loadings, exact or randomised.

    X = U S V',   scores  U S = X V,   X: samples x variants (standardised, missing = 0)

Exact up to ``EXACT_SAMPLES`` samples, through the Gram matrix G = X X' = U S^2 U', accumulated over blocks of
variants; above that from a randomised block Krylov space on the same blocks (Musco and Musco 2015, NeurIPS, algorithm
2; block Lanczos: Golub and Underwood 1977). Memory is one block of variants plus G (exact) or 480 numbers a sample.
The sign of each axis is fixed so that the loading of largest size is positive.

X X' is a sum over variants: several ranks, each with a range of them, sum G or its products with vectors. What follows
from these rank 0 computes for all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from genovi.errors import DataError
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.ranks import ALONE, Ranks
from genovi.seeding import Seeds
from genovi.structure.noise import NoiseFloor
from genovi.structure.standardise import Standardiser

EXACT_SAMPLES = 5000
_BLOCK_VALUES = 2**24  # standardised genotypes held at once: 64 MiB of float32
_WIDTH, _STEPS = 40, 12  # of the Krylov basis; see benchmarks/README.md
_PROBES = 20


@dataclass(frozen=True)
class PrincipalAxes:
    """What a model keeps of a PCA: enough to project new samples, nothing about individuals.

    Attributes:
        loadings: V, orthonormal columns, shape (n_variants, k), float32.
        singular_values: S, descending, shape (k,), float64.
        n_samples: Samples that the axes were fitted to.
        noise: Noise floor of the spectrum.
    """

    loadings: np.ndarray
    singular_values: np.ndarray
    n_samples: int
    noise: NoiseFloor

    @property
    def n_axes(self) -> int:
        return self.loadings.shape[1]

    @property
    def eigenvalues(self) -> np.ndarray:
        """Variance of the training scores along each axis, S^2 / n, shape (k,)."""
        return self.singular_values**2 / self.n_samples

    @property
    def score_noise(self) -> np.ndarray:
        """Variance of the noise in training scores along each axis, shape (k,), float64.

        In the spiked model, c = (n - 1 - s) / p_e with s significant axes, an axis of variance e (in units in which the
        edge is (1 + sqrt c)^2: rho^2 = (1 + t)(c + t) / t for a spike of strength t) has the fraction
        c (1 + t) / (t (t + c)) of its variance from noise; axes at or below the edge are noise altogether. Source:
        Benaych-Georges and Nadakuditi (2012), Journal of Multivariate Analysis 111:120, section 3.1 (angle of the
        left singular vector).
        """
        ratio = self.noise.ratio(self.n_samples)
        rho = (1 + math.sqrt(ratio)) ** 2 * self.eigenvalues / self.noise.edge
        half = (rho - 1 - ratio) / 2
        spike = half + np.sqrt(np.maximum(half**2 - ratio, 0))
        spike = np.maximum(spike, np.sqrt(ratio))
        return self.eigenvalues * np.minimum(ratio * (1 + spike) / (spike * (spike + ratio)), 1.0)

    def first(self, k: int) -> PrincipalAxes:
        """The first ``k`` axes."""
        return PrincipalAxes(self.loadings[:, :k].copy(), self.singular_values[:k].copy(), self.n_samples, self.noise)


def fit_axes(
    matrix: GenotypeMatrix, standardiser: Standardiser, max_axes: int, seeds: Seeds, ranks: Ranks = ALONE
) -> tuple[PrincipalAxes, np.ndarray]:
    """Principal axes of ``matrix``.

    Args:
        matrix: Genotypes after quality control; with several ranks this rank's range of the variants.
        standardiser: Fitted to ``matrix``.
        max_axes: Most axes to compute; fewer come back when there are fewer samples or variants.
        seeds: Stream "pca" is used by the randomised method only.
        ranks: Who share the work.

    Returns:
        The axes of all variants and the scores U S of the samples, shape (n_samples, k), float64; on all ranks.

    Raises:
        DataError: fewer than two samples.
    """
    n, m = matrix.n_samples, int(ranks.summed(np.array([matrix.n_variants]))[0])
    if n < 2:
        raise DataError("only one sample", where=matrix.source, why="axes of variation need several", fix="add samples")
    k = min(max_axes, n - 1, m)
    if n <= EXACT_SAMPLES:
        singular, left, trace, square = _exact(matrix, standardiser, k, ranks)
    else:
        singular, left, trace, square = _randomised(matrix, standardiser, k, seeds, ranks)
    kept = singular > 1e-5 * singular[0]
    singular, left = singular[kept], left[:, kept]
    loadings = ranks.joined(_loadings(matrix, standardiser, left, singular))
    strongest = np.abs(loadings).argmax(axis=0)
    sign = np.sign(loadings[strongest, np.arange(len(singular))])
    loadings *= sign
    noise = NoiseFloor.fit(singular**2, trace, square, n)
    return PrincipalAxes(loadings, singular, n, noise), left * (singular * sign)


def row_blocks(matrix: GenotypeMatrix) -> list[slice]:
    """Ranges of variants whose standardised genotypes take 64 MiB each."""
    size = max(1, _BLOCK_VALUES // matrix.n_samples)
    return [slice(i, min(i + size, matrix.n_variants)) for i in range(0, matrix.n_variants, size)]


def _exact(
    matrix: GenotypeMatrix, standardiser: Standardiser, k: int, ranks: Ranks
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Singular values, left vectors, and trace and squared Frobenius norm of the Gram matrix."""
    n = matrix.n_samples
    gram = np.zeros((n, n), dtype=np.float32, order="F")
    for rows in row_blocks(matrix):
        # ssyrk fills one triangle only: half the work of a full product. The block is variants x samples in C order,
        # that is, its transpose in Fortran order, so nothing is copied.
        block = standardiser.transform(matrix, rows)
        gram = scipy.linalg.blas.ssyrk(1.0, block.T, beta=1.0, c=gram, overwrite_c=True, lower=True)
    ranks.summed(gram)
    nothing = np.empty(0)
    return ranks.same(_leading(gram, k) if ranks.first else (nothing, nothing, 0.0, 0.0))


def _leading(gram: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """What ``_exact`` makes of G, of which the lower triangle is there."""
    n = len(gram)
    diagonal = np.diagonal(gram).astype(np.float64)
    trace = float(diagonal.sum())
    square = 2 * float(np.einsum("ij,ij->", np.tril(gram, -1), np.tril(gram, -1), dtype=np.float64)) + float(
        (diagonal**2).sum()
    )
    values, vectors = scipy.linalg.eigh(
        gram.astype(np.float64), lower=True, subset_by_index=(n - k, n - 1), overwrite_a=True
    )
    return np.sqrt(np.maximum(values[::-1], 0)), vectors[:, ::-1], trace, square


def _randomised(
    matrix: GenotypeMatrix, standardiser: Standardiser, k: int, seeds: Seeds, ranks: Ranks
) -> tuple[np.ndarray, np.ndarray, float, float]:
    n = matrix.n_samples
    generator = seeds.numpy("pca")
    width = min(_WIDTH, max(1, n // 8))
    start = ranks.same(np.linalg.qr(generator.standard_normal((n, width)).astype(np.float32))[0])
    steps = max(1, min(_STEPS, n // width - 1))  # the space must stay smaller than that of all samples
    basis, small, trace = _krylov(matrix, standardiser, start, steps, ranks)
    # Probes orthogonal to the basis see the rest of the spectrum (Hutchinson): E ||(G - m) w||^2 = sum (lambda - m)^2.
    # The scatter about the mean m is what the noise floor needs; ||G w||^2 would bury it in the variance of m^2.
    probes = generator.standard_normal((n, _PROBES)).astype(np.float32)
    probes -= basis @ (basis.T @ probes)
    product, _ = _gram_times(matrix, standardiser, ranks.same(probes), ranks)
    values, vectors = np.linalg.eigh(small)
    order = np.argsort(values)[::-1][:k]
    left = basis @ vectors[:, order]
    rest_trace, rest = trace - float(values.sum()), max(n - basis.shape[1], 1)
    mean = rest_trace / rest
    scatter = float(((product.astype(np.float64) - mean * probes) ** 2).sum()) / _PROBES
    square = float((values**2).sum()) + scatter + mean * rest_trace
    return ranks.same((np.sqrt(np.maximum(values[order], 0)), left, trace, square))


def _krylov(
    matrix: GenotypeMatrix, standardiser: Standardiser, start: np.ndarray, steps: int, ranks: Ranks
) -> tuple[np.ndarray, np.ndarray, float]:
    """Block Lanczos: an orthonormal basis Q of span{Y, GY, G^2 Y, ..}, and Q'GQ, which is block tridiagonal.

    Every block is made orthogonal to all before it, not only to the last two as exact arithmetic would have it.

    Args:
        matrix: As for ``fit_axes``.
        standardiser: As there.
        start: Y, orthonormal, shape (n_samples, width), float32.
        steps: Passes over the genotypes.
        ranks: As there.

    Returns:
        Q, shape (n_samples, steps * width), float32; Q'GQ, float64; and trace(G).
    """
    n, width = start.shape
    basis = np.empty((n, steps * width), dtype=np.float32)
    small = np.zeros((steps * width, steps * width))
    block, trace = start, 0.0
    for step in range(steps):
        here = slice(step * width, (step + 1) * width)
        basis[:, here] = block
        product, trace = _gram_times(matrix, standardiser, block, ranks)
        small[here, here] = block.T @ product
        if step + 1 == steps:
            break
        done = basis[:, : here.stop]
        for _ in range(2 if ranks.first else 0):  # once leaves what rounding makes of the largest axes
            product -= done @ (done.T @ product)
        block, factor = ranks.same(np.linalg.qr(product) if ranks.first else (block, block))
        after = slice(here.stop, here.stop + width)
        small[after, here], small[here, after] = factor, factor.T
    return basis, (small + small.T) / 2, trace


def _gram_times(
    matrix: GenotypeMatrix, standardiser: Standardiser, vectors: np.ndarray, ranks: Ranks
) -> tuple[np.ndarray, float]:
    """G times ``vectors``, and trace(G), in one pass over the variants."""
    product = np.zeros_like(vectors)
    trace = 0.0
    for rows in row_blocks(matrix):
        block = standardiser.transform(matrix, rows)
        product += block.T @ (block @ vectors)
        trace += float(np.vdot(block, block))
    return ranks.summed(product), float(ranks.summed(np.array([trace]))[0])


def _loadings(matrix: GenotypeMatrix, standardiser: Standardiser, left: np.ndarray, singular: np.ndarray) -> np.ndarray:
    weights = (left / singular).astype(np.float32)
    loadings = np.empty((matrix.n_variants, len(singular)), dtype=np.float32)
    for rows in row_blocks(matrix):
        loadings[rows] = standardiser.transform(matrix, rows) @ weights
    return loadings
