"""GenotypeMatrix: packed genotypes with their samples and variants, the type that every reader returns.

Coding is that of a PLINK 1 ``.bed`` file in variant-major order: two bits a genotype, four samples a byte, first
sample in the lowest bits:

    00  two copies of the counted allele (dosage 2)
    01  missing
    10  heterozygous                     (dosage 1)
    11  no copy of the counted allele    (dosage 0)

The **counted allele is ALT** in VCF and BCF and A1 (fifth column of the ``.bim``) in PLINK 1; the other one is REF,
or A2. Padding bits after the last sample are zero. Positions are 1-based base pairs.
Decoded dosages are ``int8``: 0, 1, 2, and ``MISSING`` (-1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genovi.errors import DataError

MISSING = np.int8(-1)

_CODE_TO_DOSAGE = np.array([2, -1, 1, 0], dtype=np.int8)
_DOSAGE_TO_CODE = np.array([3, 2, 0, 1], dtype=np.uint8)  # index -1 (missing) -> 1
_BYTE_TO_DOSAGES = _CODE_TO_DOSAGE[(np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3]


@dataclass(frozen=True)
class VariantTable:
    """Variants in file order, one entry each.

    Attributes:
        chrom: Contig names as written in the file, shape (n_variants,), object (str).
        pos: 1-based positions in base pairs, shape (n_variants,), int64.
        id: Identifiers, "." where there is none, shape (n_variants,), object (str).
        ref: Allele that is not counted (REF; A2), shape (n_variants,), object (str).
        alt: Counted allele (ALT; A1), shape (n_variants,), object (str).
    """

    chrom: np.ndarray
    pos: np.ndarray
    id: np.ndarray
    ref: np.ndarray
    alt: np.ndarray

    def __len__(self) -> int:
        return len(self.pos)

    def take(self, index: np.ndarray) -> VariantTable:
        """The variants at ``index`` (integers or a boolean mask)."""
        return VariantTable(self.chrom[index], self.pos[index], self.id[index], self.ref[index], self.alt[index])

    @staticmethod
    def concatenate(tables: list[VariantTable]) -> VariantTable:
        """Tables one after another."""
        return VariantTable(
            *(
                np.concatenate([getattr(table, field) for table in tables])
                for field in ("chrom", "pos", "id", "ref", "alt")
            )
        )


@dataclass(frozen=True)
class GenotypeMatrix:
    """Packed genotypes, variants x samples.

    Attributes:
        packed: PLINK 1 codes, shape (n_variants, ceil(n_samples / 4)), uint8; may be a read-only memory map.
        samples: Sample identifiers in file order, unique.
        variants: The rows.
        source: Where the genotypes came from, for messages.
    """

    packed: np.ndarray
    samples: tuple[str, ...]
    variants: VariantTable
    source: str = "genotypes"

    def __post_init__(self) -> None:
        expected = (len(self.variants), (len(self.samples) + 3) // 4)
        if self.packed.shape != expected or self.packed.dtype != np.uint8:
            raise DataError(
                f"packed genotypes have shape {self.packed.shape} and dtype {self.packed.dtype}, "
                f"expected {expected} and uint8",
                where=self.source,
            )

    @property
    def n_samples(self) -> int:
        return len(self.samples)

    @property
    def n_variants(self) -> int:
        return len(self.variants)

    def dosages(self, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Dosage of the counted allele at ``rows``.

        Returns:
            shape (n_rows, n_samples), int8: 0, 1, 2, or -1 where missing.
        """
        block = _BYTE_TO_DOSAGES[self.packed[rows]]
        return block.reshape(block.shape[0], -1)[:, : self.n_samples]

    def blocks(self, size: int = 4096) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield ``(rows, dosages)`` over all variants, ``size`` at a time."""
        for start in range(0, self.n_variants, size):
            rows = slice(start, min(start + size, self.n_variants))
            yield rows, self.dosages(rows)

    def take_variants(self, index: np.ndarray) -> GenotypeMatrix:
        """The variants at ``index`` (integers or a boolean mask), copied."""
        index = np.asarray(index)
        return GenotypeMatrix(self.packed[index], self.samples, self.variants.take(index), self.source)

    def take_samples(self, index: np.ndarray) -> GenotypeMatrix:
        """The samples at ``index`` (integers or a boolean mask), repacked."""
        index = np.asarray(index)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        packed = np.empty((self.n_variants, (len(index) + 3) // 4), dtype=np.uint8)
        for rows, dosages in self.blocks():
            packed[rows] = pack(dosages[:, index])
        return GenotypeMatrix(packed, tuple(self.samples[i] for i in index), self.variants, self.source)


def pack(dosages: np.ndarray) -> np.ndarray:
    """Pack dosages into PLINK 1 codes.

    Args:
        dosages: shape (n_variants, n_samples), int8: 0, 1, 2 copies of the counted allele, -1 where missing.

    Returns:
        shape (n_variants, ceil(n_samples / 4)), uint8.
    """
    n_variants, n_samples = dosages.shape
    codes = np.zeros((n_variants, (n_samples + 3) // 4 * 4), dtype=np.uint8)
    codes[:, :n_samples] = _DOSAGE_TO_CODE[dosages]
    quads = codes.reshape(n_variants, -1, 4)
    return quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6
