"""What each record is: a SNP, multi-allelic, or something else."""

from __future__ import annotations

import numpy as np

from genovi.genotypes.matrix import VariantTable

KINDS = ("SNP", "multi-allelic", "indel or MNV", "no ALT", "other")
_BASES = frozenset("ACGT")
_CODES = frozenset("01234")  # PLINK's numbered alleles; 0 stands for the allele nobody carries


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
