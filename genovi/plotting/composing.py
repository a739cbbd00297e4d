"""From embeddings and their colours to panels and the key beside them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from genovi.embedding import Embedding
from genovi.errors import ConfigError, MismatchError
from genovi.plotting.coloring import ColorBy, Coloring
from genovi.plotting.figures import Sheet
from genovi.plotting.layout import Key
from genovi.plotting.legend import legend_blocks
from genovi.plotting.panel import Panel, marker_area
from genovi.plotting.uncertainty import KINDS, covariances

_log = logging.getLogger("genovi")

_MOST_PANELS = 3  # of one embedding
_LARGEST = 1e12  # coordinate; limits beyond it, or infinite ones, are a slip
_SHARE = 0.75  # of a sheet's width that a panel has, about
_NOTES = {
    "ellipse": "ellipses: 1 posterior SD",
    "samples": "dots: posterior draws",
    "density": "regions: 50 % and 90 %",
}


@dataclass(frozen=True)
class AncestryOptions:
    """What to show and how.

    Attributes:
        by: What decides the colours.
        uncertainty: "ellipse", "density" or "samples" of the posterior standard deviations; None for points alone.
        axes: The two axes to draw, from 0; None for the pairs described in genovi.plotting.ancestry.
        limits: Lowest and highest coordinates of the horizontal axis, then of the vertical one; None for the data's.
        same_axes: Give all panels the same limits, as suits embeddings of one model.
        facet: Label column with a panel for each of its values; None for one panel.
        highlight: Samples to ring and name.
        names: Write the names of populations beside their points.
        legend: Draw the legend.
        sheet: Size and style of the paper.
    """

    by: ColorBy = field(default_factory=ColorBy)
    uncertainty: str | None = None
    axes: tuple[int, int] | None = None
    limits: tuple[float, float, float, float] | None = None
    same_axes: bool = False
    facet: str | None = None
    highlight: tuple[str, ...] = ()
    names: bool = True
    legend: bool = True
    sheet: Sheet = field(default_factory=Sheet)

    def __post_init__(self) -> None:
        if self.uncertainty is not None and self.uncertainty not in KINDS:
            raise ConfigError(f"--uncertainty {self.uncertainty}", fix=f"type one of {', '.join(KINDS)}")
        if self.limits is not None and not (self.limits[0] < self.limits[1] and self.limits[2] < self.limits[3]):
            raise ConfigError("--limits", why="an axis must end above its start", fix="type X0,X1,Y0,Y1")
        if self.limits is not None and not max(map(abs, self.limits)) < _LARGEST:
            raise ConfigError("--limits", why="no embedding reaches so far", fix="type X0,X1,Y0,Y1 around its samples")


@dataclass(frozen=True)
class Turned:
    """An embedding with the rotation that its coordinates have been through.

    Attributes:
        embedding: Its coordinates are those to show, its standard deviations those from before.
        rotation: R of the coordinates z R', shape (d, d); None for none.
    """

    embedding: Embedding
    rotation: np.ndarray | None = None


def check_highlight(shown: Sequence[Embedding], names: Sequence[str]) -> None:
    """Name the samples to highlight that are not there.

    Raises:
        MismatchError: none of them is.
    """
    present = {sample for embedding in shown for sample in embedding.samples}
    absent = [name for name in names if name not in present]
    if len(absent) == len(names):
        raise MismatchError(
            "no sample to highlight is in the figure",
            where=", ".join(embedding.method for embedding in shown),
            why=f"asked for {', '.join(absent[:3])}; it has {', '.join(shown[0].samples[:3])}",
            fix="check the ids",
        )
    if absent:
        _log.warning(
            "%d of %d samples to highlight are not in the figure: %s", len(absent), len(names), ", ".join(absent[:5])
        )


def key_of(
    coloring: Coloring, counts: Counter[str], unlabelled: int, options: AncestryOptions, reference: int = 0
) -> Key:
    """Legend and colour bar of a figure; ``reference`` counts samples in grey behind the others."""
    if not options.legend:
        return Key((), coloring.scale)
    if coloring.scale is not None:
        return Key(tuple(legend_blocks(coloring.palette, {}, unlabelled, reference)), coloring.scale)
    note, palette = _NOTES.get(options.uncertainty or "", ""), coloring.palette
    if options.uncertainty == "density":  # there are no markers
        palette = replace(palette, styles={name: one.region for name, one in palette.styles.items()})
    elif marker_area(max(map(len, coloring.populations)), _SHARE * options.sheet.width) <= 1:  # nor outlines
        palette = replace(palette, styles={name: one.small for name, one in palette.styles.items()})
    return Key(tuple(legend_blocks(palette, counts, unlabelled, reference, note)), None)


def panels_of(turned: Turned, coloring: Coloring, k: int, options: AncestryOptions, titled: bool) -> list[Panel]:
    """Panels of the ``k``-th embedding."""
    embedding, rotation = turned.embedding, turned.rotation
    d, pairs = embedding.n_dimensions, _pairs(embedding.n_dimensions, options)
    if options.axes is None and d > _MOST_PANELS + 1:
        _log.warning(
            "%s has %d axes; the first is drawn against axes 2 to %d only (choose others with --axes)",
            embedding.method,
            d,
            _MOST_PANELS + 1,
        )
    wanted = set(options.highlight)
    marked = {sample: i for i, sample in enumerate(embedding.samples) if sample in wanted} if wanted else {}
    std = embedding.std if options.uncertainty is not None else None
    x0, x1, y0, y1 = options.limits or (0.0, 0.0, 0.0, 0.0)
    return [
        Panel(
            title=embedding.method if titled else "",
            axes=(f"{embedding.axis}{pair[0] + 1}", f"{embedding.axis}{pair[1] + 1}"),
            points=embedding.mean[:, list(pair)],
            covariance=None if std is None else covariances(std, rotation, pair),
            populations=coloring.populations[k],
            numbers=None if coloring.numbers is None else coloring.numbers[k],
            reach=None if options.limits is None else np.array([[x0, y0], [x1, y1]]),
            marked=marked,
        )
        for pair in pairs
    ]


def _pairs(d: int, options: AncestryOptions) -> list[tuple[int, int]]:
    """The axes of each panel of an embedding of ``d`` axes."""
    if options.axes is not None:
        return [options.axes]
    return [(0, 1), (0, 2), (1, 2)] if d == 3 else [(0, j) for j in range(1, d)][:_MOST_PANELS]


def outside_limits(shown: Sequence[Embedding], options: AncestryOptions) -> set[str]:
    """Samples that lie outside ``options.limits`` in a panel; warns where all samples of an embedding do in all."""
    found: set[str] = set()
    if options.limits is None:
        return found
    low, high = np.array(options.limits).reshape(2, 2).T
    for embedding in shown:
        points = embedding.mean[:, np.array(_pairs(embedding.n_dimensions, options))]  # (n, panels, 2)
        out: np.ndarray = np.any((points < low) | (points > high), axis=2)
        found |= {embedding.samples[i] for i in np.flatnonzero(out.any(axis=1))}
        if out.all():
            (x0, y0), (x1, y1) = points[:, 0].min(axis=0), points[:, 0].max(axis=0)
            _log.warning(
                "none of the %d samples of %s lies within --limits: they reach from %.3g to %.3g and from %.3g to %.3g",
                len(embedding.samples), embedding.method, x0, x1, y0, y1,
            )  # fmt: skip
    return found
