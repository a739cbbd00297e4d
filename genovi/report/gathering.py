"""What a report shows: the parts of a run folder, and what labels add to them.

Reads ``embedding.tsv``, ``model.json``, ``qc.json`` and ``history.csv``, and of the weights the singular values alone:
neither the genotypes nor torch are needed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError, GenoviError, MismatchError
from genovi.evaluation import read_outs
from genovi.labels import SampleLabels
from genovi.manifest import Manifest, read_manifest
from genovi.plotting.coloring import OWN_COLUMNS, ColorBy, Coloring, color_samples, number_columns
from genovi.plotting.training import read_history
from genovi.resampling import Interval, intervals
from genovi.scores import ReadOut, ReadOuts
from genovi.structure.noise import NoiseFloor

_log = logging.getLogger("genovi")

MOST_NUMBERS = 12  # columns of labels that the map can be coloured by


@dataclass(frozen=True)
class Spectrum:
    """What a model keeps of its PCA.

    Attributes:
        eigenvalues: Variance of training scores along each axis that the model takes, descending, shape (k,), float64.
        noise: Noise floor.
    """

    eigenvalues: np.ndarray
    noise: NoiseFloor


@dataclass(frozen=True)
class Filtering:
    """One step of quality control: what it removes (samples or variants), why, and how many."""

    name: str
    kind: str
    before: int
    removed: int
    reason: str

    @property
    def kept(self) -> int:
        return self.before - self.removed


@dataclass(frozen=True)
class RunRecord:
    """A run folder, without its weights.

    Attributes:
        name: Name of the folder.
        embedding: The training samples on the map.
        history: ``history.csv``.
        spectrum: Principal components.
        filters: Quality control, in order.
        manifest: ``model.json``.
    """

    name: str
    embedding: Embedding
    history: pd.DataFrame
    spectrum: Spectrum
    filters: tuple[Filtering, ...]
    manifest: Manifest

    @property
    def summary(self) -> Mapping[str, Any]:
        """What training noted at its end: bounds, epochs, settings, provenance; not checked."""
        return self.manifest.summary

    @property
    def provenance(self) -> Mapping[str, Any]:
        """How the run was made."""
        found = self.summary.get("provenance", {})
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Confusion:
    """Populations against the most similar reference population of their samples.

    Attributes:
        names: Populations, in the order of the legend.
        counts: Samples of each population (rows) by population of the majority of their neighbours (columns), int64.
        k: Neighbours asked.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    k: int


@dataclass(frozen=True)
class Judgement:
    """What labels say about the map.

    Attributes:
        read: Read-outs of each labelled sample.
        populations: Measures by name.
        groups: The same for super-populations; None where there are none.
        confusion: By population.
    """

    read: ReadOuts
    populations: Mapping[str, Interval]
    groups: Mapping[str, Interval] | None
    confusion: Confusion


@dataclass(frozen=True)
class ReportContent:
    """Everything that a report shows.

    Attributes:
        run: The run.
        coloring: Population and style of every sample; clusters where there are no labels.
        column: Label column of the populations; None where there is none and colours are clusters.
        numbers: Columns of numbers that the map can be coloured by, each of shape (n_samples,), float64, NaN for none.
        shown: The one of them that is shown first; "" for populations.
        judgement: None without labels, or where labels do not allow one.
        unjudged: Why there is none, in words; "" without labels.
    """

    run: RunRecord
    coloring: Coloring
    column: str | None
    judgement: Judgement | None
    unjudged: str = ""
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)
    shown: str = ""


def read_run(folder: Path) -> RunRecord:
    """Read a run folder.

    Raises:
        DataError: it is none, or a model in one file, or parts of it are missing or damaged.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if not folder.is_dir():
        raise DataError(
            "a report needs the folder of a run",
            where=folder,
            why="the file of genovi export holds no history of training",
            fix="give the folder that genovi train wrote",
        )
    embedding = Embedding.read_tsv(folder / "embedding.tsv")
    name = folder.absolute().name
    try:
        spectrum, filters = _spectrum(folder, manifest), _filters(folder, manifest)
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        raise DataError(
            "damaged run",
            where=folder,
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no detail'}",
            fix="copy or train it again",
        ) from error
    return RunRecord(name, replace(embedding, method=name), read_history(folder), spectrum, filters, manifest)


def gather(run: RunRecord, labels: SampleLabels | None, by: ColorBy) -> ReportContent:
    """Everything that the report of ``run`` shows.

    Args:
        run: The run.
        labels: Labels of its samples; None for a report without.
        by: Columns and settled styles. A column of numbers is what the map shows first; populations are then those of
            the column that looks like it.

    Raises:
        ConfigError: no such column, or more populations than can be told apart.
        MismatchError: no sample has a label.
    """
    coloring = color_samples([run.embedding], labels, by)
    shown = "" if coloring.scale is None else coloring.scale.label
    column = by.color if not shown else _population_column(labels)
    if labels is not None and column is None and not shown:
        column = labels.default_population_column()
    numbers = _numbers(run.embedding, labels, {column, by.group, shown})
    if shown and coloring.numbers is not None:
        numbers = {shown: coloring.numbers[0], **numbers}
    if labels is None or column is None:
        if shown:  # populations that nobody named are the model's clusters
            coloring = color_samples([run.embedding], None, ColorBy(styles=by.styles))
        return ReportContent(run, coloring, None, None, numbers=numbers, shown=shown)
    try:
        read = read_outs(run.embedding, labels, population=column, group=by.group)
    except (DataError, MismatchError) as error:
        _log.warning("the map is not compared with %s: %s", column, error)
        return ReportContent(run, coloring, column, None, _reason(error), numbers, shown)
    groups = None if read.groups is None else intervals(read.groups, read.mixture_components)
    confusion = _confusion(read.populations, coloring)
    judged = Judgement(read, intervals(read.populations, read.mixture_components), groups, confusion)
    return ReportContent(run, coloring, column, judged, "", numbers, shown)


def _population_column(labels: SampleLabels | None) -> str | None:
    """The column that looks like populations, if there are labels with one."""
    try:
        return None if labels is None else labels.default_population_column()
    except ConfigError:
        return None


def _numbers(embedding: Embedding, labels: SampleLabels | None, used: set[str | None]) -> dict[str, np.ndarray]:
    """Other columns of numbers: those of the labels, then the embedding's own."""
    columns = number_columns(labels, embedding.samples) if labels is not None else {}
    found = dict([(name, values) for name, values in columns.items() if name not in used][:MOST_NUMBERS])
    for name, attribute in OWN_COLUMNS.items():
        values = getattr(embedding, attribute)
        if name not in {"CLUSTER", *used, *found} and values is not None:
            found[name] = np.asarray(values, dtype=np.float64)
    return found


def _reason(error: GenoviError) -> str:
    return "; ".join(part for part in (error.what, error.why) if part)


def _confusion(read: ReadOut, coloring: Coloring) -> Confusion:
    told = read.told
    present = set(read.labels[told])
    names = tuple(name for members in coloring.palette.groups.values() for name in members if name in present)
    place = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for own, other in zip(read.labels[told], read.neighbours[told], strict=True):
        counts[place[own], place[other]] += 1
    return Confusion(names, counts, read.k)


def _spectrum(folder: Path, manifest: Manifest) -> Spectrum:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "model.safetensors", framework="numpy") as tensors:
            singular = np.asarray(tensors.get_tensor("axes.singular_values"), dtype=np.float64)
    except SafetensorError as error:
        raise ValueError(f"model.safetensors: {error}") from error
    eigenvalues = singular**2 / manifest.n_samples
    if eigenvalues.ndim != 1 or not len(eigenvalues) or not np.isfinite(eigenvalues).all() or (eigenvalues <= 0).any():
        raise ValueError("singular values are not positive numbers")
    return Spectrum(eigenvalues, NoiseFloor(**manifest.noise))


def _filters(folder: Path, manifest: Manifest) -> tuple[Filtering, ...]:
    path = folder / "qc.json"  # whoever shares a model may have left it out; the manifest has the same without names
    qc = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else manifest.summary["qc"]
    return tuple(
        Filtering(str(s["name"]), str(s["kind"]), int(s["before"]), int(s["removed"]), str(s["reason"]))
        for s in qc["steps"]
    )
