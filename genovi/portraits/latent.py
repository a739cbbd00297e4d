"""The latent plane of a model: its prior, and what it decodes at every point.

Fields over z = (Z1, Z2), on a grid:

    density      log10 p(z), relative to its maximum
    PC j         f_j(z), component j in units of its noise floor
    a variant    expected frequency of the counted allele, p + sqrt(2 p (1 - p)) / 2 * sum_j V_j b_j(z), held in [0, 1]

f: decoder, b(z): decoded scores of the principal axes, V: the variant's loadings, p: its frequency in training, which
inverts the standardisation of genovi.structure.standardise. Where the prior has (next to) no mass the decoder was never
trained and says nothing: there the field fades out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from genovi.embedding import embedding_of
from genovi.errors import ConfigError
from genovi.files import check_writable
from genovi.model.densities import Noise
from genovi.model.mixtures import SCALE, GaussianMixture
from genovi.modelfiles import EMBEDDING, has_member
from genovi.plotting.coloring import Scale
from genovi.plotting.figures import Sheet, check_suffix, new_figure, scaled, style, write_figure
from genovi.plotting.layout import axes_at, color_bar
from genovi.seeding import Seeds
from genovi.trained import TrainedModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELLS = 240  # along the longer side
_DRAWS = 2000  # from the prior, to see where it lies
_MARGIN = 3.0  # units of length of the latent space around these draws and the samples
_FAINT, _GONE = -3.0, -5.0  # log10 density, relative to the maximum, where a field begins to fade and has faded
_LEFT, _BOTTOM, _TOP, _EDGE, _BAR = 34.0, 27.0, 8.0, 6.0, 52.0
_BELOW, _TITLE = 14.0, 13.0
_FIELDS = "density, PC1, PC2, ..., or a variant as ID or CHROM:POS"


@dataclass(frozen=True)
class Field:
    """A number at every point of the latent plane.

    Attributes:
        name: What it is.
        values: shape (rows, columns), float64.
        low: Lower end of the colour bar.
        high: Upper end.
        diverging: Whether zero is the middle.
    """

    name: str
    values: np.ndarray
    low: float
    high: float
    diverging: bool = False


@dataclass(frozen=True)
class LatentSummary:
    """A figure that was written: its path, what it shows, the prior, and how many of its components are drawn."""

    path: Path
    field: str
    prior: str
    components: int

    def lines(self) -> list[str]:
        """One line for people."""
        of = f" of {self.components} components" if self.components else ""
        return [f"{self.path}: {self.field} over the latent plane, prior {self.prior}{of}"]


def plot_latent(
    run: Path,
    out: Path,
    *,
    field: str = "density",
    samples: bool = True,
    sheet: Sheet | None = None,
    force: bool = False,
    command: str | None = None,
) -> LatentSummary:
    """Draw a field over the latent plane of a model.

    Args:
        run: Folder of the model.
        out: The figure; its suffix chooses the format.
        field: "density", "PC1" or a variant, by identifier or as CHROM:POS.
        samples: Draw the training samples, if the folder has their embedding.
        sheet: Size and style of the paper.
        force: Overwrite ``out``.
        command: Recorded in the figure's metadata.

    Raises:
        ConfigError: unknown suffix, ``out`` exists, no such field, or a latent space that is no plane.
        DataError: no such model, or a damaged one.
        ResourceError: ``out`` cannot be written.
    """
    sheet = sheet or Sheet()
    trained = load_plane(run, out, force)
    embedding = embedding_of(Path(run)) if samples and has_member(Path(run), EMBEDDING) else None
    known = np.empty((0, 2)) if embedding is None else embedding.mean
    x, y = grid_around(np.concatenate([prior_points(trained), known]), _MARGIN * SCALE)
    density, shown = field_of(trained, field, x, y)
    circles = circles_of(trained)
    with style(sheet):
        figure = _figure(density, shown, (x, y), circles, known, sheet)
    write_figure(figure, Path(out), command, sheet)
    return LatentSummary(Path(out), shown.name, trained.model.config.prior, len(circles))


def load_plane(run: Path, out: Path, force: bool) -> TrainedModel:
    """The model of a figure, once it is sure that the figure can be written.

    Raises:
        ConfigError: unknown suffix, ``out`` exists, or a latent space of one dimension or more than two.
        DataError: no such model, or a damaged one.
        ResourceError: ``out`` cannot be written.
    """
    check_suffix(out)
    check_writable(Path(out), force)
    trained = TrainedModel.load(run)
    if trained.model.config.latent_dim != 2:
        raise ConfigError(
            f"the model has {trained.model.config.latent_dim} latent dimensions",
            where=run,
            why="this figure shows a plane",
            fix="train with --latent-dim 2",
        )
    return trained


def prior_points(trained: TrainedModel) -> np.ndarray:
    """Draws from the prior, which say where it lies, shape (n, 2), float64."""
    generator = torch.Generator().manual_seed(Seeds(trained.seed).integer("portrait"))
    with torch.no_grad():
        return trained.model.prior.sample(_DRAWS, Noise(generator)).double().numpy()


def circles_of(trained: TrainedModel) -> np.ndarray:
    """Means of the components of a mixture with one scale, ``SCALE``, shape (K, 2), float64; none of other priors."""
    prior = trained.model.prior
    return prior.means.detach().double().numpy() if isinstance(prior, GaussianMixture) else np.empty((0, 2))


def grid_around(points: np.ndarray, margin: float, cells: int = _CELLS) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the columns, shape (a,), and of the rows, shape (b,), of a grid of square cells."""
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    cell = float((high - low).max()) / cells
    x, y = (low[j] + cell * np.arange(int(np.ceil((high - low)[j] / cell - 1e-9)) + 1) for j in range(2))
    return x, y


def field_of(trained: TrainedModel, name: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, Field]:
    """log10 of the prior's density relative to its maximum, shape (b, a), and the field called ``name``.

    Raises:
        ConfigError: there is no such field.
    """
    shape = (len(y), len(x))
    grid = torch.as_tensor(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2), dtype=torch.float32)
    component = re.fullmatch(r"pc([1-9]\d*)", name.lower())
    rows = np.empty(0, dtype=np.int64) if name == "density" or component else _variant_rows(trained, name)
    with torch.no_grad():
        log_density = trained.model.prior.log_density(grid).double().numpy().reshape(shape) / np.log(10)
    density = log_density - log_density.max()
    if name == "density":
        return density, Field("log10 (prior density / maximum)", density, _FAINT, 0.0)
    if component is not None:
        means = _decoded(trained, grid)
        j = int(component.group(1)) - 1
        if j >= means.shape[1]:
            raise ConfigError(f"no field {name}", why=f"the model has {means.shape[1]} components", fix=_FIELDS)
        values = means[:, j].reshape(shape)
        most = float(np.abs(values[density > _FAINT]).max())
        return density, Field(f"PC{j + 1} (noise units)", values, -most, most, diverging=True)
    return density, _frequency(trained, int(rows[0]), grid, density)


@torch.no_grad()
def _decoded(trained: TrainedModel, grid: torch.Tensor) -> np.ndarray:
    """Components that the decoder makes of the points ``grid``, shape (cells, k), float64."""
    return trained.model.likelihood.mean(grid).double().numpy()


def _frequency(trained: TrainedModel, row: int, grid: torch.Tensor, density: np.ndarray) -> Field:
    """Expected allele frequency at the points ``grid``, shape (cells, 2), in the shape of ``density``."""
    shape = density.shape
    if trained.model.config.likelihood == "binomial":
        values = trained.allele_frequencies(grid.numpy(), np.array([row])).reshape(shape).astype(np.float64)
    else:
        p = float(trained.standardiser.frequency[row])
        standardised = (_decoded(trained, grid) * trained.noise_scale) @ trained.axes.loadings[row].astype(np.float64)
        values = np.clip(p + 0.5 * np.sqrt(2 * p * (1 - p)) * standardised, 0.0, 1.0).reshape(shape)
    v = trained.standardiser.variants
    name = f"frequency of {v.alt[row]}, {v.chrom[row]}:{v.pos[row]}"
    most = float(values[density > _FAINT].max())
    return Field(name, values, 0.0, max(most, 1e-3))


def _variant_rows(trained: TrainedModel, name: str) -> np.ndarray:
    """Row of the variant called ``name``, shape (1,)."""
    v = trained.standardiser.variants
    rows = np.flatnonzero(v.id == name) if name != "." else np.empty(0, dtype=np.int64)
    place = re.fullmatch(r"(?:chr)?([^:\s]+):(\d+)", name)
    if not len(rows) and place is not None:
        chroms = np.array([str(c).removeprefix("chr") for c in v.chrom], dtype=object)
        rows = np.flatnonzero((chroms == place.group(1)) & (v.pos == int(place.group(2))))
    if len(rows) != 1:
        example = f"{v.chrom[0]}:{v.pos[0]}"
        raise ConfigError(
            f"no field {name!r}" if not len(rows) else f"{len(rows)} variants are called {name}",
            why=f"the model has {len(v):,} variants, the first at {example}",
            fix=f"type {_FIELDS}",
        )
    return rows


def _figure(
    density: np.ndarray,
    field: Field,
    grid: tuple[np.ndarray, np.ndarray],
    circles: np.ndarray,
    known: np.ndarray,
    sheet: Sheet,
) -> Figure:
    x, y = grid
    ratio = float(np.clip(np.ptp(y) / np.ptp(x), 0.45, 1.2))
    left = scaled(_LEFT)
    width = sheet.width - left - _BAR - _EDGE
    height = width * ratio if sheet.height is None else sheet.height - _TOP - _TITLE - _BOTTOM - _BELOW
    if width < 60 or height < 60:
        raise sheet.too_small("a latent plane needs more room")
    figure = new_figure(sheet.width, _TOP + _TITLE + height + _BOTTOM + _BELOW)
    ax = axes_at(figure, (left, _BOTTOM + _BELOW, width, height))
    unit = max(np.ptp(x) / width, np.ptp(y) / height)
    for middle, side, limit in ((x.mean(), width, ax.set_xlim), (y.mean(), height, ax.set_ylim)):
        limit(middle - unit * side / 2, middle + unit * side / 2)
    ax.set_xlabel("Z1", labelpad=2)
    ax.set_ylabel("Z2", labelpad=2)
    colors = "RdBu_r" if field.diverging else "viridis" if field.name.startswith("log10") else "cividis"
    ax.imshow(
        _shaded(density, field, colors),
        extent=(x[0], x[-1], y[0], y[-1]),
        origin="lower",
        interpolation="bilinear",
        aspect="auto",
        zorder=0,
    )
    if len(circles):
        _draw_circles(ax, circles)
    if len(known):
        ax.scatter(known[:, 0], known[:, 1], s=0.8, c="#202020", linewidths=0, alpha=0.6, zorder=1, rasterized=True)
    long = min(0.6 * height, 140.0)
    bar = (left + width + 10.0, _BOTTOM + _BELOW + height - long - 14.0, 7.0, long)
    color_bar(figure, Scale("", field.low, field.high), bar, vertical=True, colors=colors)
    ax.set_title(field.name, loc="left", pad=3, parse_math=False)
    said = ["circles: components of the prior, one SD"] if len(circles) else []
    note = "; ".join([*said, "dots: training samples"] if len(known) else said)
    total = _TOP + _TITLE + height + _BOTTOM + _BELOW
    figure.text(left / sheet.width, 0.3 * _BELOW / total, note, size=scaled(6.0))
    return figure


def _draw_circles(ax: Axes, means: np.ndarray) -> None:
    """One standard deviation of each component."""
    from matplotlib.collections import EllipseCollection

    size = np.full(len(means), 2 * SCALE)
    collection = EllipseCollection(
        size, size, np.zeros(len(means)), units="xy", offsets=means, offset_transform=ax.transData,
        facecolors="none", edgecolors="#000000", linewidths=0.35, alpha=0.6, zorder=2,
    )  # fmt: skip
    ax.add_collection(collection, autolim=False)


def _shaded(density: np.ndarray, field: Field, colors: str) -> np.ndarray:
    """Colours of a field, shape (rows, columns, 4), transparent where the prior has no mass."""
    from matplotlib import colormaps

    share = np.clip((field.values - field.low) / (field.high - field.low), 0.0, 1.0)
    image = colormaps[colors](share)
    image[..., 3] = np.clip((density - _GONE) / (_FAINT - _GONE), 0.0, 1.0)
    return image
