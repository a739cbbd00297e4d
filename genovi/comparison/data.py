"""What all methods of a benchmark are given: the same people, sites and principal components, prepared once.

Sites are chosen by quality control before genotypes are masked, so that they are the same whatever is masked; only
sites that no longer vary go. Components of incomplete samples are least squares on what is observed, as everywhere in
genovi. Splits are stratified by population; nothing else sees labels before the judging.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from genovi.comparison.config import FOLDS, BenchmarkConfig
from genovi.comparison.shared import CellData, People
from genovi.encoding import Components
from genovi.errors import DataError
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.matching import align, match_variants
from genovi.genotypes.matrix import GenotypeMatrix, pack
from genovi.labels import SampleLabels, match
from genovi.placing import check_observed, missing_shares
from genovi.preparing import FittedComponents, check_axes, check_samples, fit_components
from genovi.reference import reference_of
from genovi.seeding import Seeds
from genovi.structure.projection import project_all

logger = logging.getLogger("genovi")

SEED = 0  # of masks and splits, which are the same for all methods and seeds
_PCA_SEED = 1
_LEAST_FOR_FST = 3


@dataclass(frozen=True)
class LabelColumns:
    """Labels in the order of the samples.

    Attributes:
        labels: The table.
        population: Its column of populations.
        group: Its column of groups; None for none.
    """

    labels: SampleLabels
    population: str
    group: str | None

    def of(self, samples: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Populations and groups of ``samples``, each shape (n,), str; groups of shape (0,) where there are none."""
        matched = match(self.labels, samples)
        groups = () if self.group is None else matched.column(self.group)
        return np.array(matched.column(self.population), dtype=str), np.array(groups, dtype=str)


def stratified_folds(populations: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Five splits into four fifths and one fifth, in which every sample is new once.

    Args:
        populations: Of each sample, "" where it has none; each is spread evenly over the folds.

    Yields:
        Places of the samples in the fit and of the new ones, both ascending.

    Raises:
        DataError: no population has a sample for each fold.
    """
    from sklearn.model_selection import StratifiedKFold

    names = np.asarray(populations, dtype=str)
    if np.unique(names, return_counts=True)[1].max() < FOLDS:
        raise DataError(
            f"no population has {FOLDS} samples",
            why="splits into old and new samples are stratified by population",
            fix="--splits 0",
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(np.zeros(len(names)), names))
    for old, new in folds:
        yield np.sort(old), np.sort(new)


def everybody(matrix: GenotypeMatrix, labels: LabelColumns, config: BenchmarkConfig) -> CellData:
    """What transductive cells are given.

    Args:
        matrix: Genotypes as read.
        labels: Of their samples.
        config: What to do.

    Raises:
        GenoviError: its children, where the data do not suit.
    """
    start = time.perf_counter()
    clean, qc = apply_qc(matrix, config.qc)
    check_samples(clean.n_samples, clean.source, qc)
    masked = _masked(clean, config.mask, "everybody")
    people, components = _fitted(masked, labels, config)
    seconds = time.perf_counter() - start
    place = {name: i for i, name in enumerate(matrix.samples)}
    same = matrix.take_samples(np.array([place[name] for name in clean.samples]))
    with said_already():
        known = reference_of(same, labels.labels, labels.population, config.qc)
    enough = len(known.populations) >= _LEAST_FOR_FST
    return CellData(
        fitted=people,
        new=None,
        noise_floor=components.noise_floor,
        reference=known.components,
        fst_populations=np.array(known.populations if enough else (), dtype=str),
        fst=known.fst if enough else np.empty(0),
        n_sites=masked.n_variants,
        seconds=seconds,
    )


def split(matrix: GenotypeMatrix, labels: LabelColumns, config: BenchmarkConfig, number: int) -> CellData:
    """What inductive cells of one split are given: quality control and axes of the four fifths alone.

    Args:
        matrix: Genotypes as read.
        labels: Of their samples.
        config: What to do.
        number: Of the split, from 1.

    Raises:
        GenoviError: its children, where the data do not suit.
    """
    with said_already():
        return _split(matrix, labels, config, number)


def _split(matrix: GenotypeMatrix, labels: LabelColumns, config: BenchmarkConfig, number: int) -> CellData:
    populations, _ = labels.of(matrix.samples)
    old, new = list(stratified_folds(populations.tolist()))[number - 1]
    start = time.perf_counter()
    clean, qc = apply_qc(matrix.take_samples(old), config.qc)
    check_samples(clean.n_samples, clean.source, qc)
    people, components = _fitted(_masked(clean, config.mask, f"split{number}/old"), labels, config)
    sites = components.standardiser.variants
    query = matrix.take_samples(new)
    query = align(query, match_variants(sites, query.variants))
    query = _with_gaps(query, config.mask, f"split{number}/new")
    check_observed(missing_shares(query), query)
    seen = Components.of(project_all(components.axes, components.standardiser, query), components.noise_scale)
    none = np.empty(0)
    return CellData(
        fitted=people,
        new=_people(query.samples, labels, seen),
        noise_floor=components.noise_floor,
        reference=none,
        fst_populations=np.array((), dtype=str),
        fst=none,
        n_sites=len(sites),
        seconds=time.perf_counter() - start,
    )


def _fitted(matrix: GenotypeMatrix, labels: LabelColumns, config: BenchmarkConfig) -> tuple[People, FittedComponents]:
    """Samples of the fit, and their axes."""
    check_axes(matrix, config.pcs)
    missing = missing_shares(matrix)
    check_observed(missing, matrix)
    found = fit_components(matrix, config.pcs, Seeds(_PCA_SEED), incomplete=bool(missing.any()))
    seen = Components(found.x, missing)
    if missing.any():
        seen = Components.of(project_all(found.axes, found.standardiser, matrix, training=True), found.noise_scale)
    return _people(matrix.samples, labels, seen), found


def _people(samples: Sequence[str], labels: LabelColumns, seen: Components) -> People:
    excess = np.empty(0) if seen.excess is None else seen.excess
    return People(np.array(samples, dtype=str), *labels.of(samples), seen.x, seen.missing, excess)


def _masked(matrix: GenotypeMatrix, share: float, stream: str) -> GenotypeMatrix:
    """``matrix`` with gaps, without the sites that do not vary any more."""
    if share == 0:
        return matrix
    gappy = _with_gaps(matrix, share, stream)
    varies = np.concatenate([_varies(dosages) for _, dosages in gappy.blocks()])
    if not varies.all():
        logger.info("%d of %d sites do not vary where observed and are left out", (~varies).sum(), len(varies))
    if not varies.any():
        raise DataError("no site varies where observed", where=f"--mask {share:g}", fix="mask fewer genotypes")
    return gappy.take_variants(varies)


def _with_gaps(matrix: GenotypeMatrix, share: float, stream: str) -> GenotypeMatrix:
    """``matrix`` with a random share of its genotypes missing."""
    if share == 0:
        return matrix
    rng = Seeds(SEED).numpy(f"mask/{share:g}/{stream}")
    parts = []
    for _, dosages in matrix.blocks():
        parts.append(pack(np.where(rng.random(dosages.shape) < share, np.int8(-1), dosages)))
    return replace(matrix, packed=np.concatenate(parts))


def _varies(dosages: np.ndarray) -> np.ndarray:
    """Whether both alleles are observed at each site, shape (n_sites,), bool."""
    other = ((dosages == 0) | (dosages == 1)).any(axis=1)
    return np.asarray(other & (dosages > 0).any(axis=1))


@contextmanager
def said_already() -> Iterator[None]:
    """Without the library's messages: those about everybody were shown, and parts of them say the same again."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
