"""Log-densities that the model is made of, in nats, summed over the last axis."""

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


def draw_normal(mean: Tensor, log_std: Tensor, generator: torch.Generator) -> Tensor:
    """A reparametrised draw: mean + exp(log_std) * noise."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return torch.addcmul(mean, torch.exp(log_std), noise)
