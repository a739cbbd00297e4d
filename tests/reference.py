"""Slow and obvious versions of what the library computes: the oracles of its tests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm


def normal_log_density(value: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """log N(value; mean, diag std^2), summed over the last axis."""
    return norm.logpdf(value, loc=mean, scale=std).sum(axis=-1)


@dataclass(frozen=True)
class Mixture:
    """A mixture of K Gaussians in d dimensions.

    Attributes:
        weights: shape (K,).
        means: shape (K, d).
        covariances: shape (K, d, d).
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def component_log_density(self, z: np.ndarray) -> np.ndarray:
        """log weight + log density of each component, shape (n, K), z of shape (n, d)."""
        apart = z[:, None] - self.means
        distance = np.einsum("nki,kij,nkj->nk", apart, np.linalg.inv(self.covariances), apart)
        _, log_determinant = np.linalg.slogdet(2 * math.pi * self.covariances)
        return np.log(self.weights) - 0.5 * (distance + log_determinant)

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """log p(z), shape (n,)."""
        return logsumexp(self.component_log_density(z), axis=1)

    def cdf_along(self, direction: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Distribution function of direction . z, shape as ``values``."""
        means = self.means @ direction
        stds = np.sqrt(np.einsum("i,kij,j->k", direction, self.covariances, direction))
        return norm.cdf(values[:, None], means, stds) @ self.weights

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean, shape (d,), and covariance, shape (d, d)."""
        mean = self.weights @ self.means
        apart = self.means - mean
        within = np.einsum("k,kij->ij", self.weights, self.covariances)
        return mean, within + np.einsum("k,ki,kj->ij", self.weights, apart, apart)

    def climb(self, z: np.ndarray, pace: float = 0.1, rounds: int = 4000) -> np.ndarray:
        """Where z, shape (n, d), ends when it follows the gradient of the density in small steps."""
        precision = np.linalg.inv(self.covariances)
        step = pace / np.linalg.eigvalsh(precision).max()
        for _ in range(rounds):
            joint = self.component_log_density(z)
            share = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
            pull = np.einsum("kij,nkj->nki", precision, self.means - z[:, None])
            z = z + step * np.einsum("nk,nki->ni", share, pull)
        return z

    def box(self, stds: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner, shape (d,) each, that lie ``stds`` deviations beyond every component."""
        reach = stds * np.sqrt(np.einsum("kii->ki", self.covariances))
        return (self.means - reach).min(axis=0), (self.means + reach).max(axis=0)


@dataclass(frozen=True)
class LinearGaussian:
    """x = A z + b + noise with a mixture as prior: everything has a closed form.

    Attributes:
        prior: Mixture of z, d dimensions.
        matrix: A, shape (k, d).
        offset: b, shape (k,).
        noise_std: Standard deviation of each data column, shape (k,).
    """

    prior: Mixture
    matrix: np.ndarray
    offset: np.ndarray
    noise_std: np.ndarray

    def _evidence(self, x: np.ndarray) -> np.ndarray:
        """log weight + log p(x | component), shape (n, K)."""
        noise = np.diag(self.noise_std**2)
        covariances = self.matrix @ self.prior.covariances @ self.matrix.T + noise
        return Mixture(
            self.prior.weights, self.prior.means @ self.matrix.T + self.offset, covariances
        ).component_log_density(x)

    def log_evidence(self, x: np.ndarray) -> np.ndarray:
        """log p(x), shape (n,)."""
        return logsumexp(self._evidence(x), axis=1)

    def posterior(self, x: np.ndarray) -> Mixture:
        """p(z | x) of one row of data, shape (k,)."""
        evidence = self._evidence(x[None])[0]
        precision = np.linalg.inv(self.prior.covariances)
        information = self.matrix.T / self.noise_std**2
        covariances = np.linalg.inv(precision + information @ self.matrix)
        pull = np.einsum("kij,kj->ki", precision, self.prior.means) + information @ (x - self.offset)
        return Mixture(np.exp(evidence - logsumexp(evidence)), np.einsum("kij,kj->ki", covariances, pull), covariances)


def signal(steps: int, end: float) -> np.ndarray:
    """sqrt(a_t) for t = 0..T of the cosine schedule, shape (T + 1,)."""
    return np.cos(np.linspace(0, end * math.pi / 2, steps + 1))


def noising_log_density(path: Sequence[np.ndarray], end: float) -> np.ndarray:
    """sum_t log r(y_t | y_{t-1}) of a path y_0..y_T, each of shape (..., d)."""
    a = signal(len(path) - 1, end) ** 2
    total = np.zeros(path[0].shape[:-1])
    for t in range(1, len(path)):
        kept = a[t] / a[t - 1]
        total += normal_log_density(path[t], math.sqrt(kept) * path[t - 1], math.sqrt(1 - kept))
    return total


def simple_components(dosages: np.ndarray, k: int) -> np.ndarray:
    """The first ``k`` principal components of complete genotypes, in units of the median component.

    Args:
        dosages: shape (n_variants, n_samples), 0, 1 or 2.
        k: Number of components.

    Returns:
        shape (n_samples, k), float64.
    """
    centred = dosages - dosages.mean(axis=1, keepdims=True)
    kept = centred[centred.std(axis=1) > 0]
    scores, singular, _ = np.linalg.svd((kept / kept.std(axis=1, keepdims=True)).T, full_matrices=False)
    noise = np.median(singular) / math.sqrt(len(scores))
    return scores[:, :k] * singular[:k] / noise


def neighbour_accuracy(points: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of samples whose label is the most frequent one among their ``k`` nearest others."""
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    right = 0
    for i, row in enumerate(distance):
        names, counts = np.unique(labels[np.argsort(row)[:k]], return_counts=True)
        right += names[counts.argmax()] == labels[i]
    return right / len(points)


def separation(points: np.ndarray, labels: np.ndarray) -> float:
    """Variance between the groups' means over variance within them, both summed over axes."""
    groups = [points[labels == name] for name in np.unique(labels)]
    between = np.stack([group.mean(axis=0) for group in groups]).var(axis=0).sum()
    within = np.mean([group.var(axis=0).sum() for group in groups])
    return float(between / within)


def king(a: np.ndarray, b: np.ndarray) -> tuple[int, int, int, int, int, float]:
    """KING-robust of two samples, shape (n_variants,) each, -1 where missing.

    Returns:
        Variants that both have; both heterozygous; homozygous for different alleles; the first heterozygous and the
        second homozygous; the reverse; and the between-family kinship of Manichaikul et al. (2010), equation 11, with
        the smaller count of heterozygotes (nan where that is 0).
    """
    both = [(int(x), int(y)) for x, y in zip(a, b, strict=True) if x >= 0 and y >= 0]
    het_het = both.count((1, 1))
    opposite = both.count((0, 2)) + both.count((2, 0))
    first = sum(x == 1 != y for x, y in both)
    second = sum(y == 1 != x for x, y in both)
    least, most = sorted((het_het + first, het_het + second))
    if least == 0:
        return len(both), het_het, opposite, first, second, math.nan
    kinship = (het_het - 2 * opposite) / (2 * least) + 1 / 2 - (least + most) / (4 * least)
    return len(both), het_het, opposite, first, second, kinship


def unrelated(n: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """What is left when, while pairs are left, the partner of the first sample in one pair only goes, else the first
    sample in most pairs."""
    edges = {frozenset(pair) for pair in pairs}
    left = list(range(n))
    while edges:
        degree = {i: sum(i in edge for edge in edges) for i in left}
        single = [i for i in left if degree[i] == 1]
        if single:
            (edge,) = (edge for edge in edges if single[0] in edge)
            (gone,) = edge - {single[0]}
        else:
            gone = max(left, key=lambda i: (degree[i], -i))
        left.remove(gone)
        edges = {edge for edge in edges if gone not in edge}
    return left


def hardy_weinberg(het: int, rare: int, n: int, midp: bool = False) -> float:
    """p-value of the exact test, by fractions, from all outcomes."""
    f = math.factorial
    chance = {}
    for h in range(rare % 2, rare + 1, 2):
        one, other = (rare - h) // 2, n - h - (rare - h) // 2
        ways = Fraction(2**h * f(n), f(h) * f(one) * f(other))
        chance[h] = ways * Fraction(f(rare) * f(2 * n - rare), f(2 * n))
    assert sum(chance.values()) == 1
    at_most = sum(p for p in chance.values() if p <= chance[het])
    ties = sum(p for p in chance.values() if p == chance[het])
    return float(at_most - ties / 2 if midp else at_most)
