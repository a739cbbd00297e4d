"""VCF out of packed genotypes, compressed in BGZF blocks, so that bcftools and tabix can index it.

ALT is the counted allele. Records are sorted by position within contigs, which come in the order of their first
variant. Genotypes are unphased; nothing else is said of a sample.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from genovi.errors import DataError
from genovi.files import atomic_path
from genovi.genotypes.bgzf import EOF_BLOCK
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable

_PAYLOAD = 0xFF00  # of a block: deflate's worst case stays below 64 KiB
_ROWS = 1024
_GENOTYPES = np.frombuffer(b"\t0/0\t0/1\t1/1\t./.", dtype=np.uint8).reshape(4, 4)  # index -1 (missing) -> "./."
_REF = re.compile(r"[ACGTN]+", re.IGNORECASE)
_ALT = re.compile(r"[ACGTN]+|\*|<[^<>\s,]+>", re.IGNORECASE)
_CONTIG = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")


def check_alleles(variants: VariantTable, source: str) -> None:
    """Whether the variants can stand in a VCF.

    Raises:
        DataError: an allele or the name of a contig is none that the format allows.
    """
    for name in dict.fromkeys(variants.chrom):
        if not _CONTIG.fullmatch(name):
            raise DataError(f"{name!r} is no name of a contig in VCF", where=source)
    for i, (ref, alt) in enumerate(zip(variants.ref, variants.alt, strict=True)):
        if not _REF.fullmatch(ref) or not _ALT.fullmatch(alt):
            raise DataError(
                f"alleles {ref!r} and {alt!r} cannot be written as VCF",
                where=f"{source}, {variants.chrom[i]}:{variants.pos[i]}",
                why="it holds bases, A, C, G, T and N",
                fix="train on genotypes whose alleles are named by bases",
            )


def write_vcf(matrix: GenotypeMatrix, path: Path, about: str) -> None:
    """Write ``path``; what was there is replaced.

    Args:
        matrix: Genotypes.
        path: File to write, BGZF whatever its name.
        about: For the ##source line.

    Raises:
        DataError: variants cannot stand in a VCF, or the name of a sample holds white space other than blanks.
        ResourceError: the file cannot be written.
    """
    check_alleles(matrix.variants, matrix.source)
    for name in matrix.samples:
        if re.search(r"[\t\r\n]", name):
            raise DataError("the name of a sample holds a tab or a line break", where=f"{matrix.source}, {name!r}")
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        _compress(_text(matrix, about), stream)


def _text(matrix: GenotypeMatrix, about: str) -> Iterator[bytes]:
    v = matrix.variants
    contigs = {name: i for i, name in enumerate(dict.fromkeys(v.chrom))}
    header = [
        "##fileformat=VCFv4.2",
        f"##source={about}",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        *(f"##contig=<ID={name}>" for name in contigs),
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *matrix.samples]),
    ]
    yield ("\n".join(header) + "\n").encode()
    order = np.lexsort((v.pos, np.array([contigs[name] for name in v.chrom], dtype=np.int64)))
    for start in range(0, len(order), _ROWS):
        rows = order[start : start + _ROWS]
        calls = _GENOTYPES[matrix.dosages(rows)].reshape(len(rows), -1)
        for i, row in enumerate(rows):
            fields = (v.chrom[row], str(v.pos[row]), v.id[row], v.ref[row], v.alt[row], ".", ".", ".", "GT")
            yield "\t".join(fields).encode() + calls[i].tobytes() + b"\n"


def _compress(texts: Iterable[bytes], stream: BinaryIO) -> None:
    """BGZF: gzip members of at most 64 KiB that carry their size, and an empty one at the end."""
    left = bytearray()
    for text in texts:
        left += text
        while len(left) >= _PAYLOAD:
            stream.write(_block(bytes(left[:_PAYLOAD])))
            del left[:_PAYLOAD]
    if left:
        stream.write(_block(bytes(left)))
    stream.write(EOF_BLOCK)


def _block(text: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(text) + deflate.flush()
    head = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
    return head + body + struct.pack("<II", zlib.crc32(text), len(text))
