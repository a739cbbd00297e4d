"""Orthogonal Procrustes: turn and mirror one configuration of points onto another.

    min over R, R'R = I, of  sum_i |(x_i - mean x) R' - (y_i - mean y)|^2        R = V U',  U S V' = SVD(X' Y)

x_i, y_i: the same samples in the configuration to be turned and in the target, X and Y centred. The score is the
Procrustes correlation, which does not depend on the units of either,

    t = (sum of S) / (|X| |Y|),        0 <= t <= 1,        1 where they agree up to size, position and rotation.

Sources: Schoenemann (1966), Psychometrika 31:1; t: Wang et al. (2010), Statistical Applications in Genetics and
Molecular Biology 9:13.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from genovi.embedding import Embedding
from genovi.errors import MismatchError

_LEAST_SHARED = 3


@dataclass(frozen=True)
class Alignment:
    """How to turn a configuration onto another.

    Attributes:
        rotation: R, shape (d, d), orthogonal: coordinates become (z - centre) R' scale + target.
        centre: Mean of the shared samples before, shape (d,).
        target: Their mean in the target, shape (d,).
        scale: Factor on lengths; 1 unless it was asked for.
        score: Procrustes correlation t.
        shared: Number of shared samples.
    """

    rotation: np.ndarray
    centre: np.ndarray
    target: np.ndarray
    scale: float
    score: float
    shared: int

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Turned coordinates, shape (n, d), float64."""
        return self.scale * (points - self.centre) @ self.rotation.T + self.target


def align(points: np.ndarray, target: np.ndarray, scaling: bool = False) -> Alignment:
    """Turn ``points`` onto ``target``, rows of which are the same samples, shape (n, d), float64 each.

    Args:
        points: Configuration to be turned.
        target: Where to.
        scaling: Also choose the factor on lengths that fits best.
    """
    centre, goal = points.mean(axis=0), target.mean(axis=0)
    x, y = points - centre, target - goal
    left, singular, right = np.linalg.svd(x.T @ y)
    size = float((x**2).sum())
    both = float(np.sqrt(size * (y**2).sum()))
    score = min(float(singular.sum()) / both, 1.0) if both > 0 else 0.0
    scale = float(singular.sum()) / size if scaling and size > 0 else 1.0
    return Alignment((left @ right).T, centre, goal, scale, score, len(points))


def align_embedding(embedding: Embedding, target: Embedding) -> tuple[Embedding, Alignment]:
    """``embedding`` turned onto ``target`` by the samples that both have. Posterior deviations stay as they were.

    Raises:
        MismatchError: they have too few samples in common, or different numbers of axes.
    """
    if embedding.n_dimensions != target.n_dimensions:
        raise MismatchError(
            f"{embedding.n_dimensions} axes cannot be turned onto {target.n_dimensions}",
            where=f"{embedding.method}, {target.method}",
            fix="align embeddings with as many axes",
        )
    row = {sample: i for i, sample in enumerate(target.samples)}
    pairs = [(i, row[sample]) for i, sample in enumerate(embedding.samples) if sample in row]
    if len(pairs) < _LEAST_SHARED:
        raise MismatchError(
            f"only {len(pairs)} sample{'' if len(pairs) == 1 else 's'} in common",
            where=f"{embedding.method}, {target.method}",
            why=f"one has {', '.join(embedding.samples[:3])}, ...; the other {', '.join(target.samples[:3])}, ...",
            fix=f"align embeddings that share at least {_LEAST_SHARED} samples",
        )
    here, there = (list(index) for index in zip(*pairs, strict=True))
    found = align(embedding.mean[here], target.mean[there])
    return replace(embedding, mean=found.apply(embedding.mean)), found
