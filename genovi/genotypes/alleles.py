"""How the alleles of a record read as those of a model's variant: same or exchanged, on this strand or the other.

A file may count the other allele of a SNP, and name alleles on the other strand of the DNA, where A pairs with T and C
with G. So a record of model alleles A/G may say A/G, G/A, T/C (flipped) or C/T (flipped and exchanged); only one of the
four fits. Of A/T and C/G (palindromic alleles) the two strands read alike: A/T is both "the same" and "flipped and
exchanged", and the alleles alone cannot tell which.
"""

from __future__ import annotations

MATCHED, SWAPPED, FLIPPED, FLIPPED_SWAPPED = range(4)
UNNAMED = frozenset({".", "0", "X", "<NON_REF>", "<*>"})  # VCF, PLINK, EIGENSTRAT, gVCF: "no such allele seen here"

_COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}


def is_palindromic(ref: str, alt: str) -> bool:
    """Whether the other strand names the same two alleles: A/T, C/G."""
    return _COMPLEMENT.get(ref) == alt


def readings(model: tuple[str, str], record: tuple[str, str]) -> tuple[int, int]:
    """How ``record`` reads as ``model``, both (other allele, counted allele).

    One allele of the record may be unnamed (one of ``UNNAMED``) where nobody carries it: the other one decides.

    Returns:
        Reading on the same strand (MATCHED or SWAPPED) and on the other (FLIPPED or FLIPPED_SWAPPED); -1 where there is
        none. Both are there for palindromic alleles only.
    """
    ref, alt = record
    if ref in UNNAMED and alt in UNNAMED:
        return -1, -1
    same = _order(model, (ref, alt))
    other = _order(model, (_complement(ref), _complement(alt)))
    return same, other + FLIPPED if other >= 0 else -1


def _order(model: tuple[str, str], record: tuple[str, str]) -> int:
    if _fits(record[0], model[0]) and _fits(record[1], model[1]):
        return MATCHED
    if _fits(record[0], model[1]) and _fits(record[1], model[0]):
        return SWAPPED
    return -1


def _fits(allele: str, wanted: str) -> bool:
    return allele == wanted or allele in UNNAMED


def _complement(allele: str) -> str:
    """The allele on the other strand; what is no base fits nothing there, but for what is unnamed."""
    return _COMPLEMENT.get(allele, allele if allele in UNNAMED else "")
