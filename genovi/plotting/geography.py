"""An embedding beside the map: how far the positions of samples follow where they come from.

The embedding is turned onto the map (orthogonal Procrustes, see genovi.procrustes), whose coordinates are

    x = (longitude - centre) cos(mean latitude),        y = latitude,        degrees

so that both axes have the same unit near the middle. The score is the Procrustes correlation t over samples. Its
p-value is the share of permutations with a t as high, the data themselves counted among them,

    p = (1 + number of t_b >= t) / (1 + B),        b = 1..B

Places are permuted among sites, not among samples: samples of one site stay together, for they are no independent
evidence. Source: Wang et al. (2010), Statistical Applications in Genetics and Molecular Biology 9:13.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError, MismatchError
from genovi.files import check_writable
from genovi.labels import SampleLabels
from genovi.plotting.coloring import ColorBy, Coloring, color_samples
from genovi.plotting.composing import AncestryOptions, key_of
from genovi.plotting.figures import check_suffix, style, write_figure
from genovi.plotting.layout import draw_figure
from genovi.plotting.panel import Look, Panel
from genovi.procrustes import align
from genovi.seeding import Seeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_log = logging.getLogger("genovi")

_LATITUDES = ("latitude", "lat", "decimallatitude", "y")
_LONGITUDES = ("longitude", "long", "lon", "lng", "decimallongitude", "x")
_ABSENT = {"", "na", "nan", ".", "none"}
_LEAST_SITES = 4
_BLOCK = 1000  # permutations at once


@dataclass(frozen=True)
class MapScore:
    """How well an embedding agrees with the map.

    Attributes:
        t: Procrustes correlation over samples.
        p: Its p-value; NaN where there were no permutations.
        samples: Samples with coordinates.
        sites: Different places among them.
        permutations: B.
    """

    t: float
    p: float
    samples: int
    sites: int
    permutations: int


@dataclass(frozen=True)
class MapSummary:
    """A figure that was written, and its score."""

    path: Path
    score: MapScore

    def lines(self) -> list[str]:
        """Lines for people."""
        s = self.score
        certain = f", p = {s.p:.2g} ({s.permutations:,} permutations of sites)" if s.permutations else ""
        return [
            f"{self.path}: {s.samples:,} samples of {s.sites:,} sites",
            f"Procrustes correlation with the map {s.t:.3f}{certain}",
        ]


def plot_map(
    embedding: Embedding,
    coordinates: SampleLabels,
    out: Path,
    *,
    labels: SampleLabels | None = None,
    permutations: int = 9999,
    seed: int = 1,
    options: AncestryOptions | None = None,
    force: bool = False,
    command: str | None = None,
) -> MapSummary:
    """Draw the places of samples, and their embedding turned onto them, side by side.

    Args:
        embedding: At least two axes; the first two, or ``options.axes``, are used.
        coordinates: A table with columns of latitude and longitude in degrees, a row for each sample, or for each
            population of ``labels``. Samples without are left out.
        out: The figure; its suffix chooses the format.
        labels: Labels that give colours; None takes those of ``coordinates``, if it has any, else clusters.
        permutations: B; 0 for no p-value.
        seed: Of the permutations.
        options: Colours, names, paper.
        force: Overwrite ``out``.
        command: Recorded in the figure's metadata.

    Raises:
        ConfigError: unknown suffix, ``out`` exists, no columns of coordinates, one axis only.
        DataError: coordinates that are no degrees, or fewer than four sites.
        MismatchError: no sample has coordinates.
        ResourceError: ``out`` cannot be written.
    """
    options = options or AncestryOptions()
    check_suffix(out)
    check_writable(Path(out), force)
    axes = options.axes or (0, 1)
    if embedding.n_dimensions <= max(axes):
        raise ConfigError(
            f"a map needs axes {axes[0] + 1} and {axes[1] + 1}",
            where=embedding.method,
            why=f"the embedding has {embedding.n_dimensions}",
            fix="give one of two axes",
        )
    degrees = places_of(embedding.samples, coordinates, labels)
    here = np.isfinite(degrees).all(axis=1)
    if not here.all():
        lost = [embedding.samples[i] for i in np.flatnonzero(~here)]
        _log.warning(
            "%d of %d samples have no coordinates and are left out: %s", len(lost), len(here), ", ".join(lost[:5])
        )
    kept = _part(embedding, here)
    if labels is None:
        labels = coordinates if _colours_by(coordinates, kept, options.by) else None
    coloring = color_samples([kept], labels, options.by)
    centre = _centre(degrees[here])
    ground, turned, score = map_score(kept.mean[:, list(axes)], degrees[here], centre, permutations, seed)
    with style(options.sheet):
        figure = _figure(kept, coloring, ground, turned, score, options)
        _degree_ticks(figure.axes[0], centre)
    write_figure(figure, Path(out), command, options.sheet)
    return MapSummary(Path(out), score)


def map_score(
    points: np.ndarray, degrees: np.ndarray, centre: tuple[float, float], permutations: int, seed: int
) -> tuple[np.ndarray, np.ndarray, MapScore]:
    """Turn an embedding onto the map and score how they agree.

    Args:
        points: Embedding, shape (n, 2), float64.
        degrees: Latitude and longitude, shape (n, 2), float64.
        centre: Longitude of the middle, and the latitude at which both axes have one unit.
        permutations: B.
        seed: Of the permutations.

    Returns:
        Coordinates on the map, shape (n, 2); the embedding turned about its middle, shape (n, 2); the score.

    Raises:
        DataError: fewer than four sites.
    """
    ground = projected(degrees, centre)
    sites, which = np.unique(np.round(ground, 6), axis=0, return_inverse=True)
    which = which.reshape(-1)
    if len(sites) < _LEAST_SITES:
        raise DataError(
            f"too few sites with coordinates: {len(sites)}",
            why=f"fewer than {_LEAST_SITES} say nothing of geography",
            fix="give coordinates of more places",
        )
    found = align(points, ground)
    turned = (points - found.centre) @ found.rotation.T
    drawn = _permuted(points, sites, which, permutations, seed)
    p = (1 + int((drawn >= found.score - 1e-12).sum())) / (1 + permutations) if permutations else float("nan")
    return ground, turned, MapScore(found.score, p, len(points), len(sites), permutations)


def _permuted(points: np.ndarray, sites: np.ndarray, which: np.ndarray, permutations: int, seed: int) -> np.ndarray:
    """t of every permutation of places among sites, shape (B,)."""
    rng = Seeds(seed).numpy("permutations")
    n, count = len(points), np.bincount(which, minlength=len(sites))
    x = points - points.mean(axis=0)
    sums = np.stack([np.bincount(which, x[:, j], minlength=len(sites)) for j in range(2)])  # of x by site
    size = float((x**2).sum())
    scores = []
    for start in range(0, permutations, _BLOCK):
        block = min(_BLOCK, permutations - start)
        order = rng.permuted(np.tile(np.arange(len(sites)), (block, 1)), axis=1)
        y = sites[order]  # (block, sites, 2)
        cross = np.einsum("js,bsk->bjk", sums, y)
        spread = np.einsum("s,bsk->b", count, y**2) - (np.einsum("s,bsk->bk", count, y) ** 2).sum(axis=1) / n
        # sum of the singular values of a 2 x 2 matrix
        nuclear = np.sqrt((cross**2).sum(axis=(1, 2)) + 2 * np.abs(np.linalg.det(cross)))
        both = np.sqrt(size * spread)
        scores.append(np.divide(nuclear, both, out=np.zeros(block), where=both > 0))
    return np.concatenate(scores) if scores else np.empty(0)


def places_of(samples: tuple[str, ...], coordinates: SampleLabels, labels: SampleLabels | None) -> np.ndarray:
    """Latitude and longitude of each sample, NaN where the table has none, shape (n, 2), float64.

    Raises:
        ConfigError: no columns of coordinates.
        DataError: a coordinate is no number of degrees.
        MismatchError: no sample, and no population of ``labels``, is in the table.
    """
    latitude, longitude = (_degrees(coordinates, names, most) for names, most in ((_LATITUDES, 90), (_LONGITUDES, 360)))
    row = {name: i for i, name in enumerate(coordinates.samples)}
    keys = list(samples)
    if row.keys().isdisjoint(keys) and labels is not None:
        of = dict(zip(labels.samples, labels.column(labels.default_population_column()), strict=True))
        keys = [of.get(sample, "") for sample in samples]
    if row.keys().isdisjoint(keys):
        raise MismatchError(
            "no sample has coordinates",
            where=f"{coordinates.source}, column {coordinates.sample_column!r}",
            why=f"the embedding has {', '.join(samples[:3])}; the table has {', '.join(coordinates.samples[:3])}",
            fix="give a row for each sample, or --labels and a row for each population",
        )
    places = np.full((len(samples), 2), np.nan)
    for k, key in enumerate(keys):
        if key in row:
            places[k] = latitude[row[key]], longitude[row[key]]
    if not np.isfinite(places).all(axis=1).any():
        raise MismatchError("no sample has coordinates", where=coordinates.source, why="those cells are blank")
    return places


def _degrees(table: SampleLabels, names: tuple[str, ...], most: float) -> np.ndarray:
    plain = {"".join(c for c in name.lower() if c.isalpha()): name for name in reversed(list(table.columns))}
    column = next((plain[name] for name in names if name in plain), None)
    if column is None:
        raise ConfigError(
            f"no column of {names[0]}",
            where=table.source,
            why=f"columns are {', '.join(table.columns) or 'none'}",
            fix=f"call it {names[0]} or {names[1]}",
        )
    values = np.full(len(table.samples), np.nan)
    for i, text in enumerate(table.columns[column]):
        if text.lower() in _ABSENT:
            continue
        try:
            values[i] = float(text)
        except ValueError:
            values[i] = np.inf
        if not -min(most, 180) <= values[i] <= most:
            raise DataError(
                f"{column} {text!r} is no number of degrees",
                where=f"{table.source}, {table.samples[i]}",
                fix="write decimal degrees, south and west negative",
            )
    return values


def _centre(degrees: np.ndarray) -> tuple[float, float]:
    """Longitude of the middle, across the date line where that is shorter, and mean latitude."""
    angle = np.radians(degrees[:, 1])
    middle = np.degrees(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()))
    return float(middle), float(degrees[:, 0].mean())


def projected(degrees: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """x and y of latitude and longitude, shape (n, 2), in degrees of latitude."""
    east = (degrees[:, 1] - centre[0] + 180) % 360 - 180
    return np.column_stack([east * np.cos(np.radians(centre[1])), degrees[:, 0]])


def _figure(
    embedding: Embedding,
    coloring: Coloring,
    ground: np.ndarray,
    turned: np.ndarray,
    score: MapScore,
    options: AncestryOptions,
) -> Figure:
    certain = f", p = {score.p:.2g}" if score.permutations else ""
    numbers = None if coloring.numbers is None else coloring.numbers[0]
    left = Panel("geography", ("longitude", "latitude"), ground, None, coloring.populations[0], numbers)
    right = replace(
        left,
        title=f"{embedding.method}: t = {score.t:.2f}{certain}",
        axes=("Z, turned: west to east", "Z, turned: south to north"),
        points=turned,
    )
    counts, unlabelled = coloring.counts([embedding])
    look = Look(coloring.palette, None, options.names, coloring.scale)
    return draw_figure([left, right], look, key_of(coloring, counts, unlabelled, options), options.sheet)


def _degree_ticks(ax: Axes, centre: tuple[float, float]) -> None:
    """Write degrees of longitude below an axis of projected ones."""
    from matplotlib.ticker import MaxNLocator

    unit = float(np.cos(np.radians(centre[1])))
    low, high = (x / unit + centre[0] for x in ax.get_xlim())
    ticks = [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
    names = [_written((tick + 180) % 360 - 180) for tick in ticks]
    ax.set_xticks([(tick - centre[0]) * unit for tick in ticks], names)
    bottom, top = ax.get_ylim()
    latitudes = [tick for tick in MaxNLocator(5).tick_values(bottom, top) if max(bottom, -90) <= tick <= min(top, 90)]
    ax.set_yticks(latitudes, [_written(tick) for tick in latitudes])


def _written(angle: float) -> str:
    return f"{angle:g}°".replace("-", "\N{MINUS SIGN}")


def _part(embedding: Embedding, which: np.ndarray) -> Embedding:
    """Some samples of an embedding."""
    columns = {
        name: values[which]
        for name in ("mean", "std", "cluster", "cluster_prob", "missing", "misfit")
        if (values := getattr(embedding, name)) is not None
    }
    samples = tuple(sample for sample, there in zip(embedding.samples, which, strict=True) if there)
    return Embedding(samples, **columns, method=embedding.method)


def _colours_by(coordinates: SampleLabels, embedding: Embedding, by: ColorBy) -> bool:
    """Whether the table of coordinates says what colours need."""
    if set(coordinates.samples).isdisjoint(embedding.samples):
        return False
    if by.color is not None:
        return by.color in coordinates.columns
    try:
        coordinates.default_population_column()
    except ConfigError:
        return False
    return True
