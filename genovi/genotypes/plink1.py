"""PLINK 1 binary filesets: ``.bed`` (genotypes), ``.bim`` (variants), ``.fam`` (samples).

The ``.bed`` is mapped into memory, not read: its coding is that of ``matrix``. A1, the fifth column of the ``.bim``, is
the counted allele; A2, the sixth, stands as REF. Alleles may be letters or codes (0/1/2, 1/2/3/4).
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.bgzf import sniff
from genovi.genotypes.building import decode_text, normalise_allele
from genovi.genotypes.matrix import GenotypeMatrix, InputFacts, VariantTable
from genovi.genotypes.vcfheader import check_sample_names

logger = logging.getLogger("genovi")

MAGIC = b"\x6c\x1b"
_VARIANT_MAJOR, _SAMPLE_MAJOR = 1, 0
_SUFFIXES = (".bed", ".bim", ".fam")


def plink1_prefix(path: Path) -> Path | None:
    """The prefix of the fileset that ``path`` names by its prefix or by one of its three files; None if it is none."""
    text = str(path)
    if text.endswith(_SUFFIXES):
        prefix = Path(text[:-4])
        # BED also names a format of intervals: without a .bim beside it, the content decides.
        return prefix if text.endswith((".bim", ".fam")) or _part(prefix, ".bim").exists() else None
    return path if not path.is_file() and _part(path, ".bed").is_file() else None


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
    bed = _part(prefix, ".bed")
    for suffix in _SUFFIXES:
        if not _part(prefix, suffix).exists():
            raise DataError(
                f"no {suffix} file beside the fileset",
                where=_part(prefix, suffix),
                why="a PLINK 1 fileset is a .bed, a .bim and a .fam of one name",
                fix="copy all three",
            )
    samples = _read_fam(_part(prefix, ".fam"))
    variants = _read_bim(_part(prefix, ".bim"))
    shape = (len(variants), (len(samples) + 3) // 4)
    _check_bed(bed, len(variants), len(samples))
    packed = np.memmap(bed, dtype=np.uint8, mode="r", offset=3, shape=shape)
    return GenotypeMatrix(packed, samples, variants, str(bed), InputFacts(formats=("PLINK 1",)))


def _part(prefix: Path, suffix: str) -> Path:
    return Path(f"{prefix}{suffix}")


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
    rows = [fields for _, fields in _rows(path, 6, "FID IID father mother sex phenotype")]
    ids = tuple(fields[1] for fields in rows)
    if len(set(ids)) < len(ids):
        logger.warning("%s: within-family identifiers (IID) repeat; samples are named FID_IID", path)
        ids = tuple(f"{fields[0]}_{fields[1]}" for fields in rows)
    check_sample_names(ids, str(path))
    return ids


def _read_bim(path: Path) -> VariantTable:
    columns: list[list[str]] = [[], [], [], []]
    positions: list[int] = []
    for number, (chrom, identifier, _, pos, a1, a2) in _rows(path, 6, "chromosome ID cM position A1 A2"):
        try:
            positions.append(int(pos))
        except ValueError:
            raise DataError(
                f"position {pos!r} is not a whole number",
                where=f"{path}, line {number}",
                fix="repair or remove this line",
            ) from None
        for column, value in zip(columns, (chrom, identifier, a2, a1), strict=True):
            column.append(value)
    chroms, ids, refs, alts = columns
    return VariantTable(
        chrom=_objects(chroms),
        pos=np.array(positions, dtype=np.int64),
        id=_objects(ids),
        ref=_objects([normalise_allele(allele) for allele in refs]),
        alt=_objects([normalise_allele(allele) for allele in alts]),
    )


def _rows(path: Path, n_columns: int, names: str) -> list[tuple[int, list[str]]]:
    if sniff(path).compression != "plain":
        raise DataError("this file is compressed", where=path, fix="decompress it with `gunzip`")
    rows = []
    for number, line in enumerate(decode_text(path.read_bytes()).split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != n_columns:
            raise DataError(
                f"{len(fields)} columns, expected {n_columns}",
                where=f"{path}, line {number}",
                why=f"they are {names}",
                fix="repair or remove this line",
            )
        rows.append((number, fields))
    if not rows:
        raise DataError("empty file", where=path, fix="make the fileset again")
    return rows


def _objects(values: list[str]) -> np.ndarray:
    # One object for each different string: alleles and contigs repeat a million times.
    shared: dict[str, str] = {}
    array = np.empty(len(values), dtype=object)
    array[:] = [shared.setdefault(value, value) for value in values]
    return array
