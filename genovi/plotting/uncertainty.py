"""Posterior uncertainty as a figure: ellipses, densities, draws.

An embedding file holds each sample's posterior mean m_i and standard deviations s_i, so that what is drawn is the
Gaussian N(m_i, S_i) with S_i = diag(s_i^2), turned where the embedding was turned (R S_i R'):

    ellipse    the points at Mahalanobis distance 1 from m_i: one standard deviation along every direction
    samples    draws from N(m_i, S_i), a few for each sample
    density    of a population, the mean of its samples' Gaussians, p(z) = (1/n) sum_i N(z; m_i, S_i): where a sample
               of this population lies if one does not know which. Regions that hold 50 % and 90 % of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from genovi.plotting.figures import RASTER_ABOVE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("ellipse", "density", "samples")
MASSES = (0.9, 0.5)
DRAWS = 12
_CELLS = 160  # of the grid, along the longer side of the population
_MOST_KERNELS = 600  # an even selection of a larger population has the same density
_REACH = 4.0  # standard deviations around the samples that the grid covers


def covariances(std: np.ndarray, rotation: np.ndarray | None, axes: Sequence[int]) -> np.ndarray:
    """Posterior covariances on two of the axes.

    Args:
        std: Posterior standard deviations, shape (n, d), float64.
        rotation: R of the coordinates z R' that are shown, shape (d, d); None for none.
        axes: The two axes.

    Returns:
        shape (n, 2, 2), float64.
    """
    rows = np.eye(std.shape[1])[list(axes)] if rotation is None else rotation[list(axes)]
    return np.einsum("aj,nj,bj->nab", rows, std**2, rows)


def draw_ellipses(ax: Axes, points: np.ndarray, covariance: np.ndarray, colors: Sequence[str]) -> None:
    """One posterior standard deviation around every sample."""
    from matplotlib.collections import EllipseCollection

    values, vectors = np.linalg.eigh(covariance)
    lengths = 2 * np.sqrt(np.maximum(values, 0))
    ax.add_collection(
        EllipseCollection(
            lengths[:, 1],
            lengths[:, 0],
            np.degrees(np.arctan2(vectors[:, 1, 1], vectors[:, 0, 1])),
            units="xy",
            offsets=points,
            offset_transform=ax.transData,
            facecolors="none",
            edgecolors=list(colors),
            linewidths=0.3,
            alpha=0.5,
            zorder=1,
            rasterized=len(points) > RASTER_ABOVE,
        ),
        autolim=False,
    )


def draw_samples(
    ax: Axes, points: np.ndarray, covariance: np.ndarray, colors: Sequence[str], area: float
) -> np.ndarray:
    """Small dots: draws of every sample, the same for the same embedding; returns them, shape (n, DRAWS, 2)."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
    noise = np.random.default_rng(0).standard_normal((len(points), DRAWS, 2))
    draws = points[:, None, :] + np.einsum("nab,nkb->nka", root, noise)
    ax.scatter(
        draws[..., 0].ravel(),
        draws[..., 1].ravel(),
        s=0.12 * area,
        c=np.repeat(np.array(colors, dtype=object), DRAWS),
        linewidths=0,
        alpha=0.35,
        zorder=1,
        rasterized=True,  # a dozen dots for each sample would make any vector file large
    )
    return draws


def draw_density(ax: Axes, points: np.ndarray, covariance: np.ndarray, color: str) -> None:
    """The regions that hold 50 % and 90 % of a population's density."""
    if not len(points):
        return
    x, y, density = density_grid(points, covariance)
    levels = [mass_level(density, mass) for mass in MASSES]
    if levels[0] < levels[1] < density.max():
        from matplotlib.colors import to_rgba

        shades = [to_rgba(color, alpha) for alpha in (0.16, 0.42)]
        ax.contourf(x, y, density, levels=[*levels, density.max()], colors=shades, zorder=1.2)
        ax.contour(x, y, density, levels=levels, colors=[color], linewidths=(0.4, 0.7), zorder=1.3)


def density_grid(points: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p(z) on a grid around the points.

    Args:
        points: m_i, shape (n, 2), float64.
        covariance: S_i, shape (n, 2, 2), float64.

    Returns:
        Coordinates of the columns, shape (a,), and of the rows, shape (b,), and p, shape (b, a).
    """
    step = -(-len(points) // _MOST_KERNELS)
    points, covariance = points[::step], covariance[::step]
    reach = _REACH * np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    low, high = (points - reach).min(axis=0), (points + reach).max(axis=0)
    cell = max(float((high - low).max()) / _CELLS, 1e-9)
    x, y = (np.arange(low[j] - cell, high[j] + 2 * cell, cell) for j in range(2))
    # a Gaussian narrower than a cell would fall between the grid's points
    inverse = np.linalg.inv(covariance + (0.5 * cell) ** 2 * np.eye(2))
    height = np.sqrt(np.linalg.det(inverse)) / (2 * np.pi * len(points))
    density = np.zeros((len(y), len(x)))
    first = np.stack([np.searchsorted(axis, points[:, j] - reach[:, j]) for j, axis in enumerate((x, y))], axis=1)
    last = np.stack([np.searchsorted(axis, points[:, j] + reach[:, j]) for j, axis in enumerate((x, y))], axis=1) + 1
    for (mx, my), p, h, a, b in zip(points, inverse, height, first, last, strict=True):
        dx, dy = x[a[0] : b[0]] - mx, y[a[1] : b[1]] - my
        square = p[0, 0] * dx[None, :] ** 2 + p[1, 1] * dy[:, None] ** 2 + 2 * p[0, 1] * dy[:, None] * dx[None, :]
        density[a[1] : b[1], a[0] : b[0]] += h * np.exp(-0.5 * square)
    return x, y, density


def mass_level(density: np.ndarray, mass: float) -> float:
    """The density above which that share of the whole lies."""
    ordered = np.sort(density, axis=None)[::-1]
    total = np.cumsum(ordered)
    return float(ordered[min(int(np.searchsorted(total, mass * total[-1])), len(ordered) - 1)])
