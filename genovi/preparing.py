"""From genotypes after quality control to what a model sees of them: the one way, whoever trains.

fit_components      genotypes -> standardised -> principal axes -> noise-scaled scores
assist_components   what the other ranks do meanwhile, each with a range of the variants
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable
from genovi.genotypes.quality import QCReport
from genovi.ranks import ALONE, Ranks
from genovi.seeding import Seeds
from genovi.structure.noise import NoiseFloor
from genovi.structure.pca import PrincipalAxes, fit_axes
from genovi.structure.projection import project, sample_blocks
from genovi.structure.standardise import Standardiser

logger = logging.getLogger("genovi")

MAX_AXES = 100
MIN_AXES = 4
SAMPLES_PER_AXIS = 50
MIN_SAMPLES = 10


@dataclass(frozen=True)
class FittedComponents:
    """Training samples as a model sees them, with the constants that bring new samples to the same place.

    Attributes:
        x: Noise-scaled scores, shape (n, k), float64.
        standardiser: Variants, counted alleles and frequencies.
        axes: The axes that the model takes.
        noise_scale: Scores were divided by this one number.
    """

    x: np.ndarray
    standardiser: Standardiser
    axes: PrincipalAxes
    noise_scale: float

    @property
    def noise_floor(self) -> np.ndarray:
        """Standard deviation of the noise in each column of ``x``, shape (k,)."""
        return np.sqrt(self.axes.score_noise) / self.noise_scale


def choose_axes(noise: NoiseFloor, pcs: int | None, n_samples: int, available: int) -> int:
    """Number of principal components that the model takes.

    ``pcs`` if given. Otherwise those above the noise edge, twice as many more (weak structure lies under it, and the
    likelihood learns each component's noise) and a few; but not more than one for ``SAMPLES_PER_AXIS`` samples, because
    later components of a small cohort carry families and single samples, which take the map away from populations
    (see benchmarks/README.md); and at least ``MIN_AXES``.
    """
    if pcs is not None:
        return pcs
    wanted = min(3 * noise.significant + 4, n_samples // SAMPLES_PER_AXIS, MAX_AXES)
    return min(max(MIN_AXES, wanted), available)


def fit_components(
    matrix: GenotypeMatrix, pcs: int | None, seeds: Seeds, *, incomplete: bool, ranks: Ranks = ALONE
) -> FittedComponents:
    """Principal components of training samples.

    Args:
        matrix: Genotypes after quality control.
        pcs: Number of components; None chooses by the noise floor (see ``choose_axes``).
        seeds: Stream "pca" is used for thousands of samples only.
        incomplete: Whether a genotype is missing: scores are then least squares on what is observed.
        ranks: Who share the work; rank 0 calls this, and all others ``assist_components``.
    """
    standardiser = Standardiser.fit(matrix)
    if ranks.alone:
        axes, scores = fit_axes(matrix, standardiser, MAX_AXES, seeds)
    else:
        axes, scores = fit_axes(*_dealt(matrix, standardiser.frequency, ranks), MAX_AXES, seeds, ranks)
    k = choose_axes(axes.noise, pcs, axes.n_samples, axes.n_axes)
    logger.info(
        "%d principal components above the noise floor (%.0f effective variants); the model takes %d",
        axes.noise.significant, axes.noise.effective_variants, k,
    )  # fmt: skip
    if axes.noise.significant == 0:
        logger.warning(
            "no principal component is above the noise: these %d samples show no structure, so positions and clusters "
            "of the map are chance; more samples or variants may show some", axes.n_samples,
        )  # fmt: skip
    axes, scores = axes.first(k), scores[:, :k]
    if incomplete:
        # block by block: the covariances of all samples, which are not needed, would fill the memory
        parts = [project(axes, standardiser, part, training=True).scores for part in sample_blocks(matrix)]
        scores = np.concatenate(parts)
    noise_scale = math.sqrt(axes.noise.edge)
    return FittedComponents(scores / noise_scale, standardiser, axes, noise_scale)


def assist_components(seeds: Seeds, ranks: Ranks) -> None:
    """Do the part of a rank other than 0 in ``fit_components``; genotypes come from rank 0."""
    fit_axes(*_dealt(None, None, ranks), MAX_AXES, seeds, ranks)


def _dealt(
    matrix: GenotypeMatrix | None, frequency: np.ndarray | None, ranks: Ranks
) -> tuple[GenotypeMatrix, Standardiser]:
    """This rank's range of the variants that rank 0 has; nobody is told their names, or those of the samples."""
    n_samples = ranks.same(0 if matrix is None else matrix.n_samples)
    own = nameless(ranks.dealt(None if matrix is None else matrix.packed), n_samples)
    return own, Standardiser(own.variants, ranks.dealt(frequency))


def nameless(packed: np.ndarray, n_samples: int) -> GenotypeMatrix:
    """Packed genotypes, shape (n_variants, ceil(n_samples / 4)), uint8, of samples and variants without names."""
    none = np.full(len(packed), "", dtype=object)
    variants = VariantTable(none, np.zeros(len(packed), dtype=np.int64), none, none, none)
    return GenotypeMatrix(packed, tuple(map(str, range(n_samples))), variants)


def check_samples(n: int, source: str, qc: QCReport | None = None) -> None:
    """Refuse cohorts that are too small to train on.

    Args:
        n: Samples.
        source: Where they are from, for messages.
        qc: What quality control took.

    Raises:
        DataError: fewer than ``MIN_SAMPLES``.
    """
    if n >= MIN_SAMPLES:
        return
    taken = 0 if qc is None or qc.relatives is None else qc.relatives.matrix.n_samples
    what, why = f"sample{'' if n == 1 else 's'} to train on", f"a model needs at least {MIN_SAMPLES}"
    fix = "add samples, or embed these with a model trained on a reference: genovi embed"
    if taken and n + taken >= MIN_SAMPLES:
        what, why = f"unrelated {what}", f"{why}, and --king-cutoff took {taken}"
        fix = "raise --king-cutoff, or leave it out"
    raise DataError(f"only {n} {what}", where=source, why=why, fix=fix)


def check_axes(matrix: GenotypeMatrix, pcs: int | None) -> None:
    """Refuse more components than the genotypes have.

    Raises:
        DataError: ``pcs`` is out of range.
    """
    n, m = matrix.n_samples, matrix.n_variants
    refuse_axes(pcs, min(n - 1, m), f"{n} samples x {m} variants")


def refuse_axes(pcs: int | None, most: int, source: str) -> None:
    """Refuse more components than ``most``, which is what ``source`` has.

    Raises:
        DataError: ``pcs`` is out of range.
    """
    if pcs is not None and not 1 <= pcs <= most:
        raise DataError(
            f"{pcs} principal components cannot come from {source}",
            where=f"--pcs {pcs}",
            why=f"there are at most {most}",
            fix="--pcs auto",
        )
