"""What quality control is asked to do, and what it reports: QCConfig, QCStep, QCReport."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from genovi.errors import ConfigError
from genovi.genotypes.choosing import Choice, Region, choose
from genovi.genotypes.hardyweinberg import HardyWeinberg
from genovi.genotypes.kinship import Relatives, check_king_cutoff
from genovi.genotypes.ld import check_indep_pairwise
from genovi.genotypes.regions import BUILDS, BuildGuess


@dataclass(frozen=True)
class QCConfig:
    """What to keep. Defaults suit an ancestry embedding of array or sequence data.

    Attributes:
        maf: Smallest minor allele frequency, in [0, 0.5].
        geno: Largest share of samples missing at a variant, in [0, 1].
        mind: Largest share of variants missing in a sample, in [0, 1].
        hwe: Test of Hardy-Weinberg equilibrium of autosomal variants; None switches it off.
        king_cutoff: Largest kinship of two samples that are both trained on, in (0, 0.5]; None takes all, with a
            warning where relatives are seen.
        indep_pairwise: Window (variants), step (variants) and largest r2 of LD pruning; None switches it off.
        keep: Samples to keep, None for all; as ``read_id_list`` gives them.
        remove: Samples to remove.
        extract: Variants to keep, None for all: identifiers, "chrom:pos", or "chrom:pos:ref:alt" with the alleles in
            either order.
        exclude: Variants to remove, in the same forms.
        chromosomes: Chromosomes to keep; None for the autosomes, or for all contigs (see ``autosomes_only``).
        regions: Regions to keep instead of whole chromosomes; None for all.
        autosomes_only: Keep only chromosomes 1-22 where contigs are human; elsewhere all contigs stay.
        build: "auto", "GRCh37", "GRCh38", or "none"; says where long-range LD regions lie.
        long_range_ld: Exclude regions of long-range LD, where the build is known.
        split_multiallelic: Whether the reader is to split records with several ALT alleles.

    Raises:
        ConfigError: a value makes no sense.
    """

    maf: float = 0.01
    geno: float = 0.05
    mind: float = 0.1
    hwe: HardyWeinberg | None = None
    king_cutoff: float | None = None
    indep_pairwise: tuple[int, int, float] | None = (50, 5, 0.2)
    keep: frozenset[str] | None = None
    remove: frozenset[str] | None = None
    extract: frozenset[str] | None = None
    exclude: frozenset[str] | None = None
    chromosomes: tuple[str, ...] | None = None
    regions: tuple[Region, ...] | None = None
    autosomes_only: bool = True
    build: str = "auto"
    long_range_ld: bool = True
    split_multiallelic: bool = False

    def __post_init__(self) -> None:
        for name, value, top in (("maf", self.maf, 0.5), ("geno", self.geno, 1.0), ("mind", self.mind, 1.0)):
            if not 0 <= value <= top:
                raise ConfigError(f"--{name} {value:g} is outside [0, {top:g}]", fix=f"choose a share in [0, {top:g}]")
        if self.indep_pairwise is not None:
            check_indep_pairwise(*self.indep_pairwise)
        if self.king_cutoff is not None:
            check_king_cutoff(self.king_cutoff)
        if self.build not in ("auto", "none", *BUILDS):
            raise ConfigError(f"--build {self.build!r} is not known", fix="choose auto, GRCh37, GRCh38 or none")
        if self.chromosomes is not None and not self.chromosomes:
            raise ConfigError("no chromosome named", where="--chr", fix="write it as 1-22 or 1,2,X")
        choose(self.chromosomes, self.regions)

    @property
    def choice(self) -> Choice | None:
        """The part of the genome that --chr or --region names; None for all of it."""
        return choose(self.chromosomes, self.regions)

    def words(self) -> str:
        """The settings as they are typed; of lists only their length."""
        kind = {"keep": "samples", "remove": "samples", "extract": "variants", "exclude": "variants"}
        pruning = "none" if self.indep_pairwise is None else " ".join(f"{one:g}" for one in self.indep_pairwise)
        listed = {name: getattr(self, name) for name in kind}
        given = {
            "--maf": f"{self.maf:g}",
            "--geno": f"{self.geno:g}",
            "--mind": f"{self.mind:g}",
            "--hwe": self.hwe,
            "--king-cutoff": None if self.king_cutoff is None else f"{self.king_cutoff:g}",
            "--indep-pairwise": pruning,
            "--chr": None if self.chromosomes is None else ",".join(self.chromosomes),
            "--build": self.build,
            **{f"--{name}": f"({len(ids):,} {kind[name]})" for name, ids in listed.items() if ids is not None},
        }
        regions = [f"--region {region}" for region in self.regions or ()]
        flags = ["--autosome" if self.autosomes_only else "--all-contigs"]
        flags += [] if self.long_range_ld else ["--no-long-range-ld"]
        flags += ["--split-multiallelic"] if self.split_multiallelic else []
        return " ".join([*(f"{name} {value}" for name, value in given.items() if value is not None), *regions, *flags])

    def thresholds(self) -> dict[str, Any]:
        """The settings for ``qc.json``; of lists only their length, for they may name people."""
        settings: dict[str, Any] = {
            "maf": self.maf,
            "geno": self.geno,
            "mind": self.mind,
            "hwe": None if self.hwe is None else asdict(self.hwe),
            "king_cutoff": self.king_cutoff,
            "indep_pairwise": None if self.indep_pairwise is None else list(self.indep_pairwise),
            "chromosomes": None if self.chromosomes is None else list(self.chromosomes),
            "regions": None if self.regions is None else [str(region) for region in self.regions],
            "autosomes_only": self.autosomes_only,
            "build": self.build,
            "long_range_ld": self.long_range_ld,
            "split_multiallelic": self.split_multiallelic,
        }
        for name in ("keep", "remove", "extract", "exclude"):
            ids = getattr(self, name)
            settings[f"n_{name}"] = None if ids is None else len(ids)
        return settings


@dataclass(frozen=True)
class QCStep:
    """One step of quality control.

    Attributes:
        name: The PLINK option, or what it does.
        kind: "samples" or "variants".
        before: Number before the step.
        removed: Number removed.
        reason: What went, in words.
        examples: Identifiers of the first samples removed; empty for variants.
    """

    name: str
    kind: str
    before: int
    removed: int
    reason: str
    examples: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """Number after the step."""
        return self.before - self.removed

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        result = {name: getattr(self, name) for name in ("name", "kind", "before", "removed", "kept", "reason")}
        return result | ({"examples": list(self.examples)} if self.examples else {})


@dataclass(frozen=True)
class QCReport:
    """What quality control did, in order.

    Attributes:
        steps: All steps that ran, also those that removed nothing.
        thresholds: ``QCConfig.thresholds``.
        build: Build used for the long-range LD regions, and why.
        n_samples: Samples before and after; those after are trained on.
        n_variants: Variants before and after.
        calls: Calls that the reader changed: half calls (missing), haploid calls (two copies), records without GT.
        relatives: Samples that are not trained on because of --king-cutoff, None without that option. Not part of
            ``to_dict``.
    """

    steps: tuple[QCStep, ...]
    thresholds: dict[str, Any]
    build: BuildGuess
    n_samples: tuple[int, int]
    n_variants: tuple[int, int]
    calls: dict[str, int] = field(default_factory=dict)
    relatives: Relatives | None = None

    def to_dict(self) -> dict[str, Any]:
        """For ``qc.json``."""
        return {
            "n_samples": {"before": self.n_samples[0], "after": self.n_samples[1]},
            "n_variants": {"before": self.n_variants[0], "after": self.n_variants[1]},
            "build": {"build": self.build.build, "reason": self.build.reason},
            "thresholds": self.thresholds,
            "calls": self.calls,
            "steps": [step.to_dict() for step in self.steps],
        }
