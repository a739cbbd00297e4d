"""Panels, legend and colour bar on a sheet: everything is measured in points before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from genovi.plotting.coloring import Scale
from genovi.plotting.figures import Sheet, new_figure, scaled, text_width
from genovi.plotting.legend import Entry, Legend, arrange, draw_legend, line
from genovi.plotting.panel import COLORMAP, Look, Panel, draw_panel, reach_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT, _BOTTOM, _TOP, _EDGE = 34.0, 27.0, 6.0, 6.0  # margins of a panel, points
_BESIDE, _TICKS = 20.0, 6.5  # room for a tick, the axis's name and gaps; font size of its numbers
_TITLE = 12.0
_GAP = 10.0  # between the axes and the legend
_NARROWEST = 0.47  # share of the sheet that a panel keeps beside its legend
_LEAST = 60.0  # side of a panel, points
_BAR_WIDTH, _BAR = 46.0, 7.0  # of a colour bar with its numbers, and of the bar alone
_BAR_BELOW = 30.0
_ACROSS = {1: 1, 2: 2, 3: 3, 4: 2}  # panels in a row, by number of panels; of more, as many as make a square


@dataclass(frozen=True)
class Key:
    """What stands beside the panels: blocks of the legend, or a colour bar above them."""

    blocks: tuple[list[Entry], ...] = ()
    scale: Scale | None = None

    @property
    def there(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.blocks) or self.scale is not None


def draw_figure(panels: Sequence[Panel], look: Look, key: Key, sheet: Sheet, corner: bool = False) -> Figure:
    """One panel with the key at its right where there is room; else panels in rows with the key below.

    Args:
        panels: At least one.
        look: How they are drawn.
        key: Legend and colour bar.
        sheet: The paper.
        corner: Three panels, all pairs of three axes: two rows of two, the key in the free corner.

    Raises:
        ConfigError: the sheet is too small.
    """
    if corner:
        figure = _corner(panels, look, key, sheet)
        if figure is not None:
            return figure
    if len(panels) == 1:
        figure = _beside(panels[0], look, key, sheet)
        if figure is not None:
            return figure
    return _rows(panels, look, key, sheet, 2 if corner else _ACROSS.get(len(panels), 0))


def _beside(panel: Panel, look: Look, key: Key, sheet: Sheet) -> Figure | None:
    """One panel with its key at the right; None where the key would take too much of the sheet."""
    ratio = _ratio([panel])
    for tallest in (380.0, 300.0, 240.0):  # a wide panel is not tall: let the legend take more columns
        legend = arrange(list(key.blocks), tallest if sheet.height is None else sheet.height - 2 * _TOP)
        beside = max(legend.width, _BAR_WIDTH if key.scale is not None else 0.0)
        width = sheet.width - _left(panel) - _EDGE - (beside + _GAP if key.there else 0.0)
        height = width * ratio if sheet.height is None else sheet.height - _TOP - _BOTTOM - _above(panel)
        below_bar = min(0.45 * height, 130.0) + 20.0 if key.scale is not None else 0.0
        if width >= _NARROWEST * sheet.width and legend.height + below_bar <= height + _BOTTOM and height >= _LEAST:
            figure_height = _TOP + _above(panel) + _BOTTOM + height
            figure = new_figure(sheet.width, figure_height)
            _place(figure, panel, look, (_left(panel), _BOTTOM, width, height))
            x, top = _left(panel) + width + _GAP, figure_height - _TOP
            if key.scale is not None:
                long = below_bar - 20.0
                color_bar(figure, key.scale, (x, top - 14.0 - long, _BAR, long), vertical=True)
            draw_legend(canvas(figure), legend, x, top - below_bar - (8.0 if below_bar else 0.0))
            return figure
    return None


def _corner(panels: Sequence[Panel], look: Look, key: Key, sheet: Sheet) -> Figure | None:
    """(1,2) above (1,3), (2,3) at its right, and the key where (1,1) would mirror it; None where it does not fit."""
    left, gap = _left(panels[0]), 8.0
    width = (sheet.width - 2 * left - 2 * _EDGE) / 2
    height = width if sheet.height is None else (sheet.height - _TOP - 2 * _BOTTOM - gap) / 2
    legend = next(
        (one for one in (arrange(list(key.blocks), lines * line()) for lines in range(12, 60))
         if one.width <= width + left - _GAP), arrange(list(key.blocks), 1e4),
    )  # fmt: skip
    bar = _BAR_BELOW if key.scale is not None else 0.0
    if height < _LEAST or legend.width > width + left - _GAP or legend.height + bar > height + _BOTTOM:
        return None
    total = _TOP + 2 * (height + _BOTTOM) + gap
    figure = new_figure(sheet.width, total)
    low, high = _BOTTOM, 2 * _BOTTOM + height + gap
    second = 2 * left + _EDGE + width
    for panel, (x, y) in zip(panels, ((left, high), (left, low), (second, low)), strict=True):
        _place(figure, panel, look, (x, y, width, height))
    top = total - _TOP
    if key.scale is not None:
        color_bar(figure, key.scale, (second, top - 20.0, 0.6 * width, _BAR), vertical=False)
    draw_legend(canvas(figure), legend, second - left + _GAP, top - bar)
    return figure


def _rows(panels: Sequence[Panel], look: Look, key: Key, sheet: Sheet, across: int) -> Figure:
    """Panels in rows of ``across`` (0: as many as make a square) with the key below."""
    across = across or int(np.ceil(np.sqrt(len(panels))))
    left = max(_left(panel) for panel in panels)
    while across > 1 and (sheet.width - across * (left + _EDGE)) / across < _LEAST:
        across -= 1
    rows = -(-len(panels) // across)
    width = (sheet.width - across * (left + _EDGE)) / across
    legend = _below(list(key.blocks), sheet.width - left - _EDGE)
    above = max(_above(panel) for panel in panels)
    below = legend.height + (_BAR_BELOW if key.scale is not None else 0.0) + (_TOP if key.there else 0.0)
    fitted = 0.0 if sheet.height is None else (sheet.height - _TOP - below) / rows - above - _BOTTOM
    height = width * _ratio(panels) if sheet.height is None else fitted
    needs = f"{len(panels)} panels" + (" and their legend" if key.blocks else "") + " need more room"
    if width < _LEAST or height < _LEAST or legend.width > sheet.width - left - _EDGE + 1.0:
        raise sheet.too_small(needs)
    row_height = above + height + _BOTTOM
    figure_height = _TOP + rows * row_height + below
    figure = new_figure(sheet.width, figure_height)
    for k, panel in enumerate(panels):
        x = left + (k % across) * (width + left + _EDGE)
        y = figure_height - _TOP - above - height - (k // across) * row_height
        _place(figure, panel, look, (x, y, width, height))
    if key.scale is not None:
        long = min(0.5 * sheet.width, 160.0)
        color_bar(figure, key.scale, (left, below - 18.0, long, _BAR), vertical=False)
    draw_legend(canvas(figure), legend, left, legend.height + _TOP)
    return figure


def _place(figure: Figure, panel: Panel, look: Look, box: tuple[float, float, float, float]) -> None:
    ax = axes_at(figure, box)
    if panel.title:
        ax.set_title(panel.title, loc="left", pad=3, parse_math=False)
    draw_panel(ax, panel, look, box[2], box[3])


def _left(panel: Panel) -> float:
    """Margin at the left of a panel: as wide as the longest number at its vertical axis needs."""
    from matplotlib.ticker import AutoLocator

    low, high = reach_of(panel)[:, 1]
    names = [f"{tick:.10g}" for tick in AutoLocator().tick_values(low, high)]
    return max(scaled(_LEFT), scaled(_BESIDE) + max(text_width(name, scaled(_TICKS)) for name in names))


def _above(panel: Panel) -> float:
    return scaled(_TITLE) if panel.title else 0.0


def _below(blocks: list[list[Entry]], width: float) -> Legend:
    """A legend as low as ``width`` allows."""
    tallest = max((len(block) for block in blocks), default=0)
    legend = Legend((), ())
    most = sum(len(block) + 1 for block in blocks)
    for lines in range(min(tallest, 24), most + 1):  # groups stay whole unless one is very long
        legend = arrange(blocks, lines * line())
        if legend.width <= width:
            break
    return legend


def _ratio(panels: Sequence[Panel]) -> float:
    """Height over width of the axes: that of the data, within what looks well on a page."""
    spans = [np.ptp(reach_of(panel), axis=0) for panel in panels]
    ratios = [span[1] / span[0] if span[0] > 0 and span[1] > 0 else 1.0 for span in spans]
    return float(np.clip(np.median(ratios), 0.45, 1.2))


def color_bar(
    figure: Figure, scale: Scale, box: tuple[float, float, float, float], vertical: bool, colors: str = COLORMAP
) -> None:
    """A colour bar whose left, bottom, width and height are given in points.

    Its name stands above it, or along it where it is too long; what still has no room is cut.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    ax = axes_at(figure, box)
    mappable = ScalarMappable(Normalize(scale.low, scale.high), colors)
    bar = figure.colorbar(mappable, cax=ax, orientation="vertical" if vertical else "horizontal")
    bar.outline.set_linewidth(0.4)
    size = scaled(6.8)
    room = figure.get_size_inches()[0] * 72 - box[0] - 2.0
    if vertical and text_width(scale.label, size) > room:
        ax.set_ylabel(_fitted(scale.label, size, box[3]), size=size, labelpad=3, parse_math=False)
    else:
        ax.set_title(_fitted(scale.label, size, room), loc="left", pad=3, size=size, parse_math=False)


def _fitted(text: str, size: float, room: float) -> str:
    """``text``, cut to a width in points."""
    kept = text
    while len(kept) > 1 and text_width(kept, size) > room:
        kept = kept.removesuffix("…")[:-1] + "…"
    return kept


def axes_at(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """Axes with left, bottom, width and height in points, open at the top and right."""
    w, h = figure.get_size_inches() * 72
    ax = figure.add_axes((box[0] / w, box[1] / h, box[2] / w, box[3] / h))
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def canvas(figure: Figure) -> Axes:
    """Invisible axes over the whole figure whose units are points."""
    w, h = figure.get_size_inches() * 72
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_xlim(0, w)
    ax.set_ylim(0, h)
    ax.axis("off")
    return ax
