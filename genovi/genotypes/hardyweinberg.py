"""Exact test of Hardy-Weinberg equilibrium, and the filter by it, as PLINK 2 has them (``--hardy``, ``--hwe``).

Of n samples with r copies of the rarer allele, the number h of heterozygotes has under equilibrium the probability

    P(h) = 2^h n! / (h! a! b!)  r! (2n - r)! / (2n)!,     a = (r - h) / 2,  b = n - h - a,

and the p-value is the sum of P over all outcomes that are at most as likely as the observed one; the mid-p value counts
those as likely as it half. Logarithms, so that p-values far below 1e-308 still compare with a threshold.
Sources: Wigginton, Cutler, Abecasis (2005), American Journal of Human Genetics 76(5):887; Graffelman and Moreno (2013),
Statistical Applications in Genetics and Molecular Biology 12(4):433 (mid-p).

In samples from several populations heterozygotes are too few wherever populations differ (Wahlund), so that the
variants which tell of ancestry fail. Too many heterozygotes are what errors of genotyping and of mapping make, and
structure does not: ``keep_fewhet`` filters by these alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from genovi.errors import ConfigError
from genovi.genotypes.counting import AlleleCounts


@dataclass(frozen=True)
class HardyWeinberg:
    """What ``--hwe`` is asked to do.

    Attributes:
        p: Smallest p-value that stays, in [0, 1].
        k: Makes the threshold p 10^(-n k) for a variant with n observed samples, at least 0.
        midp: Take mid-p values.
        keep_fewhet: Variants with fewer heterozygotes than expected stay.

    Raises:
        ConfigError: a value makes no sense.
    """

    p: float
    k: float = 0.0
    midp: bool = False
    keep_fewhet: bool = False

    def __str__(self) -> str:
        modifiers = [word for word, set_ in (("midp", self.midp), ("keep-fewhet", self.keep_fewhet)) if set_]
        return " ".join([f"{self.p:g}", *([f"{self.k:g}"] if self.k else []), *modifiers])

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ConfigError(f"--hwe {self.p:g} is outside [0, 1]", fix="choose a p-value, such as 1e-6")
        if not 0 <= self.k < math.inf:
            raise ConfigError(f"--hwe {self.p:g} {self.k:g}: k is below 0", fix="0.001 is usual, 0 leaves n out")

    def reason(self) -> str:
        """Why a variant goes, in words."""
        power = f" 10^(-{self.k:g} n)" if self.k else ""
        which = ", too many heterozygotes" if self.keep_fewhet else ""
        return (
            f"the {'mid-p' if self.midp else 'p-'}value of Hardy-Weinberg equilibrium is below {self.p:g}{power}{which}"
        )


def hardy_weinberg_log_p(counts: AlleleCounts, midp: bool = False) -> np.ndarray:
    """Natural logarithm of the p-value of each variant; 0 where nobody is observed.

    Args:
        counts: Of biallelic, diploid variants.
        midp: Take mid-p values.

    Returns:
        shape (n_variants,), float64.
    """
    from genovi.genotypes import hwekernels

    log_p = np.zeros(len(counts.n_alt))
    rare = np.minimum(counts.n_alt, 2 * counts.n_observed - counts.n_alt)
    seen = counts.n_observed > 0
    found = np.empty(int(seen.sum()))
    hwekernels.exact_test(counts.n_het[seen], rare[seen], counts.n_observed[seen], midp, found)
    log_p[seen] = found
    return log_p


def few_heterozygotes(counts: AlleleCounts) -> np.ndarray:
    """Variants with fewer heterozygotes than equilibrium lets expect, shape (n_variants,), bool."""
    alleles = 2.0 * counts.n_observed
    with np.errstate(invalid="ignore", divide="ignore"):
        return counts.n_het < counts.n_alt * (alleles - counts.n_alt) / (alleles - 1)


def passes_hwe(counts: AlleleCounts, config: HardyWeinberg) -> np.ndarray:
    """Variants that ``--hwe`` keeps, shape (n_variants,), bool."""
    with np.errstate(divide="ignore"):
        threshold = np.log(config.p) - counts.n_observed * config.k * math.log(10.0)
    # The margin keeps p-values that equal the threshold.
    good = hardy_weinberg_log_p(counts, config.midp) >= threshold - 1e-9
    return good | few_heterozygotes(counts) if config.keep_fewhet else good
