"""Embeddings of one axis: a row for each population, samples along it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from genovi.embedding import Embedding
from genovi.plotting.figures import PAGE_WIDTH, RASTER_ABOVE, new_figure, text_width
from genovi.plotting.legend import FONT, shorten
from genovi.plotting.palette import NO_LABEL, Palette, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 11.0  # height of a population's row, points
_TOP, _BOTTOM, _EDGE = 20.0, 27.0, 8.0
_JITTER = 0.3  # of a row's height, to either side


def strip_figure(
    embeddings: Sequence[Embedding],
    populations: Sequence[np.ndarray],
    palette: Palette,
    counts: Counter[str],
    spread: bool,
) -> Figure:
    """Rows by population, panels side by side by embedding.

    Args:
        embeddings: Each with one axis.
        populations: Population of each sample, "" for none; one array for each embedding.
        palette: Styles; its order is that of the rows.
        counts: Samples of each population.
        spread: Draw one posterior standard deviation to either side of each sample.
    """
    rows = [p for members in palette.groups.values() for p in members if counts.get(p, 0)]
    if any((one == "").any() for one in populations):
        rows.append("")
    names = [f"{shorten(p)} ({counts[p]:,})" if p else "no label" for p in rows]
    left = max(text_width(name, FONT) for name in names) + 12.0
    height = _ROW * len(rows)
    figure_height = _TOP + height + _BOTTOM
    width = (PAGE_WIDTH - left - _EDGE * len(embeddings)) / len(embeddings)
    figure = new_figure(PAGE_WIDTH, figure_height)
    for k, (embedding, one) in enumerate(zip(embeddings, populations, strict=True)):
        x = left + k * (width + _EDGE)
        ax = figure.add_axes((x / PAGE_WIDTH, _BOTTOM / figure_height, width / PAGE_WIDTH, height / figure_height))
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.set_xlabel("Z1", labelpad=2)
        if len(embeddings) > 1:
            ax.set_title(embedding.method, loc="left", pad=3, parse_math=False)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_yticks(range(len(rows)), names if k == 0 else [""] * len(rows), size=FONT, parse_math=False)
        ax.tick_params(axis="y", length=0)
        for tick, population in zip(ax.get_yticklabels(), rows, strict=True):
            tick.set_color(palette.styles[population].text if population else "#555555")
        _rows(ax, embedding, one, rows, palette, spread)
    return figure


def _rows(
    ax: Axes, embedding: Embedding, populations: np.ndarray, rows: list[str], palette: Palette, spread: bool
) -> None:
    jitter = np.random.default_rng(0).uniform(-_JITTER, _JITTER, len(populations))
    grey = Style(NO_LABEL, NO_LABEL, NO_LABEL, "o", 0.5)
    raster = len(populations) > RASTER_ABOVE
    for row, population in enumerate(rows):
        of = populations == population
        look = palette.styles[population] if population else grey
        z, y = embedding.mean[of, 0], row + jitter[of]
        if spread and embedding.std is not None:
            reach = embedding.std[of, 0]
            ax.hlines(y, z - reach, z + reach, colors=look.color, linewidths=0.3, alpha=0.5, rasterized=raster)
        ax.scatter(
            z,
            y,
            s=7.0 * look.area,
            c=look.color,
            marker=look.marker,
            edgecolors=look.edge,
            linewidths=0.15,
            zorder=2,
            rasterized=raster,
        )
