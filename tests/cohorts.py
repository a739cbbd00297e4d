"""Embeddings and labels that the tests of figures share."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from genovi.embedding import Embedding
from genovi.labels import SampleLabels
from genovi.plotting.palette import Style

POPULATIONS = {"GBR": "EUR", "FIN": "EUR", "TSI": "EUR", "YRI": "AFR", "LWK": "AFR", "CHB": "EAS"}


def cohort(n_dimensions: int = 2, n_per: int = 20, method: str = "toy", scale: float = 1.0) -> Embedding:
    """Samples s0, s1, ... of six populations, each in its place."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(POPULATIONS), n_dimensions)) * 5 * scale
    mean = np.concatenate([c + rng.normal(size=(n_per, n_dimensions)) for c in centres])
    samples = tuple(f"s{i}" for i in range(len(mean)))
    return Embedding(samples, mean, std=np.full_like(mean, 0.3), method=method)


def panel(n_per: int = 20) -> SampleLabels:
    """Labels of ``cohort``."""
    pops = tuple(p for p in POPULATIONS for _ in range(n_per))
    return SampleLabels(
        samples=tuple(f"s{i}" for i in range(len(pops))),
        columns={"pop": pops, "super_pop": tuple(POPULATIONS[p] for p in pops)},
        source="panel",
    )


def panels(figure: Figure) -> list[Axes]:
    """The axes that show samples."""
    return [ax for ax in figure.axes if ax.get_xlabel()]


def looks_like(c: PathCollection, look: Style) -> bool:
    """Whether points have the fill and outline of a style."""
    return np.allclose(c.get_facecolor()[0], to_rgba(look.color)) and np.allclose(
        c.get_edgecolor()[0], to_rgba(look.edge)
    )


def drawn(ax: Axes, look: Style | None = None) -> np.ndarray:
    """Points of an axes, all or those of one style, in a fixed order."""
    offsets = [np.empty((0, 2))]
    for c in ax.collections:
        if isinstance(c, PathCollection) and (look is None or looks_like(c, look)):
            offsets.append(np.asarray(c.get_offsets()))
    return ordered(np.concatenate(offsets))


def ordered(points: np.ndarray) -> np.ndarray:
    """Rows in a fixed order."""
    return points[np.lexsort(points.T)]


def texts(figure: Figure) -> list[str]:
    """Everything written into axes."""
    return [text.get_text() for ax in figure.axes for text in ax.texts]
