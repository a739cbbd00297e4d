"""Likelihood p(x|z) of noise-scaled principal components.

    p(x | z) = N(x; f(z), diag exp(2 s)),      x: shape (k,), f: decoder, s: learned log noise of each component

x is given in units of the noise edge (one number for all components), so s starts at 0 and learns what the edge leaves
out: components with structure carry less noise in training scores than those without. How little each can carry at
least is known from random matrix theory; s is held above that, so that a decoder cannot explain the noise of a small
cohort as structure.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genovi.model.densities import Noise, normal_log_density
from genovi.model.networks import initialise, perceptron


class GaussianLikelihood(nn.Module):
    """Decoder with Gaussian noise.

    Args:
        latent_dim: d.
        hidden: Width of the decoder.
        scale: Standard deviation of each data column, shape (k,): the decoder's output is in these units.
        generator: Draws the initial weights.
        noise_floor: Least noise standard deviation of each column, shape (k,); None for none.
    """

    def __init__(
        self, latent_dim: int, hidden: int, scale: Tensor, generator: torch.Generator, noise_floor: Tensor | None = None
    ) -> None:
        super().__init__()
        self.decoder = perceptron([latent_dim, hidden, hidden, hidden, len(scale)])
        initialise(self.decoder, generator)
        self.log_noise = nn.Parameter(torch.zeros(len(scale)))
        floor = torch.full_like(scale, -math.inf) if noise_floor is None else noise_floor.log()
        self.register_buffer("log_noise_floor", floor, persistent=False)
        self.log_noise_floor: Tensor
        self.register_buffer("scale", scale)
        self.scale: Tensor

    @torch.no_grad()
    def hold_noise_floor(self) -> None:
        """Put the noise back on its floor where a step took it below; call after each step."""
        self.log_noise.clamp_(min=self.log_noise_floor)

    def mean(self, z: Tensor) -> Tensor:
        """f(z), shape (..., k)."""
        return self.decoder(z) * self.scale

    def log_density(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z), shape (...,)."""
        return normal_log_density(x, self.mean(z), self.log_noise)

    def sample(self, z: Tensor, noise: Noise) -> Tensor:
        """A draw of x, noise included, shape (..., k)."""
        return noise.draw(self.mean(z), self.log_noise)
