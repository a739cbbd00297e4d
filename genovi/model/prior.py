"""Priors p(z) with exact log-density and sampling, and the clusters that they define."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

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
    def cluster_probabilities(self, z: Tensor) -> Tensor:
        """p(cluster | z), shape (..., C), clusters by falling prior weight."""

    def prune(self) -> int | None:
        """Drop components that hold nothing, after training; returns how many are left, None where there are none."""
        return None


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
