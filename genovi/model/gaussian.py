"""The Gaussian posterior of a plain variational autoencoder, q(z | x) = N(mu(x), diag sigma^2(x))."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genovi.model.config import ModelConfig
from genovi.model.densities import Noise, normal_log_density
from genovi.model.networks import LOG_STD_RANGE, Encoder, initialise
from genovi.model.posterior import START_LOG_STD, Path, Posterior, repeat


class GaussianPosterior(Posterior):
    """q(z | x) = N(mu(x), diag sigma^2(x)).

    Args:
        data_dim: k.
        config: Uses ``latent_dim`` and ``hidden``.
        generator: Draws the initial weights.
    """

    def __init__(self, data_dim: int, config: ModelConfig, generator: torch.Generator) -> None:
        super().__init__()
        d = config.latent_dim
        self.encoder = Encoder(data_dim, config.hidden, (d, d), (None, START_LOG_STD))
        initialise(self, generator)
        self.encoder.start()

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.encoder(x)
        return mean, log_std.clamp(*LOG_STD_RANGE)

    def draw(self, x: Tensor, noise: Noise, draws: int | None = None) -> Path:
        mean, log_std = self.head(x)
        z, log_density = noise.draw_with_density(repeat(mean, draws), log_std)
        return Path(z, torch.zeros_like(log_density), -log_density, (z,))

    def forward(self, x: Tensor, values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        log_density = normal_log_density(values[0], *self.head(x))
        return torch.zeros_like(log_density), -log_density

    def sleep_loss(self, x: Tensor, z: Tensor, noise: Noise) -> Tensor:
        return -normal_log_density(z, *self.head(x))

    def log_marginal(self, x: Tensor, z: Tensor, noise: Noise, paths: int) -> Tensor:
        return -self(x, (z,))[1]
