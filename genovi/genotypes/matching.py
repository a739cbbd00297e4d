"""Matching the variants of new data to those of a model: by chromosome, position and alleles.

A model variant is

    matched     found with the same alleles, or invariant in the new data with the model's other allele as REF
    swapped     found with counted and other allele exchanged: dosages are recoded as 2 - dosage
    absent      no record at its position: missing in every sample, never homozygous for the reference
    ambiguous   a record is there, but its alleles are others, or exchanged at an A/T or C/G site, where an exchange
                cannot be told from the other strand: missing in every sample

``chr1`` and ``1`` are the same chromosome.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from genovi.genotypes.matrix import GenotypeMatrix, VariantTable
from genovi.genotypes.regions import normalise_chromosome

STATUSES = ("matched", "swapped", "absent", "ambiguous")
_MATCHED, _SWAPPED, _ABSENT, _AMBIGUOUS = range(4)
_ALL_MISSING = np.uint8(0b01010101)
_FLIP = np.array(
    [sum(((3 - c) if c in (0, 3) else c) << s for s in (0, 2, 4, 6) for c in [(byte >> s) & 3]) for byte in range(256)],
    dtype=np.uint8,
)
_NO_ALT = {".", "0"}  # VCF and PLINK 1 for "no other allele seen here"
_PALINDROMES = {("A", "T"), ("T", "A"), ("C", "G"), ("G", "C")}


@dataclass(frozen=True)
class VariantMatch:
    """How each variant of a model was found in new data.

    Attributes:
        variants: The model's variants, shape (m,).
        row: Row of the new data used, -1 where none, shape (m,), int64.
        status: Index into ``STATUSES``, shape (m,), int8.
    """

    variants: VariantTable
    row: np.ndarray
    status: np.ndarray

    @property
    def usable(self) -> float:
        """Share of the model's variants that are matched or swapped."""
        return float((self.status <= _SWAPPED).mean()) if len(self.status) else 0.0

    def counts(self) -> dict[str, int]:
        """Number of variants of each status."""
        return {name: int((self.status == i).sum()) for i, name in enumerate(STATUSES)}

    def describe(self) -> str:
        """Share of usable variants and the counts, in words."""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts().items())
        return f"{100 * self.usable:.1f} % of the model's {len(self.variants)} variants ({counts})"

    def table(self) -> pd.DataFrame:
        """One row per model variant, for ``match.tsv``."""
        v = self.variants
        return pd.DataFrame(
            {"CHROM": v.chrom, "POS": v.pos, "ID": v.id, "REF": v.ref, "ALT": v.alt}
            | {"STATUS": np.array(STATUSES, dtype=object)[self.status]}
        )


def match_variants(model: VariantTable, data: VariantTable) -> VariantMatch:
    """Find each variant of ``model`` in ``data``; the best record counts where several share a position."""
    rows_at: dict[tuple[str, int], list[int]] = {}
    names = {c: normalise_chromosome(c) for c in set(model.chrom) | set(data.chrom)}
    wanted = {(names[c], p) for c, p in zip(model.chrom, model.pos.tolist(), strict=True)}
    for row, (chrom, pos) in enumerate(zip(data.chrom, data.pos.tolist(), strict=True)):
        key = (names[chrom], pos)
        if key in wanted:
            rows_at.setdefault(key, []).append(row)
    found = np.full(len(model), -1, dtype=np.int64)
    status = np.full(len(model), _ABSENT, dtype=np.int8)
    for i, key in enumerate(zip(model.chrom, model.pos.tolist(), strict=True)):
        verdicts = [
            (_compare(model.ref[i], model.alt[i], data.ref[row], data.alt[row]), row)
            for row in rows_at.get((names[key[0]], key[1]), ())
        ]
        if verdicts:
            # a record that names both alleles says more than one of the same place that names REF only
            status[i], found[i] = min(verdicts, key=lambda v: (v[0] == _AMBIGUOUS, data.alt[v[1]] in _NO_ALT, *v))
    found[status == _AMBIGUOUS] = -1
    return VariantMatch(model, found, status)


def _compare(model_ref: str, model_alt: str, ref: str, alt: str) -> int:
    if (ref, alt) == (model_ref, model_alt) or (alt in _NO_ALT and ref == model_ref):
        return _MATCHED
    if (ref, alt) == (model_alt, model_ref):
        return _AMBIGUOUS if (ref, alt) in _PALINDROMES else _SWAPPED
    if alt in _NO_ALT and ref == model_alt and (ref, model_ref) not in _PALINDROMES:
        return _SWAPPED
    return _AMBIGUOUS


def align(matrix: GenotypeMatrix, match: VariantMatch) -> GenotypeMatrix:
    """The rows of ``matrix`` in the order and allele coding of the model; absent and ambiguous ones missing."""
    packed = np.full((len(match.variants), matrix.packed.shape[1]), _ALL_MISSING, dtype=np.uint8)
    for code in (_MATCHED, _SWAPPED):
        at = np.flatnonzero(match.status == code)
        rows = np.asarray(matrix.packed[match.row[at]])
        packed[at] = _FLIP[rows] if code == _SWAPPED else rows
    spare = packed.shape[1] * 4 - matrix.n_samples
    if spare:
        packed[:, -1] &= np.uint8(0xFF >> (2 * spare))
    return GenotypeMatrix(packed, matrix.samples, match.variants, matrix.source)
