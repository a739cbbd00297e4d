"""PLINK 1 filesets out of packed genotypes: what any other tool reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np

from genovi.errors import DataError
from genovi.files import atomic_path
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable

_BED_HEADER = b"\x6c\x1b\x01"
_BLOCK = 65536


def write_plink1(matrix: GenotypeMatrix, prefix: Path) -> None:
    """Write ``prefix.bed``, ``prefix.bim`` and ``prefix.fam``; existing ones are replaced.

    A1 of the ``.bim`` is the counted allele. The ``.fam`` has family 0, no parents, unknown sex and phenotype.

    Args:
        matrix: Genotypes; the samples and variants may number none.
        prefix: Path without suffix.

    Raises:
        DataError: a name has white space, which the format cannot hold, or a record has several ALT alleles.
        ResourceError: the files cannot be written.
    """
    with writing_plink1(prefix, matrix.source) as writer:
        writer.begin(matrix.samples)
        for start in range(0, matrix.n_variants, _BLOCK):
            rows = slice(start, start + _BLOCK)
            writer.append(matrix.packed[rows], matrix.variants.take(rows))


@contextmanager
def writing_plink1(prefix: Path, source: str) -> Iterator[FilesetWriter]:
    """Write a fileset row by row; nothing is there before it is complete, and nothing stays where that fails.

    Args:
        prefix: Path without suffix.
        source: Name of the input, for messages.

    Yields:
        The writer, whose ``begin`` comes first.

    Raises:
        ResourceError: the files cannot be written.
    """
    paths = [Path(f"{prefix}{suffix}") for suffix in (".bed", ".bim", ".fam")]
    # Each file is complete under its temporary name before the first of them is renamed.
    with (
        atomic_path(paths[0]) as bed,
        atomic_path(paths[1]) as bim,
        atomic_path(paths[2]) as fam,
        open(bed, "wb") as stream,
        open(bim, "w", encoding="utf-8", newline="\n") as text,
    ):
        yield FilesetWriter(stream, text, fam, source)


class FilesetWriter:
    """The three files of a fileset while they are written.

    Args:
        bed: The ``.bed``.
        bim: The ``.bim``.
        fam: Path of the ``.fam``.
        source: Name of the input, for messages.
    """

    def __init__(self, bed: BinaryIO, bim: TextIO, fam: Path, source: str) -> None:
        self._bed, self._bim, self._fam, self._source = bed, bim, fam, source
        self._n_samples = 0
        self.n_variants = 0

    @property
    def n_bytes(self) -> int:
        return self._bed.tell()

    def begin(self, samples: tuple[str, ...]) -> FilesetWriter:
        """Begin, or begin again: what was written before is gone.

        Raises:
            DataError: a name has white space.
        """
        for file in (self._bed, self._bim):
            file.seek(0)
            file.truncate()
        self._check_names("sample", samples)
        with open(self._fam, "w", encoding="utf-8", newline="\n") as text:
            text.writelines(f"0\t{sample}\t0\t0\t0\t-9\n" for sample in samples)
        self._bed.write(_BED_HEADER)
        self._n_samples = len(samples)
        self.n_variants = 0
        return self

    def append(self, rows: np.ndarray, variants: VariantTable, share: float = 1.0) -> None:
        """Write rows, shape (n_rows, ceil(n_samples / 4)), uint8, and their variants; ``share`` is of no concern here.

        Raises:
            DataError: a name has white space, or a variant has several ALT alleles.
        """
        alleles = {*variants.ref.tolist(), *variants.alt.tolist()}
        contigs = dict.fromkeys(variants.chrom.tolist())
        for what, names in (("contig", contigs), ("variant", variants.id.tolist()), ("allele", sorted(alleles))):
            self._check_names(what, names)
        several = [alt for alt in alleles if "," in alt]
        if several:
            raise DataError(
                f"a record has the ALT alleles {several[0][:40]}",
                where=self._source,
                why="PLINK 1 holds biallelic variants",
                fix="keep biallelic SNPs first (apply_qc does)",
            )
        self._bed.write(_without_padding(rows, self._n_samples).data)
        columns = (variants.chrom, variants.id, variants.pos, variants.alt, variants.ref)
        lines = zip(*(column.tolist() for column in columns), strict=True)
        self._bim.write("".join([f"{chrom}\t{name}\t0\t{pos}\t{alt}\t{ref}\n" for chrom, name, pos, alt, ref in lines]))
        self.n_variants += len(variants)

    def _check_names(self, what: str, names: Iterable[str]) -> None:
        listed = list(names)
        if "\n".join(listed).split() == listed:
            return
        for name in listed:
            if not name or len(name.split()) != 1:
                raise DataError(
                    f"{what} name {name!r} is empty or has white space",
                    where=self._source,
                    why="PLINK 1 files are separated by white space",
                    fix="rename it",
                )


def _without_padding(rows: np.ndarray, n_samples: int) -> np.ndarray:
    """Packed rows whose bits after the last sample are zero."""
    packed = np.array(rows, order="C")
    if n_samples % 4:
        packed[:, -1] &= (1 << 2 * (n_samples % 4)) - 1
    return packed
