"""Embeddings as figures: every sample a point, every population a fill and marker, every group a hue.

One embedding of two axes is one panel; of three axes, all three pairs; of more, the first against each of the next (at
most three panels), or the two that ``axes`` names. Of a single axis, populations are rows. Several embeddings stand
side by side in the same colours. Needs neither the model nor the genotypes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError, MismatchError
from genovi.files import check_writable
from genovi.labels import SampleLabels
from genovi.plotting.coloring import color_samples, shows_clusters
from genovi.plotting.composing import AncestryOptions, Turned, check_highlight, key_of, outside_limits, panels_of
from genovi.plotting.figures import check_suffix, counted, style, write_figure
from genovi.plotting.layout import draw_figure
from genovi.plotting.panel import Look, with_common_reach
from genovi.plotting.subsets import facet_panels, over_reference
from genovi.procrustes import Alignment, align_embedding

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class AncestrySummary:
    """What a figure shows.

    Attributes:
        path: The file.
        samples: Number of samples; one that is in several embeddings counts once.
        populations: Number of populations, or of clusters, among them; 0 where neither is shown.
        unlabelled: Samples without a population, or without a number where colours are numbers.
        clusters: Whether these are clusters of the model.
        outside: Samples outside the limits that were asked for, in a panel or more.
        alignments: How each embedding that was turned fits the one that it was turned onto, by name.
    """

    path: Path
    samples: int
    populations: int
    unlabelled: int
    clusters: bool = False
    outside: int = 0
    alignments: tuple[tuple[str, Alignment], ...] = ()

    def lines(self) -> list[str]:
        """Lines for people."""
        grey = f", {self.unlabelled:,} without label in grey" if self.unlabelled else ""
        kind = "cluster" if self.clusters else "population"
        named = f", {counted(self.populations, kind)}" if self.populations else ""
        beyond = f", {self.outside:,} outside --limits" if self.outside else ""
        return [
            f"{self.path}: {counted(self.samples, 'sample')}{named}{grey}{beyond}",
            *(
                f"{name}: Procrustes correlation {found.score:.4f} over {found.shared:,} shared samples"
                for name, found in self.alignments
            ),
        ]


def plot_ancestry(
    embeddings: Sequence[Embedding],
    out: Path,
    *,
    labels: SampleLabels | None = None,
    query: Embedding | None = None,
    align_to: Embedding | None = None,
    options: AncestryOptions | None = None,
    force: bool = False,
    command: str | None = None,
) -> AncestrySummary:
    """Draw embeddings into a PNG, PDF or SVG file.

    Args:
        embeddings: One or more.
        out: The figure; its suffix chooses the format.
        labels: Labels of the samples; without them samples are coloured by cluster, if the embedding has any.
        query: New samples to draw over the first embedding, which turns grey.
        align_to: Turn every embedding onto this one.
        options: What to show and how.
        force: Overwrite ``out``.
        command: Recorded in the figure's metadata.

    Raises:
        ConfigError: unknown suffix, ``out`` exists, no such column, options that do not go together, a sheet that is
            too small, or uncertainty without standard deviations.
        DataError: coordinates that are not finite, or a style file that is none.
        MismatchError: no sample has a label, or nothing to align by.
        ResourceError: ``out`` cannot be written.
    """
    options = options or AncestryOptions()
    check_suffix(out)
    check_writable(Path(out), force)
    turned, query, alignments = turn_onto(embeddings, query, align_to)
    with style(options.sheet):
        figure, counts, unlabelled = ancestry_figure(turned, labels=labels, query=query, options=options)
    write_figure(figure, Path(out), command, options.sheet)
    shown = [query] if query is not None else [one.embedding for one in turned]
    return AncestrySummary(
        Path(out),
        samples=len({sample for one in shown for sample in one.samples}),
        populations=0 if query is not None and set(counts) == {query.method} else len(counts),  # one colour for all
        unlabelled=unlabelled,
        clusters=shows_clusters(labels, options.by),
        outside=len(outside_limits(shown, options)),
        alignments=tuple(alignments),
    )


def turn_onto(
    embeddings: Sequence[Embedding], query: Embedding | None, align_to: Embedding | None
) -> tuple[list[Turned], Embedding | None, list[tuple[str, Alignment]]]:
    """Embeddings turned and mirrored onto one of them, or onto another; the query turns with the first.

    Args:
        embeddings: As for ``plot_ancestry``.
        query: As there.
        align_to: As there; None leaves all as they are.

    Returns:
        The embeddings, the query, and how those fit that were turned, by method.

    Raises:
        MismatchError: nothing to align by.
    """
    turned = [Turned(embedding) for embedding in embeddings]
    alignments: list[tuple[str, Alignment]] = []
    for k, embedding in enumerate(embeddings):
        if align_to is not None and embedding is not align_to:
            moved, found = align_embedding(embedding, align_to)
            turned[k] = Turned(moved, found.rotation)
            alignments.append((embedding.method, found))
    if query is not None and alignments:
        query = replace(query, mean=alignments[0][1].apply(query.mean))
    return turned, query, alignments


def ancestry_figure(
    embeddings: Sequence[Embedding | Turned],
    *,
    labels: SampleLabels | None = None,
    query: Embedding | None = None,
    options: AncestryOptions | None = None,
) -> tuple[Figure, Counter[str], int]:
    """The figure of ``plot_ancestry``, not written.

    Args:
        embeddings: As there, each alone or with the rotation that its coordinates have been through.
        labels: As there.
        query: As there.
        options: As there.

    Returns:
        The figure, the number of samples of each population (of the query, where there is one), and the number of
        samples in grey: without one, or without a number where colours are numbers.
    """
    options = options or AncestryOptions()
    turned = [one if isinstance(one, Turned) else Turned(one) for one in embeddings]
    shown = [one.embedding for one in turned] + ([query] if query is not None else [])
    for embedding in shown:
        _check(embedding, options)
    _check_together(shown, query, options)
    if options.highlight:
        check_highlight(shown, options.highlight)
    if query is not None:
        return over_reference(turned[0], query, labels, options)
    coloring = color_samples(shown, labels, options.by)
    counts, unlabelled = coloring.counts(shown)
    look = Look(coloring.palette, options.uncertainty, options.names, coloring.scale)
    if all(embedding.n_dimensions == 1 for embedding in shown):
        from genovi.plotting.strips import strip_figure

        return strip_figure(shown, coloring, counts, options.uncertainty, options.sheet), counts, unlabelled
    panels = [
        panel for k, one in enumerate(turned) for panel in panels_of(one, coloring, k, options, titled=len(turned) > 1)
    ]
    corner = len(turned) == 1 and len(panels) == 3 and shown[0].n_dimensions == 3
    if options.facet is not None:
        panels, corner = facet_panels(panels[0], shown[0].samples, labels, options.facet), False
    if options.same_axes or options.facet is not None:
        panels = with_common_reach(panels)
    key = key_of(coloring, counts, unlabelled, options)
    return draw_figure(panels, look, key, options.sheet, corner), counts, unlabelled


def _check(embedding: Embedding, options: AncestryOptions) -> None:
    bad = np.flatnonzero(~np.isfinite(embedding.mean).all(axis=1))
    if len(bad):
        raise DataError(
            f"coordinates of {embedding.samples[bad[0]]} are not finite",
            where=embedding.method,
            why=f"{len(bad)} samples cannot be placed",
            fix="remove them or make the embedding again",
        )
    if options.uncertainty is not None and embedding.std is None:
        raise ConfigError(
            f"--uncertainty {options.uncertainty} needs posterior standard deviations",
            where=embedding.method,
            why="the embedding has no SD columns",
            fix="leave it out, or give an embedding that genovi train or genovi embed wrote",
        )
    if options.axes is not None and max(options.axes) >= embedding.n_dimensions:
        raise ConfigError(
            f"no axis {max(options.axes) + 1}",
            where=embedding.method,
            why=f"it has {embedding.n_dimensions}",
            fix="choose other --axes",
        )


def _check_together(shown: Sequence[Embedding], query: Embedding | None, options: AncestryOptions) -> None:
    lines = {embedding.n_dimensions == 1 for embedding in shown}
    if len(lines) > 1:
        raise ConfigError(
            "embeddings of one axis and of more cannot share a figure",
            where=", ".join(embedding.method for embedding in shown),
            fix="draw them into figures of their own",
        )
    if query is not None and len({embedding.n_dimensions for embedding in shown}) > 1:
        raise MismatchError(
            f"query has {query.n_dimensions} axes, the reference {shown[0].n_dimensions}",
            where=query.method,
            fix="embed the query with the model of the reference",
        )
    beside = [("--query", query is not None), ("--facet", options.facet is not None)]
    several = len(shown) - (query is not None) > 1
    for name, used in beside:
        if used and several:
            raise ConfigError(f"{name} goes with one embedding", fix="draw one figure for each embedding")
    flags = [*beside, ("--highlight", bool(options.highlight)), ("--axes", options.axes is not None)]
    flags.append(("--limits", options.limits is not None))
    for name, used in flags:
        if used and True in lines:
            raise ConfigError(f"{name} needs two axes", where=shown[0].method, fix="leave it out")
    if all(used for _, used in beside):
        raise ConfigError("--query and --facet do not go together", fix="leave one of them out")
