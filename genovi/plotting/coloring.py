"""What decides the colour of a sample: its population, a number on a colour bar, or its cluster."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError
from genovi.labels import SampleLabels, match
from genovi.plotting.known import strangers, super_populations
from genovi.plotting.palette import MOST_STYLES, Palette, Style, make_palette

_log = logging.getLogger("genovi")

KINDS = ("auto", "categories", "numbers")
OWN_COLUMNS = {"MISSING": "missing", "MISFIT": "misfit", "CLUSTER_PROB": "cluster_prob", "CLUSTER": "cluster"}
_NO_NUMBER = {"", "na", "nan", "none", ".", "null", "-"}
_FEW = 12  # whole numbers of at most so many values are taken for codes


@dataclass(frozen=True)
class ColorBy:
    """What the user asked for.

    Attributes:
        color: Column of the labels, or of the embedding itself (MISSING, MISFIT, CLUSTER, CLUSTER_PROB); None takes the
            population column, or clusters where there are no labels.
        group: Label column that gives the hue; None takes the super-population column if there is one.
        kind: One of ``KINDS``; auto takes numbers for a colour bar unless they are a few codes.
        styles: Styles from a palette file.
    """

    color: str | None = None
    group: str | None = None
    kind: str = "auto"
    styles: Mapping[str, Style] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"--color-as {self.kind}", fix=f"type one of {', '.join(KINDS)}")


@dataclass(frozen=True)
class Scale:
    """A colour bar: what it shows, and its ends."""

    label: str
    low: float
    high: float


@dataclass(frozen=True)
class Coloring:
    """Colours of several embeddings.

    Attributes:
        palette: Styles of populations.
        populations: Population of each sample, "" for none; for each embedding an array of shape (n,), object (str).
        numbers: Where colours are numbers, for each embedding an array of shape (n,), float64, NaN for none.
        scale: Their colour bar; None where colours are populations.
    """

    palette: Palette
    populations: tuple[np.ndarray, ...]
    numbers: tuple[np.ndarray, ...] | None = None
    scale: Scale | None = None

    def counts(self, embeddings: Sequence[Embedding]) -> tuple[Counter[str], int]:
        """Samples of each population, and those in grey; a sample of several embeddings counts once."""
        of_sample: dict[str, str] = {}
        no_number: set[str] = set()
        for k, (embedding, populations) in enumerate(zip(embeddings, self.populations, strict=True)):
            of_sample.update(zip(embedding.samples, populations, strict=True))
            if self.numbers is not None:
                no_number |= {embedding.samples[i] for i in np.flatnonzero(np.isnan(self.numbers[k]))}
        counts = Counter(population for population in of_sample.values() if population)
        return counts, len(no_number) if self.numbers is not None else len(of_sample) - sum(counts.values())


def color_samples(embeddings: Sequence[Embedding], labels: SampleLabels | None, by: ColorBy) -> Coloring:
    """Give every sample of ``embeddings`` a population or a number.

    Styles come from all rows of the label file, so that any subset of its samples gets the same colours.

    Raises:
        ConfigError: no such column, more categories than styles, or ``kind`` numbers where the column has words.
        MismatchError: no sample has a label.
        DataError: not one sample has a number.
    """
    if by.color is not None and (labels is None or by.color not in labels.columns) and by.color in OWN_COLUMNS:
        return _own_column(embeddings, labels, by)
    if labels is None:
        if by.color is not None:
            raise ConfigError(
                f"--color {by.color} needs labels",
                why=f"of the embedding itself, {', '.join(OWN_COLUMNS)} can be shown",
                fix="add --labels PANEL",
            )
        return _clusters(embeddings, by)
    column = by.color if by.color is not None else labels.default_population_column()
    matched = [match(labels, embedding.samples).column(column) for embedding in embeddings]
    if by.color is not None and _are_numbers(labels.column(column), by.kind, column, labels.source):
        numbers = tuple(np.array([_number(value) for value in values]) for values in matched)
        return _on_scale(embeddings, labels, numbers, column, by)
    palette = make_palette(grouped_populations(labels, column, by.group), by.styles)
    populations = tuple(np.array(values, dtype=object) for values in matched)
    check_styles({value for values in populations for value in values if value}, column, labels.source)
    if by.styles:
        _warn_of_unnamed(palette, by.styles)
    return Coloring(palette, populations)


def shows_clusters(labels: SampleLabels | None, by: ColorBy) -> bool:
    """Whether ``color_samples`` shows the model's clusters, rather than populations."""
    if labels is None:
        return by.color in (None, "CLUSTER")
    return by.color == "CLUSTER" and "CLUSTER" not in labels.columns


def grouped_populations(labels: SampleLabels, column: str | None = None, group: str | None = None) -> dict[str, str]:
    """Group of each population of a label file: the one that most of its samples have, "" where there are none.

    Args:
        labels: Labels of samples.
        column: Their population column; None takes the one that looks like it.
        group: Their group column; None takes the one that looks like it. Without any, populations of 1000 Genomes
            and HapMap belong to their super-populations, if all are such.
    """
    column = column if column is not None else labels.default_population_column()
    named = group if group is not None else labels.default_group_column()
    values = labels.column(column)
    if named is None or named == column:
        populations = sorted({value for value in values if value})
        if unknown := strangers(populations):
            _log.info(
                "%d of %d values of %s are populations of 1000 Genomes, but not %s: none is grouped; "
                "add a column of groups to %s (--group)",
                len(populations) - len(unknown),
                len(populations),
                column,
                ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else ""),
                labels.source,
            )
        return super_populations(populations) or dict.fromkeys(populations, "")
    pairs: dict[str, Counter[str]] = {}
    for value, name in zip(values, labels.column(named), strict=True):
        if value:
            pairs.setdefault(value, Counter())[name] += 1
    mixed = [value for value, names in pairs.items() if len(names) > 1]
    if mixed:
        _log.warning(
            "%d of %d values of %s have samples in several groups of %s (%s); each is drawn in its commonest one",
            len(mixed),
            len(pairs),
            column,
            named,
            ", ".join(sorted(mixed)[:5]),
        )
    return {value: names.most_common(1)[0][0] for value, names in pairs.items()}


def check_styles(categories: set[str], column: str, source: str) -> None:
    """Refuse more categories than can be told apart.

    Raises:
        ConfigError: there are.
    """
    if len(categories) > MOST_STYLES:
        raise ConfigError(
            f"column {column} has {len(categories):,} values",
            where=source,
            why=f"no more than {MOST_STYLES} colours and markers can be told apart",
            fix="choose a coarser column with --color, or --color-as numbers if they are numbers",
        )


def _warn_of_unnamed(palette: Palette, styles: Mapping[str, Style]) -> None:
    unnamed = [population for population in palette.styles if population not in styles]
    if unnamed:
        _log.warning(
            "%d of %d populations are not in the palette file and keep genovi's colours: %s",
            len(unnamed),
            len(palette.styles),
            ", ".join(unnamed[:5]),
        )


def _are_numbers(values: Sequence[str], kind: str, column: str, source: str) -> bool:
    if kind == "categories":
        return False
    present = {value for value in values if value.lower() not in _NO_NUMBER}
    words = [value for value in sorted(present) if np.isnan(_number(value))]
    if kind == "numbers":
        if words or not present:
            raise ConfigError(
                f"column {column} is not numbers",
                where=source,
                why=f"it has {words[0]!r}" if words else "it is empty",
                fix="leave --color-as numbers out",
            )
        return True
    codes = len(present) <= _FEW and all(_number(value).is_integer() for value in present if not words)
    return bool(present) and not words and not codes


def number_columns(labels: SampleLabels, samples: Sequence[str]) -> dict[str, np.ndarray]:
    """Label columns that are numbers rather than a few codes: those of ``samples``, NaN for none, float64.

    Columns without a number for any of these samples are left out.
    """
    row, found = {sample: i for i, sample in enumerate(labels.samples)}, {}
    for name, column in labels.columns.items():
        if _are_numbers(column, "auto", name, labels.source):
            values = np.array([_number(column[row[sample]] if sample in row else "") for sample in samples])
            if np.isfinite(values).any():
                found[name] = values
    return found


def _number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        return float("nan")
    return number if np.isfinite(number) else float("nan")


def _on_scale(
    embeddings: Sequence[Embedding],
    labels: SampleLabels | None,
    numbers: tuple[np.ndarray, ...],
    column: str,
    by: ColorBy,
) -> Coloring:
    """Colours by number; populations, where labels have them, are named but not coloured."""
    known = np.concatenate(numbers)
    known = known[np.isfinite(known)]
    if not len(known):
        raise DataError(f"column {column} has no number for any of these samples", fix="choose another column")
    populations: tuple[np.ndarray, ...] = tuple(np.full(len(one), "", dtype=object) for one in numbers)
    palette = make_palette({})
    if labels is not None:
        try:
            names = labels.default_population_column()
        except ConfigError:
            names = column
        if names != column:
            populations = tuple(np.array(match(labels, e.samples).column(names), dtype=object) for e in embeddings)
            palette = make_palette(grouped_populations(labels, names, by.group), by.styles)
    return Coloring(palette, populations, numbers, Scale(column, float(known.min()), float(known.max())))


def _own_column(embeddings: Sequence[Embedding], labels: SampleLabels | None, by: ColorBy) -> Coloring:
    assert by.color is not None
    values = [getattr(embedding, OWN_COLUMNS[by.color]) for embedding in embeddings]
    for embedding, one in zip(embeddings, values, strict=True):
        if one is None:
            raise ConfigError(
                f"no column {by.color}",
                where=embedding.method,
                fix="give an embedding that genovi train or genovi embed wrote",
            )
    if by.color == "CLUSTER":
        return _clusters(embeddings, by)
    return _on_scale(embeddings, labels, tuple(values), by.color, by)


def _clusters(embeddings: Sequence[Embedding], by: ColorBy) -> Coloring:
    populations = []
    for embedding in embeddings:
        clusters = embedding.cluster if embedding.cluster is not None else np.zeros(len(embedding.samples), np.int64)
        width = len(str(clusters.max(initial=0)))
        names = np.array([f"cluster {k:0{width}d}" if k else "" for k in range(int(clusters.max(initial=0)) + 1)])
        populations.append(names.astype(object)[clusters])
    present = {name for one in populations for name in np.unique(one) if name}
    check_styles(present, "CLUSTER", embeddings[0].method)
    return Coloring(make_palette(dict.fromkeys(present, ""), by.styles), tuple(populations))
