"""Embeddings as figures: every sample a point, every population a shade and marker, every group a hue.

One embedding of two axes is one panel. Of more axes, the first is drawn against each of the next (at most three
panels); of a single axis, populations are rows. Several embeddings stand side by side in the same colours.
Needs neither the model nor the genotypes.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError
from genovi.files import check_writable
from genovi.labels import SampleLabels, match
from genovi.plotting.figures import PAGE_WIDTH, check_suffix, new_figure, style, write_figure
from genovi.plotting.legend import LINE, Entry, Legend, arrange, draw_legend, legend_blocks
from genovi.plotting.palette import Palette, make_palette
from genovi.plotting.panel import Panel, draw_panel, reach_of, with_common_reach

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_log = logging.getLogger("genovi")

_LEFT, _BOTTOM, _TOP, _EDGE = 38.0, 27.0, 6.0, 6.0  # margins of a panel, points
_TITLE = 12.0
_NARROWEST = 240.0  # width that a panel keeps beside its legend
_GAP = 12.0  # between the axes and the legend
_MOST_PANELS = 3  # of one embedding


@dataclass(frozen=True)
class AncestrySummary:
    """What a figure shows.

    Attributes:
        path: The file.
        samples: Number of samples; one that is in several embeddings counts once.
        populations: Number of populations among them.
        unlabelled: Samples without a population.
    """

    path: Path
    samples: int
    populations: int
    unlabelled: int

    def lines(self) -> list[str]:
        """One line for people."""
        grey = f", {self.unlabelled:,} without label in grey" if self.unlabelled else ""
        return [f"{self.path}: {self.samples:,} samples, {self.populations:,} populations{grey}"]


def plot_ancestry(
    embeddings: Sequence[Embedding],
    out: Path,
    *,
    labels: SampleLabels | None = None,
    color: str | None = None,
    group: str | None = None,
    spread: bool = False,
    same_axes: bool = False,
    force: bool = False,
    command: str | None = None,
) -> AncestrySummary:
    """Draw embeddings into a PNG, PDF or SVG file.

    Args:
        embeddings: One or more.
        out: The figure; its suffix chooses the format.
        labels: Labels of the samples; without them samples are coloured by cluster, if the embedding has any.
        color: Label column that gives colour and marker; None takes the population column.
        group: Label column that gives the hue; None takes the super-population column if there is one.
        spread: Draw the posterior standard deviation of every sample as an ellipse.
        same_axes: Give all panels the same limits, as suits embeddings of one model.
        force: Overwrite ``out``.
        command: Recorded in the figure's metadata.

    Raises:
        ConfigError: unknown suffix, ``out`` exists, no such column, or ``spread`` without standard deviations.
        DataError: coordinates that are not finite.
        MismatchError: no sample has a label.
        ResourceError: ``out`` cannot be written.
    """
    check_suffix(out)
    check_writable(Path(out), force)
    with style():
        figure, counts, unlabelled = ancestry_figure(
            embeddings, labels=labels, color=color, group=group, spread=spread, same_axes=same_axes
        )
    write_figure(figure, Path(out), command)
    return AncestrySummary(Path(out), sum(counts.values()) + unlabelled, len(counts), unlabelled)


def ancestry_figure(
    embeddings: Sequence[Embedding],
    *,
    labels: SampleLabels | None = None,
    color: str | None = None,
    group: str | None = None,
    spread: bool = False,
    same_axes: bool = False,
) -> tuple[Figure, Counter[str], int]:
    """The figure of ``plot_ancestry``, not written.

    Returns:
        The figure, the number of samples of each population, and the number of samples without one.
    """
    for embedding in embeddings:
        _check(embedding, spread)
    if labels is None:
        palette, populations = _cluster_labels(embeddings)
    else:
        palette, populations = _sample_labels(embeddings, labels, color, group)
    of_sample: dict[str, str] = {}
    for embedding, one in zip(embeddings, populations, strict=True):
        of_sample.update(zip(embedding.samples, one, strict=True))
    counts = Counter(population for population in of_sample.values() if population)
    unlabelled = len(of_sample) - sum(counts.values())
    if all(embedding.n_dimensions == 1 for embedding in embeddings):
        from genovi.plotting.strips import strip_figure

        return strip_figure(embeddings, populations, palette, counts, spread), counts, unlabelled
    panels = [
        panel
        for embedding, one in zip(embeddings, populations, strict=True)
        for panel in _panels(embedding, one, spread, titled=len(embeddings) > 1)
    ]
    if same_axes:
        panels = with_common_reach(panels)
    return _figure(panels, palette, counts, unlabelled), counts, unlabelled


def _check(embedding: Embedding, spread: bool) -> None:
    bad = np.flatnonzero(~np.isfinite(embedding.mean).all(axis=1))
    if len(bad):
        raise DataError(
            f"coordinates of {embedding.samples[bad[0]]} are not finite",
            where=embedding.method,
            why=f"{len(bad)} samples cannot be placed",
            fix="remove them or make the embedding again",
        )
    if spread and embedding.std is None:
        raise ConfigError(
            "--spread needs posterior standard deviations",
            where=embedding.method,
            why="the embedding has no SD columns",
            fix="leave --spread out, or give an embedding that genovi train or genovi embed wrote",
        )


def _sample_labels(
    embeddings: Sequence[Embedding], labels: SampleLabels, color: str | None, group: str | None
) -> tuple[Palette, list[np.ndarray]]:
    """Styles from all rows of the label file, so that any subset of its samples gets the same colours."""
    column = color if color is not None else labels.default_population_column()
    group_column = group if group is not None else labels.default_group_column()
    groups = _groups(labels, column, group_column)
    populations = [np.array(match(labels, e.samples).column(column), dtype=object) for e in embeddings]
    return make_palette(groups), populations


def _groups(labels: SampleLabels, column: str, group_column: str | None) -> dict[str, str]:
    """Group of each population: the one that most of its samples have."""
    values = labels.column(column)
    if group_column is None or group_column == column:
        return {value: "" for value in values if value}
    pairs: dict[str, Counter[str]] = {}
    for value, name in zip(values, labels.column(group_column), strict=True):
        if value:
            pairs.setdefault(value, Counter())[name] += 1
    mixed = [value for value, names in pairs.items() if len(names) > 1]
    if mixed:
        _log.warning(
            "%d of %d values of %s have samples in several groups of %s (%s); each is drawn in its commonest one",
            len(mixed),
            len(pairs),
            column,
            group_column,
            ", ".join(sorted(mixed)[:5]),
        )
    return {value: names.most_common(1)[0][0] for value, names in pairs.items()}


def _cluster_labels(embeddings: Sequence[Embedding]) -> tuple[Palette, list[np.ndarray]]:
    populations = []
    for embedding in embeddings:
        clusters = embedding.cluster if embedding.cluster is not None else np.zeros(len(embedding.samples), np.int64)
        width = len(str(clusters.max(initial=0)))
        names = [f"cluster {k:0{width}d}" if k else "" for k in clusters]
        populations.append(np.array(names, dtype=object))
    present = {name for one in populations for name in one if name}
    return make_palette(dict.fromkeys(present, "")), populations


def _panels(embedding: Embedding, populations: np.ndarray, spread: bool, titled: bool) -> list[Panel]:
    if embedding.n_dimensions == 1:
        raise ConfigError(
            "embeddings of one axis and of more cannot share a figure",
            where=embedding.method,
            fix="draw them into figures of their own",
        )
    pairs = [(0, j) for j in range(1, embedding.n_dimensions)][:_MOST_PANELS]
    if len(pairs) < embedding.n_dimensions - 1:
        _log.warning(
            "%s has %d axes; the first is drawn against axes 2 to %d only",
            embedding.method,
            embedding.n_dimensions,
            _MOST_PANELS + 1,
        )
    return [
        Panel(
            title=embedding.method if titled else "",
            axes=(f"Z{i + 1}", f"Z{j + 1}"),
            points=embedding.mean[:, [i, j]],
            spread=embedding.std[:, [i, j]] if spread and embedding.std is not None else None,
            populations=populations,
        )
        for i, j in pairs
    ]


def _figure(panels: list[Panel], palette: Palette, counts: Counter[str], unlabelled: int) -> Figure:
    """One panel with the legend at its right where there is room; else the legend goes below."""
    blocks = legend_blocks(palette, counts, unlabelled)
    if len(panels) == 1:
        ratio = _ratio(panels)
        for tallest in (380.0, 300.0, 240.0):  # a wide panel is not tall: let the legend take more columns
            legend = arrange(blocks, tallest)
            width = PAGE_WIDTH - _LEFT - _EDGE - (legend.width + _GAP if blocks else 0.0)
            if width >= _NARROWEST and legend.height <= width * ratio + _BOTTOM:
                return _single(panels[0], palette, legend, width, width * ratio)
    return _grid(panels, palette, blocks)


def _single(panel: Panel, palette: Palette, legend: Legend, width: float, height: float) -> Figure:
    """One panel of ``width`` x ``height`` points with the legend at its right."""
    figure_height = _TOP + _BOTTOM + height
    figure = new_figure(PAGE_WIDTH, figure_height)
    ax = _axes(figure, _LEFT, _BOTTOM, width, height)
    draw_panel(ax, panel, palette, width, height)
    canvas = _canvas(figure)
    draw_legend(canvas, legend, _LEFT + width + _GAP, figure_height - _TOP)
    return figure


def _grid(panels: list[Panel], palette: Palette, blocks: list[list[Entry]]) -> Figure:
    """Panels in rows of two (where there are one or three, all in one row) with the legend below."""
    across = len(panels) if len(panels) in (1, 3) else 2
    rows = -(-len(panels) // across)
    width = (PAGE_WIDTH - across * (_LEFT + _EDGE)) / across
    height = width * _ratio(panels)
    legend = _below(blocks)
    figure_width = max(PAGE_WIDTH, legend.width + _LEFT + _EDGE)
    row_height = _TITLE + height + _BOTTOM
    figure_height = _TOP + rows * row_height + legend.height + _TOP
    figure = new_figure(figure_width, figure_height)
    for k, panel in enumerate(panels):
        left = _LEFT + (k % across) * (width + _LEFT + _EDGE)
        top = figure_height - _TOP - _TITLE - (k // across) * row_height
        ax = _axes(figure, left, top - height, width, height)
        ax.set_title(panel.title, loc="left", pad=3, parse_math=False)
        draw_panel(ax, panel, palette, width, height)
    canvas = _canvas(figure)
    draw_legend(canvas, legend, _LEFT, legend.height + _TOP)
    return figure


def _below(blocks: list[list[Entry]]) -> Legend:
    """A legend as low as the page's width allows."""
    tallest = max((len(block) for block in blocks), default=0)
    legend = Legend((), ())
    most = sum(len(block) + 1 for block in blocks)
    for lines in range(min(tallest, 14), most + 1):  # groups stay whole unless one is very long
        legend = arrange(blocks, lines * LINE)
        if legend.width <= PAGE_WIDTH - _LEFT - _EDGE:
            break
    return legend


def _ratio(panels: list[Panel]) -> float:
    """Height over width of the axes: that of the data, within what looks well on a page."""
    spans = [np.ptp(reach_of(panel), axis=0) for panel in panels]
    ratios = [span[1] / span[0] if span[0] > 0 and span[1] > 0 else 1.0 for span in spans]
    return float(np.clip(np.median(ratios), 0.45, 1.2))


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    w, h = figure.get_size_inches() * 72
    ax = figure.add_axes((left / w, bottom / h, width / w, height / h))
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def _canvas(figure: Figure) -> Axes:
    """Invisible axes over the whole figure whose units are points."""
    w, h = figure.get_size_inches() * 72
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_xlim(0, w)
    ax.set_ylim(0, h)
    ax.axis("off")
    return ax
