"""Quality control under PLINK's names: which samples and variants stay, and for each step what went and why.

Order: --keep, --remove; --chr or autosomes; --extract, --exclude; biallelic SNPs; duplicate positions; --mind; --geno;
--hwe; monomorphic variants; --maf; --king-cutoff; long-range LD; --indep-pairwise. Later steps see only what earlier
ones left, the last two only samples without close relatives. Thresholds are PLINK's: a share of missing genotypes above
--mind or --geno goes, a minor allele frequency below --maf goes, a kinship above --king-cutoff goes.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.counting import AlleleCounts, allele_counts, allele_frequency
from genovi.genotypes.hardyweinberg import few_heterozygotes, passes_hwe
from genovi.genotypes.idlists import match_variants, read_id_list
from genovi.genotypes.kinship import Relatives, autosomal, doubts, related_pairs, unrelated, warn_of_relatives
from genovi.genotypes.ld import indep_pairwise
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable
from genovi.genotypes.quality import QCConfig, QCReport, QCStep
from genovi.genotypes.regions import (
    AUTOSOMES,
    BUILDS,
    BuildGuess,
    are_human,
    guess_build,
    in_long_range_ld,
    normalise_chromosome,
    normalise_chromosomes,
)

__all__ = [
    "AlleleCounts", "QCConfig", "QCReport", "QCStep", "allele_counts", "allele_frequency", "apply_qc", "read_id_list",
    "variant_kinds",
]  # fmt: skip

logger = logging.getLogger("genovi")

_BASES = frozenset("ACGT")
_CODES = frozenset("01234")  # PLINK's numbered alleles; 0 stands for the allele nobody carries
_N_EXAMPLES = 20


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
    run = _Run(matrix, config)
    run.select_samples()
    run.select_chromosomes()
    run.select_variants()
    run.keep_snps()
    run.drop_duplicates()
    run.filter_missing_samples()
    run.filter_frequencies()
    run.set_relatives_aside()
    run.drop_long_range_ld()
    run.prune()
    facts = matrix.facts
    report = QCReport(
        steps=tuple(run.steps),
        thresholds=config.thresholds(),
        build=run.build,
        n_samples=(matrix.n_samples, run.matrix.n_samples),
        n_variants=(matrix.n_variants, run.matrix.n_variants),
        calls={
            "half_calls": facts.half_calls,
            "haploid_calls": facts.haploid_calls,
            "records_without_gt": facts.records_without_gt,
            "split_records": facts.split_records,
        },
        relatives=run.relatives,
    )
    return run.matrix, report


def variant_kinds(variants: VariantTable) -> np.ndarray:
    """What each record is: "SNP", "multi-allelic", "indel or MNV", "no ALT" or "other" (symbolic, ``*``, ambiguous).

    Alleles of a SNP are two of A, C, G, T, or two different numbered alleles of PLINK (0 to 4).

    Returns:
        shape (n_variants,), object (str).
    """
    pairs = list(zip(variants.ref.tolist(), variants.alt.tolist(), strict=True))
    table = {pair: _kind(*pair) for pair in set(pairs)}
    kinds = np.empty(len(pairs), dtype=object)
    kinds[:] = [table[pair] for pair in pairs]
    return kinds


def _kind(ref: str, alt: str) -> str:
    if "," in alt:
        return "multi-allelic"
    if alt in (".", ""):
        return "no ALT"
    if ref != alt and ({ref, alt} <= _BASES or {ref, alt} <= _CODES):
        return "SNP"
    return "indel or MNV" if set(ref + alt) <= _BASES | {"N"} and max(len(ref), len(alt)) > 1 else "other"


class _Run:
    """One run of quality control: the matrix as it shrinks, and the steps so far."""

    def __init__(self, matrix: GenotypeMatrix, config: QCConfig) -> None:
        self.matrix = matrix
        self.config = config
        self.steps: list[QCStep] = []
        self.relatives: Relatives | None = None
        self.chroms = normalise_chromosomes(matrix.variants.chrom)
        self.build = _build_of(matrix, config)

    def select_samples(self) -> None:
        """--keep and --remove."""
        for name, ids in (("keep", self.config.keep), ("remove", self.config.remove)):
            if ids is None:
                continue
            here = set(self.matrix.samples)
            _warn_unmatched(name, ids - here, len(ids))
            mask = np.array([(sample in ids) == (name == "keep") for sample in self.matrix.samples], dtype=bool)
            self._take_samples(
                f"--{name}", mask, f"not on the --{name} list" if name == "keep" else "on the --remove list"
            )

    def select_chromosomes(self) -> None:
        """--chr, or the autosomes where contigs are human."""
        wanted = self.config.chromosomes
        if wanted is not None:
            names = {normalise_chromosome(name) for name in wanted}
            absent = sorted(names - set(self.chroms.tolist()))
            if absent:
                logger.warning("--chr names chromosomes without variants: %s", ", ".join(absent[:_N_EXAMPLES]))
            self._take_variants("--chr", np.isin(self.chroms, list(names)), "on other chromosomes")
        elif self.config.autosomes_only:
            if are_human(self.chroms.tolist()):
                self._take_variants("autosomes", np.isin(self.chroms, AUTOSOMES), "not on chromosomes 1-22")
            else:
                self._take_variants(
                    "autosomes", np.ones(len(self.chroms), dtype=bool), "contigs are not human: all stay"
                )

    def select_variants(self) -> None:
        """--extract and --exclude."""
        for name, ids in (("extract", self.config.extract), ("exclude", self.config.exclude)):
            if ids is None:
                continue
            listed, unmatched = match_variants(self.matrix.variants, self.chroms, ids)
            _warn_unmatched(name, unmatched, len(ids))
            keep = listed if name == "extract" else ~listed
            self._take_variants(f"--{name}", keep, f"{'not ' if name == 'extract' else ''}on the --{name} list")

    def keep_snps(self) -> None:
        """Biallelic SNPs."""
        kinds = variant_kinds(self.matrix.variants)
        others = [kind for kind in ("multi-allelic", "indel or MNV", "no ALT", "other") if np.any(kinds == kind)]
        reason = ", ".join(f"{np.sum(kinds == kind)} {kind}" for kind in others) or "all are biallelic SNPs"
        self._take_variants("biallelic SNPs", kinds == "SNP", reason)

    def drop_duplicates(self) -> None:
        """Keep the first variant of each position."""
        seen: set[tuple[str, int]] = set()
        first = np.empty(self.matrix.n_variants, dtype=bool)
        for i, place in enumerate(zip(self.chroms.tolist(), self.matrix.variants.pos.tolist(), strict=True)):
            first[i] = place not in seen
            seen.add(place)
        self._take_variants("duplicate positions", first, "a variant before them has the same position")

    def filter_missing_samples(self) -> None:
        """--mind."""
        counts = allele_counts(self.matrix)
        share = counts.sample_missing / max(1, self.matrix.n_variants)
        bad = share > self.config.mind
        if bad.any():
            names = [f"{self.matrix.samples[i]} ({share[i]:.1%})" for i in np.flatnonzero(bad)[:_N_EXAMPLES]]
            more = f" and {bad.sum() - len(names)} more" if bad.sum() > len(names) else ""
            logger.warning(
                "--mind %g removes samples with too many missing genotypes (%d): %s%s",
                self.config.mind,
                bad.sum(),
                ", ".join(names),
                more,
            )
        self._take_samples("--mind", ~bad, f"more than {self.config.mind:g} of their genotypes are missing")

    def filter_frequencies(self) -> None:
        """--geno, monomorphic variants, --maf."""
        counts = allele_counts(self.matrix)
        n_samples = self.matrix.n_samples
        complete = (n_samples - counts.n_observed) <= self.config.geno * n_samples
        left = np.ones(self.matrix.n_variants, dtype=bool)
        for name, good, reason in (
            ("--geno", complete, f"more than {self.config.geno:g} of the samples are missing"),
            *self._hwe_step(counts, complete),
            ("monomorphic", _varies(counts), "all observed alleles are the same"),
            ("--maf", self._common(counts), f"the minor allele is rarer than {self.config.maf:g}"),
        ):
            after = left & good
            self._record(name, "variants", int(left.sum()), int(left.sum() - after.sum()), reason)
            left = after
        self._shrink(left)

    def _common(self, counts: AlleleCounts) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            # The margin of float64 keeps frequencies that equal the threshold, such as 25 of 2,500 at 0.01.
            return counts.minor_frequency >= self.config.maf * (1 - 1e-12)

    def _hwe_step(self, counts: AlleleCounts, left: np.ndarray) -> list[tuple[str, np.ndarray, str]]:
        """--hwe where it is asked for, on autosomes."""
        if self.config.hwe is None:
            return []
        good = passes_hwe(counts, self.config.hwe) | ~autosomal(self.chroms)
        n_few = int((~good & left & few_heterozygotes(counts)).sum())
        if n_few:
            logger.warning(
                "--hwe removes %d variants with too few heterozygotes, as differences between populations make them: "
                "add keep-fewhet to keep those",
                n_few,
            )
        return [("--hwe", good, self.config.hwe.reason())]

    def set_relatives_aside(self) -> None:
        """--king-cutoff, or a warning of relatives."""
        cutoff = self.config.king_cutoff
        if cutoff is None:
            self._record("relatives", "samples", self.matrix.n_samples, 0, warn_of_relatives(self.matrix))
            return
        if not autosomal(self.chroms).any():
            raise DataError(
                "no variants to estimate kinship from",
                where=self.matrix.source,
                why="--king-cutoff looks at autosomes only, and none is left",
                fix="leave --king-cutoff out, or keep autosomes with --chr",
            )
        doubt = doubts(self.chroms, cutoff)
        if doubt is not None:
            logger.warning("--king-cutoff may take unrelated samples for relatives: %s", doubt)
        pairs = related_pairs(self.matrix, cutoff)
        kept = unrelated(self.matrix.n_samples, pairs)
        self.relatives = Relatives.of(self.matrix, kept, pairs)
        reason = f"{len(pairs)} pairs have a kinship above {cutoff:g}"
        self._take_samples("--king-cutoff", kept, reason, self.matrix.n_samples)  # embedded all the same: name all
        if not kept.all():
            counts = allele_counts(self.matrix)
            common = _varies(counts) & self._common(counts)
            self._take_variants(
                "--maf again", common, f"without relatives the minor allele is rarer than {self.config.maf:g}"
            )

    def drop_long_range_ld(self) -> None:
        """Regions of long-range LD, where the build is known."""
        if not self.config.long_range_ld:
            return
        if self.build.build not in BUILDS:
            if are_human(self.chroms.tolist()) and self.config.build != "none":
                logger.warning("regions of long-range LD stay: %s; name the build with --build", self.build.reason)
            self._record("long-range LD", "variants", self.matrix.n_variants, 0, f"all stay: {self.build.reason}")
            return
        inside = in_long_range_ld(self.chroms, self.matrix.variants.pos, self.build.build)
        self._take_variants("long-range LD", ~inside, f"in long-range LD regions of {self.build.build}")

    def prune(self) -> None:
        """--indep-pairwise."""
        if self.config.indep_pairwise is None:
            return
        window, step, r2 = self.config.indep_pairwise
        kept = indep_pairwise(self.matrix, window, step, r2)
        self._take_variants("--indep-pairwise", kept, f"r2 above {r2:g} with another variant within {window}")

    def _take_variants(self, name: str, mask: np.ndarray, reason: str) -> None:
        self._record(name, "variants", len(mask), int(len(mask) - mask.sum()), reason)
        self._shrink(mask)

    def _shrink(self, mask: np.ndarray) -> None:
        if not mask.all():
            self.matrix = self.matrix.take_variants(mask)
            if self.relatives is not None:
                self.relatives = replace(self.relatives, matrix=self.relatives.matrix.take_variants(mask))
            self.chroms = self.chroms[mask]

    def _take_samples(self, name: str, mask: np.ndarray, reason: str, n_examples: int = _N_EXAMPLES) -> None:
        gone = np.flatnonzero(~mask)
        examples = tuple(self.matrix.samples[i] for i in gone[:n_examples])
        self._record(name, "samples", len(mask), len(gone), reason, examples)
        if len(gone):
            self.matrix = self.matrix.take_samples(mask)

    def _record(
        self, name: str, kind: str, before: int, removed: int, reason: str, examples: tuple[str, ...] = ()
    ) -> None:
        step = QCStep(name, kind, before, removed, reason, examples)
        self.steps.append(step)
        logger.info("%s: %d of %d %s removed, %d kept (%s)", name, removed, before, kind, step.kept, reason)
        if step.kept == 0:
            raise _nothing_left(self.matrix, kind, [one for one in self.steps if one.kind == kind])


def _varies(counts: AlleleCounts) -> np.ndarray:
    return (counts.n_alt > 0) & (counts.n_alt < 2 * counts.n_observed)


def _build_of(matrix: GenotypeMatrix, config: QCConfig) -> BuildGuess:
    if config.build == "auto":
        return guess_build(matrix)
    if config.build == "none":
        return BuildGuess("unknown", "--build none")
    return BuildGuess(config.build, f"--build {config.build}")


def _warn_unmatched(option: str, unmatched: frozenset[str] | set[str], n_ids: int) -> None:
    if unmatched:
        examples = ", ".join(sorted(unmatched)[:3]) + (", ..." if len(unmatched) > 3 else "")
        logger.warning(
            "%d of %d identifiers on the --%s list match nothing: %s", len(unmatched), n_ids, option, examples
        )


_REMEDIES = {
    "--keep": "check that the --keep list has the sample names of the input",
    "--remove": "check the --remove list",
    "--chr": "name chromosomes of the input with --chr",
    "autosomes": "choose other chromosomes with --chr",
    "--extract": "check that the --extract list has identifiers or chrom:pos of the input",
    "--exclude": "check the --exclude list",
    "biallelic SNPs": "give SNPs; split multi-allelic records with `bcftools norm -m-`",
    "--mind": "raise --mind, or remove bad variants first",
    "--geno": "raise --geno",
    "--hwe": "lower its p-value",
    "monomorphic": "give more samples",
    "--maf": "lower --maf",
    "long-range LD": "keep these regions with --build none",
    "--indep-pairwise": "raise the r2 of --indep-pairwise",
}


def _nothing_left(matrix: GenotypeMatrix, kind: str, steps: list[QCStep]) -> DataError:
    worst = max(steps, key=lambda step: step.removed)
    return DataError(
        f"no {kind} left after quality control",
        where=matrix.source,
        why=f"{worst.name} removed {worst.removed} of {worst.before} ({worst.reason})",
        fix=_REMEDIES.get(worst.name),
    )
