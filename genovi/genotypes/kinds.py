"""What each record is: a SNP, multi-allelic, or something else."""

from __future__ import annotations

import numpy as np

from genovi.genotypes.matrix import VariantTable

KINDS = ("SNP", "multi-allelic", "indel or MNV", "no ALT", "other")
_BASES = frozenset("ACGT")
_READ = frozenset("ACGTN")
_CODES = frozenset("01234")  # PLINK's numbered alleles; 0 stands for the allele nobody carries
_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
_IS_BASE, _IS_CODE = (np.isin(np.arange(256), [ord(letter) for letter in letters]) for letters in (_BASES, _CODES))


def kind_numbers(variants: VariantTable) -> np.ndarray:
    """What each record is: "SNP", "multi-allelic", "indel or MNV", "no ALT" or "other" (symbolic, ``*``, ambiguous).

    Alleles of a SNP are two of A, C, G, T, or two different numbered alleles of PLINK (0 to 4).

    Returns:
        Places in ``KINDS``, shape (n_variants,), int8.
    """
    ref, alt = _letters(variants.ref), _letters(variants.alt)
    snp = (ref != alt) & ((_IS_BASE[ref] & _IS_BASE[alt]) | (_IS_CODE[ref] & _IS_CODE[alt]))
    numbers = np.zeros(len(variants), dtype=np.int8)
    others = np.flatnonzero(~snp)
    pairs = zip(variants.ref[others].tolist(), variants.alt[others].tolist(), strict=True)
    numbers[others] = [_NUMBERS[_kind(*pair)] for pair in pairs]
    return numbers


def _letters(alleles: np.ndarray) -> np.ndarray:
    """Codes of alleles that are one letter, 0 for others, shape (n_variants,), uint8, as numbers are fast."""
    names = alleles.tolist()
    if not names:
        return np.zeros(0, dtype=np.uint8)
    text = np.frombuffer("\n".join([*names, ""]).encode("latin-1", "replace"), dtype=np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    if len(ends) > len(names):  # a line end within an allele
        return _letters(np.array(["" if "\n" in name else name for name in names], dtype=object))
    starts = np.concatenate([[0], ends[:-1] + 1])
    return np.where(ends - starts == 1, text[starts], 0)


def _kind(ref: str, alt: str) -> str:
    """Of a record that is no SNP."""
    if "," in alt:
        return "multi-allelic"
    if alt in (".", ""):
        return "no ALT"
    return "indel or MNV" if max(len(ref), len(alt)) > 1 and _READ.issuperset(ref + alt) else "other"
