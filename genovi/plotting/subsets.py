"""Some samples in colour over all others in grey: new samples over a reference, and a panel for each label value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from genovi.embedding import Embedding
from genovi.errors import ConfigError
from genovi.labels import SampleLabels, match
from genovi.plotting.coloring import OWN_COLUMNS, ColorBy, Coloring, color_samples, grouped_populations
from genovi.plotting.composing import AncestryOptions, Turned, key_of, panels_of
from genovi.plotting.layout import draw_figure
from genovi.plotting.palette import Palette, make_palette, plain_style
from genovi.plotting.panel import Look, Panel, with_common_reach

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_FACETS = 30
_NEW = plain_style("#c22f0b", "o")  # samples that no label says anything of


def over_reference(
    reference: Turned, query: Embedding, labels: SampleLabels | None, options: AncestryOptions
) -> tuple[Figure, Counter[str], int]:
    """New samples in colour over the samples of a reference in grey, whose populations are named.

    Args:
        reference: The reference; the query has been turned as it was.
        query: New samples, in as many axes. Samples without a label, where none has one, share one colour.
        labels: Labels of either; None for none.
        options: As for ``genovi.plotting.ancestry.plot_ancestry``.

    Returns:
        The figure, the number of query samples of each population, and of those without one.

    Raises:
        MismatchError: labels of neither.
    """
    both = (*reference.embedding.samples, *query.samples)
    if labels is not None and set(both).isdisjoint(labels.samples):
        match(labels, both)  # says so
    coloring = _query_colors(query, labels, options.by)
    counts, unlabelled = coloring.counts([query])
    named = _reference_populations(reference.embedding, labels, options) if options.names else None
    background = Coloring(make_palette({}), (np.full(len(reference.embedding.samples), "", dtype=object),))
    plain = replace(options, uncertainty=None, highlight=())
    below = panels_of(reference, background, 0, plain, titled=False)
    above = panels_of(Turned(query, reference.rotation), coloring, 0, options, titled=False)
    panels = []
    for back, front in zip(below, above, strict=True):
        names = {} if named is None else {p: back.points[named == p] for p in np.unique(named[named != ""])}
        panels.append(replace(front, backdrop=back.points, backdrop_names=names))
    look = Look(coloring.palette, options.uncertainty, options.names and named is None, coloring.scale)
    corner = len(panels) == 3 and query.n_dimensions == 3
    if options.same_axes:
        panels = with_common_reach(panels)
    key = key_of(coloring, counts, unlabelled, options, reference=len(reference.embedding.samples))
    return draw_figure(panels, look, key, options.sheet, corner), counts, unlabelled


def _query_colors(query: Embedding, labels: SampleLabels | None, by: ColorBy) -> Coloring:
    labelled = labels is not None and not set(query.samples).isdisjoint(labels.samples)
    own = by.color in OWN_COLUMNS and (labels is None or by.color not in labels.columns)
    if labelled or own:
        return color_samples([query], labels if labelled else None, by)
    palette = Palette({"": (query.method,)}, {query.method: by.styles.get(query.method, _NEW)})
    return Coloring(palette, (np.full(len(query.samples), query.method, dtype=object),))


def _reference_populations(
    reference: Embedding, labels: SampleLabels | None, options: AncestryOptions
) -> np.ndarray | None:
    """Population of each reference sample, where labels have any of them."""
    if labels is None or set(reference.samples).isdisjoint(labels.samples):
        return None
    column = options.by.color
    if column is None or options.by.kind == "numbers" or column not in labels.columns:
        column = labels.default_population_column()
    names = grouped_populations(labels, column, options.by.group)
    values = match(labels, reference.samples).column(column)
    return np.array([value if value in names else "" for value in values], dtype=object)


def facet_panels(panel: Panel, samples: Sequence[str], labels: SampleLabels | None, column: str) -> list[Panel]:
    """A panel for each value of a label column, its samples in colour over all others in grey.

    Args:
        panel: All samples.
        samples: Their identifiers.
        labels: Labels of the samples.
        column: The column.

    Raises:
        ConfigError: no labels, no such column, or more values than panels can be read.
    """
    if labels is None:
        raise ConfigError(f"--facet {column} needs labels", fix="add --labels PANEL")
    values = np.array(match(labels, samples).column(column), dtype=object)
    counts = Counter(value for value in values if value)
    if not 1 <= len(counts) <= MOST_FACETS:
        raise ConfigError(
            f"column {column} has {len(counts):,} values",
            where=labels.source,
            why=f"a figure has 1 to {MOST_FACETS} panels",
            fix="choose a coarser column with --facet",
        )
    return [_one_value(panel, value, values == value) for value in sorted(counts)]


def _one_value(panel: Panel, value: str, of: np.ndarray) -> Panel:
    place = np.cumsum(of) - 1
    return replace(
        panel,
        title=f"{value} ({int(of.sum()):,})",
        points=panel.points[of],
        covariance=None if panel.covariance is None else panel.covariance[of],
        populations=panel.populations[of],
        numbers=None if panel.numbers is None else panel.numbers[of],
        marked={name: int(place[i]) for name, i in panel.marked.items() if of[i]},
        backdrop=panel.points[~of],
    )
