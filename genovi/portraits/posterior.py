"""The posterior of one sample: what genovi draws from, beside the exact posterior.

    exact      p(z | x), proportional to p(z) p(x | z), on a grid: first over the whole plane, then where its mass is;
               regions that hold 50 %, 90 %, 99 %
    q(z | x)   draws from the model's own posterior, one path of its chain each
    reported   weighted draws of genovi embed: mean m and standard deviations s, as in the embedding file

With a diffusion posterior, some paths y_T, ..., y_0 = z are drawn in order of their steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from genovi.embedding import Embedding
from genovi.encoding import Components
from genovi.errors import ConfigError, MismatchError
from genovi.genotypes.querying import read_query
from genovi.genotypes.suitability import Target, fit_to_model
from genovi.model.densities import Noise
from genovi.model.mixtures import SCALE
from genovi.model.rows import Data
from genovi.placing import check_observed, embedding_seed, known_positions, missing_shares, place_new
from genovi.plotting.figures import Sheet, new_figure, scaled, style, write_figure
from genovi.plotting.layout import axes_at
from genovi.plotting.uncertainty import mass_level
from genovi.portraits.latent import grid_around, load_plane, prior_points
from genovi.structure.projection import project
from genovi.trained import TrainedModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from genovi.genotypes.matrix import GenotypeMatrix

MASSES = (0.99, 0.9, 0.5)
_WIDE = 6.0  # units of length of the latent space that a first grid covers around draws from the prior
_ALL = 0.9999  # of the posterior is where the second grid lies
_REACH = 3.0  # reported standard deviations that it covers at least
_PATHS = 12
_SHOWN = 400  # draws of q
_LEFT, _BOTTOM, _TOP, _EDGE, _TITLE, _BELOW = 34.0, 27.0, 6.0, 6.0, 13.0, 31.0
_EXACT, _OWN, _REPORTED = "#1b30af", "#c2570a", "#000000"


@dataclass(frozen=True)
class SamplePosterior:
    """One sample's posterior in all ways.

    Attributes:
        sample: Its identifier.
        x: Coordinates of the grid's columns, shape (a,).
        y: Coordinates of the grid's rows, shape (b,).
        density: Exact posterior on the grid, sum 1, shape (b, a), float64.
        own: Draws from q, shape (K, 2).
        paths: Some of them step by step, y_T first, shape (T + 1, paths, 2); None without a chain.
        mean: Reported mean, shape (2,).
        std: Reported standard deviations, shape (2,).
    """

    sample: str
    x: np.ndarray
    y: np.ndarray
    density: np.ndarray
    own: np.ndarray
    paths: np.ndarray | None
    mean: np.ndarray
    std: np.ndarray

    def exact_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviations of the exact posterior, shape (2,) each."""
        margins = (self.density.sum(axis=0), self.density.sum(axis=1))
        mean = np.array([margins[0] @ self.x, margins[1] @ self.y])
        square = np.array([margins[0] @ (self.x - mean[0]) ** 2, margins[1] @ (self.y - mean[1]) ** 2])
        return mean, np.sqrt(square)


@dataclass(frozen=True)
class PosteriorSummary:
    """A figure that was written, and the posterior in it."""

    path: Path
    posterior: SamplePosterior

    def lines(self) -> list[str]:
        """Lines for people."""
        exact, spread = self.posterior.exact_moments()
        own = self.posterior.own
        rows = [
            ("reported", self.posterior.mean, self.posterior.std),
            ("exact", exact, spread),
            ("q(z|x) alone", own.mean(axis=0), own.std(axis=0)),
        ]
        return [
            f"{self.path}: posterior of {self.posterior.sample}",
            *(f"{name:<14}{m[0]:8.3f} ± {s[0]:.3f} {m[1]:8.3f} ± {s[1]:.3f}" for name, m, s in rows),
        ]


def plot_posterior(
    run: Path,
    inputs: Sequence[Path],
    sample: str,
    out: Path,
    *,
    sheet: Sheet | None = None,
    force: bool = False,
    command: str | None = None,
) -> PosteriorSummary:
    """Draw the posterior of one sample.

    Args:
        run: Folder of the model.
        inputs: Genotypes that hold the sample.
        sample: Its identifier.
        out: The figure; its suffix chooses the format.
        sheet: Size and style of the paper.
        force: Overwrite ``out``.
        command: Recorded in the figure's metadata.

    Raises:
        ConfigError: unknown suffix, ``out`` exists, or a latent space that is no plane.
        DataError: no such model or genotypes, or damaged ones.
        MismatchError: the sample is not there, or has none of the model's variants.
        ResourceError: ``out`` cannot be written.
    """
    sheet = sheet or Sheet()
    trained = load_plane(run, out, force)
    if not trained.model.config.has_density:
        raise ConfigError(
            f"--posterior {trained.model.config.posterior} has no density",
            where=run,
            why="genovi reports a point and no posterior",
            fix="train with another --posterior",
        )
    known = known_positions(Path(run))
    posterior = sample_posterior(trained, _genotypes(trained, run, inputs, sample), known)
    others = np.empty((0, 2)) if known is None or known.n_dimensions != 2 else known.mean
    with style(sheet):
        figure = _figure(posterior, others, sheet)
    write_figure(figure, Path(out), command, sheet)
    return PosteriorSummary(Path(out), posterior)


def _genotypes(trained: TrainedModel, run: Path, inputs: Sequence[Path], sample: str) -> GenotypeMatrix:
    """One sample's genotypes at the model's variants; the whole input says whether it suits the model."""
    query = read_query(inputs, trained.standardiser.variants)
    names = query.matrix.samples
    if sample not in names:
        raise MismatchError(
            f"no sample {sample!r}",
            where=query.matrix.source,
            why=f"it has {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}",
            fix="name one of its samples with --sample",
        )
    target = Target(trained.standardiser.variants, trained.standardiser.frequency, trained.build, str(run))
    aligned, _ = fit_to_model(target, query, None)
    one = aligned.take_samples(np.array([names.index(sample)]))
    check_observed(missing_shares(one), one)
    return one


def sample_posterior(trained: TrainedModel, matrix: GenotypeMatrix, known: Embedding | None = None) -> SamplePosterior:
    """The posterior of one sample.

    Args:
        trained: The model.
        matrix: Genotypes of that sample alone, aligned to the model's variants.
        known: Embedding of the training samples, by which a training sample is recognised; None where there is none.
    """
    seed = embedding_seed(trained.seed)
    embedding, again = place_new(trained, matrix, seed, torch.device("cpu"), known)
    assert embedding.std is not None
    mean, std = embedding.mean[0], embedding.std[0]
    projection = project(trained.axes, trained.standardiser, matrix, training=bool(again[0]))
    ((_, x, excess),) = Components.of(projection, trained.noise_scale, trained.genotypes_of(matrix)).parts()
    model = trained.model
    with torch.no_grad():
        own, paths = _chain(trained, x, seed)
    whitener = None if excess is None else model.likelihood.whitener(excess)
    wide = np.concatenate([prior_points(trained), mean[None]])
    x_wide, y_wide = grid_around(wide, _WIDE * SCALE)
    coarse = _exact(trained, x, whitener, x_wide, y_wide)
    inside = np.argwhere(coarse >= mass_level(coarse, _ALL))  # rows and columns; it may have several modes
    corners = np.stack([x_wide[inside[:, 1]], y_wide[inside[:, 0]]], axis=1)
    around = np.concatenate([corners, mean + _REACH * std * np.array([[-1.0], [1.0]])])
    columns, rows = grid_around(around, float(x_wide[1] - x_wide[0]))
    density = _exact(trained, x, whitener, columns, rows)
    return SamplePosterior(matrix.samples[0], columns, rows, density, own, paths, mean, std)


def _exact(
    trained: TrainedModel, x: Data, whitener: torch.Tensor | None, columns: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """p(z | x) on a grid, sum 1, shape (rows, columns)."""
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 1, 2)
    with torch.no_grad():
        log_joint = (
            trained.model.log_joint(x, torch.as_tensor(grid, dtype=torch.float32), whitener)[:, 0].double().numpy()
        )
    density = np.exp(log_joint - log_joint.max()).reshape(len(rows), len(columns))
    return density / density.sum()


def _chain(trained: TrainedModel, x: Data, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Draws from q, shape (K, 2), and some of them step by step, y_T first; None where there is no chain."""
    path = trained.model.posterior.draw(trained.model.whiten(x), Noise(torch.Generator().manual_seed(seed)), _SHOWN)
    own = path.z[:, 0].double().numpy()
    if not trained.model.config.has_chain:
        return own, None
    return own, torch.stack(path.values)[:, :_PATHS, 0].double().numpy()


def _figure(posterior: SamplePosterior, others: np.ndarray, sheet: Sheet) -> Figure:
    left = scaled(_LEFT)
    width = (sheet.width - 2 * (left + _EDGE)) / 2
    height = width if sheet.height is None else sheet.height - _TOP - _BOTTOM - _TITLE - scaled(_BELOW)
    if width < 60 or height < 60:
        raise sheet.too_small("two panels need more room")
    below = scaled(_BELOW)
    figure = new_figure(sheet.width, _TOP + _TITLE + height + _BOTTOM + below)
    boxes = [(left + k * (left + width + _EDGE), _BOTTOM + below, width, height) for k in range(2)]
    whole, near = (axes_at(figure, box) for box in boxes)
    everything = np.concatenate([others, posterior.own, posterior.mean[None]])
    if posterior.paths is not None:
        everything = np.concatenate([everything, posterior.paths.reshape(-1, 2)])
    _limits(whole, everything, width / height)
    corners = np.array([[posterior.x[0], posterior.y[0]], [posterior.x[-1], posterior.y[-1]]])
    _limits(near, corners, width / height)
    whole.scatter(others[:, 0], others[:, 1], s=1.5, c="#c8c8c8", linewidths=0, rasterized=True)
    if posterior.paths is not None:
        for k in range(posterior.paths.shape[1]):
            steps = posterior.paths[:, k]
            whole.plot(steps[:, 0], steps[:, 1], color=_OWN, linewidth=0.4, alpha=0.7)
            whole.scatter(steps[:, 0], steps[:, 1], s=np.linspace(1, 5, len(steps)), c=_OWN, linewidths=0, zorder=3)
    _posterior(near, posterior)
    _reported(whole, posterior, ring=True)
    _reported(near, posterior, ring=False)
    title = "on the map" if posterior.paths is None else f"from y_T to z in {len(posterior.paths) - 1} steps"
    whole.set_title(title, loc="left", pad=3, parse_math=False)
    near.set_title(posterior.sample, loc="left", pad=3, parse_math=False)
    for ax in (whole, near):
        ax.set_xlabel("Z1", labelpad=2)
        ax.set_ylabel("Z2", labelpad=2)
    total = _TOP + _TITLE + height + _BOTTOM + below
    lines = (
        ("lines: exact posterior, 50 %, 90 %, 99 %", _EXACT),
        (f"dots: draws from q(z | x){', the chain alone' if posterior.paths is not None else ''}", _OWN),
        ("black: mean and standard deviations that genovi reports", _REPORTED),
    )
    for k, (text, color) in enumerate(lines):
        figure.text(left / sheet.width, scaled(22.0 - 9.0 * k) / total, text, size=scaled(6.0), color=color)
    return figure


def _limits(ax: Axes, points: np.ndarray, ratio: float) -> None:
    """Equal units, all points inside; ``ratio`` is width over height."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, span = (low + high) / 2, 1.06 * (high - low)
    across = max(span[0], span[1] * ratio, 1e-9)
    ax.set_xlim(middle[0] - across / 2, middle[0] + across / 2)
    ax.set_ylim(middle[1] - across / ratio / 2, middle[1] + across / ratio / 2)


def _posterior(ax: Axes, posterior: SamplePosterior) -> None:
    levels = sorted({mass_level(posterior.density, mass) for mass in MASSES})
    levels = [level for level in levels if level < posterior.density.max()]
    ax.scatter(posterior.own[:, 0], posterior.own[:, 1], s=2.0, c=_OWN, linewidths=0, alpha=0.6, rasterized=True)
    if levels:
        widths = np.linspace(0.5, 1.0, len(levels))
        ax.contour(posterior.x, posterior.y, posterior.density, levels=levels, colors=[_EXACT], linewidths=widths)


def _reported(ax: Axes, posterior: SamplePosterior, ring: bool) -> None:
    (x, y), (sx, sy) = posterior.mean, posterior.std
    if ring:
        ax.scatter([x], [y], s=26, facecolors="none", edgecolors=_REPORTED, linewidths=0.8, zorder=4)
        return
    ax.errorbar([x], [y], xerr=[sx], yerr=[sy], color=_REPORTED, linewidth=0.8, capsize=2, zorder=4)
