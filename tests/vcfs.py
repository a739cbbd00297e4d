"""Small VCFs as text, for the tests of the reader."""

from __future__ import annotations

from pathlib import Path

from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.reading import open_genotypes

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"


def vcf(*genotypes: str, alt: str = "C", format_: str = "GT", n_records: int = 1) -> str:
    """A VCF of samples s1, s2, ... with these columns in every record, at positions 10, 11, ..."""
    names = "\t".join(f"s{i + 1}" for i in range(len(genotypes)))
    row = "\t".join(["1", "{}", ".", "A", alt, ".", ".", ".", format_, *genotypes])
    return HEADER + names + "\n" + "".join(row.format(10 + i) + "\n" for i in range(n_records))


def read(text: str | bytes, folder: Path, name: str = "x.vcf") -> GenotypeMatrix:
    """What open_genotypes makes of ``text`` as a file."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return open_genotypes([path])


def record(*genotypes: str, chrom: str = "1", pos: int = 10, alt: str = "C", format_: str = "GT") -> str:
    """One line of a VCF."""
    return "\t".join([chrom, str(pos), ".", "A", alt, ".", ".", ".", format_, *genotypes]) + "\n"
