"""PLINK 1 filesets out of a GenotypeMatrix: what any other tool reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genovi.errors import DataError
from genovi.files import atomic_path
from genovi.genotypes.matrix import GenotypeMatrix

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
    _check_names(matrix)
    variants = matrix.variants
    paths = [Path(f"{prefix}{suffix}") for suffix in (".bed", ".bim", ".fam")]
    # Each file is complete under its temporary name before the first of them is renamed.
    with atomic_path(paths[0]) as bed, atomic_path(paths[1]) as bim, atomic_path(paths[2]) as fam:
        with open(bed, "wb") as stream:
            stream.write(_BED_HEADER)
            for start in range(0, matrix.n_variants, _BLOCK):
                stream.write(_without_padding(matrix, slice(start, start + _BLOCK)).tobytes())
        with open(bim, "w", encoding="utf-8", newline="\n") as text:
            rows = zip(variants.chrom, variants.id, variants.pos, variants.alt, variants.ref, strict=True)
            text.writelines(f"{chrom}\t{name}\t0\t{pos}\t{alt}\t{ref}\n" for chrom, name, pos, alt, ref in rows)
        with open(fam, "w", encoding="utf-8", newline="\n") as text:
            text.writelines(f"0\t{sample}\t0\t0\t0\t-9\n" for sample in matrix.samples)


def _without_padding(matrix: GenotypeMatrix, rows: slice) -> np.ndarray:
    """Packed rows whose bits after the last sample are zero."""
    packed = np.array(matrix.packed[rows])
    if matrix.n_samples % 4:
        packed[:, -1] &= (1 << 2 * (matrix.n_samples % 4)) - 1
    return packed


def _check_names(matrix: GenotypeMatrix) -> None:
    variants = matrix.variants
    columns = {
        "sample": matrix.samples,
        "contig": dict.fromkeys(variants.chrom.tolist()),
        "variant": variants.id.tolist(),
        "allele": dict.fromkeys([*variants.ref.tolist(), *variants.alt.tolist()]),
    }
    for what, names in columns.items():
        for name in names:
            if not name or len(name.split()) != 1:
                raise DataError(
                    f"{what} name {name!r} is empty or has white space",
                    where=matrix.source,
                    why="PLINK 1 files are separated by white space",
                    fix="rename it",
                )
    several = [alt for alt in columns["allele"] if "," in alt]
    if several:
        raise DataError(
            f"a record has the ALT alleles {several[0][:40]}",
            where=matrix.source,
            why="PLINK 1 holds biallelic variants",
            fix="keep biallelic SNPs first (apply_qc does)",
        )
