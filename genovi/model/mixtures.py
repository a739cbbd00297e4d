"""Mixture priors, p(z) = sum_k w_k N(z; m_k, C_k), and the clusters that they define.

    mixture        w_k = 1 / K, C_k = s^2 I, m_k learned
    mixture-free   all learned
    vamp           w_k = 1 / K, m_k and C_k (diagonal) are what the encoder makes of learned pseudo-inputs u_k
                   (VampPrior: Tomczak and Welling, AISTATS 2018)

Clusters are the modes of p: components whose means climb to the same mode belong together. The climb is the fixed-point
iteration of a Gaussian mixture (Carreira-Perpinan, IEEE TPAMI 2000); with one scale it is mean shift.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from genovi.model.densities import LOG_2PI, Noise, log_sum_exp, normal_log_density
from genovi.model.prior import Prior

SCALE = 0.2  # s: the unit of length of the latent space
_CLIMBS = 500
_STILL = 1e-12  # in units of the latent space: a step as short is rounding, and everybody has arrived
_SAME_MODE = 0.1  # in scales of the components there
_LOG_SCALES = (-4.0, 1.0)  # range of the standard deviations of free components, on the axes of their factor
_EMPTY = 0.05  # of an equal share: components with less weight are dropped after training


class MixturePrior(Prior):
    """What all mixtures of Gaussians share."""

    @abstractmethod
    def component_log_density(self, z: Tensor) -> Tensor:
        """log p(k) + log p(z | k), shape (..., K)."""

    @abstractmethod
    def _membership(self) -> Tensor:
        """Which component belongs to which cluster, one-hot, shape (K, C)."""

    def log_density(self, z: Tensor) -> Tensor:
        return log_sum_exp(self.component_log_density(z), dim=-1)

    def cluster_probabilities(self, z: Tensor) -> Tensor:
        return self._clustered(self.component_log_density(z))

    def _clustered(self, scores: Tensor) -> Tensor:
        """p(cluster | z) from ``component_log_density``, or that but for a part that no component changes."""
        responsibilities = torch.softmax(scores, dim=-1)
        return responsibilities @ self._membership().to(responsibilities)


class GaussianMixture(MixturePrior):
    """p(z) = (1/K) sum_k N(m_k, s^2 I): the means m_k are learned, s is fixed.

    Equal weights and one scale fix what the bound leaves open, the scale of the latent space, as a whole and from
    place to place: equal areas hold about equal numbers of samples, so distances mean the same in all parts of a
    picture. With free weights and scales each region is stretched as training happens to leave it.

    Args:
        dimension: d.
        components: K.
        generator: Draws the initial means, N(0, I).
    """

    def __init__(self, dimension: int, components: int, generator: torch.Generator) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.randn(components, dimension, generator=generator))
        self.register_buffer("log_std", torch.tensor(math.log(SCALE)), persistent=False)
        self.log_std: Tensor

    def component_log_density(self, z: Tensor) -> Tensor:
        return self._scores(z) + self._own(z)[..., None]

    def log_density(self, z: Tensor) -> Tensor:
        return log_sum_exp(self._scores(z), dim=-1) + self._own(z)

    def cluster_probabilities(self, z: Tensor) -> Tensor:
        return self._clustered(self._scores(z))

    def _scores(self, z: Tensor) -> Tensor:
        """z . m_k / s^2 - |m_k|^2 / 2 s^2 + constants: ``component_log_density`` but for what depends on z alone.

        One matrix product, where squared distances to all components would take several passes over (..., K, d).
        """
        means = self.means * torch.exp(-self.log_std)
        constant = -len(means[0]) * (self.log_std + 0.5 * LOG_2PI) - math.log(len(means))
        return nn.functional.linear(z * torch.exp(-self.log_std), means, constant - 0.5 * means.square().sum(-1))

    def _own(self, z: Tensor) -> Tensor:
        """-|z|^2 / 2 s^2, shape (...,)."""
        return -0.5 * (z * torch.exp(-self.log_std)).square().sum(-1)

    def sample(self, n: int, noise: Noise) -> Tensor:
        uniform = noise.uniform(n, self.means.device)
        chosen = self.means[(uniform * len(self.means)).long()]
        return noise.draw(chosen, self.log_std)

    @torch.no_grad()
    def _membership(self) -> Tensor:
        means = self.means.cpu().double()  # Apple's MPS has no float64
        variance = math.exp(2 * float(self.log_std))
        points = means
        for _ in range(_CLIMBS):
            # mean shift: the fixed-point iteration that climbs a Gaussian mixture of one scale
            weights = torch.softmax(-torch.cdist(points, means).square() / (2 * variance), dim=-1)
            before, points = points, weights @ means
            if (points - before).abs().max() < _STILL:
                break
        return _one_hot(torch.cdist(points, points) < _SAME_MODE * math.sqrt(variance), torch.ones(len(means)))


class FreeMixture(MixturePrior):
    """p(z) = sum_k w_k N(m_k, (P_k P_k')^-1) with weights, means and lower-triangular precision factors P_k learned.

    Args:
        dimension: d.
        components: K.
        generator: Draws the initial means, N(0, I).
    """

    def __init__(self, dimension: int, components: int, generator: torch.Generator) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.randn(components, dimension, generator=generator))
        self.logits = nn.Parameter(torch.zeros(components))
        self.log_scales = nn.Parameter(torch.full((components, dimension), math.log(SCALE)))
        self.lower = nn.Parameter(torch.zeros(components, dimension * (dimension - 1) // 2))
        self.register_buffer("places", torch.tril_indices(dimension, dimension, -1), persistent=False)
        self.places: Tensor

    def _factors(self) -> tuple[Tensor, Tensor]:
        """P_k, shape (K, d, d), and the logarithms of their determinants, shape (K,)."""
        log_diagonal = -self.log_scales.clamp(*_LOG_SCALES)
        factor = torch.diag_embed(torch.exp(log_diagonal))
        # in units of the row's scale, so that the same step means the same at any scale
        below = self.lower * torch.exp(log_diagonal)[:, self.places[0]]
        rows, columns = self.places
        return factor.index_put((torch.arange(len(factor), device=rows.device)[:, None], rows, columns), below), (
            log_diagonal.sum(-1)
        )

    def component_log_density(self, z: Tensor) -> Tensor:
        factor, log_determinant = self._factors()
        scaled = torch.einsum("...ki,kij->...kj", z[..., None, :] - self.means, factor)
        constant = log_determinant - 0.5 * z.shape[-1] * LOG_2PI + torch.log_softmax(self.logits, dim=0)
        return constant - 0.5 * scaled.square().sum(-1)

    def sample(self, n: int, noise: Noise) -> Tensor:
        uniform = noise.uniform(n, self.means.device)
        cumulative = torch.softmax(self.logits, dim=0).cumsum(0)
        which = torch.searchsorted(cumulative, uniform.to(cumulative)).clamp(max=len(cumulative) - 1)
        zero = torch.zeros_like(self.means[which])
        standard = noise.draw(zero, zero)[..., None]
        upper = self._factors()[0][which].transpose(-1, -2)
        return self.means[which] + torch.linalg.solve_triangular(upper, standard, upper=True)[..., 0]

    @torch.no_grad()
    def _membership(self) -> Tensor:
        factor = self._factors()[0].cpu().double()
        weights = torch.softmax(self.logits, dim=0).cpu().double()
        return _climb(weights, self.means.cpu().double(), factor @ factor.transpose(-1, -2))

    @torch.no_grad()
    def prune(self) -> int | None:
        keep = torch.softmax(self.logits, dim=0) * len(self.logits) >= _EMPTY
        for name in ("means", "logits", "log_scales", "lower"):
            setattr(self, name, nn.Parameter(getattr(self, name)[keep].clone()))
        return len(self.means)


class VampPrior(MixturePrior):
    """p(z) = (1/K) sum_k N(m(u_k), diag s^2(u_k)): pseudo-inputs u_k are learned, m and s are the encoder's.

    m and s are the Gaussian that ``Posterior.head`` makes of an input, which is q itself for a Gaussian posterior. As
    the prior is made by the encoder, what the encoder learns from dreams moves the prior, too.

    Args:
        data_dim: k.
        components: K.
        generator: Draws the initial pseudo-inputs, N(0, I), in units of the encoder's input.
    """

    def __init__(self, data_dim: int, components: int, generator: torch.Generator) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.randn(components, data_dim, generator=generator))
        # not a part of this module: its parameters are the posterior's
        self.head: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None

    def _components(self) -> tuple[Tensor, Tensor]:
        assert self.head is not None
        return self.head(self.inputs)

    def component_log_density(self, z: Tensor) -> Tensor:
        mean, log_std = self._components()
        return normal_log_density(z[..., None, :], mean, log_std) - math.log(len(mean))

    def sample(self, n: int, noise: Noise) -> Tensor:
        mean, log_std = self._components()
        uniform = noise.uniform(n, mean.device)
        which = (uniform * len(mean)).long()
        return noise.draw(mean[which], log_std[which])

    @torch.no_grad()
    def _membership(self) -> Tensor:
        mean, log_std = (part.cpu().double() for part in self._components())
        weights = torch.full((len(mean),), 1 / len(mean), dtype=mean.dtype)
        return _climb(weights, mean, torch.diag_embed(torch.exp(-2 * log_std)))


def _climb(weights: Tensor, means: Tensor, precision: Tensor) -> Tensor:
    """Membership of components with weights (K,), means (K, d) and precisions (K, d, d) in modes, one-hot."""
    pull = torch.einsum("kij,kj->ki", precision, means)
    constant = weights.log() + 0.5 * torch.logdet(precision)
    points, local = means, precision
    for _ in range(_CLIMBS):
        apart = points[:, None] - means
        log_share = constant - 0.5 * torch.einsum("nki,kij,nkj->nk", apart, precision, apart)
        share = torch.softmax(log_share, dim=-1)
        local = torch.einsum("nk,kij->nij", share, precision)
        before, points = points, torch.linalg.solve(local, share @ pull)
        if (points - before).abs().max() < _STILL:
            break
    apart = points[:, None] - points
    distance = torch.einsum("nmi,nij,nmj->nm", apart, local, apart)
    near = distance < _SAME_MODE**2
    return _one_hot(near | near.T, weights)


def _one_hot(near: Tensor, weights: Tensor) -> Tensor:
    """Clusters by falling weight, from which end points lie near each other, shape (K, K)."""
    first = near.to(torch.int64).argmax(dim=1)  # the first component at the same mode
    modes, place = torch.unique(first, return_inverse=True)
    sizes = torch.zeros(len(modes), dtype=weights.dtype).index_add(0, place, weights)
    modes = modes[torch.argsort(sizes, descending=True, stable=True)]
    return (first[:, None] == modes[None, :]).double()
