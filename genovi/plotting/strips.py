"""Embeddings of one axis: a row for each population, samples along it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from genovi.embedding import Embedding
from genovi.plotting.coloring import Coloring
from genovi.plotting.figures import RASTER_ABOVE, Sheet, new_figure, scaled, text_width
from genovi.plotting.layout import axes_at, color_bar
from genovi.plotting.legend import font, shorten
from genovi.plotting.palette import GREY, Style
from genovi.plotting.panel import COLORMAP
from genovi.plotting.uncertainty import DRAWS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 11.0  # height of a population's row, points
_TOP, _BOTTOM, _EDGE = 20.0, 27.0, 8.0
_BAR = 34.0
_JITTER = 0.3  # of a row's height, to either side
_NARROWEST = 60.0


def strip_figure(
    embeddings: Sequence[Embedding],
    coloring: Coloring,
    counts: Counter[str],
    uncertainty: str | None,
    sheet: Sheet,
) -> Figure:
    """Rows by population, panels side by side by embedding.

    Args:
        embeddings: Each with one axis.
        coloring: Population, and number if any, of each sample; the order of its palette is that of the rows.
        counts: Samples of each population.
        uncertainty: "ellipse" draws one posterior standard deviation to either side of each sample, "samples" draws
            from the posterior, "density" the mean of the Gaussians of each population; None nothing.
        sheet: The paper.

    Raises:
        ConfigError: the sheet is too small.
    """
    rows = [p for members in coloring.palette.groups.values() for p in members if counts.get(p, 0)]
    if any((one == "").any() for one in coloring.populations):
        rows.append("")
    names = [f"{shorten(p)} ({counts[p]:,})" if p else "no label" for p in rows]
    left = max(text_width(name, font()) for name in names) + 12.0
    bar = _BAR if coloring.scale is not None else 0.0
    height = scaled(_ROW) * len(rows) if sheet.height is None else sheet.height - _TOP - _BOTTOM - bar
    width = (sheet.width - left - _EDGE * len(embeddings)) / len(embeddings)
    if width < _NARROWEST or height < 0.5 * scaled(_ROW) * len(rows):
        raise sheet.too_small(f"{len(rows)} rows in {len(embeddings)} panels need more room")
    figure = new_figure(sheet.width, _TOP + height + _BOTTOM + bar)
    for k, (embedding, populations) in enumerate(zip(embeddings, coloring.populations, strict=True)):
        ax = axes_at(figure, (left + k * (width + _EDGE), _BOTTOM + bar, width, height))
        ax.spines["left"].set_visible(False)
        ax.set_xlabel(f"{embedding.axis}1", labelpad=2)
        if len(embeddings) > 1:
            ax.set_title(embedding.method, loc="left", pad=3, parse_math=False)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_yticks(range(len(rows)), names if k == 0 else [""] * len(rows), size=font(), parse_math=False)
        ax.tick_params(axis="y", length=0)
        for tick, population in zip(ax.get_yticklabels(), rows, strict=True):
            if coloring.scale is None:
                tick.set_color(coloring.palette.styles[population].text if population else GREY.text)
        jitter = np.random.default_rng(0).uniform(-_JITTER, _JITTER, len(populations))
        for row, population in enumerate(rows):
            of = populations == population
            style = coloring.palette.styles[population] if population else GREY
            part = replace(
                embedding,
                samples=tuple(np.array(embedding.samples, dtype=object)[of]),
                mean=embedding.mean[of],
                std=None if embedding.std is None else embedding.std[of],
                cluster=None, cluster_prob=None, missing=None, misfit=None,
            )  # fmt: skip
            numbers = None if coloring.numbers is None else coloring.numbers[k][of]
            _draw_row(ax, part, row, jitter[of], style, uncertainty)
            _draw_points(ax, part, row + jitter[of], style, coloring, numbers)
    if coloring.scale is not None:
        color_bar(figure, coloring.scale, (left, 14.0, min(160.0, width), 7.0), vertical=False)
    return figure


def _draw_row(ax: Axes, part: Embedding, row: int, jitter: np.ndarray, style: Style, uncertainty: str | None) -> None:
    """What is known of the posteriors of one population."""
    if uncertainty is None or part.std is None or not len(part.samples):
        return
    z, spread, y = part.mean[:, 0], part.std[:, 0], row + jitter
    raster = len(z) > RASTER_ABOVE
    if uncertainty == "ellipse":
        ax.hlines(y, z - spread, z + spread, colors=style.color, linewidths=0.3, alpha=0.5, rasterized=raster)
    elif uncertainty == "samples":
        noise = np.random.default_rng(0).standard_normal((len(z), DRAWS))
        draws = z[:, None] + spread[:, None] * noise
        ax.scatter(draws.ravel(), np.repeat(y, DRAWS), s=0.8, c=style.text, linewidths=0, alpha=0.35, rasterized=True)
    else:
        grid = np.linspace((z - 4 * spread).min(), (z + 4 * spread).max(), 400)
        least = max(float(grid[1] - grid[0]), 1e-12)
        width = np.hypot(spread, least)
        density = np.zeros(len(grid))
        for centre, scale in zip(z, width, strict=True):
            density += np.exp(-0.5 * ((grid - centre) / scale) ** 2) / scale
        ax.fill_between(
            grid, row + 0.45 - 0.9 * density / density.max(), row + 0.45, color=style.text, alpha=0.25, lw=0
        )


def _draw_points(
    ax: Axes, part: Embedding, y: np.ndarray, style: Style, coloring: Coloring, numbers: np.ndarray | None
) -> None:
    z = part.mean[:, 0]
    raster = len(z) > RASTER_ABOVE
    if numbers is None or coloring.scale is None:
        ax.scatter(
            z,
            y,
            s=7.0 * style.area,
            c=style.color,
            marker=style.marker,
            edgecolors=style.edge,
            linewidths=style.line * 7.0**0.5,
            zorder=2,
            rasterized=raster,
        )
        return
    known = np.isfinite(numbers)
    ax.scatter(z[~known], y[~known], s=3.0, c=GREY.color, linewidths=0, zorder=1.8, rasterized=raster)
    ax.scatter(
        z[known], y[known], s=7.0, c=numbers[known], cmap=COLORMAP, vmin=coloring.scale.low, vmax=coloring.scale.high,
        linewidths=0, zorder=2, rasterized=raster,
    )  # fmt: skip
