"""Likelihood p(x|z) of noise-scaled principal components.

    p(x | z) = N(x; f(z), diag exp(2 s)),      x: shape (k,), f: decoder, s: learned log noise of each component

x is given in units of the noise edge (one number for all components), so s starts at 0 and learns what the edge leaves
out: components with structure carry less noise in training scores than those without. How little each can carry at
least is known from random matrix theory; s is held above that, so that a decoder cannot explain the noise of a small
cohort as structure.

Components of a sample that lacks genotypes have more noise, and not the same in all directions:

    p(x | z) = N(x; f(z), diag exp(2 s) + E),      E: covariance that the missing genotypes add, shape (k, k)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from genovi.model.densities import LOG_2PI, Noise, normal_log_density
from genovi.model.networks import initialise, perceptron
from genovi.model.rows import Data, components, with_components


class Pairs(ABC):
    """Fixed points z, shape (G, d), to be compared with any number of samples."""

    @abstractmethod
    def log_density(self, data: Data, excess: Tensor | None) -> Tensor:
        """log p(data_i | z_g), shape (n, G), float64; ``excess`` as in ``Likelihood.whitener``, None for complete x."""


class Likelihood(nn.Module, ABC):
    """p(data | z), and what the model needs to know of components whatever the data are.

    Attributes:
        scale: Standard deviation of each component, shape (k,).
        log_noise: Logarithm of the standard deviation of the noise of each component, shape (k,).
        refined_points: Points an axis with which quadrature starts for one sample, by the number of axes.
        most_dreams: Most draws from the model in a sleep step; None for as many as the batch has samples.
    """

    refined_points: ClassVar[Mapping[int, int]] = {1: 4096, 2: 256}
    most_dreams: ClassVar[int | None] = None
    scale: Tensor
    log_noise: Tensor

    @abstractmethod
    def mean(self, z: Tensor) -> Tensor:
        """Expected components, shape (..., k)."""

    @abstractmethod
    def log_density(self, data: Data, z: Tensor, whitener: Tensor | None = None) -> Tensor:
        """log p(data | z), shape (..., n).

        Args:
            data: n samples.
            z: shape (..., n, d).
            whitener: Of samples with missing genotypes, shape (n, k, k); None for complete ones.
        """

    @abstractmethod
    def sample(self, z: Tensor, noise: Noise) -> Tensor:
        """A draw of the components of new samples, noise included, shape (..., k)."""

    @abstractmethod
    def noisier(self, data: Data, noise: Noise) -> Data:
        """Data near ``data``: x with once more the noise of p(x | z), where the density is one of x alone."""

    @abstractmethod
    def pairs(self, z: Tensor) -> Pairs:
        """z, shape (G, d), for comparison with many samples."""

    @torch.no_grad()
    def hold_noise_floor(self) -> None:
        """Put parameters back on their limits; call after each step. Nothing here: only some have limits."""

    def misfit(self, data: Data, z: Tensor, whitener: Tensor | None = None) -> Tensor:
        """Squared distance of x from its mean f in units of the noise, (x - f)' Noise^-1 (x - f), shape (..., n)."""
        residual = components(data) - self.mean(z)
        if whitener is None:
            return (residual * torch.exp(-self.log_noise)).square().sum(-1)
        return torch.einsum("nij,...nj->...ni", whitener, residual).square().sum(-1)

    @torch.no_grad()
    def whitener(self, excess: Tensor) -> Tensor:
        """Lower-triangular W with W' W = (diag exp(2 s) + E)^-1.

        Args:
            excess: E of each sample, shape (n, k, k).

        Returns:
            shape (n, k, k), float32. E may be a million times the noise in some directions, so the inverse is taken in
            float64, on the CPU because not every accelerator has it.
        """
        noise = excess.cpu().double() + torch.diag_embed(torch.exp(2 * self.log_noise.cpu().double()))
        factor = torch.linalg.cholesky(noise)
        identity = torch.eye(noise.shape[-1], dtype=noise.dtype)
        return torch.linalg.solve_triangular(factor, identity, upper=False).to(self.log_noise)

    @torch.no_grad()
    def blur(self, excess: Tensor) -> Tensor:
        """How much noise E adds to that which is there: no direction gets more than 1 + this times the variance.

        The Frobenius norm of N^-1/2 E N^-1/2, N the noise, shape (n,), for E of shape (n, k, k).
        """
        precision = torch.exp(-self.log_noise).to(excess)
        return (excess * precision[:, None] * precision).square().sum((-1, -2)).sqrt()

    @torch.no_grad()
    def expected(self, data: Data, excess: Tensor) -> Data:
        """``data`` as complete components would be expected to be, S (S + E)^-1 x with S the variance of the data."""
        x = components(data)
        variance = torch.diag_embed(self.scale.cpu().double().square())
        shrunk = variance @ torch.linalg.solve(variance + excess.cpu().double(), x.cpu().double()[..., None])
        return with_components(data, shrunk[..., 0].to(x))


class GaussianLikelihood(Likelihood):
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

    def log_density(self, data: Data, z: Tensor, whitener: Tensor | None = None) -> Tensor:
        x = components(data)
        if whitener is None:
            return normal_log_density(x, self.mean(z), self.log_noise)
        log_scale = whitener.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return log_scale - 0.5 * (self.misfit(x, z, whitener) + x.shape[-1] * LOG_2PI)

    def sample(self, z: Tensor, noise: Noise) -> Tensor:
        return noise.draw(self.mean(z), self.log_noise)

    @torch.no_grad()
    def noisier(self, data: Data, noise: Noise) -> Data:
        return noise.draw(components(data), self.log_noise)

    def pairs(self, z: Tensor) -> Pairs:
        return _GaussianPairs(self, z)


class _GaussianPairs(Pairs):
    def __init__(self, likelihood: GaussianLikelihood, z: Tensor) -> None:
        self.likelihood = likelihood
        self.mean = likelihood.mean(z).double()

    def log_density(self, data: Data, excess: Tensor | None) -> Tensor:
        x = components(data)
        if excess is None:
            inverse = torch.exp(-self.likelihood.log_noise.double())
            scaled, means = x.double() * inverse, self.mean * inverse
            distance = scaled.square().sum(1)[:, None] - 2 * scaled @ means.T + means.square().sum(1)
            log_volume = -inverse.log().sum().expand(len(x))
        else:
            whitener = self.likelihood.whitener(excess).double()
            log_volume = -whitener.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            distance = torch.stack([
                ((row - self.mean) @ w.T).square().sum(1) for row, w in zip(x.double(), whitener, strict=True)
            ])  # fmt: skip
        return -0.5 * (distance + x.shape[1] * LOG_2PI) - log_volume[:, None]
