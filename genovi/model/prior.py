"""Priors p(z) with exact log-density and sampling."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from genovi.model.config import ModelConfig
from genovi.model.densities import Noise, normal_log_density


class Prior(nn.Module, ABC):
    """A density over the latent space."""

    @abstractmethod
    def log_density(self, z: Tensor) -> Tensor:
        """log p(z), z of shape (..., d), returns shape (...,)."""

    @abstractmethod
    def sample(self, n: int, noise: Noise) -> Tensor:
        """n draws, shape (n, d)."""

    @abstractmethod
    def component_log_density(self, z: Tensor) -> Tensor:
        """log p(k) + log p(z | k), shape (..., K); K = 1 where the prior has no components."""

    @abstractmethod
    def weights(self) -> Tensor:
        """p(k), shape (K,)."""

    def responsibilities(self, z: Tensor) -> Tensor:
        """p(k | z), shape (..., K)."""
        return torch.softmax(self.component_log_density(z), dim=-1)


class StandardNormal(Prior):
    """p(z) = N(0, I)."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(dimension), persistent=False)
        self.zero: Tensor

    def log_density(self, z: Tensor) -> Tensor:
        return normal_log_density(z, self.zero, self.zero)

    def sample(self, n: int, noise: Noise) -> Tensor:
        zero = self.zero.expand(n, -1)
        return noise.draw(zero, zero)

    def component_log_density(self, z: Tensor) -> Tensor:
        return self.log_density(z)[..., None]

    def weights(self) -> Tensor:
        return torch.ones_like(self.zero[:1])


class GaussianMixture(Prior):
    """p(z) = sum_k w_k N(m_k, diag s_k^2), all learned.

    Args:
        dimension: d.
        components: K.
        generator: Draws the initial means, N(0, I).
    """

    def __init__(self, dimension: int, components: int, generator: torch.Generator) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.randn(components, dimension, generator=generator))
        self.log_stds = nn.Parameter(torch.full((components, dimension), math.log(0.3)))
        self.logits = nn.Parameter(torch.zeros(components))

    def component_log_density(self, z: Tensor) -> Tensor:
        log_weights = torch.log_softmax(self.logits, dim=0)
        return normal_log_density(z[..., None, :], self.means, self.log_stds) + log_weights

    def log_density(self, z: Tensor) -> Tensor:
        return torch.logsumexp(self.component_log_density(z), dim=-1)

    def weights(self) -> Tensor:
        return torch.softmax(self.logits, dim=0)

    def sample(self, n: int, noise: Noise) -> Tensor:
        chosen = torch.multinomial(self.weights(), n, replacement=True, generator=noise.generator)
        return noise.draw(self.means[chosen], self.log_stds[chosen])


def build_prior(config: ModelConfig, generator: torch.Generator) -> Prior:
    """The prior that ``config`` names."""
    if config.prior == "normal":
        return StandardNormal(config.latent_dim)
    return GaussianMixture(config.latent_dim, config.components, generator)
