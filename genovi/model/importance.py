"""Importance sampling: weighted draws from p(z|x), and a second round that makes their weights nearly equal.

The first draws are paths of q(y_0..y_T | x); their weights also carry the noise of y_1 .. y_T, so that few of them
count. They still say where p(z|x) lies. The second draws come from one Gaussian there,

    z_k ~ g = N(m, C),      v_k = p(x|z_k) p(z_k) / g(z_k),      k = 1..K,

with m the weighted mean of the first and C their covariance, widened. z_k are scrambled Sobol points, which fill g
more evenly than random ones. This is adaptive importance sampling (Oh and Berger 1992, Journal of Statistical
Computation and Simulation 41:143); points: Owen (1998), Journal of Complexity 14:466.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genovi.model.densities import LOG_2PI, log_sum_exp

_WIDENING = 1.5  # of the covariance: a proposal should be wider than what it proposes for
_EVENNESS = 0.25  # even points are worth more than random ones of the same effective size
_LEAST = 2.0  # effective draws under which there is no spread to speak of
_TRUST = 8.0  # effective draws that the spread of q counts for in the covariance
POOR = 20.0  # effective draws under which another round is worth its time
_LADDER = (1.0, 2.0, 4.0, 8.0)  # standard deviations of ``widen``, in those of the guess
LADDER_RUNGS = len(_LADDER)


@dataclass(frozen=True)
class ImportanceSample:
    """K draws for each sample from q, or from the Gaussian of the second round, with their log-weights.

    Attributes:
        z: shape (K, n, d).
        log_weight: w, or log v of the second round, shape (K, n).
    """

    z: Tensor
    log_weight: Tensor

    @property
    def weights(self) -> Tensor:
        """Self-normalised weights, shape (K, n), sum 1 over K."""
        return torch.softmax(self.log_weight, dim=0)

    @property
    def elbo(self) -> Tensor:
        """Mean log-weight: a lower bound of log p(x), shape (n,)."""
        return self.log_weight.mean(dim=0)

    @property
    def iwae(self) -> Tensor:
        """Importance-weighted bound, shape (n,)."""
        return log_sum_exp(self.log_weight, dim=0) - math.log(len(self.log_weight))

    @property
    def effective_size(self) -> Tensor:
        """Effective sample size 1 / sum of squared weights, in [1, K], shape (n,)."""
        return 1 / self.weights.square().sum(dim=0)

    def take(self, rows: Tensor) -> ImportanceSample:
        """Those of the samples at ``rows``, a mask of shape (n,)."""
        return ImportanceSample(self.z[:, rows], self.log_weight[:, rows])

    def put(self, rows: Tensor, other: ImportanceSample) -> ImportanceSample:
        """With the samples at ``rows`` replaced by those of ``other``, as many draws each."""
        z, log_weight = self.z.clone(), self.log_weight.clone()
        z[:, rows], log_weight[:, rows] = other.z, other.log_weight
        return ImportanceSample(z, log_weight)

    @staticmethod
    def merge(first: Tensor, one: ImportanceSample, other: ImportanceSample) -> ImportanceSample:
        """``one`` where ``first``, a mask of shape (n,), is True, elsewhere ``other``, as many draws each."""
        draws, _, d = one.z.shape
        empty = ImportanceSample(one.z.new_empty(draws, len(first), d), one.log_weight.new_empty(draws, len(first)))
        return empty.put(first, one).put(~first, other)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Weighted mean, shape (n, d), and covariance, shape (n, d, d)."""
        return _moments(self.z, self.weights)


def _moments(z: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    mean = torch.einsum("kn,kni->ni", weights, z)
    centred = z - mean
    return mean, torch.einsum("kn,kni,knj->nij", weights, centred, centred)


def refine(
    first: ImportanceSample, log_joint: Callable[[Tensor], Tensor], seed: int, trust: float = _TRUST
) -> ImportanceSample:
    """As many draws again from a Gaussian fitted to the first ones; for each sample the better of the two sets.

    Args:
        first: K draws for each of n samples.
        log_joint: Gives log p(x | z) + log p(z), shape (K, n), of z, shape (K, n, d).
        seed: Of the points, which are the same for all samples.
        trust: Effective draws that the unweighted spread of the first draws counts for.

    Returns:
        K draws for each sample. Where the Gaussian does not suit (a far lower effective size), the first.
    """
    draws, _, d = first.z.shape
    fitted = _Gaussian.fit(first, trust, _WIDENING)
    points = _normal_points(draws, d, seed).to(first.z)
    z = fitted.place(points[:, None])
    second = ImportanceSample(z, log_joint(z) - fitted.log_density(z, (1.0,))[0])
    enough = (_EVENNESS * first.effective_size).clamp(min=_LEAST)
    better = fitted.usable & (second.effective_size > enough)
    return ImportanceSample(
        torch.where(better[:, None], second.z, first.z), torch.where(better, second.log_weight, first.log_weight)
    )


def widen(
    guess: ImportanceSample,
    log_joint: Callable[[Tensor], Tensor],
    prior: tuple[Tensor, Callable[[Tensor], Tensor]],
    seed: int,
    each: int,
) -> ImportanceSample:
    """Draws from ever wider Gaussians about a guess, and from the prior, weighted as those of their mixture.

    For a posterior that lies about where the guess does but may be many times as wide.

    Args:
        guess: K draws for each of n samples.
        log_joint: As in ``refine``.
        prior: Draws from p(z), shape (K_p, d), used for all samples, and log p.
        seed: Of the points.
        each: Draws from each of the Gaussians.
    """
    _, n, d = guess.z.shape
    fitted = _Gaussian.fit(guess, _TRUST, 1.0)
    points = _normal_points(each * len(_LADDER), d, seed + 1).to(guess.z)  # not those of the rounds that follow
    scales = points.new_tensor(_LADDER).repeat_interleave(each)
    z = torch.cat([fitted.place((points * scales[:, None])[:, None]), prior[0][:, None].expand(-1, n, -1)])
    log_parts = torch.stack([*fitted.log_density(z, _LADDER), prior[1](z)])
    shares = log_parts.new_tensor([each] * len(_LADDER) + [len(prior[0])])
    log_share = (shares / shares.sum()).log()
    return ImportanceSample(z, log_joint(z) - log_sum_exp(log_parts + log_share[:, None, None], dim=0))


@dataclass(frozen=True)
class _Gaussian:
    """N(mean, factor factor') for each of n samples; ``usable`` where the draws had a spread at all."""

    mean: Tensor
    factor: Tensor
    usable: Tensor

    @staticmethod
    def fit(sample: ImportanceSample, trust: float, widening: float) -> _Gaussian:
        draws, _, d = sample.z.shape
        mean, covariance = sample.moments()
        spread = _moments(sample.z, torch.full_like(sample.log_weight, 1 / draws))[1]
        size = sample.effective_size[:, None, None]
        widened = widening * (size * covariance + trust * spread) / (size + trust)
        # on the CPU: tiny matrices, and not every accelerator has the decomposition
        factor, failed = torch.linalg.cholesky_ex(widened.cpu().double())
        usable = (failed == 0) & torch.isfinite(factor).all(-1).all(-1)
        factor = torch.where(usable[:, None, None], factor, torch.eye(d, dtype=factor.dtype)).to(mean)
        return _Gaussian(mean, factor, usable.to(mean.device))

    def place(self, points: Tensor) -> Tensor:
        """Standard normal points, shape (K, 1, d), as draws, shape (K, n, d)."""
        return self.mean + torch.einsum("nij,kmj->kni", self.factor, points)

    def log_density(self, z: Tensor, scales: Sequence[float]) -> list[Tensor]:
        """Log-density of z, shape (K, n, d), where the standard deviations are ``scales`` times these."""
        d = z.shape[-1]
        centred = (z - self.mean).permute(1, 2, 0)
        square = torch.linalg.solve_triangular(self.factor, centred, upper=False).square().sum(1).T
        log_volume = self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + 0.5 * d * LOG_2PI
        return [-0.5 * square / scale**2 - log_volume - d * math.log(scale) for scale in scales]


def _normal_points(n: int, d: int, seed: int) -> Tensor:
    """n points that fill N(0, I) evenly, shape (n, d), float64."""
    uniform = torch.quasirandom.SobolEngine(d, scramble=True, seed=seed).draw(n, dtype=torch.float64)
    return math.sqrt(2) * torch.erfinv((2 * uniform - 1).clamp(-1 + 1e-12, 1 - 1e-12))
