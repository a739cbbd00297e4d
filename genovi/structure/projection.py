"""Projection of new samples onto fitted principal axes: least squares on observed variants, shrinkage corrected.

With V_o the loadings of the variants that are observed in a sample, and x_o its standardised genotypes,

    b = A^-1 V_o' x_o,         A = V_o' V_o,

which is V' x when nothing is missing; missing sites are neither reference nor mean. What a variant has besides the axes
is noise of variance v, so that b varies about the score of the complete sample with the covariance

    E = v (A^-1 - I).

Directions of which next to nothing is observed (eigenvalues of A below ``LEAST``) have score 0 and the E of ``LEAST``.

Scores of new samples are too short, because axes fitted to n samples lean towards the noise of those samples. In the
spiked covariance model with p_e effective variants, g = p_e / n and noise variance s, an axis whose training scores
have variance e = s l (1 + g / (l - 1)) shrinks new scores by

    (l - 1) / (l + g - 1),

so they are divided by it, and E accordingly. Axes below the noise edge take the factor of the edge, 1 / (1 + sqrt(g)).

A relative of training samples is between: part of its own noise is theirs, which is in the axes. With kinship phi_i to
training sample i, whose score is t_i, it shares 2 phi_i of the genome of i by descent, and of the noise of i the axes
have (1 - f) t_i, f being the factor above. So the score of such a sample is

    (b - (1 - f) sum_i 2 phi_i t_i) / f,

which is the training score itself for the same genotypes (phi = 1/2), and b / f for unrelated samples.
Source: Lee, Zou, Wright (2010), Annals of Statistics 38(6):3605, theorem 3 (PCA score shrinkage).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genovi.genotypes.matrix import GenotypeMatrix
from genovi.structure.pca import PrincipalAxes, row_blocks
from genovi.structure.standardise import Standardiser

LEAST = 1e-4
_SAMPLES = 2048
_FEW = 0.05  # missing share up to which a sum over missing genotypes is quicker than a matrix product
_NEAR = 0.5  # distance of A from I within which its inverse needs no care


@dataclass(frozen=True)
class Projection:
    """Samples on the axes of a model.

    Attributes:
        scores: shape (n_samples, k), float64, in the unit of the training scores.
        missing: Share of the model's variants that is missing, shape (n_samples,), float64.
        excess: E, covariance that missing variants add to the scores, shape (n_samples, k, k), float64; 0 for samples
            that miss nothing, None where no sample misses anything.
    """

    scores: np.ndarray
    missing: np.ndarray
    excess: np.ndarray | None


def shrinkage(axes: PrincipalAxes) -> np.ndarray:
    """Factor by which scores of new samples are shorter than those of training samples.

    Returns:
        shape (k,), float64, in (0, 1].
    """
    ratio = axes.noise.effective_variants / axes.n_samples
    observed = axes.eigenvalues / axes.noise.variance
    half = (observed + 1 - ratio) / 2
    spike = np.maximum(half + np.sqrt(np.maximum(half**2 - observed, 0)), 1 + np.sqrt(ratio))
    return (spike - 1) / (spike + ratio - 1)


def project(
    axes: PrincipalAxes,
    standardiser: Standardiser,
    matrix: GenotypeMatrix,
    *,
    training: bool = False,
    shared: np.ndarray | None = None,
) -> Projection:
    """Scores of samples on fitted axes.

    Takes memory for n_samples k^2 numbers where something is missing: see ``sample_blocks``.

    Args:
        axes: Fitted axes.
        standardiser: The one that the axes were fitted with.
        matrix: Genotypes aligned to the standardiser's variants, absent ones missing.
        training: The samples are those that the axes were fitted to: no shrinkage to correct.
        shared: Of relatives of training samples: sum of 2 phi_i t_i, shape (n_samples, k), float64.

    Returns:
        Scores, missingness and excess noise, in the order of ``matrix.samples``.
    """
    n, k = matrix.n_samples, axes.n_axes
    moment = np.zeros((n, k))
    gaps = _Gaps.none(n, k)
    for rows in row_blocks(matrix):
        moment += standardiser.transform(matrix, rows).T @ axes.loadings[rows]
        gaps.add(matrix, rows, axes.loadings[rows])
    missing = gaps.n_missing / max(matrix.n_variants, 1)
    shorter = np.ones(k) if training else shrinkage(axes)
    of_kin = np.zeros(k) if shared is None else (1 - shorter) * shared
    if not missing.any():
        return Projection((moment - of_kin) / shorter, missing, None)
    scores, excess = _solve(moment, gaps.observed, missing > 0, axes.noise.variance)
    return Projection((scores - of_kin) / shorter, missing, excess / np.outer(shorter, shorter))


@dataclass(eq=False)
class _Gaps:
    """What is missing of each sample: I - A, in two parts.

    Attributes:
        lost: Of variants that some samples miss, lower triangle row by row, shape (n_samples, k (k + 1) / 2), float32.
        absent: Of those that all miss, shape (k, k), float64.
        n_missing: shape (n_samples,), int64.
    """

    lost: np.ndarray
    absent: np.ndarray
    n_missing: np.ndarray

    @staticmethod
    def none(n: int, k: int) -> _Gaps:
        """Where nothing is missing yet."""
        lost = np.zeros((n, k * (k + 1) // 2), dtype=np.float32)
        return _Gaps(lost, np.zeros((k, k)), np.zeros(n, dtype=np.int64))

    def add(self, matrix: GenotypeMatrix, rows: slice, loadings: np.ndarray) -> None:
        """Take in the variants at ``rows``."""
        from genovi.structure import gaps as kernels

        packed, n = np.ascontiguousarray(matrix.packed[rows]), matrix.n_samples
        count = np.empty(len(packed), dtype=np.int64)
        kernels.count_missing(packed, n, count)
        everywhere = count == n
        self.absent += loadings[everywhere].T.astype(np.float64) @ loadings[everywhere]
        self.n_missing += int(everywhere.sum())
        partly = np.flatnonzero((count > 0) & ~everywhere)
        if count[partly].sum() <= _FEW * n * len(partly):
            kernels.add_products(packed[partly], n, loadings[partly], self.lost, self.n_missing)
            return
        gone = matrix.dosages(rows)[partly] < 0
        self.n_missing += gone.sum(axis=0)
        i, j = np.tril_indices(loadings.shape[1])
        self.lost += gone.T.astype(np.float32) @ (loadings[partly][:, i] * loadings[partly][:, j])

    @property
    def observed(self) -> np.ndarray:
        """A of each sample, shape (n, k, k), float64."""
        k = len(self.absent)
        observed = np.broadcast_to(np.eye(k) - self.absent, (len(self.lost), k, k)).copy()
        i, j = np.tril_indices(k)
        observed[:, i, j] -= self.lost
        observed[:, j, i] = observed[:, i, j]
        return observed


def project_all(
    axes: PrincipalAxes, standardiser: Standardiser, matrix: GenotypeMatrix, *, training: bool = False
) -> Projection:
    """``project`` in blocks of samples, for those who need all of them at once: ``excess`` of all is held in memory."""
    parts = [project(axes, standardiser, part, training=training) for part in sample_blocks(matrix)]
    if len(parts) == 1:
        return parts[0]
    excess = None
    if any(part.excess is not None for part in parts):
        k = axes.n_axes
        filled = [np.zeros((len(p.scores), k, k)) if p.excess is None else p.excess for p in parts]
        excess = np.concatenate(filled)
    scores, missing = (np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "missing"))
    return Projection(scores, missing, excess)


def sample_blocks(matrix: GenotypeMatrix) -> Iterator[GenotypeMatrix]:
    """``matrix`` in parts of at most 2,048 samples, so that ``project`` needs bounded memory."""
    if matrix.n_samples <= _SAMPLES:
        yield matrix
        return
    for start in range(0, matrix.n_samples, _SAMPLES):
        yield matrix.take_samples(np.arange(start, min(start + _SAMPLES, matrix.n_samples)))


def _solve(
    moment: np.ndarray, observed: np.ndarray, incomplete: np.ndarray, variance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of incomplete samples from V_o' x_o, shape (n, k), and A, shape (n, k, k): scores and E."""
    k = moment.shape[1]
    scores, excess = moment.copy(), np.zeros_like(observed)
    apart = np.sqrt(np.square(observed - np.eye(k)).sum(axis=(1, 2)))  # no eigenvalue of A is farther from 1
    near = np.flatnonzero(incomplete & (apart < _NEAR))
    inverse = np.linalg.inv(observed[near])
    scores[near] = np.einsum("nij,nj->ni", inverse, moment[near])
    excess[near] = variance * (inverse - np.eye(k))
    far = np.flatnonzero(incomplete & ~(apart < _NEAR))
    values, vectors = np.linalg.eigh(observed[far])
    reciprocal = np.where(values > LEAST, 1 / np.maximum(values, LEAST), 0)
    along = np.einsum("nij,ni->nj", vectors, moment[far])
    scores[far] = np.einsum("nij,nj->ni", vectors, reciprocal * along)
    spread = np.maximum(1 / np.maximum(values, LEAST) - 1, 0)  # values reach 1.000001
    excess[far] = variance * np.einsum("nij,nj,nkj->nik", vectors, spread, vectors)
    return scores, excess
