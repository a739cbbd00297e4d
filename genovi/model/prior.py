"""Priors p(z) with exact log-density and sampling, and the clusters that they define."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from genovi.errors import ConfigError
from genovi.model.config import ModelConfig
from genovi.model.densities import LOG_2PI, Noise, normal_log_density

SCALE = 0.2  # s: the unit of length of the latent space


class Prior(nn.Module, ABC):
    """A density over the latent space."""

    @abstractmethod
    def log_density(self, z: Tensor) -> Tensor:
        """log p(z), z of shape (..., d), returns shape (...,)."""

    @abstractmethod
    def sample(self, n: int, noise: Noise) -> Tensor:
        """n draws, shape (n, d)."""

    @abstractmethod
    def cluster_probabilities(self, z: Tensor) -> Tensor:
        """p(cluster | z), shape (..., C), clusters by falling prior weight."""


class StandardNormal(Prior):
    """p(z) = N(0, I), one cluster.

    Args:
        dimension: d.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(dimension), persistent=False)
        self.zero: Tensor

    def log_density(self, z: Tensor) -> Tensor:
        return normal_log_density(z, self.zero, self.zero)

    def sample(self, n: int, noise: Noise) -> Tensor:
        zero = self.zero.expand(n, -1)
        return noise.draw(zero, zero)

    def cluster_probabilities(self, z: Tensor) -> Tensor:
        return torch.ones_like(z[..., :1])


class GaussianMixture(Prior):
    """p(z) = (1/K) sum_k N(m_k, s^2 I): the means m_k are learned, s is fixed.

    Equal weights and one scale fix what the bound leaves open, the scale of the latent space, as a whole and from
    place to place: equal areas hold about equal numbers of samples, so distances mean the same in all parts of a
    picture. With free weights and scales each region is stretched as training happens to leave it.

    Clusters are the modes of this density: components whose means climb to the same mode belong together.

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
        """log p(k) + log p(z | k), shape (..., K)."""
        return self._scores(z) + self._own(z)[..., None]

    def log_density(self, z: Tensor) -> Tensor:
        return torch.logsumexp(self._scores(z), dim=-1) + self._own(z)

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
        uniform = torch.rand(n, generator=noise.generator, device=self.means.device)
        chosen = self.means[(uniform * len(self.means)).long()]
        return noise.draw(chosen, self.log_std)

    def cluster_probabilities(self, z: Tensor) -> Tensor:
        responsibilities = torch.softmax(self._scores(z), dim=-1)
        return responsibilities @ self._membership().to(responsibilities)

    @torch.no_grad()
    def _membership(self) -> Tensor:
        """Which component belongs to which cluster, one-hot, shape (K, C)."""
        means = self.means.cpu().double()  # Apple's MPS has no float64
        variance = math.exp(2 * float(self.log_std))
        points = means
        for _ in range(_CLIMBS):
            # mean shift: the fixed-point iteration that climbs a Gaussian mixture of one scale
            weights = torch.softmax(-torch.cdist(points, means).square() / (2 * variance), dim=-1)
            points = weights @ means
        near = torch.cdist(points, points) < _SAME_MODE * math.sqrt(variance)
        first = near.to(torch.int64).argmax(dim=1)  # the first component at the same mode
        modes, sizes = torch.unique(first, return_counts=True)
        modes = modes[torch.argsort(sizes, descending=True, stable=True)]
        return (first[:, None] == modes[None, :]).double()


_CLIMBS = 500
_SAME_MODE = 0.1  # in scales s


def build_prior(config: ModelConfig, generator: torch.Generator) -> Prior:
    """The prior that ``config`` names.

    Raises:
        ConfigError: the number of components was left to the cohort (``ModelConfig.for_cohort``).
    """
    if config.prior == "mixture" and config.components < 1:
        raise ConfigError("the mixture prior needs a number of components", fix="use ModelConfig.for_cohort")
    if config.prior == "normal":
        return StandardNormal(config.latent_dim)
    return GaussianMixture(config.latent_dim, config.components, generator)
