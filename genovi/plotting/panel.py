"""One panel: points, spread and names of populations on two axes of equal units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from genovi.plotting.figures import RASTER_ABOVE, text_width
from genovi.plotting.legend import shorten
from genovi.plotting.palette import NO_LABEL, Palette, Style
from genovi.plotting.placement import anchor_of, place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROUNDS = 8  # populations are drawn in turns, a share of each at a time, so that none covers the others


@dataclass(frozen=True)
class Panel:
    """What a panel shows.

    Attributes:
        title: Written above it, "" for nothing.
        axes: Names of the horizontal and the vertical axis.
        points: Coordinates, shape (n, 2), float64.
        spread: Posterior standard deviations, same shape, or None.
        populations: Population of each point, "" for none, shape (n,), object (str).
        reach: Lowest and highest coordinates to show, shape (2, 2), or None for those of the points.
    """

    title: str
    axes: tuple[str, str]
    points: np.ndarray
    spread: np.ndarray | None
    populations: np.ndarray
    reach: np.ndarray | None = None


def reach_of(panel: Panel) -> np.ndarray:
    """Lowest and highest coordinates that ``panel`` shows, rows of shape (2, 2)."""
    if panel.reach is not None:
        return panel.reach
    if not len(panel.points):
        return np.array([[0.0, 0.0], [1.0, 1.0]])
    around = panel.spread if panel.spread is not None else np.zeros_like(panel.points)
    return np.array([(panel.points - around).min(axis=0), (panel.points + around).max(axis=0)])


def with_common_reach(panels: Sequence[Panel]) -> list[Panel]:
    """The panels, those on the same two axes with limits that hold the points of all of them."""
    wide: dict[tuple[str, str], np.ndarray] = {}
    for panel in panels:
        reach = reach_of(panel)
        known = wide.get(panel.axes, reach)
        wide[panel.axes] = np.array([np.minimum(known[0], reach[0]), np.maximum(known[1], reach[1])])
    return [replace(panel, reach=wide[panel.axes]) for panel in panels]


def draw_panel(ax: Axes, panel: Panel, palette: Palette, width: float, height: float) -> None:
    """Draw ``panel`` into axes of ``width`` x ``height`` points."""
    _set_limits(ax, panel, width, height)
    ax.set_xlabel(panel.axes[0], labelpad=2)
    ax.set_ylabel(panel.axes[1], labelpad=2)
    if panel.spread is not None:
        _ellipses(ax, panel, palette)
    area = float(np.clip(7.0 * (2500 / max(len(panel.points), 1)) ** 0.4, 1.5, 22.0)) * min(1.0, width / 340)
    raster = len(panel.points) > RASTER_ABOVE
    blank = panel.populations == ""
    grey = Style(NO_LABEL, NO_LABEL, NO_LABEL, "o", 0.5)
    _scatter(ax, panel.points[blank], grey, area, raster, zorder=1.5)
    members = {p: panel.points[panel.populations == p] for p in palette.styles}
    for turn in range(_ROUNDS):
        for population, points in members.items():
            _scatter(ax, points[turn::_ROUNDS], palette.styles[population], area, raster, zorder=2 + 0.01 * turn)
    _direct_labels(ax, members, palette, width, height)


def _set_limits(ax: Axes, panel: Panel, width: float, height: float) -> None:
    """Equal units on both axes, the data in the middle."""
    low, high = reach_of(panel)
    unit = 1.08 * max((high[0] - low[0]) / width, (high[1] - low[1]) / height)
    if unit == 0:
        unit = 2.0 / width
    middle = (low + high) / 2
    ax.set_xlim(middle[0] - unit * width / 2, middle[0] + unit * width / 2)
    ax.set_ylim(middle[1] - unit * height / 2, middle[1] + unit * height / 2)


def _scatter(ax: Axes, points: np.ndarray, look: Style, area: float, raster: bool, zorder: float) -> None:
    if len(points):
        ax.scatter(
            points[:, 0],
            points[:, 1],
            s=area * look.area,
            c=look.color,
            marker=look.marker,
            edgecolors=look.edge,
            linewidths=0.15,
            zorder=zorder,
            rasterized=raster,
        )


def _ellipses(ax: Axes, panel: Panel, palette: Palette) -> None:
    """One posterior standard deviation around every sample, along the axes."""
    from matplotlib.collections import EllipseCollection

    assert panel.spread is not None
    edges = [palette.styles[p].color if p else NO_LABEL for p in panel.populations]
    ax.add_collection(
        EllipseCollection(
            2 * panel.spread[:, 0],
            2 * panel.spread[:, 1],
            np.zeros(len(edges)),
            units="xy",
            offsets=panel.points,
            offset_transform=ax.transData,
            facecolors="none",
            edgecolors=edges,
            linewidths=0.3,
            alpha=0.5,
            zorder=1,
            rasterized=len(edges) > RASTER_ABOVE,
        ),
        autolim=False,
    )


def _direct_labels(ax: Axes, members: dict[str, np.ndarray], palette: Palette, width: float, height: float) -> None:
    """The name of each population in the thick of its samples, moved aside where names would overlap."""
    from matplotlib.patheffects import Stroke

    names = [name for name, points in members.items() if len(points)]
    if not names:
        return
    size = 6.8 if width > 250 and len(names) <= 40 else 5.2
    low = np.array([ax.get_xlim()[0], ax.get_ylim()[0]])
    span = np.array([np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())])
    box = np.array([width, height])
    anchors = np.array([(anchor_of(members[name]) - low) / span * box for name in names])
    points = (np.concatenate([members[name] for name in names]) - low) / span * box
    texts = [shorten(name) for name in names]
    sizes = np.array([(text_width(text, size, bold=True), size) for text in texts])
    places = place_labels(anchors, sizes, (1.0, 1.0, width - 1.0, height - 1.0), points)
    for text, name, place, anchor, extent in zip(texts, names, places, anchors, sizes, strict=True):
        color = palette.styles[name].text
        edge = np.clip(anchor, place - extent / 2, place + extent / 2)  # where a line from the anchor meets the text
        if np.linalg.norm(anchor - edge) > 4.0:
            ends = np.array([anchor, edge]) / box * span + low
            ax.plot(ends[:, 0], ends[:, 1], color=color, linewidth=0.45, zorder=3)
        x, y = place / box * span + low
        common: dict[str, Any] = {
            "size": size,
            "weight": "bold",
            "ha": "center",
            "va": "center_baseline",
            "parse_math": False,
        }
        # the halo is an outline of its own below the text, so that the text itself stays text in an SVG
        halo = ax.text(x, y, text, color="white", zorder=4, **common)
        halo.set_path_effects([Stroke(linewidth=1.8, foreground="white", alpha=0.85)])
        ax.text(x, y, text, color=color, zorder=5, **common)
