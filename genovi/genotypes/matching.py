"""Matching the variants of new data to those of a model: by place or by identifier, then by alleles.

A model variant is

    matched           found with the same alleles, or with one of them where the data name no other
    swapped           found with counted and other allele exchanged: dosages are recoded as 2 - dosage
    flipped           found with the alleles of the other strand: A/G as T/C
    flipped+swapped   both: A/G as C/T, recoded as 2 - dosage
    absent            no record there: missing in every sample, never homozygous for the reference
    ambiguous         a record is there, but its alleles are others, or A/T or C/G on a strand that is not known, or one
                      identifier stands at several places: missing in every sample

A/T and C/G sites (palindromic alleles) read alike on both strands. Their strand is that of the whole input: if all
other sites are on one strand, and at least ``LEAST_EVIDENCE`` are there, these are, too; where strands are mixed, they
are ambiguous. ``chr1`` and ``1`` are the same chromosome; so are 23 and X, 24 and Y, 25 and XY, 26 and MT where the
chromosomes of the model are human.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from genovi.genotypes.alleles import FLIPPED_SWAPPED, SWAPPED, UNNAMED, is_palindromic, readings
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable
from genovi.genotypes.regions import are_human, normalise_chromosome

STATUSES = ("matched", "swapped", "flipped", "flipped+swapped", "absent", "ambiguous")
WAYS = ("position", "id")
LEAST_EVIDENCE = 20
_ABSENT, _AMBIGUOUS = FLIPPED_SWAPPED + 1, FLIPPED_SWAPPED + 2
_EXCHANGED = (SWAPPED, FLIPPED_SWAPPED)
_ALL_MISSING = np.uint8(0b01010101)
_NO_ID = frozenset({".", "0", ""})


def _each_code(table: Sequence[int]) -> np.ndarray:
    """The four 2-bit codes of each byte mapped by ``table``, shape (256,), uint8."""
    return np.array(
        [sum(table[(byte >> s) & 3] << s for s in (0, 2, 4, 6)) for byte in range(256)], dtype=np.uint8
    )  # fmt: skip


_SWAP = _each_code((3, 1, 2, 0))
# Where a record names one allele only, whoever carries another carries neither of the model's, as far as is known.
_NO_COUNTED = _each_code((1, 1, 1, 3))
_NO_OTHER = _each_code((0, 1, 1, 1))


@dataclass(frozen=True)
class VariantMatch:
    """How each variant of a model was found in new data.

    Attributes:
        variants: The model's variants, shape (m,).
        row: Row of the new data used, -1 where none, shape (m,), int64.
        status: Index into ``STATUSES``, shape (m,), int8.
        palindromic: Whether its alleles are A/T or C/G, shape (m,), bool.
        by: How records were looked up, one of ``WAYS``.
    """

    variants: VariantTable
    row: np.ndarray
    status: np.ndarray
    palindromic: np.ndarray
    by: str

    @property
    def usable(self) -> float:
        """Share of the model's variants whose genotypes can be used."""
        return float(self.used.mean()) if len(self.status) else 0.0

    @property
    def used(self) -> np.ndarray:
        """Which of the model's variants can be used, shape (m,), bool."""
        return self.status < _ABSENT

    @property
    def swapped(self) -> np.ndarray:
        """Which variants the data count by the other allele, shape (m,), bool."""
        return np.isin(self.status, _EXCHANGED)

    @property
    def strands(self) -> tuple[int, int]:
        """Sites on the model's strand, and on the other one, among those whose alleles tell."""
        telling = self.used & ~self.palindromic
        other = telling & (self.status > SWAPPED)
        return int((telling & ~other).sum()), int(other.sum())

    @property
    def clashing(self) -> int:
        """Sites where a record is, with alleles that are not the model's on either strand."""
        return int(((self.status == _AMBIGUOUS) & ~self.palindromic).sum())

    def counts(self) -> dict[str, int]:
        """Number of variants of each status."""
        return {name: int((self.status == i).sum()) for i, name in enumerate(STATUSES)}

    def describe(self) -> str:
        """Share of usable variants and the counts, in words."""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts().items() if count)
        return f"{100 * self.usable:.1f} % of the model's {len(self.variants)} variants ({counts or 'none'})"

    def without_palindromes(self) -> VariantMatch:
        """With all A/T and C/G sites ambiguous."""
        lost = self.palindromic & self.used
        return replace(
            self, row=np.where(lost, -1, self.row), status=np.where(lost, _AMBIGUOUS, self.status).astype(np.int8)
        )

    def table(self) -> pd.DataFrame:
        """One row per model variant, for ``match.tsv``."""
        v = self.variants
        return pd.DataFrame(
            {"CHROM": v.chrom, "POS": v.pos, "ID": v.id, "REF": v.ref, "ALT": v.alt}
            | {"STATUS": np.array(STATUSES, dtype=object)[self.status]}
        )


def match_variants(model: VariantTable, data: VariantTable, by: str = "position") -> VariantMatch:
    """Find each variant of ``model`` in ``data``; the best record counts where several are there.

    Args:
        model: Variants of the model.
        data: Variants of new data.
        by: "position" looks at chromosome and position, "id" at identifiers (on the same chromosome), for data of
            another genome build. Records with several identifiers ("rs1;rs2") have all of them, "." is none.
    """
    m = len(model)
    row, same, other = np.full(m, -1), np.full(m, -1), np.full(m, -1)  # the row, and its reading on each strand
    found = np.zeros(m, dtype=bool)
    for i, rows in enumerate(_candidates(model, data, by)):
        found[i] = bool(rows)
        best = _best(model, i, data, rows)
        if best is not None:
            row[i], same[i], other[i] = best
    palindromic = np.fromiter(map(is_palindromic, model.ref, model.alt), dtype=bool, count=m)
    strand = _strand(*(int(((reading >= 0) & ~palindromic).sum()) for reading in (same, other)))
    reading = np.where(same >= 0, same, other)
    if strand is None:
        reading = np.where(palindromic, -1, reading)
    elif strand == 1:
        reading = np.where(palindromic, other, reading)
    status = np.where(reading >= 0, reading, np.where(found, _AMBIGUOUS, _ABSENT)).astype(np.int8)
    row = np.where(reading >= 0, row, -1)
    return VariantMatch(model, row, status, palindromic, by)


def _strand(same: int, other: int) -> int | None:
    """Strand of the whole input, 0 the model's and 1 the other, from sites whose alleles tell; None: mixed, or few."""
    if same + other < LEAST_EVIDENCE or (same and other):
        return None
    return 0 if same else 1


def _candidates(model: VariantTable, data: VariantTable, by: str) -> list[list[int]]:
    """Rows of ``data`` that may be each variant of ``model``, in file order."""
    human = are_human(model.chrom)
    names = {c: normalise_chromosome(c, human) for c in set(model.chrom) | set(data.chrom)}
    rows_at: dict[tuple[str, int | str], list[int]]
    if by == "position":
        keys = [[(names[c], p)] for c, p in zip(model.chrom, model.pos.tolist(), strict=True)]
        rows_at = {key[0]: [] for key in keys}
        for row, place in enumerate(zip(data.chrom, data.pos.tolist(), strict=True)):
            rows = rows_at.get((names[place[0]], place[1]))
            if rows is not None:
                rows.append(row)
    else:
        keys = [[(names[c], one) for one in identifiers(i)] for c, i in zip(model.chrom, model.id, strict=True)]
        rows_at = {key: [] for group in keys for key in group}
        for row, (chrom, text) in enumerate(zip(data.chrom, data.id, strict=True)):
            for one in identifiers(text):
                rows = rows_at.get((names[chrom], one))
                if rows is not None:
                    rows.append(row)
    return [list(dict.fromkeys(row for key in group for row in rows_at[key])) for group in keys]


def identifiers(text: str) -> list[str]:
    """The identifiers of an ID column: "rs1;rs2" has two, "." none."""
    return [one for one in text.split(";") if one not in _NO_ID]


def _best(model: VariantTable, i: int, data: VariantTable, rows: list[int]) -> tuple[int, int, int] | None:
    """The row that reads best as variant ``i``, and its reading on each strand, -1 for none.

    None where no row reads as it, or where equally good ones lie at different places.
    """
    ranked = []
    for row in rows:
        ref, alt = data.ref[row], data.alt[row]
        same, other = readings((model.ref[i], model.alt[i]), (ref, alt))
        if same >= 0 or other >= 0:
            # a record that names both alleles says more than one of the same place that names one only
            rank = (ref in UNNAMED or alt in UNNAMED, same if same >= 0 else other)
            ranked.append((rank, row, same, other))
    if not ranked:
        return None
    rank, row, same, other = min(ranked)
    if any(one[0] == rank and data.pos[one[1]] != data.pos[row] for one in ranked):
        return None
    return row, same, other


def align(matrix: GenotypeMatrix, match: VariantMatch) -> GenotypeMatrix:
    """The rows of ``matrix`` in the order and allele coding of the model; absent and ambiguous ones missing."""
    packed = np.full((len(match.variants), matrix.packed.shape[1]), _ALL_MISSING, dtype=np.uint8)
    for swapped in (False, True):
        at = np.flatnonzero(match.used & (match.swapped == swapped))
        rows = np.asarray(matrix.packed[match.row[at]])
        for alleles, only in ((matrix.variants.alt, _NO_COUNTED), (matrix.variants.ref, _NO_OTHER)):
            unnamed = [allele in UNNAMED for allele in alleles[match.row[at]]]
            rows[unnamed] = only[rows[unnamed]]
        packed[at] = _SWAP[rows] if swapped else rows
    spare = packed.shape[1] * 4 - matrix.n_samples
    if spare:
        packed[:, -1] &= np.uint8(0xFF >> (2 * spare))
    return GenotypeMatrix(packed, matrix.samples, match.variants, matrix.source)
