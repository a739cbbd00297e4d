"""What an embedding is compared with, measured on genotypes: F_ST between populations, and principal components.

Components are those above the noise floor, in one common unit, so that distances among them are genetic distances. The
genotypes take the quality control of ``genovi train``, but no sample of the embedding is dropped, and F_ST is measured
before LD pruning: in a structured cohort, variants that differ between populations correlate and are pruned first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from genovi.embedding import Embedding
from genovi.errors import MismatchError
from genovi.fst import hudson_fst
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.ld import indep_pairwise
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.labels import SampleLabels, match
from genovi.seeding import Seeds
from genovi.structure.pca import fit_axes
from genovi.structure.standardise import Standardiser

logger = logging.getLogger("genovi")

_MAX_AXES = 100
_MIN_AXES = 2


@dataclass(frozen=True)
class GeneticReference:
    """Genetic structure of the samples of an embedding.

    Attributes:
        populations: Names in alphabetical order.
        fst: Hudson's F_ST between them, shape (n_populations, n_populations), float64.
        components: Principal components above the noise floor, shape (n_samples, k), rows as in the embedding.
        n_variants: Variants of the components; F_ST uses those before pruning, too.
    """

    populations: tuple[str, ...]
    fst: np.ndarray
    components: np.ndarray
    n_variants: int


def measure_reference(
    paths: Sequence[Path], embedding: Embedding, labels: SampleLabels, population: str | None = None
) -> GeneticReference:
    """Measure F_ST and principal components on the genotypes of an embedding's samples.

    Args:
        paths: Genotype files of these samples, and perhaps of others, which are left out.
        embedding: Names the samples.
        labels: Give their populations.
        population: Column of populations; None guesses it.

    Raises:
        MismatchError: a sample of the embedding has no genotypes, or no label matches.
        DataError: the genotypes are bad, nothing is left of them, or there is one population only.
        ConfigError: no such column.
    """
    return reference_of(_of_samples(open_genotypes(paths), embedding.samples), labels, population)


def reference_of(
    matrix: GenotypeMatrix, labels: SampleLabels, population: str | None = None, qc: QCConfig | None = None
) -> GeneticReference:
    """``measure_reference`` on genotypes in memory.

    Args:
        matrix: Genotypes of the embedding's samples, in its order, before quality control.
        labels: Give their populations.
        population: Column of populations; None guesses it.
        qc: Quality control; no sample is dropped, whatever it says.

    Raises:
        MismatchError: no label matches.
        DataError: nothing is left of the genotypes, or there is one population only.
        ConfigError: no such column.
    """
    qc = qc or QCConfig()
    matrix, _ = apply_qc(matrix, replace(qc, mind=1.0, indep_pairwise=None, king_cutoff=None))
    column = population if population is not None else labels.default_population_column()
    names, fst = hudson_fst(matrix, match(labels, matrix.samples).column(column))
    if qc.indep_pairwise is not None:
        matrix = matrix.take_variants(indep_pairwise(matrix, *qc.indep_pairwise))
    # only a randomised PCA, of thousands of samples, draws anything; its components do not depend on what
    axes, scores = fit_axes(matrix, Standardiser.fit(matrix), _MAX_AXES, Seeds(0))
    components = scores[:, : max(_MIN_AXES, axes.noise.significant)]
    logger.info("compared with F_ST and %d principal components of %d variants", components.shape[1], matrix.n_variants)
    return GeneticReference(names, fst, components, matrix.n_variants)


def _of_samples(matrix: GenotypeMatrix, samples: Sequence[str]) -> GenotypeMatrix:
    place = {name: i for i, name in enumerate(matrix.samples)}
    absent = [name for name in samples if name not in place]
    if absent:
        raise MismatchError(
            f"{len(absent)} of {len(samples)} samples of the embedding have no genotypes",
            where=f"{matrix.source}: {', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''}",
            why="distances are compared for the same samples",
            fix="give the genotypes that the embedding was made from",
        )
    return matrix.take_samples(np.array([place[name] for name in samples]))
