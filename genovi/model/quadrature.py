"""Exact log p(x) and p(z|x) on a grid, where the latent space has one or two dimensions.

    p(x) = sum_g c p(z_g) p(x|z_g),       p(z_g|x) = c p(z_g) p(x|z_g) / p(x),      c: area of a grid cell

The decoder is evaluated once for all samples. Used as the oracle of bounds and to report the true gap of a run.

On smooth functions that vanish at the border this sum converges faster than any power of the spacing h: the error for a
Gaussian of standard deviation s is about 2 exp(-2 pi^2 s^2 / h^2), a ten-thousandth at h = 1.4 s and nothing at h = s.
So ``exact`` compares the sum over all points with that over every second one on each axis. Where these two agree within
``TOLERANCE`` the finer one is right to many digits (its error is about the fourth power of theirs); where not, the
sample gets a finer grid about its own posterior. The box grows until no sample has mass at its border.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genovi.errors import ConfigError
from genovi.model.densities import Noise, exp_of_shares, log_sum_exp, normal_log_density
from genovi.model.likelihood import GaussianLikelihood, Pairs
from genovi.model.rows import Data, components
from genovi.model.vae import LatentModel

TOLERANCE = 0.01  # nats
_POINTS = {1: 4096, 2: 256}  # an axis, of the grid for all samples
_MOST_POINTS = {1: 2**20, 2: 1024}  # an axis, of the grid for one sample
_PRIOR_DRAWS = 4096
_MARGIN = 0.25  # of the box beyond the draws, in its width
_BORDER = 1e-7  # largest share of a sample's mass in the outermost points
_GROWTHS = 8
_REFINEMENTS = 6
_NEGLIGIBLE = 35.0  # nats below the peak
_VALUES_AT_ONCE = 2**23


@dataclass(frozen=True)
class Evidence:
    """Exact quantities of each sample, and how far they are to be trusted.

    Attributes:
        log_evidence: log p(x), shape (n,), float64.
        mean: Posterior mean of z, shape (n, d).
        std: Posterior standard deviation of z, shape (n, d).
        resolved: Whether two grids agree and no mass is at the border, shape (n,), bool.
    """

    log_evidence: Tensor
    mean: Tensor
    std: Tensor
    resolved: Tensor


@torch.no_grad()
def exact(model: LatentModel, x: Data, around: Tensor, excess: Tensor | None = None) -> Evidence:
    """Integrate z over as large and as fine a grid as each sample needs.

    Args:
        model: Of one or two latent dimensions.
        x: The samples.
        around: Draws about where the posterior of each sample lies, shape (draws, n, d); a box that is too small for
            them is never tried.
        excess: Covariance that missing genotypes add, shape (n, k, k), as in ``LatentModel.posterior_sample``.

    Raises:
        ConfigError: the latent space has more than two dimensions.
    """
    d = _check_dimension(model)
    noise = Noise(torch.Generator(device=x.device).manual_seed(0))
    anchors = torch.cat([model.prior.sample(_PRIOR_DRAWS, noise), around.reshape(-1, d)]).double()
    lower, upper = anchors.min(0).values, anchors.max(0).values
    reach = _MARGIN * (upper - lower).clamp(min=1.0)
    lower, upper = lower - reach, upper + reach
    for _ in range(_GROWTHS):
        grid = _Grid.of(model, lower, upper, _POINTS[d])
        found = [grid.integrate(rows, part) for rows, part in _portions(x, excess, len(grid.points))]
        whole = _Sums.joined(found)
        if not (whole.border > _BORDER).any():
            break
        lower, upper = lower - 0.25 * (upper - lower), upper + 0.25 * (upper - lower)
    for i in torch.nonzero(~whole.settled).flatten().tolist():
        part = None if excess is None else excess[i : i + 1]
        whole = whole.with_row(i, _refined(model, x[i : i + 1], part, whole.row(i), around[:, i].double()))
    std = (whole.square - whole.mean.square()).clamp_min(0).sqrt()
    return Evidence(whole.total, whole.mean, std, whole.settled & (whole.border <= _BORDER))


def _check_dimension(model: LatentModel) -> int:
    d = model.config.latent_dim
    if d > 2:
        raise ConfigError("quadrature needs a latent space of at most two dimensions", where=f"--latent-dim {d}")
    return d


def _portions(x: Data, excess: Tensor | None, points: int) -> list[tuple[Data, Tensor | None]]:
    size = max(1, _VALUES_AT_ONCE // points)
    cuts = [slice(start, start + size) for start in range(0, len(x), size)]
    return [(x[cut], None if excess is None else excess[cut]) for cut in cuts]


@dataclass(frozen=True)
class _Sums:
    """What a grid says of each sample.

    total: log p(x). coarse: that of every second point. border: share of the mass in the outermost points.
    mean, square: posterior moments. low, high: box that holds all but a negligible part of the posterior.
    """

    total: Tensor
    coarse: Tensor
    border: Tensor
    mean: Tensor
    square: Tensor
    low: Tensor
    high: Tensor

    @property
    def settled(self) -> Tensor:
        return (self.total - self.coarse).abs() < TOLERANCE

    @staticmethod
    def joined(parts: list[_Sums]) -> _Sums:
        names = _Sums.__dataclass_fields__
        return _Sums(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    def row(self, i: int) -> _Sums:
        return _Sums(**{name: getattr(self, name)[i : i + 1] for name in _Sums.__dataclass_fields__})

    def with_row(self, i: int, row: _Sums) -> _Sums:
        changed = {name: getattr(self, name).clone() for name in _Sums.__dataclass_fields__}
        for name, values in changed.items():
            values[i] = getattr(row, name)[0]
        return _Sums(**changed)


@dataclass(frozen=True)
class _Grid:
    """Points, what model and prior say there, and the shape of the grid.

    points: shape (G, d), float64. base: log p(z) + log cell, shape (G,). pairs: the likelihood at them.
    """

    points: Tensor
    base: Tensor
    pairs: Pairs
    step: Tensor
    n: int

    @staticmethod
    def of(model: LatentModel, lower: Tensor, upper: Tensor, n: int) -> _Grid:
        d = len(lower)
        axes = [torch.linspace(0, 1, n, dtype=torch.float64, device=lower.device) * (b - a) + a
                for a, b in zip(lower, upper, strict=True)]  # fmt: skip
        points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, d)
        step = (upper - lower) / (n - 1)
        z = points.to(model.likelihood.log_noise.dtype)
        base = model.prior.log_density(z).double() + step.log().sum()
        return _Grid(points, base, model.likelihood.pairs(z), step, n)

    def joint(self, x: Data, excess: Tensor | None) -> Tensor:
        """log p(z) + log p(x | z) + log cell, shape (n, G)."""
        return self.base + self.pairs.log_density(x, excess)

    def integrate(self, x: Data, excess: Tensor | None) -> _Sums:
        joint = self.joint(x, excess)
        d, n = self.points.shape[1], self.n
        total = log_sum_exp(joint, dim=1)
        share = exp_of_shares(joint - total[:, None])
        square = joint.view(len(x), *[n] * d)
        second = square[(slice(None), *[slice(None, None, 2)] * d)].flatten(1)
        inner = share.view(len(x), *[n] * d)[(slice(None), *[slice(1, -1)] * d)].flatten(1).sum(1)
        near = joint > joint.max(dim=1, keepdim=True).values - _NEGLIGIBLE
        ranges = [(self.points[row].min(0).values, self.points[row].max(0).values) for row in near]
        return _Sums(
            total=total,
            coarse=log_sum_exp(second, dim=1) + d * math.log(2),
            border=1 - inner,
            mean=share @ self.points,
            square=share @ self.points.square(),
            low=torch.stack([low for low, _ in ranges]) - self.step,
            high=torch.stack([high for _, high in ranges]) + self.step,
        )


def _refined(model: LatentModel, x: Data, excess: Tensor | None, sums: _Sums, around: Tensor) -> _Sums:
    """Ever finer grids for one sample, until two of them agree."""
    d = model.config.latent_dim
    n = model.likelihood.refined_points[d] // 2
    for _ in range(_REFINEMENTS):
        low, high = sums.low[0], sums.high[0]
        if bool((sums.total - sums.coarse).abs() > 1):  # so coarse that the peak may lie where only draws tell
            low, high = torch.minimum(low, around.min(0).values), torch.maximum(high, around.max(0).values)
        if bool(sums.border > _BORDER):
            low, high = low - 0.25 * (high - low), high + 0.25 * (high - low)
        n = min(2 * n, _MOST_POINTS[d])
        sums = _Grid.of(model, low, high, n).integrate(x, excess)
        if bool(sums.settled) and bool(sums.border <= _BORDER):
            break
    return sums


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
    x: Data,
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
    d = _check_dimension(model)
    axes = [torch.linspace(float(lower[j]), float(upper[j]), resolution, dtype=components(x).dtype) for j in range(d)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, d).to(x.device)
    cell = sum(math.log(float(axis[1] - axis[0])) for axis in axes)
    base = model.prior.log_density(grid) + cell
    likelihood = model.likelihood
    means = likelihood.mean(grid) if isinstance(likelihood, GaussianLikelihood) else None
    evidence, mean, square = [], [], []
    for start in range(0, len(x), 16):
        rows = x[start : start + 16]
        if excess is None and means is not None:  # the decoder once for all samples
            joint = base + normal_log_density(components(rows)[:, None], means, likelihood.log_noise)
        else:
            whitener = None if excess is None else likelihood.whitener(excess[start : start + 16])
            joint = base + likelihood.log_density(rows, grid[:, None].expand(-1, len(rows), -1), whitener).T
        total = log_sum_exp(joint, dim=1)
        posterior = exp_of_shares(joint - total[:, None])
        evidence.append(total)
        mean.append(posterior @ grid)
        square.append(posterior @ grid.square())
    average = torch.cat(mean)
    variance = (torch.cat(square) - average.square()).clamp_min(0)
    return Quadrature(torch.cat(evidence), average, variance.sqrt())
