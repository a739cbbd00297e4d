"""Log-densities and draws that the model is made of. Densities in nats, summed over the last axis."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


def normal_log_density(value: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """log N(value; mean, diag exp(2 log_std)), summed over the last axis.

    Args:
        value: shape (..., d).
        mean: broadcastable to ``value``.
        log_std: Logarithm of the standard deviation (not of the variance), broadcastable to ``value``.

    Returns:
        shape (...,).
    """
    scaled = (value - mean) * torch.exp(-log_std)
    return (-0.5 * scaled.square() - log_std - 0.5 * LOG_2PI).sum(-1)


class Noise:
    """Standard normal noise from one generator.

    Args:
        generator: The stream to draw from, on the device of the tensors.
        shared: Give all samples (second axis from the end) the same noise. What a sample gets then does not depend
            on which other samples are there.
    """

    def __init__(self, generator: torch.Generator, shared: bool = False) -> None:
        self.generator = generator
        self.shared = shared

    def like(self, tensor: Tensor) -> Tensor:
        """Noise of the shape of ``tensor``, (..., samples, d)."""
        shape = list(tensor.shape)
        if self.shared:
            shape[-2] = 1
        noise = torch.randn(shape, generator=self.generator, device=tensor.device, dtype=tensor.dtype)
        return noise.expand(tensor.shape)

    def copies(self, frequency: Tensor) -> Tensor:
        """Draws from Binomial(2, frequency), 0, 1 or 2, in the shape and type of ``frequency``."""
        shape = list(frequency.shape)
        if self.shared:
            shape[-2] = 1
        uniform = torch.rand(shape, generator=self.generator, device=frequency.device, dtype=frequency.dtype)
        two, some = frequency.square(), frequency * (2 - frequency)
        return (uniform < two).to(frequency.dtype) + (uniform < some).to(frequency.dtype)

    def draw(self, mean: Tensor, log_std: Tensor) -> Tensor:
        """A reparametrised draw: mean + exp(log_std) * noise, in the shape of ``mean``."""
        return torch.addcmul(mean, torch.exp(log_std), self.like(mean))

    def draw_with_density(self, mean: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor]:
        """A reparametrised draw and its own log-density.

        With value = mean + std * noise the density depends on noise and std only: fewer operations than
        ``normal_log_density`` of the value, and exact.

        Returns:
            The value, shape as ``mean``, and its log-density, shape without the last axis.
        """
        noise = self.like(mean)
        constant = -0.5 * (noise.square() + LOG_2PI).sum(-1)
        return torch.addcmul(mean, torch.exp(log_std), noise), constant - log_std.sum(-1)
