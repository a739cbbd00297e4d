"""Genotypes of any format to a PLINK 1 fileset, which genovi maps into memory instead of parsing it again.

Rows are written while the input is read: memory does not depend on its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genovi.files import check_writable
from genovi.genotypes.batches import joined_name
from genovi.genotypes.filesets import part
from genovi.genotypes.kinds import KINDS
from genovi.genotypes.memory import MemoryPlan
from genovi.genotypes.plink1 import SUFFIXES
from genovi.genotypes.quality import QCConfig, QCStep
from genovi.genotypes.reading import open_sources
from genovi.genotypes.regions import BuildGuess
from genovi.genotypes.rules import Known, Rules
from genovi.genotypes.steps import StepLog
from genovi.genotypes.streaming import sift
from genovi.genotypes.writing import writing_plink1

# What PLINK 1 can hold, and no step that is not asked for.
_RULES = Rules(frozenset(KINDS) - {"multi-allelic"}, "biallelic variants", unique=False, varying=False, mute=True)
EVERYTHING = QCConfig(maf=0.0, geno=1.0, mind=1.0, indep_pairwise=None, autosomes_only=False, long_range_ld=False)
_THRESHOLDS = ("--mind", "--geno", "--maf")
_WRITE_AT_ONCE = MemoryPlan(None, 0, None)


@dataclass(frozen=True)
class Conversion:
    """What ``convert`` wrote.

    Attributes:
        files: The three files.
        n_samples: Samples written.
        n_variants: Variants written.
        steps: What was left out, step by step.
        build: Genome build of the input; a fileset does not record it.
    """

    files: tuple[Path, ...]
    n_samples: int
    n_variants: int
    steps: tuple[QCStep, ...]
    build: BuildGuess

    @property
    def n_multiallelic(self) -> int:
        """Variants left out because they have several ALT alleles."""
        return self._removed(_RULES.kinds_name)

    @property
    def n_elsewhere(self) -> int:
        """Variants left out because --chr or --region does not name their place."""
        return self._removed("--chr") + self._removed("--region")

    def _removed(self, name: str) -> int:
        return sum(step.removed for step in self.steps if step.name == name)

    def lines(self) -> list[str]:
        """For people."""
        left_out = [_left_out(step) for step in self.steps if step.removed]
        return [
            f"wrote {self.n_samples} samples x {self.n_variants} variants to {self.files[0]}"
            + (f"; left out {', '.join(left_out)}" if left_out else ""),
            f"genome build: {self.build.build} ({self.build.reason})",
        ]


def _left_out(step: QCStep) -> str:
    if step.name == _RULES.kinds_name:
        return step.reason
    what = "samples " if step.kind == "samples" else ""
    return f"{step.removed} {what}{f'by {step.name}' if step.name in _THRESHOLDS else step.reason}"


def convert(paths: Sequence[Path], prefix: Path, config: QCConfig = EVERYTHING, *, force: bool = False) -> Conversion:
    """Write ``prefix.bed``, ``prefix.bim`` and ``prefix.fam``.

    A1 of the ``.bim`` is the counted allele: ALT of VCF, BCF, PLINK 2 and VCF Zarr, the first allele of EIGENSTRAT.
    Multi-allelic variants, which the format cannot hold, are left out. Sites without ALT keep "." as A1.

    Args:
        paths: As for ``open_sources``.
        prefix: Path without suffix.
        config: Filters, none by default. Duplicate positions, long-range LD and pruning are left to training.
        force: Overwrite the three files.

    Raises:
        ConfigError: a file exists and ``force`` is false, or the input makes no sense.
        DataError: the input is bad, nothing is left to write, or a name has white space.
        MismatchError: files have different samples.
        ResourceError: the files cannot be written.
    """
    files = tuple(part(prefix, suffix) for suffix in SUFFIXES)
    for file in files:
        check_writable(file, force)
    config = replace(config, autosomes_only=False)
    with open_sources(paths, config.split_multiallelic) as sources:
        name = joined_name([source.name for source in sources])
        steps = StepLog(name)
        with writing_plink1(prefix, name) as writer:
            sieve, facts = sift(sources, config, _RULES, Known(), _WRITE_AT_ONCE, writer.begin, steps)
            n_variants = writer.n_variants
    return Conversion(files, len(sieve.samples), n_variants, tuple(steps.steps), sieve.evidence.guess(facts))
