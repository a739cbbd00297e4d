"""Log-densities and draws that the model is made of. Densities in nats, summed over the last axis."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
_LEAST_EXPONENT = -80.0  # exp of it is 2e-35: nothing beside the largest term, which is 1


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


def exp_of_shares(log_share: Tensor) -> Tensor:
    """exp of logarithms of shares of 1; what is less than 2e-35 becomes that.

    Where exp underflows, libraries for CPUs take some forty times as long, and most terms of a mixture, or points of a
    grid, are there.
    """
    return log_share.clamp_min(_LEAST_EXPONENT).exp()


def log_sum_exp(values: Tensor, dim: int) -> Tensor:
    """``torch.logsumexp`` over one dimension, with ``exp_of_shares`` in place of exp, forwards and backwards."""
    total: Tensor = _LogSumExp.apply(values, dim)
    return total


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, dim: int) -> Tensor:
        largest = values.amax(dim=dim, keepdim=True)
        # the largest may be -inf, which is then the sum
        shares = (values - largest.clamp_min(torch.finfo(values.dtype).min)).clamp_min_(_LEAST_EXPONENT).exp_()
        total = shares.sum(dim=dim).log_() + largest.squeeze(dim)
        context.save_for_backward(values, total)
        context.dim = dim
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        values, total = context.saved_tensors
        dim = context.dim
        return gradient.unsqueeze(dim) * exp_of_shares(values - total.unsqueeze(dim)), None


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
