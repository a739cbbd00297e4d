"""Projection of new samples onto fitted principal axes: least squares on observed variants, shrinkage corrected.

With V_o the loadings of the variants that are observed in a sample, and x_o its standardised genotypes,

    b = (V_o' V_o + r I)^-1 V_o' x_o,         r = RIDGE * (missing share),

which is V' x when nothing is missing; missing sites are neither reference nor mean. The small ridge keeps samples
with very few sites from being thrown far out.

Scores of new samples are too short, because axes fitted to n samples lean towards the noise of those samples. In the
spiked covariance model with p_e effective variants, g = p_e / n and noise variance s, an axis whose training scores
have variance e = s l (1 + g / (l - 1)) shrinks new scores by

    (l - 1) / (l + g - 1),

so they are divided by it. Axes below the noise edge take the factor of the edge, 1 / (1 + sqrt(g)).
Source: Lee, Zou, Wright (2010), Annals of Statistics 38(6):3605, theorem 3 (PCA score shrinkage).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genovi.genotypes.matrix import GenotypeMatrix
from genovi.structure.pca import PrincipalAxes, row_blocks
from genovi.structure.standardise import Standardiser

RIDGE = 0.05


@dataclass(frozen=True)
class Projection:
    """Samples on the axes of a model.

    Attributes:
        scores: shape (n_samples, k), float64, in the unit of the training scores.
        missing: Share of the model's variants that is missing, shape (n_samples,), float64.
    """

    scores: np.ndarray
    missing: np.ndarray


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
    axes: PrincipalAxes, standardiser: Standardiser, matrix: GenotypeMatrix, *, training: bool = False
) -> Projection:
    """Scores of samples on fitted axes.

    Args:
        axes: Fitted axes.
        standardiser: The one that the axes were fitted with.
        matrix: Genotypes aligned to the standardiser's variants, absent ones missing.
        training: The samples are those that the axes were fitted to: no shrinkage to correct.

    Returns:
        Scores and missingness, in the order of ``matrix.samples``.
    """
    n, k = matrix.n_samples, axes.n_axes
    moment = np.zeros((n, k))
    lower = np.tril_indices(k)
    lost = np.zeros((n, len(lower[0])), dtype=np.float32)
    n_missing = np.zeros(n, dtype=np.int64)
    absent = np.zeros((k, k))
    for rows in row_blocks(matrix):
        loadings = axes.loadings[rows]
        moment += standardiser.transform(matrix, rows).T @ loadings
        gone = matrix.dosages(rows) < 0
        n_missing += gone.sum(axis=0)
        everywhere = gone.all(axis=1)
        absent += loadings[everywhere].T.astype(np.float64) @ loadings[everywhere]
        partly = gone.any(axis=1) & ~everywhere
        if partly.any():
            products = loadings[partly][:, lower[0]] * loadings[partly][:, lower[1]]
            lost += gone[partly].T.astype(np.float32) @ products
    missing = n_missing / max(matrix.n_variants, 1)
    scores = _solve(moment, lost, lower, np.eye(k) - absent, missing)
    return Projection(scores if training else scores / shrinkage(axes), missing)


def _solve(
    moment: np.ndarray, lost: np.ndarray, lower: tuple[np.ndarray, np.ndarray], full: np.ndarray, missing: np.ndarray
) -> np.ndarray:
    """Solve each sample's normal equations; ``lost`` holds the lower triangle of what its missing sites take away."""
    scores = moment.copy()
    k = full.shape[0]
    for start in range(0, len(moment), 1024):
        chunk = np.flatnonzero(missing[start : start + 1024] > 0) + start
        if not len(chunk):
            continue
        normal = np.zeros((len(chunk), k, k))
        normal[:, lower[0], lower[1]] = lost[chunk]
        diagonal = np.einsum("nii->ni", normal).copy()
        normal += normal.transpose(0, 2, 1)
        np.einsum("nii->ni", normal)[:] -= diagonal
        normal = full - normal
        np.einsum("nii->ni", normal)[:] += RIDGE * missing[chunk, None]
        scores[chunk] = np.linalg.solve(normal, moment[chunk][..., None])[..., 0]
    return scores
