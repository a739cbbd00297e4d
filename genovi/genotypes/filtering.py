"""Quality control under PLINK's names: which samples and variants stay, and for each step what went and why.

Order: --keep, --remove; --chr, --region or autosomes; --extract, --exclude; biallelic SNPs; --mind; --geno; --hwe;
monomorphic variants; --maf; duplicate positions; --king-cutoff; long-range LD; --indep-pairwise. Later steps see only
what earlier ones left, the last two only samples without close relatives. Where a record with several ALT alleles has
become several rows, the first that passes all before stays, so that a rare allele does not hide a common one; --mind
counts the first row of a position. Thresholds are PLINK's: a share of missing genotypes above --mind or --geno goes, a
minor allele frequency below --maf goes, a kinship above --king-cutoff goes. As in plink2, variants at negative
positions go. The steps up to duplicate positions run while the input is read (``sieving``), with the same result.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.batches import Source, joined_name, source_of
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.keeping import RowStore
from genovi.genotypes.kinship import Relatives, autosomal, doubts, related_pairs, unrelated, warn_of_relatives
from genovi.genotypes.ld import indep_pairwise
from genovi.genotypes.matrix import GenotypeMatrix, InputFacts, VariantTable
from genovi.genotypes.memory import UNBOUNDED, MemoryPlan
from genovi.genotypes.quality import QCConfig, QCReport
from genovi.genotypes.regions import (
    BUILDS,
    BuildEvidence,
    BuildGuess,
    are_human,
    in_long_range_ld,
    normalise_chromosomes,
)
from genovi.genotypes.rules import Known, Rules
from genovi.genotypes.steps import StepLog
from genovi.genotypes.streaming import sift

logger = logging.getLogger("genovi")


def apply_qc(matrix: GenotypeMatrix, config: QCConfig) -> tuple[GenotypeMatrix, QCReport]:
    """Filter samples and variants.

    Args:
        matrix: Genotypes as read.
        config: What to keep.

    Returns:
        The genotypes that stay, in their order, and the report. Each step is logged.

    Raises:
        DataError: no sample or no variant is left; says which step took the most.
    """
    return filter_sources([source_of(matrix)], config, UNBOUNDED, Known(in_order=False))


def filter_sources(
    sources: Sequence[Source], config: QCConfig, plan: MemoryPlan, known: Known | None = None
) -> tuple[GenotypeMatrix, QCReport]:
    """Read sources and filter their samples and variants, with the result of ``apply_qc`` on all of them together.

    Args:
        sources: Of the same samples, in any order.
        config: What to keep.
        plan: How much memory may be taken.
        known: What is known of the input.

    Returns:
        As ``apply_qc``; the packed rows may be a map of a temporary file.

    Raises:
        DataError: a file is damaged or malformed, or nothing is left.
        MismatchError: the sources have different samples.
        ResourceError: what stays has no room.
    """
    with RowStore(plan.kept, plan.folder) as store:
        return _filtered(sources, config, plan, known or Known(), store)


def _filtered(
    sources: Sequence[Source], config: QCConfig, plan: MemoryPlan, known: Known, store: RowStore
) -> tuple[GenotypeMatrix, QCReport]:
    name = joined_name([source.name for source in sources])
    steps = StepLog(name)
    sieve, facts = sift(sources, config, Rules(), known, plan, store.begin, steps)
    build = _build_of(sieve.evidence, facts, config)
    run = _Run(store, sieve.samples, name, facts, steps)
    run.set_relatives_aside(config)
    run.drop_long_range_ld(config, build, sieve.evidence.why_not_human() is None)
    run.prune(config)
    matrix = run.matrix
    report = QCReport(
        steps=tuple(steps.steps),
        thresholds=config.thresholds(),
        build=build,
        n_samples=(len(sources[0].samples), matrix.n_samples),
        n_variants=(sieve.n_read + facts.n_elsewhere, matrix.n_variants),
        calls={
            "half_calls": facts.half_calls,
            "haploid_calls": facts.haploid_calls,
            "records_without_gt": facts.records_without_gt,
            "split_records": facts.split_records,
        },
        relatives=run.relatives,
    )
    return matrix, report


class _Run:
    """The steps after --maf, on what the store holds as it shrinks."""

    def __init__(
        self, store: RowStore, samples: tuple[str, ...], source: str, facts: InputFacts, steps: StepLog
    ) -> None:
        self._store = store
        self._samples, self._source, self._facts = samples, source, facts
        self.steps = steps
        self.relatives: Relatives | None = None

    @property
    def variants(self) -> VariantTable:
        return self._store.variants

    @property
    def matrix(self) -> GenotypeMatrix:
        return GenotypeMatrix(self._store.rows(), self._samples, self.variants, self._source, self._facts)

    def set_relatives_aside(self, config: QCConfig) -> None:
        """--king-cutoff, or a warning of relatives."""
        cutoff = config.king_cutoff
        if cutoff is None:
            self.steps.record("relatives", "samples", len(self._samples), 0, warn_of_relatives(self.matrix))
            return
        chroms = normalise_chromosomes(self.variants.chrom)
        if not autosomal(chroms).any():
            raise DataError(
                "no variants to estimate kinship from",
                where=self._source,
                why="--king-cutoff looks at autosomes only, and none is left",
                fix="leave --king-cutoff out, or keep autosomes with --chr",
            )
        doubt = doubts(chroms, cutoff)
        if doubt is not None:
            logger.warning("--king-cutoff may take unrelated samples for relatives: %s", doubt)
        pairs = related_pairs(self.matrix, cutoff)
        kept = unrelated(len(self._samples), pairs)
        self.relatives = Relatives.of(self.matrix, kept, pairs)
        # embedded all the same: name all
        gone = self.relatives.matrix.samples
        reason = f"{len(pairs)} pairs have a kinship above {cutoff:g}"
        self.steps.record("--king-cutoff", "samples", len(self._samples), len(gone), reason, gone)
        if len(gone):
            stay = np.flatnonzero(kept)
            self._store.take_samples(stay)
            self._samples = tuple(self._samples[i] for i in stay.tolist())
            counts = allele_counts(self.matrix)
            common = counts.varies & counts.is_common(config.maf)
            reason = f"without relatives the minor allele is rarer than {config.maf:g}"
            self.take_variants("--maf again", common, reason)

    def drop_long_range_ld(self, config: QCConfig, build: BuildGuess, human: bool) -> None:
        """Regions of long-range LD, where the build is known."""
        if not config.long_range_ld:
            return
        chroms = normalise_chromosomes(self.variants.chrom)
        if build.build not in BUILDS:
            if human and are_human(chroms.tolist()) and config.build != "none":
                logger.warning("regions of long-range LD stay: %s; name the build with --build", build.reason)
            self.steps.record("long-range LD", "variants", len(self.variants), 0, f"all stay: {build.reason}")
            return
        inside = in_long_range_ld(chroms, self.variants.pos, build.build)
        self.take_variants("long-range LD", ~inside, f"in long-range LD regions of {build.build}")

    def prune(self, config: QCConfig) -> None:
        """--indep-pairwise."""
        if config.indep_pairwise is None:
            return
        window, step, r2 = config.indep_pairwise
        kept = indep_pairwise(self.matrix, window, step, r2)
        self.take_variants("--indep-pairwise", kept, f"r2 above {r2:g} with another variant within {window}")

    def take_variants(self, name: str, mask: np.ndarray, reason: str) -> None:
        """Record a step and keep the variants of its mask."""
        self.steps.record(name, "variants", len(mask), int(len(mask) - mask.sum()), reason)
        if not mask.all():
            self._store.select(mask)
            if self.relatives is not None:
                self.relatives = replace(self.relatives, matrix=self.relatives.matrix.take_variants(mask))


def _build_of(evidence: BuildEvidence, facts: InputFacts, config: QCConfig) -> BuildGuess:
    if config.build == "auto":
        return evidence.guess(facts)
    if config.build == "none":
        return BuildGuess("unknown", "--build none")
    return BuildGuess(config.build, f"--build {config.build}")
