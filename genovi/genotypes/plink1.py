"""PLINK 1 binary filesets: ``.bed`` (genotypes), ``.bim`` (variants), ``.fam`` (samples).

The ``.bed`` is mapped into memory, not read: its coding is that of ``matrix``. A1, the fifth column of the ``.bim``, is
the counted allele; A2, the sixth, stands as REF. Alleles may be letters or codes (0/1/2, 1/2/3/4).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.bgzf import sniff
from genovi.genotypes.filesets import (
    VariantRows,
    missing_part,
    name_samples,
    part,
    read_text,
    regular_columns,
    regular_variants,
    table_rows,
)
from genovi.genotypes.matrix import GenotypeMatrix, InputFacts, VariantTable

MAGIC = b"\x6c\x1b"
_VARIANT_MAJOR, _SAMPLE_MAJOR = 1, 0
SUFFIXES = (".bed", ".bim", ".fam")


def plink1_prefix(path: Path) -> Path | None:
    """The prefix of the fileset that ``path`` names by its prefix or by one of its three files; None if it is none."""
    text = str(path)
    if text.endswith(SUFFIXES):
        prefix = Path(text[:-4])
        # BED also names a format of intervals: without a .bim beside it, the content decides.
        return prefix if text.endswith((".bim", ".fam")) or part(prefix, ".bim").exists() else None
    return path if not path.is_file() and part(path, ".bed").is_file() else None


def read_plink1(prefix: Path) -> GenotypeMatrix:
    """Map a PLINK 1 fileset.

    Args:
        prefix: Path of the fileset without ``.bed``, ``.bim``, ``.fam``.

    Returns:
        A matrix whose ``packed`` is a read-only memory map of the ``.bed``. Samples are named by IID, or by FID_IID
        where IIDs repeat.

    Raises:
        DataError: a file is missing or malformed, or the sizes of the three contradict each other.
    """
    bed = part(prefix, ".bed")
    for suffix in SUFFIXES:
        if not part(prefix, suffix).exists():
            raise missing_part(part(prefix, suffix), "a PLINK 1 fileset is a .bed, a .bim and a .fam of one name")
    samples = _read_fam(part(prefix, ".fam"))
    variants = _read_bim(part(prefix, ".bim"))
    shape = (len(variants), (len(samples) + 3) // 4)
    _check_bed(bed, len(variants), len(samples))
    packed = np.memmap(bed, dtype=np.uint8, mode="r", offset=3, shape=shape)
    return GenotypeMatrix(packed, samples, variants, str(bed), InputFacts(formats=("PLINK 1",)))


def _check_bed(bed: Path, n_variants: int, n_samples: int) -> None:
    head = sniff(bed).head
    if head[:2] != MAGIC:
        raise DataError(
            "not a PLINK 1 .bed file",
            where=bed,
            why="it does not start with the bytes 6c 1b",
            fix="make it again with `plink2 --make-bed`",
        )
    if len(head) > 2 and head[2] == _SAMPLE_MAJOR:
        raise DataError(
            "the .bed file is sample-major",
            where=bed,
            why="genovi reads variant-major files",
            fix="convert it with `plink1.9 --bfile PREFIX --make-bed --out NEW`",
        )
    if len(head) < 3 or head[2] != _VARIANT_MAJOR:
        raise DataError(
            "this is PLINK 2 .pgen data, not a PLINK 1 .bed",
            where=bed,
            fix="convert it with `plink2 --pfile PREFIX --make-bed --out NEW`",
        )
    expected = 3 + n_variants * ((n_samples + 3) // 4)
    actual = bed.stat().st_size
    if actual != expected:
        raise DataError(
            f"{'truncated' if actual < expected else 'too long'}: {actual} bytes, expected {expected}",
            where=bed,
            why=f"the .bim has {n_variants} variants and the .fam {n_samples} samples",
            fix="copy the three files of one fileset again",
        )


def _read_fam(path: Path) -> tuple[str, ...]:
    rows = [cells for _, cells in table_rows(path, read_text(path), (6,), "FID IID father mother sex phenotype")]
    return name_samples([cells[0] for cells in rows], [cells[1] for cells in rows], path)


def _read_bim(path: Path) -> VariantTable:
    text = read_text(path)
    regular = regular_variants(regular_columns(text, 6), chrom=0, pos=3, identifier=1, ref=5, alt=4)
    if regular is not None:
        return regular
    rows = VariantRows(path)
    for number, cells in table_rows(path, text, (6,), "chromosome ID cM position A1 A2"):
        chrom, identifier, _, pos, a1, a2 = cells
        rows.add(number, chrom, pos, identifier, a2, a1)
    return rows.table()
