"""The steps of quality control as they are taken: recorded, logged, and blamed where nothing is left."""

from __future__ import annotations

import logging

from genovi.errors import DataError
from genovi.genotypes.quality import QCStep

logger = logging.getLogger("genovi")

N_EXAMPLES = 20
_REMEDIES = {
    "--keep": "check that the --keep list has the sample names of the input",
    "--remove": "check the --remove list",
    "--chr": "name chromosomes of the input with --chr",
    "--region": "check names and positions of --region against the input",
    "autosomes": "choose other chromosomes with --chr",
    "--extract": "check that the --extract list has identifiers or chrom:pos of the input",
    "--exclude": "check the --exclude list",
    "biallelic SNPs": "give SNPs; split multi-allelic records with `bcftools norm -m-`",
    "biallelic variants": "split multi-allelic records with `bcftools norm -m-`",
    "--mind": "raise --mind, or remove bad variants first",
    "--geno": "raise --geno",
    "--hwe": "lower its p-value",
    "monomorphic": "give more samples",
    "--maf": "lower --maf",
    "long-range LD": "keep these regions with --build none",
    "--indep-pairwise": "raise the r2 of --indep-pairwise",
}


class StepLog:
    """Steps so far.

    Args:
        source: Name of the input, for messages.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self.steps: list[QCStep] = []

    def record(
        self, name: str, kind: str, before: int, removed: int, reason: str, examples: tuple[str, ...] = ()
    ) -> None:
        """Record a step, with the arguments of ``QCStep``.

        Raises:
            DataError: it left nothing; says which step of its kind took the most.
        """
        step = QCStep(name, kind, before, removed, reason, examples)
        self.steps.append(step)
        logger.info("%s: %d of %d %s removed, %d kept (%s)", name, removed, before, kind, step.kept, reason)
        if step.kept == 0:
            raise self._nothing_left(kind)

    def _nothing_left(self, kind: str) -> DataError:
        worst = max((step for step in self.steps if step.kind == kind), key=lambda step: step.removed)
        return DataError(
            f"no {kind} left after quality control",
            where=self._source,
            why=f"{worst.name} removed {worst.removed} of {worst.before} ({worst.reason})",
            fix=_REMEDIES.get(worst.name),
        )


def warn_unmatched(option: str, unmatched: frozenset[str] | set[str], n_ids: int) -> None:
    """Warn of identifiers on a list that the input does not have."""
    if unmatched:
        examples = ", ".join(sorted(unmatched)[:3]) + (", ..." if len(unmatched) > 3 else "")
        logger.warning(
            "%d of %d identifiers on the --%s list match nothing: %s", len(unmatched), n_ids, option, examples
        )
