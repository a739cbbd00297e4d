"""Genotypes of any format to a PLINK 1 fileset, which genovi maps into memory instead of parsing it again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genovi.errors import DataError
from genovi.files import check_writable
from genovi.genotypes.filesets import part
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.plink1 import SUFFIXES
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.regions import BuildGuess, guess_build, normalise_chromosome, normalise_chromosomes
from genovi.genotypes.writing import write_plink1

logger = logging.getLogger("genovi")


@dataclass(frozen=True)
class Conversion:
    """What ``convert`` wrote.

    Attributes:
        files: The three files.
        n_samples: Samples, all of the input's.
        n_variants: Variants written.
        n_multiallelic: Variants left out because they have several ALT alleles.
        n_elsewhere: Variants left out because they are on other chromosomes than asked for.
        build: Genome build of the input; a fileset does not record it.
    """

    files: tuple[Path, ...]
    n_samples: int
    n_variants: int
    n_multiallelic: int
    n_elsewhere: int
    build: BuildGuess

    def lines(self) -> list[str]:
        """For people."""
        left_out = [
            f"{count} {what}"
            for count, what in ((self.n_multiallelic, "multi-allelic"), (self.n_elsewhere, "on other chromosomes"))
            if count
        ]
        return [
            f"wrote {self.n_samples} samples x {self.n_variants} variants to {self.files[0]}"
            + (f"; left out {' and '.join(left_out)}" if left_out else ""),
            f"genome build: {self.build.build} ({self.build.reason})",
        ]


def convert(
    paths: Sequence[Path], prefix: Path, *, chromosomes: Sequence[str] | None = None, force: bool = False
) -> Conversion:
    """Write ``prefix.bed``, ``prefix.bim`` and ``prefix.fam``.

    A1 of the ``.bim`` is the counted allele: ALT of VCF, BCF, PLINK 2 and VCF Zarr, the first allele of EIGENSTRAT. No
    filter but those that are asked for is applied; only multi-allelic variants, which the format cannot hold, are left
    out. Sites without ALT keep "." as A1.

    Args:
        paths: As for ``open_genotypes``.
        prefix: Path without suffix.
        chromosomes: Names of the chromosomes to keep; None for all.
        force: Overwrite the three files.

    Raises:
        ConfigError: a file exists and ``force`` is false, or the input makes no sense.
        DataError: the input is bad, nothing is left to write, or a name has white space.
        MismatchError: files have different samples.
        ResourceError: the files cannot be written.
    """
    files = tuple(part(prefix, suffix) for suffix in SUFFIXES)
    for file in files:
        check_writable(file, force)
    matrix = open_genotypes(paths)
    build = guess_build(matrix)
    n_read = matrix.n_variants
    if chromosomes is not None:
        matrix = _on(matrix, chromosomes)
    n_elsewhere = n_read - matrix.n_variants
    several = np.array(["," in alt for alt in matrix.variants.alt.tolist()], dtype=bool)
    if several.all():
        raise DataError(
            "all variants are multi-allelic",
            where=matrix.source,
            why="PLINK 1 holds biallelic variants",
            fix="split them with `bcftools norm -m-`",
        )
    if several.any():
        matrix = matrix.take_variants(~several)
    write_plink1(matrix, prefix)
    return Conversion(files, matrix.n_samples, matrix.n_variants, int(several.sum()), n_elsewhere, build)


def _on(matrix: GenotypeMatrix, chromosomes: Sequence[str]) -> GenotypeMatrix:
    names = {normalise_chromosome(name) for name in chromosomes}
    found = normalise_chromosomes(matrix.variants.chrom)
    absent = sorted(names - set(found.tolist()))
    if len(absent) == len(names):
        raise DataError(
            "no variants on the chromosomes asked for",
            where=matrix.source,
            why=f"--chr names {', '.join(absent[:5])}; the input has {', '.join(list(dict.fromkeys(found))[:5])}",
            fix="name chromosomes of the input with --chr",
        )
    if absent:
        logger.warning("--chr names chromosomes without variants: %s", ", ".join(absent))
    return matrix.take_variants(np.isin(found, list(names)))
