"""One panel: points, their spread and names of populations on two axes of equal units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from genovi.plotting.coloring import Scale
from genovi.plotting.figures import RASTER_ABOVE, scaled, text_width
from genovi.plotting.legend import shorten
from genovi.plotting.palette import BACKDROP, GREY, Palette, Style
from genovi.plotting.placement import SHORTEST, anchor_of, leader_end, place_near
from genovi.plotting.uncertainty import draw_density, draw_ellipses, draw_samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORMAP = "viridis"  # equal steps look equal, for colour-blind readers too
_ROUNDS = 8  # populations are drawn in turns, a share of each at a time, so that none covers the others
_NAMED = 40  # marked samples that are named; more are ringed only
_FADED = 0.6  # share of white of the samples that are not marked
_REFERENCE_TEXT = "#6e6e6e"


@dataclass(frozen=True)
class Panel:
    """What a panel shows.

    Attributes:
        title: Written above it, "" for nothing.
        axes: Names of the horizontal and the vertical axis.
        points: Coordinates, shape (n, 2), float64.
        covariance: Posterior covariances, shape (n, 2, 2), or None.
        populations: Population of each point, "" for none, shape (n,), object (str).
        numbers: Number of each point on the colour bar, NaN for none, shape (n,), float64; None for colours by
            population.
        reach: Lowest and highest coordinates to show, shape (2, 2), or None for those of the points.
        marked: Points to find again: name and place among the points.
        backdrop: Points drawn in grey below, shape (m, 2); None for none.
        backdrop_names: Points of the backdrop by population, to be named in grey.
    """

    title: str
    axes: tuple[str, str]
    points: np.ndarray
    covariance: np.ndarray | None
    populations: np.ndarray
    numbers: np.ndarray | None = None
    reach: np.ndarray | None = None
    marked: Mapping[str, int] = field(default_factory=dict)
    backdrop: np.ndarray | None = None
    backdrop_names: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """How panels are drawn.

    Attributes:
        palette: Styles of populations.
        uncertainty: "ellipse", "density" or "samples" of the posterior covariances; None for points alone.
        names: Write the names of populations beside their points.
        scale: The colour bar of numbers; None for colours by population.
    """

    palette: Palette
    uncertainty: str | None = None
    names: bool = True
    scale: Scale | None = None


def reach_of(panel: Panel) -> np.ndarray:
    """Lowest and highest coordinates that ``panel`` shows, rows of shape (2, 2)."""
    if panel.reach is not None:
        return panel.reach
    points, around = panel.points, np.zeros_like(panel.points)
    if panel.covariance is not None:
        around = np.sqrt(np.diagonal(panel.covariance, axis1=1, axis2=2))
    if panel.backdrop is not None:
        points = np.concatenate([points, panel.backdrop])
        around = np.concatenate([around, np.zeros_like(panel.backdrop)])
    if not len(points):
        return np.array([[0.0, 0.0], [1.0, 1.0]])
    return np.array([(points - around).min(axis=0), (points + around).max(axis=0)])


def with_common_reach(panels: Sequence[Panel]) -> list[Panel]:
    """The panels, those on the same two axes with limits that hold the points of all of them."""
    wide: dict[tuple[str, str], np.ndarray] = {}
    for panel in panels:
        reach = reach_of(panel)
        known = wide.get(panel.axes, reach)
        wide[panel.axes] = np.array([np.minimum(known[0], reach[0]), np.maximum(known[1], reach[1])])
    return [replace(panel, reach=wide[panel.axes]) for panel in panels]


def marker_area(n: int, width: float) -> float:
    """Area of the markers of ``n`` points in axes of that width, square points."""
    least = 1.5 if n <= 100_000 else 0.4
    return float(np.clip(7.0 * (2500 / max(n, 1)) ** 0.4, least, 22.0)) * min(1.0, max(0.5, width / 340))


def draw_panel(ax: Axes, panel: Panel, look: Look, width: float, height: float) -> None:
    """Draw ``panel`` into axes of ``width`` x ``height`` points."""
    _set_limits(ax, panel, width, height)
    ax.set_xlabel(panel.axes[0], labelpad=2)
    ax.set_ylabel(panel.axes[1], labelpad=2)
    area = marker_area(len(panel.points), width)
    if panel.backdrop is not None:
        total, raster = len(panel.points) + len(panel.backdrop), len(panel.backdrop) > RASTER_ABOVE
        behind = marker_area(total, width)
        area = float(np.sqrt(area * behind))  # few samples over many stand out, but do not look like others
        scatter(ax, panel.backdrop, Style(BACKDROP, BACKDROP, BACKDROP, "o", 0.6), behind, raster, zorder=0.5)
    members = {p: panel.points[panel.populations == p] for p in look.palette.styles}
    shown = True
    if look.uncertainty is not None and panel.covariance is not None:
        colors = [look.palette.styles[p].text if p else GREY.color for p in panel.populations]
        if look.uncertainty == "ellipse":
            draw_ellipses(ax, panel.points, panel.covariance, colors)
        elif look.uncertainty == "samples":
            draw_samples(ax, panel.points, panel.covariance, colors, area)
        else:
            shown = False
            for population, style in look.palette.styles.items():
                of = panel.populations == population
                draw_density(ax, panel.points[of], panel.covariance[of], style.text)
    if panel.numbers is not None:
        _draw_numbers(ax, panel, look, area)
    elif shown:
        _draw_populations(ax, panel, members, look, area)
    else:
        _draw_unlabelled(ax, panel, area)
    _draw_marked(ax, panel, look, area)
    _direct_labels(ax, panel, members if look.names else {}, look, (width, height), np.sqrt(area) / 2)


def _set_limits(ax: Axes, panel: Panel, width: float, height: float) -> None:
    """Equal units on both axes, the data in the middle."""
    low, high = reach_of(panel)
    unit = 1.08 * max((high[0] - low[0]) / width, (high[1] - low[1]) / height)
    if unit == 0:
        unit = 2.0 / width
    middle = (low + high) / 2
    ax.set_xlim(middle[0] - unit * width / 2, middle[0] + unit * width / 2)
    ax.set_ylim(middle[1] - unit * height / 2, middle[1] + unit * height / 2)


def _draw_unlabelled(ax: Axes, panel: Panel, area: float) -> None:
    raster = len(panel.points) > RASTER_ABOVE
    scatter(ax, panel.points[panel.populations == ""], GREY, area, raster, zorder=1.5)


def _draw_populations(ax: Axes, panel: Panel, members: dict[str, np.ndarray], look: Look, area: float) -> None:
    _draw_unlabelled(ax, panel, area)
    raster = len(panel.points) > RASTER_ABOVE
    fade = _FADED if panel.marked else 0.0
    for turn in range(_ROUNDS):
        for population, points in members.items():
            style = look.palette.styles[population].faded(fade)
            scatter(ax, points[turn::_ROUNDS], style, area, raster, zorder=2 + 0.01 * turn)


def _draw_numbers(ax: Axes, panel: Panel, look: Look, area: float) -> None:
    """Points by number, those without one in grey; in an order that has nothing to do with their numbers."""
    assert panel.numbers is not None and look.scale is not None
    known = np.isfinite(panel.numbers)
    raster = len(panel.points) > RASTER_ABOVE
    scatter(ax, panel.points[~known], GREY, area, raster, zorder=1.5)
    order = np.flatnonzero(known)
    order = order[np.argsort(order * 7919 % max(len(known), 1), kind="stable")]
    ax.scatter(
        panel.points[order, 0],
        panel.points[order, 1],
        s=area,
        c=panel.numbers[order],
        cmap=COLORMAP,
        vmin=look.scale.low,
        vmax=look.scale.high,
        linewidths=0,
        zorder=2,
        rasterized=raster,
    )


def scatter(ax: Axes, points: np.ndarray, look: Style, area: float, raster: bool, zorder: float) -> None:
    """Draw points of one style; those too small for an outline have one colour."""
    if len(points):
        outlined = area > 1
        ax.scatter(
            points[:, 0],
            points[:, 1],
            s=area * look.area,
            c=look.color if outlined else look.dot,
            marker=look.marker,
            edgecolors=look.edge,
            linewidths=look.line * np.sqrt(area) if outlined else 0.0,
            zorder=zorder,
            rasterized=raster,
        )


def _draw_marked(ax: Axes, panel: Panel, look: Look, area: float) -> None:
    """Samples to find again: larger, in full colour, ringed in black."""
    big = max(2.2 * area, 14.0)
    for i in panel.marked.values():
        style = look.palette.styles.get(panel.populations[i], GREY)
        ringed = replace(style, edge="#000000", line=0.16, color=style.color if panel.numbers is None else "#ffffff")
        scatter(ax, panel.points[i : i + 1], ringed, big, False, zorder=3.5)


def _direct_labels(
    ax: Axes,
    panel: Panel,
    members: dict[str, np.ndarray],
    look: Look,
    box: tuple[float, float],
    radius: float,
) -> None:
    """The name of each population in the thick of its samples, moved aside where names would overlap.

    A name that finds no room nearby is left to the legend. Marked samples are named, too, if they are not many.
    """
    names = [(name, anchor_of(points), "") for name, points in members.items() if len(points)]
    names += [(name, anchor_of(points), _REFERENCE_TEXT) for name, points in panel.backdrop_names.items()]
    if len(panel.marked) <= _NAMED:
        names += [(name, panel.points[i], "#000000") for name, i in panel.marked.items()]
    if not names:
        return
    size = scaled(6.8 if box[0] > 250 and len(names) <= 40 else 5.2)
    low = np.array([ax.get_xlim()[0], ax.get_ylim()[0]])
    span = np.array([np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())])
    anchors = (np.array([anchor for _, anchor, _ in names]) - low) / span * box
    visible = [panel.points] if panel.backdrop is None else [panel.points, panel.backdrop]
    points = (np.concatenate(visible) - low) / span * box
    texts = [shorten(name) for name, _, _ in names]
    sizes = np.array([(text_width(text, size, bold=True), size) for text in texts])
    kept, places = place_near(anchors, sizes, (1.0, 1.0, box[0] - 1.0, box[1] - 1.0), points, radius)
    for k, place in zip(kept, places, strict=True):
        name, _, color = names[k]
        shade = color or (look.palette.styles[name].text if look.scale is None else "#333333")
        edge = leader_end(anchors[k], place, sizes[k])
        if np.linalg.norm(anchors[k] - edge) > SHORTEST:
            ends = np.array([anchors[k], edge]) / box * span + low
            ax.plot(ends[:, 0], ends[:, 1], color=shade, linewidth=0.45, zorder=3)
        _write(ax, place / box * span + low, texts[k], size, shade)


def _write(ax: Axes, place: np.ndarray, text: str, size: float, color: str) -> None:
    from matplotlib.patheffects import Stroke

    common: dict[str, Any] = {
        "size": size,
        "weight": "bold",
        "ha": "center",
        "va": "center_baseline",
        "parse_math": False,
    }
    # the halo is an outline of its own below the text, so that the text itself stays text in an SVG
    halo = ax.text(place[0], place[1], text, color="white", zorder=4, **common)
    halo.set_path_effects([Stroke(linewidth=1.8, foreground="white", alpha=0.85)])
    ax.text(place[0], place[1], text, color=color, zorder=5, **common)
