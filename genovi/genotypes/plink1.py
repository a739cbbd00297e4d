"""PLINK 1 binary filesets: ``.bed`` (genotypes), ``.bim`` (variants), ``.fam`` (samples).

The ``.bed`` is mapped into memory, not read: its coding is that of ``matrix``. A1, the fifth column of the ``.bim``, is
the counted allele; A2, the sixth, stands as REF. Alleles may be letters or codes (0/1/2, 1/2/3/4).
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.batches import Batch, Batches, Source, rows_in_batch, source_of
from genovi.genotypes.bgzf import release, sniff
from genovi.genotypes.choosing import Choice
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
_RENAME = "give them different IIDs in the .fam, or different FIDs"
SUFFIXES = (".bed", ".bim", ".fam")
_BED_HEADER_BYTES = 3
_BIM_BYTES = 1 << 22  # of the .bim at a time


def plink1_prefix(path: Path) -> Path | None:
    """The prefix of the fileset that ``path`` names by its prefix or by one of its three files; None if it is none."""
    text = str(path)
    if text.endswith(SUFFIXES):
        prefix = Path(text[:-4])
        # BED also names a format of intervals: without a .bim beside it, the content decides.
        return prefix if text.endswith((".bim", ".fam")) or part(prefix, ".bim").exists() else None
    return path if not path.is_file() and part(path, ".bed").is_file() else None


def read_plink1(prefix: Path, samples: tuple[str, ...] | None = None) -> GenotypeMatrix:
    """Map a PLINK 1 fileset.

    Args:
        prefix: Path of the fileset without ``.bed``, ``.bim``, ``.fam``.
        samples: Those of the ``.fam``, where it has been read.

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
    samples = samples or _read_fam(part(prefix, ".fam"))
    variants = _read_bim(part(prefix, ".bim"))
    shape = (len(variants), (len(samples) + 3) // 4)
    _check_bed(bed, len(variants), len(samples))
    packed = np.memmap(bed, dtype=np.uint8, mode="r", offset=3, shape=shape)
    return GenotypeMatrix(packed, samples, variants, str(bed), InputFacts(formats=("PLINK 1",)))


def plink1_source(prefix: Path) -> Source:
    """Open a PLINK 1 fileset to be read in batches, its ``.bim`` a stretch at a time.

    Args:
        prefix: As for ``read_plink1``.

    Raises:
        DataError: as ``read_plink1``; of a line of the ``.bim`` while it is read.
    """
    bed, bim = part(prefix, ".bed"), part(prefix, ".bim")
    names = [part(prefix, suffix) for suffix in SUFFIXES]
    if not all(name.is_file() for name in names) or sniff(bim).compression != "plain":
        return source_of(read_plink1(prefix))  # which says what is wrong
    samples, n_lines = _read_fam(part(prefix, ".fam")), _count_lines(bim)
    expected = _BED_HEADER_BYTES + n_lines * ((len(samples) + 3) // 4)
    if n_lines == 0 or bed.stat().st_size != expected:
        return source_of(read_plink1(prefix, samples))  # perhaps the lines need a closer look, if they are right at all
    _check_bed(bed, n_lines, len(samples))
    read = partial(read_plink1, prefix, samples)

    def batches(choice: Choice | None) -> Batches:
        chosen, start = 0, 0
        for rows, variants in _stretches(bed, bim, (n_lines, (len(samples) + 3) // 4), read):
            start += len(variants)
            if choice is not None:
                mask = choice.mask(variants)
                rows, variants = rows[mask], variants.take(mask)
            chosen += len(variants)
            yield Batch(rows, variants, start / n_lines)
        return InputFacts(formats=("PLINK 1",), n_elsewhere=start - chosen)

    return Source(str(bed), "PLINK 1", samples, bed.stat().st_size, batches, read)


def _count_lines(bim: Path) -> int:
    """Lines of a table of plain ASCII that ends with a line end; 0 where it is none."""
    count, last = 0, b""
    with open(bim, "rb") as stream:
        while block := stream.read(_BIM_BYTES):
            if not block.isascii():
                return 0
            count, last = count + block.count(b"\n"), block[-1:]
    return count if last == b"\n" else 0


def _stretches(
    bed: Path, bim: Path, shape: tuple[int, int], read: Callable[[], GenotypeMatrix]
) -> Iterator[tuple[np.ndarray, VariantTable]]:
    """Rows and variants, some at a time; from the first line on that is not regular, from what ``read`` gives."""
    size = rows_in_batch(shape[1])
    with open(bed, "rb") as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    packed = np.frombuffer(data, dtype=np.uint8, offset=_BED_HEADER_BYTES).reshape(shape)
    start, released = 0, 0
    with open(bim, "rb") as lines:
        while block := lines.read(_BIM_BYTES):
            text = (block + lines.readline()).decode("ascii")
            table = regular_variants(regular_columns(text, 6), chrom=0, pos=3, identifier=1, ref=5, alt=4)
            if table is None or len(table) != text.count("\n"):
                matrix = read()
                packed, table = matrix.packed[start:], matrix.variants.take(slice(start, None))
                for k in range(0, len(table), size):
                    yield packed[k : k + size], table.take(slice(k, k + size))
                return
            for k in range(0, len(table), size):
                some = table.take(slice(k, k + size))
                yield packed[start + k : start + k + len(some)], some
            start += len(table)
            released = release(data, released, start * shape[1])


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
    return name_samples([cells[0] for cells in rows], [cells[1] for cells in rows], path, _RENAME)


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
