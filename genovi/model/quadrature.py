"""Exact log p(x) and p(z|x) on a grid, where the latent space has one or two dimensions.

    p(x) = sum_g c p(z_g) p(x|z_g),       p(z_g|x) = c p(z_g) p(x|z_g) / p(x),      c: area of a grid cell

The decoder is evaluated once for all samples. Used as the oracle of bounds and to report the true gap of a run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genovi.errors import ConfigError
from genovi.model.densities import normal_log_density
from genovi.model.vae import LatentModel


@dataclass(frozen=True)
class Quadrature:
    """Exact quantities of each sample.

    Attributes:
        log_evidence: log p(x), shape (n,).
        mean: Posterior mean of z, shape (n, d).
        std: Posterior standard deviation of z, shape (n, d).
    """

    log_evidence: Tensor
    mean: Tensor
    std: Tensor


@torch.no_grad()
def integrate(
    model: LatentModel,
    x: Tensor,
    lower: Tensor,
    upper: Tensor,
    resolution: int = 300,
    excess: Tensor | None = None,
) -> Quadrature:
    """Integrate z over the box from ``lower`` to ``upper``, shape (d,) each, ``resolution`` points an axis.

    ``excess`` is the covariance that missing genotypes add, shape (n, k, k), as in ``LatentModel.posterior_sample``.

    Raises:
        ConfigError: the latent space has more than two dimensions.
    """
    d = model.config.latent_dim
    if d > 2:
        raise ConfigError("quadrature needs a latent space of at most two dimensions", where=f"--latent-dim {d}")
    axes = [torch.linspace(float(lower[j]), float(upper[j]), resolution, dtype=x.dtype) for j in range(d)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, d).to(x.device)
    cell = sum(math.log(float(axis[1] - axis[0])) for axis in axes)
    base = model.prior.log_density(grid) + cell
    means = model.likelihood.mean(grid)
    evidence, mean, square = [], [], []
    for start in range(0, len(x), 16):
        rows = x[start : start + 16]
        if excess is None:
            joint = base + normal_log_density(rows[:, None], means, model.likelihood.log_noise)
        else:
            whitener = model.likelihood.whitener(excess[start : start + 16])
            joint = base + model.likelihood.log_density(rows, grid[:, None].expand(-1, len(rows), -1), whitener).T
        total = torch.logsumexp(joint, dim=1)
        posterior = torch.exp(joint - total[:, None])
        evidence.append(total)
        mean.append(posterior @ grid)
        square.append(posterior @ grid.square())
    average = torch.cat(mean)
    variance = (torch.cat(square) - average.square()).clamp_min(0)
    return Quadrature(torch.cat(evidence), average, variance.sqrt())
