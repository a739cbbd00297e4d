"""GenotypeMatrix: packed genotypes with their samples and variants, the type that every reader returns.

Coding is that of a PLINK 1 ``.bed`` file in variant-major order: two bits a genotype, four samples a byte, first
sample in the lowest bits:

    00  two copies of the counted allele (dosage 2)
    01  missing
    10  heterozygous                     (dosage 1)
    11  no copy of the counted allele    (dosage 0)

The **counted allele is ALT** in VCF, BCF, PLINK 2 and VCF Zarr, A1 (fifth column of the ``.bim``) in PLINK 1 and the
first allele (fifth column of the ``.snp``) in EIGENSTRAT; the other one is REF,
or A2. Padding bits after the last sample are zero in what genovi packs and ignored in what it maps from a file.
Positions are 1-based base pairs.
Decoded dosages are ``int8``: 0, 1, 2, and ``MISSING`` (-1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from genovi.errors import DataError

MISSING = np.int8(-1)

_CODE_TO_DOSAGE = np.array([2, -1, 1, 0], dtype=np.int8)
_DOSAGE_TO_CODE = np.array([3, 2, 0, 1], dtype=np.uint8)  # index -1 (missing) -> 1
_BYTE_TO_DOSAGES = _CODE_TO_DOSAGE[(np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3]


@dataclass(frozen=True)
class InputFacts:
    """What the input said beside its genotypes: evidence for the genome build, and calls that were not diploid.

    Attributes:
        formats: One entry per input file, such as "VCF (BGZF)".
        references: ``##reference`` values and ``assembly`` names of the header lines.
        contig_lengths: Contig name -> length in base pairs, as the header states it.
        half_calls: Genotypes with one allele missing (``./1``); they are coded missing.
        haploid_calls: Genotypes of one allele (``1``); they are coded as two copies of it.
        records_without_gt: Records whose FORMAT has no GT; all their genotypes are missing.
        split_records: Records with several ALT alleles that became one row for each.
        n_elsewhere: Records that were passed over because --chr or --region leaves them out; nothing else counts them.
        unfinished: Files whose last line has no line end.
    """

    formats: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    contig_lengths: dict[str, int] = field(default_factory=dict)
    half_calls: int = 0
    haploid_calls: int = 0
    records_without_gt: int = 0
    split_records: int = 0
    n_elsewhere: int = 0
    unfinished: tuple[str, ...] = ()

    def elsewhere(self, count: int) -> InputFacts:
        """The same facts with ``count`` records passed over."""
        return replace(self, n_elsewhere=count)

    @staticmethod
    def merge(facts: Sequence[InputFacts]) -> InputFacts:
        """The facts of several files that are read as one input."""
        lengths: dict[str, int] = {}
        for one in facts:
            lengths.update(one.contig_lengths)
        return InputFacts(
            formats=tuple(name for one in facts for name in one.formats),
            references=tuple(dict.fromkeys(name for one in facts for name in one.references)),
            contig_lengths=lengths,
            half_calls=sum(one.half_calls for one in facts),
            haploid_calls=sum(one.haploid_calls for one in facts),
            records_without_gt=sum(one.records_without_gt for one in facts),
            split_records=sum(one.split_records for one in facts),
            n_elsewhere=sum(one.n_elsewhere for one in facts),
            unfinished=tuple(name for one in facts for name in one.unfinished),
        )


@dataclass(frozen=True, eq=False)
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

    def take(self, index: np.ndarray | slice) -> VariantTable:
        """The variants at ``index`` (integers, a boolean mask or a slice)."""
        return VariantTable(self.chrom[index], self.pos[index], self.id[index], self.ref[index], self.alt[index])

    @staticmethod
    def empty() -> VariantTable:
        """A table without variants."""
        texts = [np.empty(0, dtype=object) for _ in range(4)]
        return VariantTable(texts[0], np.empty(0, dtype=np.int64), *texts[1:])

    @staticmethod
    def concatenate(tables: Sequence[VariantTable]) -> VariantTable:
        """Tables one after another."""
        return VariantTable(
            *(
                np.concatenate([getattr(table, field) for table in tables])
                for field in ("chrom", "pos", "id", "ref", "alt")
            )
        )


@dataclass(frozen=True, eq=False)
class GenotypeMatrix:
    """Packed genotypes, variants x samples.

    Attributes:
        packed: PLINK 1 codes, shape (n_variants, ceil(n_samples / 4)), uint8; may be a read-only memory map.
        samples: Sample identifiers in file order, unique.
        variants: The rows.
        source: Where the genotypes came from, for messages.
        facts: What the input said beside its genotypes.

    Raises:
        DataError: the parts do not fit together, or a sample identifier occurs twice.
    """

    packed: np.ndarray
    samples: tuple[str, ...]
    variants: VariantTable
    source: str = "genotypes"
    facts: InputFacts = field(default_factory=InputFacts)

    def __post_init__(self) -> None:
        expected = (len(self.variants), (len(self.samples) + 3) // 4)
        if self.packed.shape != expected or self.packed.dtype != np.uint8:
            raise DataError(
                f"packed genotypes have shape {self.packed.shape} and dtype {self.packed.dtype}, "
                f"expected {expected} and uint8",
                where=self.source,
            )
        if len(set(self.samples)) != len(self.samples):
            twice = [name for name, count in Counter(self.samples).items() if count > 1]
            raise DataError(
                f"sample {twice[0]!r} occurs twice" + (f", and {len(twice) - 1} more do" if len(twice) > 1 else ""),
                where=self.source,
                why="its genotypes could not be told apart",
                fix="rename or drop one of them",
            )

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def n_variants(self) -> int:
        """Number of variants."""
        return len(self.variants)

    def dosages(self, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Dosage of the counted allele at ``rows``.

        Returns:
            shape (n_rows, n_samples), int8: 0, 1, 2, or -1 where missing.
        """
        block = _BYTE_TO_DOSAGES[self.packed[rows]]
        return block.reshape(block.shape[0], 4 * block.shape[1])[:, : self.n_samples]

    def part(self, rows: slice | np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Dosages of some samples at some variants, without unpacking the others.

        Args:
            rows: Variants.
            samples: Indices, shape (n,), int64.

        Returns:
            shape (n_rows, n), int8, coded as by ``dosages``.
        """
        codes = np.take(self.packed[rows], samples >> 2, axis=1)
        codes >>= ((samples & 3) << 1).astype(np.uint8)
        codes &= 3
        return _CODE_TO_DOSAGE[codes]

    def blocks(self, size: int = 4096) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield ``(rows, dosages)`` over all variants, ``size`` at a time."""
        for start in range(0, self.n_variants, size):
            rows = slice(start, min(start + size, self.n_variants))
            yield rows, self.dosages(rows)

    def to_allel(self) -> Any:
        """Genotypes as scikit-allel takes them, for its statistics.

        Returns:
            ``allel.GenotypeArray``, shape (n_variants, n_samples, 2), int8: 0 for the other allele, 1 for the counted
            one, -1 twice where missing; not phased, 0 before 1.
        """
        import allel

        alleles = np.empty((self.n_variants, self.n_samples, 2), dtype=np.int8)
        for rows, dosages in self.blocks():
            np.copyto(alleles[rows, :, 0], dosages >> 1)  # -1, 0, 0, 1 of -1, 0, 1, 2
            np.copyto(alleles[rows, :, 1], np.minimum(dosages, 1))
        return allel.GenotypeArray(alleles)

    def take_variants(self, index: np.ndarray) -> GenotypeMatrix:
        """The variants at ``index`` (integers or a boolean mask), copied."""
        index = np.asarray(index)
        return replace(self, packed=self.packed[index], variants=self.variants.take(index))

    def take_samples(self, index: np.ndarray) -> GenotypeMatrix:
        """The samples at ``index`` (integers or a boolean mask), repacked."""
        index = np.asarray(index)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        return replace(self, packed=take_samples(self.packed, index), samples=tuple(self.samples[i] for i in index))


def take_samples(packed: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The samples at ``index`` (integers) of packed rows, repacked; padding bits are zero."""
    from genovi.genotypes import kernels

    out = np.zeros((len(packed), (len(index) + 3) // 4), dtype=np.uint8)
    kernels.take_codes(packed, np.asarray(index, dtype=np.int64), out)
    return out


def pack(dosages: np.ndarray) -> np.ndarray:
    """Pack dosages into PLINK 1 codes.

    Args:
        dosages: shape (n_variants, n_samples), int8: 0, 1, 2 copies of the counted allele, -1 where missing.

    Returns:
        shape (n_variants, ceil(n_samples / 4)), uint8.

    Raises:
        DataError: a dosage is none of -1, 0, 1, 2.
    """
    n_variants, n_samples = dosages.shape
    if dosages.size and (dosages.min() < -1 or dosages.max() > 2):
        raise DataError(f"dosages lie in [{dosages.min()}, {dosages.max()}], expected -1, 0, 1, 2")
    codes = np.zeros((n_variants, (n_samples + 3) // 4 * 4), dtype=np.uint8)
    codes[:, :n_samples] = _DOSAGE_TO_CODE[dosages]
    quads = codes.reshape(n_variants, codes.shape[1] // 4, 4)
    return quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6
