"""Likelihood p(x|z) of noise-scaled principal components.

    p(x | z) = N(x; f(z), diag exp(2 s)),      x: shape (k,), f: decoder, s: learned log noise of each component

x is given in units of the noise floor (one number for all components), so s starts at 0 and learns what the floor
leaves out: components with structure carry less noise in training scores than those without.
"""

from __future__ import annotations

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
    """

    def __init__(self, latent_dim: int, hidden: int, scale: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self.decoder = perceptron([latent_dim, hidden, hidden, hidden, len(scale)])
        initialise(self.decoder, generator)
        self.log_noise = nn.Parameter(torch.zeros(len(scale)))
        self.register_buffer("scale", scale)
        self.scale: Tensor

    def mean(self, z: Tensor) -> Tensor:
        """f(z), shape (..., k)."""
        return self.decoder(z) * self.scale

    def log_density(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z), shape (...,)."""
        return normal_log_density(x, self.mean(z), self.log_noise)

    def sample(self, z: Tensor, noise: Noise) -> Tensor:
        """A draw of x, noise included, shape (..., k)."""
        return noise.draw(self.mean(z), self.log_noise)
